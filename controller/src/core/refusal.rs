//! The domain's "no": an event that is not lawful, or not possible, now.

use serde::{Deserialize, Serialize};

/// Why an event was not accepted. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// Stable code.
    pub code: Code,
    /// What is wrong and what to do, for people.
    pub sentence: String,
    /// Each thing that is wrong with what was handed in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with what was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into what was handed in.
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Stable codes of refusals; their kebab-case text is part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The phase does not admit this event.
    WrongPhase,
    /// The isolation does not admit this event.
    WrongIsolation,
    /// The actor's role may not do this.
    WrongRole,
    /// The tenant belongs to another customer.
    NotYourTenant,
    /// The same person may not do both.
    SeparationOfDuties,
    /// The application is not well formed.
    InvalidApplication,
    /// A field of the event is not well formed.
    InvalidInput,
    /// No such image in the catalogue.
    UnknownImage,
    /// No host has room.
    NoCapacity,
    /// No mark or network is left.
    NoNetwork,
    /// The stop day is earlier than the standard allows.
    StopDayTooEarly,
    /// Migration and backup are not confirmed.
    NotMigrated,
    /// The order is not one that waits for a report.
    UnknownOrder,
    /// What the report says does not fit its order.
    ReportMismatch,
    /// The notice is not one of this tenant's.
    UnknownNotice,
    /// The host is blocked already, or not blocked.
    WrongAdmission,
}

impl Code {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongPhase => "wrong-phase",
            Self::WrongIsolation => "wrong-isolation",
            Self::WrongRole => "wrong-role",
            Self::NotYourTenant => "not-your-tenant",
            Self::SeparationOfDuties => "separation-of-duties",
            Self::InvalidApplication => "invalid-application",
            Self::InvalidInput => "invalid-input",
            Self::UnknownImage => "unknown-image",
            Self::NoCapacity => "no-capacity",
            Self::NoNetwork => "no-network",
            Self::StopDayTooEarly => "stop-day-too-early",
            Self::NotMigrated => "not-migrated",
            Self::UnknownOrder => "unknown-order",
            Self::ReportMismatch => "report-mismatch",
            Self::UnknownNotice => "unknown-notice",
            Self::WrongAdmission => "wrong-admission",
        }
    }
}

impl Refusal {
    /// A refusal with its sentence.
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), faults: Vec::new() }
    }
}
