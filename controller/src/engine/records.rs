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
    store::{self, NewEntry, Tx},
};

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
        let entry = self.entry_of(&record, about.as_ref(), "record-added", actor, ground.now)?;
        let seq = store::append_journal(&mut tx, NewEntry { body, ..entry }).await?;
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
        let entry = self.entry_of(&record, about.as_ref(), kind, actor, ground.now)?;
        let seq = store::append_journal(&mut tx, NewEntry { body, ..entry }).await?;
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

    fn entry_of<'a>(
        &self,
        record: &Record,
        about: Option<&Tenant>,
        kind: &'a str,
        actor: &'a Actor,
        at: tenure_protocol::time::Timestamp,
    ) -> Result<NewEntry<'a>, EngineError> {
        let owner = record.owner();
        Ok(NewEntry {
            tenant: owner,
            kind,
            at,
            actor,
            actor_keyid: self.keyid_of(actor),
            body: serde_json::Value::Null,
            phase: about.filter(|_| owner.is_some()).map(|tenant| tenant.phase),
            object: None,
            salt: self.inner.chance.draw()?,
        })
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
