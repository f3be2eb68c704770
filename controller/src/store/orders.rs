//! Orders: the outbox to the hosts.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    id::{HostId, OrderId, TenantId},
    wire::{order::SignedOrder, v1::Lane},
};

use super::{
    Page, Result, Slice, failed, from_json,
    page::numbered,
    row::OrderRecord,
    sql::{self, query},
    to_json,
};

const TABLE: &str = "orders";

/// Keeps a new order; unfinished ones to the same host for the same tenant on the same lane are
/// superseded by it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_order(
    conn: &mut SqliteConnection,
    record: &OrderRecord,
    order: &SignedOrder,
) -> Result<()> {
    let operation = "add an order";
    for mut earlier in unfinished(conn, record).await? {
        "superseded".clone_into(&mut earlier.state);
        save_order(conn, &earlier).await?;
    }
    query(sql::ADD_ORDER)
        .bind(record.id.to_string())
        .bind(record.tenant.to_string())
        .bind(record.host.to_string())
        .bind(lane(record.lane))
        .bind(&record.state)
        .bind(to_json(TABLE, record)?)
        .bind(&order.order)
        .bind(&order.signature)
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(())
}

/// The orders that one to the same host for the same tenant on the same lane supersedes.
async fn unfinished(conn: &mut SqliteConnection, new: &OrderRecord) -> Result<Vec<OrderRecord>> {
    let rows = query(sql::UNFINISHED_ORDERS)
        .bind(new.tenant.to_string())
        .bind(new.host.to_string())
        .bind(lane(new.lane))
        .fetch_all(conn)
        .await
        .map_err(failed("list unfinished orders"))?;
    rows.iter().map(self::record).collect()
}

/// Keeps what became of an order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_order(conn: &mut SqliteConnection, record: &OrderRecord) -> Result<()> {
    query(sql::SAVE_ORDER)
        .bind(&record.state)
        .bind(to_json(TABLE, record)?)
        .bind(record.id.to_string())
        .execute(conn)
        .await
        .map_err(failed("save an order"))?;
    Ok(())
}

/// One order with its signed bytes.
///
/// # Errors
/// [`super::StoreError`].
pub async fn order(
    conn: &mut SqliteConnection,
    id: OrderId,
) -> Result<Option<(OrderRecord, SignedOrder)>> {
    let row = query(sql::ORDER)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read an order"))?;
    row.map(|row| Ok((record(&row)?, signed(&row)?))).transpose()
}

/// The first order to a host about a tenant.
///
/// # Errors
/// [`super::StoreError`].
pub async fn first_order(
    conn: &mut SqliteConnection,
    tenant: TenantId,
    host: HostId,
) -> Result<Option<OrderRecord>> {
    let row = query(sql::FIRST_ORDER)
        .bind(tenant.to_string())
        .bind(host.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read an order"))?;
    row.as_ref().map(record).transpose()
}

/// A tenant's orders, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn orders_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
    page: &Page<u64>,
) -> Result<Slice<u64, OrderRecord>> {
    numbered(conn, sql::ORDERS_OF, tenant.to_string(), page, "list orders", record).await
}

/// The orders that a host has not answered for good, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn open_orders(
    conn: &mut SqliteConnection,
    host: HostId,
    on: Lane,
) -> Result<Vec<SignedOrder>> {
    let rows = query(sql::OPEN_ORDERS)
        .bind(host.to_string())
        .bind(lane(on))
        .fetch_all(conn)
        .await
        .map_err(failed("list open orders"))?;
    rows.iter().map(signed).collect()
}

/// Whether a host still owes an answer to an order in this state.
#[must_use]
pub fn is_open(state: &str) -> bool {
    matches!(state, "open" | "journalled" | "started" | "intent")
}

const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Cut => "cut",
        Lane::Work => "work",
    }
}

fn record(row: &SqliteRow) -> Result<OrderRecord> {
    let text: String = row.try_get("record").map_err(failed("read an order"))?;
    from_json(TABLE, &text)
}

fn signed(row: &SqliteRow) -> Result<SignedOrder> {
    let order = row.try_get("signed_order").map_err(failed("read an order"))?;
    let signature = row.try_get("signature").map_err(failed("read an order"))?;
    Ok(SignedOrder { order, signature })
}
