//! What hosts report, as the lifecycle needs it.

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    id::InstanceId,
    wire::v1::{CommitInterval, Power, WipeSubject},
};

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
