//! Notices: the outbox to the customers.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    id::{NoticeId, TenantId},
    time::Timestamp,
};

use super::{
    Page, Result, Slice, failed, from_json,
    page::numbered,
    sql::{self, query},
    to_i64, to_json,
};
use crate::core::notice::Notice;

const TABLE: &str = "notices";

/// Notices handed out at once, at most.
const BATCH: i64 = 64;

/// A notice, and until when somebody is trying to deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// The notice.
    pub notice: Notice,
    /// Real clock.
    pub leased_until: Option<Timestamp>,
    /// Grows with each lease and each record: it is saved by who saw the last one alone.
    pub fence: u64,
}

/// Keeps a new notice.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_notice(conn: &mut SqliteConnection, notice: &Notice) -> Result<()> {
    query(sql::ADD_NOTICE)
        .bind(notice.id.to_string())
        .bind(notice.tenant.map(|tenant| tenant.to_string()))
        .bind(notice.next_at().map(Timestamp::unix_ms))
        .bind(to_json(TABLE, notice)?)
        .execute(conn)
        .await
        .map_err(failed("add a notice"))?;
    Ok(())
}

/// Keeps what became of a notice, and its lease or the end of it; says whether it did. It does not
/// if the notice was leased or recorded since the row was read.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_notice(conn: &mut SqliteConnection, row: &NoticeRow) -> Result<bool> {
    let saved = query(sql::SAVE_NOTICE)
        .bind(row.notice.next_at().map(Timestamp::unix_ms))
        .bind(row.leased_until.map(Timestamp::unix_ms))
        .bind(to_json(TABLE, &row.notice)?)
        .bind(row.notice.id.to_string())
        .bind(to_i64(row.fence))
        .execute(conn)
        .await
        .map_err(failed("save a notice"))?;
    Ok(saved.rows_affected() == 1)
}

/// One notice.
///
/// # Errors
/// [`super::StoreError`].
pub async fn notice(conn: &mut SqliteConnection, id: NoticeId) -> Result<Option<NoticeRow>> {
    let row = query(sql::NOTICE)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a notice"))?;
    row.as_ref().map(read).transpose()
}

/// A tenant's notices, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn notices_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
    page: &Page<u64>,
) -> Result<Slice<u64, Notice>> {
    numbered(conn, sql::NOTICES_OF, tenant.to_string(), page, "list notices", |row| {
        Ok(read(row)?.notice)
    })
    .await
}

/// Leases the notices that are due to the caller, each with the fence of this lease.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lease_notices(
    conn: &mut SqliteConnection,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<NoticeRow>> {
    let operation = "lease notices";
    let rows = query(sql::NOTICES_TO_LEASE)
        .bind(now.unix_ms())
        .bind(BATCH)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let mut leased = Vec::new();
    for row in &rows {
        let NoticeRow { notice, leased_until: _, fence } = read(row)?;
        query(sql::LEASE_NOTICE)
            .bind(until.unix_ms())
            .bind(notice.id.to_string())
            .execute(&mut *conn)
            .await
            .map_err(failed(operation))?;
        leased.push(NoticeRow { notice, leased_until: Some(until), fence: fence + 1 });
    }
    Ok(leased)
}

/// When the next notice is due; real clock.
///
/// # Errors
/// [`super::StoreError`].
pub async fn next_notice_at(conn: &mut SqliteConnection) -> Result<Option<Timestamp>> {
    let operation = "read the next notice's time";
    let row = query(sql::NEXT_NOTICE_AT).fetch_one(conn).await.map_err(failed(operation))?;
    let at: Option<i64> = row.try_get("at").map_err(failed(operation))?;
    Ok(at.map(Timestamp::from_unix_ms))
}

fn read(row: &SqliteRow) -> Result<NoticeRow> {
    let text: String = row.try_get("state").map_err(failed("read a notice"))?;
    let until: Option<i64> = row.try_get("leased_until").map_err(failed("read a notice"))?;
    let fence: i64 = row.try_get("fence").map_err(failed("read a notice"))?;
    Ok(NoticeRow {
        notice: from_json(TABLE, &text)?,
        leased_until: until.map(Timestamp::from_unix_ms),
        fence: fence.unsigned_abs(),
    })
}
