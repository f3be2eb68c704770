//! Orders: the outbox to the hosts.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    id::{HostId, OrderId, TenantId},
    wire::{order::SignedOrder, v1::Lane},
};

use super::{Page, Result, Slice, failed, from_json, record::OrderRecord, to_json, to_u64};

const TABLE: &str = "orders";

/// The states in which a host still owes an answer.
const OPEN: &str = "('open', 'journalled', 'started', 'intent')";

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
    sqlx::query(
        "INSERT INTO orders (id, seq, tenant, host, lane, state, record, signed_order, signature) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5, $6, $7, $8 FROM orders",
    )
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
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT record FROM orders WHERE tenant = $1 AND host = $2 AND lane = $3 AND state IN \
         {OPEN} ORDER BY seq"
    )))
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
    sqlx::query("UPDATE orders SET state = $1, record = $2 WHERE id = $3")
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
    let row = sqlx::query("SELECT record, signed_order, signature FROM orders WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read an order"))?;
    row.map(|row| Ok((record(&row)?, signed(&row)?))).transpose()
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
    let operation = "list orders";
    let rows = sqlx::query(
        "SELECT seq, record FROM orders WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(tenant.to_string())
    .bind(page.after_number())
    .bind(page.rows())
    .fetch_all(conn)
    .await
    .map_err(failed(operation))?;
    page.slice(&rows, |row| {
        let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
        Ok((to_u64(seq), record(row)?))
    })
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
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT signed_order, signature FROM orders WHERE host = $1 AND lane = $2 AND state IN \
         {OPEN} ORDER BY seq"
    )))
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
