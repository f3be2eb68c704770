//! `configuration`: what a host runs for a tenant.

use serde::{Deserialize, Serialize};

use super::{NotMeasured, Origin};
use crate::{digest::Digest, generation::Generation, id::InstanceId, time::Timestamp};

/// The attestation of a tenant's configuration on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Where it comes from.
    pub origin: Origin,
    /// Generation of the wanted state that was carried out.
    pub generation: Generation,
    /// What this process measured.
    pub measured: ConfigurationMeasured,
    /// What nobody measured.
    pub not_measured: Vec<NotMeasured>,
}

/// What was measured after a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigurationMeasured {
    /// When.
    pub at: Timestamp,
    /// Every instance of the tenant on the host.
    pub instances: Vec<InstanceMeasured>,
    /// Digest of the packet filter's rules as they were given to the kernel.
    pub ruleset: Digest,
}

/// One instance as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstanceMeasured {
    /// Which.
    pub instance: InstanceId,
    /// Whether its process runs.
    pub running: bool,
    /// Processors that it has.
    pub vcpus: u16,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// Bytes of its volumes, all together.
    pub volume_bytes: u64,
}

impl Configuration {
    pub(super) fn dishonesty(&self) -> Option<String> {
        let mut ids: Vec<_> = self.measured.instances.iter().map(|one| one.instance).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        (ids.len() != count).then(|| "it names an instance twice".to_owned())
    }
}
