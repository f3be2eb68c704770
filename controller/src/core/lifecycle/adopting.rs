//! Cuts that a person ordered on a host itself, while no controller answered there. What the host
//! did stands; here it becomes the controller's own:
//!
//! ```text
//! Connected, Restoring ─cut-by-host→ Cutting: the customer is told, the other hosts cut as well,
//!                                    and the restore goes by the ordinary way from then on
//! Cutting, Cut         ─cut-by-host→ the same cut goes on, counted from the first host's commit
//! a drill              ─cut-by-host→ as Connected: the drill is overtaken
//! Connected            ─cut-by-host, ended there→ Connected: the customer is told of both
//! Cutting, Cut, Restoring ─cut-by-host, ended there→
//!     before the cut that is there began, or during a drill: a cut of its own, told as above
//!     else its commit counts for the cut that is there; its end stands in the host's statements
//! ```
//! The notices have the ids that the host's standing packet gave them ([`watch::reserve`]); if the
//! host may have sent those by now, what they do not say follows in others.
//!
//! The five minutes run from the host's commit, however late the controller hears of it. The host
//! that cut is ordered to cut, too: from that order on the cut is the controller's to end.

use std::collections::BTreeMap;

use tenure_protocol::id::CutId;

use super::{
    cutting, drilling,
    event::{CutKind, HostCut, HostRestore},
    step::Step,
};
use crate::core::{
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{Announcement, Cut, CutEnd, Isolation, OrderKind},
    watch::{self, Witness},
};

/// Takes over what a host did; once, however often it is said.
pub(super) fn adopt(step: &mut Step<'_>, made: &HostCut) -> Result<(), Refusal> {
    if !step.tenant.hosts().contains(&made.host) {
        return Err(Refusal::new(
            Code::ReportMismatch,
            format!("host {} has nothing of this tenant, and cannot cut it", made.host),
        ));
    }
    if step.tenant.cuts.iter().any(|cut| cut.id == made.cut) {
        return Ok(());
    }
    if made.ended.is_none() {
        drilling::overtake(step);
    }
    let apart = |ended| step.tenant.last_cut().is_some_and(|there| is_apart(there, ended));
    match (step.tenant.isolation, &made.ended) {
        (Isolation::Connected, Some(ended)) => past(step, made, ended),
        (
            Isolation::Cutting { .. } | Isolation::Cut { .. } | Isolation::Restoring { .. },
            Some(ended),
        ) if apart(ended) => past(step, made, ended),
        (Isolation::Connected | Isolation::Restoring { .. }, None) => begin(step, made),
        (Isolation::Cutting { .. } | Isolation::Cut { .. }, _)
        | (Isolation::Restoring { .. }, Some(_)) => {
            cutting::commit(step, made.host, made.interval);
        }
    }
    Ok(())
}

/// Whether a cut that is over is none that is there: it was over before that one began, or that one
/// is a drill.
fn is_apart(there: &Cut, ended: &HostRestore) -> bool {
    let began = there.t0.map(|t0| t0.earliest).or(there.began_at);
    there.kind == CutKind::Drill || began.is_some_and(|began| ended.interval.latest < began)
}

/// A cut that goes on.
fn begin(step: &mut Step<'_>, made: &HostCut) {
    // What was planned is overtaken.
    step.lapse(ObligationId::O12a);
    let announced = step.tenant.announcement.take();
    let number = step.tenant.next_cut();
    open(step, made, number, announced);
    step.tenant.isolation = Isolation::Cutting { cut: made.cut };
    tell(step, number, made);
    cutting::watch(step, made.cut);
    step.order_all(OrderKind::Cut);
}

/// A cut that is over: nothing is ordered, and everything is said. It stands where its time is,
/// also before cuts that are known already.
fn past(step: &mut Step<'_>, made: &HostCut, ended: &HostRestore) {
    let since = |cut: &Cut| cut.t0.map(|t0| t0.earliest).or(cut.began_at);
    let earlier = |cut: &Cut| since(cut).is_none_or(|since| since <= made.interval.earliest);
    let place = step.tenant.cuts.iter().rposition(earlier).map_or(0, |last| last + 1);
    // The one that is open stays the last.
    let open_one =
        step.tenant.cuts.iter().position(|cut| step.tenant.isolation.cut() == Some(cut.id));
    let place = open_one.map_or(place, |at| place.min(at));
    let number = step.tenant.next_cut();
    // What is said is said of the last one.
    let later = step.tenant.cuts.split_off(place);
    open(step, made, number, None);
    let restored = |notices| CutEnd::Restored {
        by: ended.by.clone(),
        reason: ended.reason.clone(),
        at: Some(ended.interval.latest),
        notices,
    };
    set_end(step, made.cut, restored(Vec::new()));
    tell(step, number, made);
    let now = step.now();
    for owed in step.owed(ObligationId::O12c).filter(|owed| owed.serial == number) {
        owed.meet(now);
    }
    let due = step.due();
    let notices = step.arm(NoticeKind::Restored, &Letter::RestoreDone, &due);
    set_end(step, made.cut, restored(notices));
    step.tenant.cuts.extend(later);
}

/// The cut as one of the tenant's.
fn open(step: &mut Step<'_>, made: &HostCut, number: u32, announced: Option<Announcement>) {
    let ago_ms = step.context.real_now.ms_since(made.interval.earliest).max(0);
    step.tenant.cuts.push(Cut {
        id: made.cut,
        number,
        kind: CutKind::Emergency,
        announced,
        reason: made.reason.clone(),
        ordered_by: made.by.clone(),
        ordered_at: step.now().plus_ms(-ago_ms),
        t0: Some(made.interval),
        commits: BTreeMap::from([(made.host, made.interval)]),
        notices: Vec::new(),
        witness: Witness::Unasked,
        notified_at: None,
        began_at: Some(made.interval.earliest),
        alarm: None,
        alarms: Vec::new(),
        acknowledged: None,
        former: Vec::new(),
        drill: None,
        end: CutEnd::Open,
        reminded_at: step.now(),
    });
}

/// The customer has to know within five minutes of the host's commit, and is told now. What the
/// host may have sent under the same ids says neither why nor when: that follows under others.
fn tell(step: &mut Step<'_>, number: u32, made: &HostCut) {
    let t0 = made.interval.earliest;
    cutting::owe_notification(step, number, t0);
    cutting::owe_restore(step, number, t0);
    let due = step.due();
    let mut notices = step.render(NoticeKind::Cut, &Letter::CutDone, &due);
    watch::reserve(made.cut, &mut notices);
    if made.foretold {
        notices.extend(step.render(NoticeKind::CutCorrection, &Letter::CutDone, &due));
    }
    let mut former = step.render_former(NoticeKind::Cut, &Letter::CutDone, &due);
    watch::reserve(made.cut, &mut former);
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.notices = cutting::ids(&notices);
        cut.former = cutting::ids(&former);
    }
    step.arm_rendered(notices);
    step.arm_rendered(former);
}

fn set_end(step: &mut Step<'_>, id: CutId, end: CutEnd) {
    if let Some(cut) = step.tenant.cuts.iter_mut().find(|cut| cut.id == id) {
        cut.end = end;
    }
}
