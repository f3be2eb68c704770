//! Watches: which hosts keep the notices of which cut.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    digest::Digest,
    id::{CutId, HostId, TenantId},
    time::Timestamp,
    wire::watch::DisarmReason,
};

use super::{
    Result, failed, parse,
    sql::{self, query},
    to_u64,
};
use crate::core::watch::{Standing, WatchState};

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
    /// What it is over.
    pub standing: Standing,
    /// The cut whose notices these are: mostly its own.
    pub counts: CutId,
    /// Digest of what a standing packet says.
    pub made_of: Option<Digest>,
}

impl WatchRow {
    /// Whether it is a standing packet that is to be sent, again if the host could not keep it:
    /// those are told one at a time.
    #[must_use]
    pub fn waits_its_turn(&self) -> bool {
        let to_send = matches!(self.state, WatchState::Open | WatchState::Lost);
        self.standing == Standing::Waits && to_send
    }
}

/// Keeps a new watch; one that is there stays as it is.
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

/// Keeps a new standing watch, and what its packet says.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_standing_watch(
    conn: &mut SqliteConnection,
    (cut, host, tenant): (CutId, HostId, TenantId),
    made_at: Timestamp,
    made_of: Digest,
) -> Result<()> {
    query(sql::ADD_STANDING_WATCH)
        .bind(cut.to_string())
        .bind(host.to_string())
        .bind(tenant.to_string())
        .bind(made_at.unix_ms())
        .bind(made_of.to_string())
        .execute(conn)
        .await
        .map_err(failed("add a standing watch"))?;
    Ok(())
}

/// The standing watches of a tenant's hosts.
///
/// # Errors
/// [`super::StoreError`].
pub async fn standing_watches(
    conn: &mut SqliteConnection,
    tenant: TenantId,
) -> Result<Vec<WatchRow>> {
    let rows = query(sql::STANDING_WATCHES)
        .bind(tenant.to_string())
        .fetch_all(conn)
        .await
        .map_err(failed("list a tenant's standing watches"))?;
    rows.iter().map(read).collect()
}

/// A standing watch is over a cut from now on, which may count into another one; from when, and
/// whether its customer is told already.
///
/// # Errors
/// [`super::StoreError`].
pub async fn adopt_watch(
    conn: &mut SqliteConnection,
    (cut, host): (CutId, HostId),
    counts: CutId,
    since: Timestamp,
    is_told: bool,
) -> Result<()> {
    let state = if is_told { WatchState::Disarmed } else { WatchState::Kept };
    query(sql::ADOPT_WATCH)
        .bind(counts.to_string())
        .bind(since.unix_ms())
        .bind(state.as_str())
        .bind(cut.to_string())
        .bind(host.to_string())
        .execute(conn)
        .await
        .map_err(failed("adopt a watch"))?;
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

/// Whether hosts watch over this cut, or keep its packet, for another tenant.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_watched_for_other(
    conn: &mut SqliteConnection,
    cut: CutId,
    tenant: TenantId,
) -> Result<bool> {
    let row = query(sql::WATCHED_FOR_OTHER)
        .bind(cut.to_string())
        .bind(tenant.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("look for a cut's watches"))?;
    Ok(row.is_some())
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

/// Hosts that keep no standing packet for some of their tenants, and for how many: they could not,
/// or have not answered one that is older than `late`; so many at most.
///
/// # Errors
/// [`super::StoreError`].
pub async fn without_standing(
    conn: &mut SqliteConnection,
    late: Timestamp,
    most: u32,
) -> Result<Vec<(HostId, u64)>> {
    let operation = "list hosts without standing packets";
    let rows = query(sql::WITHOUT_STANDING)
        .bind(late.unix_ms())
        .bind(i64::from(most))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    let of = |row: &SqliteRow| {
        let tenants: i64 = row.try_get("tenants").map_err(failed(operation))?;
        Ok((host_of(row)?, to_u64(tenants)))
    };
    rows.iter().map(of).collect()
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
        DisarmReason::Overtaken => "overtaken",
    }
}

fn read(row: &SqliteRow) -> Result<WatchRow> {
    let text = |name: &str| row.try_get::<String, _>(name).map_err(failed("read a watch"));
    let ordered_at: i64 = row.try_get("ordered_at").map_err(failed("read a watch"))?;
    let states = [WatchState::Open, WatchState::Kept, WatchState::Lost, WatchState::Disarmed];
    let state = text("state")?;
    // What no build has written is over: nothing follows from it.
    let state = states.into_iter().find(|one| one.as_str() == state).unwrap_or(WatchState::Over);
    let why = text("reason")?;
    let reasons = [DisarmReason::Void, DisarmReason::Overtaken];
    let why = reasons.into_iter().find(|one| reason(*one) == why).unwrap_or(DisarmReason::Told);
    let cut = parse(TABLE, &text("cut")?)?;
    let standing: i64 = row.try_get("standing").map_err(failed("read a watch"))?;
    let counts: Option<String> = row.try_get("counts").map_err(failed("read a watch"))?;
    let counts = counts.map(|counts| parse(TABLE, &counts)).transpose()?;
    Ok(WatchRow {
        cut,
        host: host_of(row)?,
        tenant: parse(TABLE, &text("tenant")?)?,
        ordered_at: Timestamp::from_unix_ms(ordered_at),
        state,
        reason: why,
        standing: match standing {
            0 => Standing::No,
            1 => Standing::Waits,
            _ => Standing::Used,
        },
        counts: counts.unwrap_or(cut),
        made_of: text("made_of")?.parse().ok(),
    })
}
