//! What room the hosts have.

use std::collections::{BTreeMap, BTreeSet};

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
    /// that may be its witness, and all others the images and zones alone, which costs nothing.
    pub(super) async fn fleet_for(
        &self,
        tx: &mut Tx,
        before: &Tenant,
        event: &Event,
    ) -> Result<Fleet, EngineError> {
        let approves = matches!(event, Event::Review { decision: Decision::Approve, .. });
        if matches!(event, Event::Cut { .. } | Event::CutByHost { .. }) {
            let up = store::hosts_up(tx, MAX_CANDIDATES).await?;
            Ok(Fleet { up, ..self.catalogue() })
        } else if approves || before.phase == Phase::Approved {
            self.fleet(tx).await
        } else {
            Ok(self.catalogue())
        }
    }

    /// The image catalogue and the zones alone, for what places nothing.
    pub(super) fn catalogue(&self) -> Fleet {
        let (images, zones) = (self.inner.images.clone(), self.inner.zones.clone());
        Fleet { images, zones, thresholds: self.inner.thresholds, ..Fleet::default() }
    }

    /// Hosts that are up with what is given away of them, and what marks and networks are taken.
    async fn fleet(&self, tx: &mut Tx) -> Result<Fleet, EngineError> {
        let mut fleet = Fleet {
            hosts: Vec::new(),
            images: self.inner.images.clone(),
            last_mark: store::last_mark(tx).await?,
            networks_taken: BTreeSet::new(),
            zones: self.inner.zones.clone(),
            thresholds: self.inner.thresholds,
            up: Vec::new(),
        };
        let mut rooms = BTreeMap::new();
        for host in store::hosts(tx).await? {
            let Some(facts) = host.facts.filter(|_| host.up) else { continue };
            if host.admission != Admission::Admitted {
                continue;
            }
            let room = HostRoom {
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
            rooms.insert(room.id, room);
        }
        for occupied in store::occupied(tx).await? {
            fleet.networks_taken.insert(occupied.network);
            for one in occupied.taken {
                let Some(room) = rooms.get_mut(&one.host) else { continue };
                room.vcpus_taken = room.vcpus_taken.saturating_add(one.vcpus);
                room.memory_taken = room.memory_taken.saturating_add(one.memory_bytes);
                room.volume_taken = room.volume_taken.saturating_add(one.volume_bytes);
                room.instances = room.instances.saturating_add(one.instances);
            }
        }
        fleet.hosts = rooms.into_values().collect();
        Ok(fleet)
    }
}
