//! Exit bundles: everything that proves a tenant's departure, in one file that verifies itself
//! against two keys.
//!
//! ```text
//! manifest.dsse.json                 tenant-exit statement, signed by the controller
//! statements/0001-<kind>.dsse.json   every envelope that the manifest lists, and no other
//! ledger/0001.json                   every ledger entry of the tenant, with its inclusion proof
//! ledger/checkpoint                  the signed head under which the proofs hold
//! hosts/0001.json                    the ledger entry of each host's joining, in the manifest's
//!                                    order, with its inclusion proof: whose key it is
//! ```

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::{
    archive::{self, ArchiveError, Members},
    dsse::{self, EnvelopeError},
    predicate::{
        Kind, Predicate, TenantExit,
        tenant_exit::{DemoOffset, EntryRange, Gap, HostKey, InventoryItem, ListedEnvelope},
    },
    statement::Statement,
};
use crate::{
    digest::Digest,
    id::{HostId, TenantId},
    time::Timestamp,
};

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.dsse.json";

/// Name of the checkpoint.
pub const CHECKPOINT: &str = "ledger/checkpoint";

/// What a bundle is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleParts {
    /// Who left.
    pub tenant: TenantId,
    /// Now, by the controller's real clock.
    pub at: Timestamp,
    /// Version of the controller's build.
    pub controller_version: String,
    /// Legal time less real time, ms, if it can be staged at all.
    pub demo_offset_ms: Option<i64>,
    /// Every host that held something of the tenant's.
    pub hosts: Vec<HostKey>,
    /// The entries of their joining, proven under `checkpoint`.
    pub joinings: BTreeMap<HostId, ProvenEntry>,
    /// All that the tenant was ever given.
    pub inventory: Vec<InventoryItem>,
    /// Every envelope about the tenant with its kind, in the order of the ledger.
    pub envelopes: Vec<(Kind, Vec<u8>)>,
    /// Every ledger entry of the tenant, in order, all proven under `checkpoint`.
    pub entries: Vec<ProvenEntry>,
    /// The checkpoint: a signed note.
    pub checkpoint: String,
    /// What is missing, as far as the controller knows.
    pub gaps: Vec<Gap>,
}

/// A ledger entry with the proof that it is in the ledger, as it stands in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEntry {
    /// Version of the format: 1.
    pub v: u32,
    /// Index in the ledger.
    pub index: u64,
    /// The entry's bytes, which are text.
    pub entry: String,
    /// Inclusion proof, leaf to root (RFC 6962 §2.1.1).
    pub proof: Vec<Digest>,
}

/// Why parts make no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The tenant has no entry in the ledger.
    #[error("the tenant has no entry in the ledger")]
    NoEntries,
    /// The manifest cannot be signed.
    #[error("the manifest cannot be signed: {0}")]
    Manifest(EnvelopeError),
    /// Too large.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl ProvenEntry {
    /// An entry with its proof.
    #[must_use]
    pub fn new(index: u64, entry: &[u8], proof: Vec<Digest>) -> Self {
        Self { v: 1, index, entry: String::from_utf8_lossy(entry).into_owned(), proof }
    }
}

/// Makes a bundle, with a manifest signed by the controller's attestation key. Whether it proves
/// anything, [`super::verify::verify_bundle`] says.
///
/// # Errors
/// [`BundleError`].
pub fn build(parts: BundleParts, key: &SigningKey) -> Result<Vec<u8>, BundleError> {
    let mut members = Members::new();
    let mut envelopes = Vec::new();
    for (number, (kind, bytes)) in (1..).zip(parts.envelopes) {
        let path = statement_path(number, kind);
        envelopes.push(ListedEnvelope { path: path.clone(), digest: Digest::of(&bytes), kind });
        members.insert(path, bytes);
    }
    let last = parts.entries.last().ok_or(BundleError::NoEntries)?;
    let last = Digest::of(last.entry.as_bytes());
    let count = u64::try_from(parts.entries.len()).unwrap_or(u64::MAX);
    for (number, entry) in (1..).zip(&parts.entries) {
        members.insert(entry_path(number), serde_json::to_vec(entry).unwrap_or_default());
    }
    members.insert(CHECKPOINT.to_owned(), parts.checkpoint.into_bytes());
    for (number, host) in (1..).zip(&parts.hosts) {
        if let Some(joining) = parts.joinings.get(&host.host) {
            let bytes = serde_json::to_vec(joining).unwrap_or_default();
            members.insert(joining_path(number), bytes);
        }
    }
    let manifest = Statement::new(Predicate::TenantExit(TenantExit {
        tenant: parts.tenant,
        at: parts.at,
        controller_version: parts.controller_version,
        demo_offset: parts.demo_offset_ms.map(DemoOffset::from),
        hosts: parts.hosts,
        inventory: parts.inventory,
        envelopes,
        entries: EntryRange { count, last },
        gaps: parts.gaps,
    }));
    let manifest = dsse::sign_statement(&manifest, key).map_err(BundleError::Manifest)?;
    members.insert(MANIFEST.to_owned(), manifest);
    Ok(archive::encode(&members)?)
}

/// Name of the `number`th envelope, from 1.
pub(super) fn statement_path(number: usize, kind: Kind) -> String {
    format!("statements/{number:04}-{}.dsse.json", kind.name())
}

/// Name of the entry of the `number`th host's joining, from 1.
pub(super) fn joining_path(number: usize) -> String {
    format!("hosts/{number:04}.json")
}

/// Name of the `number`th entry, from 1.
pub(super) fn entry_path(number: usize) -> String {
    format!("ledger/{number:04}.json")
}
