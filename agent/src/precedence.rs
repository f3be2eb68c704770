//! Which threads go before others.
//!
//! Precedence for the way of a cut: guests that burn every processor of a host must not hold an
//! emergency cut up. A thread without it waits for the slices of those that run, at each of the
//! dozen times that a cut passes from one thread to the next. With it, it runs at once. So only
//! threads have it that do little: the cut lane, the watch, and the socket's thread of that lane in
//! tenure-hostd, and tenure-agent, which has one thread alone. The kernel leaves others 5 % of the
//! time whatever these do (`sched_rt_runtime_us`).
//!
//! A wipe is the opposite: its reads and writes of a disk go after those of others.
#![allow(unsafe_code, reason = "no crate here knows the schedulers' policies")]

use std::io;

/// The least of the real-time priorities: above all that has none, below the kernel's own threads.
const PRIORITY: libc::c_int = 1;

/// Gives it to the calling thread (`SCHED_RR`), and to none that it starts. A host that does not
/// allow it says so in its log, and cuts all the same.
pub fn take() {
    let param = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: `param` outlives the call, which reads it and changes the calling thread alone.
    let taken = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const param)
    };
    if taken != 0 {
        let error = io::Error::last_os_error();
        tracing::warn!(%error, "no precedence for cuts: a busy host slows them; start this process \
            with CPUSchedulingPolicy=rr, CPUSchedulingPriority=1 and CPUSchedulingResetOnFork=yes");
    }
}

/// `ioprio_set(2)`: of one thread; the class best-effort, and its lowest level.
const WHO_THREAD: libc::c_int = 1;
const LOWEST: libc::c_int = (2 << 13) | 7;

/// Lets the calling thread's reads and writes of disks go after those of others, where the disk's
/// scheduler knows priorities. Where it cannot be had, it is done without.
pub fn give_way() {
    // SAFETY: takes three integers, and changes the calling thread alone.
    let given = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, 0, LOWEST) };
    if given != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "no lower I/O priority");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    /// Policy of the calling thread, with its flags.
    fn policy() -> libc::c_int {
        // SAFETY: asks for the calling thread alone.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_thread_gives_way_on_disks() {
        let given = thread::spawn(|| {
            super::give_way();
            // SAFETY: asks for the calling thread alone.
            unsafe { libc::syscall(libc::SYS_ioprio_get, super::WHO_THREAD, 0) }
        });
        assert_eq!(given.join().expect("a priority"), libc::c_long::from(super::LOWEST));
    }

    #[test]
    fn a_thread_has_precedence_and_gives_it_to_none() {
        let inner = thread::spawn(|| {
            super::take();
            (policy(), thread::spawn(policy).join().expect("a policy"))
        });
        let (own, childs) = inner.join().expect("two policies");
        assert_eq!(own, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK);
        assert_eq!(childs, libc::SCHED_OTHER);
    }
}
