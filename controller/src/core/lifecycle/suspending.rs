//! "Waiting for a third party": the provider's review clock stands still, and the deadline without
//! that is kept beside it. Nobody else's clock can be stopped.

use super::step::Step;
use crate::core::{
    counting,
    obligation::{Obligation, ObligationId, ObligationState, Suspension},
    refusal::{Code, Refusal},
    tenant::Phase,
};

pub(super) fn suspend(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    let (now, by) = (step.now(), step.actor.name.clone());
    let owed = open_review(step)?;
    if owed.is_suspended() {
        return Err(wrong("the review waits for a third party already: resume it first"));
    }
    if owed.due.due_at().is_some_and(|due_at| now >= due_at) {
        return Err(too_late(owed.id));
    }
    let due_before = owed.due;
    let reason = reason.to_owned();
    owed.suspensions.push(Suspension { reason, by, from: now, until: None, due_before });
    Ok(())
}

pub(super) fn resume(step: &mut Step<'_>) -> Result<(), Refusal> {
    let now = step.now();
    let owed = open_review(step)?;
    let last = owed.suspensions.last_mut().filter(|last| last.until.is_none());
    let Some(last) = last else {
        return Err(wrong(
            "the review does not wait for a third party: there is nothing to resume",
        ));
    };
    last.until = Some(now);
    let owed = open_review(step)?.clone();
    let due = counting::anew(&owed, step.context.calendar);
    open_review(step)?.count_anew(due);
    Ok(())
}

/// The review that the provider owes now, in time.
fn open_review<'a>(step: &'a mut Step<'_>) -> Result<&'a mut Obligation, Refusal> {
    let reviews = [
        (Phase::UnderReview, ObligationId::O7b),
        (Phase::OffboardingRequested, ObligationId::O11a),
    ];
    let known = reviews.into_iter().find(|(phase, _)| *phase == step.tenant.phase);
    let id = known.map_or(ObligationId::O3, |(_, id)| id);
    let mut owed = step.owed(id).filter(|owed| owed.state == ObligationState::Open);
    owed.next().ok_or_else(|| too_late(id))
}

fn too_late(id: ObligationId) -> Refusal {
    let sentence = format!(
        "{} is overdue: its clock cannot be stopped any more; give the opinion",
        id.as_str()
    );
    Refusal::new(Code::DeadlinePassed, sentence)
}

fn wrong(sentence: &str) -> Refusal {
    Refusal::new(Code::WrongSuspension, sentence)
}
