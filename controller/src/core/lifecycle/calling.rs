//! The upper rungs of the ladder, and what ends it (clause 6.3): while nothing of grade E2 is known
//! of an emergency cut, the provider's own people are called to phone the customer; and a person
//! of the customer acknowledges it, grade E3.
//!
//! ```text
//! cut ──T+60 s──→ second contacts ──T+180 s──→ phone ──T+300 s──→ O12b is breached; tries go on
//!  └─────── E2 ──→ told: alarms that are not out yet are stopped
//!  └─────── E3 ──→ told: if the customer itself came in, the cut's own notices are stopped too
//! ```
//! What an operator heard ends nobody's notices: they go on until one arrives, so that the customer
//! sees what is said of it. And whoever announced a planned cut has not heard that it is known.
//!
//! T counts from t0, and from the order while no t0 is known. Which alarm is due follows from the
//! cut alone: after a standstill the last one whose time has come goes out, and each goes out once.
//! The customer's contacts are all told at T+0 over every channel; whom the alarms call is the
//! provider's duty desk and its second contacts. What goes out at T+300 s is the breach's own
//! ([`super::reminding::escalate`]).

use tenure_protocol::{id::NoticeId, time::Timestamp, wire::watch::DisarmReason};

use super::{
    effect::{Acknowledged, Effect},
    reminding,
    step::Step,
};
use crate::core::{
    letter::Letter,
    notice::NoticeKind,
    obligation::{Obligation, ObligationId},
    refusal::{Code, Refusal},
    tenant::{Acknowledgement, CutEnd},
};

/// Why notices are stopped.
const KNOWN: &str = "a person of the customer has acknowledged it";

/// Calls the provider's people with the last alarm whose time has come, if they were not yet.
pub(super) fn call(step: &mut Step<'_>) {
    if !step.tenant.phase.holds_resources() {
        return;
    }
    let real_now = step.context.real_now;
    for place in 0..step.tenant.cuts.len() {
        let cut = &mut step.tenant.cuts[place];
        let Some(alarm) = cut.alarm_at(real_now).filter(|alarm| cut.alarm < Some(*alarm)) else {
            continue;
        };
        cut.alarm = Some(alarm);
        let letter = Letter::Untold { cut: cut.number, alarm };
        let provider = step.context.provider;
        let known = |one: &&_| !provider.contacts.contains(one);
        let desks: Vec<_> =
            provider.contacts.iter().chain(provider.second.iter().filter(known)).cloned().collect();
        let due = step.due();
        let notices = step.arm_for(NoticeKind::DutyAlarm, &letter, &due, &desks);
        step.tenant.cuts[place].alarms.extend(notices);
    }
}

/// When the next alarm goes out; real clock.
pub(super) fn next_at(step: &Step<'_>) -> Option<Timestamp> {
    if !step.tenant.phase.holds_resources() {
        return None;
    }
    step.tenant.cuts.iter().filter_map(crate::core::tenant::Cut::next_alarm_at).min()
}

/// Nobody need be called any more about the cut of this number.
pub(super) fn silence(step: &mut Step<'_>, number: u32, reason: &str) {
    let cut = step.tenant.cuts.iter().find(|cut| cut.number == number);
    let notices = cut.map_or(&[][..], |cut| &cut.alarms).to_vec();
    stop(step, notices, reason);
}

/// The customer came in and says that it knows.
pub(super) fn acknowledge(step: &mut Step<'_>, cut: Option<u32>) -> Result<(), Refusal> {
    step.applicant();
    let (by, now) = (step.actor.name.clone(), step.context.real_now);
    let given = Acknowledgement {
        person: by.clone(),
        over: None,
        words: None,
        at: now,
        recorded_by: by,
        recorded_at: now,
    };
    acknowledged(step, cut, given)
}

/// An operator has heard it from a person of the customer.
pub(super) fn heard(
    step: &mut Step<'_>,
    cut: Option<u32>,
    [person, over, words]: [&str; 3],
    at: Timestamp,
) -> Result<(), Refusal> {
    let given = Acknowledgement {
        person: person.to_owned(),
        over: Some(over.to_owned()),
        words: Some(words.to_owned()),
        at,
        recorded_by: step.actor.name.clone(),
        recorded_at: step.context.real_now,
    };
    acknowledged(step, cut, given)
}

fn acknowledged(
    step: &mut Step<'_>,
    cut: Option<u32>,
    given: Acknowledgement,
) -> Result<(), Refusal> {
    match cut {
        Some(number) => of_cut(step, number, given),
        None => of_announcement(step, given),
    }
}

fn of_cut(step: &mut Step<'_>, number: u32, given: Acknowledgement) -> Result<(), Refusal> {
    let real_now = step.context.real_now;
    let void = |end: &CutEnd| matches!(end, CutEnd::Void { .. });
    let cuts = step.tenant.cuts.iter_mut();
    let Some(cut) = cuts.rev().find(|cut| cut.number == number && !void(&cut.end)) else {
        return Err(Refusal::new(
            Code::UnknownCut,
            format!(
                "this tenant has no cut #{number}, or no host made it: its notices and the list \
                 of its cuts give the number"
            ),
        ));
    };
    fits(cut.acknowledged.as_ref(), cut.began_at.unwrap_or(cut.ordered_at), &given, real_now)?;
    let at = given.at;
    cut.acknowledged = Some(given.clone());
    cut.notified_at = Some(cut.notified_at.map_or(at, |known| known.min(at)));
    let (notices, id, emergency) = (cut.notices.clone(), cut.id, cut.kind.is_at_once());
    let due_at = step.tenant.cuts.iter().find(|cut| cut.number == number);
    let due_at = due_at.and_then(|cut| step.tenant.notify_by(cut));
    // What is recorded once the deadline has passed rewrites no breach, and prevents none: a tick
    // that came late must not make a difference.
    let mut missed: Vec<Obligation> = Vec::new();
    for owed in step.owed(ObligationId::O12b).filter(|owed| owed.serial == number) {
        if owed.expire(real_now) {
            missed.push(owed.clone());
        }
        owed.meet(at);
    }
    for owed in &missed {
        reminding::escalate(step, owed);
    }
    sign(step, &notices, NoticeKind::Cut, due_at, &given);
    silence(step, number, KNOWN);
    if given.is_own() {
        stop(step, notices, KNOWN);
    }
    if given.is_own() && emergency {
        step.effects.push(Effect::Disarm { cut: id, reason: DisarmReason::Told });
    }
    Ok(())
}

fn of_announcement(step: &mut Step<'_>, given: Acknowledgement) -> Result<(), Refusal> {
    let legal_ahead = step.context.now.ms_since(step.context.real_now);
    let real_now = step.context.real_now;
    let Some(announced) = &mut step.tenant.announcement else {
        return Err(Refusal::new(
            Code::NotNotified,
            "no planned cut is announced: give the number of the cut that is acknowledged",
        ));
    };
    if !given.is_own() && announced.by == given.recorded_by {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            "whoever announced a cut cannot record that its customer knows of it: let another \
             person who heard it do so",
        ));
    }
    let since = announced.at.plus_ms(-legal_ahead);
    fits(announced.acknowledged.as_ref(), since, &given, real_now)?;
    let at = given.at;
    announced.acknowledged = Some(given.clone());
    announced.delivered_at = Some(announced.delivered_at.map_or(at, |known| known.min(at)));
    let notices = announced.notices.clone();
    step.meet(ObligationId::O12a);
    sign(step, &notices, NoticeKind::CutAnnounced, None, &given);
    if given.is_own() {
        stop(step, notices, KNOWN);
    }
    Ok(())
}

/// An acknowledgement is the first one, of what has happened, and not from the future.
fn fits(
    known: Option<&Acknowledgement>,
    since: Timestamp,
    given: &Acknowledgement,
    real_now: Timestamp,
) -> Result<(), Refusal> {
    if let Some(known) = known {
        return Err(Refusal::new(
            Code::AlreadyAcknowledged,
            format!("{} acknowledged it already, at {}: nothing to do", known.person, known.at),
        ));
    }
    if given.at < since || given.at > real_now {
        return Err(Refusal::new(
            Code::InvalidInput,
            format!(
                "it was acknowledged at {}, which is not between {since}, when it was ordered, \
                 and {real_now}, which is now: give the instant at which it was heard",
                given.at
            ),
        ));
    }
    Ok(())
}

fn sign(
    step: &mut Step<'_>,
    notices: &[NoticeId],
    kind: NoticeKind,
    due_at: Option<Timestamp>,
    given: &Acknowledgement,
) {
    // A customer without any channel has no notice that this could stand for: it gets an id.
    let fresh = NoticeId::from_uuid(step.draw.uuid());
    let notice = notices.first().copied().unwrap_or(fresh);
    let acknowledged = Acknowledged { notice, kind, due_at, given: given.clone() };
    step.effects.push(Effect::Acknowledge(Box::new(acknowledged)));
}

fn stop(step: &mut Step<'_>, notices: Vec<NoticeId>, reason: &str) {
    if !notices.is_empty() {
        step.effects.push(Effect::Stop { notices, reason: reason.to_owned() });
    }
}
