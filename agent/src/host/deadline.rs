//! A time limit for waiting, held by the kernel (timerfd), so that nothing here reads a clock.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

/// The end of a wait. It becomes readable when the limit has passed, and stays so.
#[derive(Debug)]
pub struct Deadline(TimerFd);

impl Deadline {
    /// A deadline `limit` from now, by the monotonic clock.
    ///
    /// # Errors
    /// The kernel gave no timer (file descriptors are used up).
    pub fn after(limit: Duration) -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )?;
        // Zero would disarm the timer instead of firing it.
        let limit = limit.max(Duration::from_nanos(1));
        timer
            .set(Expiration::OneShot(TimeSpec::from_duration(limit)), TimerSetTimeFlags::empty())?;
        Ok(Self(timer))
    }

    /// Waits until one of `watched` is ready or the limit has passed. Gives what happened to each,
    /// or `None` if nothing did within the limit.
    ///
    /// # Errors
    /// `poll` failed.
    pub fn wait(
        &self,
        watched: &[(BorrowedFd<'_>, PollFlags)],
    ) -> io::Result<Option<Vec<PollFlags>>> {
        let mut set: Vec<PollFd<'_>> =
            watched.iter().map(|(fd, events)| PollFd::new(*fd, *events)).collect();
        set.push(PollFd::new(self.0.as_fd(), PollFlags::POLLIN));
        loop {
            match poll(&mut set, PollTimeout::NONE) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let ready: Vec<PollFlags> = set[..watched.len()]
            .iter()
            .map(|entry| entry.revents().unwrap_or(PollFlags::empty()))
            .collect();
        Ok(ready.iter().any(|flags| !flags.is_empty()).then_some(ready))
    }

    /// Whether the limit has passed.
    ///
    /// # Errors
    /// `poll` failed.
    pub fn passed(&self) -> io::Result<bool> {
        let mut set = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut set, PollTimeout::ZERO)? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_zero_has_passed_at_once_and_a_long_one_has_not() {
        let short = Deadline::after(Duration::ZERO).expect("timer");
        assert!(short.wait(&[]).expect("poll").is_none());
        assert!(short.passed().expect("poll"));
        let long = Deadline::after(Duration::from_secs(3600)).expect("timer");
        assert!(!long.passed().expect("poll"));
    }
}
