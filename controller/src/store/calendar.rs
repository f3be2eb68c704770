//! Notices of the State Council that persons entered: proposed, then put in force by another one.

use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::{
    Result, failed, from_json,
    row::CalendarRecord,
    sql::{self, query},
    to_json,
};

const TABLE: &str = "calendar_notices";

/// Keeps a proposal.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_calendar_notice(
    conn: &mut SqliteConnection,
    record: &CalendarRecord,
) -> Result<()> {
    query(sql::ADD_CALENDAR_NOTICE)
        .bind(record.id.to_string())
        .bind(to_json(TABLE, record)?)
        .execute(conn)
        .await
        .map_err(failed("keep a notice of the calendar"))?;
    Ok(())
}

/// Keeps that a proposal is in force.
///
/// # Errors
/// [`super::StoreError`].
pub async fn enact_calendar_notice(
    conn: &mut SqliteConnection,
    record: &CalendarRecord,
) -> Result<()> {
    query(sql::ENACT_CALENDAR_NOTICE)
        .bind(to_json(TABLE, record)?)
        .bind(record.id.to_string())
        .execute(conn)
        .await
        .map_err(failed("put a notice of the calendar in force"))?;
    Ok(())
}

/// Forgets a proposal; a notice in force stays.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_calendar_notice(conn: &mut SqliteConnection, id: Uuid) -> Result<()> {
    query(sql::DROP_CALENDAR_NOTICE)
        .bind(id.to_string())
        .execute(conn)
        .await
        .map_err(failed("forget a notice of the calendar"))?;
    Ok(())
}

/// One notice.
///
/// # Errors
/// [`super::StoreError`].
pub async fn calendar_notice(
    conn: &mut SqliteConnection,
    id: Uuid,
) -> Result<Option<CalendarRecord>> {
    let operation = "read a notice of the calendar";
    let row = query(sql::CALENDAR_NOTICE)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let record: String = row.try_get("record").map_err(failed(operation))?;
    from_json(TABLE, &record).map(Some)
}

/// All: those in force in the order in which they were put in force, then the proposals.
///
/// # Errors
/// [`super::StoreError`].
pub async fn calendar_notices(conn: &mut SqliteConnection) -> Result<Vec<CalendarRecord>> {
    let operation = "list the notices of the calendar";
    let rows = query(sql::CALENDAR_NOTICES).fetch_all(conn).await.map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let record: String = row.try_get("record").map_err(failed(operation))?;
            from_json(TABLE, &record)
        })
        .collect()
}

/// How many are in force.
///
/// # Errors
/// [`super::StoreError`].
pub async fn calendar_enacted(conn: &mut SqliteConnection) -> Result<i64> {
    let operation = "count the notices in force";
    let row = query(sql::CALENDAR_ENACTED).fetch_one(conn).await.map_err(failed(operation))?;
    row.try_get("enacted").map_err(failed(operation))
}
