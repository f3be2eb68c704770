//! The rows of the database as the rest of the controller reads them.

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    generation::Generation,
    id::{HostId, OrderId, TenantId},
    time::Timestamp,
    wire::v1::{Alarm, CommitInterval, HostFacts, Lane, Observation},
};

use crate::core::{calendar::CalendarNotice, lifecycle::Actor, tenant::Phase};

/// A host as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Which.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Its host key (Ed25519), which signs its attestations.
    pub host_key: [u8; 32],
    /// Whether it may connect.
    pub admission: Admission,
    /// Whether a session stands.
    pub up: bool,
    /// When it was last heard of; real clock.
    pub seen_at: Option<Timestamp>,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// Its boot id.
    pub boot_id: Option<String>,
    /// What it has.
    pub facts: Option<HostFacts>,
    /// What it last saw.
    pub observation: Option<Observation>,
}

/// Whether a host may take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// It may.
    Admitted,
    /// It has no session, gets no orders, and is believed in nothing, until it is unblocked.
    Blocked(Block),
}

/// Why a host is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Name of the person; the controller, if the host's join token was used twice.
    pub by: String,
    /// When; real clock.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl HostRecord {
    /// Why the host is blocked, if it is.
    #[must_use]
    pub const fn block(&self) -> Option<&Block> {
        match &self.admission {
            Admission::Admitted => None,
            Admission::Blocked(block) => Some(block),
        }
    }
}

/// What a host found on itself that was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// When it came in; real clock.
    pub received_at: Timestamp,
    /// In the host's words.
    pub alarm: Alarm,
    /// Whether it stands: it is not repaired, no later one is about the same, and no person ended
    /// it. A column of its own, since it changes.
    #[serde(skip)]
    pub standing: bool,
}

/// What happened to the platform itself: by whom, chained to the row before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformRecord {
    /// Number of the row in the whole journal, from 1; tenants' rows count too.
    pub seq: u64,
    /// What: `join-token-issued`, `host-joined`, `host-blocked`, `host-unblocked`, `host-alarm`,
    /// `host-alarm-ended`; and about the `subject` in the body: `account-created`,
    /// `account-confirmed`, `account-disabled`, `account-reset`, `password-set`, `came-in`,
    /// `went-out`, `token-issued`, `token-confirmed`, `token-revoked`, `identity-linked`,
    /// `identity-unlinked`.
    pub kind: String,
    /// The host that it is about.
    pub host: Option<HostId>,
    /// When; real clock.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The act itself, without secrets.
    pub body: serde_json::Value,
    /// Digest that the ledger entry refers to.
    pub object: Digest,
    /// Digest of the row before it, of all rows.
    pub previous: Digest,
    /// Digest of this row.
    pub digest: Digest,
    /// Its place in the ledger, once it is there.
    pub ledger_index: Option<u64>,
}

/// An order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Which.
    pub id: OrderId,
    /// To whom.
    pub host: HostId,
    /// About whom.
    pub tenant: TenantId,
    /// On which lane.
    pub lane: Lane,
    /// Its generation.
    pub generation: Generation,
    /// `configure`, `cut`, `restore` or `wipe`.
    pub action: String,
    /// The last state reported: `open`, `journalled`, `started`, `intent`, `done`, `failed`,
    /// `refused`, or `superseded`.
    pub state: String,
    /// When it was made; real clock.
    pub issued_at: Timestamp,
    /// When the last report was recorded; real clock.
    pub reported_at: Option<Timestamp>,
    /// The host's words, if it failed or refused; else how far it is.
    pub message: Option<String>,
    /// For cuts and restores: when the kernel committed, by the host's clock.
    pub interval: Option<CommitInterval>,
}

/// One row of the journal: what happened, by whom, chained to the row before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRecord {
    /// Number of the row in the whole journal, from 1.
    pub seq: u64,
    /// About whom.
    pub tenant: TenantId,
    /// Number of the row among the tenant's, from 1.
    pub tenant_seq: u64,
    /// What: an event's name, or `attestation`.
    pub kind: String,
    /// When; legal time.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The event itself, without secrets.
    pub body: serde_json::Value,
    /// The phase after it.
    pub phase: Phase,
    /// Digest that the ledger entry refers to.
    pub object: Digest,
    /// Digest of the row before it, of all rows.
    pub previous: Digest,
    /// Digest of this row.
    pub digest: Digest,
    /// Its place in the ledger, once it is there.
    pub ledger_index: Option<u64>,
}

/// A signed envelope that was handed in or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// About whom.
    pub tenant: TenantId,
    /// Digest of the envelope's bytes.
    pub digest: Digest,
    /// The statement's predicate type, its last part.
    pub kind: String,
    /// The host that made it; nothing if the controller did.
    pub host: Option<HostId>,
    /// The order that it is about.
    pub order: Option<OrderId>,
    /// When it was recorded; real clock.
    pub at: Timestamp,
    /// The DSSE envelope, exactly as signed.
    pub envelope: Vec<u8>,
    /// Its place in the ledger, once it is there.
    pub ledger_index: Option<u64>,
}

/// A notice of the State Council that a person entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarRecord {
    /// Which.
    pub id: uuid::Uuid,
    /// What it says.
    pub notice: CalendarNotice,
    /// Who entered it.
    pub proposed_by: String,
    /// When; real clock.
    pub proposed_at: Timestamp,
    /// Who put it in force, and when; real clock. Nothing while it is a proposal.
    pub enacted: Option<(String, Timestamp)>,
}
