//! The only file that reads a clock.

use std::time::Duration;

use tenure_protocol::time::Timestamp;

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
