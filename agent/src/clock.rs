//! The only file that reads a clock.
#![allow(unsafe_code, reason = "adjtimex has no safe wrapper here")]

use std::time::Duration;

use tenure_protocol::{evidence::predicate::Clock, time::Timestamp};

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
pub fn quality() -> Clock {
    // SAFETY: all-zero bytes are a valid `timex`, and `modes` 0 makes the call read only.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    let synchronised =
        state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let max_error_ns = u64::try_from(timex.maxerror).unwrap_or(0).saturating_mul(1_000);
    Clock { source: "CLOCK_REALTIME".to_owned(), synchronised, max_error_ns }
}
