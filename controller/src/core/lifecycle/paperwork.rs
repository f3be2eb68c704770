//! What records owe and discharge (clauses 7.1 and 8.3): the customer's letter of responsibility
//! and administrators, and the provider's monthly security check of each live system.
//!
//! Clause 8.3 asks the provider to check and to give the customer the report and the advice. So no
//! record answers it, whoever made or confirmed it: the check is met once the notice of its report
//! has arrived in a system that the customer designated. The clause asks for no second person; the
//! customer is the one who sees. The notice names the report by its digest, so that no other can
//! take its place, and one report is that of one month alone.

use jiff::civil::Date;
use tenure_protocol::id::NoticeId;

use super::{event::RecordFact, step::Step};
use crate::core::{
    calendar::{Span, legal_day, plus_days},
    letter::Letter,
    notice::NoticeKind,
    obligation::{Due, Obligation, ObligationId},
    record::Kind,
    refusal::{Code, Refusal},
    tenant::{Inspected, Phase, Tenant},
};

/// The application is approved: from now on the customer answers for its system.
pub(super) fn approved(step: &mut Step<'_>) {
    step.owe(ObligationId::O13);
    settle_responsibility(step);
}

/// A record stands, and whoever had to confirm it did.
pub(super) fn counts(step: &mut Step<'_>, fact: &RecordFact) {
    let papers = &mut step.tenant.papers;
    match fact.kind {
        Kind::ResponsibilityLetter => papers.letter_at = Some(fact.effective_at),
        Kind::Administrators => papers.administrators_at = Some(fact.effective_at),
        Kind::Inspection => inspected(step, fact),
        Kind::HandoverReceipt
        | Kind::Support
        | Kind::Controls
        | Kind::PlatformAssessment
        | Kind::LawfulAccess
        | Kind::AccessShown => {}
    }
    settle_responsibility(step);
}

/// A report of a check has arrived: that month's check is done.
pub(super) fn delivered(step: &mut Step<'_>, notice: NoticeId) {
    let now = step.now();
    let reports = &mut step.tenant.papers.inspections;
    let Some(found) = reports.iter_mut().find(|one| one.notices.contains(&notice)) else { return };
    found.notices.clear();
    let month = found.month;
    for owed in step.owed(ObligationId::O17).filter(|owed| month_of(owed) == month) {
        owed.meet(now);
    }
}

/// Owes a check for each calendar month on whose first day the system was live (R14).
pub(super) fn monthly(step: &mut Step<'_>) {
    let today = step.today();
    while let Some(month) = next_month(&step.tenant).filter(|month| *month <= today) {
        let last = month.last_of_month();
        let due = Due::end_of(Span { earliest: last, latest: last });
        let counted = step.context.rules.counted(ObligationId::O17, plus_days(month, -1));
        step.owe_until(ObligationId::O17, due, counted);
    }
}

/// The first day of the next month for which a check will be owed, if the system stays live.
pub(super) fn next_month(tenant: &Tenant) -> Option<Date> {
    match tenant.phase {
        Phase::Online | Phase::OffboardingRequested | Phase::OffboardingApproved => {}
        Phase::Draft
        | Phase::Submitted
        | Phase::CorrectionRequested
        | Phase::Rejected
        | Phase::Withdrawn
        | Phase::Approved
        | Phase::Configuring
        | Phase::ConfigurationFailed
        | Phase::Trial
        | Phase::UnderReview
        | Phase::Rectifying
        | Phase::TrialExpired
        | Phase::Draining
        | Phase::Stopped
        | Phase::Wiping
        | Phase::WipeFailed
        | Phase::WipeVerified
        | Phase::Closed => return None,
    }
    let checks = tenant.obligations.iter().rfind(|owed| owed.id == ObligationId::O17);
    if let Some(month) = checks.map(month_of) {
        return Some(plus_days(month.last_of_month(), 1));
    }
    let online = legal_day(tenant.online_at?);
    Some(if online.day() == 1 { online } else { plus_days(online.last_of_month(), 1) })
}

/// Checks that a check's report is not that of another month's.
///
/// # Errors
/// `same-document`.
pub fn is_fresh(tenant: &Tenant, fact: &RecordFact) -> Result<(), Refusal> {
    let month = month_at(fact);
    let other = |known: &&Inspected| {
        fact.report.is_some() && known.report == fact.report && known.month != month
    };
    let Some(known) = tenant.papers.inspections.iter().find(other) else { return Ok(()) };
    Err(Refusal::new(
        Code::SameDocument,
        format!(
            "this file is the report of the check of {} already: clause 8.3 asks for a check in \
             each month, and each has a report of its own",
            known.month.strftime("%Y-%m")
        ),
    ))
}

fn inspected(step: &mut Step<'_>, fact: &RecordFact) {
    let known = |known: &Inspected| known.record == fact.record;
    let twice = step.tenant.papers.inspections.iter().any(known);
    // Two records of one report may have waited for their second persons at the same time.
    if twice || is_fresh(&step.tenant, fact).is_err() {
        return;
    }
    let (month, findings, report) = (month_at(fact), fact.findings, fact.report);
    let (letter, due) = (Letter::Inspection { month, findings, report }, step.due());
    let notices = step.arm(NoticeKind::Inspection, &letter, &due);
    let inspected = Inspected { record: fact.record, month, report, notices };
    step.tenant.papers.inspections.push(inspected);
}

fn month_at(fact: &RecordFact) -> Date {
    legal_day(fact.effective_at).first_of_month()
}

fn settle_responsibility(step: &mut Step<'_>) {
    let papers = &step.tenant.papers;
    if papers.letter_at.is_some() && papers.administrators_at.is_some() {
        step.meet(ObligationId::O13);
    }
}

/// The month that a check is owed for: day 0 is the eve of its first day.
fn month_of(owed: &Obligation) -> Date {
    plus_days(owed.counted.day_zero, 1)
}
