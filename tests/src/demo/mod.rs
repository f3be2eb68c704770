//! The whole way of one tenant, on one machine.

pub mod ctl;
pub mod marks;
pub mod show;
