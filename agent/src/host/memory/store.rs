//! Which store zeros memory the fastest: tried on the first pieces, since no processor's flags say.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

/// How often each store is tried.
const TRIES: usize = 8;

/// A way to fill memory with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// What the compiler and the C library make of it (memset).
    Fill,
    /// `rep stosb`.
    #[cfg(target_arch = "x86_64")]
    String,
    /// Stores around the caches.
    #[cfg(target_arch = "x86_64")]
    Streaming,
}

impl Store {
    /// Those of this processor.
    #[cfg(target_arch = "x86_64")]
    pub(super) const ALL: &[Self] = &[Self::Fill, Self::String, Self::Streaming];
    /// Those of this processor.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) const ALL: &[Self] = &[Self::Fill];
}

/// Tries each by turns, then takes the one that was the fastest at its best: a try that was
/// interrupted says nothing.
pub(super) struct Choice {
    turn: AtomicUsize,
    best_ns: [AtomicU64; Store::ALL.len()],
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            turn: AtomicUsize::new(0),
            best_ns: std::array::from_fn(|_| AtomicU64::new(u64::MAX)),
        }
    }
}

impl Choice {
    /// The store for the next piece.
    pub(super) fn next(&self) -> Store {
        let count = Store::ALL.len();
        let turn = self.turn.load(Ordering::Relaxed);
        if turn < TRIES * count {
            self.turn.fetch_add(1, Ordering::Relaxed);
            return Store::ALL[turn % count];
        }
        let best = |index: &usize| self.best_ns[*index].load(Ordering::Relaxed);
        Store::ALL[(0..count).min_by_key(best).unwrap_or(0)]
    }

    /// How long a whole piece took with it.
    pub(super) fn note(&self, store: Store, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(index) = Store::ALL.iter().position(|one| *one == store) {
            self.best_ns[index].fetch_min(ns, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_tried_and_the_fastest_at_its_best_is_taken() {
        let choice = Choice::default();
        let last = *Store::ALL.last().expect("one at least");
        for round in 0..TRIES as u64 {
            for &store in Store::ALL {
                assert_eq!(choice.next(), store);
                // The last one is disturbed in every other round.
                let slow = store != last || round % 2 == 0;
                choice.note(store, Duration::from_micros(if slow { 900 } else { 300 }));
            }
        }
        assert_eq!(choice.next(), last);
        assert_eq!(choice.next(), last);
    }
}
