//! What decides, and does nothing: no clock, no I/O.

pub mod calendar;
