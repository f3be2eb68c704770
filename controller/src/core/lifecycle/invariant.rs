//! What holds whatever happens. Each is kept by the parts of the way already; here it is said once,
//! in one place, and checked on every transition, so that a fault elsewhere does nothing.

use std::collections::BTreeSet;

use tenure_protocol::wire::v1::Action;

use super::{
    effect::{Effect, Transition},
    event::{CutKind, Decision, Event},
    wiping,
};
use crate::core::{
    group::Zones,
    refusal::{Code, Refusal},
    tenant::{Chase, Cut, HoldAct, Phase, Reports, Tenant},
};

/// Checks a transition against everything that always holds.
///
/// # Errors
/// `invariant`: a fault of the controller, and nothing is to be recorded.
pub fn check(
    before: &Tenant,
    event: &Event,
    transition: &Transition,
    zones: &Zones,
) -> Result<(), Refusal> {
    let after = &transition.tenant;
    let wipes = transition.effects.iter().any(
        |effect| matches!(effect, Effect::Order(draft) if matches!(draft.action, Action::Wipe(_))),
    );
    let rules = [
        ("nobody both applies and decides", duties_are_separate(after)),
        ("where two persons are asked for, they are two", pairs_are_two(after)),
        (
            "a wipe starts with the second person's approval, and never while a hold stands",
            !wipes || is_approved(event, after),
        ),
        (
            "formal operation begins with a passed review that names both reports",
            after.phase != Phase::Online || before.phase == Phase::Online || is_passed(after),
        ),
        (
            "a tenant is closed with an attestation for everything ever allocated",
            !matches!(after.phase, Phase::WipeVerified | Phase::Closed)
                || wiping::everything_proven(after),
        ),
        (
            "a planned cut follows a notice that reached the customer",
            after.cuts.iter().all(is_announced),
        ),
        (
            "only what two persons called a canary is drilled",
            !drills(event) || before.canary.in_force.is_some(),
        ),
        (
            "the cut that is open is the last one",
            after
                .isolation
                .cut()
                .is_none_or(|cut| after.cuts.last().map(|last| last.id) == Some(cut)),
        ),
        (
            "nothing comes in from the Internet before formal operation and its filing",
            ports_are_closed(after, &transition.effects, zones),
        ),
    ];
    match rules.into_iter().find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((rule, _)) => Err(Refusal::new(
            Code::Invariant,
            format!(
                "{} would break a rule that always holds ({rule}): nothing was done; this is a \
                 fault of the controller, tell its makers",
                event.name()
            ),
        )),
    }
}

fn duties_are_separate(tenant: &Tenant) -> bool {
    tenant.deciders.is_disjoint(&tenant.applicants)
}

fn pairs_are_two(tenant: &Tenant) -> bool {
    let wipe = tenant.wipe.iter().flat_map(|wipe| &wipe.approvals);
    let waivers = tenant.offboarding.iter().flat_map(|leaving| &leaving.waivers);
    let acts =
        tenant.holds.iter().flat_map(|hold| std::iter::once(&hold.placed).chain(&hold.released));
    let served = tenant.offboarding.iter().filter_map(|leaving| match &leaving.chase {
        Chase::Second { served, .. } => served.as_ref()?.record.as_ref(),
        Chase::None | Chase::First { .. } => None,
    });
    let confirmed = tenant.icp.iter();
    let rule = tenant.anomalies.in_force.as_ref();
    let canary = tenant.canary.in_force.as_ref();
    let countersigned = |act: &HoldAct| act.countersigned_by.as_ref() != Some(&act.by);
    differ(wipe.map(|one| one.name.as_str()))
        && differ(waivers.map(|one| one.by.as_str()))
        && acts.into_iter().all(countersigned)
        && served
            .into_iter()
            .all(|one| one.countersigned_by.as_ref().is_some_and(|second| *second != one.by))
        && rule.is_none_or(|rule| rule.confirmed_by != rule.proposal.by)
        && canary.is_none_or(|one| one.confirmed_by != one.proposal.by)
        && confirmed.into_iter().all(|one| one.by != one.filed.by)
}

fn differ<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    names.into_iter().all(|name| seen.insert(name))
}

fn is_approved(event: &Event, tenant: &Tenant) -> bool {
    let approvals = tenant.wipe.as_ref().map_or(0, |wipe| wipe.approvals.len());
    matches!(event, Event::ApproveWipe) && approvals == 2 && !tenant.is_held()
}

const fn drills(event: &Event) -> bool {
    matches!(event, Event::Cut { kind: CutKind::Drill, .. })
}

fn is_announced(cut: &Cut) -> bool {
    match cut.kind {
        CutKind::Emergency | CutKind::Drill => true,
        CutKind::Planned => cut.announced.as_ref().is_some_and(|one| one.delivered_at.is_some()),
    }
}

fn is_passed(tenant: &Tenant) -> bool {
    let reports = tenant.reports.as_ref().map(Reports::digests);
    tenant.online_at.is_some()
        && reports.is_some()
        && tenant.opinions.iter().any(|opinion| {
            opinion.phase == Phase::UnderReview
                && opinion.decision == Decision::Approve
                && opinion.reports == reports
        })
}

/// No order lets anything in from the Internet unless the tenant may be reached, and into an
/// expired trial none lets in anything.
fn ports_are_closed(tenant: &Tenant, effects: &[Effect], zones: &Zones) -> bool {
    let filed = tenant.icp.is_some() || tenant.icp_opening.is_some();
    let expired = tenant.trial.as_ref().is_some_and(|trial| trial.expired);
    if tenant.online_at.is_some() && filed && !expired {
        return true;
    }
    let wanted = effects.iter().filter_map(|effect| match effect {
        Effect::Order(draft) => match &draft.action {
            Action::Configure(wanted) => Some(wanted),
            Action::Cut(_) | Action::Restore(_) | Action::Wipe(_) => None,
        },
        Effect::Arm(_)
        | Effect::Release { .. }
        | Effect::Void { .. }
        | Effect::Watch { .. }
        | Effect::Disarm { .. }
        | Effect::Stop { .. }
        | Effect::Acknowledge(_)
        | Effect::Exit => None,
    });
    wanted.into_iter().all(|wanted| {
        let known = if expired { Vec::new() } else { zones.extranet_of(&wanted.network) };
        let rules = wanted.instances.iter().flat_map(|instance| &instance.nic.ingress);
        rules.into_iter().all(|rule| {
            let (first, last) =
                (u32::from_be_bytes(rule.peers.first), u32::from_be_bytes(rule.peers.last));
            known.iter().any(|&(from, to)| from <= first && last <= to)
        })
    })
}
