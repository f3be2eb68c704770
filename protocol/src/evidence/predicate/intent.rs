//! `wipe-intent`: what a host is about to destroy, and for whom.

use serde::{Deserialize, Serialize};

use super::Origin;
use crate::{
    digest::Digest,
    id::{InstanceId, VolumeId},
    time::Timestamp,
    wire::v1::WipeSubject,
};

/// The thing that a wipe destroys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Target {
    /// A volume.
    Volume {
        /// The instance that it belongs to.
        instance: InstanceId,
        /// Which.
        volume: VolumeId,
    },
    /// An instance's memory.
    Memory {
        /// The instance.
        instance: InstanceId,
    },
}

impl Target {
    /// Name of the target as a statement's subject.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Volume { volume, .. } => format!("tenure:volume:{volume}"),
            Self::Memory { instance } => format!("tenure:memory:{instance}"),
        }
    }
}

impl From<WipeSubject> for Target {
    fn from(subject: WipeSubject) -> Self {
        match subject {
            WipeSubject::Volume { instance, volume } => Self::Volume { instance, volume },
            WipeSubject::Memory { instance } => Self::Memory { instance },
        }
    }
}

/// Which run of a wipe this is, and who wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// 1 for the first, then one more for each retry.
    pub attempt: u32,
    /// Digest of the order's nonce, which seeds the stream pattern.
    pub nonce: Digest,
    /// Digests of the persons' approvals, as they stand in the ledger.
    pub approvals: Vec<Digest>,
    /// Digest of the envelope with the intent of the attempt before, if this host made one.
    pub supersedes: Option<Digest>,
}

/// A host says what it is about to destroy. Nothing is written before this is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WipeIntent {
    /// Where it comes from.
    pub origin: Origin,
    /// Which run.
    pub run: Run,
    /// When, by the host's clock.
    pub at: Timestamp,
    /// All that will be destroyed, each once.
    pub targets: Vec<Target>,
}

impl WipeIntent {
    pub(super) fn dishonesty(&self) -> Option<String> {
        let mut targets = self.targets.clone();
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() {
            Some("the intent names nothing to destroy".to_owned())
        } else if targets.len() != self.targets.len() {
            Some("the intent names a target twice".to_owned())
        } else {
            self.run.dishonesty()
        }
    }
}

impl Run {
    pub(super) fn dishonesty(&self) -> Option<String> {
        (self.attempt == 0).then(|| "attempts are counted from 1".to_owned())
    }
}
