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
    /// A rule that always holds would be broken: a fault of the controller, and nothing was done.
    Invariant,
    /// Only a major system's trial is extended.
    NotMajor,
    /// The trial has ended.
    TrialOver,
    /// A trial is extended by 30 days in all.
    ExtensionTooLong,
    /// A request to extend the trial is undecided, or there is none to decide.
    ExtensionPending,
    /// An extension needs an assessment by two or more named experts.
    ExpertsMissing,
    /// A failed review has to say what to rectify, item by item.
    ItemsMissing,
    /// There is no such item to rectify.
    UnknownItem,
    /// An item of the failed review is still open.
    NotRectified,
    /// The review is suspended already, or is not.
    WrongSuspension,
    /// The deadline has passed: it cannot be suspended any more.
    DeadlinePassed,
    /// The stop day is lawful as it is, or waived already.
    NothingToWaive,
    /// A legal hold or a dispute stands.
    OnHold,
    /// There is no such hold, or nothing about it waits.
    UnknownHold,
    /// The system does not serve the Internet.
    NotInternetFacing,
    /// The site opens Internet ingress only with a confirmed ICP filing.
    IcpGateStrict,
    /// A notice that this needs has not gone out, or has not reached the customer.
    NotNotified,
    /// A planned cut is announced already.
    AlreadyAnnounced,
    /// No such attachment was filed for this tenant.
    UnknownAttachment,
    /// Something of the application's checklist is missing or wrong.
    Incomplete,
    /// One file is handed in as two different documents.
    SameDocument,
    /// The assessment is of a lower level than the system's.
    LevelTooLow,
    /// No ICP filing waits to be looked up.
    NothingToConfirm,
    /// An attachment has more bytes than one may have.
    AttachmentTooLarge,
    /// No more attachments may be filed.
    AttachmentsFull,
    /// A customer has as many unfinished applications as it may.
    TooManyApplications,
    /// What is recorded needs its document, or a scan.
    DocumentMissing,
    /// The record that is referred to is not there, or of another kind.
    UnknownRecord,
    /// Nobody waits for this any more.
    AlreadyDecided,
    /// Two persons have not approved this access, or not before it happened.
    AccessNotApproved,
    /// The host is blocked already, or not blocked.
    WrongAdmission,
    /// The deadline is not what it was when it was counted.
    DeadlineMoved,
    /// No earlier deadline waits for a signature.
    NothingToSign,
    /// A notice of the State Council is not what it has to be, or does not fit.
    InvalidNotice,
    /// The notice is in force already.
    NoticeInForce,
    /// More rules of security groups than there may be.
    TooManyRules,
    /// A security group is not well formed.
    InvalidGroup,
    /// Two rules of a group say the same.
    OverlappingRules,
    /// A prefix overlaps the platform's own addresses.
    ReservedPrefix,
    /// IPv6 is not carried yet.
    Ipv6NotCarried,
    /// No instances have this role.
    UnknownRole,
    /// There is no such tenant among those that are named.
    UnknownTenant,
    /// It cannot be done for one of several: it was done for none.
    NotForAll,
    /// There is no such security group.
    UnknownGroup,
    /// Rules of other groups name this one.
    GroupInUse,
    /// The tenant has no such cut, or it came to nothing.
    UnknownCut,
    /// A person of the customer has acknowledged it already.
    AlreadyAcknowledged,
    /// The same was done a moment ago.
    TooSoon,
    /// The tenant is no canary: it is not drilled.
    NotACanary,
    /// No instance of the tenant runs.
    NothingRuns,
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
            Self::Invariant => "invariant",
            Self::NotMajor => "not-major",
            Self::TrialOver => "trial-over",
            Self::ExtensionTooLong => "extension-too-long",
            Self::ExtensionPending => "extension-pending",
            Self::ExpertsMissing => "experts-missing",
            Self::ItemsMissing => "items-missing",
            Self::UnknownItem => "unknown-item",
            Self::NotRectified => "not-rectified",
            Self::WrongSuspension => "wrong-suspension",
            Self::DeadlinePassed => "deadline-passed",
            Self::NothingToWaive => "nothing-to-waive",
            Self::OnHold => "on-hold",
            Self::UnknownHold => "unknown-hold",
            Self::NotInternetFacing => "not-internet-facing",
            Self::IcpGateStrict => "icp-gate-strict",
            Self::NotNotified => "not-notified",
            Self::AlreadyAnnounced => "already-announced",
            Self::UnknownAttachment => "unknown-attachment",
            Self::Incomplete => "incomplete",
            Self::SameDocument => "same-document",
            Self::LevelTooLow => "level-too-low",
            Self::NothingToConfirm => "nothing-to-confirm",
            Self::AttachmentTooLarge => "attachment-too-large",
            Self::AttachmentsFull => "attachments-full",
            Self::TooManyApplications => "too-many-applications",
            Self::DocumentMissing => "document-missing",
            Self::UnknownRecord => "unknown-record",
            Self::AlreadyDecided => "already-decided",
            Self::AccessNotApproved => "access-not-approved",
            Self::WrongAdmission => "wrong-admission",
            Self::DeadlineMoved => "deadline-moved",
            Self::NothingToSign => "nothing-to-sign",
            Self::InvalidNotice => "invalid-notice",
            Self::NoticeInForce => "notice-in-force",
            Self::TooManyRules => "too-many-rules",
            Self::InvalidGroup => "invalid-group",
            Self::OverlappingRules => "overlapping-rules",
            Self::ReservedPrefix => "reserved-prefix",
            Self::Ipv6NotCarried => "ipv6-not-carried",
            Self::UnknownRole => "unknown-role",
            Self::UnknownTenant => "unknown-tenant",
            Self::NotForAll => "not-for-all",
            Self::UnknownGroup => "unknown-group",
            Self::GroupInUse => "group-in-use",
            Self::UnknownCut => "unknown-cut",
            Self::AlreadyAcknowledged => "already-acknowledged",
            Self::TooSoon => "too-soon",
            Self::NotACanary => "not-a-canary",
            Self::NothingRuns => "nothing-runs",
        }
    }
}

impl Refusal {
    /// A refusal with its sentence.
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), faults: Vec::new() }
    }

    /// A refusal of what was handed in, fault by fault.
    #[must_use]
    pub fn faulty(code: Code, faults: Vec<Fault>) -> Self {
        let words: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect();
        Self { code, sentence: words.join("; "), faults }
    }
}
