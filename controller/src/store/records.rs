//! Records and what others said to them: two tables, to which rows are only added.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::id::{RecordId, TenantId};

use super::{
    Result, failed, from_json,
    page::{Page, Slice},
    sql::{self, query},
    to_i64, to_json, to_u64,
};
use crate::core::record::{Confirmation, Record};

const TABLE: &str = "records";

/// One record with its confirmations.
///
/// # Errors
/// [`super::StoreError`].
pub async fn record(conn: &mut SqliteConnection, id: RecordId) -> Result<Option<Record>> {
    let row = query(sql::RECORD)
        .bind(id.to_string())
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("read a record"))?;
    let Some(row) = row else { return Ok(None) };
    let mut record = read(&row)?;
    record.confirmations = confirmations(conn, id).await?;
    Ok(Some(record))
}

/// Records about a tenant, or about the platform alone, oldest first, with their confirmations;
/// sealed ones among them or not.
///
/// # Errors
/// [`super::StoreError`].
pub async fn records(
    conn: &mut SqliteConnection,
    tenant: Option<TenantId>,
    sealed: bool,
    page: &Page<u64>,
) -> Result<Slice<u64, Record>> {
    let operation = "list records";
    let of = match tenant {
        Some(tenant) => query(sql::RECORDS_OF).bind(tenant.to_string()),
        None => query(sql::RECORDS_OF_PLATFORM),
    };
    let rows = of
        .bind(i64::from(sealed))
        .bind(page.after_number())
        .bind(page.rows())
        .fetch_all(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let mut slice = page.slice(&rows, |row| {
        let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
        Ok((to_u64(seq), read(row)?))
    })?;
    for record in &mut slice.items {
        record.confirmations = confirmations(conn, record.id).await?;
    }
    Ok(slice)
}

/// Keeps a record, entered as journal row `seq`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_record(conn: &mut SqliteConnection, seq: u64, new: &Record) -> Result<()> {
    query(sql::ADD_RECORD)
        .bind(new.id.to_string())
        .bind(to_i64(seq))
        .bind(new.tenant.map(|tenant| tenant.to_string()))
        .bind(new.content.kind().as_str())
        .bind(i64::from(new.sealed))
        .bind(to_json(TABLE, new)?)
        .execute(conn)
        .await
        .map_err(failed("keep a record"))?;
    Ok(())
}

/// Keeps what somebody said to a record, entered as journal row `seq`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_confirmation(
    conn: &mut SqliteConnection,
    seq: u64,
    record: RecordId,
    new: &Confirmation,
) -> Result<()> {
    query(sql::ADD_CONFIRMATION)
        .bind(record.to_string())
        .bind(to_i64(seq))
        .bind(to_json("confirmations", new)?)
        .execute(conn)
        .await
        .map_err(failed("keep a confirmation"))?;
    Ok(())
}

async fn confirmations(conn: &mut SqliteConnection, id: RecordId) -> Result<Vec<Confirmation>> {
    let operation = "read confirmations";
    let rows = query(sql::CONFIRMATIONS_OF)
        .bind(id.to_string())
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let text: String = row.try_get("confirmation").map_err(failed(operation))?;
            from_json("confirmations", &text)
        })
        .collect()
}

fn read(row: &SqliteRow) -> Result<Record> {
    let text: String = row.try_get("record").map_err(failed("read a record"))?;
    from_json(TABLE, &text)
}
