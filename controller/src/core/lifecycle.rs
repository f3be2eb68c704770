//! The lifecycle: one pure function from a tenant and an event to the next tenant and what follows.
//! The diagram stands in [`super::tenant`]; this module is the only writer of a tenant's phase.
//!
//! [`event`] says what may happen, [`admit`] when and by whom. [`applying`], [`joining`],
//! [`trying`], [`leaving`] and [`wiping`] hold the parts of the way; [`announcing`], [`cutting`],
//! [`adopting`], [`drilling`], [`calling`], [`filing`], [`grouping`], [`probing`], [`watching`]
//! and [`holding`]
//! what is orthogonal to it; [`paperwork`] what records owe and discharge, [`suspending`] the
//! review clock, [`passing`] what time alone does, [`reminding`] what is reminded of, [`recount`]
//! what a new notice does to deadlines. [`invariant`] says what holds whatever happens, and refuses
//! what would break it: time alone never destroys, nobody judges what they asked for.

mod actor;
pub mod admit;
mod adopting;
mod announcing;
mod applying;
mod calling;
mod cutting;
mod drilling;
mod effect;
pub mod event;
mod filing;
mod grouping;
mod holding;
pub mod invariant;
mod joining;
mod leaving;
pub mod paperwork;
mod passing;
mod probing;
pub mod recount;
mod reminding;
mod report;
mod step;
mod suspending;
mod trying;
mod watching;
mod wiping;

use std::collections::BTreeSet;

use tenure_protocol::{channel::Grade, digest::Digest, id::NoticeId, time::Timestamp};

pub use actor::{Actor, Role};
pub use effect::{Acknowledged, Effect, OrderDraft, Transition};
pub use event::{
    CutKind, Decision, Document, Event, HostCut, HostRestore, RecordFact, ReportsDecision,
};
pub use report::{Finding, FindingResult, Reported};

use self::step::Step;
use super::{
    admission,
    calendar::Calendar,
    fleet::Fleet,
    letter::Letters,
    refusal::{Code, Refusal},
    rules::Rules,
    tenant::{Application, Contact, OrderFate, OrderKind, Tenant},
};

/// What a decision depends on besides the tenant and the event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Legal time.
    pub now: Timestamp,
    /// Real time: what orders, notices and cuts are stamped with.
    pub real_now: Timestamp,
    /// Fresh random bytes: ids, nonces and salts are drawn from them.
    pub seed: [u8; 32],
    /// The working-day calendar.
    pub calendar: &'a Calendar,
    /// The legal rules: numbers, and what a breach does.
    pub rules: &'a Rules,
    /// Whom the provider has told.
    pub provider: &'a Provider,
    /// The words of what is sent.
    pub letters: &'a Letters,
    /// The hosts, images, marks and networks.
    pub fleet: &'a Fleet,
    /// Those of the event's documents that are attachments of the tenant.
    pub filed: &'a BTreeSet<Digest>,
}

/// Whom the provider has told of what it owes.
#[derive(Debug, Clone, Default)]
pub struct Provider {
    /// The duty desk.
    pub contacts: Vec<Contact>,
    /// Who is told when a deadline is near or missed.
    pub second: Vec<Contact>,
}

/// Takes an application in: a new tenant in `Submitted`.
///
/// # Errors
/// [`Refusal`] with a code and a sentence; nothing is to be recorded then.
pub fn open(
    application: &Application,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<Transition, Refusal> {
    admit::first(&application.customer, actor)?;
    applying::submit_first(application, actor, context)
}

/// Takes a draft in: a new tenant in `Draft`.
///
/// # Errors
/// As [`open`].
pub fn open_draft(
    application: &Application,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<Transition, Refusal> {
    admit::first(&application.customer, actor)?;
    applying::draft_first(application, actor, context)
}

/// Lets one event happen to a tenant. What would break an [`invariant`] does not happen.
///
/// # Errors
/// [`Refusal`] with a code and a sentence; the tenant is as it was.
pub fn apply(
    tenant: &Tenant,
    event: &Event,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<Transition, Refusal> {
    admit::role(tenant, event, actor)?;
    admit::phase(tenant.phase, event)?;
    admission::event(event)?;
    admit::attached(&event.documents(), context.filed)?;
    let mut step = Step::new(tenant, actor, context);
    happen(&mut step, event)?;
    drilling::go_on(&mut step);
    if admit::decides(event) {
        step.tenant.deciders.insert(actor.name.clone());
    }
    let transition = step.finish();
    invariant::check(tenant, event, &transition, &context.fleet.zones)?;
    Ok(transition)
}

fn happen(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    match event {
        Event::SaveDraft { application } => applying::save_draft(step, application)?,
        Event::SubmitDraft => applying::submit_draft(step)?,
        Event::Submit { application } => applying::submit(step, application)?,
        Event::Withdraw { reason: _ } => applying::withdraw(step),
        Event::Review { decision, opinion } => applying::review(step, *decision, opinion)?,
        Event::SuspendReview { reason } => suspending::suspend(step, reason)?,
        Event::ResumeReview => suspending::resume(step)?,
        Event::RetryConfiguration => joining::retry(step)?,
        Event::DeclareDeployment
        | Event::RequestExtension { .. }
        | Event::DecideExtension { .. }
        | Event::SubmitReports { .. }
        | Event::ReviewReports { .. }
        | Event::Rectify { .. } => trial(step, event)?,
        Event::FileAssessment { assessment } => filing::assessment(step, assessment)?,
        Event::FileIcp { filing } => filing::icp(step, filing)?,
        Event::ConfirmIcp { found, opinion } => filing::confirm(step, *found, opinion)?,
        Event::OpenIcp { reason } => filing::open(step, reason)?,
        Event::SetGroup { .. }
        | Event::RemoveGroup { .. }
        | Event::SetContacts { .. }
        | Event::AcknowledgeProbe => in_own_hand(step, event)?,
        Event::SetThresholds { .. }
        | Event::ProposeCutRule { .. }
        | Event::ConfirmCutRule
        | Event::WithdrawCutRule { .. } => anomalies(step, event)?,
        Event::ProposeCanary { .. }
        | Event::ConfirmCanary
        | Event::WithdrawCanary { .. }
        | Event::DrillMeasured { .. } => drills(step, event)?,
        Event::AnnounceCut { .. }
        | Event::CallOffCut { .. }
        | Event::AcknowledgeCut { .. }
        | Event::RecordAcknowledgement { .. }
        | Event::Cut { .. }
        | Event::Restore { .. } => isolation(step, event)?,
        Event::CutByHost { made } => adopting::adopt(step, made)?,
        Event::PlaceHold { .. } | Event::ReleaseHold { .. } | Event::CountersignHold { .. } => {
            hold(step, event)?;
        }
        Event::RequestOffboarding { stop_day, reason, ask_waiver } => {
            leaving::request(step, *stop_day, reason, *ask_waiver)?;
        }
        Event::WaivePeriod { reason } => leaving::waive(step, reason)?,
        Event::ReviewOffboarding { decision, opinion } => {
            leaving::review(step, *decision, opinion)?;
        }
        Event::ConfirmOffboarding { migrated, backed_up } => {
            leaving::confirm(step, *migrated, *backed_up)?;
        }
        Event::RecordService { served_on, document } => {
            leaving::record_service(step, *served_on, document)?;
        }
        Event::CountersignService => leaving::countersign_service(step)?,
        Event::ApproveWipe => wiping::approve_wipe(step)?,
        Event::OrderReported { host, order, report } => reported(step, *host, *order, report)?,
        Event::NoticeDelivered { notice, grade, at } => taken(step, *notice, *grade, *at),
        Event::RecordCounts { fact } => paperwork::counts(step, fact),
        Event::Recount { notice, reason, changes } => {
            recount::recount(step, notice, reason, changes)?;
        }
        Event::SignRecount { id, serial, reason } => {
            recount::sign(step, *id, *serial, reason)?;
        }
        Event::Tick => passing::tick(step),
    }
    Ok(())
}

/// What the customer keeps by itself; nothing for other events.
fn in_own_hand(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    if let Event::SetGroup { group } = event {
        grouping::set(step, group)?;
    } else if let Event::RemoveGroup { name } = event {
        grouping::remove(step, name)?;
    } else if let Event::SetContacts { contacts } = event {
        probing::set_contacts(step, contacts)?;
    } else if matches!(event, Event::AcknowledgeProbe) {
        probing::acknowledge(step)?;
    }
    Ok(())
}

/// What is done about holds; nothing for other events.
fn hold(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    if let Event::PlaceHold { kind, document, reason } = event {
        holding::place(step, *kind, document, reason)?;
    } else if let Event::ReleaseHold { hold, document, reason } = event {
        holding::release(step, *hold, document, reason)?;
    } else if let Event::CountersignHold { hold } = event {
        holding::countersign(step, *hold)?;
    }
    Ok(())
}

/// A notice was taken over its channel.
fn taken(step: &mut Step<'_>, notice: NoticeId, grade: Grade, at: Timestamp) {
    probing::delivered(step, notice, grade);
    if grade.discharges() {
        delivered(step, notice, at);
    }
}

/// A notice is in the system that the customer designated, or a person knows of it.
fn delivered(step: &mut Step<'_>, notice: NoticeId, at: Timestamp) {
    cutting::notified(step, notice, at);
    announcing::notified(step, notice, at);
    joining::handed_over(step, notice);
    leaving::notified(step, notice);
    paperwork::delivered(step, notice);
}

/// What is done about cuts; nothing for other events.
fn isolation(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    if let Event::AnnounceCut { reason } = event {
        announcing::announce(step, reason)?;
    } else if let Event::CallOffCut { reason } = event {
        announcing::call_off(step, reason)?;
    } else if let Event::AcknowledgeCut { cut } = event {
        calling::acknowledge(step, *cut)?;
    } else if let Event::RecordAcknowledgement { cut, person, over, words, at } = event {
        calling::heard(step, *cut, [person, over, words], *at)?;
    } else if let Event::Cut { kind, reason } = event {
        cutting::cut(step, *kind, reason)?;
    } else if let Event::Restore { reason } = event {
        cutting::restore(step, reason)?;
    }
    Ok(())
}

/// What is done about anomalies; nothing for other events.
fn anomalies(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    if let Event::SetThresholds { thresholds } = event {
        watching::set(step, *thresholds)?;
    } else if let Event::ProposeCutRule { kinds, reason } = event {
        watching::propose(step, kinds, reason)?;
    } else if matches!(event, Event::ConfirmCutRule) {
        watching::confirm(step)?;
    } else if let Event::WithdrawCutRule { reason: _ } = event {
        watching::withdraw(step)?;
    }
    Ok(())
}

/// What is said of canaries and drills; nothing for other events.
fn drills(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    if let Event::ProposeCanary { reason } = event {
        drilling::propose(step, reason);
    } else if matches!(event, Event::ConfirmCanary) {
        drilling::confirm(step)?;
    } else if let Event::WithdrawCanary { reason: _ } = event {
        drilling::withdraw(step)?;
    } else if let Event::DrillMeasured { cut, received_at, durable_at } = event {
        drilling::measured(step, *cut, [*received_at, *durable_at]);
    }
    Ok(())
}

/// What happens in and around the trial; nothing for other events.
fn trial(step: &mut Step<'_>, event: &Event) -> Result<(), Refusal> {
    if let Event::RequestExtension { days, reason } = event {
        trying::request_extension(step, *days, reason)?;
    } else if let Event::DecideExtension { decision, opinion, experts, assessment } = event {
        trying::decide_extension(step, *decision, opinion, experts, assessment.as_ref())?;
    } else if let Event::SubmitReports { test_report, security_report } = event {
        trying::submit_reports(step, test_report, security_report)?;
    } else if let Event::ReviewReports { decision, opinion, items } = event {
        trying::review_reports(step, *decision, opinion, items)?;
    } else if let Event::Rectify { item, note, evidence } = event {
        trying::rectify(step, *item, note, evidence)?;
    } else if matches!(event, Event::DeclareDeployment) {
        trying::declare_deployment(step);
    }
    Ok(())
}

/// A host's report goes to the part of the way that gave the order.
fn reported(
    step: &mut Step<'_>,
    host: tenure_protocol::id::HostId,
    order: tenure_protocol::id::OrderId,
    report: &Reported,
) -> Result<(), Refusal> {
    let known = step.tenant.orders.iter().find(|known| known.id == order && known.host == host);
    let Some(known) = known else {
        return Err(Refusal::new(
            Code::UnknownOrder,
            format!("order {order} is not, or no longer, an order of this tenant to {host}"),
        ));
    };
    if known.state == OrderFate::Done {
        return Ok(());
    }
    let kind = known.kind;
    match (kind, report) {
        (OrderKind::Configure, Reported::Configured { instances }) => {
            joining::configured(step, host, order, instances);
        }
        (OrderKind::Stop, Reported::Configured { instances }) => {
            leaving::stopped(step, host, order, instances);
        }
        (OrderKind::Cut, Reported::Cut { interval }) => {
            cutting::committed(step, host, order, *interval);
        }
        (OrderKind::Restore, Reported::Restored { interval }) => {
            cutting::restored(step, order, *interval);
        }
        (OrderKind::Wipe, Reported::WipeIntent { envelope }) => {
            wiping::intended(step, host, *envelope);
        }
        (OrderKind::Wipe, Reported::Wiped { findings }) => {
            wiping::wiped(step, host, order, findings);
        }
        (_, Reported::Failed { code, message, findings }) => {
            wiping::prove(step, host, findings);
            failed(step, order, kind, code, message);
        }
        (_, Reported::Refused { code, message }) => failed(step, order, kind, code, message),
        (
            OrderKind::Configure
            | OrderKind::Stop
            | OrderKind::Cut
            | OrderKind::Restore
            | OrderKind::Wipe,
            Reported::Configured { .. }
            | Reported::Cut { .. }
            | Reported::Restored { .. }
            | Reported::WipeIntent { .. }
            | Reported::Wiped { .. },
        ) => {
            return Err(Refusal::new(
                Code::ReportMismatch,
                format!("order {order} asks for something else than what {host} reports done"),
            ));
        }
    }
    Ok(())
}

fn failed(
    step: &mut Step<'_>,
    order: tenure_protocol::id::OrderId,
    kind: OrderKind,
    code: &str,
    message: &str,
) {
    match kind {
        OrderKind::Configure => joining::configuration_failed(step, order, code, message),
        OrderKind::Stop => leaving::stop_failed(step, order, code, message),
        OrderKind::Cut => cutting::cut_failed(step, order, code, message),
        OrderKind::Restore => cutting::restore_failed(step, order, code, message),
        OrderKind::Wipe => wiping::wipe_failed(step, order, code, message),
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
pub(crate) mod tests;
