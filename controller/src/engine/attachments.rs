//! Attachments: the bytes are durable first, then the row and its journal entry are committed, then
//! it is acknowledged. A file of which the row is missing is one that nobody was promised.

use bytes::Bytes;
use futures_util::Stream;
use sqlx::SqliteConnection;
use tenure_protocol::{digest::Digest, id::TenantId};
use uuid::Uuid;

use super::{Engine, EngineError, Page, Slice, records::Act};
use crate::{
    core::{
        attachment::{self, Attachment, Label, Room},
        draw::Draw,
        lifecycle::Actor,
    },
    files::{Content, FilesError, Received},
    store,
};

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// It is filed now.
    New(Attachment),
    /// The same bytes had been filed for the same owner: as they are known since then.
    Before(Attachment),
}

impl Engine {
    /// Files an attachment for a tenant, or for the platform. `announced` is how many bytes the
    /// caller says that there are; what counts is how many come.
    ///
    /// # Errors
    /// [`EngineError::Refused`], [`EngineError::NotFound`], [`EngineError::Files`],
    /// [`EngineError::Store`]; nothing is filed then.
    pub async fn attach<E: Send>(
        &self,
        actor: &Actor,
        owner: Option<TenantId>,
        label: Label,
        announced: Option<u64>,
        stream: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
    ) -> Result<Filed, EngineError> {
        label.check()?;
        let room = self.may_attach(actor, owner).await?;
        room.admit(announced.unwrap_or(1))?;
        let id = self.fresh_id()?;
        let files = &self.inner.files;
        let received = match files.receive(id, (room.bytes(), announced), stream).await {
            Err(FilesError::TooLarge) => {
                room.admit(room.bytes().saturating_add(1))?;
                return Err(FilesError::TooLarge.into());
            }
            received => received?,
        };
        if let Err(refusal) = room.admit(received.bytes) {
            files.discard(&received).await;
            return Err(refusal.into());
        }
        let filed = self.keep_and_file(actor, owner, label, &received).await?;
        self.inner.events_wake.send_modify(|count| *count = count.wrapping_add(1));
        self.drain_or_log().await;
        Ok(filed)
    }

    /// Attachments of a tenant, or of the platform, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn attachments(
        &self,
        owner: Option<TenantId>,
        page: &Page<u64>,
    ) -> Result<Slice<u64, Attachment>, EngineError> {
        Ok(store::attachments(&mut *self.inner.store.read().await?, owner, page).await?)
    }

    /// One attachment with its bytes, whose digests hold.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Files`] if they do not, [`EngineError::Store`].
    pub async fn attachment(
        &self,
        owner: Option<TenantId>,
        sha256: Digest,
    ) -> Result<(Attachment, Content), EngineError> {
        let mut conn = self.inner.store.read().await?;
        let known = store::attachment(&mut conn, owner, sha256).await?;
        drop(conn);
        let known = known.ok_or(EngineError::NotFound("attachment"))?;
        let content = self.inner.files.content(owner, &known).await?;
        Ok((known, content))
    }

    async fn may_attach(
        &self,
        actor: &Actor,
        owner: Option<TenantId>,
    ) -> Result<Room<'_>, EngineError> {
        let tenant = match owner {
            Some(id) => Some(self.tenant(id).await?),
            None => None,
        };
        attachment::may_file(tenant.as_ref(), actor)?;
        self.room(&mut *self.inner.store.read().await?, actor, owner).await
    }

    async fn room(
        &self,
        conn: &mut SqliteConnection,
        actor: &Actor,
        owner: Option<TenantId>,
    ) -> Result<Room<'_>, EngineError> {
        let customer = match &actor.customer {
            Some(customer) => Some(store::held_by(conn, customer).await?),
            None => None,
        };
        let owner = store::held(conn, owner).await?;
        Ok(Room { owner, customer, quotas: &self.inner.quotas })
    }

    /// Gives the file its name and files it. If it is not admitted after all it goes again, unless
    /// it was filed before. Of the same bytes for the same owner one at a time does so: none takes
    /// away what another files.
    async fn keep_and_file(
        &self,
        actor: &Actor,
        owner: Option<TenantId>,
        label: Label,
        received: &Received,
    ) -> Result<Filed, EngineError> {
        let lane = usize::from(received.sha256.0[0]) % self.inner.keeping.len();
        let _alone = match self.inner.keeping.get(lane) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        // Also for bytes that are filed already: it mends a file that was damaged in the store.
        self.inner.files.keep(received, owner).await?;
        let filed = self.file(actor, owner, label, received).await;
        if let Err(EngineError::Refused(_)) = &filed {
            self.inner.files.withdraw(received, owner).await;
        }
        filed
    }

    /// Admits what was received, and records it.
    async fn file(
        &self,
        actor: &Actor,
        owner: Option<TenantId>,
        label: Label,
        received: &Received,
    ) -> Result<Filed, EngineError> {
        let mut tx = self.inner.store.write().await?;
        if let Some(known) = store::attachment(&mut tx, owner, received.sha256).await? {
            return Ok(Filed::Before(known));
        }
        self.room(&mut tx, actor, owner).await?.admit(received.bytes)?;
        let tenant = match owner {
            Some(id) => store::tenant(&mut tx, id).await?,
            None => None,
        };
        attachment::may_file(tenant.as_ref(), actor)?;
        let at = self.inner.clock.legal(self.inner.clock.now());
        let new = Attachment {
            sha256: received.sha256,
            sm3: received.sm3,
            bytes: received.bytes,
            name: label.name,
            media_type: label.media_type,
            filed_by: actor.name.clone(),
            filed_at: at,
        };
        let body = serde_json::to_value(&new).unwrap_or_default();
        let act = Act { kind: "attachment-filed", actor, body };
        let seq = self.enter(&mut tx, tenant.as_ref(), act).await?;
        store::add_attachment(&mut tx, owner, (seq, actor.customer.as_deref()), &new).await?;
        store::commit(tx).await?;
        tracing::info!(owner = attachment::owner_name(owner), sha256 = %new.sha256,
            bytes = new.bytes, "attachment filed");
        Ok(Filed::New(new))
    }

    fn fresh_id(&self) -> Result<Uuid, EngineError> {
        Ok(Draw::new(self.inner.chance.draw()?, self.inner.clock.now()).uuid())
    }
}
