//! The whole way of one tenant, on one machine.

pub mod show;
