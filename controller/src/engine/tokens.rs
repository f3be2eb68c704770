//! API tokens: made for a person, shown once, confirmed by a second person, limited in scope and
//! time, ended by hand or by time.

use serde_json::json;
use tenure_protocol::{digest::Digest, time::Timestamp};
use zeroize::Zeroizing;

use super::{
    Call, Engine, EngineError, Page, Slice,
    certificate::{Paper, need_new},
};
use crate::{
    core::{
        access::{self, Credential, Principal, Scope},
        lifecycle::{Actor, Role},
        refusal::{Code, Refusal},
    },
    store::{self, SessionRecord, Standing, TokenGrant, TokenRecord, Tx},
};

/// What tokens begin with.
const TOKEN: &str = "tnr_";
/// What sessions' secrets begin with.
pub(super) const SESSION: &str = "tns_";
/// Hexadecimal digits of a token's id.
const ID_DIGITS: usize = 32;

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its own name.
    pub name: String,
    /// The person whose it is.
    pub owner: String,
    /// The role.
    pub role: Role,
    /// The organisation; customers only.
    pub customer: Option<String>,
    /// To what it is limited.
    pub scope: Scope,
    /// How long it lives, days.
    pub days: Option<u32>,
}

impl From<access::AccessError> for EngineError {
    fn from(error: access::AccessError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Engine {
    /// Makes a token and returns it with its secret, which is kept nowhere. It opens nothing until
    /// [`Engine::confirm_token`]: whoever makes tokens could else be all persons at once.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for what cannot be: a bad name, a role without its customer, a life
    /// out of bounds, an owner who is disabled or has another role.
    pub async fn create_token(
        &self,
        call: impl Into<Call>,
        new: NewToken,
    ) -> Result<(TokenRecord, Zeroizing<String>), EngineError> {
        let secret = self.fresh_secret(TOKEN)?;
        let shown = (Digest::of(secret.as_bytes()), None);
        Ok((self.issue(call.into(), new, shown, None).await?, secret))
    }

    /// Makes a token that nobody has to confirm: whoever runs this program can do all that it can.
    ///
    /// # Errors
    /// As of [`Engine::create_token`].
    pub async fn create_first_token(
        &self,
        by: Actor,
        new: NewToken,
    ) -> Result<Zeroizing<String>, EngineError> {
        let secret = self.fresh_secret(TOKEN)?;
        let shown = (Digest::of(secret.as_bytes()), None);
        let confirmed_by = Some(by.name.clone());
        self.issue(by.into(), new, shown, confirmed_by).await?;
        Ok(secret)
    }

    /// Makes a token that is shown by what has this digest: a secret, or a certificate.
    pub(super) async fn issue(
        &self,
        call: Call,
        new: NewToken,
        (digest, certificate): (Digest, Option<Paper>),
        confirmed_by: Option<String>,
    ) -> Result<TokenRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call;
        access::name("a token's name", &new.name)?;
        access::name("its owner's name", &new.owner)?;
        access::role(new.role, new.customer.as_deref())?;
        access::scope(&new.scope)?;
        let now = self.inner.clock.now();
        let expires_at = access::token_end(now, new.days)?;
        let expires_at = match &certificate {
            Some(paper) => paper.token_end(now, expires_at)?,
            None => expires_at,
        };
        let token = TokenRecord {
            id: digest.to_string().chars().take(ID_DIGITS).collect(),
            owner: new.owner,
            grant: TokenGrant {
                name: new.name,
                role: new.role,
                customer: new.customer,
                scope: new.scope,
                created_at: now,
                created_by: by.name.clone(),
                certificate: certificate.map(Paper::certificate),
            },
            expires_at,
            revoked_at: None,
            used_at: None,
            confirmed_by,
        };
        let mut tx = self.inner.store.write().await?;
        self.recall::<()>(&mut tx, key.as_ref()).await?;
        let (role, customer) = (token.grant.role, token.grant.customer.as_deref());
        need_one_role(&mut tx, &token.owner, role, customer, now).await?;
        need_new(&mut tx, digest).await?;
        store::add_token(&mut tx, digest, &token).await?;
        let body = json!({
            "subject": token.id, "owner": token.owner, "name": token.grant.name, "role": role,
            "customer": customer, "scope": token.grant.scope, "expires_at": expires_at,
            "certificate": token.grant.certificate,
        });
        self.note_act(&mut tx, "token-issued", None, &by, body).await?;
        self.keep::<()>(&mut tx, key.as_ref(), None).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(
            id = token.id,
            owner = token.owner,
            role = role.as_str(),
            by = by.name,
            "token made"
        );
        Ok(token)
    }

    /// Lets a token in, as a second person: neither its maker nor its owner. Doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`] for one's own, or an ended one.
    pub async fn confirm_token(
        &self,
        call: impl Into<Call>,
        id: String,
    ) -> Result<TokenRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let made = self.recall::<()>(&mut tx, key.as_ref()).await?;
        let known = store::token(&mut tx, &id).await?;
        let mut token = known.ok_or(EngineError::NotFound("token"))?;
        if made.is_some() {
            return Ok(token);
        }
        second_person(&by, &token.owner, &token.grant.created_by)?;
        if !is_alive(&token, now) {
            return Err(Refusal::new(Code::WrongPhase, format!("token {id} has ended")).into());
        }
        if store::confirm_token(&mut tx, &id, &by.name).await? {
            self.note_access(&mut tx, "token-confirmed", &by, &id).await?;
            tracing::info!(id, by = by.name, "token confirmed");
            token.confirmed_by = Some(by.name);
        }
        self.keep(&mut tx, key.as_ref(), Some(&())).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        Ok(token)
    }

    /// A part of the tokens, ended ones too, by owner and id; the list's keys are `owner/id`.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn tokens(
        &self,
        page: &Page<String>,
    ) -> Result<Slice<String, TokenRecord>, EngineError> {
        Ok(store::tokens(&mut *self.inner.store.read().await?, page).await?)
    }

    /// Ends a token at once. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn revoke_token(&self, by: Actor, id: String) -> Result<TokenRecord, EngineError> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        if store::revoke_token(&mut tx, &id, now).await? {
            self.note_access(&mut tx, "token-revoked", &by, &id).await?;
            tracing::info!(id, by = by.name, "token revoked");
        }
        let token = store::token(&mut tx, &id).await?.ok_or(EngineError::NotFound("token"))?;
        store::commit(tx).await?;
        self.access_changed();
        self.drain_or_log().await;
        Ok(token)
    }

    /// Who comes with this secret of a token or a session; nothing if it is not, or no longer, one.
    /// Secrets are random and looked up by their digest, so that no comparison of secrets takes
    /// place whose time would tell something.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn principal_of(&self, secret: &str) -> Result<Option<Principal>, EngineError> {
        let now = self.inner.clock.now();
        let digest = Digest::of(secret.as_bytes());
        if secret.starts_with(SESSION) {
            return self.session_principal(digest, now).await;
        }
        let known = store::token_by_digest(&mut *self.inner.store.read().await?, digest).await?;
        let known = known.filter(|token| token.grant.certificate.is_none());
        self.token_principal(known, now).await
    }

    /// Who comes by this token, unless it has ended or waits to be confirmed.
    pub(super) async fn token_principal(
        &self,
        known: Option<TokenRecord>,
        now: Timestamp,
    ) -> Result<Option<Principal>, EngineError> {
        let lets_in = |token: &TokenRecord| is_alive(token, now) && token.confirmed_by.is_some();
        let Some(token) = known.filter(lets_in) else { return Ok(None) };
        if access::is_news(now, token.used_at) {
            // Whoever comes may want to cut: that is not known yet.
            let mut tx = self.inner.store.write_at_once().await?;
            store::use_token(&mut tx, &token.id, now).await?;
            store::commit(tx).await?;
        }
        let TokenGrant { role, customer, scope, .. } = token.grant;
        let actor = Actor { name: token.owner, role, customer };
        Ok(Some(Principal { actor, scope, credential: Credential::Token(token.id) }))
    }

    async fn session_principal(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<Principal>, EngineError> {
        let known = store::session(&mut *self.inner.store.read().await?, digest).await?;
        let Some(session) = known.filter(|session| session_stands(session, now)) else {
            return Ok(None);
        };
        if access::is_news(now, Some(session.used_at)) {
            let mut tx = self.inner.store.write_at_once().await?;
            store::use_session(&mut tx, digest, now).await?;
            store::commit(tx).await?;
        }
        let account = session.account;
        let actor = Actor { name: account.name, role: account.role, customer: account.customer };
        let credential = Credential::Session(digest);
        Ok(Some(Principal { actor, scope: Scope::Everything, credential }))
    }

    /// A new secret with 256 random bits.
    pub(super) fn fresh_secret(&self, prefix: &str) -> Result<Zeroizing<String>, EngineError> {
        let seed = Zeroizing::new(self.inner.chance.draw()?);
        Ok(Zeroizing::new(format!("{prefix}{}", hex::encode(seed.as_slice()))))
    }
}

/// Whoever confirms is neither the person nor the one who made it.
pub(super) fn second_person(by: &Actor, owner: &str, maker: &str) -> Result<(), Refusal> {
    if by.name == owner || by.name == maker {
        let name = &by.name;
        let sentence =
            format!("{name} made it or has it, and cannot confirm it: a second person has to");
        return Err(Refusal::new(Code::SeparationOfDuties, sentence));
    }
    Ok(())
}

pub(super) fn is_alive(token: &TokenRecord, now: Timestamp) -> bool {
    token.revoked_at.is_none() && now < token.expires_at
}

pub(super) fn session_stands(session: &SessionRecord, now: Timestamp) -> bool {
    session.account.standing == Standing::Enabled
        && !access::session_over(now, session.expires_at, session.used_at)
}

/// A person has one role for one customer: whatever else is in force of this name must agree.
pub(super) async fn need_one_role(
    tx: &mut Tx,
    name: &str,
    role: Role,
    customer: Option<&str>,
    now: Timestamp,
) -> Result<(), EngineError> {
    if let Some(account) = store::account(tx, name).await? {
        if account.standing == Standing::Disabled {
            let sentence = format!("{name}'s account is disabled: reset it first");
            return Err(EngineError::Invalid(sentence));
        }
        if account.role != role || account.customer.as_deref() != customer {
            return Err(two_roles(name, "an account"));
        }
    }
    let tokens = store::tokens_of(tx, name).await?;
    let mut others = tokens.iter().filter(|token| is_alive(token, now));
    if others.any(|token| token.grant.role != role || token.grant.customer.as_deref() != customer) {
        return Err(two_roles(name, "a token"));
    }
    Ok(())
}

fn two_roles(name: &str, what: &str) -> EngineError {
    EngineError::Invalid(format!(
        "{name} has {what} with another role or customer: one person has one; revoke it first, or \
         give the other person's name"
    ))
}
