//! The contract between Tenure's controller, its agents and those who verify its evidence.
//!
//! Pure: no clock, no I/O, no async. Read in this order: [`id`], [`time`] and [`generation`] are
//! the values that every message carries; [`wire`] is what controller and agent say to one another
//! over QUIC, [`channel`] where notices go and [`ladder`] when; [`evidence`] is what is signed,
//! logged and, years later, verified offline.

pub mod channel;
pub mod digest;
pub mod evidence;
pub mod generation;
pub mod id;
pub mod ladder;
pub mod time;
pub mod wire;
