//! Watches: which hosts keep the notices of which cut.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    id::{CutId, HostId, TenantId},
    time::Timestamp,
    wire::watch::DisarmReason,
};

use super::{
    Result, failed, parse,
    sql::{self, query},
};
use crate::core::watch::WatchState;

const TABLE: &str = "watches";

/// One host's watch over one cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRow {
    /// Which cut.
    pub cut: CutId,
    /// Who watches.
    pub host: HostId,
    /// Whose cut.
    pub tenant: TenantId,
    /// When the cut was ordered; real clock.
    pub ordered_at: Timestamp,
    /// What it has come to.
    pub state: WatchState,
    /// Why the host is disarmed, once it is.
    pub reason: DisarmReason,
}

/// Keeps a new watch.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_watch(
    conn: &mut SqliteConnection,
    (cut, host, tenant): (CutId, HostId, TenantId),
    ordered_at: Timestamp,
) -> Result<()> {
    query(sql::ADD_WATCH)
        .bind(cut.to_string())
        .bind(host.to_string())
        .bind(tenant.to_string())
        .bind(ordered_at.unix_ms())
        .execute(conn)
        .await
        .map_err(failed("add a watch"))?;
    Ok(())
}

/// One watch.
///
/// # Errors
/// [`super::StoreError`].
pub async fn watch(
    conn: &mut SqliteConnection,
    cut: CutId,
    host: HostId,
) -> Result<Option<WatchRow>> {
    let row = query(sql::WATCH)
        .bind(cut.to_string())
        .bind(host.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a watch"))?;
    row.as_ref().map(read).transpose()
}

/// The watches of a host of which it is to be told something.
///
/// # Errors
/// [`super::StoreError`].
pub async fn watches_to_tell(conn: &mut SqliteConnection, host: HostId) -> Result<Vec<WatchRow>> {
    let rows = query(sql::WATCHES_TO_TELL)
        .bind(host.to_string())
        .fetch_all(conn)
        .await
        .map_err(failed("list a host's watches"))?;
    rows.iter().map(read).collect()
}

/// Keeps what a host said of its watch.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_watch(
    conn: &mut SqliteConnection,
    (cut, host): (CutId, HostId),
    state: WatchState,
    message: Option<&str>,
) -> Result<()> {
    query(sql::SAVE_WATCH)
        .bind(state.as_str())
        .bind(message)
        .bind(cut.to_string())
        .bind(host.to_string())
        .execute(conn)
        .await
        .map_err(failed("save a watch"))?;
    Ok(())
}

/// Ends the watch over a cut, and says whom to tell.
///
/// # Errors
/// [`super::StoreError`].
pub async fn disarm_watches(
    conn: &mut SqliteConnection,
    cut: CutId,
    why: DisarmReason,
) -> Result<Vec<HostId>> {
    let operation = "disarm a cut's watches";
    let rows = query(sql::WATCHERS_OF)
        .bind(cut.to_string())
        .fetch_all(&mut *conn)
        .await
        .map_err(failed(operation))?;
    query(sql::DISARM_WATCHES)
        .bind(reason(why))
        .bind(cut.to_string())
        .execute(&mut *conn)
        .await
        .map_err(failed(operation))?;
    rows.iter().map(host_of).collect()
}

/// The tenants whose cuts hosts watch over, and may have told of.
///
/// # Errors
/// [`super::StoreError`].
pub async fn watched_tenants(conn: &mut SqliteConnection) -> Result<Vec<TenantId>> {
    let operation = "list the tenants that are watched over";
    let rows = query(sql::WATCHED_TENANTS).fetch_all(conn).await.map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let tenant: String = row.try_get("tenant").map_err(failed(operation))?;
            parse(TABLE, &tenant)
        })
        .collect()
}

/// A host that cannot keep the notices of an open cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostWatch {
    /// Whose cut.
    pub tenant: TenantId,
    /// Which host.
    pub host: HostId,
    /// Its words.
    pub words: Option<String>,
}

/// The watches that hosts could not take on, of cuts that are watched over; so many at most.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lost_watches(conn: &mut SqliteConnection, most: u32) -> Result<Vec<LostWatch>> {
    let operation = "list watches that are lost";
    let rows = query(sql::LOST_WATCHES)
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    let lost = |row: &SqliteRow| {
        let tenant: String = row.try_get("tenant").map_err(failed(operation))?;
        let words = row.try_get("message").map_err(failed(operation))?;
        Ok(LostWatch { tenant: parse(TABLE, &tenant)?, host: host_of(row)?, words })
    };
    rows.iter().map(lost).collect()
}

/// Hosts that are up, in the order of their ids; so many at most.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hosts_up(conn: &mut SqliteConnection, most: u32) -> Result<Vec<HostId>> {
    let rows = query(sql::HOSTS_UP)
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed("list hosts that are up"))?;
    rows.iter().map(host_of).collect()
}

fn host_of(row: &SqliteRow) -> Result<HostId> {
    let host: String = row.try_get("host").map_err(failed("read a watch"))?;
    parse(TABLE, &host)
}

const fn reason(why: DisarmReason) -> &'static str {
    match why {
        DisarmReason::Told => "told",
        DisarmReason::Void => "void",
    }
}

fn read(row: &SqliteRow) -> Result<WatchRow> {
    let text = |name: &str| row.try_get::<String, _>(name).map_err(failed("read a watch"));
    let ordered_at: i64 = row.try_get("ordered_at").map_err(failed("read a watch"))?;
    let states = [WatchState::Open, WatchState::Kept, WatchState::Lost, WatchState::Disarmed];
    let state = text("state")?;
    // What no build has written is over: nothing follows from it.
    let state = states.into_iter().find(|one| one.as_str() == state).unwrap_or(WatchState::Over);
    let void = text("reason")? == reason(DisarmReason::Void);
    Ok(WatchRow {
        cut: parse(TABLE, &text("cut")?)?,
        host: host_of(row)?,
        tenant: parse(TABLE, &text("tenant")?)?,
        ordered_at: Timestamp::from_unix_ms(ordered_at),
        state,
        reason: if void { DisarmReason::Void } else { DisarmReason::Told },
    })
}
