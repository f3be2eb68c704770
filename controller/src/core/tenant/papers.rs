//! What of a tenant's records matters to its lifecycle; the records themselves are kept beside it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    id::{NoticeId, RecordId},
    time::Timestamp,
};

/// What of a tenant's records matters to its lifecycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Papers {
    /// When the last letter of responsibility took effect; legal time.
    pub letter_at: Option<Timestamp>,
    /// When the last list of the customer's administrators took effect; legal time.
    pub administrators_at: Option<Timestamp>,
    /// The checks, oldest first.
    pub inspections: Vec<Inspected>,
}

/// A security check, and its report to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Its record.
    pub record: RecordId,
    /// The first day of the month in which it was done.
    pub month: Date,
    /// Its report.
    pub report: Option<Digest>,
    /// The notices that carry its report, while none of them has arrived.
    pub notices: Vec<NoticeId>,
}
