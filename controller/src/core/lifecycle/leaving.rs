//! From the wish to leave until nothing runs any more (clauses 6.1 and 6.2). Nothing is stopped
//! before the stop day, nor before the customer confirmed or the second notice's grace ran out, nor
//! while a hold stands.

use jiff::civil::Date;
use tenure_protocol::{
    id::{HostId, InstanceId, NoticeId, OrderId},
    time::Timestamp,
    wire::v1::Power,
};

use super::{
    Context,
    applying::record_opinion,
    event::{Decision, Document},
    joining::all_in,
    passing,
    step::Step,
    trying,
};
use crate::core::{
    calendar::{end_of_day, legal_day, start_of_day},
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{
        Chase, Offboarding, OrderFate, OrderKind, OtherDelivery, Phase, Served, Tenant, Waiver,
    },
};

/// The farthest stop day, years: beyond it a mistake is likelier than a plan.
const FARTHEST_YEARS: i16 = 3;

/// What a tenant that runs no more does not owe any longer.
const ENDED: [ObligationId; 8] = [
    ObligationId::O4,
    ObligationId::O5,
    ObligationId::O6a,
    ObligationId::O6b,
    ObligationId::O7a,
    ObligationId::O7c,
    ObligationId::O8,
    ObligationId::O9,
];

pub(super) fn request(
    step: &mut Step<'_>,
    stop_day: Date,
    reason: &str,
    ask_waiver: bool,
) -> Result<(), Refusal> {
    let today = step.today();
    let rule = step.context.rules.rule(ObligationId::O10);
    let (clause, days) = (&rule.clause, rule.period.number());
    let lawful_day = step.context.calendar.earliest_after(today, days);
    if stop_day < lawful_day && (!ask_waiver || stop_day <= today) {
        return Err(Refusal::new(
            Code::StopDayTooEarly,
            format!(
                "{stop_day} is too early: clause {clause} wants {days} working days \
                 between the application and the stop day; the earliest lawful stop day is \
                 {lawful_day}; for a day before it, but after today, ask for a waiver (ask_waiver)"
            ),
        ));
    }
    if stop_day.year() > today.year().saturating_add(FARTHEST_YEARS) {
        return Err(Refusal::new(
            Code::InvalidInput,
            format!("{stop_day} is more than {FARTHEST_YEARS} years away: check the stop day"),
        ));
    }
    step.applicant();
    step.tenant.offboarding = Some(Offboarding {
        from: step.tenant.phase,
        applied_on: today,
        lawful_day,
        stop_day,
        reason: reason.to_owned(),
        waivers: Vec::new(),
        confirmed_at: None,
        chase: Chase::None,
        stopped_at: None,
    });
    step.tenant.phase = Phase::OffboardingRequested;
    step.owe_before(ObligationId::O10, stop_day);
    step.owe(ObligationId::O11a);
    Ok(())
}

/// One of two persons lets a late application keep its stop day.
pub(super) fn waive(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    let (by, at) = (step.actor.name.clone(), step.now());
    let late = step.tenant.offboarding.as_mut().filter(|leaving| leaving.is_late());
    let Some(leaving) = late.filter(|leaving| !leaving.is_waived()) else {
        return Err(Refusal::new(
            Code::NothingToWaive,
            "the stop day is lawful as it is, or two persons have waived the period already",
        ));
    };
    if leaving.waivers.iter().any(|waiver| waiver.by == by) {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!("{by} waived the period already: a second person has to waive it too"),
        ));
    }
    leaving.waivers.push(Waiver { by, reason: reason.to_owned(), at });
    Ok(())
}

pub(super) fn review(
    step: &mut Step<'_>,
    decision: Decision,
    opinion: &str,
) -> Result<(), Refusal> {
    let Some(leaving) = step.tenant.offboarding.clone() else {
        return Err(Refusal::new(Code::InvalidInput, "there is no off-boarding application"));
    };
    let phase = match decision {
        Decision::Approve => Phase::OffboardingApproved,
        Decision::Reject => leaving.from,
        Decision::Return => {
            return Err(Refusal::new(
                Code::InvalidInput,
                "an off-boarding application is approved or rejected, not returned",
            ));
        }
    };
    record_opinion(step, decision, opinion);
    step.meet(ObligationId::O11a);
    step.tenant.phase = phase;
    match decision {
        Decision::Approve => approved(step, &leaving),
        Decision::Reject | Decision::Return => step.lapse(ObligationId::O10),
    }
    // The trial may have run out while the opinion was awaited.
    trying::expire(step);
    Ok(())
}

/// Without a waiver the stop day is the earliest lawful one (R10). Reports are awaited no more.
fn approved(step: &mut Step<'_>, asked: &Offboarding) {
    if asked.is_late() && !asked.is_waived() {
        step.lapse(ObligationId::O10);
        step.owe_before(ObligationId::O10, asked.lawful_day);
        if let Some(leaving) = &mut step.tenant.offboarding {
            leaving.stop_day = asked.lawful_day;
        }
    }
    for id in [ObligationId::O6b, ObligationId::O7a, ObligationId::O7b, ObligationId::O7c] {
        step.lapse(id);
    }
}

pub(super) fn confirm(step: &mut Step<'_>, migrated: bool, backed_up: bool) -> Result<(), Refusal> {
    if !(migrated && backed_up) {
        return Err(Refusal::new(
            Code::NotMigrated,
            "confirm only once the system is migrated and its data is backed up: both must be true",
        ));
    }
    let now = step.now();
    step.applicant();
    if let Some(leaving) = &mut step.tenant.offboarding {
        leaving.confirmed_at = leaving.confirmed_at.or(Some(now));
    }
    step.meet(ObligationId::O10);
    Ok(())
}

/// What time does next on the way off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// The customer is told that its confirmation is missing.
    FirstNotice,
    /// It is told so a second time, and that a grace begins.
    SecondNotice,
    /// The instances are stopped.
    Drain,
}

/// What is next, and at which legal instant. Nothing while a hold stands, or while the second
/// notice has not reached the customer.
pub(super) fn course(tenant: &Tenant, context: &Context<'_>) -> Option<(Timestamp, Course)> {
    let leaving = tenant.offboarding.as_ref()?;
    if tenant.phase != Phase::OffboardingApproved || tenant.is_held() {
        return None;
    }
    let stop = start_of_day(leaving.stop_day);
    if leaving.confirmed_at.is_some() {
        return Some((stop, Course::Drain));
    }
    let policy = context.rules.policy();
    let after =
        |day: Date, days| end_of_day(context.calendar.working_days(day, days).latest).max(stop);
    match &leaving.chase {
        Chase::None => Some((stop, Course::FirstNotice)),
        Chase::First { at } => {
            Some((after(legal_day(*at), policy.second_notice_working_days), Course::SecondNotice))
        }
        Chase::Second { served, .. } => served
            .as_ref()
            .map(|served| (after(served.on, policy.grace_working_days), Course::Drain)),
    }
}

/// Does what time has come for.
pub(super) fn go_on(step: &mut Step<'_>) {
    let Some((at, course)) = course(&step.tenant, step.context) else { return };
    let now = step.now();
    if now < at {
        return;
    }
    let (first, second) = (
        Letter::ConfirmationMissing,
        Letter::SecondNotice { grace: step.context.rules.policy().grace_working_days },
    );
    match course {
        Course::FirstNotice => {
            let due = step.due();
            step.arm(NoticeKind::ConfirmationMissing, &first, &due);
            chase(step, Chase::First { at: now });
        }
        Course::SecondNotice => {
            let due = step.due();
            let notices = step.arm(NoticeKind::SecondNotice, &second, &due);
            chase(step, Chase::Second { at: now, notices, claimed: None, served: None });
        }
        Course::Drain => drain(step),
    }
}

fn chase(step: &mut Step<'_>, chase: Chase) {
    if let Some(leaving) = &mut step.tenant.offboarding {
        leaving.chase = chase;
    }
}

/// The second notice was delivered: its grace begins.
pub(super) fn notified(step: &mut Step<'_>, notice: NoticeId) {
    let on = step.today();
    let Some(leaving) = &mut step.tenant.offboarding else { return };
    if let Chase::Second { notices, claimed, served, .. } = &mut leaving.chase
        && notices.contains(&notice)
        && served.is_none()
    {
        *served = Some(Served { on, record: None });
        *claimed = None;
    }
}

/// Somebody says that the second notice was served otherwise. That begins nothing: a second person
/// has to countersign it. What was recorded wrongly is recorded again.
pub(super) fn record_service(
    step: &mut Step<'_>,
    served_on: Date,
    document: &Document,
) -> Result<(), Refusal> {
    let (by, at, today) = (step.actor.name.clone(), step.now(), step.today());
    let (sent_on, claimed, _) = unserved(step)?;
    if served_on < sent_on || served_on > today {
        return Err(Refusal::new(
            Code::InvalidInput,
            format!(
                "served_on is {served_on}: the second notice went out on {sent_on}, and today is \
                 {today}; give the day on which it reached the customer, as the proof has it"
            ),
        ));
    }
    let document = document.clone();
    *claimed = Some(OtherDelivery { by, at, served_on, document, countersigned_by: None });
    Ok(())
}

/// The second person has seen the proof: the grace runs from the day that it names.
pub(super) fn countersign_service(step: &mut Step<'_>) -> Result<(), Refusal> {
    let name = step.actor.name.clone();
    let (_, claimed, served) = unserved(step)?;
    let Some(claim) = claimed else {
        return Err(Refusal::new(
            Code::NotNotified,
            "nobody has recorded that the second notice was served otherwise: there is nothing to \
             countersign",
        ));
    };
    if claim.by == name {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!("{name} recorded this service: a second person has to countersign it"),
        ));
    }
    let record = OtherDelivery { countersigned_by: Some(name), ..claim.clone() };
    *served = Some(Served { on: record.served_on, record: Some(record) });
    *claimed = None;
    Ok(())
}

/// The day on which the second notice went out, who says that it was served, and whether it was,
/// which it was not yet.
fn unserved<'a>(
    step: &'a mut Step<'_>,
) -> Result<(Date, &'a mut Option<OtherDelivery>, &'a mut Option<Served>), Refusal> {
    let chase = step.tenant.offboarding.as_mut().map(|leaving| &mut leaving.chase);
    match chase {
        Some(Chase::Second { at, claimed, served, .. }) if served.is_none() => {
            Ok((legal_day(*at), claimed, served))
        }
        Some(Chase::None | Chase::First { .. } | Chase::Second { .. }) | None => Err(Refusal::new(
            Code::NotNotified,
            "the second notice has not gone out yet, or has reached the customer already",
        )),
    }
}

/// The stop day has come and the customer is out.
pub(super) fn drain(step: &mut Step<'_>) {
    step.tenant.phase = Phase::Draining;
    step.order_all(OrderKind::Stop);
}

pub(super) fn stopped(
    step: &mut Step<'_>,
    host: HostId,
    order: OrderId,
    instances: &[(InstanceId, Power)],
) {
    if !all_in(step, host, instances, Power::Stopped) {
        let message = "the report does not have every instance of this host stopped";
        return stop_failed(step, order, "report-incomplete", message);
    }
    step.set_fate(order, OrderFate::Done);
    if step.tenant.phase == Phase::Draining && step.all_done(OrderKind::Stop) {
        let now = step.now();
        step.tenant.phase = Phase::Stopped;
        if let Some(leaving) = &mut step.tenant.offboarding {
            leaving.stopped_at = Some(now);
        }
        for id in ENDED {
            step.lapse(id);
        }
        step.owe(ObligationId::O11b);
    }
}

pub(super) fn stop_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    let draining = step.tenant.phase == Phase::Draining;
    step.fail(order, code, message, draining.then_some(passing::AGAIN_MS));
}
