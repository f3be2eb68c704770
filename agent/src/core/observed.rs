//! What is on a host, as plans need it. `host/observe.rs` alone finds it out.

use std::collections::{BTreeMap, BTreeSet};

use tenure_protocol::{
    digest::Digest,
    id::{InstanceId, VolumeId},
    wire::v1::{Mark, Power},
};

use super::ruleset::{ListKey, TapName};

/// One look at the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Bridges of ours, by name.
    pub bridges: BTreeSet<String>,
    /// Taps of ours that are up and on a bridge, by name.
    pub taps: BTreeSet<TapName>,
    /// Taps entered in the cut table.
    pub enlisted: BTreeMap<TapName, Mark>,
    /// Marks that are cut.
    pub cut: BTreeSet<Mark>,
    /// Digest of the policy text that the kernel has in force, read back; `None` if this process
    /// has not applied one yet, or the kernel has another.
    pub policy: Option<Digest>,
    /// From what this host numbers lists of rules.
    pub list_key: ListKey,
    /// Instances that have a run directory, a memory file or a process.
    pub instances: BTreeMap<InstanceId, Power>,
    /// Volumes whose file is there.
    pub volumes: BTreeSet<VolumeId>,
    /// Load of the processors in thousandths, all of them together.
    pub cpu_load_permille: u32,
    /// Bytes of memory in use.
    pub memory_used_bytes: u64,
}
