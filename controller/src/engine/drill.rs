//! Drills: the act, what is measured of it here, and the reports.

use tenure_protocol::{id::TenantId, time::Timestamp};

use super::{
    Call, Engine, EngineError,
    act::{Beside, TRIES},
};
use crate::{
    core::{
        drill::{self, DrillReport},
        lifecycle::{CutKind, Event},
        tenant::Tenant,
    },
    store,
};

impl Engine {
    /// Rehearses the emergency cut on a canary. `received_at` is when the API took the request in,
    /// real clock.
    ///
    /// # Errors
    /// As [`Engine::act`].
    pub async fn drill(
        &self,
        call: Call,
        tenant: TenantId,
        reason: String,
        received_at: Timestamp,
    ) -> Result<Tenant, EngineError> {
        let Call { actor, expected, key } = call;
        let received_at = Some(received_at);
        let beside = Beside { expected, key, received_at, ..Beside::default() };
        let event = Event::Cut { kind: CutKind::Drill, reason };
        self.act_beside(&actor, tenant, &event, &beside).await
    }

    /// The reports of a tenant's drills, as far as they are known now, by the place of the cut.
    #[must_use]
    pub fn drill_reports(&self, tenant: &Tenant) -> Vec<(usize, DrillReport)> {
        let (rules, now) = (&self.inner.rules, self.inner.clock.now());
        let cuts = tenant.cuts.iter().enumerate();
        cuts.filter_map(|(at, cut)| {
            let drill = cut.drill.as_ref()?;
            Some((at, drill::report(cut, drill, rules, now)))
        })
        .collect()
    }

    /// Writes down what was measured of a drill that is durable. Without it the drill goes on, and
    /// its report has a step that is not known.
    pub(super) async fn measured(&self, tenant: &Tenant, [received, durable]: [Timestamp; 2]) {
        let Some((cut, _)) = tenant.last_drill() else { return };
        let (cut, received_at, durable_at) = (cut.id, received, durable);
        for _ in 0..TRIES {
            let event = Event::DrillMeasured { cut, received_at, durable_at };
            match self.note_measured(tenant.id, event).await {
                Err(EngineError::Conflict) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(tenant = %tenant.id, %cut, error, "a drill was not measured");
                    return;
                }
                Ok(()) => return,
            }
        }
    }

    async fn note_measured(&self, id: TenantId, event: Event) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let before = store::tenant(&mut tx, id).await?.ok_or(EngineError::NotFound("tenant"))?;
        let followed = self.follow(&mut tx, &before, event).await?;
        store::commit(tx).await?;
        self.after_follow(followed).await;
        Ok(())
    }
}
