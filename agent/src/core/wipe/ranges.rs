//! Sets of byte ranges that stay small whatever a failing medium reports.

use serde::{Deserialize, Serialize};
use tenure_protocol::evidence::predicate::media_wipe::Range;

/// How many ranges are kept apart. A medium with more faults than this has failed anyway, and its
/// statement must stay readable.
pub const MAX_RANGES: usize = 1024;

/// Byte ranges of a medium, ascending and apart from one another.
///
/// Beyond [`MAX_RANGES`] the two nearest are joined: the set then covers more than was added, never
/// less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSet {
    ranges: Vec<Range>,
}

impl RangeSet {
    /// Adds a range; empty ones are left out, those that overlap or touch are joined.
    pub fn add(&mut self, range: Range) {
        if range.length_bytes == 0 {
            return;
        }
        let (mut start, mut end) = (range.offset_bytes, end_of(&range));
        let first = self.ranges.partition_point(|other| end_of(other) < start);
        let after = self.ranges.partition_point(|other| other.offset_bytes <= end);
        for other in self.ranges.drain(first..after.max(first)) {
            start = start.min(other.offset_bytes);
            end = end.max(end_of(&other));
        }
        self.ranges.insert(first, between(start, end));
        if self.ranges.len() > MAX_RANGES {
            self.join_nearest();
        }
    }

    /// Adds all of another set.
    pub fn extend(&mut self, ranges: &[Range]) {
        for range in ranges {
            self.add(*range);
        }
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// How many bytes they have together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.length_bytes))
    }

    fn join_nearest(&mut self) {
        let gap = |pair: &[Range]| pair[1].offset_bytes - end_of(&pair[0]);
        let nearest = (1..self.ranges.len()).min_by_key(|&at| gap(&self.ranges[at - 1..=at]));
        if let Some(at) = nearest {
            let second = self.ranges.remove(at);
            let first = &mut self.ranges[at - 1];
            *first = between(first.offset_bytes, end_of(&second));
        }
    }
}

fn end_of(range: &Range) -> u64 {
    range.offset_bytes.saturating_add(range.length_bytes)
}

fn between(start: u64, end: u64) -> Range {
    Range { offset_bytes: start, length_bytes: end - start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_of_ranges_holds_exactly_the_bytes_that_were_added(
            list in proptest::collection::vec((0_u64..400, 0_u64..40), 0..40),
        ) {
            let mut set = RangeSet::default();
            let mut bytes = [false; 500];
            for (offset_bytes, length_bytes) in list {
                set.add(Range { offset_bytes, length_bytes });
                for at in offset_bytes..offset_bytes + length_bytes {
                    bytes[usize::try_from(at).expect("small")] = true;
                }
            }
            prop_assert_eq!(set.bytes(), bytes.iter().filter(|&&byte| byte).count() as u64);
            for pair in set.ranges().windows(2) {
                prop_assert!(end_of(&pair[0]) < pair[1].offset_bytes);
            }
        }
    }

    #[test]
    fn a_set_stays_small_and_covers_all_that_was_added() {
        let mut set = RangeSet::default();
        for number in 0..5000 {
            set.add(Range { offset_bytes: number * 1024, length_bytes: 512 });
        }
        assert_eq!(set.ranges().len(), MAX_RANGES);
        assert!(set.bytes() >= 5000 * 512);
    }
}
