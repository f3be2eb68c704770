//! What does: the only side effects on the host.

pub(crate) mod block;
pub mod deadline;
pub mod device;
pub mod disk;
pub mod fake;
pub mod holders;
pub mod key;
pub mod leftovers;
pub mod memory;
pub mod netlink;
pub mod nft;
pub mod observe;
pub mod overwrite;
pub mod pidfd;
pub mod pool;
pub mod preflight;
pub mod process;
pub mod qemu;
pub mod real;
mod shed;
pub mod tap;
pub mod volume;
