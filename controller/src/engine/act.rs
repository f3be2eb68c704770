//! One event, one transaction.

use std::collections::BTreeSet;

use tenure_protocol::{digest::Digest, id::TenantId, time::Timestamp};

use super::{
    Call, Engine, EngineError, Expected,
    effects::Wakes,
    standing::{self, OfHost},
};
use crate::{
    core::{
        admission,
        calendar::Calendar,
        fleet::Fleet,
        lifecycle::{self, Actor, Context, Decision, Event, Role, Transition},
        refusal::Refusal,
        tenant::{Application, Tenant},
    },
    store::{self, ChangeKey, NewEvidence, NoticeRow, Tx, row::OrderRecord},
};

/// How often a transaction is tried again when somebody else was faster.
pub(super) const TRIES: u32 = 8;

/// What is recorded beside the event itself, and on what condition.
#[derive(Debug, Default, Clone)]
pub(super) struct Beside {
    /// The versions of the tenant that the event is meant for.
    pub(super) expected: Expected,
    /// The key that it is kept under.
    pub(super) key: Option<ChangeKey>,
    /// What became of an order.
    pub(super) order: Option<OrderRecord>,
    /// Envelopes that came with it.
    pub(super) evidence: Vec<NewEvidence>,
    /// A notice that was tried.
    pub(super) notice: Option<NoticeRow>,
    /// When the API took the request in, if it is for a drill; real clock.
    pub(super) received_at: Option<Timestamp>,
    /// The cut that a host says a person ordered there.
    pub(super) of_host: Option<OfHost>,
}

/// What followed within another transaction.
#[derive(Debug)]
pub(super) struct Followed {
    tenant: Tenant,
    event: Event,
    wakes: Wakes,
}

impl Followed {
    pub(super) const fn new(tenant: Tenant, event: Event, wakes: Wakes) -> Self {
        Self { tenant, event, wakes }
    }

    pub(super) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }
}

impl Engine {
    /// Takes an application in.
    ///
    /// # Errors
    /// [`EngineError::Refused`], [`EngineError::Store`]; those of keys.
    pub async fn submit(
        &self,
        call: impl Into<Call>,
        application: Application,
    ) -> Result<Tenant, EngineError> {
        self.check_form(&application)?;
        let application = self.sealed(application)?;
        let first = Event::Submit { application: application.clone() };
        self.begin(call.into(), first, |actor, context| {
            lifecycle::open(&application, actor, context)
        })
        .await
    }

    /// Takes a draft in.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn draft(
        &self,
        call: impl Into<Call>,
        application: Application,
    ) -> Result<Tenant, EngineError> {
        admission::draft(&application)?;
        let application = self.sealed(application)?;
        let first = Event::SaveDraft { application: application.clone() };
        self.begin(call.into(), first, |actor, context| {
            lifecycle::open_draft(&application, actor, context)
        })
        .await
    }

    async fn begin(
        &self,
        call: Call,
        event: Event,
        first: impl Fn(&Actor, &Context<'_>) -> Result<Transition, Refusal>,
    ) -> Result<Tenant, EngineError> {
        let Call { actor, expected: _, key } = call;
        let mut tx = self.inner.store.write().await?;
        if let Some(tenant) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(tenant);
        }
        let fleet = self.catalogue();
        let (calendar, filed) = (self.calendar_in(&mut tx).await?, BTreeSet::new());
        let context = self.context(&fleet, &calendar, &filed)?;
        let transition = first(&actor, &context)?;
        let customer = &transition.tenant.application.customer;
        let open = store::open_applications(&mut tx, customer).await?;
        self.inner.quotas.admit_application(open)?;
        store::add_tenant(&mut tx, &transition.tenant).await?;
        let wakes = self.record(&mut tx, &actor, &event, &transition, &context).await?;
        self.keep(&mut tx, key.as_ref(), Some(&transition.tenant)).await?;
        store::commit(tx).await?;
        self.after(&transition.tenant, &event, wakes).await;
        Ok(transition.tenant)
    }

    /// Lets something happen to a tenant, if it is at a version that the call is meant for, and did
    /// not happen before under the call's key: then the outcome of before comes again.
    ///
    /// # Errors
    /// [`EngineError::Refused`], [`EngineError::NotFound`], [`EngineError::Version`],
    /// [`EngineError::Conflict`], [`EngineError::Store`]; those of keys.
    pub async fn act(
        &self,
        call: impl Into<Call>,
        tenant: TenantId,
        event: Event,
    ) -> Result<Tenant, EngineError> {
        let Call { actor, expected, key } = call.into();
        // Checked as it was handed in, before its secrets are sealed.
        match &event {
            Event::Submit { application } => self.check_form(application)?,
            Event::SaveDraft { application } => admission::draft(application)?,
            Event::SetContacts { .. } => admission::event(&event)?,
            _ => {}
        }
        let event = self.sealed_event(event)?;
        let beside = Beside { expected, key, ..Beside::default() };
        self.act_beside(&actor, tenant, &event, &beside).await
    }

    pub(super) async fn act_beside(
        &self,
        actor: &Actor,
        id: TenantId,
        event: &Event,
        beside: &Beside,
    ) -> Result<Tenant, EngineError> {
        for _ in 0..TRIES {
            let mut tx = match event {
                Event::Cut { .. } | Event::CutByHost { .. } => {
                    self.inner.store.write_at_once().await?
                }
                _ => self.inner.store.write().await?,
            };
            if let Some(tenant) = self.recall(&mut tx, beside.key.as_ref()).await? {
                return Ok(tenant);
            }
            let before =
                store::tenant(&mut tx, id).await?.ok_or(EngineError::NotFound("tenant"))?;
            if !beside.expected.admits(before.version) {
                return Err(EngineError::Version(before.version));
            }
            let fleet = self.fleet_for(&mut tx, &before, event).await?;
            let calendar = self.calendar_in(&mut tx).await?;
            let filed = store::filed(&mut tx, Some(id), &event.documents()).await?;
            let context = self.context(&fleet, &calendar, &filed)?;
            let transition = lifecycle::apply(&before, event, actor, &context)?;
            match event {
                Event::SubmitDraft => {
                    self.inner.forms.check(&self.opened(&transition.tenant.application)?)?;
                }
                Event::Review { decision: Decision::Approve, .. } => {
                    self.inner.forms.complete(&self.opened(&before.application)?)?;
                }
                _ => {}
            }
            if transition.tenant != before
                && !store::save_tenant(&mut tx, &transition.tenant, before.version).await?
            {
                continue;
            }
            let mut wakes = if transition.changed {
                self.record(&mut tx, actor, event, &transition, &context).await?
            } else {
                Wakes::default()
            };
            self.record_beside(&mut tx, &transition.tenant, beside, &context).await?;
            if standing::concerns(&before, event, &transition.tenant) {
                let standing = Box::pin(self.stand(&mut tx, &transition.tenant, &context));
                wakes.hosts.extend(standing.await?);
            }
            self.keep(&mut tx, beside.key.as_ref(), Some(&transition.tenant)).await?;
            store::commit(tx).await?;
            let durable_at = self.inner.clock.now();
            self.after(&transition.tenant, event, wakes).await;
            if let Some(received_at) = beside.received_at {
                Box::pin(self.measured(&transition.tenant, [received_at, durable_at])).await;
            }
            return Ok(transition.tenant);
        }
        Err(EngineError::Conflict)
    }

    /// Lets something follow for a tenant within a transaction that is not committed yet.
    pub(super) async fn follow(
        &self,
        tx: &mut Tx,
        before: &Tenant,
        event: Event,
    ) -> Result<Followed, EngineError> {
        let fleet = self.fleet_for(tx, before, &event).await?;
        let (calendar, filed) = (self.calendar_in(tx).await?, BTreeSet::new());
        let context = self.context(&fleet, &calendar, &filed)?;
        let actor = Actor::controller();
        let transition = lifecycle::apply(before, &event, &actor, &context)?;
        if transition.tenant != *before
            && !store::save_tenant(tx, &transition.tenant, before.version).await?
        {
            return Err(EngineError::Conflict);
        }
        let mut wakes = if transition.changed {
            self.record(tx, &actor, &event, &transition, &context).await?
        } else {
            Wakes::default()
        };
        if standing::concerns(before, &event, &transition.tenant) {
            let standing = Box::pin(self.stand(tx, &transition.tenant, &context));
            wakes.hosts.extend(standing.await?);
        }
        Ok(Followed { tenant: transition.tenant, event, wakes })
    }

    /// Lets time pass for some tenants in one transaction: either for all of them or for none.
    pub(super) async fn tick_together(&self, tenants: &[TenantId]) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let mut all = Vec::with_capacity(tenants.len());
        for id in tenants {
            let before = store::tenant(&mut tx, *id).await?;
            let before = before.ok_or(EngineError::NotFound("tenant"))?;
            all.push(self.follow(&mut tx, &before, Event::Tick).await?);
        }
        store::commit(tx).await?;
        self.after_all(all).await;
        Ok(())
    }

    /// As [`Engine::after_follow`], for several: all hosts are woken before anything else.
    pub(super) async fn after_all(&self, all: Vec<Followed>) {
        for Followed { tenant, event, wakes } in &all {
            self.wake(tenant, event, wakes);
        }
        self.drain_or_log().await;
        for Followed { tenant, wakes, .. } in &all {
            self.leave(tenant, wakes).await;
        }
    }

    /// Wakes who waits for what followed, once it is committed.
    pub(super) async fn after_follow(&self, followed: Followed) {
        self.after(&followed.tenant, &followed.event, followed.wakes).await;
    }

    /// Lets happen what a host says. If the lifecycle wants it no more, the facts are kept all the
    /// same.
    pub(super) async fn act_or_record(
        &self,
        id: TenantId,
        event: &Event,
        beside: &Beside,
    ) -> Result<(), EngineError> {
        match self.act_beside(&Actor::controller(), id, event, beside).await {
            Ok(_) => Ok(()),
            Err(EngineError::Refused(refusal)) => {
                let (event, code) = (event.name(), refusal.code.as_str());
                tracing::warn!(tenant = %id, event, code, "a host's word came late");
                self.record_only(id, beside).await
            }
            Err(error) => Err(error),
        }
    }

    /// Records what came with an event that the domain did not accept: the facts stand, the tenant
    /// stays as it is.
    async fn record_only(&self, id: TenantId, beside: &Beside) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let tenant = store::tenant(&mut tx, id).await?.ok_or(EngineError::NotFound("tenant"))?;
        let (fleet, filed) = (Fleet::default(), BTreeSet::new());
        let calendar = self.calendar_in(&mut tx).await?;
        let context = self.context(&fleet, &calendar, &filed)?;
        self.record_beside(&mut tx, &tenant, beside, &context).await?;
        store::commit(tx).await?;
        self.inner.events_wake.send_modify(|count| *count = count.wrapping_add(1));
        self.drain_or_log().await;
        Ok(())
    }

    /// What is wrong by the rules of every application, each fault by its place, goes before what
    /// is wrong by the site's form.
    fn check_form(&self, application: &Application) -> Result<(), EngineError> {
        admission::form_of(application)?;
        Ok(self.inner.forms.check(application)?)
    }

    pub(super) fn context<'a>(
        &'a self,
        fleet: &'a Fleet,
        calendar: &'a Calendar,
        filed: &'a BTreeSet<Digest>,
    ) -> Result<Context<'a>, EngineError> {
        let real_now = self.inner.clock.now();
        Ok(Context {
            now: self.inner.clock.legal(real_now),
            real_now,
            seed: self.inner.chance.draw()?,
            calendar,
            rules: &self.inner.rules,
            provider: &self.inner.provider,
            letters: &self.inner.letters,
            fleet,
            filed,
        })
    }

    /// A key's name for the controller, a salted digest for a person: the ledger cannot forget.
    pub(super) fn keyid_of(&self, actor: &Actor) -> Digest {
        match actor.role {
            Role::Controller => self.attestation_key().id(),
            Role::Customer
            | Role::Reviewer
            | Role::Operator
            | Role::Security
            | Role::Auditor
            | Role::Administrator => self.salted(&actor.name),
        }
    }

    pub(super) fn salted(&self, name: &str) -> Digest {
        Digest::of(format!("{}\0{name}", self.inner.person_salt).as_bytes())
    }

    async fn after(&self, tenant: &Tenant, event: &Event, wakes: Wakes) {
        self.wake(tenant, event, &wakes);
        self.drain_or_log().await;
        self.leave(tenant, &wakes).await;
    }

    fn wake(&self, tenant: &Tenant, event: &Event, wakes: &Wakes) {
        let bump = |count: &mut u64| *count = count.wrapping_add(1);
        for host in &wakes.hosts {
            self.host_wake(*host, |wake| wake.send_modify(bump));
        }
        if wakes.notices {
            self.inner.notices_wake.send_modify(bump);
        }
        self.inner.deadlines_wake.send_modify(bump);
        self.inner.events_wake.send_modify(bump);
        tracing::info!(tenant = %tenant.id, event = event.name(), phase = tenant.phase.as_str(),
            version = tenant.version, "transition");
    }

    async fn leave(&self, tenant: &Tenant, wakes: &Wakes) {
        if wakes.exit
            && let Err(error) = self.bundle(tenant.id).await
        {
            tracing::error!(tenant = %tenant.id, %error, "the exit bundle could not be made yet");
        }
    }
}
