//! The agent of Tenure on a hypervisor host: two processes over one library.

pub mod clock;
pub mod core;
pub mod engine;
pub mod host;
pub mod journal;
pub mod sign;
