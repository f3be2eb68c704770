//! Conclusions of wipes: computed from measured facts, and from nothing else.

use serde::{Deserialize, Serialize};

use super::wipe::{Pass, Pattern, ReadBack, ReadLayer, ReadMode};

/// All of it, in parts per million.
pub const FULL_PPM: u32 = 1_000_000;

/// What became of a wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WipeResult {
    /// All of it overwritten and read back, nothing left out.
    Pass,
    /// All of it overwritten and read back clean, but for named shortcomings beside it.
    PassWithExceptions,
    /// Something is left, or nobody can say that nothing is.
    Failed,
    /// Ended before its end.
    Aborted,
    /// There was nothing where the target should be. Never counts as a wipe.
    AlreadyAbsent,
}

/// Sanitisation category (NIST SP 800-88). Derived, never chosen. Overwriting is at most clear, and
/// key erasure counts as purge only with keys that never lay on a medium: purge is for whole
/// devices that were seen to sanitize themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Nothing that counts.
    None,
    /// Protects against recovery through the interfaces of the system.
    Clear,
    /// Protects against recovery in a laboratory too.
    Purge,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It came to its end.
    Completed,
    /// It was given up before.
    Aborted,
    /// The target was not there when the run began.
    Absent,
}

/// What the measured facts amount to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conclusion {
    /// The result.
    pub result: WipeResult,
    /// The category.
    pub category: Category,
    /// What the category rests on.
    pub basis: String,
    /// The least part of the target that any required pass or read-back covered, parts per million,
    /// rounded down.
    pub coverage_ppm: u32,
    /// Why it is no pass: sentences, empty for a pass alone.
    pub shortcomings: Vec<String>,
}

impl Conclusion {
    /// Where it differs from what the measured facts amount to, as a sentence.
    pub(super) fn dishonesty(&self, computed: &Self) -> Option<String> {
        let why = computed.shortcomings.first().map_or("", String::as_str);
        (self != computed).then(|| {
            format!(
                "it states {:?}, but its measured facts amount to {:?} ({why})",
                self.result, computed.result
            )
        })
    }
}

/// Collects why a wipe is less than a pass, and ends in a [`Conclusion`].
#[derive(Debug)]
pub(super) struct Findings {
    ending: Ending,
    total_bytes: u64,
    covered_bytes: u64,
    failures: Vec<String>,
    exceptions: Vec<String>,
}

impl Findings {
    /// Starts with a target of `total_bytes`, all of it covered until something says otherwise.
    pub(super) fn new(ending: Ending, total_bytes: u64) -> Self {
        let mut findings = Self {
            ending,
            total_bytes,
            covered_bytes: total_bytes,
            failures: Vec::new(),
            exceptions: Vec::new(),
        };
        findings.require(total_bytes > 0, || "nothing of the target was found".to_owned());
        findings
    }

    /// Without this it has failed.
    pub(super) fn require(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(sentence());
        }
    }

    /// Without this it is no full pass.
    pub(super) fn expect(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.exceptions.push(sentence());
        }
    }

    /// Requires a full pass of `pattern` and then a full, clean read-back of it at `layer`.
    pub(super) fn require_overwrite(
        &mut self,
        pattern: Pattern,
        layer: ReadLayer,
        passes: &[Pass],
        read_backs: &[ReadBack],
    ) {
        let total = self.total_bytes;
        let written = passes.iter().rfind(|pass| pass.pattern == pattern);
        let read = read_backs.iter().rfind(|read| read.pattern == pattern);
        self.cover(written.map_or(0, |pass| pass.bytes));
        self.cover(read.map_or(0, |read| read.bytes.saturating_sub(read.mismatched_bytes)));
        self.require(written.is_some_and(|pass| pass.bytes == total), || {
            format!("the pass of {pattern:?} did not write all of the {total} bytes")
        });
        self.require(written.is_none_or(|pass| pass.error_bytes == 0), || {
            format!("the pass of {pattern:?} met bytes that could not be written")
        });
        self.require(read.is_some_and(|read| read.bytes == total), || {
            format!("the read-back of {pattern:?} did not read all of the {total} bytes")
        });
        self.require(read.is_none_or(ReadBack::is_clean), || {
            format!("the read-back of {pattern:?} found other or unreadable bytes")
        });
        self.require(
            read.is_none_or(|read| {
                let direct = read.direct || layer == ReadLayer::Memory;
                read.mode == ReadMode::Full && read.layer == layer && direct
            }),
            || format!("the read-back of {pattern:?} was not a full, direct one at {layer:?}"),
        );
    }

    /// At most so many bytes are covered.
    pub(super) fn cover(&mut self, bytes: u64) {
        self.covered_bytes = self.covered_bytes.min(bytes);
    }

    /// The conclusion of what overwrites: clear, at most. `basis` is what that rests on.
    pub(super) fn conclude(self, basis: &str) -> Conclusion {
        self.conclude_as(Category::Clear, basis)
    }

    /// The conclusion. `basis` is what the category of a pass rests on.
    pub(super) fn conclude_as(self, category: Category, basis: &str) -> Conclusion {
        let coverage_ppm = if self.total_bytes == 0 {
            0
        } else {
            let ppm = u128::from(self.covered_bytes) * u128::from(FULL_PPM)
                / u128::from(self.total_bytes);
            u32::try_from(ppm).unwrap_or(FULL_PPM).min(FULL_PPM)
        };
        let result = match self.ending {
            Ending::Absent => WipeResult::AlreadyAbsent,
            Ending::Aborted => WipeResult::Aborted,
            Ending::Completed if !self.failures.is_empty() || coverage_ppm < FULL_PPM => {
                WipeResult::Failed
            }
            Ending::Completed if !self.exceptions.is_empty() => WipeResult::PassWithExceptions,
            Ending::Completed => WipeResult::Pass,
        };
        let (category, basis) = match result {
            WipeResult::Pass | WipeResult::PassWithExceptions => (category, basis),
            WipeResult::Failed | WipeResult::Aborted | WipeResult::AlreadyAbsent => {
                (Category::None, "no complete wipe was measured")
            }
        };
        let mut shortcomings = self.failures;
        shortcomings.extend(self.exceptions);
        Conclusion { result, category, basis: basis.to_owned(), coverage_ppm, shortcomings }
    }
}
