//! The trial: its extension, its reports and their review, and its end (clauses 5.3 and 5.4).

use std::collections::BTreeSet;

use super::{
    applying::record_opinion,
    event::{Decision, Document, ReportsDecision},
    step::Step,
};
use crate::core::{
    admission::ITEMS_LIMIT,
    calendar::plus_days,
    letter::Letter,
    notice::NoticeKind,
    obligation::{Counted, Due, ObligationId, ObligationState},
    refusal::{Code, Refusal},
    rules::{OnBreach, Period},
    tenant::{
        Expert, Extension, ExtensionDecision, OrderKind, Phase, Rectification, Rectified, Reports,
        Trial,
    },
};

/// Experts that an assessment needs.
const EXPERTS_LEAST: usize = 2;

pub(super) fn declare_deployment(step: &mut Step<'_>) {
    step.applicant();
    deployment_started(step);
}

fn deployment_started(step: &mut Step<'_>) {
    let now = step.now();
    if let Some(trial) = &mut step.tenant.trial {
        trial.deployment_started_at = trial.deployment_started_at.or(Some(now));
    }
    step.meet(ObligationId::O5);
}

/// Only a major system, at most 30 days in all, and only before the trial's last day is over.
pub(super) fn request_extension(
    step: &mut Step<'_>,
    days: u32,
    reason: &str,
) -> Result<(), Refusal> {
    if !step.tenant.application.system.major {
        return Err(Refusal::new(
            Code::NotMajor,
            "clause 5.3 extends the trial of a major system (重大应用系统) alone, and the \
             application says that this is none: hand in the reports in time, or ask to leave",
        ));
    }
    not_over(step)?;
    let most = step.context.rules.number(ObligationId::O6b);
    let now = step.now();
    let by = step.actor.name.clone();
    let trial = running(step)?;
    if trial.pending().is_some() {
        return Err(Refusal::new(
            Code::ExtensionPending,
            "a request to extend the trial waits for its decision already",
        ));
    }
    let left = most.saturating_sub(trial.extended_days);
    if days == 0 || days > left {
        return Err(Refusal::new(
            Code::ExtensionTooLong,
            format!(
                "{days} days: clause 5.3 allows {most} in all, and {} are granted already; ask \
                 for 1 to {left}",
                trial.extended_days
            ),
        ));
    }
    let reason = reason.to_owned();
    trial.extensions.push(Extension { days, reason, by, at: now, decided: None });
    step.applicant();
    // To be decided before the trial's last day is over (R7).
    let (due, counted) = step.ends_with(ObligationId::O6b, ObligationId::O6a);
    step.owe_until(ObligationId::O6b, due, counted);
    Ok(())
}

pub(super) fn decide_extension(
    step: &mut Step<'_>,
    decision: Decision,
    opinion: &str,
    experts: &[Expert],
    assessment: Option<&Document>,
) -> Result<(), Refusal> {
    not_over(step)?;
    let approved = match decision {
        Decision::Approve => true,
        Decision::Reject => false,
        Decision::Return => {
            return Err(Refusal::new(
                Code::InvalidInput,
                "a request to extend the trial is approved or rejected, not returned",
            ));
        }
    };
    if running(step)?.pending().is_none() {
        return Err(Refusal::new(
            Code::ExtensionPending,
            "no request to extend the trial waits for a decision: the customer asks first",
        ));
    }
    assessed(step, approved, experts, assessment)?;
    let (by, at) = (step.actor.name.clone(), step.now());
    let trial = running(step)?;
    let mut days = 0;
    if let Some(pending) = trial.extensions.last_mut() {
        days = pending.days;
        let (experts, assessment) = (experts.to_vec(), assessment.cloned());
        pending.decided = Some(ExtensionDecision { decision, experts, assessment, by, at });
    }
    record_opinion(step, decision, opinion);
    step.meet(ObligationId::O6b);
    if approved {
        extend(step, days);
    }
    Ok(())
}

/// Two or more different experts, none of whom acts for the customer, with what they said.
fn assessed(
    step: &Step<'_>,
    approved: bool,
    experts: &[Expert],
    assessment: Option<&Document>,
) -> Result<(), Refusal> {
    let missing = |sentence: String| Err(Refusal::new(Code::ExpertsMissing, sentence));
    for expert in experts {
        if step.tenant.applicants.contains(&expert.name) {
            return missing(format!("{} acts for the customer: name another expert", expert.name));
        }
    }
    let names: BTreeSet<&str> = experts.iter().map(|expert| expert.name.trim()).collect();
    if approved && (names.len() < EXPERTS_LEAST || assessment.is_none()) {
        return missing(format!(
            "an extension rests on an assessment by {EXPERTS_LEAST} or more experts: name each \
             with an opinion, and give the record of the assessment"
        ));
    }
    Ok(())
}

/// From the raw end, so that rolls do not stack; only the final end is moved off Rest days (R7).
fn extend(step: &mut Step<'_>, days: u32) {
    let Ok(trial) = running(step) else { return };
    let before = trial.raw_end;
    trial.raw_end = plus_days(before, i32::try_from(days).unwrap_or(0));
    trial.extended_days = trial.extended_days.saturating_add(days);
    let span = step.context.calendar.roll(step.tenant.trial.as_ref().map_or(before, |t| t.raw_end));
    if let Some(trial) = &mut step.tenant.trial {
        trial.end = span.earliest;
    }
    let rule = step.context.rules.counted(ObligationId::O6b, before);
    let counted = Counted { period: Period::CalendarDays(days), ..rule };
    for id in [ObligationId::O6a, ObligationId::O7a, ObligationId::O7c] {
        for owed in step.owed(id).filter(|owed| owed.state == ObligationState::Open) {
            owed.count_anew(Due::end_of(span));
            owed.counted = counted.clone();
        }
    }
}

fn running<'a>(step: &'a mut Step<'_>) -> Result<&'a mut Trial, Refusal> {
    step.tenant.trial.as_mut().ok_or_else(|| Refusal::new(Code::TrialOver, "there is no trial"))
}

/// Extensions are asked for and decided before the trial's last day is over.
fn not_over(step: &Step<'_>) -> Result<(), Refusal> {
    let now = step.now();
    let trial = step.tenant.obligations.iter().rfind(|known| known.id == ObligationId::O6a);
    let open = trial.is_some_and(|trial| {
        trial.state == ObligationState::Open && trial.due.due_at().is_none_or(|end| now < end)
    });
    if open {
        return Ok(());
    }
    Err(Refusal::new(
        Code::TrialOver,
        "the trial is over and cannot be extended any more: hand in the reports, or ask to leave",
    ))
}

pub(super) fn rectify(
    step: &mut Step<'_>,
    number: u32,
    note: &str,
    evidence: &Document,
) -> Result<(), Refusal> {
    let (by, at) = (step.actor.name.clone(), step.now());
    let open: Vec<String> = open_items(step).map(|item| item.number.to_string()).collect();
    let item = step.tenant.rectifications.iter_mut().find(|item| item.number == number);
    let Some(item) = item.filter(|item| item.done.is_none()) else {
        return Err(Refusal::new(
            Code::UnknownItem,
            format!("item {number} is not open; open are: {}", open.join(", ")),
        ));
    };
    let (note, evidence) = (note.to_owned(), evidence.clone());
    item.done = Some(Rectified { note, evidence, by, at });
    step.applicant();
    Ok(())
}

fn open_items<'a>(step: &'a Step<'_>) -> impl Iterator<Item = &'a Rectification> {
    step.tenant.rectifications.iter().filter(|item| item.done.is_none())
}

pub(super) fn submit_reports(
    step: &mut Step<'_>,
    test_report: &Document,
    security_report: &Document,
) -> Result<(), Refusal> {
    let open: Vec<String> =
        open_items(step).map(|item| format!("{} ({})", item.number, item.asked)).collect();
    if !open.is_empty() {
        return Err(Refusal::new(
            Code::NotRectified,
            format!(
                "the last review asks to rectify, and nothing is recorded for: {}; record each \
                 item with its evidence first",
                open.join("; ")
            ),
        ));
    }
    if test_report.sha256 == security_report.sha256 {
        return Err(Refusal::new(
            Code::SameDocument,
            "the test report and the security risk assessment report are one and the same file: \
             clause 5.4 asks for both (测试报告和安全风险评估报告); hand in each as a file of its own",
        ));
    }
    step.applicant();
    step.tenant.reports = Some(Reports {
        test_report: test_report.clone(),
        security_report: security_report.clone(),
        by: step.actor.name.clone(),
        at: step.now(),
    });
    step.tenant.phase = Phase::UnderReview;
    deployment_started(step);
    step.meet(ObligationId::O7a);
    step.meet(ObligationId::O7c);
    step.owe(ObligationId::O7b);
    Ok(())
}

pub(super) fn review_reports(
    step: &mut Step<'_>,
    decision: ReportsDecision,
    opinion: &str,
    items: &[String],
) -> Result<(), Refusal> {
    let (given, fits) = match decision {
        ReportsDecision::Pass => (Decision::Approve, items.is_empty()),
        ReportsDecision::Fail => (Decision::Return, !items.is_empty()),
    };
    if !fits {
        return Err(Refusal::new(
            Code::ItemsMissing,
            format!(
                "a failed review names 1 to {ITEMS_LIMIT} items to rectify, and one that passes \
                 none; it has {}",
                items.len()
            ),
        ));
    }
    record_opinion(step, given, opinion);
    step.meet(ObligationId::O7b);
    match decision {
        ReportsDecision::Fail => fail(step, items),
        ReportsDecision::Pass => go_online(step),
    }
    Ok(())
}

fn fail(step: &mut Step<'_>, items: &[String]) {
    let asked_at = step.now();
    for asked in items {
        let number = u32::try_from(step.tenant.rectifications.len()).unwrap_or(u32::MAX);
        let (number, asked) = (number.saturating_add(1), asked.clone());
        step.tenant.rectifications.push(Rectification { number, asked, asked_at, done: None });
    }
    step.tenant.phase = Phase::Rectifying;
    // Rectifying has no number of its own: it runs against the end of the trial (5.4).
    step.owe(ObligationId::O7c);
    expire(step);
}

fn go_online(step: &mut Step<'_>) {
    step.tenant.phase = Phase::Online;
    step.tenant.online_at = Some(step.now());
    step.meet(ObligationId::O6a);
    step.lapse(ObligationId::O6b);
    step.owe(ObligationId::O8);
    if step.tenant.application.system.internet_facing {
        step.owe(ObligationId::O9);
        if step.tenant.has_filed_icp() {
            step.meet(ObligationId::O9);
        }
    }
    let mut expired = false;
    if let Some(trial) = &mut step.tenant.trial {
        expired = std::mem::take(&mut trial.expired);
    }
    if expired || step.tenant.waits_for_the_gate() {
        step.order_all(OrderKind::Configure);
    }
}

/// The trial is over: if nothing sound was handed in by then, ports are closed, instances kept, and
/// the customer is told. Who is leaving keeps its instances in the same way until the stop day.
pub(super) fn expire(step: &mut Step<'_>) {
    let last = step.tenant.obligations.iter().rfind(|known| known.id == ObligationId::O6a);
    let over = last.is_some_and(|trial| {
        trial.state != ObligationState::Open
            || trial.breach_at().is_some_and(|end| step.now() >= end)
    });
    let holds = step.context.rules.rule(ObligationId::O7a).on_breach == OnBreach::Hold;
    if !over || !holds || step.tenant.online_at.is_some() {
        return;
    }
    let tried = |phase| matches!(phase, Phase::Trial | Phase::Rectifying | Phase::TrialExpired);
    let leaving = step.tenant.offboarding.as_mut();
    if tried(step.tenant.phase) {
        step.tenant.phase = Phase::TrialExpired;
    } else if step.tenant.phase == Phase::OffboardingRequested
        && let Some(leaving) = leaving.filter(|leaving| tried(leaving.from))
    {
        leaving.from = Phase::TrialExpired;
    } else if step.tenant.phase != Phase::OffboardingApproved {
        return;
    }
    match &mut step.tenant.trial {
        Some(trial) if !trial.expired => trial.expired = true,
        Some(_) | None => return,
    }
    step.order_all(OrderKind::Configure);
    let due = step.due();
    step.arm(NoticeKind::TrialExpired, &Letter::TrialExpired, &due);
}
