//! Notices to customers: [`drain`] empties the outbox; [`mail`] and [`webhook`] are the channels,
//! independent of one another.

pub mod drain;
pub mod mail;
pub mod webhook;

use crate::core::notice::Grade;

/// What one try gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The other side took it.
    Accepted {
        /// What that proves.
        grade: Grade,
        /// Its words.
        evidence: String,
    },
    /// It did not; the ladder goes on.
    Failed {
        /// Its words, or what went wrong.
        evidence: String,
    },
}
