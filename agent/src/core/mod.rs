//! What decides, and does nothing: no clock, no I/O.

pub mod machine;
pub mod ruleset;
pub mod wipe;
