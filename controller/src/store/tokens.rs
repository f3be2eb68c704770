//! API tokens: of each its digest, whose it is, and when it ends; never the secret.

use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{
    Page, Result, Slice, failed, from_json,
    sql::{self, query},
    to_json,
};
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
    /// The certificate that takes a secret's place; none if there is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// The client certificate that a token is: whoever holds its key needs no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of the certificate, DER.
    pub sha256: Digest,
    /// Whom it names, for people to read.
    pub subject: String,
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
    /// The second person, who confirmed it; until then it opens nothing.
    pub confirmed_by: Option<String>,
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
    query(sql::ADD_TOKEN)
        .bind(&token.id)
        .bind(digest.to_string())
        .bind(&token.owner)
        .bind(token.expires_at.unix_ms())
        .bind(to_json(TABLE, &token.grant)?)
        .bind(&token.confirmed_by)
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
    let row = query(sql::TOKEN_BY_DIGEST)
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
    let row = query(sql::TOKEN_BY_ID)
        .bind(id)
        .fetch_optional(conn)
        .await
        .map_err(failed("read a token"))?;
    row.map(|row| read(&row)).transpose()
}

/// A part of the tokens, by owner and id; the list's keys are `owner/id`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tokens(
    conn: &mut SqliteConnection,
    page: &Page<String>,
) -> Result<Slice<String, TokenRecord>> {
    let after = page.after.as_deref().and_then(|key| key.split_once('/')).unwrap_or_default();
    let rows = query(sql::TOKENS)
        .bind(after.0)
        .bind(after.1)
        .bind(page.rows())
        .fetch_all(conn)
        .await
        .map_err(failed("list tokens"))?;
    page.slice(&rows, |row| {
        let token = read(row)?;
        Ok((format!("{}/{}", token.owner, token.id), token))
    })
}

/// All tokens of a person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tokens_of(conn: &mut SqliteConnection, owner: &str) -> Result<Vec<TokenRecord>> {
    let rows = query(sql::TOKENS_OF)
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
    let done = query(sql::REVOKE_TOKEN)
        .bind(now.unix_ms())
        .bind(id)
        .execute(conn)
        .await
        .map_err(failed("revoke a token"))?;
    Ok(done.rows_affected() == 1)
}

/// Confirms a token. Says whether it was not confirmed before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn confirm_token(conn: &mut SqliteConnection, id: &str, by: &str) -> Result<bool> {
    let done = query(sql::CONFIRM_TOKEN)
        .bind(by)
        .bind(id)
        .execute(conn)
        .await
        .map_err(failed("confirm a token"))?;
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
    query(sql::REVOKE_TOKENS_OF)
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
    query(sql::USE_TOKEN)
        .bind(now.unix_ms())
        .bind(id)
        .execute(conn)
        .await
        .map_err(failed("write down a token's use"))?;
    Ok(())
}

pub(super) fn read(row: &SqliteRow) -> Result<TokenRecord> {
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
        confirmed_by: row.try_get("confirmed_by").map_err(failed(operation))?,
    })
}
