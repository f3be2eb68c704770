//! Tenants.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    id::{HostId, OrderId, TenantId},
    time::Timestamp,
    wire::v1::Mark,
};

use super::{
    Page, Result, Slice, TenantFilter, failed, from_json, parse,
    sql::{self, query},
    to_i64, to_json, to_u64,
};
use crate::core::{
    fleet::Occupied,
    tenant::{Phase, Tenant},
};

const TABLE: &str = "tenants";
/// Ids that are listed at once.
const IDS: i64 = 1_000;

/// Whose a tenant is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The customer.
    pub customer: String,
    /// Whether it was never submitted.
    pub draft: bool,
}

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
    row.as_ref().map(read).transpose()
}

/// Whose a tenant is, which never changes, and whether it was never submitted: it is theirs alone
/// then.
///
/// # Errors
/// [`super::StoreError`].
pub async fn owner_of(conn: &mut SqliteConnection, id: TenantId) -> Result<Option<Owner>> {
    query(sql::OWNER_OF)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .and_then(|row| row.as_ref().map(owner).transpose())
        .map_err(failed("read whose a tenant is"))
}

/// Whose the tenant of an order is.
///
/// # Errors
/// [`super::StoreError`].
pub async fn owner_of_order(conn: &mut SqliteConnection, id: OrderId) -> Result<Option<Owner>> {
    query(sql::OWNER_OF_ORDER)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .and_then(|row| row.as_ref().map(owner).transpose())
        .map_err(failed("read whose an order is"))
}

/// What each tenant occupies that occupies anything: at most as many as there are networks.
///
/// # Errors
/// [`super::StoreError`].
pub async fn occupied(conn: &mut SqliteConnection) -> Result<Vec<Occupied>> {
    let operation = "read what is occupied of the fleet";
    let rows = query(sql::OCCUPIED).fetch_all(conn).await.map_err(failed(operation))?;
    let read = |row: &SqliteRow| {
        let occupied: String = row.try_get("occupied").map_err(failed(operation))?;
        from_json(TABLE, &occupied)
    };
    rows.iter().map(read).collect()
}

/// Which tenants occupy something of a host, by age.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenants_on(conn: &mut SqliteConnection, host: HostId) -> Result<Vec<TenantId>> {
    let operation = "list the tenants of a host";
    let rows = query(sql::OCCUPANTS).fetch_all(conn).await.map_err(failed(operation))?;
    let mut tenants = Vec::new();
    for row in &rows {
        let occupied: String = row.try_get("occupied").map_err(failed(operation))?;
        let occupied: Occupied = from_json(TABLE, &occupied)?;
        if occupied.taken.iter().any(|taken| taken.host == host) {
            tenants.push(id(row)?);
        }
    }
    Ok(tenants)
}

/// Some ids of all tenants, by age, after this one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenant_ids(
    conn: &mut SqliteConnection,
    after: Option<TenantId>,
) -> Result<Vec<TenantId>> {
    let operation = "list tenants";
    let rows = query(sql::TENANT_IDS)
        .bind(after.map_or_else(String::new, |id| id.to_string()))
        .bind(IDS)
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    rows.iter().map(id).collect()
}

/// A part of the tenants that a filter leaves, by id, which is by age. Of few that are due none is
/// looked for among all: those are read first, by their deadline.
///
/// # Errors
/// [`super::StoreError`].
#[allow(clippy::disallowed_methods, reason = "its conditions are those that the caller gives")]
pub async fn tenants_page(
    conn: &mut SqliteConnection,
    filter: &TenantFilter,
    page: &Page<TenantId>,
) -> Result<Slice<TenantId, Tenant>> {
    let after = page.after.map_or_else(String::new, |id| id.to_string());
    let mut search = sqlx::QueryBuilder::new("");
    if let Some(before) = filter.due_before {
        search.push("WITH due AS MATERIALIZED (SELECT id AS due_id FROM tenants WHERE due_at < ");
        search.push_bind(before.unix_ms());
        search.push(" AND id > ").push_bind(after.clone());
        search.push(") SELECT state FROM tenants WHERE id IN (SELECT id FROM due CROSS JOIN ");
        search.push("tenants WHERE id = due_id");
    } else {
        search.push("SELECT state FROM tenants WHERE id > ").push_bind(after);
    }
    if let Some(phase) = filter.phase {
        search.push(" AND phase = ").push_bind(phase.as_str());
    }
    if let Some(customer) = &filter.customer {
        search.push(" AND customer = ").push_bind(customer);
    }
    if !filter.drafts {
        search.push(" AND handed_in = 1");
    }
    if let Some(isolation) = filter.isolation {
        search.push(" AND isolation = ").push_bind(isolation);
    }
    search.push(" ORDER BY id LIMIT ").push_bind(page.rows());
    if filter.due_before.is_some() {
        search.push(") ORDER BY id");
    }
    let rows = search.build().fetch_all(conn).await.map_err(failed("search tenants"))?;
    page.slice(&rows, |row| read(row).map(|tenant| (tenant.id, tenant)))
}

/// Fills the columns that tenants are searched by, for rows that were written before there were
/// any.
///
/// # Errors
/// [`super::StoreError`].
pub(super) async fn refill(conn: &mut SqliteConnection) -> Result<()> {
    let mut last = None;
    loop {
        let ids = tenant_ids(&mut *conn, last).await?;
        if ids.is_empty() {
            return Ok(());
        }
        for id in &ids {
            if let Some(tenant) = tenant(&mut *conn, *id).await? {
                save_tenant(&mut *conn, &tenant, tenant.version).await?;
            }
        }
        last = ids.last().copied();
    }
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
        .bind(&tenant.application.customer)
        .bind(tenant.isolation.as_str())
        .bind(tenant.next_due_at().map(Timestamp::unix_ms))
        .bind(i64::from(tenant.submitted_at.is_some()))
        .bind(tenant.duty_at.map(Timestamp::unix_ms))
        .bind(occupied_column(tenant)?)
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
        .bind(&tenant.application.customer)
        .bind(tenant.isolation.as_str())
        .bind(tenant.next_due_at().map(Timestamp::unix_ms))
        .bind(i64::from(tenant.submitted_at.is_some()))
        .bind(tenant.duty_at.map(Timestamp::unix_ms))
        .bind(occupied_column(tenant)?)
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
    rows.iter().map(id).collect()
}

/// The tenants in a phase, by age.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tenants_in(conn: &mut SqliteConnection, phase: Phase) -> Result<Vec<TenantId>> {
    let rows = query(sql::TENANTS_IN)
        .bind(phase.as_str())
        .fetch_all(conn)
        .await
        .map_err(failed("list the tenants in a phase"))?;
    rows.iter().map(id).collect()
}

/// How many applications of a customer are drafts or have no final opinion.
///
/// # Errors
/// [`super::StoreError`].
pub async fn open_applications(conn: &mut SqliteConnection, customer: &str) -> Result<u64> {
    let operation = "count a customer's applications";
    let row = query(sql::OPEN_APPLICATIONS)
        .bind(customer)
        .fetch_one(conn)
        .await
        .map_err(failed(operation))?;
    let open: i64 = row.try_get("open").map_err(failed(operation))?;
    Ok(to_u64(open))
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

/// The highest mark that is, or ever was, a tenant's.
///
/// # Errors
/// [`super::StoreError`].
pub async fn last_mark(conn: &mut SqliteConnection) -> Result<Option<Mark>> {
    let operation = "read the last mark";
    let row = query(sql::LAST_MARK).fetch_one(conn).await.map_err(failed(operation))?;
    let mark: Option<i64> = row.try_get("mark").map_err(failed(operation))?;
    Ok(mark.map(|mark| Mark(u32::try_from(mark).unwrap_or(u32::MAX))))
}

fn owner(row: &SqliteRow) -> sqlx::Result<Owner> {
    let handed_in: i64 = row.try_get("handed_in")?;
    Ok(Owner { customer: row.try_get("customer")?, draft: handed_in == 0 })
}

fn id(row: &SqliteRow) -> Result<TenantId> {
    let id: String = row.try_get("id").map_err(failed("read a tenant's id"))?;
    parse(TABLE, &id)
}

pub(super) fn read(row: &SqliteRow) -> Result<Tenant> {
    let state: String = row.try_get("state").map_err(failed("read a tenant"))?;
    from_json(TABLE, &state)
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

fn occupied_column(tenant: &Tenant) -> Result<Option<String>> {
    Occupied::of(tenant).map(|occupied| to_json(TABLE, &occupied)).transpose()
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;
