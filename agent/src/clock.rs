//! The only file that reads a clock. The engine is given its [`Clock`] as a value, so that a fleet
//! in one process can live in a time of its own; what works on a real host's devices, or waits for
//! a real network, reads the system's.
#![allow(unsafe_code, reason = "adjtimex has no safe wrapper here")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tenure_protocol::{evidence::predicate, time::Timestamp};

/// An engine's clock. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that only [`Clock::set`] moves, for tests and simulations.
    #[must_use]
    pub fn simulated(start: Timestamp) -> Self {
        Self(Source::Simulated(Arc::new(AtomicI64::new(start.unix_ms()))))
    }

    /// Moves a simulated clock; does nothing to the system's.
    pub fn set(&self, now: Timestamp) {
        match &self.0 {
            Source::Simulated(ms) => ms.store(now.unix_ms(), Ordering::SeqCst),
            Source::System => {}
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Simulated(ms) => Timestamp::from_unix_ms(ms.load(Ordering::SeqCst)),
            Source::System => now(),
        }
    }

    /// Since the host was started, suspends included, ms: never jumps.
    #[must_use]
    pub fn boot_ms(&self) -> i64 {
        match &self.0 {
            Source::Simulated(ms) => ms.load(Ordering::SeqCst),
            Source::System => i64::try_from(monotonic().as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// How far it may be trusted.
    #[must_use]
    pub fn quality(&self) -> predicate::Clock {
        match &self.0 {
            Source::Simulated(_) => predicate::Clock {
                source: "simulated".to_owned(),
                synchronised: true,
                max_error_ns: 0,
            },
            Source::System => quality(),
        }
    }

    /// Waits for a time, and says whether it has passed before the sender was dropped. By a
    /// simulated clock none passes while somebody waits: whoever moves it gives the ticks.
    pub(crate) fn wait(&self, time: Duration, ended: &Receiver<()>) -> bool {
        match &self.0 {
            Source::Simulated(_) => ended.recv().is_ok(),
            Source::System => ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout),
        }
    }
}

/// The host's wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)
        .map_or(Duration::ZERO, Duration::from);
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Time since the host was started, suspends included: never jumps.
#[must_use]
pub fn monotonic() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map_or(Duration::ZERO, Duration::from)
}

/// How far the wall clock may be trusted, as the kernel has it.
#[must_use]
pub fn quality() -> predicate::Clock {
    // SAFETY: all-zero bytes are a valid `timex`, and `modes` 0 makes the call read only.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    let synchronised =
        state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let max_error_ns = u64::try_from(timex.maxerror).unwrap_or(0).saturating_mul(1_000);
    predicate::Clock { source: "CLOCK_REALTIME".to_owned(), synchronised, max_error_ns }
}
