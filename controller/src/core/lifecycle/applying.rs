//! From a draft to an opinion on the application, and to a place on the hosts (clause 4).

use std::collections::{BTreeMap, BTreeSet};

use tenure_protocol::id::TenantId;

use super::{Context, actor::Actor, effect::Transition, event::Decision, paperwork, step::Step};
use crate::core::{
    admission,
    anomaly::Anomalies,
    draw::Draw,
    obligation::ObligationId,
    placement,
    refusal::{Code, Refusal},
    tenant::{
        Application, Canary, Format, Isolation, Opinion, OrderKind, Papers, Phase, Reports, Tenant,
        Waiting,
    },
};

/// A new tenant, with a draft.
pub(super) fn draft_first(
    application: &Application,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<Transition, Refusal> {
    admission::draft(application)?;
    let tenant = fresh(application, actor, context, Phase::Draft);
    Ok(Step::first(tenant, actor, context).finish())
}

/// A new tenant, with a complete application.
pub(super) fn submit_first(
    application: &Application,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<Transition, Refusal> {
    admission::application(application, &context.fleet.images)?;
    let mut tenant = fresh(application, actor, context, Phase::Submitted);
    tenant.submitted_at = Some(context.now);
    let mut step = Step::first(tenant, actor, context);
    step.owe(ObligationId::O3);
    Ok(step.finish())
}

fn fresh(application: &Application, actor: &Actor, context: &Context<'_>, phase: Phase) -> Tenant {
    let mut draw = Draw::new(context.seed, context.real_now);
    Tenant {
        format: Format,
        id: TenantId::from_uuid(draw.uuid()),
        version: 0,
        application: application.clone(),
        applicants: BTreeSet::from([actor.name.clone()]),
        deciders: BTreeSet::new(),
        phase,
        isolation: Isolation::Connected,
        submitted_at: None,
        waiting: None,
        opened_at: None,
        allotment: None,
        orders: Vec::new(),
        generations: BTreeMap::new(),
        obligations: Vec::new(),
        opinions: Vec::new(),
        handover: Vec::new(),
        trial: None,
        reports: None,
        rectifications: Vec::new(),
        online_at: None,
        assessment: None,
        icp_filed: None,
        icp: None,
        icp_opening: None,
        groups: None,
        anomalies: Anomalies::default(),
        canary: Canary::default(),
        holds: Vec::new(),
        papers: Papers::default(),
        offboarding: None,
        announcement: None,
        cuts: Vec::new(),
        probe: None,
        former: Vec::new(),
        wipe: None,
        wake_at: None,
        duty_at: None,
    }
}

pub(super) fn save_draft(step: &mut Step<'_>, application: &Application) -> Result<(), Refusal> {
    same_customer(step, application)?;
    step.applicant();
    step.tenant.application = application.clone();
    Ok(())
}

pub(super) fn submit_draft(step: &mut Step<'_>) -> Result<(), Refusal> {
    let application = step.tenant.application.clone();
    submit(step, &application)
}

pub(super) fn submit(step: &mut Step<'_>, application: &Application) -> Result<(), Refusal> {
    same_customer(step, application)?;
    admission::application(application, &step.context.fleet.images)?;
    step.applicant();
    step.tenant.application = application.clone();
    step.tenant.submitted_at = Some(step.now());
    step.tenant.phase = Phase::Submitted;
    step.owe(ObligationId::O3);
    Ok(())
}

fn same_customer(step: &Step<'_>, application: &Application) -> Result<(), Refusal> {
    if application.customer == step.tenant.application.customer {
        return Ok(());
    }
    Err(Refusal::new(
        Code::InvalidApplication,
        "a corrected application keeps its customer; submit a new one for another",
    ))
}

/// Taken back: nothing was given, and nothing is owed any more.
pub(super) fn withdraw(step: &mut Step<'_>) {
    step.applicant();
    step.lapse_all();
    step.tenant.waiting = None;
    step.tenant.phase = Phase::Withdrawn;
}

pub(super) fn review(
    step: &mut Step<'_>,
    decision: Decision,
    opinion: &str,
) -> Result<(), Refusal> {
    record_opinion(step, decision, opinion);
    step.meet(ObligationId::O3);
    match decision {
        Decision::Approve => {
            step.tenant.phase = Phase::Approved;
            // Day 0 is the approval, whether there is room or not.
            step.owe(ObligationId::O4);
            paperwork::approved(step);
            place(step);
        }
        Decision::Reject => step.tenant.phase = Phase::Rejected,
        Decision::Return => step.tenant.phase = Phase::CorrectionRequested,
    }
    Ok(())
}

pub(super) fn record_opinion(step: &mut Step<'_>, decision: Decision, opinion: &str) {
    let reports = step.tenant.reports.as_ref().map(Reports::digests);
    let given = Opinion {
        phase: step.tenant.phase,
        decision,
        opinion: opinion.to_owned(),
        reviewer: step.actor.name.clone(),
        at: step.now(),
        reports: reports.filter(|_| step.tenant.phase == Phase::UnderReview),
    };
    step.tenant.opinions.push(given);
}

/// Gives an approved application its hosts, or lets it wait for them.
pub(super) fn place(step: &mut Step<'_>) {
    match placement::place(&step.tenant.application, step.context.fleet, &mut step.draw) {
        Ok(placed) => {
            step.tenant.allotment = Some(placed);
            step.tenant.waiting = None;
            step.tenant.phase = Phase::Configuring;
            step.order_all(OrderKind::Configure);
        }
        Err(refusal) => {
            let since = step.tenant.waiting.as_ref().map_or(step.now(), |known| known.since);
            step.tenant.waiting = Some(Waiting { since, reason: refusal.sentence });
        }
    }
}
