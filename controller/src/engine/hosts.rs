//! How hosts come in: by grants that work once.

use tenure_protocol::{
    digest::Digest,
    evidence::{entry, key::PublicKey},
    id::{HostId, TenantId},
    time::Timestamp,
    wire::{
        order::SignedOrder,
        v1::{Hello, Lane, Observation},
    },
};

use super::{Call, Engine, EngineError, platform};
use crate::{
    core::{
        draw::Draw,
        lifecycle::{Actor, Event, Role},
        refusal::{Code, Refusal},
        tenant::Phase,
    },
    store::{
        self, JoinToken, NewAct, Tx,
        row::{Admission, HostRecord},
    },
};

/// A grant for a host to join works for this long, ms.
const JOIN_MS: i64 = 15 * 60 * 1000;

/// Longest name of a host, characters.
pub const NAME_LIMIT: usize = 63;

/// A grant for one host to join.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinGrant {
    /// Works once; only its digest is kept.
    pub secret: [u8; 32],
    /// The host that it is for.
    pub host_name: String,
    /// Real clock.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for JoinGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinGrant").field("host_name", &self.host_name).finish_non_exhaustive()
    }
}

/// Checks that an actor has one of these roles. The controller itself may do all of it.
pub(super) fn need(by: &Actor, roles: &[Role], what: &str) -> Result<(), EngineError> {
    if by.role == Role::Controller || roles.contains(&by.role) {
        return Ok(());
    }
    let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let sentence = format!(
        "{what} needs the role {}; your token has {}",
        names.join(" or "),
        by.role.as_str()
    );
    Err(Refusal::new(Code::WrongRole, sentence).into())
}

impl Engine {
    /// Grants one host to join, within 15 minutes.
    ///
    /// # Errors
    /// [`EngineError::Refused`] unless an administrator asks; [`EngineError::Invalid`] if the name
    /// is no DNS label or a host has it already.
    pub async fn create_join_token(
        &self,
        call: impl Into<Call>,
        host_name: String,
    ) -> Result<JoinGrant, EngineError> {
        let call = call.into();
        need(&call.actor, &[Role::Administrator], "granting a host to join")?;
        let label = (1..=NAME_LIMIT).contains(&host_name.len())
            && host_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !host_name.starts_with('-')
            && !host_name.ends_with('-');
        if !label {
            let sentence = "the host's name has to be 1 to 63 letters, digits and hyphens";
            return Err(EngineError::Invalid(sentence.to_owned()));
        }
        let mut tx = self.inner.store.write().await?;
        self.recall::<()>(&mut tx, call.key.as_ref()).await?;
        if store::hosts(&mut tx).await?.iter().any(|host| host.name == host_name) {
            let sentence = format!("a host named {host_name} has joined already: choose another");
            return Err(EngineError::Invalid(sentence));
        }
        let secret = self.inner.chance.draw()?;
        let expires_at = self.inner.clock.now().plus_ms(JOIN_MS);
        let digest = Digest::of(&secret);
        let body = serde_json::json!({ "host_name": host_name, "expires_at": expires_at });
        self.note_act(&mut tx, "join-token-issued", None, &call.actor, body).await?;
        let token = JoinToken { digest, host_name, expires_at, host: None, issuer: call.actor };
        store::save_join_token(&mut tx, &token).await?;
        self.keep::<()>(&mut tx, call.key.as_ref(), None).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        Ok(JoinGrant { secret, host_name: token.host_name, expires_at })
    }

    /// Takes a host in. The same host may ask again, if it did not hear the answer; another host
    /// with the same grant blocks both.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if the grant is unknown, expired, for another name, or used twice.
    pub async fn redeem_join_token(
        &self,
        secret: [u8; 32],
        host_name: String,
        host_key: [u8; 32],
    ) -> Result<HostId, EngineError> {
        let invalid = |sentence: String| Err(EngineError::Invalid(sentence));
        let now = self.inner.clock.now();
        let keyid = PublicKey::from_bytes(&host_key)
            .map_err(|error| EngineError::Invalid(error.to_string()))?
            .id();
        let mut tx = self.inner.store.write().await?;
        let Some(mut token) = store::join_token(&mut tx, Digest::of(&secret)).await? else {
            return invalid("this join token is not known: ask for a new one".to_owned());
        };
        if let Some(id) = token.host {
            return self.redeem_again(tx, id, host_key, now >= token.expires_at).await;
        }
        if now >= token.expires_at {
            return invalid("this join token has expired: ask for a new one".to_owned());
        }
        if token.host_name != host_name {
            return invalid(format!("this join token is for the host {:?}", token.host_name));
        }
        if store::hosts(&mut tx).await?.iter().any(|host| host.name == host_name) {
            return invalid(format!("a host named {host_name} has joined already"));
        }
        let id = HostId::from_uuid(Draw::new(self.inner.chance.draw()?, now).uuid());
        let host = HostRecord {
            id,
            name: host_name,
            host_key,
            admission: Admission::Admitted,
            up: false,
            seen_at: None,
            agent_version: None,
            boot_id: None,
            facts: None,
            observation: None,
        };
        store::save_host(&mut tx, &host).await?;
        token.host = Some(id);
        store::save_join_token(&mut tx, &token).await?;
        let object = entry::host_joined(id, &keyid);
        store::append_act(
            &mut tx,
            NewAct {
                kind: entry::HOST_JOINED,
                host: Some(id),
                at: now,
                actor_keyid: self.keyid_of(&token.issuer),
                actor: &token.issuer,
                body: serde_json::json!({ "name": host.name, "keyid": keyid }),
                object: Some(object),
                salt: self.inner.chance.draw()?,
            },
        )
        .await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(host = %id, name = host.name, "host joined");
        Ok(id)
    }

    /// A join token that was redeemed comes again: from the same host, which did not hear the
    /// answer, or from another one.
    async fn redeem_again(
        &self,
        mut tx: Tx,
        id: HostId,
        host_key: [u8; 32],
        expired: bool,
    ) -> Result<HostId, EngineError> {
        let invalid = |sentence: &str| Err(EngineError::Invalid(sentence.to_owned()));
        let known = store::host(&mut tx, id).await?;
        let mut host = known.ok_or(EngineError::NotFound("host"))?;
        if host.host_key == host_key && host.admission == Admission::Admitted {
            return Ok(id);
        }
        // Whoever finds an old token must not be able to take a host out with it.
        if expired {
            tracing::error!(host = %id, "ALARM: an expired join token of this host was tried");
            return invalid("this join token has expired: ask for a new one");
        }
        if host.block().is_none() {
            let reason = "its join token was used twice: nobody knows which one is the host";
            self.block(&mut tx, &mut host, &Actor::controller(), reason).await?;
            store::commit(tx).await?;
            self.blocked(id).await;
        }
        tracing::error!(host = %id, "ALARM: a join token was used twice; the host is blocked");
        invalid("this join token was used already; its host is now blocked")
    }

    /// A host's session stands.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Blocked`], [`EngineError::Store`].
    pub async fn host_up(&self, host: HostId, hello: Hello) -> Result<(), EngineError> {
        let now = self.inner.clock.now();
        self.change_host(host, move |record| {
            platform::check(record)?;
            record.up = true;
            record.seen_at = Some(now);
            record.agent_version = Some(hello.agent_version);
            record.boot_id = Some(hello.boot_id);
            record.facts = Some(hello.facts);
            Ok(())
        })
        .await?;
        self.place_waiting().await;
        Ok(())
    }

    /// Looks for a place for every application that waits for one: a host has come up.
    async fn place_waiting(&self) {
        let waiting = match self.waiting().await {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(%error, "waiting applications cannot be read"),
        };
        for tenant in waiting {
            if let Err(error) = self.act(Actor::controller(), tenant, Event::Tick).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%tenant, error, "a waiting application could not be placed");
            }
        }
    }

    async fn waiting(&self) -> Result<Vec<TenantId>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        Ok(store::tenants_in(&mut conn, Phase::Approved).await?)
    }

    /// A host's session ended.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn host_down(&self, host: HostId) -> Result<(), EngineError> {
        self.change_host(host, |record| {
            record.up = false;
            Ok(())
        })
        .await
    }

    /// What a host sees.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Blocked`], [`EngineError::Store`].
    pub async fn observed(
        &self,
        host: HostId,
        observation: Observation,
    ) -> Result<(), EngineError> {
        let now = self.inner.clock.now();
        self.change_host(host, move |record| {
            platform::check(record)?;
            record.seen_at = Some(now);
            record.observation = Some(observation);
            Ok(())
        })
        .await
    }

    async fn change_host(
        &self,
        id: HostId,
        change: impl FnOnce(&mut HostRecord) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let mut host = store::host(&mut tx, id).await?.ok_or(EngineError::NotFound("host"))?;
        change(&mut host)?;
        store::save_host(&mut tx, &host).await?;
        Ok(store::commit(tx).await?)
    }

    /// The orders to a host that are not finished, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Blocked`], [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn open_orders(
        &self,
        host: HostId,
        lane: Lane,
    ) -> Result<Vec<SignedOrder>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        platform::admitted(&mut conn, host).await?;
        Ok(store::open_orders(&mut conn, host, lane).await?)
    }
}
