//! Alarms of hosts, in the order in which they came.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{id::HostId, time::Timestamp, wire::v1::Alarm};

use super::{
    Page, Result, Slice, failed, from_json,
    page::numbered,
    parse,
    row::AlarmRecord,
    sql::{self, query},
    to_i64, to_json,
};

const TABLE: &str = "alarms";

/// Whether an alarm was heard before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was.
    Again,
    /// It was not, but a later one about the same was: it says nothing of how things are now.
    Late,
    /// It was not.
    First,
}

/// Keeps an alarm. The same one comes again until its host has the answer.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_alarm(
    conn: &mut SqliteConnection,
    host: HostId,
    received_at: Timestamp,
    alarm: &Alarm,
) -> Result<Heard> {
    let operation = "keep an alarm";
    let (host, sequence) = (host.to_string(), to_i64(alarm.sequence));
    let known = query(sql::ALARM)
        .bind(&host)
        .bind(sequence)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(operation))?;
    if known.is_some() {
        return Ok(Heard::Again);
    }
    // What is over, and what is told anew, stands no more.
    let measure = alarm.figures.map_or("", |figures| figures.measure.as_str());
    let about = format!("{}:{measure}:{}", alarm.kind.as_str(), alarm.subject);
    query(sql::REPLACE_ALARM)
        .bind(&host)
        .bind(&about)
        .bind(sequence)
        .execute(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let later = query(sql::LATER_ALARM)
        .bind(&host)
        .bind(&about)
        .bind(sequence)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let heard = if later.is_some() { Heard::Late } else { Heard::First };
    let standing = !alarm.repaired && heard == Heard::First;
    let record = AlarmRecord { received_at, alarm: alarm.clone(), standing };
    query(sql::ADD_ALARM)
        .bind(host)
        .bind(sequence)
        .bind(to_json(TABLE, &record)?)
        .bind(about)
        .bind(i64::from(record.standing))
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(heard)
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
    numbered(conn, sql::ALARMS_OF, host.to_string(), page, operation, |row| read(row, operation))
        .await
}

/// The alarms that stand, oldest first; so many at most.
///
/// # Errors
/// [`super::StoreError`].
pub async fn standing_alarms(
    conn: &mut SqliteConnection,
    most: u32,
) -> Result<Vec<(HostId, AlarmRecord)>> {
    let operation = "list alarms that stand";
    let rows = query(sql::STANDING_ALARMS)
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    let of = |row: &SqliteRow| {
        let host: String = row.try_get("host").map_err(failed(operation))?;
        Ok((parse(TABLE, &host)?, read(row, operation)?))
    };
    rows.iter().map(of).collect()
}

/// Ends an alarm that stands, and gives it; nothing if none of this number does.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end_alarm(
    conn: &mut SqliteConnection,
    host: HostId,
    sequence: u64,
) -> Result<Option<AlarmRecord>> {
    let operation = "end an alarm";
    let (host, sequence) = (host.to_string(), to_i64(sequence));
    let row = query(sql::STANDING_ALARM)
        .bind(&host)
        .bind(sequence)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let Some(record) = row.as_ref().map(|row| read(row, operation)).transpose()? else {
        return Ok(None);
    };
    query(sql::END_ALARM)
        .bind(host)
        .bind(sequence)
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(Some(AlarmRecord { standing: false, ..record }))
}

fn read(row: &SqliteRow, operation: &'static str) -> Result<AlarmRecord> {
    let record: String = row.try_get("record").map_err(failed(operation))?;
    let standing: i64 = row.try_get("standing").map_err(failed(operation))?;
    Ok(AlarmRecord { standing: standing != 0, ..from_json(TABLE, &record)? })
}
