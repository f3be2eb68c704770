//! API tokens: of each its digest, whose it is, and when it ends; never the secret.

use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{Result, failed, from_json, to_json};
use crate::core::{access::Scope, lifecycle::Role};

const TABLE: &str = "tokens";

/// What a token was made as; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrant {
    /// The token's own name: the owner's, or a script's.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The organisation; customers only.
    pub customer: Option<String>,
    /// To what it is limited.
    pub scope: Scope,
    /// When it was made; real clock.
    pub created_at: Timestamp,
    /// The person who made it.
    pub created_by: String,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Which: the first half of its digest, hexadecimal.
    pub id: String,
    /// The person whose it is.
    pub owner: String,
    /// What it was made as.
    pub grant: TokenGrant,
    /// Real clock.
    pub expires_at: Timestamp,
    /// When it was ended early; real clock.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute; real clock.
    pub used_at: Option<Timestamp>,
}

/// Keeps a new token.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_token(
    conn: &mut SqliteConnection,
    digest: Digest,
    token: &TokenRecord,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO tokens (id, digest, owner, expires_at, record) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&token.id)
    .bind(digest.to_string())
    .bind(&token.owner)
    .bind(token.expires_at.unix_ms())
    .bind(to_json(TABLE, &token.grant)?)
    .execute(conn)
    .await
    .map_err(failed("add a token"))?;
    Ok(())
}

/// The token whose secret has this digest.
///
/// # Errors
/// [`super::StoreError`].
pub async fn token_by_digest(
    conn: &mut SqliteConnection,
    digest: Digest,
) -> Result<Option<TokenRecord>> {
    let row = sqlx::query(
        "SELECT id, owner, expires_at, revoked_at, used_at, record FROM tokens WHERE digest = $1",
    )
    .bind(digest.to_string())
    .fetch_optional(conn)
    .await
    .map_err(failed("read a token"))?;
    row.map(|row| read(&row)).transpose()
}

/// The token of this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn token(conn: &mut SqliteConnection, id: &str) -> Result<Option<TokenRecord>> {
    let row = sqlx::query(
        "SELECT id, owner, expires_at, revoked_at, used_at, record FROM tokens WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
    .map_err(failed("read a token"))?;
    row.map(|row| read(&row)).transpose()
}

/// All tokens, by owner.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tokens(conn: &mut SqliteConnection) -> Result<Vec<TokenRecord>> {
    let rows = sqlx::query(
        "SELECT id, owner, expires_at, revoked_at, used_at, record FROM tokens ORDER BY owner, id",
    )
    .fetch_all(conn)
    .await
    .map_err(failed("list tokens"))?;
    rows.iter().map(read).collect()
}

/// All tokens of a person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tokens_of(conn: &mut SqliteConnection, owner: &str) -> Result<Vec<TokenRecord>> {
    let rows = sqlx::query(
        "SELECT id, owner, expires_at, revoked_at, used_at, record FROM tokens WHERE owner = $1",
    )
    .bind(owner)
    .fetch_all(conn)
    .await
    .map_err(failed("list a person's tokens"))?;
    rows.iter().map(read).collect()
}

/// Ends a token. Says whether it was not ended before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_token(conn: &mut SqliteConnection, id: &str, now: Timestamp) -> Result<bool> {
    let done =
        sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
            .bind(now.unix_ms())
            .bind(id)
            .execute(conn)
            .await
            .map_err(failed("revoke a token"))?;
    Ok(done.rows_affected() == 1)
}

/// Ends all tokens of a person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_tokens_of(
    conn: &mut SqliteConnection,
    owner: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE owner = $2 AND revoked_at IS NULL")
        .bind(now.unix_ms())
        .bind(owner)
        .execute(conn)
        .await
        .map_err(failed("revoke a person's tokens"))?;
    Ok(())
}

/// Writes down that a token was used.
///
/// # Errors
/// [`super::StoreError`].
pub async fn use_token(conn: &mut SqliteConnection, id: &str, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE tokens SET used_at = $1 WHERE id = $2")
        .bind(now.unix_ms())
        .bind(id)
        .execute(conn)
        .await
        .map_err(failed("write down a token's use"))?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<TokenRecord> {
    let operation = "read a token";
    let at = |column: &str| -> Result<Option<Timestamp>> {
        let ms: Option<i64> = row.try_get(column).map_err(failed(operation))?;
        Ok(ms.map(Timestamp::from_unix_ms))
    };
    let expires_at: i64 = row.try_get("expires_at").map_err(failed(operation))?;
    let record: String = row.try_get("record").map_err(failed(operation))?;
    Ok(TokenRecord {
        id: row.try_get("id").map_err(failed(operation))?,
        owner: row.try_get("owner").map_err(failed(operation))?,
        grant: from_json(TABLE, &record)?,
        expires_at: Timestamp::from_unix_ms(expires_at),
        revoked_at: at("revoked_at")?,
        used_at: at("used_at")?,
    })
}
