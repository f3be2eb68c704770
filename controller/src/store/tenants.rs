//! Tenants.

use std::collections::BTreeSet;

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{id::TenantId, time::Timestamp, wire::v1::Mark};

use super::{
    Result, failed, from_json, parse,
    sql::{self, query},
    to_i64, to_json, to_u64,
};
use crate::core::tenant::{Phase, Tenant};

const TABLE: &str = "tenants";

/// One tenant.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenant(conn: &mut SqliteConnection, id: TenantId) -> Result<Option<Tenant>> {
    let row = query(sql::TENANT)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a tenant"))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state").map_err(failed("read a tenant"))?;
    from_json(TABLE, &state).map(Some)
}

/// All tenants by id, which is by age; of one phase if given.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenants(conn: &mut SqliteConnection, phase: Option<Phase>) -> Result<Vec<Tenant>> {
    let rows = match phase {
        Some(phase) => query(sql::TENANTS_IN_PHASE).bind(phase.as_str()).fetch_all(conn).await,
        None => query(sql::TENANTS).fetch_all(conn).await,
    };
    let rows = rows.map_err(failed("list tenants"))?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get("state").map_err(failed("list tenants"))?;
            from_json(TABLE, &state)
        })
        .collect()
}

/// Keeps a tenant for the first time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_tenant(conn: &mut SqliteConnection, tenant: &Tenant) -> Result<()> {
    query(sql::ADD_TENANT)
        .bind(tenant.id.to_string())
        .bind(to_i64(tenant.version))
        .bind(tenant.phase.as_str())
        .bind(mark(tenant))
        .bind(network(tenant))
        .bind(tenant.wake_at.map(Timestamp::unix_ms))
        .bind(to_json(TABLE, tenant)?)
        .execute(conn)
        .await
        .map_err(failed("add a tenant"))?;
    Ok(())
}

/// Keeps a tenant's next state. Says whether it was still at the version that it was decided on.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_tenant(
    conn: &mut SqliteConnection,
    tenant: &Tenant,
    decided_on: u64,
) -> Result<bool> {
    let done = query(sql::SAVE_TENANT)
        .bind(to_i64(tenant.version))
        .bind(tenant.phase.as_str())
        .bind(mark(tenant))
        .bind(network(tenant))
        .bind(tenant.wake_at.map(Timestamp::unix_ms))
        .bind(to_json(TABLE, tenant)?)
        .bind(tenant.id.to_string())
        .bind(to_i64(decided_on))
        .execute(conn)
        .await
        .map_err(failed("save a tenant"))?;
    Ok(done.rows_affected() == 1)
}

/// Tenants whose wake-up is at or before this legal instant.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenants_to_wake(conn: &mut SqliteConnection, now: Timestamp) -> Result<Vec<TenantId>> {
    let rows = query(sql::TENANTS_TO_WAKE)
        .bind(now.unix_ms())
        .fetch_all(conn)
        .await
        .map_err(failed("list wake-ups"))?;
    rows.iter()
        .map(|row| {
            let id: String = row.try_get("id").map_err(failed("list wake-ups"))?;
            parse(TABLE, &id)
        })
        .collect()
}

/// The earliest wake-up of all tenants; legal time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn next_wake(conn: &mut SqliteConnection) -> Result<Option<Timestamp>> {
    let row =
        query(sql::NEXT_WAKE).fetch_one(conn).await.map_err(failed("read the next wake-up"))?;
    let at: Option<i64> = row.try_get("wake_at").map_err(failed("read the next wake-up"))?;
    Ok(at.map(Timestamp::from_unix_ms))
}

/// Every mark that is, or ever was, a tenant's.
///
/// # Errors
/// [`super::StoreError`].
pub async fn marks(conn: &mut SqliteConnection) -> Result<BTreeSet<Mark>> {
    let rows = query(sql::MARKS).fetch_all(conn).await.map_err(failed("list marks"))?;
    rows.iter()
        .map(|row| {
            let mark: i64 = row.try_get("mark").map_err(failed("list marks"))?;
            Ok(Mark(u32::try_from(to_u64(mark)).unwrap_or(0)))
        })
        .collect()
}

fn mark(tenant: &Tenant) -> Option<i64> {
    tenant.allotment.as_ref().map(|given| i64::from(given.mark.0))
}

fn network(tenant: &Tenant) -> Option<String> {
    tenant
        .allotment
        .as_ref()
        .map(|given| std::net::Ipv4Addr::from(given.network.address).to_string())
}
