//! People: accounts, and how somebody comes in.
//!
//! ```text
//!  create / reset / link ─▶ pending ──a second person──▶ initial password (7 days)
//!                                                   │ new password
//!                                         second factor offered ──first right code──▶ enrolled
//!  disable ─▶ disabled ──reset──▶ pending …          enrolled ──password and a new code──▶ session
//! ```
//!
//! Pending: it lets nobody in until a second person confirms that this is the person: whoever
//! makes, resets and links accounts could else be all persons at once. The person's tokens go on.
//! Initial: opens nothing but the way to one's own password. Offered: the secret was shown; each
//! further sign-in without a code shows a new one, for 7 days more. Enrolled: both factors are
//! needed; a code works once. Disabled: nothing works; sessions and tokens have ended.
//!
//! An unknown name, a wrong password and a wrong code get one answer, and the same work is done for
//! each.

use serde_json::json;
use tenure_protocol::{digest::Digest, time::Timestamp};
use zeroize::Zeroizing;

use super::{
    Call, Engine, EngineError, Page, Slice,
    tokens::{SESSION, need_one_role, second_person},
};
use crate::{
    core::{
        access::{self, Credential, Principal, SignInRefusal},
        lifecycle::{Actor, Role},
    },
    secrets::{Enrolment, SecretsError},
    store::{self, AccountRecord, PasswordRecord, Standing, TotpRecord, Tx},
};

/// What somebody comes in with.
pub struct SignIn {
    /// The account.
    pub name: String,
    /// Its password.
    pub password: Zeroizing<String>,
    /// A code of the second factor.
    pub code: Option<Zeroizing<String>>,
    /// The password from now on.
    pub new_password: Option<Zeroizing<String>>,
}

/// What came of it.
#[derive(Debug)]
pub enum Entered {
    /// The second factor is to be enrolled: put the secret into an authenticator, and come again
    /// with a code.
    Enrol(Enrolment),
    /// A session.
    Session(Session),
}

/// A new session, with its secret, which is kept nowhere.
pub struct Session {
    /// The secret.
    pub secret: Zeroizing<String>,
    /// Whose.
    pub account: AccountRecord,
    /// Real clock.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("account", &self.account.name).finish_non_exhaustive()
    }
}

impl From<SecretsError> for EngineError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Busy => Self::SignIn(SignInRefusal::Busy),
            error => Self::Secrets(error),
        }
    }
}

impl Engine {
    /// Makes an account and returns its initial password, which is kept nowhere. It opens nothing
    /// until [`Engine::confirm_account`].
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a name that is bad or taken, or has a token of another role.
    pub async fn create_account(
        &self,
        call: impl Into<Call>,
        name: String,
        role: Role,
        customer: Option<String>,
    ) -> Result<(AccountRecord, Zeroizing<String>), EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        access::name("an account's name", &name)?;
        access::role(role, customer.as_deref())?;
        let now = self.inner.clock.now();
        let (initial, password) = self.initial_password(now).await?;
        let account = AccountRecord {
            name,
            role,
            customer,
            standing: Standing::Pending,
            password,
            totp: TotpRecord::Missing,
            identities: Vec::new(),
            created_at: now,
            created_by: by.name.clone(),
            confirmed_by: None,
            entered_at: None,
        };
        let mut tx = self.inner.store.write().await?;
        self.recall::<()>(&mut tx, key.as_ref()).await?;
        if store::account(&mut tx, &account.name).await?.is_some() {
            let sentence = format!("there is an account {} already: reset it", account.name);
            return Err(EngineError::Invalid(sentence));
        }
        need_one_role(&mut tx, &account.name, role, account.customer.as_deref(), now).await?;
        store::save_account(&mut tx, &account).await?;
        self.note_access(&mut tx, "account-created", &by, &account.name).await?;
        self.keep::<()>(&mut tx, key.as_ref(), None).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(name = account.name, role = role.as_str(), by = by.name, "account made");
        Ok((account, initial))
    }

    /// Lets an account in that was made, reset or linked, as a second person: neither the one who
    /// did so, nor its own. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`] for one's own; [`EngineError::Invalid`]
    /// for a disabled one.
    pub async fn confirm_account(
        &self,
        call: impl Into<Call>,
        name: String,
    ) -> Result<AccountRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        let mut tx = self.inner.store.write().await?;
        let made = self.recall::<()>(&mut tx, key.as_ref()).await?;
        let known = store::account(&mut tx, &name).await?;
        let mut account = known.ok_or(EngineError::NotFound("account"))?;
        if made.is_some() {
            return Ok(account);
        }
        second_person(&by, &account.name, &account.created_by)?;
        match account.standing {
            Standing::Enabled => return Ok(account),
            Standing::Disabled => {
                let sentence = format!("{name}'s account is disabled: reset it first");
                return Err(EngineError::Invalid(sentence));
            }
            Standing::Pending => {}
        }
        account.standing = Standing::Enabled;
        account.confirmed_by = Some(by.name.clone());
        store::save_account(&mut tx, &account).await?;
        self.note_access(&mut tx, "account-confirmed", &by, &name).await?;
        self.keep(&mut tx, key.as_ref(), Some(&())).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(name, by = by.name, "account confirmed");
        Ok(account)
    }

    /// A part of the accounts, by name.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn accounts(
        &self,
        page: &Page<String>,
    ) -> Result<Slice<String, AccountRecord>, EngineError> {
        Ok(store::accounts(&mut *self.inner.store.read().await?, page).await?)
    }

    /// Ends an account, its sessions and its person's tokens at once. A person who has tokens alone
    /// gets a disabled account.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn disable_account(
        &self,
        call: impl Into<Call>,
        name: String,
    ) -> Result<AccountRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let made = self.recall::<()>(&mut tx, key.as_ref()).await?;
        let mut account = match store::account(&mut tx, &name).await? {
            Some(account) => account,
            None => self.account_of_owner(&mut tx, &name, &by).await?,
        };
        if made.is_some() {
            return Ok(account);
        }
        account.standing = Standing::Disabled;
        store::save_account(&mut tx, &account).await?;
        store::end_sessions_of(&mut tx, &name, 0).await?;
        store::revoke_tokens_of(&mut tx, &name, now).await?;
        self.note_access(&mut tx, "account-disabled", &by, &name).await?;
        // Not the account: its hash and its sealed secret stand in one place alone.
        self.keep(&mut tx, key.as_ref(), Some(&())).await?;
        store::commit(tx).await?;
        self.access_changed();
        self.drain_or_log().await;
        tracing::info!(name, by = by.name, "account disabled");
        Ok(account)
    }

    /// Takes password, second factor and identities away, ends the sessions, and returns a new
    /// initial password. The account, a disabled one too, waits for [`Engine::confirm_account`].
    /// Tokens stay as they are.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn reset_account(
        &self,
        call: impl Into<Call>,
        name: String,
    ) -> Result<(AccountRecord, Zeroizing<String>), EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        let now = self.inner.clock.now();
        let (initial, password) = self.initial_password(now).await?;
        let mut tx = self.inner.store.write().await?;
        self.recall::<()>(&mut tx, key.as_ref()).await?;
        let known = store::account(&mut tx, &name).await?;
        let mut account = known.ok_or(EngineError::NotFound("account"))?;
        account.standing = Standing::Pending;
        account.created_by = by.name.clone();
        account.confirmed_by = None;
        account.password = password;
        account.totp = TotpRecord::Missing;
        account.identities.clear();
        store::save_account(&mut tx, &account).await?;
        store::drop_identities_of(&mut tx, &name).await?;
        store::end_sessions_of(&mut tx, &name, 0).await?;
        self.note_access(&mut tx, "account-reset", &by, &name).await?;
        self.keep::<()>(&mut tx, key.as_ref(), None).await?;
        store::commit(tx).await?;
        self.access_changed();
        self.drain_or_log().await;
        tracing::info!(name, by = by.name, "account reset");
        Ok((account, initial))
    }

    async fn initial_password(
        &self,
        now: Timestamp,
    ) -> Result<(Zeroizing<String>, PasswordRecord), EngineError> {
        let secret = self.fresh_secret("")?;
        // 96 bits are enough for a password that lives a week, and can still be typed.
        let initial = Zeroizing::new(secret.chars().take(24).collect::<String>());
        let phc = self.inner.secrets.hash(initial.clone()).await?;
        Ok((initial, PasswordRecord { phc, set_at: now, initial: true }))
    }

    /// Lets somebody in by password and second factor.
    ///
    /// # Errors
    /// [`EngineError::SignIn`]; [`EngineError::Invalid`] for a new password that cannot be.
    pub async fn sign_in(&self, form: SignIn) -> Result<Entered, EngineError> {
        if let Some(new) = &form.new_password {
            access::password(&form.name, new)?;
            if **new == *form.password {
                return Err(access::AccessError::SamePassword.into());
            }
        }
        let secrets = &self.inner.secrets;
        let known = store::account(&mut *self.inner.store.read().await?, &form.name).await?;
        let seen = known.map(|account| account.password);
        let phc = seen.as_ref().map(|password| password.phc.clone());
        let right = secrets.verify(form.password, phc).await?;
        // Hashed whether needed or not: the time must not tell whether the password was right.
        let new_phc = match form.new_password {
            Some(new) => Some(secrets.hash(new).await?),
            None => None,
        };
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let known = store::account(&mut tx, &form.name).await?;
        let code = form.code.as_ref().map(|code| code.as_str());
        let sealed = known.as_ref().and_then(|account| sealed(&account.totp));
        let step = secrets.step(&form.name, sealed, code.unwrap_or_default(), now)?;
        // Unknown names are not logged: people type passwords where names belong.
        let Some(account) = known else { return Err(SignInRefusal::Wrong.into()) };
        // Somebody may have changed the password, or disabled the account, meanwhile.
        let may = account.standing == Standing::Enabled && seen == Some(account.password.clone());
        if !right || !may {
            tracing::warn!(name = account.name, "a sign-in was refused");
            return Err(SignInRefusal::Wrong.into());
        }
        let attempt = Attempt { account, step, has_code: code.is_some(), new_phc, now };
        let entered = self.come_in(&mut tx, attempt).await?;
        store::commit(tx).await?;
        // A new password ends the sessions of before, and a new session may end the oldest.
        self.access_changed();
        self.drain_or_log().await;
        Ok(entered)
    }

    /// What follows once the password was right.
    async fn come_in(&self, tx: &mut Tx, attempt: Attempt) -> Result<Entered, EngineError> {
        let Attempt { mut account, step, has_code, new_phc, now } = attempt;
        let age_ms = now.ms_since(account.password.set_at);
        // Until there is a second factor, the first alone would open the account: not for long.
        let is_enrolled = matches!(account.totp, TotpRecord::Enrolled { .. });
        if !is_enrolled && age_ms >= access::INITIAL_MS {
            return Err(SignInRefusal::Wrong.into());
        }
        if account.password.initial {
            let phc = new_phc.ok_or(SignInRefusal::NewPassword)?;
            account.password = PasswordRecord { phc, set_at: now, initial: false };
            self.own_act(tx, &account, "password-set").await?;
            return self.offer(tx, account).await;
        }
        let (sealed, last_step) = match &account.totp {
            TotpRecord::Missing => return self.offer(tx, account).await,
            TotpRecord::Offered { .. } if !has_code => return self.offer(tx, account).await,
            TotpRecord::Offered { sealed } => (sealed.clone(), None),
            TotpRecord::Enrolled { sealed, last_step } => (sealed.clone(), Some(*last_step)),
        };
        let fresh = step.filter(|step| last_step.is_none_or(|last| *step > last));
        let Some(last_step) = fresh else {
            tracing::warn!(name = account.name, "a sign-in was refused: the code");
            return Err(SignInRefusal::Wrong.into());
        };
        if age_ms >= access::PASSWORD_MS && new_phc.is_none() {
            return Err(SignInRefusal::PasswordOld.into());
        }
        account.totp = TotpRecord::Enrolled { sealed, last_step };
        if let Some(phc) = new_phc {
            account.password = PasswordRecord { phc, set_at: now, initial: false };
            self.own_act(tx, &account, "password-set").await?;
            store::end_sessions_of(tx, &account.name, 0).await?;
        }
        let session = self.open_session(tx, account, now).await?;
        self.own_act(tx, &session.account, "came-in").await?;
        tracing::info!(name = session.account.name, "came in");
        Ok(Entered::Session(session))
    }

    /// A session for somebody who has shown to be this person.
    pub(super) async fn open_session(
        &self,
        tx: &mut Tx,
        mut account: AccountRecord,
        now: Timestamp,
    ) -> Result<Session, EngineError> {
        account.entered_at = Some(now);
        store::save_account(tx, &account).await?;
        store::forget_sessions(tx, now).await?;
        store::end_sessions_of(tx, &account.name, access::SESSIONS_MAX - 1).await?;
        let secret = self.fresh_secret(SESSION)?;
        let expires_at = now.plus_ms(access::SESSION_MS);
        let digest = Digest::of(secret.as_bytes());
        store::add_session(tx, digest, &account.name, expires_at, now).await?;
        Ok(Session { secret, account, expires_at })
    }

    async fn offer(&self, tx: &mut Tx, account: AccountRecord) -> Result<Entered, EngineError> {
        let enrolment = self.inner.secrets.enrol(&account.name)?;
        let totp = TotpRecord::Offered { sealed: enrolment.sealed.clone() };
        store::save_account(tx, &AccountRecord { totp, ..account }).await?;
        Ok(Entered::Enrol(enrolment))
    }

    /// Ends the session that somebody came in with.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if it is a token: that one is revoked.
    pub async fn sign_out(&self, principal: Principal) -> Result<(), EngineError> {
        let Credential::Session(digest) = principal.credential else {
            let sentence = "you came in with a token, which has no session: revoke it instead";
            return Err(EngineError::Invalid(sentence.to_owned()));
        };
        let mut tx = self.inner.store.write().await?;
        store::end_session(&mut tx, digest).await?;
        let actor = &principal.actor;
        self.note_access(&mut tx, "went-out", actor, &actor.name).await?;
        store::commit(tx).await?;
        self.access_changed();
        self.drain_or_log().await;
        tracing::info!(name = actor.name, "went out");
        Ok(())
    }

    /// What a person did about their own account.
    async fn own_act(
        &self,
        tx: &mut Tx,
        account: &AccountRecord,
        kind: &str,
    ) -> Result<(), EngineError> {
        let actor = Actor {
            name: account.name.clone(),
            role: account.role,
            customer: account.customer.clone(),
        };
        self.note_access(tx, kind, &actor, &account.name).await
    }

    /// Records what was done about an account, a session or a token.
    pub(super) async fn note_access(
        &self,
        tx: &mut Tx,
        kind: &str,
        by: &Actor,
        subject: &str,
    ) -> Result<(), EngineError> {
        self.note_act(tx, kind, None, by, json!({ "subject": subject })).await
    }
}

/// A right password, and what came with it.
struct Attempt {
    account: AccountRecord,
    step: Option<u64>,
    has_code: bool,
    new_phc: Option<String>,
    now: Timestamp,
}

fn sealed(totp: &TotpRecord) -> Option<&str> {
    match totp {
        TotpRecord::Missing => None,
        TotpRecord::Offered { sealed } | TotpRecord::Enrolled { sealed, .. } => Some(sealed),
    }
}
