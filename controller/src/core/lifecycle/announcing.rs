//! A planned cut (clause 6.3, the normal case): the customer is told first, and only a notice that
//! reached it (grade E2) lets the cut be ordered.

use tenure_protocol::{id::NoticeId, time::Timestamp};

use super::step::Step;
use crate::core::{
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{Announcement, Isolation},
};

pub(super) fn announce(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    if step.tenant.isolation != Isolation::Connected {
        return Err(Refusal::new(
            Code::WrongIsolation,
            "a cut is open already: restore it first, or wait until its restore is done",
        ));
    }
    if step.tenant.announcement.is_some() {
        return Err(Refusal::new(
            Code::AlreadyAnnounced,
            "a planned cut is announced already: carry it out, or call it off first",
        ));
    }
    let letter = Letter::CutAnnounced { reason: reason.to_owned() };
    let due = step.due();
    let notices = step.arm(NoticeKind::CutAnnounced, &letter, &due);
    let (by, at) = (step.actor.name.clone(), step.now());
    let reason = reason.to_owned();
    step.tenant.announcement =
        Some(Announcement { reason, by, at, notices, delivered_at: None, acknowledged: None });
    step.owe(ObligationId::O12a);
    Ok(())
}

pub(super) fn call_off(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    if step.tenant.announcement.take().is_none() {
        return Err(Refusal::new(Code::NotNotified, "no planned cut is announced"));
    }
    step.lapse(ObligationId::O12a);
    let letter = Letter::CutCalledOff { reason: reason.to_owned() };
    let due = step.due();
    step.arm(NoticeKind::CutCalledOff, &letter, &due);
    Ok(())
}

/// The notice of a planned cut reached the customer. `at` is real time.
pub(super) fn notified(step: &mut Step<'_>, notice: NoticeId, at: Timestamp) {
    let Some(announced) = &mut step.tenant.announcement else { return };
    if announced.notices.contains(&notice) && announced.delivered_at.is_none() {
        announced.delivered_at = Some(at);
        step.meet(ObligationId::O12a);
    }
}

/// What a planned cut rests on: an announcement that reached the customer.
pub(super) fn delivered(step: &mut Step<'_>) -> Result<Announcement, Refusal> {
    let announced = step.tenant.announcement.as_ref();
    if announced.is_none_or(|announced| announced.delivered_at.is_none()) {
        return Err(Refusal::new(
            Code::NotNotified,
            "clause 6.3 lets a planned cut be made once the customer was notified, and no notice \
             has reached it: announce the cut, and wait until a notice is delivered (grade E2); \
             in an emergency give the kind emergency",
        ));
    }
    step.tenant
        .announcement
        .take()
        .ok_or_else(|| Refusal::new(Code::NotNotified, "no planned cut is announced"))
}
