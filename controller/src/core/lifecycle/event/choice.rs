//! What people choose from, and refer to.

use garde::Validate;
use serde::{Deserialize, Serialize};
use tenure_protocol::digest::Digest;

use crate::core::admission::{self, TEXT_LIMIT};

/// An opinion's outcome. It closes the clock, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Granted.
    Approve,
    /// Refused.
    Reject,
    /// Back to the customer for correction.
    Return,
}

/// The outcome of the review of the reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportsDecision {
    /// Formal operation may begin.
    Pass,
    /// To be rectified.
    Fail,
}

/// Kinds of cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutKind {
    /// First the cut, then the notice, within 5 minutes (clause 6.3).
    Emergency,
    /// First the notice, and the cut once it has reached the customer (clause 6.3).
    Planned,
    /// An emergency cut, rehearsed on a canary.
    Drill,
}

impl CutKind {
    /// Whether the cut goes before its notice: an emergency, or a drill of one.
    #[must_use]
    pub const fn is_at_once(self) -> bool {
        match self {
            Self::Emergency | Self::Drill => true,
            Self::Planned => false,
        }
    }
}

/// A document: an attachment of the tenant, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Document {
    /// Its title or number.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub title: String,
    /// SHA-256 of the file, which has been filed as an attachment.
    pub sha256: Digest,
}
