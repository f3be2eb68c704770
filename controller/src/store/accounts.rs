//! People's accounts, and their sessions.

use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{
    Page, Result, Slice, failed, from_json,
    sql::{self, query},
    to_json,
};
use crate::core::{identity::Identity, lifecycle::Role};

const TABLE: &str = "accounts";

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// The person's name: separation of duties goes by it.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The organisation; customers only.
    pub customer: Option<String>,
    /// Whether it may come in.
    pub standing: Standing,
    /// The password.
    pub password: PasswordRecord,
    /// The second factor.
    pub totp: TotpRecord,
    /// What the person is called at OpenID providers, at most one at each: who comes in there comes
    /// in here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
    /// When it was made; real clock.
    pub created_at: Timestamp,
    /// The person who made it, or last reset or linked it.
    pub created_by: String,
    /// The second person, who confirmed it last.
    pub confirmed_by: Option<String>,
    /// When somebody last came in by it; real clock.
    pub entered_at: Option<Timestamp>,
}

/// Whether an account may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Not yet: a second person has to confirm it, after it was made, reset or linked.
    Pending,
    /// It may.
    Enabled,
    /// It may not, nor does it come back: people who return get a reset.
    Disabled,
}

/// A password as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRecord {
    /// Argon2id with its parameters and salt, as a PHC string.
    pub phc: String,
    /// When it was set; real clock.
    pub set_at: Timestamp,
    /// Whether it is the initial one, which opens nothing but the way to one's own.
    pub initial: bool,
}

impl std::fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordRecord")
    }
}

/// The second factor as it is kept. The secret is sealed under the state directory's key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TotpRecord {
    /// None yet.
    Missing,
    /// Shown to the person; no code was seen yet.
    Offered {
        /// Hexadecimal.
        sealed: String,
    },
    /// In force.
    Enrolled {
        /// Hexadecimal.
        sealed: String,
        /// The step (RFC 6238) of the last code that was taken: neither it nor an earlier one is
        /// taken again.
        last_step: u64,
    },
}

impl std::fmt::Debug for TotpRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::Offered { .. } => "Offered",
            Self::Enrolled { .. } => "Enrolled",
        })
    }
}

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Whose.
    pub account: AccountRecord,
    /// Real clock.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute; real clock.
    pub used_at: Timestamp,
}

/// One account.
///
/// # Errors
/// [`super::StoreError`].
pub async fn account(conn: &mut SqliteConnection, name: &str) -> Result<Option<AccountRecord>> {
    let operation = "read an account";
    let row =
        query(sql::ACCOUNT).bind(name).fetch_optional(conn).await.map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state").map_err(failed(operation))?;
    from_json(TABLE, &state).map(Some)
}

/// A part of the accounts, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn accounts(
    conn: &mut SqliteConnection,
    page: &Page<String>,
) -> Result<Slice<String, AccountRecord>> {
    let operation = "list accounts";
    let rows = query(sql::ACCOUNTS)
        .bind(page.after.as_deref().unwrap_or_default())
        .bind(page.rows())
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    page.slice(&rows, |row| {
        let state: String = row.try_get("state").map_err(failed(operation))?;
        let account: AccountRecord = from_json(TABLE, &state)?;
        Ok((account.name.clone(), account))
    })
}

/// Keeps an account, new or known.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_account(conn: &mut SqliteConnection, account: &AccountRecord) -> Result<()> {
    query(sql::SAVE_ACCOUNT)
        .bind(&account.name)
        .bind(to_json(TABLE, account)?)
        .bind(i64::from(account.standing == Standing::Pending))
        .execute(conn)
        .await
        .map_err(failed("save an account"))?;
    Ok(())
}

/// Keeps a new session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_session(
    conn: &mut SqliteConnection,
    digest: Digest,
    account: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    query(sql::ADD_SESSION)
        .bind(digest.to_string())
        .bind(account)
        .bind(expires_at.unix_ms())
        .bind(now.unix_ms())
        .execute(conn)
        .await
        .map_err(failed("add a session"))?;
    Ok(())
}

/// The session whose secret has this digest.
///
/// # Errors
/// [`super::StoreError`].
pub async fn session(conn: &mut SqliteConnection, digest: Digest) -> Result<Option<SessionRecord>> {
    let operation = "read a session";
    let row = query(sql::SESSION)
        .bind(digest.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state").map_err(failed(operation))?;
    let expires_at: i64 = row.try_get("expires_at").map_err(failed(operation))?;
    let used_at: i64 = row.try_get("used_at").map_err(failed(operation))?;
    Ok(Some(SessionRecord {
        account: from_json(TABLE, &state)?,
        expires_at: Timestamp::from_unix_ms(expires_at),
        used_at: Timestamp::from_unix_ms(used_at),
    }))
}

/// Writes down that a session was used.
///
/// # Errors
/// [`super::StoreError`].
pub async fn use_session(
    conn: &mut SqliteConnection,
    digest: Digest,
    now: Timestamp,
) -> Result<()> {
    query(sql::USE_SESSION)
        .bind(now.unix_ms())
        .bind(digest.to_string())
        .execute(conn)
        .await
        .map_err(failed("write down a session's use"))?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end_session(conn: &mut SqliteConnection, digest: Digest) -> Result<()> {
    query(sql::END_SESSION)
        .bind(digest.to_string())
        .execute(conn)
        .await
        .map_err(failed("end a session"))?;
    Ok(())
}

/// Ends sessions of an account: all but the `keep` that were used last.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end_sessions_of(
    conn: &mut SqliteConnection,
    account: &str,
    keep: usize,
) -> Result<()> {
    query(sql::END_SESSIONS_OF)
        .bind(account)
        .bind(i64::try_from(keep).unwrap_or(i64::MAX))
        .execute(conn)
        .await
        .map_err(failed("end a person's sessions"))?;
    Ok(())
}

/// Forgets sessions that are past their end.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_sessions(conn: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    query(sql::FORGET_SESSIONS)
        .bind(now.unix_ms())
        .execute(conn)
        .await
        .map_err(failed("forget old sessions"))?;
    Ok(())
}
