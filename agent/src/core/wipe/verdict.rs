//! What a measurement is worth.

use tenure_protocol::evidence::predicate::{Measured, WipeResult};

/// Proof that a wipe passed. Only [`Verdict::of`] makes one, and only from measured facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    _only_from_a_measurement: (),
}

/// What became of a wipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it overwritten and read back clean, nothing left out.
    Pass(Passed),
    /// All of it overwritten and read back clean, with shortcomings beside it, as sentences.
    PassWithExceptions(Vec<String>),
    /// No pass, and why, as sentences.
    Failed(Vec<String>),
}

impl Verdict {
    /// Judges by the rule with which verifiers judge the statement: [`Measured::conclude`].
    #[must_use]
    pub fn of<M: Measured>(measured: &M) -> Self {
        let conclusion = measured.conclude();
        match conclusion.result {
            WipeResult::Pass => Self::Pass(Passed { _only_from_a_measurement: () }),
            WipeResult::PassWithExceptions => Self::PassWithExceptions(conclusion.shortcomings),
            WipeResult::Failed | WipeResult::Aborted | WipeResult::AlreadyAbsent => {
                Self::Failed(conclusion.shortcomings)
            }
        }
    }
}
