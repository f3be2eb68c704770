//! Records: decided by `core::record`, entered into the journal and kept in one transaction. One
//! that counts goes to the lifecycle in the same transaction, which may owe or be owed something by
//! it.

use std::collections::BTreeSet;

use serde_json::json;
use tenure_protocol::id::{RecordId, TenantId};

use super::{Call, Engine, EngineError, Expected, Page, Slice};
use crate::{
    core::{
        draw::Draw,
        lifecycle::{Actor, Event},
        record::{self, Confirmation, Ground, NewRecord, Record},
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
    /// [`EngineError::Refused`], [`EngineError::NotFound`], [`EngineError::Version`],
    /// [`EngineError::Store`]; those of keys.
    pub async fn add_record(
        &self,
        call: impl Into<Call>,
        tenant: Option<TenantId>,
        new: NewRecord,
    ) -> Result<Record, EngineError> {
        let Call { actor, expected, key } = call.into();
        let real_now = self.inner.clock.now();
        let id = RecordId::from_uuid(Draw::new(self.inner.chance.draw()?, real_now).uuid());
        let mut tx = self.inner.store.write().await?;
        if let Some(record) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(record);
        }
        let about = tenant_of(&mut tx, tenant, &expected).await?;
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
        let record = new.add(id, &actor, &ground)?;
        let body = serde_json::to_value(&record).unwrap_or_default();
        let owner = about.as_ref().filter(|_| !record.sealed);
        let act = Act { kind: "record-added", actor: &actor, body };
        let seq = self.enter(&mut tx, owner, act).await?;
        store::add_record(&mut tx, seq, &record).await?;
        self.keep(&mut tx, key.as_ref(), Some(&record)).await?;
        self.commit_record(tx, record, about).await
    }

    /// Says as a second person whether a record is so.
    ///
    /// # Errors
    /// As [`Engine::add_record`].
    pub async fn confirm_record(
        &self,
        call: impl Into<Call>,
        tenant: Option<TenantId>,
        id: RecordId,
        agreed: bool,
        opinion: &str,
    ) -> Result<Record, EngineError> {
        let Call { actor, expected, key } = call.into();
        let mut tx = self.inner.store.write().await?;
        if let Some(record) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(record);
        }
        let found = store::record(&mut tx, id).await?.filter(|record| record.tenant == tenant);
        let mut record = found.ok_or(EngineError::NotFound("record"))?;
        let about = tenant_of(&mut tx, tenant, &expected).await?;
        let ground = Ground {
            now: self.inner.clock.legal(self.inner.clock.now()),
            tenant: about.as_ref(),
            related: None,
            filed: &BTreeSet::new(),
        };
        let said: Confirmation = record.confirm(&actor, agreed, opinion, &ground)?;
        let kind = if agreed { "record-confirmed" } else { "record-rejected" };
        let body = json!({"record": id, "agreed": agreed, "opinion": opinion});
        let owner = about.as_ref().filter(|_| !record.sealed);
        let seq = self.enter(&mut tx, owner, Act { kind, actor: &actor, body }).await?;
        store::add_confirmation(&mut tx, seq, id, &said).await?;
        record.confirmations.push(said);
        self.keep(&mut tx, key.as_ref(), Some(&record)).await?;
        self.commit_record(tx, record, about).await
    }

    /// Records about a tenant, or about the platform, that this person may see; oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn records(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        page: &Page<u64>,
    ) -> Result<Slice<u64, Record>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        // What is not shown takes no place on a page either: a gap would tell of it.
        let sealed = record::sees_sealed(actor);
        let mut slice = store::records(&mut conn, tenant, sealed, page).await?;
        slice.items.retain(|record| record.is_visible(actor));
        Ok(slice)
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
                let entry = NewEntry {
                    tenant: tenant.id,
                    kind,
                    at,
                    actor,
                    actor_keyid,
                    body,
                    phase: tenant.phase,
                    shown: tenant.submitted_at.is_some(),
                    object: None,
                    salt,
                };
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
            None => {
                self.inner.events_wake.send_modify(|count| *count = count.wrapping_add(1));
                self.drain_or_log().await;
            }
        }
        Ok(record)
    }
}

/// The tenant that something is about, at a version that the call is meant for.
async fn tenant_of(
    tx: &mut Tx,
    tenant: Option<TenantId>,
    expected: &Expected,
) -> Result<Option<Tenant>, EngineError> {
    match tenant {
        Some(id) => {
            let tenant = store::tenant(tx, id).await?.ok_or(EngineError::NotFound("tenant"))?;
            if !expected.admits(tenant.version) {
                return Err(EngineError::Version(tenant.version));
            }
            Ok(Some(tenant))
        }
        None => Ok(None),
    }
}
