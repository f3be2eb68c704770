//! From application to formal operation (clauses 4 and 5).

use std::collections::{BTreeMap, BTreeSet};

use tenure_protocol::{
    id::{HostId, InstanceId, NoticeId, OrderId, TenantId},
    wire::v1::Power,
};

use super::{
    Context,
    event::{Actor, Decision, Document, ReportsDecision, Transition},
    paperwork,
    step::Step,
};
use crate::core::{
    admission,
    calendar::plus_days,
    draw::Draw,
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationId,
    placement,
    refusal::{Code, Refusal},
    tenant::{
        Application, Isolation, Opinion, OrderFate, OrderKind, Papers, Phase, Reports, Tenant,
        Trial,
    },
};

pub(super) fn submit_first(
    application: &Application,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<Transition, Refusal> {
    admission::application(application, &context.fleet.images)?;
    let mut draw = Draw::new(context.seed, context.real_now);
    let tenant = Tenant {
        id: TenantId::from_uuid(draw.uuid()),
        version: 0,
        application: application.clone(),
        applicants: BTreeSet::from([actor.name.clone()]),
        phase: Phase::Submitted,
        isolation: Isolation::Connected,
        submitted_at: context.now,
        opened_at: None,
        allotment: None,
        orders: Vec::new(),
        generations: BTreeMap::new(),
        obligations: Vec::new(),
        opinions: Vec::new(),
        handover: Vec::new(),
        trial: None,
        reports: None,
        papers: Papers::default(),
        offboarding: None,
        cuts: Vec::new(),
        wipe: None,
        wake_at: None,
    };
    let mut step = Step::first(tenant, actor, context);
    step.owe(ObligationId::O3);
    Ok(step.finish())
}

pub(super) fn submit_again(step: &mut Step<'_>, application: &Application) -> Result<(), Refusal> {
    if application.customer != step.tenant.application.customer {
        return Err(Refusal::new(
            Code::InvalidApplication,
            "a corrected application keeps its customer; submit a new one for another",
        ));
    }
    admission::application(application, &step.context.fleet.images)?;
    step.tenant.applicants.insert(step.actor.name.clone());
    step.tenant.application = application.clone();
    step.tenant.submitted_at = step.now();
    step.tenant.phase = Phase::Submitted;
    step.owe(ObligationId::O3);
    Ok(())
}

pub(super) fn review(
    step: &mut Step<'_>,
    decision: Decision,
    opinion: &str,
) -> Result<(), Refusal> {
    if decision == Decision::Approve {
        let placed =
            placement::place(&step.tenant.application, step.context.fleet, &mut step.draw)?;
        step.tenant.allotment = Some(placed);
    }
    record_opinion(step, decision, opinion);
    step.meet(ObligationId::O3);
    step.tenant.phase = match decision {
        Decision::Approve => Phase::Configuring,
        Decision::Reject => Phase::Rejected,
        Decision::Return => Phase::CorrectionRequested,
    };
    if decision == Decision::Approve {
        step.owe(ObligationId::O4);
        paperwork::approved(step);
        step.order_all(OrderKind::Configure);
    }
    Ok(())
}

pub(super) fn record_opinion(step: &mut Step<'_>, decision: Decision, opinion: &str) {
    let given = Opinion {
        phase: step.tenant.phase,
        decision,
        opinion: opinion.to_owned(),
        reviewer: step.actor.name.clone(),
        at: step.now(),
    };
    step.tenant.opinions.push(given);
}

/// Configures again where it failed.
pub(super) fn retry(step: &mut Step<'_>) {
    let failed: Vec<HostId> = step
        .tenant
        .orders
        .iter()
        .filter(|order| order.kind == OrderKind::Configure)
        .filter(|order| matches!(order.state, OrderFate::Failed { .. }))
        .map(|order| order.host)
        .collect();
    step.tenant.phase = Phase::Configuring;
    for host in failed {
        step.order(host, OrderKind::Configure);
    }
}

/// A host has brought up what it was told to.
pub(super) fn configured(
    step: &mut Step<'_>,
    host: HostId,
    order: OrderId,
    instances: &[(InstanceId, Power)],
) {
    if !all_in(step, host, instances, Power::Running) {
        let message = "the report does not have every instance of this host running";
        return configuration_failed(step, order, "report-incomplete", message);
    }
    step.set_fate(order, OrderFate::Done);
    if step.tenant.phase == Phase::Configuring && step.all_done(OrderKind::Configure) {
        // Opening day waits for the hand-over notice's delivery (R8).
        let due = step.due();
        let period = |id| step.context.rules.rule(id).period;
        let (trial, deploy) = (period(ObligationId::O6a), period(ObligationId::O5));
        let letter = Letter::Handover { trial, deploy };
        step.tenant.handover = step.arm(NoticeKind::Handover, &letter, &due);
    }
}

/// Takes over what the host reports, and says whether every instance there has this power.
pub(super) fn all_in(
    step: &mut Step<'_>,
    host: HostId,
    reported: &[(InstanceId, Power)],
    power: Power,
) -> bool {
    let instances = step.tenant.allotment.iter_mut().flat_map(|given| &mut given.instances);
    let mut all = true;
    for instance in instances.filter(|instance| instance.host == host) {
        let seen = reported.iter().find(|(id, _)| *id == instance.id).map(|(_, power)| *power);
        instance.power = seen.or(instance.power);
        all &= seen == Some(power);
    }
    all
}

pub(super) fn configuration_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    if step.tenant.phase == Phase::Configuring {
        step.fail(order, code, message, None);
        step.tenant.phase = Phase::ConfigurationFailed;
    } else if step.tenant.phase == Phase::ConfigurationFailed {
        step.fail(order, code, message, None);
    } else {
        // Later configurations only open or close ports: worth trying again by itself.
        step.fail(order, code, message, Some(super::passing::AGAIN_MS));
    }
}

/// A hand-over notice was delivered: opening day, if every host is ready.
pub(super) fn handed_over(step: &mut Step<'_>, notice: NoticeId) {
    if step.tenant.phase != Phase::Configuring
        || !step.tenant.handover.contains(&notice)
        || !step.all_done(OrderKind::Configure)
    {
        return;
    }
    let opening_day = step.today();
    step.tenant.phase = Phase::Trial;
    step.tenant.opened_at = Some(step.now());
    step.meet(ObligationId::O4);
    step.owe(ObligationId::O5);
    step.owe(ObligationId::O6a);
    step.owe(ObligationId::O7a);
    let days = i32::try_from(step.context.rules.number(ObligationId::O6a)).unwrap_or(0);
    let raw_end = plus_days(opening_day, days);
    let end = step.owed(ObligationId::O6a).next().and_then(|owed| owed.due.last_day());
    let end = end.unwrap_or(raw_end);
    step.tenant.trial = Some(Trial { opening_day, raw_end, end, expired: false });
}

pub(super) fn declare_deployment(step: &mut Step<'_>) {
    step.tenant.applicants.insert(step.actor.name.clone());
    step.meet(ObligationId::O5);
}

pub(super) fn submit_reports(
    step: &mut Step<'_>,
    test_report: &Document,
    security_report: &Document,
) -> Result<(), Refusal> {
    step.tenant.applicants.insert(step.actor.name.clone());
    step.tenant.reports = Some(Reports {
        test_report: test_report.clone(),
        security_report: security_report.clone(),
        by: step.actor.name.clone(),
        at: step.now(),
    });
    step.tenant.phase = Phase::UnderReview;
    step.meet(ObligationId::O5);
    step.meet(ObligationId::O7a);
    step.meet(ObligationId::O7c);
    step.owe(ObligationId::O7b);
    Ok(())
}

pub(super) fn review_reports(
    step: &mut Step<'_>,
    decision: ReportsDecision,
    opinion: &str,
) -> Result<(), Refusal> {
    let given = match decision {
        ReportsDecision::Pass => Decision::Approve,
        ReportsDecision::Fail => Decision::Return,
    };
    record_opinion(step, given, opinion);
    step.meet(ObligationId::O7b);
    match decision {
        ReportsDecision::Fail => {
            step.tenant.phase = Phase::Rectifying;
            // Rectifying has no number of its own: it runs against the end of the trial (5.4).
            step.owe(ObligationId::O7c);
        }
        ReportsDecision::Pass => go_online(step),
    }
    Ok(())
}

fn go_online(step: &mut Step<'_>) {
    step.tenant.phase = Phase::Online;
    step.meet(ObligationId::O6a);
    step.owe(ObligationId::O8);
    if step.tenant.application.system.internet_facing {
        step.owe(ObligationId::O9);
    }
    if let Some(trial) = step.tenant.trial.as_mut().filter(|trial| trial.expired) {
        trial.expired = false;
        step.order_all(OrderKind::Configure);
    }
}

/// A document was filed that meets this obligation.
pub(super) fn file(step: &mut Step<'_>, id: ObligationId) {
    step.tenant.applicants.insert(step.actor.name.clone());
    step.meet(id);
}
