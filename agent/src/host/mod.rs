//! What does: the only side effects on the host.

pub mod disk;
pub mod memory;
pub mod nft;
pub mod process;
pub mod qemu;
pub mod tap;
pub mod volume;
