#![allow(unsafe_code, reason = "system calls of a child between fork and exec")]
//! What a child process gives up before it becomes another program.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
};

use super::process::Identity;

/// What a child gives up between fork and exec. Everything is worked out before the fork, since a
/// child of a process with threads may only make system calls.
pub(super) struct Shed {
    /// Descriptors that stay open, ascending.
    keep: Vec<RawFd>,
    /// uid, gid, supplementary groups.
    identity: Option<(u32, u32, Vec<u32>)>,
    /// For a detached child: where it writes its own stat line.
    record: Option<RawFd>,
}

impl Shed {
    pub(super) fn new(
        fds: &[BorrowedFd<'_>],
        identity: Option<&Identity>,
        record: Option<RawFd>,
    ) -> Self {
        let mut keep: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        keep.sort_unstable();
        keep.dedup();
        let identity = identity.map(|who| (who.uid, who.gid, who.groups.clone()));
        Self { keep, identity, record }
    }

    /// Runs in the child. Makes system calls only.
    pub(super) fn apply(&self) -> io::Result<()> {
        if let Some(record) = self.record {
            // SAFETY: setsid takes no arguments.
            check(unsafe { libc::setsid() })?;
            record_self(record)?;
        }
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure lives through the call.
        check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })?;
        // SAFETY: umask takes an integer and cannot fail.
        unsafe { libc::umask(0o077) };
        if self.record.is_some() && self.identity.is_some() {
            // A machine's process has all it needs by descriptor: no network, no System V objects
            // of the host's.
            // SAFETY: unshare with flags.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWIPC) })?;
        }
        if let Some((uid, gid, groups)) = &self.identity {
            drop_privileges(*uid, *gid, groups)?;
        }
        // SAFETY: prctl with integers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        self.close_others()
    }

    /// Marks every descriptor above stderr close-on-exec, but for the ones to keep. Marked and not
    /// closed: the standard library reports a failed exec through one of its own.
    fn close_others(&self) -> io::Result<()> {
        let mut first = 3;
        for &fd in &self.keep {
            if fd > first {
                close_on_exec(first, fd - 1)?;
            }
            // SAFETY: fcntl with integers, on a descriptor that the caller holds open.
            check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
            first = fd + 1;
        }
        close_on_exec(first, RawFd::MAX)
    }
}

fn close_on_exec(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: close_range with integers.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn drop_privileges(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: prctl with integers. EINVAL: the kernel has no capability of that number.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: the slice lives through the call. The last change of uid from 0 to another clears the
    // permitted, effective and ambient capabilities.
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))
    }
}

/// Copies `/proc/self/stat` to the record. The number and the start stay when the child becomes
/// another program.
fn record_self(record: RawFd) -> io::Result<()> {
    let mut line = [0_u8; 1024];
    // SAFETY: the path is a C string, the buffer has the length that is given, and the descriptor
    // that is read from is the one just opened.
    unsafe {
        let stat = libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        check(stat)?;
        let count = libc::read(stat, line.as_mut_ptr().cast(), line.len());
        libc::close(stat);
        if count <= 0 || libc::write(record, line.as_ptr().cast(), count.unsigned_abs()) != count {
            return Err(io::Error::last_os_error());
        }
        check(libc::fsync(record))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
