//! Hosts, and the grants by which they join.

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, id::HostId, time::Timestamp};

use super::{Result, failed, from_json, parse, record::HostRecord, to_json};

/// A grant for one host to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Digest of its secret.
    pub digest: Digest,
    /// The host that it is for.
    pub host_name: String,
    /// Real clock.
    pub expires_at: Timestamp,
    /// The host that used it.
    pub host: Option<HostId>,
}

/// One host.
///
/// # Errors
/// [`super::StoreError`].
pub async fn host(conn: &mut SqliteConnection, id: HostId) -> Result<Option<HostRecord>> {
    let row = sqlx::query("SELECT state FROM hosts WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a host"))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state").map_err(failed("read a host"))?;
    from_json("hosts", &state).map(Some)
}

/// All hosts, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hosts(conn: &mut SqliteConnection) -> Result<Vec<HostRecord>> {
    let rows = sqlx::query("SELECT state FROM hosts ORDER BY name")
        .fetch_all(conn)
        .await
        .map_err(failed("list hosts"))?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get("state").map_err(failed("list hosts"))?;
            from_json("hosts", &state)
        })
        .collect()
}

/// Keeps a host, new or known.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_host(conn: &mut SqliteConnection, host: &HostRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO hosts (id, name, up, state) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET up = excluded.up, state = excluded.state",
    )
    .bind(host.id.to_string())
    .bind(&host.name)
    .bind(i64::from(host.up))
    .bind(to_json("hosts", host)?)
    .execute(conn)
    .await
    .map_err(failed("save a host"))?;
    Ok(())
}

/// Keeps a grant, new or used.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_join_token(conn: &mut SqliteConnection, token: &JoinToken) -> Result<()> {
    sqlx::query(
        "INSERT INTO join_tokens (digest, host_name, expires_at, host) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (digest) DO UPDATE SET host = excluded.host",
    )
    .bind(token.digest.to_string())
    .bind(&token.host_name)
    .bind(token.expires_at.unix_ms())
    .bind(token.host.map(|host| host.to_string()))
    .execute(conn)
    .await
    .map_err(failed("save a join token"))?;
    Ok(())
}

/// The grant whose secret has this digest.
///
/// # Errors
/// [`super::StoreError`].
pub async fn join_token(conn: &mut SqliteConnection, digest: Digest) -> Result<Option<JoinToken>> {
    let operation = "read a join token";
    let row = sqlx::query("SELECT host_name, expires_at, host FROM join_tokens WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let expires_at: i64 = row.try_get("expires_at").map_err(failed(operation))?;
    let host: Option<String> = row.try_get("host").map_err(failed(operation))?;
    Ok(Some(JoinToken {
        digest,
        host_name: row.try_get("host_name").map_err(failed(operation))?,
        expires_at: Timestamp::from_unix_ms(expires_at),
        host: host.map(|host| parse("join_tokens", &host)).transpose()?,
    }))
}
