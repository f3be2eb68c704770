//! Identities at OpenID providers: an administrator links one to an account, and whoever proves it
//! comes into that account.
//!
//! ```text
//!  unlinked ──link──▶ linked: the account is pending until a second person confirms it;
//!      ▲                 │    opens the account while that is enabled
//!      └─ unlink, reset ─┘    the account's sessions end
//! ```
//! The account, its role and its customer are always those that an administrator has made; the
//! provider says who comes, nothing else. An identity opens one account, and an account has at most
//! one at each provider.

use serde_json::json;

use super::{Call, Engine, EngineError, Session};
use crate::{
    core::{
        access::SignInRefusal,
        identity::{self, Identity, IdentityError},
        lifecycle::Actor,
    },
    store::{self, AccountRecord, Standing, Tx},
};

impl From<IdentityError> for EngineError {
    fn from(error: IdentityError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Engine {
    /// Links an identity to an account, which opens nothing until [`Engine::confirm_account`]:
    /// whoever links could else come in as anybody. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Invalid`] for a disabled account, one that waits
    /// for the confirmation of what another did, an identity of
    /// somebody else, or a second one of the same provider.
    pub async fn link_identity(
        &self,
        call: impl Into<Call>,
        name: String,
        identity: Identity,
    ) -> Result<AccountRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        identity::subject(&identity.subject)?;
        let mut tx = self.inner.store.write().await?;
        let made = self.recall::<()>(&mut tx, key.as_ref()).await?;
        let known = store::account(&mut tx, &name).await?;
        let mut account = known.ok_or(EngineError::NotFound("account"))?;
        if made.is_some() || account.identities.contains(&identity) {
            return Ok(account);
        }
        if account.standing == Standing::Disabled {
            let sentence = format!("{name}'s account is disabled: reset it first");
            return Err(EngineError::Invalid(sentence));
        }
        if account.standing == Standing::Pending && account.created_by != by.name {
            let sentence = format!(
                "{name}'s account waits until somebody confirms what {} did: that comes first",
                account.created_by
            );
            return Err(EngineError::Invalid(sentence));
        }
        if account.identities.iter().any(|one| one.issuer == identity.issuer) {
            let sentence =
                format!("{name} has another identity of {}: unlink it first", identity.issuer);
            return Err(EngineError::Invalid(sentence));
        }
        if let Some(other) = store::account_of(&mut tx, &identity).await? {
            let sentence = format!("this identity is {}'s: unlink it there first", other.name);
            return Err(EngineError::Invalid(sentence));
        }
        store::add_identity(&mut tx, &identity, &name).await?;
        account.identities.push(identity.clone());
        account.standing = Standing::Pending;
        account.created_by = by.name.clone();
        account.confirmed_by = None;
        store::save_account(&mut tx, &account).await?;
        self.note_identity(&mut tx, "identity-linked", &by, &name, &identity).await?;
        self.keep(&mut tx, key.as_ref(), Some(&())).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        self.access_changed();
        tracing::info!(name, issuer = identity.issuer, by = by.name, "identity linked");
        Ok(account)
    }

    /// Unlinks an account's identity at a provider, and ends the account's sessions. Doing it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn unlink_identity(
        &self,
        by: Actor,
        name: String,
        issuer: String,
    ) -> Result<AccountRecord, EngineError> {
        let mut tx = self.inner.store.write().await?;
        let known = store::account(&mut tx, &name).await?;
        let mut account = known.ok_or(EngineError::NotFound("account"))?;
        let Some(at) = account.identities.iter().position(|one| one.issuer == issuer) else {
            return Ok(account);
        };
        let identity = account.identities.remove(at);
        store::drop_identity(&mut tx, &identity).await?;
        store::save_account(&mut tx, &account).await?;
        store::end_sessions_of(&mut tx, &name, 0).await?;
        self.note_identity(&mut tx, "identity-unlinked", &by, &name, &identity).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        self.access_changed();
        tracing::info!(name, issuer, by = by.name, "identity unlinked");
        Ok(account)
    }

    /// Lets in whoever has proven this identity to its provider, and the provider to us.
    ///
    /// # Errors
    /// [`EngineError::SignIn`] if it is linked to no account, or to one that is disabled or
    /// pending.
    pub async fn enter_by(&self, identity: &Identity) -> Result<Session, EngineError> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let known = store::account_of(&mut tx, identity).await?;
        let open = known.filter(|account| account.standing == Standing::Enabled);
        let Some(account) = open else {
            let Identity { issuer, subject } = identity;
            tracing::warn!(
                issuer,
                subject,
                "a sign-in was refused: not linked, disabled or pending"
            );
            return Err(SignInRefusal::Unlinked.into());
        };
        let session = self.open_session(&mut tx, account, now).await?;
        let AccountRecord { name, role, customer, .. } = &session.account;
        let actor = Actor { name: name.clone(), role: *role, customer: customer.clone() };
        self.note_identity(&mut tx, "came-in", &actor, name, identity).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        self.access_changed();
        tracing::info!(name = session.account.name, issuer = identity.issuer, "came in");
        Ok(session)
    }

    async fn note_identity(
        &self,
        tx: &mut Tx,
        kind: &str,
        by: &Actor,
        subject: &str,
        identity: &Identity,
    ) -> Result<(), EngineError> {
        let body = json!({ "subject": subject, "identity": identity });
        self.note_act(tx, kind, None, by, body).await
    }
}
