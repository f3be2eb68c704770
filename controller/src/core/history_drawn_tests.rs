//! What random histories are drawn from.

use std::fmt;

use proptest::prelude::*;

use super::{Digest, Finding, FindingResult, Power, Reported, said};

/// What happens next. Numbers choose among what is possible then.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// An event that the phase admits, by somebody in a role that may cause it.
    Admitted(usize, usize),
    /// Any event, by somebody in a role that may cause it.
    Any(usize, usize),
    /// Any event, by somebody in any role.
    Intrude(usize, usize),
    /// Sound hosts answer.
    Obey,
    /// A host fails what it was ordered.
    Fail(usize),
    /// A host reports on any order that it was ever given: late, again, or falsely.
    Report(usize, usize),
    /// The notices that somebody waits for arrive.
    Deliver,
    /// Any notice that was ever armed arrives, or is sent and no more.
    Stray(usize, bool),
    /// Both clocks jump by seconds, also backwards, and time passes.
    Jump(i64),
    /// The real clock alone jumps by seconds.
    Drift(i64),
    /// Time goes on to the next wake-up.
    Wake,
    /// What happened last happens again, later.
    Again,
    /// The fleet is full, or has room.
    Room(bool),
    /// The State Council's next notice is in, and deadlines are counted anew.
    Amend,
    /// An administrator signs what waits for it.
    Sign,
}

/// Drawn from three numbers: an alternative for each would draw a thousand times as much.
fn next() -> impl Strategy<Value = Next> {
    (0..46_u32, 0..960_usize, 0..960_usize).prop_map(|(turn, one, two)| {
        let signed = |number: usize| i64::try_from(number).unwrap_or(0) - 480;
        match turn {
            0..14 => Next::Admitted(one, two),
            14..16 => Next::Any(one, two),
            16 => Next::Intrude(one, two),
            17..23 => Next::Obey,
            23..25 => Next::Fail(one),
            25..27 => Next::Report(one, two),
            27..31 => Next::Deliver,
            31 => Next::Stray(one, two.is_multiple_of(2)),
            32..34 => Next::Jump(signed(one) * 500 + signed(two)),
            34 => Next::Jump((signed(one) + 160) * 7_919 + signed(two)),
            35 => Next::Drift(signed(one)),
            36..41 => Next::Wake,
            41 => Next::Again,
            42 => Next::Room(one.is_multiple_of(2)),
            43 => Next::Amend,
            _ => Next::Sign,
        }
    })
}

/// How a history begins, and what happens then.
#[derive(Clone)]
pub(super) struct Story {
    /// Where on the way it begins, under which rules and on which day.
    pub(super) begins: usize,
    pub(super) steps: Vec<Next>,
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "begins {}:", self.begins)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "  {step:?}"))
    }
}

pub(super) fn story() -> impl Strategy<Value = Story> {
    let steps = proptest::collection::vec(next(), 30..160);
    (0..960_usize, steps).prop_map(|(begins, steps)| Story { begins, steps })
}

/// Spoils a sound report in one of several ways, or leaves it.
pub(super) fn spoil(report: &mut Reported, how: usize) {
    match (report, how % 8) {
        (Reported::Wiped { findings }, 1) => {
            findings.pop();
        }
        (Reported::Wiped { findings }, 2) => {
            findings.iter_mut().for_each(|finding| finding.attempt += 1);
        }
        (Reported::Wiped { findings }, 3) => {
            if let Some(last) = findings.last().copied() {
                findings.push(Finding { result: FindingResult::NotPass, ..last });
            }
        }
        (Reported::Configured { instances }, 1) => {
            instances.pop();
        }
        (Reported::Configured { instances }, 2 | 3) => {
            instances.iter_mut().for_each(|(_, power)| {
                *power = if *power == Power::Running { Power::Stopped } else { Power::Running };
            });
        }
        (report, 4) => {
            *report = Reported::Refused { code: said("late"), message: said("too late") };
        }
        (report, 5) => {
            let findings = match report {
                Reported::Wiped { findings } => std::mem::take(findings),
                _ => Vec::new(),
            };
            *report = Reported::Failed { code: said("half"), message: said("some"), findings };
        }
        (report, 6) => *report = Reported::WipeIntent { envelope: Digest::of(b"intent") },
        _ => {}
    }
}
