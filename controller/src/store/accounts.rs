//! People's accounts, their sessions, and what was done about accounts and tokens.

use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{Result, failed, from_json, to_i64, to_json, to_u64};
use crate::core::lifecycle::{Actor, Role};

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
    /// When it was made; real clock.
    pub created_at: Timestamp,
    /// The person who made it.
    pub created_by: String,
    /// When somebody last came in by it; real clock.
    pub entered_at: Option<Timestamp>,
}

/// Whether an account may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
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

/// Something that was done about an account or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessAct {
    /// Its number, from 1.
    pub seq: u64,
    /// When; real clock.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What: a word such as `token-created`.
    pub act: String,
    /// About which account or token.
    pub subject: String,
}

/// One account.
///
/// # Errors
/// [`super::StoreError`].
pub async fn account(conn: &mut SqliteConnection, name: &str) -> Result<Option<AccountRecord>> {
    let operation = "read an account";
    let row = sqlx::query("SELECT state FROM accounts WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state").map_err(failed(operation))?;
    from_json(TABLE, &state).map(Some)
}

/// All accounts, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn accounts(conn: &mut SqliteConnection) -> Result<Vec<AccountRecord>> {
    let operation = "list accounts";
    let rows = sqlx::query("SELECT state FROM accounts ORDER BY name")
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get("state").map_err(failed(operation))?;
            from_json(TABLE, &state)
        })
        .collect()
}

/// Keeps an account, new or known.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_account(conn: &mut SqliteConnection, account: &AccountRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO accounts (name, state) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET state = excluded.state",
    )
    .bind(&account.name)
    .bind(to_json(TABLE, account)?)
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
    sqlx::query(
        "INSERT INTO sessions (digest, account, expires_at, used_at) VALUES ($1, $2, $3, $4)",
    )
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
    let row = sqlx::query(
        "SELECT s.expires_at, s.used_at, a.state FROM sessions s \
         JOIN accounts a ON a.name = s.account WHERE s.digest = $1",
    )
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
    sqlx::query("UPDATE sessions SET used_at = $1 WHERE digest = $2")
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
    sqlx::query("DELETE FROM sessions WHERE digest = $1")
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
    sqlx::query(
        "DELETE FROM sessions WHERE account = $1 AND digest NOT IN (SELECT digest FROM sessions \
         WHERE account = $1 ORDER BY used_at DESC, digest LIMIT $2)",
    )
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
    sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
        .bind(now.unix_ms())
        .execute(conn)
        .await
        .map_err(failed("forget old sessions"))?;
    Ok(())
}

/// Writes down what was done about an account or a token; part of the transaction that does it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_access_act(
    conn: &mut SqliteConnection,
    at: Timestamp,
    actor: &Actor,
    act: &str,
    subject: &str,
) -> Result<()> {
    let operation = "write down an act";
    let last: i64 = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS seq FROM access_acts")
        .fetch_one(&mut *conn)
        .await
        .and_then(|row| row.try_get("seq"))
        .map_err(failed(operation))?;
    let seq = to_u64(last) + 1;
    let record = AccessAct {
        seq,
        at,
        actor: actor.clone(),
        act: act.to_owned(),
        subject: subject.to_owned(),
    };
    sqlx::query("INSERT INTO access_acts (seq, record) VALUES ($1, $2)")
        .bind(to_i64(seq))
        .bind(to_json("access_acts", &record)?)
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(())
}

/// What was done about accounts and tokens, the newest first, at most `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn access_acts(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<AccessAct>> {
    let operation = "list acts";
    let rows = sqlx::query("SELECT record FROM access_acts ORDER BY seq DESC LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let record: String = row.try_get("record").map_err(failed(operation))?;
            from_json("access_acts", &record)
        })
        .collect()
}
