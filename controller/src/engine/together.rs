//! One act on several tenants in one transaction ([`crate::core::together`]).

use std::collections::BTreeSet;

use super::{Call, Engine, EngineError, act::Followed};
use crate::{
    core::{
        lifecycle::Event,
        refusal::{Code, Refusal},
        tenant::Tenant,
        together::{self, Outcome, Which},
    },
    store::{self, Tx},
};

impl Engine {
    /// Cuts several tenants, or ends the cuts of several: `event` is the same for each.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if it cannot be done for one of them, naming each: nothing is done
    /// then; [`EngineError::Conflict`], [`EngineError::Store`]; those of keys.
    pub async fn act_together(
        &self,
        call: Call,
        which: &Which,
        event: Event,
    ) -> Result<Vec<Outcome>, EngineError> {
        let Call { actor, expected: _, key } = call;
        let mut tx = match event {
            Event::Cut { .. } => self.inner.store.write_at_once().await?,
            _ => self.inner.store.write().await?,
        };
        if let Some(outcomes) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(outcomes);
        }
        let before = self.tenants_of(&mut tx, which).await?;
        let first = before.first().ok_or(EngineError::NotFound("tenant"))?;
        let fleet = self.fleet_for(&mut tx, first, &event).await?;
        let (calendar, filed) = (self.calendar_in(&mut tx).await?, BTreeSet::new());
        let context = self.context(&fleet, &calendar, &filed)?;
        let address = |channel: &_| self.address(channel);
        let (transitions, outcomes) =
            together::decide(&before, which, (&event, &actor), address, &context)?;
        let mut all = Vec::with_capacity(transitions.len());
        for transition in transitions {
            let tenant = &transition.tenant;
            // Every one of these events makes a new version.
            if !store::save_tenant(&mut tx, tenant, tenant.version.saturating_sub(1)).await? {
                return Err(EngineError::Conflict);
            }
            let wakes = self.record(&mut tx, &actor, &event, &transition, &context).await?;
            all.push(Followed::new(transition.tenant, event.clone(), wakes));
        }
        self.keep(&mut tx, key.as_ref(), Some(&outcomes)).await?;
        store::commit(tx).await?;
        self.after_all(all).await;
        Ok(outcomes)
    }

    async fn tenants_of(&self, tx: &mut Tx, which: &Which) -> Result<Vec<Tenant>, EngineError> {
        let ids = match which {
            Which::Named(ids) => ids.clone(),
            Which::OnHost(text) => {
                let hosts = store::hosts(tx).await?;
                let host = hosts.iter().find(|host| is_named(host, text));
                store::tenants_on(tx, host.ok_or(EngineError::NotFound("host"))?.id).await?
            }
        };
        together::admit(&ids, which)?;
        let (mut tenants, mut faults) = (Vec::with_capacity(ids.len()), Vec::new());
        for (place, id) in ids.into_iter().enumerate() {
            // What was never submitted is its customer's alone.
            match store::tenant(tx, id).await?.filter(|one| one.submitted_at.is_some()) {
                Some(tenant) => tenants.push(tenant),
                None => faults.push(together::fault(place, id, "there is no tenant of this id")),
            }
        }
        if faults.is_empty() {
            return Ok(tenants);
        }
        Err(Refusal::faulty(Code::UnknownTenant, faults).into())
    }
}

fn is_named(host: &store::row::HostRecord, text: &str) -> bool {
    host.name == text || host.id.to_string() == text
}
