//! Keys of changes: under each stands what was asked and what came of it, written in the same
//! transaction as the change itself, so that a change that comes twice is made once.

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{
    Result, failed, parse,
    sql::{self, query},
};

/// A change's key and the request that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeKey {
    /// Digest of who asks: keys of different callers are different ones.
    pub identity: Digest,
    /// The key that the caller has chosen.
    pub name: String,
    /// Digest of the whole request.
    pub request: Digest,
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Digest of the request that it was made for.
    pub request: Digest,
    /// What came of it, as JSON; nothing if that was a secret, which is not kept.
    pub outcome: Option<String>,
}

/// What stands under a key, unless its time is over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn change_made(
    conn: &mut SqliteConnection,
    key: &ChangeKey,
    now: Timestamp,
) -> Result<Option<Made>> {
    let operation = "read a change's key";
    let row = query(sql::CHANGE_MADE)
        .bind(key.identity.to_string())
        .bind(&key.name)
        .bind(now.unix_ms())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let request: String = row.try_get("request").map_err(failed(operation))?;
    Ok(Some(Made {
        request: parse("change_keys", &request)?,
        outcome: row.try_get("outcome").map_err(failed(operation))?,
    }))
}

/// Keeps a change's key until the given instant (real clock).
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep_change(
    conn: &mut SqliteConnection,
    key: &ChangeKey,
    outcome: Option<&str>,
    until: Timestamp,
) -> Result<()> {
    query(sql::KEEP_CHANGE)
        .bind(key.identity.to_string())
        .bind(&key.name)
        .bind(key.request.to_string())
        .bind(outcome)
        .bind(until.unix_ms())
        .execute(conn)
        .await
        .map_err(failed("keep a change's key"))?;
    Ok(())
}

/// Removes the keys whose time is over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sweep_changes(conn: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    query(sql::SWEEP_CHANGES)
        .bind(now.unix_ms())
        .execute(conn)
        .await
        .map_err(failed("sweep the keys of changes"))?;
    Ok(())
}
