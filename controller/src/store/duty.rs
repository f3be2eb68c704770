//! What the duty desk looks at: few rows among many, each found over an index.

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{id::TenantId, time::Timestamp};

use super::{
    AccountRecord, Result, TokenRecord, failed, from_json,
    sql::{self, query},
    tenants, tokens,
};
use crate::core::tenant::Tenant;

/// The tenants that have something for the desk at this legal instant, most urgent first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn on_duty(
    conn: &mut SqliteConnection,
    now: Timestamp,
    most: u32,
) -> Result<Vec<Tenant>> {
    let rows = query(sql::ON_DUTY)
        .bind(now.unix_ms())
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed("list what the desk has"))?;
    rows.iter().map(tenants::read).collect()
}

/// Writes down from when on a tenant has something for the desk.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_duty(
    conn: &mut SqliteConnection,
    id: TenantId,
    since: Option<Timestamp>,
) -> Result<()> {
    query(sql::SET_DUTY)
        .bind(since.map(Timestamp::unix_ms))
        .bind(id.to_string())
        .execute(conn)
        .await
        .map_err(failed("write down what the desk has"))?;
    Ok(())
}

/// Tokens that live and wait for a second person, those that end first before others.
///
/// # Errors
/// [`super::StoreError`].
pub async fn pending_tokens(
    conn: &mut SqliteConnection,
    now: Timestamp,
    most: u32,
) -> Result<Vec<TokenRecord>> {
    let rows = query(sql::PENDING_TOKENS)
        .bind(now.unix_ms())
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed("list tokens that wait"))?;
    rows.iter().map(tokens::read).collect()
}

/// Accounts that wait for a second person, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn pending_accounts(
    conn: &mut SqliteConnection,
    most: u32,
) -> Result<Vec<AccountRecord>> {
    let operation = "list accounts that wait";
    let rows = query(sql::PENDING_ACCOUNTS)
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    let account = |row: &sqlx::sqlite::SqliteRow| {
        let state: String = row.try_get("state").map_err(failed(operation))?;
        from_json("accounts", &state)
    };
    rows.iter().map(account).collect()
}
