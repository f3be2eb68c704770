//! Hosts, and the grants by which they join.

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, id::HostId, time::Timestamp};

use super::{
    Page, Result, Slice, failed, from_json, parse,
    row::HostRecord,
    sql::{self, query},
    to_json,
};
use crate::core::lifecycle::Actor;

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
    /// Who issued it.
    pub issuer: Actor,
}

/// One host.
///
/// # Errors
/// [`super::StoreError`].
pub async fn host(conn: &mut SqliteConnection, id: HostId) -> Result<Option<HostRecord>> {
    let row = query(sql::HOST)
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
    let rows = query(sql::HOSTS).fetch_all(conn).await.map_err(failed("list hosts"))?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get("state").map_err(failed("list hosts"))?;
            from_json("hosts", &state)
        })
        .collect()
}

/// A part of the hosts, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hosts_page(
    conn: &mut SqliteConnection,
    page: &Page<String>,
) -> Result<Slice<String, HostRecord>> {
    let operation = "list hosts";
    let rows = query(sql::HOSTS_PAGE)
        .bind(page.after.as_deref().unwrap_or_default())
        .bind(page.rows())
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    page.slice(&rows, |row| {
        let state: String = row.try_get("state").map_err(failed(operation))?;
        let host: HostRecord = from_json("hosts", &state)?;
        Ok((host.name.clone(), host))
    })
}

/// Keeps a host, new or known.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_host(conn: &mut SqliteConnection, host: &HostRecord) -> Result<()> {
    query(sql::SAVE_HOST)
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
    query(sql::SAVE_JOIN_TOKEN)
        .bind(token.digest.to_string())
        .bind(&token.host_name)
        .bind(token.expires_at.unix_ms())
        .bind(token.host.map(|host| host.to_string()))
        .bind(to_json("join_tokens", &token.issuer)?)
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
    let row = query(sql::JOIN_TOKEN)
        .bind(digest.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let expires_at: i64 = row.try_get("expires_at").map_err(failed(operation))?;
    let host: Option<String> = row.try_get("host").map_err(failed(operation))?;
    let issuer: Option<String> = row.try_get("issuer").map_err(failed(operation))?;
    let issuer = issuer.map(|issuer| from_json("join_tokens", &issuer)).transpose()?;
    Ok(Some(JoinToken {
        digest,
        host_name: row.try_get("host_name").map_err(failed(operation))?,
        expires_at: Timestamp::from_unix_ms(expires_at),
        host: host.map(|host| parse("join_tokens", &host)).transpose()?,
        issuer: issuer.unwrap_or_else(Actor::controller),
    }))
}
