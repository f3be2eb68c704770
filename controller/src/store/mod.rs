//! What the controller keeps: one SQL database. Every transition is one transaction.

pub mod record;
