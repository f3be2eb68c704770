//! What room the hosts have.

use std::collections::BTreeSet;

use super::{Engine, EngineError};
use crate::{
    core::{
        fleet::{Fleet, HostRoom},
        lifecycle::{Decision, Event},
        tenant::{Phase, Tenant},
        watch::MAX_CANDIDATES,
    },
    store::{self, Tx, row::Admission},
};

impl Engine {
    /// What an event has to know of the fleet: who places instances all of it, a cut the hosts
    /// that may be its witness, and all others the images alone, which costs nothing.
    pub(super) async fn fleet_for(
        &self,
        tx: &mut Tx,
        before: &Tenant,
        event: &Event,
    ) -> Result<Fleet, EngineError> {
        let approves = matches!(event, Event::Review { decision: Decision::Approve, .. });
        if matches!(event, Event::Cut { .. }) {
            let up = store::hosts_up(tx, MAX_CANDIDATES).await?;
            Ok(Fleet { up, ..self.catalogue() })
        } else if approves || before.phase == Phase::Approved {
            self.fleet(tx).await
        } else {
            Ok(self.catalogue())
        }
    }

    /// The image catalogue alone, for what places nothing.
    pub(super) fn catalogue(&self) -> Fleet {
        Fleet { images: self.inner.images.clone(), ..Fleet::default() }
    }

    /// Hosts that are up with what is given away of them, and what marks and networks are taken.
    async fn fleet(&self, tx: &mut Tx) -> Result<Fleet, EngineError> {
        let tenants = store::holding(tx).await?;
        let mut fleet = Fleet {
            hosts: Vec::new(),
            images: self.inner.images.clone(),
            last_mark: store::last_mark(tx).await?,
            networks_taken: BTreeSet::new(),
            up: Vec::new(),
        };
        for given in tenants.iter().filter_map(|tenant| tenant.allotment.as_ref()) {
            fleet.networks_taken.insert(given.network.address);
        }
        for host in store::hosts(tx).await? {
            let Some(facts) = host.facts.filter(|_| host.up) else { continue };
            if host.admission != Admission::Admitted {
                continue;
            }
            let mut room = HostRoom {
                id: host.id,
                name: host.name,
                cpus: facts.cpus,
                memory_bytes: facts.memory_bytes,
                volume_bytes: facts.volume_bytes,
                vcpus_taken: 0,
                memory_taken: 0,
                volume_taken: 0,
                instances: 0,
            };
            let instances = tenants.iter().flat_map(Tenant::instances);
            for instance in instances.filter(|instance| instance.host == room.id) {
                room.vcpus_taken += u32::from(instance.vcpus);
                room.memory_taken += u64::from(instance.memory_mib) << 20;
                room.volume_taken +=
                    instance.volumes.iter().map(|volume| volume.size_bytes).sum::<u64>();
                room.instances += 1;
            }
            fleet.hosts.push(room);
        }
        Ok(fleet)
    }
}
