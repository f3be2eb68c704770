//! What may happen to a tenant, and the outcomes that people choose from.

use std::collections::BTreeSet;

use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::Grade,
    digest::Digest,
    id::{CutId, HostId, NoticeId, OrderId, RecordId},
    time::Timestamp,
    wire::v1::{AlarmKind, CommitInterval},
};

mod choice;

pub use choice::{CutKind, Decision, Document, ReportsDecision};

use super::{recount::Change, report::Reported};
use crate::core::{
    admission::{
        self, CONTACTS_LIMIT, EXPERTS_LIMIT, ITEMS_LIMIT, NAME_LIMIT, ROLE_LIMIT, TEXT_LIMIT,
    },
    anomaly::OwnThresholds,
    group::GroupRequest,
    obligation::ObligationId,
    record::Kind,
    tenant::{Application, Assessment, Contact, Expert, HoldKind, IcpFiling},
};

/// What happens to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[garde(allow_unvalidated)]
pub enum Event {
    /// The customer keeps what it has of its application.
    SaveDraft {
        /// It may lack anything.
        application: Application,
    },
    /// The customer applies with the draft as it was saved last.
    SubmitDraft,
    /// The customer applies, or applies again after a return for correction.
    Submit {
        /// The complete application.
        #[garde(dive)]
        application: Application,
    },
    /// The customer takes its application back, before anything was given to it.
    Withdraw {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The provider's opinion on the application.
    Review {
        /// What.
        decision: Decision,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
    },
    /// The review waits for a third party: the provider's clock stands still.
    SuspendReview {
        /// For whom and for what.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The third party has answered: the provider's clock goes on.
    ResumeReview,
    /// An operator has the configuration tried again, or the hand-over notice sent again.
    RetryConfiguration,
    /// The customer declares that deployment has started.
    DeclareDeployment,
    /// The customer asks for a longer trial.
    RequestExtension {
        /// Days, from the trial's raw end.
        days: u32,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The provider's decision on a longer trial.
    DecideExtension {
        /// Approve or reject.
        decision: Decision,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
        /// The experts who assessed it; two or more to approve it.
        #[garde(length(max = EXPERTS_LIMIT), dive)]
        experts: Vec<Expert>,
        /// The record of their assessment; needed to approve it.
        #[garde(dive)]
        assessment: Option<Document>,
    },
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
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
        /// What to rectify, item by item; none if they pass.
        #[serde(default)]
        #[garde(
            length(max = ITEMS_LIMIT),
            inner(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))
        )]
        items: Vec<String>,
    },
    /// The customer has rectified an item of a failed review.
    Rectify {
        /// The item's number.
        item: u32,
        /// What was changed.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        note: String,
        /// The proof.
        #[garde(dive)]
        evidence: Document,
    },
    /// The MLPS assessment report is filed.
    FileAssessment {
        /// The report.
        #[garde(dive)]
        assessment: Assessment,
    },
    /// The proof of the ICP filing is filed.
    FileIcp {
        /// The filing.
        #[garde(dive)]
        filing: IcpFiling,
    },
    /// A reviewer has looked the filing that waits up in the ministry's register.
    ConfirmIcp {
        /// Whether it stands there as it was filed.
        found: bool,
        /// What the register says.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        opinion: String,
    },
    /// A person answers for Internet ingress before the ICP filing.
    OpenIcp {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The customer sets a security group, in place of one of the same name.
    SetGroup {
        /// The whole group.
        group: GroupRequest,
    },
    /// The customer removes a security group.
    RemoveGroup {
        /// Its name.
        #[garde(length(chars, min = 1, max = ROLE_LIMIT))]
        name: String,
    },
    /// The customer names its contacts anew, and the systems that they designate.
    SetContacts {
        /// All of them.
        #[garde(length(min = 1, max = CONTACTS_LIMIT), custom(admission::reachable), dive)]
        contacts: Vec<Contact>,
    },
    /// The customer acknowledges the probe of its contacts.
    AcknowledgeProbe,
    /// The provider sets from when on what hosts count is an anomaly.
    SetThresholds {
        /// In place of the site's.
        thresholds: OwnThresholds,
    },
    /// One person proposes a rule by which the tenant is cut for anomalies.
    ProposeCutRule {
        /// For which kinds of alarm.
        kinds: BTreeSet<AlarmKind>,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// A second person puts the proposed rule in force.
    ConfirmCutRule,
    /// Nobody is cut by a rule any more.
    WithdrawCutRule {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// One person proposes that the tenant is a canary: that it may be drilled.
    ProposeCanary {
        /// Why nobody is harmed if it is cut.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// A second person confirms it.
    ConfirmCanary,
    /// The tenant is a canary no more.
    WithdrawCanary {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The customer is told of a cut that is planned.
    AnnounceCut {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The planned cut does not take place.
    CallOffCut {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The customer itself acknowledges that it knows of a cut (grade E3).
    AcknowledgeCut {
        /// The cut's number; nothing for the planned one that is announced.
        cut: Option<u32>,
    },
    /// An operator has heard a person of the customer acknowledge a cut (grade E3).
    RecordAcknowledgement {
        /// The cut's number; nothing for the planned one that is announced.
        cut: Option<u32>,
        /// Who acknowledged it.
        #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
        person: String,
        /// By what number, or otherwise.
        #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
        over: String,
        /// The words that were heard.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        words: String,
        /// When; real clock.
        at: Timestamp,
    },
    /// The tenant's network is cut.
    Cut {
        /// In what way.
        kind: CutKind,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The cut is ended.
    Restore {
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// What the controller has measured of a drill that it took in.
    DrillMeasured {
        /// Which.
        cut: CutId,
        /// When the API took the request in; real clock.
        received_at: Timestamp,
        /// When its orders and armed notices were durable; real clock.
        durable_at: Timestamp,
    },
    /// A person on a host cut the tenant there, while no controller answered.
    CutByHost {
        /// What the host did, by its own signed statements.
        made: HostCut,
    },
    /// A hold keeps what the tenant has; it blocks at once.
    PlaceHold {
        /// Why things are kept.
        kind: HoldKind,
        /// The order or the claim.
        #[garde(dive)]
        document: Document,
        /// What it is about.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// A hold is to end; it does once a second person has countersigned.
    ReleaseHold {
        /// Its number.
        hold: u32,
        /// By which document.
        #[garde(dive)]
        document: Document,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
    },
    /// The second person of what waits for one about a hold.
    CountersignHold {
        /// Its number.
        hold: u32,
    },
    /// The customer asks to leave.
    RequestOffboarding {
        /// The planned stop day.
        stop_day: Date,
        /// Why.
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
        reason: String,
        /// If the day is too early for clause 6.1, ask the provider to waive its period.
        #[serde(default)]
        ask_waiver: bool,
    },
    /// One of two persons waives the period of clause 6.1 for a late off-boarding.
    WaivePeriod {
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
    /// The second notice was served otherwise than over a channel, such as by registered letter; it
    /// counts once a second person has countersigned.
    RecordService {
        /// The day on which it reached the customer, as the proof has it.
        served_on: Date,
        /// The proof.
        #[garde(dive)]
        document: Document,
    },
    /// The second person of a service otherwise than over a channel.
    CountersignService,
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

/// A cut that a person ordered on a host itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCut {
    /// The host.
    pub host: HostId,
    /// The cut's id, made by the host.
    pub cut: CutId,
    /// Who ordered it, and on which host.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When the host's kernel took it, by the host's real clock.
    pub interval: CommitInterval,
    /// How it ended there before the controller knew of it.
    pub ended: Option<HostRestore>,
    /// The host may have told the customer by now, in words that were written ahead: without the
    /// reason and the times.
    #[serde(default)]
    pub foretold: bool,
}

/// The end of such a cut, ordered on the host as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRestore {
    /// Who ordered it, and on which host.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When the host's kernel took it, by the host's real clock.
    pub interval: CommitInterval,
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
    /// Its report, if it is a check.
    pub report: Option<Digest>,
}

impl Event {
    /// The stable kebab-case name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SaveDraft { .. } => "save-draft",
            Self::SubmitDraft => "submit-draft",
            Self::Submit { .. } => "submit",
            Self::Withdraw { .. } => "withdraw",
            Self::Review { .. } => "review",
            Self::SuspendReview { .. } => "suspend-review",
            Self::ResumeReview => "resume-review",
            Self::RetryConfiguration => "retry-configuration",
            Self::DeclareDeployment => "declare-deployment",
            Self::RequestExtension { .. } => "request-extension",
            Self::DecideExtension { .. } => "decide-extension",
            Self::SubmitReports { .. } => "submit-reports",
            Self::ReviewReports { .. } => "review-reports",
            Self::Rectify { .. } => "rectify",
            Self::FileAssessment { .. } => "file-assessment",
            Self::FileIcp { .. } => "file-icp",
            Self::ConfirmIcp { .. } => "confirm-icp",
            Self::OpenIcp { .. } => "open-icp",
            Self::SetGroup { .. } => "set-group",
            Self::RemoveGroup { .. } => "remove-group",
            Self::SetContacts { .. } => "set-contacts",
            Self::AcknowledgeProbe => "acknowledge-probe",
            Self::SetThresholds { .. } => "set-thresholds",
            Self::ProposeCutRule { .. } => "propose-cut-rule",
            Self::ConfirmCutRule => "confirm-cut-rule",
            Self::WithdrawCutRule { .. } => "withdraw-cut-rule",
            Self::ProposeCanary { .. } => "propose-canary",
            Self::ConfirmCanary => "confirm-canary",
            Self::WithdrawCanary { .. } => "withdraw-canary",
            Self::AnnounceCut { .. } => "announce-cut",
            Self::CallOffCut { .. } => "call-off-cut",
            Self::AcknowledgeCut { .. } => "acknowledge-cut",
            Self::RecordAcknowledgement { .. } => "record-acknowledgement",
            Self::Cut { .. } => "cut",
            Self::Restore { .. } => "restore",
            Self::DrillMeasured { .. } => "drill-measured",
            Self::CutByHost { .. } => "cut-by-host",
            Self::PlaceHold { .. } => "place-hold",
            Self::ReleaseHold { .. } => "release-hold",
            Self::CountersignHold { .. } => "countersign-hold",
            Self::RequestOffboarding { .. } => "request-offboarding",
            Self::WaivePeriod { .. } => "waive-period",
            Self::ReviewOffboarding { .. } => "review-offboarding",
            Self::ConfirmOffboarding { .. } => "confirm-offboarding",
            Self::RecordService { .. } => "record-service",
            Self::CountersignService => "countersign-service",
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
            Self::DecideExtension { assessment, .. } => assessment.iter().cloned().collect(),
            Self::FileAssessment { assessment } => vec![assessment.document.clone()],
            Self::FileIcp { filing } => vec![filing.document.clone()],
            Self::Rectify { evidence: document, .. }
            | Self::PlaceHold { document, .. }
            | Self::ReleaseHold { document, .. }
            | Self::RecordService { document, .. } => vec![document.clone()],
            Self::SaveDraft { .. }
            | Self::SubmitDraft
            | Self::Submit { .. }
            | Self::Withdraw { .. }
            | Self::Review { .. }
            | Self::SuspendReview { .. }
            | Self::ResumeReview
            | Self::RetryConfiguration
            | Self::DeclareDeployment
            | Self::RequestExtension { .. }
            | Self::ReviewReports { .. }
            | Self::ConfirmIcp { .. }
            | Self::OpenIcp { .. }
            | Self::SetGroup { .. }
            | Self::RemoveGroup { .. }
            | Self::SetContacts { .. }
            | Self::AcknowledgeProbe
            | Self::SetThresholds { .. }
            | Self::ProposeCutRule { .. }
            | Self::ConfirmCutRule
            | Self::WithdrawCutRule { .. }
            | Self::ProposeCanary { .. }
            | Self::ConfirmCanary
            | Self::WithdrawCanary { .. }
            | Self::AnnounceCut { .. }
            | Self::CallOffCut { .. }
            | Self::AcknowledgeCut { .. }
            | Self::RecordAcknowledgement { .. }
            | Self::Cut { .. }
            | Self::Restore { .. }
            | Self::DrillMeasured { .. }
            | Self::CutByHost { .. }
            | Self::CountersignHold { .. }
            | Self::RequestOffboarding { .. }
            | Self::WaivePeriod { .. }
            | Self::ReviewOffboarding { .. }
            | Self::ConfirmOffboarding { .. }
            | Self::CountersignService
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
