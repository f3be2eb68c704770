//! What happens to the platform itself, and the deny-list of hosts.
//!
//! ```text
//! admitted ─block (a person's reason; a join token used twice)→ blocked ─unblock→ admitted
//! ```
//! A blocked host has no session, gets no orders, and is believed in nothing. Its orders wait: a
//! tenant on it is not cut by the controller, but by whoever stands at the host. Every act is in
//! the journal in the transaction in which it takes effect, and in the ledger after it.

use serde_json::{Value, json};
use sqlx::SqliteConnection;
use tenure_protocol::id::HostId;

use super::{Call, Engine, EngineError, hosts::need};
use crate::{
    core::{
        admission,
        lifecycle::{Actor, Role},
        refusal::{Code, Refusal},
    },
    store::{
        self, NewAct, Tx,
        row::{Admission, Block, HostRecord, PlatformRecord},
    },
};

/// Who may block a host, and let it in again.
const GUARDS: &[Role] = &[Role::Administrator, Role::Security];

/// Most acts that one answer shows.
const MAX_ACTS: u32 = 1_000;

/// Refuses a host that is blocked.
pub(super) fn check(host: &HostRecord) -> Result<(), EngineError> {
    if host.block().is_some() { Err(EngineError::Blocked) } else { Ok(()) }
}

/// A host that is known and not blocked.
pub(super) async fn admitted(
    conn: &mut SqliteConnection,
    id: HostId,
) -> Result<HostRecord, EngineError> {
    let host = store::host(conn, id).await?.ok_or(EngineError::NotFound("host"))?;
    check(&host)?;
    Ok(host)
}

impl Engine {
    /// A host that may take part.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Blocked`], [`EngineError::Store`].
    pub async fn admitted_host(&self, id: HostId) -> Result<HostRecord, EngineError> {
        admitted(&mut *self.inner.store.read().await?, id).await
    }

    /// Blocks a host; its session ends at once.
    ///
    /// # Errors
    /// [`EngineError::Refused`] unless an administrator or security asks, with a reason, and the
    /// host is admitted; [`EngineError::NotFound`].
    pub async fn block_host(
        &self,
        call: impl Into<Call>,
        id: HostId,
        reason: String,
    ) -> Result<HostRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        need(&by, GUARDS, "blocking a host")?;
        admission::reason(&reason)?;
        let mut tx = self.inner.store.write().await?;
        if let Some(host) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(host);
        }
        let mut host = store::host(&mut tx, id).await?.ok_or(EngineError::NotFound("host"))?;
        if let Some(block) = host.block() {
            let sentence = format!(
                "the host {} is blocked already, by {} since {}: {}",
                host.name, block.by, block.at, block.reason
            );
            return Err(Refusal::new(Code::WrongAdmission, sentence).into());
        }
        self.block(&mut tx, &mut host, &by, &reason).await?;
        self.keep(&mut tx, key.as_ref(), Some(&host)).await?;
        store::commit(tx).await?;
        self.blocked(id).await;
        tracing::warn!(host = %id, name = host.name, "host blocked");
        Ok(host)
    }

    /// Lets a host in again. It comes by itself.
    ///
    /// # Errors
    /// [`EngineError::Refused`] unless an administrator or security asks, with a reason, and the
    /// host is blocked; [`EngineError::NotFound`].
    pub async fn unblock_host(
        &self,
        call: impl Into<Call>,
        id: HostId,
        reason: String,
    ) -> Result<HostRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        need(&by, GUARDS, "unblocking a host")?;
        admission::reason(&reason)?;
        let mut tx = self.inner.store.write().await?;
        if let Some(host) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(host);
        }
        let mut host = store::host(&mut tx, id).await?.ok_or(EngineError::NotFound("host"))?;
        if host.block().is_none() {
            let sentence = format!("the host {} is not blocked: nothing to do", host.name);
            return Err(Refusal::new(Code::WrongAdmission, sentence).into());
        }
        host.admission = Admission::Admitted;
        store::save_host(&mut tx, &host).await?;
        self.note_act(&mut tx, "host-unblocked", Some(id), &by, json!({ "reason": reason }))
            .await?;
        self.keep(&mut tx, key.as_ref(), Some(&host)).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::warn!(host = %id, name = host.name, "host unblocked");
        Ok(host)
    }

    /// Blocks a host within a transaction.
    pub(super) async fn block(
        &self,
        tx: &mut Tx,
        host: &mut HostRecord,
        by: &Actor,
        reason: &str,
    ) -> Result<(), EngineError> {
        let (by_name, at) = (by.name.clone(), self.inner.clock.now());
        host.admission = Admission::Blocked(Block { by: by_name, at, reason: reason.to_owned() });
        host.up = false;
        store::save_host(tx, host).await?;
        self.note_act(tx, "host-blocked", Some(host.id), by, json!({ "reason": reason })).await
    }

    /// After the commit: the host's session looks whether it may go on, and ends.
    pub(super) async fn blocked(&self, id: HostId) {
        self.host_wake(id, |wake| wake.send_modify(|count| *count = count.wrapping_add(1)));
        self.drain_or_log().await;
    }

    /// Records an act whose entry in the ledger refers to its row alone.
    pub(super) async fn note_act(
        &self,
        tx: &mut Tx,
        kind: &str,
        host: Option<HostId>,
        by: &Actor,
        body: Value,
    ) -> Result<(), EngineError> {
        let act = NewAct {
            kind,
            host,
            at: self.inner.clock.now(),
            actor: by,
            actor_keyid: self.keyid_of(by),
            body,
            object: None,
            salt: self.inner.chance.draw()?,
        };
        store::append_act(tx, act).await?;
        Ok(())
    }

    /// The newest acts on the platform itself, newest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn platform_acts(&self) -> Result<Vec<PlatformRecord>, EngineError> {
        Ok(store::acts(&mut *self.inner.store.read().await?, MAX_ACTS).await?)
    }
}
