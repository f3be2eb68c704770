//! Tenants.

use std::collections::BTreeSet;

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{
    id::{OrderId, TenantId},
    time::Timestamp,
    wire::v1::Mark,
};

use super::{Result, failed, from_json, parse, to_i64, to_json, to_u64};
use crate::core::tenant::{Phase, Tenant};

const TABLE: &str = "tenants";

/// One tenant.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenant(conn: &mut SqliteConnection, id: TenantId) -> Result<Option<Tenant>> {
    let row = sqlx::query("SELECT state FROM tenants WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a tenant"))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state").map_err(failed("read a tenant"))?;
    from_json(TABLE, &state).map(Some)
}

/// Whose a tenant is. It never changes.
///
/// # Errors
/// [`super::StoreError`].
pub async fn customer_of(conn: &mut SqliteConnection, id: TenantId) -> Result<Option<String>> {
    sqlx::query("SELECT customer FROM tenants WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .and_then(|row| row.map(|row| row.try_get("customer")).transpose())
        .map_err(failed("read whose a tenant is"))
}

/// Whose the tenant of an order is.
///
/// # Errors
/// [`super::StoreError`].
pub async fn customer_of_order(conn: &mut SqliteConnection, id: OrderId) -> Result<Option<String>> {
    sqlx::query("SELECT t.customer FROM orders o JOIN tenants t ON t.id = o.tenant WHERE o.id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .and_then(|row| row.map(|row| row.try_get("customer")).transpose())
        .map_err(failed("read whose an order is"))
}

/// Writes whose they are beside tenants of before that column.
///
/// # Errors
/// [`super::StoreError`].
pub async fn fill_customers(conn: &mut SqliteConnection) -> Result<()> {
    let operation = "write whose tenants are";
    let rows = sqlx::query("SELECT state FROM tenants WHERE customer = ''")
        .fetch_all(&mut *conn)
        .await
        .map_err(failed(operation))?;
    for row in rows {
        let state: String = row.try_get("state").map_err(failed(operation))?;
        let tenant: Tenant = from_json(TABLE, &state)?;
        sqlx::query("UPDATE tenants SET customer = $1 WHERE id = $2")
            .bind(&tenant.application.customer)
            .bind(tenant.id.to_string())
            .execute(&mut *conn)
            .await
            .map_err(failed(operation))?;
    }
    Ok(())
}

/// All tenants by id, which is by age; of one phase if given.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenants(conn: &mut SqliteConnection, phase: Option<Phase>) -> Result<Vec<Tenant>> {
    let rows = match phase {
        Some(phase) => {
            sqlx::query("SELECT state FROM tenants WHERE phase = $1 ORDER BY id")
                .bind(phase.as_str())
                .fetch_all(conn)
                .await
        }
        None => sqlx::query("SELECT state FROM tenants ORDER BY id").fetch_all(conn).await,
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
    sqlx::query(
        "INSERT INTO tenants (id, version, phase, mark, network, wake_at, state, customer) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.id.to_string())
    .bind(to_i64(tenant.version))
    .bind(tenant.phase.as_str())
    .bind(mark(tenant))
    .bind(network(tenant))
    .bind(tenant.wake_at.map(Timestamp::unix_ms))
    .bind(to_json(TABLE, tenant)?)
    .bind(&tenant.application.customer)
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
    let done = sqlx::query(
        "UPDATE tenants SET version = $1, phase = $2, mark = $3, network = $4, wake_at = $5, \
         state = $6 WHERE id = $7 AND version = $8",
    )
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
    let rows = sqlx::query("SELECT id FROM tenants WHERE wake_at <= $1 ORDER BY wake_at")
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
    let row = sqlx::query("SELECT MIN(wake_at) AS wake_at FROM tenants")
        .fetch_one(conn)
        .await
        .map_err(failed("read the next wake-up"))?;
    let at: Option<i64> = row.try_get("wake_at").map_err(failed("read the next wake-up"))?;
    Ok(at.map(Timestamp::from_unix_ms))
}

/// Every mark that is, or ever was, a tenant's.
///
/// # Errors
/// [`super::StoreError`].
pub async fn marks(conn: &mut SqliteConnection) -> Result<BTreeSet<Mark>> {
    let rows = sqlx::query("SELECT mark FROM tenants WHERE mark IS NOT NULL")
        .fetch_all(conn)
        .await
        .map_err(failed("list marks"))?;
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
