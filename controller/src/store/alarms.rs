//! Alarms of hosts, in the order in which they came.

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{id::HostId, time::Timestamp, wire::v1::Alarm};

use super::{
    Page, Result, Slice, failed, from_json,
    page::numbered,
    row::AlarmRecord,
    sql::{self, query},
    to_i64, to_json,
};

const TABLE: &str = "alarms";

/// Keeps an alarm; says whether it is new. The same one comes again until its host has the answer.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_alarm(
    conn: &mut SqliteConnection,
    host: HostId,
    received_at: Timestamp,
    alarm: &Alarm,
) -> Result<bool> {
    let operation = "keep an alarm";
    let (host, sequence) = (host.to_string(), to_i64(alarm.sequence));
    let known = query(sql::ALARM)
        .bind(&host)
        .bind(sequence)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(operation))?;
    if known.is_some() {
        return Ok(false);
    }
    let record = AlarmRecord { received_at, alarm: alarm.clone() };
    query(sql::ADD_ALARM)
        .bind(host)
        .bind(sequence)
        .bind(to_json(TABLE, &record)?)
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(true)
}

/// A host's alarms, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn alarms_of(
    conn: &mut SqliteConnection,
    host: HostId,
    page: &Page<u64>,
) -> Result<Slice<u64, AlarmRecord>> {
    let operation = "list alarms";
    numbered(conn, sql::ALARMS_OF, host.to_string(), page, operation, |row| {
        let record: String = row.try_get("record").map_err(failed(operation))?;
        from_json(TABLE, &record)
    })
    .await
}
