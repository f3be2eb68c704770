//! Cuts that a person ordered on a host itself, while no controller answered there. What the host
//! did stands; here it becomes the controller's own:
//!
//! ```text
//! Connected, Restoring ─cut-by-host→ Cutting: the customer is told, the other hosts cut as well,
//!                                    and the restore goes by the ordinary way from then on
//! Cutting, Cut         ─cut-by-host→ the same cut goes on, counted from the first host's commit
//! a drill              ─cut-by-host→ as Connected: the drill is overtaken
//! Connected            ─cut-by-host, ended there→ Connected: the customer is told of both
//! Cutting, Cut, Restoring ─cut-by-host, ended there→ its commit counts for the cut that is there;
//!                                    its end stands in the host's statements alone
//! ```
//! The five minutes run from the host's commit, however late the controller hears of it. The host
//! that cut is ordered to cut, too: from that order on the cut is the controller's to end.

use std::collections::BTreeMap;

use tenure_protocol::{id::CutId, time::Timestamp};

use super::{
    cutting, drilling,
    event::{CutKind, HostCut},
    step::Step,
};
use crate::core::{
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{Cut, CutEnd, Isolation, OrderKind},
    watch::Witness,
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
    match (step.tenant.isolation, &made.ended) {
        (Isolation::Connected, Some(_)) => past(step, made),
        (Isolation::Connected | Isolation::Restoring { .. }, None) => begin(step, made),
        (Isolation::Cutting { .. } | Isolation::Cut { .. }, _)
        | (Isolation::Restoring { .. }, Some(_)) => {
            cutting::commit(step, made.host, made.interval);
        }
    }
    Ok(())
}

/// A cut that goes on.
fn begin(step: &mut Step<'_>, made: &HostCut) {
    let number = open(step, made);
    step.tenant.isolation = Isolation::Cutting { cut: made.cut };
    tell(step, number, made.interval.earliest);
    cutting::watch(step, made.cut);
    step.order_all(OrderKind::Cut);
}

/// A cut that is over: nothing is ordered, and everything is said.
fn past(step: &mut Step<'_>, made: &HostCut) {
    let Some(ended) = &made.ended else { return };
    let number = open(step, made);
    let restored = |notices| CutEnd::Restored {
        by: ended.by.clone(),
        reason: ended.reason.clone(),
        at: Some(ended.interval.latest),
        notices,
    };
    set_end(step, made.cut, restored(Vec::new()));
    tell(step, number, made.interval.earliest);
    step.meet(ObligationId::O12c);
    let due = step.due();
    let notices = step.arm(NoticeKind::Restored, &Letter::RestoreDone, &due);
    set_end(step, made.cut, restored(notices));
}

/// The cut as one of the tenant's; gives its number.
fn open(step: &mut Step<'_>, made: &HostCut) -> u32 {
    let number = step.tenant.last_cut().map_or(0, |cut| cut.number).saturating_add(1);
    // What was planned is overtaken.
    step.lapse(ObligationId::O12a);
    let announced = step.tenant.announcement.take();
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
        drill: None,
        end: CutEnd::Open,
        reminded_at: step.now(),
    });
    number
}

/// The customer has to know within five minutes of the host's commit, and is told now.
fn tell(step: &mut Step<'_>, number: u32, t0: Timestamp) {
    cutting::owe_notification(step, number, t0);
    cutting::owe_restore(step, number, t0);
    let due = step.due();
    let notices = step.arm(NoticeKind::Cut, &Letter::CutDone, &due);
    if let Some(cut) = step.tenant.cuts.last_mut() {
        cut.notices = notices;
    }
}

fn set_end(step: &mut Step<'_>, id: CutId, end: CutEnd) {
    if let Some(cut) = step.tenant.cuts.iter_mut().find(|cut| cut.id == id) {
        cut.end = end;
    }
}
