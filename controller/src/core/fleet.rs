//! The fleet as the lifecycle sees it: hosts with room, images that may be booted, what of marks
//! and networks is taken, and the site's zones.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, id::HostId, wire::v1::Mark};

use super::{anomaly::SiteThresholds, group::Zones, tenant::Tenant};

/// An image of the catalogue: what an instance boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Its name in applications.
    pub name: String,
    /// Digest of the kernel: its file name on the hosts.
    pub kernel: Digest,
    /// Digest of the initial RAM file system: its file name on the hosts.
    pub initrd: Digest,
    /// The kernel's command line.
    #[serde(default)]
    pub cmdline: String,
}

/// What a host has and what of it is given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoom {
    /// Which.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Logical processors.
    pub cpus: u32,
    /// Bytes for guests' memory in all.
    pub memory_bytes: u64,
    /// Bytes for volumes in all.
    pub volume_bytes: u64,
    /// Virtual processors given away.
    pub vcpus_taken: u32,
    /// Bytes of memory given away.
    pub memory_taken: u64,
    /// Bytes of volumes given away.
    pub volume_taken: u64,
    /// Instances on it.
    pub instances: u32,
}

/// What a tenant holds of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupied {
    /// Address of its network.
    pub network: [u8; 4],
    /// What it takes of each host that it is on.
    pub taken: Vec<Taken>,
}

/// What a tenant takes of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Of which.
    pub host: HostId,
    /// Virtual processors.
    pub vcpus: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of volumes.
    pub volume_bytes: u64,
    /// Instances.
    pub instances: u32,
}

impl Occupied {
    /// What a tenant holds; nothing before it is placed, and once all of it is destroyed.
    #[must_use]
    pub fn of(tenant: &Tenant) -> Option<Self> {
        let given = tenant.allotment.as_ref().filter(|_| tenant.phase.holds_resources())?;
        let mut taken: Vec<Taken> = Vec::new();
        for instance in &given.instances {
            let host = instance.host;
            let at = taken.iter().position(|one| one.host == host).unwrap_or_else(|| {
                taken.push(Taken {
                    host,
                    vcpus: 0,
                    memory_bytes: 0,
                    volume_bytes: 0,
                    instances: 0,
                });
                taken.len() - 1
            });
            let one = &mut taken[at];
            one.vcpus += u32::from(instance.vcpus);
            one.memory_bytes += u64::from(instance.memory_mib) << 20;
            one.volume_bytes +=
                instance.volumes.iter().map(|volume| volume.size_bytes).sum::<u64>();
            one.instances += 1;
        }
        Some(Self { network: given.network.address, taken })
    }
}

/// What the lifecycle has to know of the world outside one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Hosts that are up.
    pub hosts: Vec<HostRoom>,
    /// The image catalogue.
    pub images: Vec<Image>,
    /// The highest mark that is, or ever was, a tenant's: they are given in their order, and never
    /// twice.
    pub last_mark: Option<Mark>,
    /// Networks (their address) that tenants hold.
    pub networks_taken: BTreeSet<[u8; 4]>,
    /// Which addresses the site calls what.
    pub zones: Zones,
    /// From when on the site takes what is counted for an anomaly.
    pub thresholds: SiteThresholds,
    /// Hosts that are up, for the choice of a cut's witness; not all of a large fleet.
    pub up: Vec<HostId>,
}
