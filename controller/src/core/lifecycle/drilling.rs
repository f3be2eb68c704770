//! Drills: the emergency cut rehearsed for real, on a tenant that two persons called a canary.
//!
//! ```text
//!   no canary ─propose, one person─▶ proposed ─confirm, another─▶ canary ─withdraw─▶ no canary
//!
//!   drill ─▶ the emergency cut, in everything ─┬─ proven on every host, and first E2 ─▶ restore
//!                                              ├─ 300 s have passed ─────────────────▶ restore
//!                                              └─ a cut in earnest ─▶ it overtakes the drill
//! ```
//! What a drill owes is no duty to a customer: neither O12b nor O12c is opened, and its times stand
//! in its own report ([`crate::core::drill`]).

use tenure_protocol::{
    id::{CutId, NoticeId},
    time::Timestamp,
    wire::{v1::Power, watch::DisarmReason},
};

use super::{calling, cutting, effect::Effect, event::CutKind, step::Step};
use crate::core::{
    drill::LONGEST_MS,
    notice::Notice,
    refusal::{Code, Refusal},
    tenant::{CanaryInForce, CanaryProposal, Cut, CutEnd, Drill, DrilledChannel, Isolation},
};

/// Between the end of a drill and the next one.
const PAUSE_MS: i64 = 3_600_000;

/// Why a drill's cut ends.
const OVER: &str = "演练结束，自动恢复。The drill is over: restored by itself.";

/// Proposes that the tenant is a canary, in place of a proposal that waits.
pub(super) fn propose(step: &mut Step<'_>, reason: &str) {
    let (reason, by, at) = (reason.to_owned(), step.actor.name.clone(), step.now());
    step.tenant.canary.proposed = Some(CanaryProposal { reason, by, at });
}

/// A second person confirms it.
pub(super) fn confirm(step: &mut Step<'_>) -> Result<(), Refusal> {
    let proposal = step.tenant.canary.proposed.take().ok_or_else(|| {
        let sentence = "nobody has proposed that this tenant is a canary: propose it first";
        Refusal::new(Code::NothingToConfirm, sentence)
    })?;
    let confirmed_by = step.second_person(&proposal.by, "canary")?;
    let confirmed_at = step.now();
    step.tenant.canary.in_force = Some(CanaryInForce { proposal, confirmed_by, confirmed_at });
    Ok(())
}

/// The tenant is drilled no more.
pub(super) fn withdraw(step: &mut Step<'_>) -> Result<(), Refusal> {
    let canary = &mut step.tenant.canary;
    let taken = [canary.proposed.take().is_some(), canary.in_force.take().is_some()];
    if taken == [false; 2] {
        let sentence = "this tenant is no canary, and nobody has proposed it: nothing to withdraw";
        return Err(Refusal::new(Code::AlreadyDecided, sentence));
    }
    Ok(())
}

/// Whether the tenant may be drilled now.
pub(super) fn admit(step: &Step<'_>) -> Result<(), Refusal> {
    if step.tenant.canary.in_force.is_none() {
        return Err(Refusal::new(
            Code::NotACanary,
            "this tenant is no canary, and a customer's system is never drilled: have one person \
             propose and another confirm it (`tenurectl canary`), if it exists for that",
        ));
    }
    let ended = step.tenant.last_drill().and_then(|(_, drill)| drill.restored_at);
    if ended.is_some_and(|at| step.context.real_now.ms_since(at) < PAUSE_MS) {
        return Err(Refusal::new(
            Code::TooSoon,
            "the last drill ended less than an hour ago: a drill after another would keep the \
             canary cut; see its report (`tenurectl drill show`)",
        ));
    }
    let running = |power: Option<Power>| power == Some(Power::Running);
    if !step.tenant.instances().iter().any(|one| running(one.power)) {
        return Err(Refusal::new(
            Code::NothingRuns,
            "no instance of this tenant is known to run: a drill would prove nothing; look at its \
             configuration first",
        ));
    }
    Ok(())
}

/// What is to be measured of the drill that these notices were rendered for.
pub(super) fn begin(notices: &[Notice]) -> Drill {
    let designated = notices.iter().filter(|notice| notice.designated);
    let channel = |notice: &Notice| DrilledChannel {
        contact: notice.contact.clone(),
        channel: notice.channel.as_str().to_owned(),
        notices: vec![notice.id],
        told_at: None,
    };
    Drill { channels: designated.map(channel).collect(), ..Drill::default() }
}

/// When the API took a drill in, and when it was durable.
pub(super) fn measured(step: &mut Step<'_>, cut: CutId, [received, durable]: [Timestamp; 2]) {
    let drills = step.tenant.cuts.iter_mut().filter(|one| one.id == cut);
    for drill in drills.filter_map(|one| one.drill.as_mut()) {
        (drill.received_at, drill.durable_at) = (Some(received), Some(durable));
    }
}

/// What corrects a drill's notice counts for the same channel.
pub(super) fn corrected(cut: &mut Cut, armed: NoticeId, correction: NoticeId) {
    let channels = cut.drill.iter_mut().flat_map(|drill| &mut drill.channels);
    for channel in channels.filter(|channel| channel.notices.contains(&armed)) {
        channel.notices.push(correction);
    }
}

/// A notice of a cut has arrived.
pub(super) fn told(cut: &mut Cut, notice: NoticeId, at: Timestamp) {
    let channels = cut.drill.iter_mut().flat_map(|drill| &mut drill.channels);
    for channel in channels.filter(|channel| channel.notices.contains(&notice)) {
        channel.told_at = Some(channel.told_at.map_or(at, |known| known.min(at)));
    }
}

/// Ends a drill that is proven and told, or takes too long.
pub(super) fn go_on(step: &mut Step<'_>) {
    let Some(limit) = next_at(step) else { return };
    let told = step.tenant.last_cut().is_some_and(|cut| cut.notified_at.is_some());
    let proven = matches!(step.tenant.isolation, Isolation::Cut { .. });
    if (told && proven) || step.context.real_now >= limit {
        cutting::end(step, "controller", OVER);
    }
}

/// When a drill that is under way ends whatever has come of it; real clock.
pub(super) fn next_at(step: &Step<'_>) -> Option<Timestamp> {
    let cut = under_way(step)?;
    Some(cut.counts_from().plus_ms(LONGEST_MS))
}

/// A cut in earnest: a drill that is under way, or being ended, is overtaken by it.
pub(super) fn overtake(step: &mut Step<'_>) {
    let being_ended = matches!(step.tenant.isolation, Isolation::Restoring { .. });
    let last = step.tenant.last_cut().filter(|cut| cut.kind == CutKind::Drill);
    let Some(cut) = last.filter(|_| being_ended || under_way(step).is_some()) else { return };
    let (id, number) = (cut.id, cut.number);
    let mut notices = [cut.notices.as_slice(), &cut.former].concat();
    if let CutEnd::Restored { notices: of_restore, .. } = &cut.end {
        notices.extend(of_restore);
    }
    let reason = "a cut in earnest has overtaken the drill".to_owned();
    calling::silence(step, number, &reason);
    step.effects.push(Effect::Stop { notices, reason: reason.clone() });
    step.effects.push(Effect::Disarm { cut: id, reason: DisarmReason::Overtaken });
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.end = CutEnd::Void { reason };
    }
    step.tenant.isolation = Isolation::Connected;
}

fn under_way<'a>(step: &'a Step<'_>) -> Option<&'a Cut> {
    let cut = step.tenant.last_cut().filter(|cut| cut.kind == CutKind::Drill)?;
    match step.tenant.isolation {
        Isolation::Cutting { .. } | Isolation::Cut { .. } => Some(cut),
        Isolation::Connected | Isolation::Restoring { .. } => None,
    }
}
