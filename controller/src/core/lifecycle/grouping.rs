//! Security groups in the customer's own hand: it sets and removes them at any time while it has
//! instances, and hosts get its whole wanted state anew. Terms end by time alone.

use std::collections::BTreeSet;

use jiff::civil::Date;
use tenure_protocol::{id::HostId, time::Timestamp};

use super::{admit, event::Event, step::Step};
use crate::core::{
    calendar::{plus_days, start_of_day},
    group::{Group, GroupRequest, Peer, Rule, check},
    letter::Letter,
    notice::NoticeKind,
    refusal::{Code, Refusal},
    tenant::{OrderFate, OrderKind, Phase, Tenant},
};

/// Sets a group, whole: another of its name is replaced.
pub(super) fn set(step: &mut Step<'_>, request: &GroupRequest) -> Result<(), Refusal> {
    let mut groups = step.tenant.groups();
    groups.retain(|group| group.name != request.name);
    groups.push(Group::from(request.clone()));
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    let before = step.tenant.clone();
    step.tenant.groups = Some(groups);
    let zones = &step.context.fleet.zones;
    check::beside(request, &before, &step.tenant, zones, step.today())?;
    if step.tenant.groups == before.groups {
        return Ok(());
    }
    step.applicant();
    order(step);
    Ok(())
}

/// Removes a group that no other refers to.
pub(super) fn remove(step: &mut Step<'_>, name: &str) -> Result<(), Refusal> {
    let mut groups = step.tenant.groups();
    if !groups.iter().any(|group| group.name == name) {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let sentence = format!("there is no group {name:?}; there are: {}", names.join(", "));
        return Err(Refusal::new(Code::UnknownGroup, sentence));
    }
    groups.retain(|group| group.name != name);
    let refers = |group: &&Group| {
        group.rules.iter().any(|rule| matches!(&rule.asked.peer, Peer::Group(peer) if peer == name))
    };
    if let Some(other) = groups.iter().find(refers) {
        return Err(Refusal::new(
            Code::GroupInUse,
            format!(
                "rules of group {:?} name {name:?} as their peer: change them first",
                other.name
            ),
        ));
    }
    step.tenant.groups = Some(groups);
    step.applicant();
    order(step);
    Ok(())
}

/// Ends every rule whose last day is over, and tells the customer.
pub(super) fn end_terms(step: &mut Step<'_>) {
    if !in_force(step.tenant.phase) {
        return;
    }
    let (now, today) = (step.now(), step.today());
    let mut ended = Vec::new();
    for group in step.tenant.groups.iter_mut().flatten() {
        for rule in group.rules.iter_mut().filter(|rule| last_day(rule).is_some()) {
            if last_day(rule).is_some_and(|last| last < today) {
                rule.ended_at = Some(now);
                ended.push((group.name.clone(), rule.asked.purpose.clone()));
            }
        }
    }
    if ended.is_empty() {
        return;
    }
    order(step);
    let due = step.due();
    step.arm(NoticeKind::RulesEnded, &Letter::RulesEnded { rules: ended }, &due);
}

/// When the next term is over.
pub(super) fn next_end(tenant: &Tenant) -> Option<Timestamp> {
    let groups = tenant.groups.iter().flatten().filter(|_| in_force(tenant.phase));
    let last_days = groups.flat_map(|group| &group.rules).filter_map(last_day);
    last_days.min().map(|last| start_of_day(plus_days(last, 1)))
}

/// The last day of a rule that has not ended.
fn last_day(rule: &Rule) -> Option<Date> {
    rule.asked.until.filter(|_| rule.ended_at.is_none())
}

/// Whether groups may be changed, and their terms end.
fn in_force(phase: Phase) -> bool {
    admit::admits(phase, &Event::RemoveGroup { name: String::new() })
}

/// Orders it of every host but those that failed to configure, on which an operator decides.
pub(super) fn order(step: &mut Step<'_>) {
    let waits = step.tenant.phase == Phase::ConfigurationFailed;
    let failed = step.tenant.orders.iter().filter(|order| {
        order.kind == OrderKind::Configure && matches!(order.state, OrderFate::Failed { .. })
    });
    let stuck: BTreeSet<HostId> = failed.filter(|_| waits).map(|order| order.host).collect();
    for host in step.tenant.hosts().difference(&stuck) {
        step.order(*host, OrderKind::Configure);
    }
}
