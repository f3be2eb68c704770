//! From approval to opening day: hosts configure, the hand-over notice is delivered (clause 5.1).

use tenure_protocol::{
    id::{HostId, InstanceId, NoticeId, OrderId},
    wire::v1::Power,
};

use super::step::Step;
use crate::core::{
    calendar::plus_days,
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{OrderFate, OrderKind, Phase, Trial},
};

/// Configures again where it failed; once every host is done, sends the hand-over notice again.
pub(super) fn retry(step: &mut Step<'_>) -> Result<(), Refusal> {
    let stands = |host: &HostId| {
        step.tenant.orders.iter().any(|order| {
            order.host == *host
                && order.kind == OrderKind::Configure
                && matches!(order.state, OrderFate::Open | OrderFate::Done)
        })
    };
    let missing: Vec<HostId> =
        step.tenant.hosts().into_iter().filter(|host| !stands(host)).collect();
    let all_done = step.all_done(OrderKind::Configure);
    if step.tenant.phase == Phase::Configuring && missing.is_empty() && !all_done {
        return Err(Refusal::new(
            Code::WrongPhase,
            "hosts are still configuring: wait for them; they report, or fail",
        ));
    }
    step.tenant.phase = Phase::Configuring;
    for host in missing {
        step.order(host, OrderKind::Configure);
    }
    if all_done {
        hand_over(step);
    }
    Ok(())
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
        hand_over(step);
    }
}

/// Opening day waits for this notice's delivery, of whichever copy (R8).
fn hand_over(step: &mut Step<'_>) {
    let due = step.due();
    let period = |id| step.context.rules.rule(id).period;
    let (trial, deploy) = (period(ObligationId::O6a), period(ObligationId::O5));
    let letter = Letter::Handover { trial, deploy };
    let notices = step.arm(NoticeKind::Handover, &letter, &due);
    step.tenant.handover.extend(notices);
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
    step.tenant.trial = Some(Trial {
        opening_day,
        raw_end,
        end,
        expired: false,
        deployment_started_at: None,
        extended_days: 0,
        extensions: Vec::new(),
    });
}
