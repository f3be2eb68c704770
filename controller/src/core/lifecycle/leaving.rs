//! From the wish to leave to the attested end (clauses 6.1 and 6.2). Nothing is stopped before the
//! stop day and the customer's confirmation; nothing is destroyed without two persons' approval;
//! nothing is closed without an attestation for everything ever allocated.

use jiff::civil::Date;
use tenure_protocol::{
    digest::Digest,
    id::{HostId, InstanceId, OrderId},
    wire::v1::Power,
};

use super::{
    event::{Decision, Finding, FindingResult},
    joining::{all_in, record_opinion},
    passing,
    step::Step,
};
use crate::core::{
    canonical,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{Approval, Offboarding, OrderFate, OrderKind, Phase, Proven, Wipe},
};

/// The farthest stop day, years: beyond it a mistake is likelier than a plan.
const FARTHEST_YEARS: i16 = 3;

pub(super) fn request(step: &mut Step<'_>, stop_day: Date, reason: &str) -> Result<(), Refusal> {
    let today = step.today();
    let rule = step.context.rules.rule(ObligationId::O10);
    let (clause, days) = (&rule.clause, rule.period.number());
    let earliest = step.context.calendar.earliest_after(today, days);
    if stop_day < earliest {
        return Err(Refusal::new(
            Code::StopDayTooEarly,
            format!(
                "{stop_day} is too early: clause {clause} wants {days} working days \
                 between the application and the stop day; the earliest lawful stop day is \
                 {earliest}"
            ),
        ));
    }
    if stop_day.year() > today.year().saturating_add(FARTHEST_YEARS) {
        return Err(Refusal::new(
            Code::InvalidInput,
            format!("{stop_day} is more than {FARTHEST_YEARS} years away: check the stop day"),
        ));
    }
    step.tenant.applicants.insert(step.actor.name.clone());
    step.tenant.offboarding = Some(Offboarding {
        applied_on: today,
        stop_day,
        reason: reason.to_owned(),
        confirmed_at: None,
        stopped_at: None,
    });
    step.tenant.phase = Phase::OffboardingRequested;
    step.owe_before(ObligationId::O10, stop_day);
    step.owe(ObligationId::O11a);
    Ok(())
}

pub(super) fn review(
    step: &mut Step<'_>,
    decision: Decision,
    opinion: &str,
) -> Result<(), Refusal> {
    let phase = match decision {
        Decision::Approve => Phase::OffboardingApproved,
        Decision::Reject => Phase::Online,
        Decision::Return => {
            return Err(Refusal::new(
                Code::InvalidInput,
                "an off-boarding application is approved or rejected, not returned",
            ));
        }
    };
    record_opinion(step, decision, opinion);
    step.meet(ObligationId::O11a);
    if decision == Decision::Reject {
        step.lapse(ObligationId::O10);
    }
    step.tenant.phase = phase;
    Ok(())
}

pub(super) fn confirm(step: &mut Step<'_>, migrated: bool, backed_up: bool) -> Result<(), Refusal> {
    if !(migrated && backed_up) {
        return Err(Refusal::new(
            Code::NotMigrated,
            "confirm only once the system is migrated and its data is backed up: both must be true",
        ));
    }
    let now = step.now();
    step.tenant.applicants.insert(step.actor.name.clone());
    if let Some(leaving) = &mut step.tenant.offboarding {
        leaving.confirmed_at = leaving.confirmed_at.or(Some(now));
    }
    step.meet(ObligationId::O10);
    Ok(())
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
        step.lapse(ObligationId::O8);
        step.lapse(ObligationId::O9);
        step.owe(ObligationId::O11b);
    }
}

pub(super) fn stop_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    let draining = step.tenant.phase == Phase::Draining;
    step.fail(order, code, message, draining.then_some(passing::AGAIN_MS));
}

/// One of two different persons, neither of whom ever acted for the customer.
pub(super) fn approve_wipe(step: &mut Step<'_>) -> Result<(), Refusal> {
    let name = step.actor.name.clone();
    let salt = Digest(step.draw.bytes());
    let at = step.now();
    let tenant = step.tenant.id;
    let wipe = step.tenant.wipe.get_or_insert_with(|| Wipe {
        attempt: 0,
        approvals: Vec::new(),
        intents: std::collections::BTreeMap::new(),
        proven: Vec::new(),
    });
    if step.tenant.phase == Phase::WipeFailed && wipe.approvals.len() >= 2 {
        wipe.approvals.clear();
    }
    if wipe.approvals.iter().any(|approval| approval.name == name) {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!("{name} approved this wipe already: a second person has to approve it too"),
        ));
    }
    let record = canonical::text(serde_json::json!({
        "approval": "wipe", "at": at, "attempt": wipe.attempt.saturating_add(1),
        "name": name, "salt": salt, "tenant": tenant, "v": 1,
    }));
    let digest = Digest::of(record.as_bytes());
    wipe.approvals.push(Approval { name, at, record, digest });
    let enough = wipe.approvals.len() >= 2;
    if enough {
        wipe.attempt = wipe.attempt.saturating_add(1);
        wipe.intents.clear();
    }
    step.object = Some(digest);
    if enough {
        step.tenant.phase = Phase::Wiping;
        for host in step.tenant.hosts() {
            if !step.tenant.unproven(host).is_empty() {
                step.order(host, OrderKind::Wipe);
            }
        }
    }
    Ok(())
}

/// A host has declared what it is about to destroy.
pub(super) fn intended(step: &mut Step<'_>, host: HostId, envelope: Digest) {
    if let Some(wipe) = &mut step.tenant.wipe {
        wipe.intents.insert(host, envelope);
    }
}

pub(super) fn wiped(step: &mut Step<'_>, host: HostId, order: OrderId, findings: &[Finding]) {
    prove(step, host, findings);
    let bad = findings.iter().any(|finding| finding.result != FindingResult::Pass);
    if bad || !step.tenant.unproven(host).is_empty() {
        let message = "an attestation is missing, is of another attempt, or is no pass";
        return wipe_failed(step, order, "not-proven", message);
    }
    step.set_fate(order, OrderFate::Done);
    settle(step);
}

/// Takes over the passes: of this attempt, of subjects on this host, each once.
pub(super) fn prove(step: &mut Step<'_>, host: HostId, findings: &[Finding]) {
    let missing = step.tenant.unproven(host);
    let Some(wipe) = &mut step.tenant.wipe else { return };
    for finding in findings {
        let bad = findings.iter().any(|other| {
            other.subject == finding.subject
                && (other.result != FindingResult::Pass || other.attempt != wipe.attempt)
        });
        let known =
            wipe.proven.iter().any(|proof| proof.host == host && proof.subject == finding.subject);
        if !bad && !known && missing.contains(&finding.subject) {
            let (subject, envelope) = (finding.subject, finding.envelope);
            wipe.proven.push(Proven { host, subject, envelope });
        }
    }
}

pub(super) fn wipe_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    step.fail(order, code, message, None);
    settle(step);
}

/// Once no host is still at it: verified if everything is proven, else failed.
fn settle(step: &mut Step<'_>) {
    let mut wipes = step.tenant.orders.iter().filter(|order| order.kind == OrderKind::Wipe);
    if step.tenant.phase != Phase::Wiping || wipes.any(|order| order.state == OrderFate::Open) {
        return;
    }
    if everything_proven(step) {
        step.tenant.phase = Phase::WipeVerified;
        step.meet(ObligationId::O11b);
    } else {
        step.tenant.phase = Phase::WipeFailed;
    }
}

/// Whether every volume and memory ever allocated is proven destroyed.
pub(super) fn everything_proven(step: &Step<'_>) -> bool {
    let tenant = &step.tenant;
    !tenant.instances().is_empty()
        && tenant.hosts().into_iter().all(|host| tenant.unproven(host).is_empty())
}
