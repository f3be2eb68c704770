//! A new notice of the State Council counts open deadlines anew (R16). By itself that moves a
//! deadline only later for the party who owes it; an earlier one waits for an administrator's
//! signature. Old, new, notice and reason stay with the obligation, whatever comes after.

use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::step::Step;
use crate::core::{
    calendar::Calendar,
    counting,
    obligation::{Due, Move, Obligation, ObligationId, ObligationState},
    refusal::{Code, Refusal},
    tenant::Tenant,
};

/// A deadline that a calendar counts otherwise than it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which obligation.
    pub id: ObligationId,
    /// Which of its repetitions.
    pub serial: u32,
    /// As it stands.
    pub old: Due,
    /// As the calendar counts it.
    pub new: Due,
}

/// The open deadlines of a tenant that this calendar counts otherwise, by what is stored of how
/// they were counted: never by newer rules. One that is missed stays missed.
#[must_use]
pub fn changes(tenant: &Tenant, calendar: &Calendar, now: Timestamp) -> Vec<Change> {
    let open = tenant.obligations.iter().filter(|owed| is_open(owed, now));
    open.filter_map(|owed| {
        let Due::Day { .. } = owed.due else { return None };
        if owed.is_suspended() {
            // It is counted when its clock goes on.
            return None;
        }
        let new = counting::anew(owed, calendar);
        let known = owed.moves.last().is_some_and(|last| !last.applied && last.new == new);
        let moved = matches!(new, Due::Day { .. }) && new != owed.due && !known;
        moved.then_some(Change { id: owed.id, serial: owed.serial, old: owed.due, new })
    })
    .collect()
}

pub(super) fn recount(
    step: &mut Step<'_>,
    notice: &str,
    reason: &str,
    changes: &[Change],
) -> Result<(), Refusal> {
    let at = step.now();
    for Change { id, serial, old, new } in changes {
        let owed = open(step, *id, *serial)?;
        if owed.due != *old {
            return Err(moved_on(*id));
        }
        let applied = new.due_at() >= old.due_at();
        owed.moves.push(Move {
            at,
            old: *old,
            new: *new,
            notice: notice.to_owned(),
            reason: reason.to_owned(),
            applied,
            signed_by: None,
        });
        if applied {
            owed.due = *new;
            follow(step, *id, *new);
        }
    }
    Ok(())
}

/// An administrator signs the earlier deadline that a recount has left waiting.
pub(super) fn sign(
    step: &mut Step<'_>,
    id: ObligationId,
    serial: u32,
    reason: &str,
) -> Result<(), Refusal> {
    let (name, at) = (step.actor.name.clone(), step.now());
    let owed = open(step, id, serial)?;
    let waiting = owed.moves.last().filter(|last| !last.applied && last.old == owed.due).cloned();
    let Some(waiting) = waiting else {
        let sentence = format!("no earlier deadline of {} waits for a signature", id.as_str());
        return Err(Refusal::new(Code::NothingToSign, sentence));
    };
    let new = waiting.new;
    owed.due = new;
    let (reason, signed_by) = (reason.to_owned(), Some(name));
    owed.moves.push(Move { at, reason, signed_by, applied: true, ..waiting });
    follow(step, id, new);
    Ok(())
}

fn open<'a>(
    step: &'a mut Step<'_>,
    id: ObligationId,
    serial: u32,
) -> Result<&'a mut Obligation, Refusal> {
    let now = step.now();
    let mut all = step.tenant.obligations.iter_mut();
    let found = all.find(|owed| owed.id == id && owed.serial == serial);
    found.filter(|owed| is_open(owed, now)).ok_or_else(|| moved_on(id))
}

/// Open, and not missed, though nobody may have recorded that yet.
fn is_open(owed: &Obligation, now: Timestamp) -> bool {
    owed.state == ObligationState::Open && owed.breach_at().is_none_or(|at| now < at)
}

fn moved_on(id: ObligationId) -> Refusal {
    let sentence = format!("the deadline of {} is no longer what it was: look again", id.as_str());
    Refusal::new(Code::DeadlineMoved, sentence)
}

/// The trial ends when the obligation to give it ends.
fn follow(step: &mut Step<'_>, id: ObligationId, due: Due) {
    if let (ObligationId::O6a, Some(trial), Some(end)) =
        (id, step.tenant.trial.as_mut(), due.last_day())
    {
        trial.end = end;
    }
}
