//! An empty network namespace for one look: what a text comes to in the kernel, only the kernel can
//! say.

use nix::sched::{CloneFlags, unshare};

use super::NftFailure;

/// Looks from a thread in a network namespace that holds nothing, and ends with it.
pub(super) fn empty<T: Send>(
    look: impl FnOnce() -> Result<T, NftFailure> + Send,
) -> Result<T, NftFailure> {
    let inside = || {
        // Of this thread alone.
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NftFailure::Namespace(errno.into()))?;
        look()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        let looking = thread.spawn_scoped(scope, inside).map_err(NftFailure::Namespace)?;
        looking.join().unwrap_or_else(|_| {
            Err(NftFailure::Namespace(std::io::Error::other("the thread panicked")))
        })
    })
}
