//! The phases of a tenant's life, and what each of them means for resources and traffic.

use serde::{Deserialize, Serialize};

/// The phases of a tenant's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The customer is still writing its application; nothing is owed to anybody.
    Draft,
    /// The application is complete and waits for an opinion.
    Submitted,
    /// Returned to the customer for correction.
    CorrectionRequested,
    /// Refused for good.
    Rejected,
    /// Taken back by the customer before anything was given to it.
    Withdrawn,
    /// Approved; waits until hosts have room for it.
    Approved,
    /// Hosts are configuring.
    Configuring,
    /// A host could not configure; an operator decides.
    ConfigurationFailed,
    /// Open to the customer, on trial.
    Trial,
    /// Both reports received, waiting for an opinion.
    UnderReview,
    /// The review failed; the customer rectifies.
    Rectifying,
    /// The trial ended without sound reports: ports are closed, instances kept.
    TrialExpired,
    /// In formal operation.
    Online,
    /// The customer asked to leave.
    OffboardingRequested,
    /// Granted; waiting for the stop day and the confirmation.
    OffboardingApproved,
    /// Hosts are stopping the instances.
    Draining,
    /// Nothing runs; nothing is destroyed yet.
    Stopped,
    /// Two persons approved; hosts are destroying.
    Wiping,
    /// A part could not be destroyed or proven so.
    WipeFailed,
    /// Every volume and memory ever allocated is attested destroyed.
    WipeVerified,
    /// The end; the exit bundle stands.
    Closed,
}

impl Phase {
    /// All phases, in the order of the way.
    pub const ALL: [Self; 21] = [
        Self::Draft,
        Self::Submitted,
        Self::CorrectionRequested,
        Self::Rejected,
        Self::Withdrawn,
        Self::Approved,
        Self::Configuring,
        Self::ConfigurationFailed,
        Self::Trial,
        Self::UnderReview,
        Self::Rectifying,
        Self::TrialExpired,
        Self::Online,
        Self::OffboardingRequested,
        Self::OffboardingApproved,
        Self::Draining,
        Self::Stopped,
        Self::Wiping,
        Self::WipeFailed,
        Self::WipeVerified,
        Self::Closed,
    ];

    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::CorrectionRequested => "correction-requested",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Approved => "approved",
            Self::Configuring => "configuring",
            Self::ConfigurationFailed => "configuration-failed",
            Self::Trial => "trial",
            Self::UnderReview => "under-review",
            Self::Rectifying => "rectifying",
            Self::TrialExpired => "trial-expired",
            Self::Online => "online",
            Self::OffboardingRequested => "offboarding-requested",
            Self::OffboardingApproved => "offboarding-approved",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Wiping => "wiping",
            Self::WipeFailed => "wipe-failed",
            Self::WipeVerified => "wipe-verified",
            Self::Closed => "closed",
        }
    }

    /// The phase of this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Whether its customer has its instances, from opening day until they are drained.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Trial
                | Self::UnderReview
                | Self::Rectifying
                | Self::TrialExpired
                | Self::Online
                | Self::OffboardingRequested
                | Self::OffboardingApproved
        )
    }

    /// Whether its resources still count against hosts, marks and networks.
    #[must_use]
    pub const fn holds_resources(self) -> bool {
        match self {
            Self::Draft
            | Self::Submitted
            | Self::CorrectionRequested
            | Self::Rejected
            | Self::Withdrawn
            | Self::Approved
            | Self::Closed => false,
            Self::Configuring
            | Self::ConfigurationFailed
            | Self::Trial
            | Self::UnderReview
            | Self::Rectifying
            | Self::TrialExpired
            | Self::Online
            | Self::OffboardingRequested
            | Self::OffboardingApproved
            | Self::Draining
            | Self::Stopped
            | Self::Wiping
            | Self::WipeFailed
            | Self::WipeVerified => true,
        }
    }

    /// Whether its instances may have traffic, so that a cut makes sense.
    #[must_use]
    pub const fn has_traffic(self) -> bool {
        match self {
            Self::Configuring
            | Self::ConfigurationFailed
            | Self::Trial
            | Self::UnderReview
            | Self::Rectifying
            | Self::TrialExpired
            | Self::Online
            | Self::OffboardingRequested
            | Self::OffboardingApproved
            | Self::Draining => true,
            Self::Draft
            | Self::Submitted
            | Self::CorrectionRequested
            | Self::Rejected
            | Self::Withdrawn
            | Self::Approved
            | Self::Stopped
            | Self::Wiping
            | Self::WipeFailed
            | Self::WipeVerified
            | Self::Closed => false,
        }
    }

    /// Whether nothing can happen any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Rejected | Self::Withdrawn | Self::Closed)
    }
}
