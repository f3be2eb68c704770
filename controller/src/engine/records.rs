//! Records: decided by `core::record`, entered into the journal and kept in one transaction. One
//! that counts goes to the lifecycle in the same transaction, which may owe or be owed something by
//! it.

use std::collections::BTreeSet;

use serde_json::json;
use tenure_protocol::id::{RecordId, TenantId};

use super::{Engine, EngineError};
use crate::{
    core::{
        draw::Draw,
        lifecycle::{Actor, Event},
        record::{Confirmation, Ground, NewRecord, Record},
        tenant::Tenant,
    },
    store::{self, NewAct, NewEntry, Tx},
};

/// What somebody did that is entered, and changes no phase.
pub(super) struct Act<'a> {
    pub(super) kind: &'a str,
    pub(super) actor: &'a Actor,
    pub(super) body: serde_json::Value,
}

impl Engine {
    /// Records something about a tenant, or about the platform.
    ///
    /// # Errors
    /// [`EngineError::Refused`], [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn add_record(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        new: NewRecord,
    ) -> Result<Record, EngineError> {
        let real_now = self.inner.clock.now();
        let id = RecordId::from_uuid(Draw::new(self.inner.chance.draw()?, real_now).uuid());
        let mut tx = self.inner.store.write().await?;
        let about = tenant_of(&mut tx, tenant).await?;
        let related = match new.content.refers_to() {
            Some(related) => store::record(&mut tx, related).await?,
            None => None,
        };
        let sealed = new.content.is_sealed(related.as_ref());
        let filed = store::filed(&mut tx, tenant.filter(|_| !sealed), &new.documents).await?;
        let ground = Ground {
            now: self.inner.clock.legal(real_now),
            tenant: about.as_ref(),
            related: related.as_ref(),
            filed: &filed,
        };
        let record = new.add(id, actor, &ground)?;
        let body = serde_json::to_value(&record).unwrap_or_default();
        let owner = about.as_ref().filter(|_| !record.sealed);
        let act = Act { kind: "record-added", actor, body };
        let seq = self.enter(&mut tx, owner, act).await?;
        store::add_record(&mut tx, seq, &record).await?;
        self.commit_record(tx, record, about).await
    }

    /// Says as a second person whether a record is so.
    ///
    /// # Errors
    /// As [`Engine::add_record`].
    pub async fn confirm_record(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        id: RecordId,
        agreed: bool,
        opinion: &str,
    ) -> Result<Record, EngineError> {
        let mut tx = self.inner.store.write().await?;
        let found = store::record(&mut tx, id).await?.filter(|record| record.tenant == tenant);
        let mut record = found.ok_or(EngineError::NotFound("record"))?;
        let about = tenant_of(&mut tx, tenant).await?;
        let ground = Ground {
            now: self.inner.clock.legal(self.inner.clock.now()),
            tenant: about.as_ref(),
            related: None,
            filed: &BTreeSet::new(),
        };
        let said: Confirmation = record.confirm(actor, agreed, opinion, &ground)?;
        let kind = if agreed { "record-confirmed" } else { "record-rejected" };
        let body = json!({"record": id, "agreed": agreed, "opinion": opinion});
        let owner = about.as_ref().filter(|_| !record.sealed);
        let seq = self.enter(&mut tx, owner, Act { kind, actor, body }).await?;
        store::add_confirmation(&mut tx, seq, id, &said).await?;
        record.confirmations.push(said);
        self.commit_record(tx, record, about).await
    }

    /// All records about a tenant, or about the platform, that this person may see; oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn records(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
    ) -> Result<Vec<Record>, EngineError> {
        let mut records = store::records(&mut *self.inner.store.read().await?, tenant).await?;
        records.retain(|record| record.is_visible(actor));
        Ok(records)
    }

    /// Enters what somebody did into the tenant's journal, or among the platform's acts; returns
    /// the row's number.
    pub(super) async fn enter(
        &self,
        tx: &mut Tx,
        owner: Option<&Tenant>,
        act: Act<'_>,
    ) -> Result<u64, EngineError> {
        let Act { kind, actor, body } = act;
        let real_now = self.inner.clock.now();
        let (actor_keyid, salt) = (self.keyid_of(actor), self.inner.chance.draw()?);
        let seq = match owner {
            Some(tenant) => {
                let at = self.inner.clock.legal(real_now);
                let (phase, tenant) = (tenant.phase, tenant.id);
                let object = None;
                let entry =
                    NewEntry { tenant, kind, at, actor, actor_keyid, body, phase, object, salt };
                store::append_journal(tx, entry).await?
            }
            None => {
                let (host, object, at) = (None, None, real_now);
                let entry = NewAct { kind, host, at, actor, actor_keyid, body, object, salt };
                store::append_act(tx, entry).await?
            }
        };
        Ok(seq)
    }

    async fn commit_record(
        &self,
        mut tx: Tx,
        record: Record,
        about: Option<Tenant>,
    ) -> Result<Record, EngineError> {
        let followed = match about.filter(|_| record.counts() && !record.sealed) {
            Some(tenant) => {
                let event = Event::RecordCounts { fact: record.fact() };
                Some(self.follow(&mut tx, &tenant, event).await?)
            }
            None => None,
        };
        store::commit(tx).await?;
        tracing::info!(record = %record.id, kind = record.content.kind().as_str(),
            standing = ?record.standing(), "record");
        match followed {
            Some(followed) => self.after_follow(followed).await,
            None => self.drain_or_log().await,
        }
        Ok(record)
    }
}

async fn tenant_of(tx: &mut Tx, tenant: Option<TenantId>) -> Result<Option<Tenant>, EngineError> {
    match tenant {
        Some(id) => {
            let found = store::tenant(tx, id).await?;
            found.map(Some).ok_or(EngineError::NotFound("tenant"))
        }
        None => Ok(None),
    }
}
