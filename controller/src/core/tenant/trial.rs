//! The trial (clauses 5.3 and 5.4): its days, its extension, its reports, what is to be rectified.

use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, time::Timestamp};

use crate::core::{
    admission::{self, NAME_LIMIT, TEXT_LIMIT},
    lifecycle::{Decision, Document},
};

/// The trial of 30 calendar days, with its extensions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Opening day: day 0.
    pub opening_day: Date,
    /// Opening day + 30, and the days that it was extended by, before it is moved off Rest days.
    pub raw_end: Date,
    /// The last day: the raw end, moved off Rest days.
    pub end: Date,
    /// Whether it ran out before sound reports came: ingress is closed until formal operation.
    pub expired: bool,
    /// When deployment was declared to have started, or the reports came; legal time.
    pub deployment_started_at: Option<Timestamp>,
    /// Days that it was extended by so far.
    pub extended_days: u32,
    /// Every request to extend it, oldest first; the last one may be undecided.
    pub extensions: Vec<Extension>,
}

impl Trial {
    /// The request that waits for a decision.
    #[must_use]
    pub fn pending(&self) -> Option<&Extension> {
        self.extensions.last().filter(|last| last.decided.is_none())
    }
}

/// A request to extend the trial of a major system (重大应用系统).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Days asked for.
    pub days: u32,
    /// The customer's reason.
    pub reason: String,
    /// Who asked.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
    /// What became of it; nothing before a decision, or if the trial ended without one.
    pub decided: Option<ExtensionDecision>,
}

/// The decision on an extension, and the assessment that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionDecision {
    /// Granted or not.
    pub decision: Decision,
    /// The experts with their opinions.
    pub experts: Vec<Expert>,
    /// The record of the assessment.
    pub assessment: Option<Document>,
    /// Who decided.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// An expert who assessed whether an extension is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Expert {
    /// Who.
    #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
    pub name: String,
    /// What that person said.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub opinion: String,
}

/// The two reports of clause 5.4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// Test report (测试报告).
    pub test_report: Document,
    /// Security risk assessment report (安全风险评估报告).
    pub security_report: Document,
    /// Who handed them in.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}

impl Reports {
    /// What a review names them by: test report, security risk assessment report.
    #[must_use]
    pub const fn digests(&self) -> [Digest; 2] {
        [self.test_report.sha256, self.security_report.sha256]
    }
}

/// One item that a failed review asks to rectify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rectification {
    /// Its number within the tenant, from 1.
    pub number: u32,
    /// What the reviewer asks for.
    pub asked: String,
    /// When; legal time.
    pub asked_at: Timestamp,
    /// What was done about it; nothing while it is open.
    pub done: Option<Rectified>,
}

/// What was done about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rectified {
    /// What was changed, in the customer's words.
    pub note: String,
    /// The proof.
    pub evidence: Document,
    /// Who.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}
