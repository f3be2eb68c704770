//! Legal holds and disputes: placed by security, at once; ended only by two persons. A hold blocks
//! every step up to the order of a wipe, and destroys nothing.

use super::{event::Document, step::Step};
use crate::core::{
    refusal::{Code, Refusal},
    tenant::{Hold, HoldAct, HoldKind, Tenant},
};

/// Holds that one tenant may ever have.
const HOLDS_LIMIT: usize = 1_000;

pub(super) fn place(
    step: &mut Step<'_>,
    kind: HoldKind,
    document: &Document,
    reason: &str,
) -> Result<(), Refusal> {
    let placed = act(step, document, reason)?;
    if step.tenant.holds.len() >= HOLDS_LIMIT {
        return Err(Refusal::new(
            Code::InvalidInput,
            format!("a tenant has at most {HOLDS_LIMIT} holds: one that stands blocks as well"),
        ));
    }
    let same =
        |hold: &Hold| hold.blocks() && hold.kind == kind && hold.placed.document == *document;
    if let Some(known) = step.tenant.holds.iter().find(|hold| same(hold)) {
        let sentence = format!("hold {} rests on this document already", known.number);
        return Err(Refusal::new(Code::OnHold, sentence));
    }
    let number = u32::try_from(step.tenant.holds.len()).unwrap_or(u32::MAX).saturating_add(1);
    step.tenant.holds.push(Hold { number, kind, placed, released: None });
    Ok(())
}

pub(super) fn release(
    step: &mut Step<'_>,
    number: u32,
    document: &Document,
    reason: &str,
) -> Result<(), Refusal> {
    let released = act(step, document, reason)?;
    let known = unknown(step, number);
    let hold = step.tenant.holds.iter_mut().find(|hold| hold.number == number);
    let hold = hold.filter(|hold| hold.released.is_none()).ok_or(known)?;
    hold.released = Some(released);
    Ok(())
}

pub(super) fn countersign(step: &mut Step<'_>, number: u32) -> Result<(), Refusal> {
    let name = step.actor.name.clone();
    let known = unknown(step, number);
    let hold = step.tenant.holds.iter_mut().find(|hold| hold.number == number);
    let act = hold.and_then(Hold::uncountersigned).ok_or(known)?;
    if act.by == name {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!("{name} did this: a second person has to countersign it"),
        ));
    }
    act.countersigned_by = Some(name);
    Ok(())
}

/// Refuses what a hold blocks.
pub(super) fn free(tenant: &Tenant, what: &str) -> Result<(), Refusal> {
    let numbers: Vec<String> = tenant
        .holds
        .iter()
        .filter(|hold| hold.blocks())
        .map(|hold| format!("{} ({})", hold.number, hold.placed.document.title))
        .collect();
    if numbers.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::OnHold,
        format!(
            "{what} is blocked by hold {}: security releases it, and a second person countersigns",
            numbers.join(", ")
        ),
    ))
}

fn act(step: &Step<'_>, document: &Document, reason: &str) -> Result<HoldAct, Refusal> {
    Ok(HoldAct {
        document: document.clone(),
        reason: reason.to_owned(),
        by: step.actor.name.clone(),
        at: step.now(),
        countersigned_by: None,
    })
}

fn unknown(step: &Step<'_>, number: u32) -> Refusal {
    let numbers: Vec<String> = step
        .tenant
        .holds
        .iter()
        .filter(|hold| hold.blocks())
        .map(|hold| hold.number.to_string())
        .collect();
    let standing = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
    let sentence = format!(
        "nothing of hold {number} can be released or countersigned now; holds that stand: \
         {standing}"
    );
    Refusal::new(Code::UnknownHold, sentence)
}
