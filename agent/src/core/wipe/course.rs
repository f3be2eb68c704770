//! How far a wipe has come: what is journalled, and what a resume goes on from.

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{Pass, Pattern, ReadBack, ReadMode, Span, wipe::ReadLayer},
    time::Timestamp,
};

use super::ranges::RangeSet;

/// What is done now. The module's diagram shows the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// A pass of overwriting.
    Write(Pattern),
    /// Reading it back from the medium.
    ReadBack(Pattern),
    /// All is measured: what is left is to unlink the file.
    Remove,
}

impl Stage {
    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Write(pattern) => Self::ReadBack(pattern),
            Self::ReadBack(Pattern::Stream) => Self::Write(Pattern::Zeros),
            Self::ReadBack(Pattern::Zeros) | Self::Remove => Self::Remove,
        }
    }
}

/// A reading of the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lap {
    /// The moment.
    pub at: Timestamp,
    /// Since the reading before in the same process, ns by the monotonic clock.
    pub since_ns: u64,
}

/// The state of a wipe: stage, how far in it, and what was measured so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    stage: Stage,
    offset: u64,
    target_bytes: u64,
    started_at: Timestamp,
    took_ns: u64,
    stage_span: Span,
    errors: RangeSet,
    mismatches: RangeSet,
    passes: Vec<Pass>,
    read_backs: Vec<ReadBack>,
    bad_ranges: RangeSet,
    interruptions: u32,
}

impl Course {
    /// Before the first write to a target of so many bytes.
    #[must_use]
    pub fn begin(target_bytes: u64, at: Timestamp) -> Self {
        Self {
            stage: Stage::Write(Pattern::Stream),
            offset: 0,
            target_bytes,
            started_at: at,
            took_ns: 0,
            stage_span: Span { started_at: at, ended_at: at, took_ns: 0 },
            errors: RangeSet::default(),
            mismatches: RangeSet::default(),
            passes: Vec::new(),
            read_backs: Vec::new(),
            bad_ranges: RangeSet::default(),
            interruptions: 0,
        }
    }

    /// After an interruption: a write goes on, a read-back starts again and forgets what it found.
    #[must_use]
    pub fn resumed(mut self, at: Timestamp) -> Self {
        self.interruptions = self.interruptions.saturating_add(1);
        match self.stage {
            Stage::ReadBack(_) => self.enter(self.stage, at),
            Stage::Write(_) | Stage::Remove => {}
        }
        self
    }

    /// What is done now.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// How many of the target's bytes this stage is through with, without a gap.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes each stage goes through.
    #[must_use]
    pub const fn target_bytes(&self) -> u64 {
        self.target_bytes
    }

    /// The passes that came to their end, in their order.
    #[must_use]
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The read-backs that came to their end, in their order.
    #[must_use]
    pub fn read_backs(&self) -> &[ReadBack] {
        &self.read_backs
    }

    /// Ranges of the medium that could not be written or read.
    #[must_use]
    pub const fn bad_ranges(&self) -> &RangeSet {
        &self.bad_ranges
    }

    /// How often it was resumed.
    #[must_use]
    pub const fn interruptions(&self) -> u32 {
        self.interruptions
    }

    /// From the begin to the last moment that was noted.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span {
            started_at: self.started_at,
            ended_at: self.stage_span.ended_at,
            took_ns: self.took_ns,
        }
    }

    /// Within a stage: all before `offset` is done; `errors` are ranges of the medium that could
    /// not be written or read, `mismatches` those that held something else.
    pub fn advance(&mut self, offset: u64, errors: &RangeSet, mismatches: &RangeSet, lap: Lap) {
        self.offset = self.offset.max(offset).min(self.target_bytes);
        self.errors.extend(errors.ranges());
        self.mismatches.extend(mismatches.ranges());
        self.note(lap);
    }

    /// The stage came to its end. `layer` says where a read-back read, `direct` whether it bypassed
    /// the page cache.
    pub fn complete(&mut self, layer: ReadLayer, direct: bool, lap: Lap) {
        self.note(lap);
        let error_bytes = self.errors.bytes().min(self.offset);
        let bytes = self.offset - error_bytes;
        let span = self.stage_span;
        match self.stage {
            Stage::Write(pattern) => self.passes.push(Pass { pattern, bytes, error_bytes, span }),
            Stage::ReadBack(pattern) => self.read_backs.push(ReadBack {
                pattern,
                mode: ReadMode::Full,
                layer,
                direct,
                bytes,
                mismatched_bytes: self.mismatches.bytes().min(bytes),
                unreadable_bytes: error_bytes,
                span,
            }),
            Stage::Remove => {}
        }
        self.bad_ranges.extend(self.errors.ranges());
        self.enter(self.stage.next(), lap.at);
    }

    fn enter(&mut self, stage: Stage, at: Timestamp) {
        self.stage = stage;
        self.offset = 0;
        self.errors = RangeSet::default();
        self.mismatches = RangeSet::default();
        self.stage_span = Span { started_at: at, ended_at: at, took_ns: 0 };
    }

    fn note(&mut self, lap: Lap) {
        self.took_ns = self.took_ns.saturating_add(lap.since_ns);
        self.stage_span.took_ns = self.stage_span.took_ns.saturating_add(lap.since_ns);
        self.stage_span.ended_at = lap.at;
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
