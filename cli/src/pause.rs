//! The one place of this program that reads a clock or waits for it.

#![allow(
    clippy::disallowed_methods,
    reason = "pause.rs is where the clock is read; the API has nothing to wait on but the clock"
)]

use std::time::{Duration, Instant};

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns after `duration`.
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
