//! The ladder: when a notice is tried, by the controller and, if that is silent, by a host. One
//! text for both, and for the model of the protocol, which is of these numbers.

/// When a notice is tried, seconds after it became due.
pub const LADDER_S: [i64; 9] = [0, 5, 15, 30, 60, 90, 120, 180, 240];

/// After the ladder a notice is tried again at this interval, seconds, until it is delivered.
pub const AFTER_LADDER_S: i64 = 300;

/// A notice that found no way is given up after this time, seconds; the breach stands already.
pub const GIVE_UP_S: i64 = 7 * 24 * 3600;

/// How long hosts wait for the controller's word that the customer is told of a cut, seconds after
/// the cut, unless a site says otherwise. With a ladder's first rungs and the longest try after it,
/// it lies well within the 300 s of clause 6.3.
pub const FALLBACK_AFTER_S: i64 = 120;

/// Notices that are tried at once of those that go before all others, and of all others: so that
/// nothing that waits for a slow receiver keeps the notices of a cut.
pub const URGENT_AT_ONCE: u16 = 128;
/// See [`URGENT_AT_ONCE`].
pub const OTHER_AT_ONCE: u16 = 32;

/// The first rung later than `passed_ms` after the notice became due, in ms after that moment;
/// nothing once it is given up.
#[must_use]
pub fn rung_after(passed_ms: i64) -> Option<i64> {
    if passed_ms >= GIVE_UP_S * 1000 {
        return None;
    }
    let rung = LADDER_S.iter().map(|rung| rung * 1000).find(|rung| *rung > passed_ms);
    Some(rung.unwrap_or(passed_ms + AFTER_LADDER_S * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rung_is_followed_by_the_next_and_the_last_by_a_steady_pace_until_it_is_given_up() {
        let mut passed = -1;
        let mut rungs = Vec::new();
        while let Some(rung) = rung_after(passed) {
            rungs.push(rung / 1000);
            passed = rung;
        }
        assert_eq!(rungs[..9], LADDER_S);
        assert_eq!(rungs[9..12], [540, 840, 1140]);
        assert!(passed >= GIVE_UP_S * 1000);
        assert_eq!(rung_after(5_001), Some(15_000), "a late try does not shift the ladder");
    }
}
