//! `tenant-exit`: the manifest of a tenant that has left. Signed by the controller.

use serde::{Deserialize, Serialize};

use super::{Kind, Target};
use crate::{
    digest::Digest,
    evidence::key::PublicKey,
    id::{HostId, TenantId},
    time::Timestamp,
};

/// What a tenant had, and by which evidence all of it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantExit {
    /// Who left.
    pub tenant: TenantId,
    /// When the manifest was made, by the controller's real clock.
    pub at: Timestamp,
    /// Version of the controller's build.
    pub controller_version: String,
    /// There if the controller ran with a legal clock that can be staged, even if it was not.
    pub demo_offset: Option<DemoOffset>,
    /// Every host that held something of the tenant's, with its key.
    pub hosts: Vec<HostKey>,
    /// All that the tenant was ever given, as the controller's records have it.
    pub inventory: Vec<InventoryItem>,
    /// Every envelope of the bundle, this one left out, in the order of their numbers.
    pub envelopes: Vec<ListedEnvelope>,
    /// The tenant's entries in the ledger, all of them up to this manifest.
    pub entries: EntryRange,
    /// What is missing. A complete exit has none.
    pub gaps: Vec<Gap>,
}

/// How far a controller's legal clock is from its real one. Statements have no negative integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DemoOffset {
    /// How far, ms.
    pub ms: u64,
    /// Whether legal time is behind real time.
    pub behind: bool,
}

impl From<i64> for DemoOffset {
    /// From legal time less real time, ms.
    fn from(offset_ms: i64) -> Self {
        Self { ms: offset_ms.unsigned_abs(), behind: offset_ms < 0 }
    }
}

/// A host and the key that it signs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostKey {
    /// Which host.
    pub host: HostId,
    /// Its key's name.
    pub keyid: Digest,
    /// Its key, PEM.
    pub key: PublicKey,
}

impl HostKey {
    /// A host with its key.
    #[must_use]
    pub fn new(host: HostId, key: PublicKey) -> Self {
        Self { host, keyid: key.id(), key }
    }
}

/// One thing that the tenant had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InventoryItem {
    /// The host that held it.
    pub host: HostId,
    /// What.
    pub target: Target,
}

/// One envelope of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListedEnvelope {
    /// Its name in the bundle.
    pub path: String,
    /// Digest of the envelope's bytes.
    pub digest: Digest,
    /// What it states.
    pub kind: Kind,
}

/// A tenant's entries in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntryRange {
    /// How many: their numbers within the tenant are 1 to this.
    pub count: u64,
    /// Digest of the last one's bytes.
    pub last: Digest,
}

/// Something that should be proven and is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl TenantExit {
    pub(super) fn dishonesty(&self) -> Option<String> {
        if self.hosts.iter().any(|host| host.key.id() != host.keyid) {
            return Some("a host's key does not have its name".to_owned());
        }
        let mut hosts: Vec<_> = self.hosts.iter().map(|host| host.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.len() != self.hosts.len() {
            return Some("it names a host twice".to_owned());
        }
        if self.inventory.iter().any(|item| !hosts.contains(&item.host)) {
            return Some("its inventory names a host that it gives no key of".to_owned());
        }
        let mut inventory = self.inventory.clone();
        inventory.sort_unstable();
        inventory.dedup();
        (inventory.len() != self.inventory.len())
            .then(|| "its inventory names a thing twice".to_owned())
    }
}
