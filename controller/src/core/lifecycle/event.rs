//! What may happen to a tenant, who may do it, and what can follow from it.

use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    id::{HostId, InstanceId, NoticeId, OrderId, RecordId},
    time::Timestamp,
    wire::v1::{Action, CommitInterval, Power, WipeSubject},
};

use super::recount::Change;
use crate::core::{
    admission::{self, TEXT_LIMIT},
    notice::{Grade, Notice},
    obligation::ObligationId,
    record::Kind,
    tenant::{Application, Tenant},
};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The person's name, a token's owner too: separation of duties goes by it.
    pub name: String,
    /// In which role.
    pub role: Role,
    /// For which customer; customers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

/// Roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Acts for a customer.
    Customer,
    /// Gives opinions for the provider.
    Reviewer,
    /// Runs the platform.
    Operator,
    /// Answers for the platform's security.
    Security,
    /// Reads everything, changes nothing.
    Auditor,
    /// Enrols hosts, makes accounts and tokens.
    Administrator,
    /// The controller itself: reports, deliveries, deadlines. No token has it.
    Controller,
}

impl Role {
    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Reviewer => "reviewer",
            Self::Operator => "operator",
            Self::Security => "security",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
            Self::Controller => "controller",
        }
    }
}

impl Actor {
    /// The controller itself.
    #[must_use]
    pub fn controller() -> Self {
        Self { name: "controller".to_owned(), role: Role::Controller, customer: None }
    }
}

/// What happens to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[garde(allow_unvalidated)]
pub enum Event {
    /// The customer applies, or applies again after a return for correction.
    Submit {
        /// The complete application.
        #[garde(dive)]
        application: Application,
    },
    /// The provider's opinion on the application.
    Review {
        /// What.
        decision: Decision,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
    },
    /// An operator has the configuration tried again.
    RetryConfiguration,
    /// The customer declares that deployment has started.
    DeclareDeployment,
    /// The customer hands in both reports.
    SubmitReports {
        /// Test report.
        #[garde(dive)]
        test_report: Document,
        /// Security risk assessment report.
        #[garde(dive)]
        security_report: Document,
    },
    /// The provider's opinion on the reports.
    ReviewReports {
        /// What.
        decision: ReportsDecision,
        /// Why, or what to rectify.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
    },
    /// The MLPS assessment report is filed.
    FileAssessment {
        /// The report.
        #[garde(dive)]
        document: Document,
    },
    /// The proof of the ICP filing is filed.
    FileIcp {
        /// The proof.
        #[garde(dive)]
        document: Document,
    },
    /// An operator cuts the tenant's network.
    Cut {
        /// Which kind.
        kind: CutKind,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// An operator ends the cut.
    Restore {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The customer asks to leave.
    RequestOffboarding {
        /// The planned stop day.
        stop_day: Date,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The provider's opinion on leaving.
    ReviewOffboarding {
        /// Approve or reject.
        decision: Decision,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
    },
    /// The customer has its data elsewhere.
    ConfirmOffboarding {
        /// Migrated.
        migrated: bool,
        /// Backed up.
        backed_up: bool,
    },
    /// One of two persons approves the wipe.
    ApproveWipe,
    /// A host reported on an order.
    OrderReported {
        /// The host, from its certificate.
        host: HostId,
        /// The order.
        order: OrderId,
        /// What it reported.
        report: Reported,
    },
    /// A notice was delivered.
    NoticeDelivered {
        /// Which.
        notice: NoticeId,
        /// How certainly.
        grade: Grade,
        /// When; real clock.
        at: Timestamp,
    },
    /// A record of the tenant counts.
    RecordCounts {
        /// What of it matters to the lifecycle.
        fact: RecordFact,
    },
    /// A new notice counts open deadlines otherwise (R16).
    Recount {
        /// The notice's number or title.
        notice: String,
        /// Who entered it and who put it in force.
        reason: String,
        /// Which, from when to when.
        changes: Vec<Change>,
    },
    /// An administrator signs the earlier deadline that a recount has left waiting.
    SignRecount {
        /// Which obligation.
        id: ObligationId,
        /// Which of its repetitions.
        serial: u32,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// Time has passed.
    Tick,
}

/// What of a record matters to the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFact {
    /// Which record.
    pub record: RecordId,
    /// Of which kind.
    pub kind: Kind,
    /// When it took effect; legal time.
    pub effective_at: Timestamp,
    /// How many findings it has, if it is a check.
    pub findings: usize,
}

impl Event {
    /// The stable kebab-case name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Submit { .. } => "submit",
            Self::Review { .. } => "review",
            Self::RetryConfiguration => "retry-configuration",
            Self::DeclareDeployment => "declare-deployment",
            Self::SubmitReports { .. } => "submit-reports",
            Self::ReviewReports { .. } => "review-reports",
            Self::FileAssessment { .. } => "file-assessment",
            Self::FileIcp { .. } => "file-icp",
            Self::Cut { .. } => "cut",
            Self::Restore { .. } => "restore",
            Self::RequestOffboarding { .. } => "request-offboarding",
            Self::ReviewOffboarding { .. } => "review-offboarding",
            Self::ConfirmOffboarding { .. } => "confirm-offboarding",
            Self::ApproveWipe => "approve-wipe",
            Self::OrderReported { .. } => "order-reported",
            Self::NoticeDelivered { .. } => "notice-delivered",
            Self::RecordCounts { .. } => "record-counts",
            Self::Recount { .. } => "recount",
            Self::SignRecount { .. } => "sign-recount",
            Self::Tick => "tick",
        }
    }
}

impl Event {
    /// The documents that it refers to: each has to be an attachment of the tenant.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        match self {
            Self::SubmitReports { test_report, security_report } => {
                vec![test_report.clone(), security_report.clone()]
            }
            Self::FileAssessment { document } | Self::FileIcp { document } => {
                vec![document.clone()]
            }
            Self::Submit { .. }
            | Self::Review { .. }
            | Self::RetryConfiguration
            | Self::DeclareDeployment
            | Self::ReviewReports { .. }
            | Self::Cut { .. }
            | Self::Restore { .. }
            | Self::RequestOffboarding { .. }
            | Self::ReviewOffboarding { .. }
            | Self::ConfirmOffboarding { .. }
            | Self::ApproveWipe
            | Self::OrderReported { .. }
            | Self::NoticeDelivered { .. }
            | Self::RecordCounts { .. }
            | Self::Recount { .. }
            | Self::SignRecount { .. }
            | Self::Tick => Vec::new(),
        }
    }
}

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

/// What a host reported on an order, as the lifecycle needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum Reported {
    /// The wanted state stands.
    Configured {
        /// What runs and what does not.
        instances: Vec<(InstanceId, Power)>,
    },
    /// The cut is committed.
    Cut {
        /// When, by the host's real clock.
        interval: CommitInterval,
    },
    /// The restore is committed.
    Restored {
        /// When, by the host's real clock.
        interval: CommitInterval,
    },
    /// A wipe is about to begin: its signed intent is verified.
    WipeIntent {
        /// Digest of the intent's envelope.
        envelope: Digest,
    },
    /// A wipe has ended; every attestation's signature is verified.
    Wiped {
        /// What the attestations say.
        findings: Vec<Finding>,
    },
    /// Tried, and not carried out.
    Failed {
        /// The host's code.
        code: String,
        /// The host's words.
        message: String,
        /// What the attestations say, if it was a wipe.
        findings: Vec<Finding>,
    },
    /// Not tried.
    Refused {
        /// The host's code.
        code: String,
        /// The host's words.
        message: String,
    },
}

/// What one verified attestation says about one subject of a wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub subject: WipeSubject,
    /// The attempt that it is about.
    pub attempt: u32,
    /// Its result.
    pub result: FindingResult,
    /// Digest of the envelope.
    pub envelope: Digest,
}

/// The result that an attestation states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingResult {
    /// Destroyed and read back.
    Pass,
    /// Anything else.
    NotPass,
}

/// What follows from an event: the next state and what is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The next state.
    pub tenant: Tenant,
    /// What follows, in order.
    pub effects: Vec<Effect>,
    /// What the journal's ledger entry refers to, if not to the journal row itself: an approval's
    /// or an attestation's digest.
    pub object: Option<Digest>,
    /// Whether anything changed; if not, nothing is recorded.
    pub changed: bool,
}

/// What the engine makes durable in the same transaction, and sends after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// An order to one host.
    Order(OrderDraft),
    /// A notice, armed.
    Arm(Box<Notice>),
    /// An armed notice goes out now, with this text.
    Release {
        /// The notice with its new text.
        notice: Box<Notice>,
        /// What goes out instead if the armed text went out already.
        correction: Box<Notice>,
    },
    /// An armed notice that has not gone out yet never will.
    Void {
        /// Which.
        notice: NoticeId,
        /// Why.
        reason: String,
        /// What goes out if the armed text went out already.
        correction: Box<Notice>,
    },
    /// The tenant has left: sign the manifest of its evidence.
    Exit,
}

/// An order that is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDraft {
    /// Which.
    pub id: OrderId,
    /// To whom.
    pub host: HostId,
    /// Of the wanted state, or of the isolation.
    pub generation: tenure_protocol::generation::Generation,
    /// For how long it may be accepted, ms.
    pub ttl_ms: u64,
    /// What to do.
    pub action: Action,
}
