//! From where persons and hosts came in, and the digests of secrets that are in force: what limits
//! of rates have to know again after a restart.

use std::net::IpAddr;

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{
    Result, failed,
    sql::{self, query},
};

/// Keeps that somebody came in from a site, of whom no more sites than `keep` are kept, and forgets
/// everybody who did not come since `oldest`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn acquaint(
    conn: &mut SqliteConnection,
    (name, site): (&str, IpAddr),
    (now, oldest): (Timestamp, Timestamp),
    keep: usize,
) -> Result<()> {
    let operation = "keep from where somebody came";
    query(sql::ACQUAINT)
        .bind(name)
        .bind(site.to_string())
        .bind(now.unix_ms())
        .execute(&mut *conn)
        .await
        .map_err(failed(operation))?;
    query(sql::FORGET_SITES_OF)
        .bind(name)
        .bind(to_limit(keep))
        .execute(&mut *conn)
        .await
        .map_err(failed(operation))?;
    query(sql::FORGET_ACQUAINTED)
        .bind(oldest.unix_ms())
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(())
}

/// Who came in from where since `oldest`, the latest first, `most` at most.
///
/// # Errors
/// [`super::StoreError`].
pub async fn acquainted(
    conn: &mut SqliteConnection,
    oldest: Timestamp,
    most: usize,
) -> Result<Vec<(String, IpAddr)>> {
    let operation = "read who came from where";
    let rows = query(sql::ACQUAINTED)
        .bind(oldest.unix_ms())
        .bind(to_limit(most))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get("name").map_err(failed(operation))?;
        let site: String = row.try_get("site").map_err(failed(operation))?;
        // A site that cannot be read is a hint less, and no more.
        found.extend(site.parse().ok().map(|site| (name, site)));
    }
    Ok(found)
}

/// Digests of the secrets of tokens and sessions that are in force, `most` at most of either.
///
/// # Errors
/// [`super::StoreError`].
pub async fn live_secrets(
    conn: &mut SqliteConnection,
    now: Timestamp,
    most: usize,
) -> Result<Vec<Digest>> {
    let operation = "read which secrets are in force";
    let mut found = Vec::new();
    for statement in [sql::LIVE_TOKENS, sql::LIVE_SESSIONS] {
        let rows = query(statement)
            .bind(now.unix_ms())
            .bind(to_limit(most))
            .fetch_all(&mut *conn)
            .await
            .map_err(failed(operation))?;
        for row in rows {
            let digest: String = row.try_get("digest").map_err(failed(operation))?;
            found.extend(digest.parse::<Digest>().ok());
        }
    }
    Ok(found)
}

fn to_limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
