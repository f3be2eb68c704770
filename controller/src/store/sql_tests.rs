//! What the statements cost, by SQLite's own plan.

use sqlx::Row as _;

use super::{Store, sql::ALL};

/// What is read whole on purpose: hosts and notices of the calendar are few, the journal's end is
/// one step on its index, whoever places a tenant or looks for those on a host reads what all
/// occupy, by an index of those alone, and an upgrade fills every row once.
const WHOLE: [(&str, &str); 9] = [
    ("HOSTS", "hosts"),
    ("LAST_ROW", "journal"),
    ("LAST_ROW", "platform_acts"),
    ("ACTS", "platform_acts"),
    ("CALENDAR_NOTICES", "calendar_notices"),
    ("CALENDAR_ENACTED", "calendar_notices"),
    ("OCCUPIED", "tenants"),
    ("OCCUPANTS", "tenants"),
    ("FILL_CUSTOMERS", "journal"),
];

#[allow(clippy::disallowed_methods, reason = "the plan of a statement of the table, not a query")]
#[tokio::test]
async fn nothing_is_looked_for_among_all_rows_of_a_table_that_grows() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("controller.db")).await.expect("a database");
    let mut conn = store.read().await.expect("a connection");
    let mut read_whole = Vec::new();
    for statement in ALL {
        let text = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.text));
        let plan = sqlx::query(text).fetch_all(&mut *conn).await.expect(statement.name);
        for step in plan {
            let step: String = step.try_get("detail").expect("SQLite's column");
            let mut words = step.split(' ');
            let (how, table) = (words.next(), words.next().unwrap_or_default());
            let over_index = how == Some("SEARCH") && step.contains(" USING ");
            let reads = matches!(how, Some("SCAN" | "SEARCH")) && !over_index;
            if reads && !WHOLE.contains(&(statement.name, table)) && table != "CONSTANT" {
                read_whole.push((statement.name, step));
            }
        }
    }
    assert_eq!(read_whole, []);
}
