//! How often something may happen: so many times at once, and one more after each pause. Time is a
//! parameter; a clock that steps back costs nobody anything.
//!
//! The API's limits are `governor`'s, which would be more code here: a pace has to be asked without
//! being counted (an address is counted by its refused requests alone), keys have a limit, and time
//! is the controller's clock, which tests move. `governor` has none of the three for keys. The
//! other way round, the API would need when to come again, and locks that requests do not share.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tenure_protocol::time::Timestamp;

/// A limit of how often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// How often at once.
    pub(super) burst: u32,
    /// After which pause once more, ms.
    pub(super) pause_ms: u32,
}

/// How much of a limit is spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    limit: Limit,
    spent_ms: i64,
    at: Timestamp,
}

impl Pace {
    pub(super) const fn new(limit: Limit, now: Timestamp) -> Self {
        Self { limit, spent_ms: 0, at: now }
    }

    /// Whether it may happen once more; it counts if it may.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let free = self.is_free(now);
        if free {
            self.spent_ms += i64::from(self.limit.pause_ms);
        }
        free
    }

    /// Whether it might happen once more.
    pub(super) fn is_free(&mut self, now: Timestamp) -> bool {
        self.spent_ms = (self.spent_ms - now.ms_since(self.at).max(0)).max(0);
        self.at = now;
        let pause_ms = i64::from(self.limit.pause_ms);
        self.spent_ms + pause_ms <= pause_ms * i64::from(self.limit.burst)
    }
}

/// One pace for each key.
#[derive(Debug)]
pub(super) struct Paces<K> {
    limit: Limit,
    max_keys: usize,
    paces: Mutex<HashMap<K, Pace>>,
}

impl<K: Eq + Hash> Paces<K> {
    /// For this many keys at most: while as many are being held back, others are too.
    pub(super) fn new(limit: Limit, max_keys: usize) -> Self {
        Self { limit, max_keys, paces: Mutex::default() }
    }

    /// Whether it may happen to this key once more; it counts if it may.
    pub(super) fn take(&self, key: K, now: Timestamp) -> bool {
        let mut paces = self.paces();
        if !paces.contains_key(&key) && paces.len() >= self.max_keys {
            paces.retain(|_, pace| {
                pace.is_free(now);
                pace.spent_ms > 0
            });
            if paces.len() >= self.max_keys {
                return false;
            }
        }
        paces.entry(key).or_insert_with(|| Pace::new(self.limit, now)).take(now)
    }

    /// Whether it might happen to this key once more.
    pub(super) fn is_free(&self, key: &K, now: Timestamp) -> bool {
        self.paces().get_mut(key).is_none_or(|pace| pace.is_free(now))
    }

    fn paces(&self) -> MutexGuard<'_, HashMap<K, Pace>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { burst: 3, pause_ms: 100 };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    #[test]
    fn a_burst_is_free_and_then_one_after_each_pause() {
        let mut pace = Pace::new(LIMIT, at(0));
        let takes = |pace: &mut Pace, ms| (0..9).filter(|_| pace.take(at(ms))).count();
        assert_eq!(takes(&mut pace, 0), 3);
        assert_eq!(takes(&mut pace, 99), 0);
        assert_eq!(takes(&mut pace, 100), 1);
        assert_eq!(takes(&mut pace, 50), 0, "a clock that steps back gives nothing");
        assert_eq!(takes(&mut pace, 10_000), 3, "and never more than the burst");
    }

    #[test]
    fn keys_do_not_hold_one_another_back_and_are_forgotten_when_they_are_at_rest() {
        let paces = Paces::new(LIMIT, 2);
        assert_eq!((0..9).filter(|_| paces.take(1, at(0))).count(), 3);
        assert!(!paces.is_free(&1, at(0)) && paces.is_free(&2, at(0)));
        assert!(paces.take(2, at(0)));
        assert!(!paces.take(3, at(0)), "two are held in mind already");
        assert!(paces.take(3, at(100)), "the second is at rest");
        assert!(paces.take(1, at(100)), "the first is at rest, too");
        assert_eq!(paces.paces().len(), 2, "no more than these are held in mind");
    }
}
