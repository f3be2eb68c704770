//! Precedence for the way of a cut: guests that burn every processor of a host must not hold an
//! emergency cut up.
//!
//! A thread without it waits for the slices of those that run, at each of the dozen times that a
//! cut passes from one thread to the next. With it, it runs at once. So only threads have it that
//! do little: the cut lane, the watch, and the socket's thread of that lane in tenure-hostd, and
//! tenure-agent, which has one thread alone. The kernel leaves others 5 % of the time whatever these
//! do (`sched_rt_runtime_us`).
#![allow(unsafe_code, reason = "no crate here knows the scheduler's policies")]

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
        tracing::warn!(%error, "no precedence for cuts: a busy host slows them; allow this process \
            real-time priority 1 (LimitRTPRIO=1)");
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
