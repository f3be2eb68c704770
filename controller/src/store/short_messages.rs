//! Short messages that were handed over, and what their receipts say.

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{id::NoticeId, time::Timestamp};

use super::{
    Result, failed, parse,
    sql::{self, query},
};

const TABLE: &str = "short_messages";
/// States of a row.
const DELIVERED: i64 = 1;
const OVER: i64 = 2;

/// What a receipt means for the text that its message is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// No such message is known.
    Unknown,
    /// Other parts are awaited, or one was lost before.
    Nothing,
    /// The whole text of this notice is on the telephone.
    Delivered(NoticeId),
    /// A part of it is not, and will not be.
    Lost(NoticeId),
}

/// Keeps the parts of a text that was handed over, and forgets what is older than `since`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep_short_messages(
    conn: &mut SqliteConnection,
    notice: NoticeId,
    messages: &[String],
    now: Timestamp,
    since: Timestamp,
) -> Result<()> {
    let operation = "keep short messages";
    query(sql::FORGET_SHORT_MESSAGES)
        .bind(since.unix_ms())
        .execute(&mut *conn)
        .await
        .map_err(failed(operation))?;
    for message in messages {
        query(sql::KEEP_SHORT_MESSAGE)
            .bind(message)
            .bind(notice.to_string())
            .bind(now.unix_ms())
            .execute(&mut *conn)
            .await
            .map_err(failed(operation))?;
    }
    Ok(())
}

/// Keeps what a receipt says. The same one again says the same again: whoever took it in may have
/// ended before it did anything.
///
/// # Errors
/// [`super::StoreError`].
pub async fn receive_short_message(
    conn: &mut SqliteConnection,
    message: &str,
    delivered: bool,
) -> Result<Received> {
    let operation = "keep a receipt";
    let found = query(sql::SHORT_MESSAGE).bind(message).fetch_optional(&mut *conn).await;
    let Some(row) = found.map_err(failed(operation))? else { return Ok(Received::Unknown) };
    let notice: String = row.try_get("notice").map_err(failed(operation))?;
    let sent_at: i64 = row.try_get("sent_at").map_err(failed(operation))?;
    let state: i64 = row.try_get("state").map_err(failed(operation))?;
    let id = parse(TABLE, &notice)?;
    if state == OVER {
        return Ok(Received::Nothing);
    }
    if !delivered {
        query(sql::LOSE_SHORT_MESSAGES)
            .bind(&notice)
            .bind(sent_at)
            .execute(&mut *conn)
            .await
            .map_err(failed(operation))?;
        return Ok(Received::Lost(id));
    }
    query(sql::RECEIVE_SHORT_MESSAGE)
        .bind(DELIVERED)
        .bind(message)
        .execute(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let open = query(sql::SHORT_MESSAGES_OPEN).bind(&notice).bind(sent_at).fetch_one(conn).await;
    let open: i64 = open.and_then(|row| row.try_get("open")).map_err(failed(operation))?;
    Ok(if open == 0 { Received::Delivered(id) } else { Received::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, commit};

    #[tokio::test]
    async fn a_text_is_delivered_with_its_last_part_and_lost_with_its_first_lost_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("controller.db")).await.expect("a database");
        let notice = |number| NoticeId::from_uuid(uuid::Uuid::from_u128(number));
        let at = Timestamp::from_unix_ms;
        let mut tx = store.write().await.expect("a transaction");
        let parts =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (number, names, now) in
            [(1, parts(&["a", "b"]), 10), (2, parts(&["c", "d"]), 10), (2, parts(&["e"]), 20)]
        {
            keep_short_messages(&mut tx, notice(number), &names, at(now), at(0))
                .await
                .expect("kept");
        }
        commit(tx).await.expect("committed");
        let mut tx = store.write().await.expect("a transaction");
        for (message, delivered, means) in [
            ("x", true, Received::Unknown),
            ("b", true, Received::Nothing),
            ("a", true, Received::Delivered(notice(1))),
            ("a", true, Received::Delivered(notice(1))),
            ("c", false, Received::Lost(notice(2))),
            ("d", true, Received::Nothing),
            ("d", false, Received::Nothing),
            ("e", true, Received::Delivered(notice(2))),
        ] {
            let found = receive_short_message(&mut tx, message, delivered).await.expect("kept");
            assert_eq!(found, means, "{message}");
        }
        keep_short_messages(&mut tx, notice(3), &parts(&["f"]), at(40), at(15))
            .await
            .expect("kept");
        let old = receive_short_message(&mut tx, "b", true).await.expect("read");
        assert_eq!(old, Received::Unknown, "forgotten");
    }
}
