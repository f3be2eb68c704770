//! The lifecycle: one pure function from a tenant and an event to the next tenant and what follows.
//! The diagram stands in [`super::tenant`]; this module is the only writer of a tenant's phase.
//!
//! [`event`] says what may happen, [`admit`] when and by whom; [`joining`], [`cutting`] and
//! [`leaving`] hold the three parts of the way, [`paperwork`] what records owe and discharge,
//! [`passing`] what time alone does, [`reminding`] what is reminded of, [`recount`] what a new
//! notice does to deadlines. Time alone never destroys: no wipe starts from a [`Event::Tick`].

pub mod admit;
mod cutting;
pub mod event;
mod joining;
mod leaving;
mod paperwork;
mod passing;
pub mod recount;
mod reminding;
mod step;

use std::collections::BTreeSet;

use tenure_protocol::{digest::Digest, time::Timestamp};

pub use event::{
    Actor, CutKind, Decision, Document, Effect, Event, Finding, FindingResult, OrderDraft,
    RecordFact, Reported, ReportsDecision, Role, Transition,
};

use self::step::Step;
use super::{
    admission,
    calendar::Calendar,
    fleet::Fleet,
    obligation::ObligationId,
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
    admit::customer_of(&application.customer, actor).map_err(|refusal| match refusal.code {
        // There is no tenant yet that could be another's.
        Code::NotYourTenant => Refusal { code: Code::InvalidApplication, ..refusal },
        _ => refusal,
    })?;
    joining::submit_first(application, actor, context)
}

/// Lets one event happen to a tenant.
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
    let mut step = Step::new(tenant.clone(), actor, context);
    match event {
        Event::Submit { application } => joining::submit_again(&mut step, application)?,
        Event::Review { decision, opinion } => joining::review(&mut step, *decision, opinion)?,
        Event::RetryConfiguration => joining::retry(&mut step),
        Event::DeclareDeployment => joining::declare_deployment(&mut step),
        Event::SubmitReports { test_report, security_report } => {
            joining::submit_reports(&mut step, test_report, security_report)?;
        }
        Event::ReviewReports { decision, opinion } => {
            joining::review_reports(&mut step, *decision, opinion)?;
        }
        Event::FileAssessment { document: _ } => joining::file(&mut step, ObligationId::O8),
        Event::FileIcp { document: _ } => joining::file(&mut step, ObligationId::O9),
        Event::Cut { kind: CutKind::Emergency, reason } => cutting::cut(&mut step, reason)?,
        Event::Restore { reason } => cutting::restore(&mut step, reason)?,
        Event::RequestOffboarding { stop_day, reason } => {
            leaving::request(&mut step, *stop_day, reason)?;
        }
        Event::ReviewOffboarding { decision, opinion } => {
            leaving::review(&mut step, *decision, opinion)?;
        }
        Event::ConfirmOffboarding { migrated, backed_up } => {
            leaving::confirm(&mut step, *migrated, *backed_up)?;
        }
        Event::ApproveWipe => leaving::approve_wipe(&mut step)?,
        Event::OrderReported { host, order, report } => {
            reported(&mut step, *host, *order, report)?;
        }
        Event::NoticeDelivered { notice, grade, at } => {
            if grade.discharges() {
                cutting::notified(&mut step, *notice, *at);
                joining::handed_over(&mut step, *notice);
                paperwork::delivered(&mut step, *notice);
            }
        }
        Event::RecordCounts { fact } => paperwork::counts(&mut step, fact),
        Event::Recount { notice, reason, changes } => {
            recount::recount(&mut step, notice, reason, changes)?;
        }
        Event::SignRecount { id, serial, reason } => {
            recount::sign(&mut step, *id, *serial, reason)?;
        }
        Event::Tick => passing::tick(&mut step),
    }
    Ok(step.finish())
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
            leaving::intended(step, host, *envelope);
        }
        (OrderKind::Wipe, Reported::Wiped { findings }) => {
            leaving::wiped(step, host, order, findings);
        }
        (_, Reported::Failed { code, message, findings }) => {
            leaving::prove(step, host, findings);
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
        OrderKind::Wipe => leaving::wipe_failed(step, order, code, message),
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
