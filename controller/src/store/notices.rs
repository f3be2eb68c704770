//! Notices: the outbox to the customers.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    id::{NoticeId, TenantId},
    ladder::{OTHER_AT_ONCE, URGENT_AT_ONCE},
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

/// Notices of cuts, and others, that are handed out at once: for each there is a place.
const BATCHES: [(i64, u16); 2] = [(1, URGENT_AT_ONCE), (0, OTHER_AT_ONCE)];

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
        .bind(i64::from(notice.kind.is_urgent()))
        .execute(&mut *conn)
        .await
        .map_err(failed("add a notice"))?;
    add_parts(conn, notice).await
}

/// Keeps of which tenants a joint notice is.
async fn add_parts(conn: &mut SqliteConnection, notice: &Notice) -> Result<()> {
    for part in notice.parts() {
        query(sql::ADD_JOINT_PART)
            .bind(part.tenant.to_string())
            .bind(notice.id.to_string())
            .execute(&mut *conn)
            .await
            .map_err(failed("add a part of a notice"))?;
    }
    Ok(())
}

/// Keeps a correction that follows a notice, and that it is the last one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_correction(
    conn: &mut SqliteConnection,
    of: NoticeId,
    correction: &Notice,
) -> Result<()> {
    add_notice(&mut *conn, correction).await?;
    query(sql::SET_CORRECTION)
        .bind(of.to_string())
        .bind(correction.id.to_string())
        .execute(conn)
        .await
        .map_err(failed("keep a correction"))?;
    Ok(())
}

/// The last correction that follows a notice.
///
/// # Errors
/// [`super::StoreError`].
pub async fn correction_of(conn: &mut SqliteConnection, of: NoticeId) -> Result<Option<NoticeRow>> {
    let row = query(sql::CORRECTION)
        .bind(of.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a correction"))?;
    row.as_ref().map(read).transpose()
}

/// Keeps a joint notice that says something of one more tenant, as [`save_notice`] does.
///
/// # Errors
/// [`super::StoreError`].
pub async fn save_joint(conn: &mut SqliteConnection, row: &NoticeRow) -> Result<bool> {
    add_parts(&mut *conn, &row.notice).await?;
    save_notice(conn, row).await
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

/// Leases the notices that are due to the caller, each with the fence of this lease: those of cuts
/// first, however many others wait.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lease_notices(
    conn: &mut SqliteConnection,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<NoticeRow>> {
    let operation = "lease notices";
    let mut rows = Vec::new();
    for (urgent, most) in BATCHES {
        let due = query(sql::NOTICES_TO_LEASE)
            .bind(urgent)
            .bind(now.unix_ms())
            .bind(i64::from(most))
            .fetch_all(&mut *conn)
            .await
            .map_err(failed(operation))?;
        rows.extend(due);
    }
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

#[cfg(test)]
mod tests {
    use tenure_protocol::channel::Channel;
    use uuid::Uuid;

    use super::*;
    use crate::{
        core::notice::{NoticeKind, NoticeState},
        store::Store,
    };

    fn notice(number: u128, kind: NoticeKind, since: Timestamp) -> Notice {
        Notice {
            id: NoticeId::from_uuid(Uuid::from_u128(number)),
            tenant: None,
            cut: None,
            kind,
            contact: "desk".to_owned(),
            channel: Channel::Mail { address: "desk@a.example".to_owned() },
            designated: true,
            subject: String::new(),
            body: String::new(),
            payload: "{}".to_owned(),
            state: NoticeState::Due { since, next_at: since },
            tries: Vec::new(),
            joint: None,
        }
    }

    #[tokio::test]
    async fn the_notices_of_a_cut_are_leased_before_all_that_waits() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("controller.db")).await.expect("a database");
        let mut tx = store.write().await.expect("a turn");
        let at = Timestamp::from_unix_ms;
        for number in 1..=100 {
            let probe = notice(number, NoticeKind::Probe, at(1_000));
            add_notice(&mut tx, &probe).await.expect("kept");
        }
        add_notice(&mut tx, &notice(101, NoticeKind::Cut, at(2_000))).await.expect("kept");
        let mut kinds = Vec::new();
        for _ in 0..4 {
            let leased = lease_notices(&mut tx, at(2_000), at(22_000)).await.expect("leased");
            kinds.push(leased.iter().map(|row| row.notice.kind).collect::<Vec<_>>());
        }
        assert_eq!(kinds[0][0], NoticeKind::Cut);
        let all: Vec<_> = kinds.iter().map(Vec::len).collect();
        assert_eq!(all, [33, 32, 32, 4], "each once, and the others a few at a time");
    }
}
