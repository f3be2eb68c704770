//! The watch over anomalies: a tenant's own thresholds, and the rule by which it is cut. One person
//! proposes a rule, another confirms it, and anybody of those takes it back.

use std::collections::BTreeSet;

use tenure_protocol::wire::v1::AlarmKind;

use super::{grouping, step::Step};
use crate::core::{
    anomaly::{CUTTING, CutRule, OwnThresholds, Proposal},
    refusal::{Code, Refusal},
};

/// Sets thresholds in place of the site's; hosts get them at once. A rule that is in force was
/// signed for the thresholds that it had: it waits for a second person again.
pub(super) fn set(step: &mut Step<'_>, thresholds: OwnThresholds) -> Result<(), Refusal> {
    thresholds.check().map_err(|sentence| Refusal::new(Code::InvalidInput, sentence))?;
    if step.tenant.anomalies.thresholds != thresholds {
        let anomalies = &mut step.tenant.anomalies;
        anomalies.thresholds = thresholds;
        if let Some(rule) = anomalies.in_force.take() {
            let by = step.actor.name.clone();
            anomalies.proposed = Some(Proposal { by, ..rule.proposal });
        }
        grouping::order(step);
    }
    Ok(())
}

/// Proposes a rule, in place of one that waits. One that is in force stays so.
pub(super) fn propose(
    step: &mut Step<'_>,
    kinds: &BTreeSet<AlarmKind>,
    reason: &str,
) -> Result<(), Refusal> {
    if kinds.is_empty() || kinds.iter().any(|kind| !CUTTING.contains(kind)) {
        let known = CUTTING.map(AlarmKind::as_str).join(", ");
        let sentence = format!("a rule cuts for one or more of these kinds of alarm: {known}");
        return Err(Refusal::new(Code::InvalidInput, sentence));
    }
    step.tenant.anomalies.proposed = Some(Proposal {
        kinds: kinds.clone(),
        reason: reason.to_owned(),
        by: step.actor.name.clone(),
        at: step.now(),
    });
    Ok(())
}

/// Puts the proposed rule in force, in place of an older one.
pub(super) fn confirm(step: &mut Step<'_>) -> Result<(), Refusal> {
    let proposal = step.tenant.anomalies.proposed.take().ok_or_else(|| {
        let sentence = "no rule waits for a second person: propose one first";
        Refusal::new(Code::NothingToConfirm, sentence)
    })?;
    let confirmed_by = step.second_person(&proposal.by, "rule")?;
    let confirmed_at = step.now();
    step.tenant.anomalies.in_force = Some(CutRule { proposal, confirmed_by, confirmed_at });
    Ok(())
}

/// Takes back what is in force and what is proposed: people are told of anomalies, and no more.
pub(super) fn withdraw(step: &mut Step<'_>) -> Result<(), Refusal> {
    let rules = &mut step.tenant.anomalies;
    let taken = [rules.proposed.take().is_some(), rules.in_force.take().is_some()];
    if taken == [false; 2] {
        let sentence = "there is no rule to take back: people alone are told of anomalies";
        return Err(Refusal::new(Code::AlreadyDecided, sentence));
    }
    Ok(())
}
