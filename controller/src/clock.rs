//! The only place of the controller that reads a clock. There are two times: real time, for orders,
//! TLS, notices and statements; and legal time, in which the lifecycle lives. They are the same
//! unless the controller was started with the demo clock. While that runs it moves legal time
//! forward only; a staged one ([`Clock::staged`]) may start in the past, and be set back in it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tenure_protocol::time::Timestamp;

/// Both clocks. Clones share them.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    offset_ms: Arc<AtomicI64>,
    demo: bool,
    staged: bool,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    Virtual(Arc<AtomicI64>),
}

/// Why the demo clock was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// Not a demo.
    #[error("this controller runs on real time; only one started with --demo-clock can be moved")]
    NotADemo,
    /// A step of no length, backwards, or beyond any use.
    #[error("the demo clock moves forward only, by 1 to 3660 days")]
    Step,
    /// Further than any use, and than dates are counted.
    #[error("the demo clock is at most 100 years ahead: start a new demo")]
    TooFar,
}

/// How far a demo's legal time is ahead of real time at most, ms: 100 years.
const MAX_OFFSET_MS: i64 = 100 * 366 * 86_400_000;

impl Clock {
    /// The system's clock; legal time is real time.
    #[must_use]
    pub fn system() -> Self {
        Self { source: Source::System, offset_ms: Arc::default(), demo: false, staged: false }
    }

    /// The system's clock; legal time can be moved forward. For demonstrations only.
    #[must_use]
    pub fn demo() -> Self {
        Self { demo: true, ..Self::system() }
    }

    /// A clock that only [`Clock::set`] moves, for tests and simulations.
    #[must_use]
    pub fn simulated(start: Timestamp) -> Self {
        let source = Source::Virtual(Arc::new(AtomicI64::new(start.unix_ms())));
        Self { source, offset_ms: Arc::default(), demo: true, staged: true }
    }

    /// The system's clock with legal time set by [`Clock::set_legal`], backwards too: for stories
    /// that are told at dates of their own.
    #[must_use]
    pub fn staged() -> Self {
        Self { staged: true, ..Self::demo() }
    }

    /// Sets legal time of a staged or simulated clock; does nothing to any other.
    pub fn set_legal(&self, at: Timestamp) {
        if self.staged {
            self.offset_ms.store(at.ms_since(self.now()), Ordering::SeqCst);
        }
    }

    /// Moves a simulated clock; does nothing to the system's.
    pub fn set(&self, now: Timestamp) {
        match &self.source {
            Source::Virtual(ms) => ms.store(now.unix_ms(), Ordering::SeqCst),
            Source::System => {}
        }
    }

    /// Real time.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let ms = since.map_or(0, |passed| passed.as_millis());
                Timestamp::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX))
            }
            Source::Virtual(ms) => Timestamp::from_unix_ms(ms.load(Ordering::SeqCst)),
        }
    }

    /// The legal instant of a real one.
    #[must_use]
    pub fn legal(&self, at: Timestamp) -> Timestamp {
        at.plus_ms(self.offset_ms())
    }

    /// How far legal time is from real time, ms; negative if behind it.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::SeqCst)
    }

    /// Whether legal time can be moved.
    #[must_use]
    pub const fn is_demo(&self) -> bool {
        self.demo
    }

    /// Moves legal time forward and returns the new offset, ms.
    ///
    /// # Errors
    /// [`ClockError`] if this is no demo, or the step is not 1 to 3660 days.
    pub fn advance_days(&self, days: u32) -> Result<i64, ClockError> {
        if !self.demo {
            return Err(ClockError::NotADemo);
        }
        if !(1..=3660).contains(&days) {
            return Err(ClockError::Step);
        }
        let step = i64::from(days) * 86_400_000;
        let moved = self.offset_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |offset| {
            offset.checked_add(step).filter(|offset| *offset <= MAX_OFFSET_MS)
        });
        moved.map(|before| before + step).map_err(|_| ClockError::TooFar)
    }

    /// Sets an offset that was stored by an earlier run of a demo; never smaller than the present
    /// one.
    pub fn resume_offset(&self, offset_ms: i64) {
        if self.demo {
            self.offset_ms.fetch_max(offset_ms, Ordering::SeqCst);
        }
    }
}
