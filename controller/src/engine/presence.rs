//! Who is in, and from where people and hosts came: what is known of it again after a restart, and
//! what wakes whoever serves somebody whose token or session ends.

use std::net::IpAddr;

use tenure_protocol::{digest::Digest, time::Timestamp};
use tokio::sync::watch;

use super::{
    Engine, EngineError,
    tokens::{is_alive, session_stands},
};
use crate::{
    acquainted::{Acquainted, SITES_OF_NAME},
    core::{
        access::{Credential, DAY_MS, Principal},
        lifecycle::Actor,
    },
    places::site_of,
    store::{self, AccountRecord, PasswordRecord, Standing, TotpRecord, Tx},
};

/// How long it is known from where somebody came, ms.
const KNOWN_MS: i64 = 90 * DAY_MS;
/// Most that is read of it at the start.
const MAX_READ: usize = 65_536;
/// Secrets in force that are read at the start, of tokens and of sessions.
const MAX_SECRETS: usize = 16_384;

/// From where people and hosts came before this start.
pub(super) async fn acquainted(tx: &mut Tx, now: Timestamp) -> Result<Acquainted, EngineError> {
    let known = Acquainted::default();
    let met = store::acquainted(tx, now.plus_ms(-KNOWN_MS), MAX_READ).await?;
    // The latest comes first, and has to be met last.
    for (name, site) in met.iter().rev() {
        known.meet(name, *site, now);
    }
    Ok(known)
}

impl Engine {
    /// From where people and hosts came in.
    #[must_use]
    pub fn acquainted(&self) -> &Acquainted {
        &self.inner.acquainted
    }

    /// Somebody came in from this address: a person by name, one of the provider by
    /// [`crate::acquainted::PROVIDER`] and its name as well, a host by [`crate::acquainted::HOST`]
    /// and its id. That it is not written down, if the database fails, stops nobody.
    pub async fn meet(&self, name: &str, address: IpAddr) {
        let now = self.inner.clock.now();
        if !self.inner.acquainted.meet(name, address, now) {
            return;
        }
        if let Err(error) = self.write_down(name, address, now).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "from where somebody came could not be kept");
        }
    }

    async fn write_down(
        &self,
        name: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let times = (now, now.plus_ms(-KNOWN_MS));
        store::acquaint(&mut tx, (name, site_of(address)), times, SITES_OF_NAME).await?;
        Ok(store::commit(tx).await?)
    }

    /// Digests of the secrets of tokens and sessions that are in force.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn live_secrets(&self) -> Result<Vec<Digest>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        Ok(store::live_secrets(&mut conn, self.inner.clock.now(), MAX_SECRETS).await?)
    }

    /// Fires when a token, a session or an account may have ended.
    #[must_use]
    pub fn access_wake(&self) -> watch::Receiver<u64> {
        self.inner.access_wake.subscribe()
    }

    pub(super) fn access_changed(&self) {
        self.inner.access_wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether what somebody came in with is still in force.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn is_in(&self, principal: &Principal) -> Result<bool, EngineError> {
        let now = self.inner.clock.now();
        let mut conn = self.inner.store.read().await?;
        Ok(match &principal.credential {
            Credential::Token(id) => {
                store::token(&mut conn, id).await?.is_some_and(|token| is_alive(&token, now))
            }
            Credential::Session(digest) => store::session(&mut conn, *digest)
                .await?
                .is_some_and(|session| session_stands(&session, now)),
        })
    }

    /// The account, to be disabled, of a person who has tokens alone: nobody knows its password. A
    /// reset makes it one to come in by.
    pub(super) async fn account_of_owner(
        &self,
        tx: &mut Tx,
        name: &str,
        by: &Actor,
    ) -> Result<AccountRecord, EngineError> {
        let tokens = store::tokens_of(tx, name).await?;
        let last = tokens.into_iter().max_by_key(|token| token.grant.created_at);
        let grant = last.ok_or(EngineError::NotFound("account"))?.grant;
        let now = self.inner.clock.now();
        Ok(AccountRecord {
            name: name.to_owned(),
            role: grant.role,
            customer: grant.customer,
            standing: Standing::Disabled,
            // No hash: no password is right.
            password: PasswordRecord { phc: String::new(), set_at: now, initial: true },
            totp: TotpRecord::Missing,
            identities: Vec::new(),
            created_at: now,
            created_by: by.name.clone(),
            confirmed_by: None,
            entered_at: None,
        })
    }
}
