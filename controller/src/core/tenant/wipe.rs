//! The wipe of a tenant: who approved it, and what is proven destroyed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, id::HostId, time::Timestamp, wire::v1::WipeSubject};

/// The wipe of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wipe {
    /// 0 before the first order, then 1, 2, …
    pub attempt: u32,
    /// Approvals of the attempt that is being prepared or carried out.
    pub approvals: Vec<Approval>,
    /// Digests of the intents in this attempt, per host.
    pub intents: BTreeMap<HostId, Digest>,
    /// The attestation that proves each subject destroyed.
    pub proven: Vec<Proven>,
}

/// One person's approval of a wipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub name: String,
    /// When; legal time.
    pub at: Timestamp,
    /// The approval itself, salted: the exact bytes that the digest is of.
    pub record: String,
    /// Its digest, as it stands in the ledger.
    pub digest: Digest,
}

/// One subject, proven destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The host that it was on.
    pub host: HostId,
    /// What.
    pub subject: WipeSubject,
    /// Digest of the attestation's envelope.
    pub envelope: Digest,
}
