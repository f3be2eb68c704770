#![allow(unsafe_code, reason = "pidfd system calls have no safe wrapper in the standard library")]
//! Processes by file descriptor: a number may be given to another process, a pidfd never is.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::PollFlags,
    sys::wait::{Id, WaitPidFlag, waitid},
};

use super::deadline::Deadline;

/// A process, told apart from every other one that may bear its number until the next boot of the
/// host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// The number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (proc(5), `stat`, field 22).
    pub start_ticks: u64,
}

impl ProcessId {
    /// From the text of `/proc/<pid>/stat`; `None` if it is no such text.
    #[must_use]
    pub fn from_stat(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything, so fields are counted from its end.
        let (pid, rest) = text.split_once(" (")?;
        let (_, fields) = rest.rsplit_once(") ")?;
        let start_ticks = fields.split(' ').nth(19)?;
        Some(Self { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? })
    }
}

/// A process of this host, running or ended.
#[derive(Debug)]
pub struct Pidfd {
    fd: OwnedFd,
    id: ProcessId,
}

impl Pidfd {
    /// The process with this number and this start. `None` if it is gone, or if another process
    /// bears the number now.
    ///
    /// # Errors
    /// The kernel refused for another reason than that.
    pub fn open(id: ProcessId) -> io::Result<Option<Self>> {
        let Some(found) = Self::of_pid(id.pid)? else { return Ok(None) };
        Ok((found.id == id).then_some(found))
    }

    /// The process that bears this number now.
    ///
    /// # Errors
    /// The kernel refused for another reason than that there is none.
    pub fn of_pid(pid: u32) -> io::Result<Option<Self>> {
        // SAFETY: pidfd_open takes two integers and gives a new descriptor or -1.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if raw < 0 {
            return match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
                error => Err(error),
            };
        }
        let raw = i32::try_from(raw).map_err(io::Error::other)?;
        // SAFETY: the kernel just made this descriptor for us (with close-on-exec set).
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        // Read after the descriptor is held: if the number was given away in between, the start
        // read here is the newcomer's, and does not match a recorded one.
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(text) => Ok(ProcessId::from_stat(&text).map(|id| Self { fd, id })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Number and start.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether the process has ended: all its threads, their memory maps and descriptors with them.
    ///
    /// # Errors
    /// `poll` failed.
    pub fn is_dead(&self) -> io::Result<bool> {
        self.wait_dead(Duration::ZERO)
    }

    /// Waits for the end of the process. `false` if it still runs after `limit`. Once it has ended
    /// and is our child it is reaped.
    ///
    /// # Errors
    /// `poll` failed.
    pub fn wait_dead(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Deadline::after(limit)?;
        if deadline.wait(&[(self.fd.as_fd(), PollFlags::POLLIN)])?.is_none() {
            return Ok(false);
        }
        loop {
            match waitid(Id::PIDFd(self.fd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                Err(Errno::EINTR) => {}
                // ECHILD: another process is its parent and reaps it.
                Ok(_) | Err(_) => return Ok(true),
            }
        }
    }

    /// Sends a signal. `false` if the process has ended.
    ///
    /// # Errors
    /// The kernel refused for another reason than that.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> io::Result<bool> {
        // SAFETY: the descriptor is valid, and a null siginfo asks for the default one.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.fd.as_raw_fd(),
                signal as libc::c_int,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if done == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            error => Err(error),
        }
    }

    /// Ends the process at once (SIGKILL). Death follows; [`Pidfd::wait_dead`] proves it.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(&self) -> io::Result<bool> {
        self.signal(nix::sys::signal::Signal::SIGKILL)
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_from_the_end_of_the_name() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2 3";
        assert_eq!(ProcessId::from_stat(text), Some(ProcessId { pid: 42, start_ticks: 777 }));
        assert_eq!(ProcessId::from_stat("nonsense"), None);
    }

    #[test]
    fn a_process_with_another_start_is_another_process() {
        let me = Pidfd::of_pid(std::process::id()).expect("kernel").expect("I run");
        assert!(!me.is_dead().expect("poll"));
        assert!(Pidfd::open(me.id()).expect("kernel").is_some());
        let other = ProcessId { start_ticks: me.id().start_ticks + 1, ..me.id() };
        assert!(Pidfd::open(other).expect("kernel").is_none());
    }
}
