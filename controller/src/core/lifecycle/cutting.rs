//! Cuts and restores (clause 6.3). The notices are armed in the same transition as the orders; the
//! first commit on any host is t0, and in an emergency 300 s run from it.
//!
//! ```text
//! Connected ─cut→ Cutting ─every host committed→ Cut ─restore→ Restoring ─every host→ Connected
//!                   │ └──────────────restore──────────────────────↗
//!                   └─every host failed→ Connected (the cut is void, and so are its notices;
//!                                        each host is told to restore, lest it cut later,
//!                                        again and again until it has)
//! ```

use tenure_protocol::{
    id::{CutId, HostId, NoticeId, OrderId},
    time::Timestamp,
    wire::{v1::CommitInterval, watch::DisarmReason},
};

use super::{
    Context, Role, announcing, calling, drilling, effect::Effect, event::CutKind, step::Step,
};
use crate::core::{
    calendar::legal_day,
    letter::Letter,
    notice::{ARMED_MS, Notice, NoticeKind, NoticeState},
    obligation::{Due, Obligation, ObligationId},
    refusal::{Code, Refusal},
    rules::Start,
    tenant::{Cut, CutEnd, Drill, Isolation, OrderFate, OrderKind},
    watch::{self, Witness},
};

/// A cut or restore that failed on one host is ordered again after this, ms.
const AGAIN_MS: i64 = 5_000;

pub(super) fn cut(step: &mut Step<'_>, kind: CutKind, reason: &str) -> Result<(), Refusal> {
    match kind {
        CutKind::Drill => drilling::admit(step)?,
        CutKind::Emergency => drilling::overtake(step),
        CutKind::Planned => {}
    }
    if step.tenant.isolation != Isolation::Connected {
        return Err(Refusal::new(
            Code::WrongIsolation,
            "a cut is open already: restore it first, or wait until its restore is done",
        ));
    }
    let by_rule = step.tenant.anomalies.in_force.is_some() && kind == CutKind::Emergency;
    if step.actor.role == Role::Controller && !by_rule {
        let sentence = "only a rule that two persons signed has the controller cut, at once";
        return Err(Refusal::new(Code::WrongRole, sentence));
    }
    let announced = match kind {
        CutKind::Planned => Some(announcing::delivered(step)?),
        CutKind::Emergency => {
            // What was planned is overtaken.
            step.lapse(ObligationId::O12a);
            step.tenant.announcement.take()
        }
        CutKind::Drill => None,
    };
    let id = CutId::from_uuid(step.draw.uuid());
    let number = step.tenant.next_cut();
    step.tenant.isolation = Isolation::Cutting { cut: id };
    step.tenant.cuts.push(Cut {
        id,
        number,
        kind,
        announced,
        reason: reason.to_owned(),
        ordered_by: step.actor.name.clone(),
        ordered_at: step.now(),
        t0: None,
        commits: std::collections::BTreeMap::new(),
        notices: Vec::new(),
        witness: Witness::Unasked,
        notified_at: None,
        began_at: Some(step.context.real_now),
        alarm: None,
        alarms: Vec::new(),
        acknowledged: None,
        former: Vec::new(),
        drill: None,
        end: CutEnd::Open,
        reminded_at: step.now(),
    });
    let armed = armed(step);
    let notices = step.render(NoticeKind::Cut, &Letter::CutOrdered, &armed);
    let former = step.render_former(NoticeKind::Cut, &Letter::CutOrdered, &armed);
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.notices = ids(&notices);
        cut.former = ids(&former);
        cut.drill = (kind == CutKind::Drill).then(|| drilling::begin(&notices));
    }
    step.arm_rendered(notices);
    step.arm_rendered(former);
    if kind.is_at_once() {
        watch(step, id);
    }
    step.order_all(OrderKind::Cut);
    Ok(())
}

/// Every ordered host and a witness keep the notices too, in case the controller falls silent.
pub(super) fn watch(step: &mut Step<'_>, cut: CutId) {
    let mut hosts = step.tenant.hosts();
    let witness = watch::witness(cut, &hosts, &step.context.fleet.up);
    if let Witness::Host(host) = witness {
        hosts.insert(host);
    }
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.witness = witness;
    }
    step.effects.extend(hosts.into_iter().map(|host| Effect::Watch { host, cut }));
}

pub(super) fn restore(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    match step.tenant.isolation {
        Isolation::Cutting { .. } | Isolation::Cut { .. } => {
            let by = step.actor.name.clone();
            end(step, &by, reason);
            Ok(())
        }
        Isolation::Connected | Isolation::Restoring { .. } => {
            Err(Refusal::new(Code::WrongIsolation, "no cut is open: nothing to restore"))
        }
    }
}

/// Ends the cut that is open.
pub(super) fn end(step: &mut Step<'_>, by: &str, reason: &str) {
    let Some(cut) = step.tenant.isolation.cut() else { return };
    step.tenant.isolation = Isolation::Restoring { cut };
    let unmade = step.tenant.last_cut().filter(|cut| cut.t0.is_none()).map(|cut| cut.number);
    if let Some(number) = unmade {
        calling::silence(step, number, "the cut was taken back before any host made it");
    }
    let armed = armed(step);
    let (by, reason) = (by.to_owned(), reason.to_owned());
    set_end(step, CutEnd::Restored { by, reason, at: None, notices: Vec::new() });
    let now = step.context.real_now;
    measure(step, |drill| drill.restore_ordered_at = Some(now));
    // Those from before the last changes hear of it once it is done.
    let contacts = step.tenant.application.contacts.clone();
    let letter = Letter::RestoreOrdered;
    let armed_notices = step.arm_for(NoticeKind::Restored, &letter, &armed, &contacts);
    if let Some(Cut { end: CutEnd::Restored { notices, .. }, .. }) = step.tenant.cuts.last_mut() {
        *notices = armed_notices;
    }
    step.order_all(OrderKind::Restore);
}

/// Notes what is measured of the last cut, if it is a drill.
fn measure(step: &mut Step<'_>, note: impl FnOnce(&mut Drill)) {
    if let Some(drill) = step.tenant.cuts.last_mut().and_then(|cut| cut.drill.as_mut()) {
        note(drill);
    }
}

/// A host has committed the cut. The first commit on any host starts the five minutes.
pub(super) fn committed(
    step: &mut Step<'_>,
    host: HostId,
    order: OrderId,
    interval: CommitInterval,
) {
    step.set_fate(order, OrderFate::Done);
    commit(step, host, interval);
}

/// The kernel of a host has taken the cut: of its commits the first counts.
pub(super) fn commit(step: &mut Step<'_>, host: HostId, interval: CommitInterval) {
    let Some(cut) = step.tenant.cuts.last_mut() else { return };
    let earlier = cut.commits.get(&host).is_some_and(|known| known.earliest <= interval.earliest);
    if !earlier {
        cut.commits.insert(host, interval);
    }
    let first = cut.t0.is_none();
    if cut.t0.is_none_or(|t0| interval.earliest < t0.earliest) {
        cut.t0 = Some(interval);
    }
    let (number, t0, notified_at) = (cut.number, cut.t0.unwrap_or(interval), cut.notified_at);
    let kind = cut.kind;
    if kind == CutKind::Emergency {
        owe_notification(step, number, t0.earliest);
    }
    if kind != CutKind::Drill {
        owe_restore(step, number, t0.earliest);
    }
    if first {
        release(step, NoticeKind::Cut, NoticeKind::CutCorrection, &Letter::CutDone);
    }
    if let Some(at) = notified_at {
        meet_notification(step, number, at);
    }
    if let Isolation::Cutting { cut } = step.tenant.isolation
        && step.all_done(OrderKind::Cut)
    {
        step.tenant.isolation = Isolation::Cut { cut };
        let now = step.context.real_now;
        measure(step, |drill| drill.proven_at = Some(now));
    }
}

/// O12c of this cut: it is temporary.
pub(super) fn owe_restore(step: &mut Step<'_>, number: u32, t0: Timestamp) {
    let is_known = |known: &Obligation| known.id == ObligationId::O12c && known.serial == number;
    if !step.tenant.obligations.iter().any(is_known) {
        let counted = step.context.rules.counted(ObligationId::O12c, legal_day(t0));
        let owed = Obligation::open(ObligationId::O12c, number, Due::Never, counted);
        step.tenant.obligations.push(owed);
    }
}

/// O12b of this cut; an earlier commit moves an open O12b, never a breach.
pub(super) fn owe_notification(step: &mut Step<'_>, number: u32, t0: Timestamp) {
    let start = Start { day_zero: legal_day(t0), real: t0 };
    let Context { rules, calendar, .. } = step.context;
    let (due, counted) = rules.count(ObligationId::O12b, start, calendar);
    let known = step
        .tenant
        .obligations
        .iter_mut()
        .find(|known| known.id == ObligationId::O12b && known.serial == number);
    if let Some(known) = known {
        if known.state == crate::core::obligation::ObligationState::Open {
            (known.due, known.counted) = (due, counted);
        }
        return;
    }
    step.tenant.obligations.push(Obligation::open(ObligationId::O12b, number, due, counted));
}

fn meet_notification(step: &mut Step<'_>, number: u32, at: Timestamp) {
    for owed in step.owed(ObligationId::O12b).filter(|owed| owed.serial == number) {
        owed.meet(at);
    }
}

/// A notice of a cut reached the customer: the first one counts. `at` is real time.
pub(super) fn notified(step: &mut Step<'_>, notice: NoticeId, at: Timestamp) {
    let cuts = step.tenant.cuts.iter_mut();
    let Some(cut) = cuts.rev().find(|cut| cut.notices.contains(&notice)) else { return };
    let first = cut.notified_at.is_none();
    drilling::told(cut, notice, at);
    let watched = cut.kind.is_at_once();
    if cut.notified_at.is_none_or(|known| at < known) {
        cut.notified_at = Some(at);
    }
    let (number, id) = (cut.number, cut.id);
    meet_notification(step, number, at);
    if first {
        calling::silence(step, number, "a notice of the cut has reached the customer");
    }
    if first && watched {
        step.effects.push(Effect::Disarm { cut: id, reason: DisarmReason::Told });
    }
}

pub(super) fn cut_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    if !matches!(step.tenant.isolation, Isolation::Cutting { .. }) {
        return step.fail(order, code, message, None);
    }
    step.fail(order, code, message, Some(AGAIN_MS));
    let mut cuts = step.tenant.orders.iter().filter(|order| order.kind == OrderKind::Cut);
    if !cuts.all(|order| matches!(order.state, OrderFate::Failed { .. })) {
        return;
    }
    // No host cuts: there is no t0, nothing is cut, and the operator has to decide anew.
    step.fail(order, code, message, None);
    for known in &mut step.tenant.orders {
        if let (OrderKind::Cut, OrderFate::Failed { again_at, .. }) = (known.kind, &mut known.state)
        {
            *again_at = None;
        }
    }
    step.tenant.isolation = Isolation::Connected;
    let reason = format!("{code}: {message}");
    void(step, &reason);
    set_end(step, CutEnd::Void { reason });
    let number = step.tenant.last_cut().map_or(0, |cut| cut.number);
    calling::silence(step, number, "the cut came to nothing");
    // A host that failed may have journalled the cut, and would put it in force some day.
    step.order_all(OrderKind::Restore);
}

/// A host has committed the restore.
pub(super) fn restored(step: &mut Step<'_>, order: OrderId, interval: CommitInterval) {
    step.set_fate(order, OrderFate::Done);
    let Isolation::Restoring { .. } = step.tenant.isolation else { return };
    if let Some(Cut { end: CutEnd::Restored { at, .. }, .. }) = step.tenant.cuts.last_mut() {
        *at = Some(at.map_or(interval.latest, |known| known.max(interval.latest)));
    }
    if step.all_done(OrderKind::Restore) {
        step.tenant.isolation = Isolation::Connected;
        let ended = step.tenant.last_cut().and_then(restored_at);
        measure(step, |drill| drill.restored_at = ended);
        step.meet(ObligationId::O12c);
        release(step, NoticeKind::Restored, NoticeKind::Restored, &Letter::RestoreDone);
    }
}

pub(super) fn restore_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    // Connected: after a void cut. A host that has journalled it must not put it in force some day.
    let wanted = match step.tenant.isolation {
        Isolation::Restoring { .. } | Isolation::Connected => true,
        Isolation::Cutting { .. } | Isolation::Cut { .. } => false,
    };
    step.fail(order, code, message, wanted.then_some(AGAIN_MS));
}

/// The armed notices go out with their new text; where the old one went out, a correction follows.
fn release(step: &mut Step<'_>, kind: NoticeKind, correction: NoticeKind, letter: &Letter) {
    let due = step.due();
    let armed = armed_ids(step, kind);
    let fresh = step.render(kind, letter, &due);
    let corrections = step.render(correction, letter, &due);
    note_corrections(step, kind, &armed, &corrections);
    release_each(step, armed, fresh, corrections);
    if kind != NoticeKind::Cut {
        return step.arm_former(kind, letter, &due);
    }
    let armed = former_ids(step);
    let fresh = step.render_former(kind, letter, &due);
    let corrections = step.render_former(correction, letter, &due);
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.former.extend(ids(&corrections));
    }
    release_each(step, armed, fresh, corrections);
}

fn release_each(
    step: &mut Step<'_>,
    armed: Vec<NoticeId>,
    fresh: Vec<Notice>,
    corrections: Vec<Notice>,
) {
    for ((mut notice, id), correction) in fresh.into_iter().zip(armed).zip(corrections) {
        notice.readdress(id);
        let (notice, correction) = (Box::new(notice), Box::new(correction));
        step.effects.push(Effect::Release { notice, correction });
    }
}

fn void(step: &mut Step<'_>, reason: &str) {
    let (due, kind) = (step.due(), NoticeKind::CutCorrection);
    let letter = Letter::CutVoid { reason: reason.to_owned() };
    let armed = [armed_ids(step, NoticeKind::Cut), former_ids(step)];
    let corrections = [step.render(kind, &letter, &due), step.render_former(kind, &letter, &due)];
    for (armed, corrections) in armed.into_iter().zip(corrections) {
        for (notice, correction) in armed.into_iter().zip(corrections) {
            let (reason, correction) = (reason.to_owned(), Box::new(correction));
            step.effects.push(Effect::Void { notice, reason, correction });
        }
    }
    let cut = step.tenant.last_cut().filter(|cut| cut.kind.is_at_once());
    if let Some(cut) = cut.map(|cut| cut.id) {
        step.effects.push(Effect::Disarm { cut, reason: DisarmReason::Void });
    }
}

fn former_ids(step: &Step<'_>) -> Vec<NoticeId> {
    step.tenant.last_cut().map_or_else(Vec::new, |cut| cut.former.clone())
}

pub(super) fn ids(notices: &[Notice]) -> Vec<NoticeId> {
    notices.iter().map(|notice| notice.id).collect()
}

fn armed_ids(step: &Step<'_>, kind: NoticeKind) -> Vec<NoticeId> {
    let Some(cut) = step.tenant.last_cut() else { return Vec::new() };
    match (kind, &cut.end) {
        (NoticeKind::Restored, CutEnd::Restored { notices, .. }) => notices.clone(),
        _ => cut.notices.clone(),
    }
}

/// A correction's delivery notifies as well as the notice that it follows.
fn note_corrections(step: &mut Step<'_>, kind: NoticeKind, armed: &[NoticeId], all: &[Notice]) {
    if kind == NoticeKind::Cut
        && let Some(cut) = step.tenant.cuts.last_mut()
    {
        cut.notices.extend(all.iter().map(|correction| correction.id));
        for (armed, correction) in armed.iter().zip(all) {
            drilling::corrected(cut, *armed, correction.id);
        }
    }
}

const fn restored_at(cut: &Cut) -> Option<Timestamp> {
    match &cut.end {
        CutEnd::Restored { at, .. } => *at,
        CutEnd::Open | CutEnd::Void { .. } => None,
    }
}

fn set_end(step: &mut Step<'_>, end: CutEnd) {
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.end = end;
    }
}

fn armed(step: &Step<'_>) -> NoticeState {
    NoticeState::Armed { release_at: step.context.real_now.plus_ms(ARMED_MS) }
}
