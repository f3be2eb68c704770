//! Carrying out a wanted state: plan, perform, look, attest.

use tenure_protocol::{
    id::TenantId,
    wire::v1::{InstanceObserved, Order, OrderState, Outcome, Power, TenantWanted, WipeSubject},
};

use super::{EngineFailure, work::WorkLane};
use crate::core::{
    attest,
    observed::Observed,
    plan,
    record::{Allocation, Change, Fate, OrderRecord, TenantRecord},
    step::{HostFailure, Step},
};

/// Why a wanted state was not reached.
enum Unreached {
    Host(HostFailure),
    Engine(EngineFailure),
}

impl From<HostFailure> for Unreached {
    fn from(failure: HostFailure) -> Self {
        Self::Host(failure)
    }
}

impl From<EngineFailure> for Unreached {
    fn from(failure: EngineFailure) -> Self {
        Self::Engine(failure)
    }
}

impl WorkLane {
    pub(super) fn configure(
        &self,
        record: OrderRecord,
        order: &Order,
        wanted: &TenantWanted,
    ) -> Result<(), EngineFailure> {
        let tenant = {
            let mut desk = self.desk();
            let Some(tenant) = desk.records().tenants.get(&order.tenant).cloned() else {
                let message = "the tenant's record is not in the journal".to_owned();
                return self.fail(&mut desk, record, "not-readable", message, vec![], vec![]);
            };
            if tenant.generation > order.generation {
                let message = format!("generation {} took its place", tenant.generation);
                return self.fail(&mut desk, record, "superseded", message, vec![], vec![]);
            }
            desk.tell(order.id, OrderState::Started);
            tenant
        };
        match self.reach(&tenant) {
            Ok(observed) => self.configured(record, order, wanted, &observed),
            Err(Unreached::Host(HostFailure { code, sentence })) => {
                self.fail(&mut self.desk(), record, code, sentence, vec![], vec![])
            }
            Err(Unreached::Engine(failure)) => Err(failure),
        }
    }

    fn configured(
        &self,
        record: OrderRecord,
        order: &Order,
        wanted: &TenantWanted,
        observed: &Observed,
    ) -> Result<(), EngineFailure> {
        let power = |instance| observed.instances.get(&instance).copied().unwrap_or(Power::Stopped);
        let instances: Vec<InstanceObserved> = wanted
            .instances
            .iter()
            .map(|one| InstanceObserved {
                instance: one.instance,
                tenant: order.tenant,
                power: power(one.instance),
            })
            .collect();
        let origin = self.identity.origin(order, record.digest, self.clock.quality());
        let statement = attest::configuration(origin, order, wanted, observed, self.clock.now());
        let envelopes: Vec<Vec<u8>> = self.identity.key.seal(&statement).into_iter().collect();
        let mut desk = self.desk();
        if let Some(other) = wanted.instances.iter().find(|one| power(one.instance) != one.power) {
            let message = format!(
                "instance {} is {:?} after all steps: see its console log on the host",
                other.instance,
                power(other.instance)
            );
            return self.fail(&mut desk, record, "not-as-wanted", message, envelopes, vec![]);
        }
        tracing::info!(order = %order.id, tenant = %order.tenant, "configured");
        let state = OrderState::Done { outcome: Outcome::Configured { instances }, envelopes };
        desk.finish(record, state, Vec::new())
    }

    /// At start: what should run, runs again (the host may have been restarted). Orders that are
    /// not finished have their own turn.
    pub(super) fn converge(&self) -> Result<(), EngineFailure> {
        let tenants: Vec<TenantRecord> = {
            let desk = self.desk();
            let busy: Vec<TenantId> = desk
                .records()
                .unfinished()
                .iter()
                .filter_map(|id| desk.records().orders.get(id).map(|record| record.tenant))
                .collect();
            let live = |tenant: &&TenantRecord| {
                tenant.fate == Fate::Live && !busy.contains(&tenant.tenant)
            };
            desk.records().tenants.values().filter(live).cloned().collect()
        };
        for tenant in tenants {
            match self.reach(&tenant) {
                Ok(_) => {}
                Err(Unreached::Host(failure)) => tracing::error!(tenant = %tenant.tenant,
                    code = failure.code, "not as wanted after the start: {failure}"),
                Err(Unreached::Engine(failure)) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Plans and performs until nothing is left to do; gives what is seen then.
    fn reach(&self, tenant: &TenantRecord) -> Result<Observed, Unreached> {
        let observed = self.host.observe()?;
        let steps = {
            let desk = self.desk();
            plan::configure(tenant, &desk.records().tenants, &observed)
                .map_err(|refusal| HostFailure::of(refusal.code(), &refusal))?
        };
        for step in steps {
            if self.is_stopped() {
                return Err(EngineFailure::Stopped.into());
            }
            tracing::debug!(tenant = %tenant.tenant, step = step.name(), "step");
            self.host.perform(&step, &mut |_| {})?;
            self.allocated(tenant, &step)?;
        }
        Ok(self.host.observe()?)
    }

    /// A volume that was made is on record as made, so that it is never made again in silence.
    fn allocated(&self, tenant: &TenantRecord, step: &Step) -> Result<(), EngineFailure> {
        let mut desk = self.desk();
        let Some(mut now) = desk.records().tenants.get(&tenant.tenant).cloned() else {
            return Ok(());
        };
        for (subject, allocation) in &mut now.inventory {
            let made = match (subject, step) {
                (WipeSubject::Volume { volume, .. }, Step::CreateVolume { volume: made, .. }) => {
                    volume == made
                }
                (WipeSubject::Memory { instance }, Step::Start(start)) => {
                    *instance == start.wanted.instance
                }
                (WipeSubject::Volume { .. } | WipeSubject::Memory { .. }, _) => false,
            };
            if made && *allocation == Allocation::Begun {
                *allocation = Allocation::Made;
                return desk.commit(vec![Change::Tenant(now)]);
            }
        }
        Ok(())
    }
}
