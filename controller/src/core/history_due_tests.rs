//! What the oracle says of deadlines: none vanishes, and what is missed stays so.

use super::{
    oracle::{Told, Verdict, rule},
    *,
};
use crate::core::obligation::{Due, Obligation};

/// A missed deadline stays missed, to the instant, and what is missed is recorded.
pub(super) fn missed(known: &mut Vec<Obligation>, told: &Told<'_>) -> Verdict {
    let Told { event, after, context, .. } = told;
    for old in known.iter_mut() {
        let same = |owed: &&Obligation| owed.id == old.id && owed.serial == old.serial;
        let new = after.obligations.iter().find(same).ok_or("a missed deadline vanished")?;
        let kept = match (old.state, new.state) {
            (
                ObligationState::Breached { at, met_at },
                ObligationState::Breached { at: kept, met_at: met },
            ) => at == kept && (met_at.is_none() || met_at == met) && old.due == new.due,
            _ => false,
        };
        rule("a missed deadline stays missed", kept)?;
        old.state = new.state;
    }
    for owed in &after.obligations {
        let limit = limit(owed);
        let clock = match owed.due {
            Due::Instant { .. } => context.real_now,
            Due::Day { .. } | Due::Never => context.now,
        };
        let is_over = limit.is_some_and(|limit| clock >= limit);
        match owed.state {
            ObligationState::Open => {
                let told = matches!(event, Event::Tick) && is_over;
                rule("time does not pass over a missed deadline", !told)?;
            }
            ObligationState::Breached { .. } => {
                let same = |old: &Obligation| old.id == owed.id && old.serial == owed.serial;
                if !known.iter().any(same) {
                    known.push(owed.clone());
                }
            }
            ObligationState::Discharged { .. } | ObligationState::Lapsed { .. } => {}
        }
    }
    Ok(())
}

/// The instant from which an obligation is missed; none while its clock stands still.
fn limit(owed: &Obligation) -> Option<Timestamp> {
    if owed.suspensions.iter().any(|one| one.until.is_none()) {
        return None;
    }
    match owed.due {
        Due::Day { breach_at, .. } => Some(breach_at),
        Due::Instant { due_at } => Some(due_at),
        Due::Never => None,
    }
}

/// Nothing that is owed vanishes; what is late is no success; and a deadline is brought forward by
/// an administrator's signature alone.
pub(super) fn deadlines(told: &Told<'_>) -> Verdict {
    let Told { before, event, actor, after, .. } = told;
    let enough = after.obligations.len() >= before.obligations.len();
    rule("no obligation vanishes", enough)?;
    for (old, new) in before.obligations.iter().zip(&after.obligations) {
        rule("no obligation vanishes", (old.id, old.serial) == (new.id, new.serial))?;
        if old.state != ObligationState::Open {
            let missed = matches!(old.state, ObligationState::Breached { .. });
            rule("what is over is over", missed || old.state == new.state)?;
            continue;
        }
        if let (ObligationState::Discharged { at }, Some(limit)) = (new.state, limit(old)) {
            // The trial is paid by its days: it is met at its end.
            let is_trial = old.id == ObligationId::O6a;
            rule("what is met late is missed", at < limit || is_trial && at == limit)?;
        }
        let (Some(was), Some(is)) = (old.due.due_at(), new.due.due_at()) else { continue };
        let signed = matches!(event, Event::SignRecount { .. });
        let instant = matches!(old.due, Due::Instant { .. });
        if is < was && !(signed && actor.role == Role::Administrator) && !instant {
            return Err(format!("{:?} is brought forward by {}", old.id, event.name()));
        }
    }
    Ok(())
}
