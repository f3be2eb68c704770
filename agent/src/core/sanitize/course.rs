//! A run on a disk, step by step: which command is next, and what its answer means.

use std::collections::VecDeque;

use tenure_protocol::{
    evidence::predicate::{
        device::Proof,
        device_sanitize::{Commanded, MAX_SIGHTINGS, Sighting, State, Stop},
    },
    time::Timestamp,
};

use super::{
    Answer, Command, ata,
    plan::{PASSWORD, Plan},
};

/// How long after its command a disk may still say what it said before, ms.
const PATIENCE_MS: u64 = 30_000;
/// Looks at the status that come soon one after the other, and how soon, ms: an erasure can be over
/// in no time, and one that nobody saw under way is no pass.
const CLOSE_LOOKS: u32 = 50;
const CLOSE_MS: u64 = 50;
/// Between later looks, ms.
const FAR_MS: u64 = 5_000;
/// Looks in a row that may stay without an answer.
const MAX_MISSES: u32 = 6;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Wait so long, ms, and send the command.
    Send(u64, Command),
    /// Nothing: the run is over.
    End(Stop),
}

/// When a command was sent and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Sent, by the wall clock.
    pub sent_at: Timestamp,
    /// Answered, by the wall clock.
    pub answered_at: Timestamp,
    /// Between the two, ns.
    pub took_ns: u64,
    /// The answer's moment by the monotonic clock, ms.
    pub boot_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Arm,
    Prepare,
    Erase { unit: u32, format: u32 },
    Look(State),
    Observe,
    Disarm,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    plan: Plan,
    before: Option<Sighting>,
    steps: VecDeque<Step>,
    stop: Stop,
    commands: Vec<Commanded>,
    sightings: Vec<Sighting>,
    page: Option<Vec<u8>>,
    looks: u32,
    misses: u32,
    observed_since_ms: Option<u64>,
}

impl Course {
    /// A run from its begin; its intent is durable. `before` is how the disk stood.
    #[must_use]
    pub fn begin(plan: Plan, before: Option<Sighting>) -> Self {
        let first = plan.parts.first().map_or(0, |(part, _)| part.unit);
        let steps: VecDeque<Step> = match plan.method.proof() {
            Proof::Status => [Step::Erase { unit: first, format: 0 }, Step::Observe].into(),
            Proof::Answer => plan
                .parts
                .iter()
                .map(|&(part, format)| Step::Erase { unit: part.unit, format })
                .collect(),
            Proof::Security => {
                [Step::Arm, Step::Look(State::Armed)].into_iter().chain(armed(first)).collect()
            }
        };
        Self::of(plan, before, steps)
    }

    /// The run that was begun before this process, as the disk stands now; nothing if its command
    /// has to be sent again, with a new intent.
    #[must_use]
    pub fn resume(plan: Plan, before: Option<Sighting>, now: Option<Sighting>) -> Option<Self> {
        let now = now?;
        let first = plan.parts.first().map_or(0, |(part, _)| part.unit);
        let steps: VecDeque<Step> = match (plan.method.proof(), now.state) {
            (Proof::Status, State::InProgress) => [Step::Observe].into(),
            // Completed, and written to since: nobody knows by whom, so it is done again.
            (Proof::Status, State::Completed | State::Failed)
                if before.is_some_and(|before| now.is_new_after(&before))
                    && (now.state == State::Failed || now.is_unwritten_since()) =>
            {
                [Step::Observe].into()
            }
            (Proof::Security, State::Armed) => armed(first).collect(),
            (Proof::Status | Proof::Answer | Proof::Security, _) => return None,
        };
        let mut course = Self::of(plan, before, steps);
        course.sightings.push(now);
        Some(course)
    }

    fn of(plan: Plan, before: Option<Sighting>, steps: VecDeque<Step>) -> Self {
        Self {
            plan,
            before,
            steps,
            stop: Stop::Done,
            commands: Vec::new(),
            sightings: Vec::new(),
            page: None,
            looks: 0,
            misses: 0,
            observed_since_ms: None,
        }
    }

    /// What is to be done now.
    #[must_use]
    pub fn next(&self) -> Next {
        let Some(step) = self.steps.front() else { return Next::End(self.stop) };
        let command = match *step {
            Step::Arm => Some(ata::arm(PASSWORD)),
            Step::Prepare => Some(ata::prepare()),
            Step::Erase { unit, format } => self.plan.erase(unit, format),
            Step::Look(_) | Step::Observe => self.plan.look(),
            Step::Disarm => Some(ata::disarm(PASSWORD)),
        };
        let wait_ms = match (*step, self.looks, self.misses) {
            (Step::Observe, 0, 0) => 0,
            (Step::Observe, 0..CLOSE_LOOKS, 0) => CLOSE_MS,
            (Step::Observe, _, _) => FAR_MS,
            (_, _, 0) => 0,
            (_, _, _) => CLOSE_MS,
        };
        // A plan has the commands of its own method.
        command.map_or(Next::End(Stop::Refused), |command| Next::Send(wait_ms, command))
    }

    /// Takes the answer to the command of [`Course::next`].
    pub fn answered(&mut self, answer: &Answer, when: Moment) {
        match (self.steps.front().copied(), answer) {
            (None, _) => {}
            (Some(Step::Erase { unit, .. }), _) => self.erased(unit, answer, when),
            (Some(Step::Look(wanted)), Answer::Done(page)) => self.looked(wanted, page, when),
            (Some(Step::Observe), Answer::Done(page)) => self.observed(page, when),
            (Some(Step::Look(_) | Step::Observe), Answer::Refused(_) | Answer::Lost(_)) => {
                self.missed();
            }
            (Some(Step::Arm | Step::Prepare | Step::Disarm), Answer::Done(_))
            | (Some(Step::Disarm), Answer::Refused(_) | Answer::Lost(_)) => {
                self.steps.pop_front();
            }
            (Some(Step::Arm), Answer::Refused(_)) => self.end(Stop::Refused),
            (Some(Step::Prepare), Answer::Refused(_)) => self.give_up(Stop::Refused),
            // The password may be set, whatever became of the answer.
            (Some(Step::Arm | Step::Prepare), Answer::Lost(_)) => self.give_up(Stop::Lost),
        }
    }

    fn erased(&mut self, unit: u32, answer: &Answer, when: Moment) {
        let (accepted, words, stop) = match answer {
            Answer::Done(_) => (true, "success".to_owned(), None),
            Answer::Refused(words) => (false, words.clone(), Some(Stop::Refused)),
            Answer::Lost(words) => (false, words.clone(), Some(Stop::Lost)),
        };
        self.commands.push(Commanded {
            unit,
            sent_at: when.sent_at,
            answered_at: when.answered_at,
            took_ns: when.took_ns,
            accepted,
            answer: words,
        });
        match stop {
            None => {
                self.steps.pop_front();
            }
            Some(stop) if self.plan.method.proof() == Proof::Security => self.give_up(stop),
            Some(stop) => self.end(stop),
        }
    }

    fn looked(&mut self, wanted: State, page: &[u8], when: Moment) {
        let Ok((seen, _)) = self.plan.see(page, when.answered_at) else { return self.missed() };
        self.page = Some(page.to_vec());
        self.remember(seen);
        self.misses = 0;
        self.steps.pop_front();
        if seen.state != wanted {
            self.give_up(Stop::Failed);
        }
    }

    fn observed(&mut self, page: &[u8], when: Moment) {
        let since_ms = *self.observed_since_ms.get_or_insert(when.boot_ms);
        let Ok((seen, estimate_s)) = self.plan.see(page, when.answered_at) else {
            return self.missed();
        };
        self.page = Some(page.to_vec());
        self.looks = self.looks.saturating_add(1);
        self.misses = 0;
        self.plan.estimate_s = self.plan.estimate_s.or(estimate_s);
        self.remember(seen);
        let passed_ms = when.boot_ms.saturating_sub(since_ms);
        let new = self.sightings.iter().any(|one| one.state == State::InProgress)
            || self.before.is_some_and(|before| seen.is_new_after(&before));
        let patient = !new && passed_ms < PATIENCE_MS;
        match seen.state {
            State::Completed | State::Failed | State::Idle if patient => {}
            State::Completed => self.end(Stop::Done),
            State::Failed => self.end(Stop::Failed),
            // Nothing is under way, and nothing has ended: it says nothing new.
            State::Idle if !new => self.end(Stop::Done),
            State::Idle | State::InProgress | State::Armed | State::Disarmed
                if passed_ms > self.plan.limit_ms() =>
            {
                self.end(Stop::TimedOut);
            }
            State::Idle | State::InProgress | State::Armed | State::Disarmed => {}
        }
    }

    /// The first sighting of each state in a row is kept, and the last.
    fn remember(&mut self, seen: Sighting) {
        let states: Vec<State> = self.sightings.iter().rev().take(2).map(|one| one.state).collect();
        if states == [seen.state, seen.state] || self.sightings.len() >= MAX_SIGHTINGS {
            self.sightings.pop();
        }
        self.sightings.push(seen);
    }

    fn missed(&mut self) {
        self.misses += 1;
        if self.misses >= MAX_MISSES {
            if self.plan.method.proof() == Proof::Security {
                self.give_up(Stop::Lost);
            } else {
                self.end(Stop::Lost);
            }
        }
    }

    fn end(&mut self, stop: Stop) {
        self.stop = stop;
        self.steps.clear();
    }

    /// Ends, and takes the password back if one was set.
    fn give_up(&mut self, stop: Stop) {
        self.end(stop);
        self.steps.push_back(Step::Disarm);
    }

    /// The plan, with the estimate that the disk gave meanwhile.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How the disk stood before.
    #[must_use]
    pub const fn before(&self) -> Option<Sighting> {
        self.before
    }

    /// The commands that erase, answered so far.
    #[must_use]
    pub fn commands(&self) -> &[Commanded] {
        &self.commands
    }

    /// What was seen since the first command.
    #[must_use]
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// The last status page, raw.
    #[must_use]
    pub fn page(&self) -> Option<&[u8]> {
        self.page.as_deref()
    }
}

fn armed(unit: u32) -> impl Iterator<Item = Step> {
    [Step::Prepare, Step::Erase { unit, format: 0 }, Step::Look(State::Disarmed)].into_iter()
}
