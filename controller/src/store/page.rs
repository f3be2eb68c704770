//! Lists in pages: each goes on after the key of the last item shown, so that what is added
//! meanwhile neither repeats nor hides anything.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::time::Timestamp;

use super::{
    Result, failed,
    sql::{Statement, query},
    to_u64,
};
use crate::core::tenant::Phase;

/// Most items of a page.
pub const MAX_PAGE: u32 = 500;

/// Which part of a list: what comes after a key, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    /// The key of the item before; nothing for the list's beginning.
    pub after: Option<K>,
    /// Most items, 1 to [`MAX_PAGE`].
    pub limit: u32,
}

impl<K> Default for Page<K> {
    /// The beginning, as much as one page takes.
    fn default() -> Self {
        Self { after: None, limit: MAX_PAGE }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<K, T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The last one's key, if more come after it.
    pub next: Option<K>,
}

/// Which tenants; all of what is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// In this phase.
    pub phase: Option<Phase>,
    /// Of this customer.
    pub customer: Option<String>,
    /// With this isolation, by its stable text.
    pub isolation: Option<&'static str>,
    /// With something owed whose deadline is before this legal instant.
    pub due_before: Option<Timestamp>,
    /// Also those that were not submitted.
    pub drafts: bool,
}

impl<K> Page<K> {
    /// Rows to ask for: one more than is shown tells whether more come.
    pub(super) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, MAX_PAGE)) + 1
    }

    /// The rows that were asked for as a slice.
    pub(super) fn slice<T>(
        &self,
        rows: &[SqliteRow],
        read: impl Fn(&SqliteRow) -> Result<(K, T)>,
    ) -> Result<Slice<K, T>> {
        let limit = self.limit.clamp(1, MAX_PAGE) as usize;
        let mut items = Vec::with_capacity(rows.len().min(limit));
        let mut last = None;
        for row in rows.iter().take(limit) {
            let (key, item) = read(row)?;
            last = Some(key);
            items.push(item);
        }
        Ok(Slice { items, next: last.filter(|_| rows.len() > limit) })
    }
}

impl Page<u64> {
    /// The number after which to read; numbers begin with 1.
    pub(super) fn after_number(&self) -> i64 {
        super::to_i64(self.after.unwrap_or(0))
    }
}

/// A page of what somebody has, by the numbers of its rows (`seq`): the statement takes whose, the
/// number after which to read, and how many rows.
pub(super) async fn numbered<T>(
    conn: &mut SqliteConnection,
    statement: Statement,
    whose: String,
    page: &Page<u64>,
    operation: &'static str,
    read: impl Fn(&SqliteRow) -> Result<T>,
) -> Result<Slice<u64, T>> {
    let rows = query(statement)
        .bind(whose)
        .bind(page.after_number())
        .bind(page.rows())
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    page.slice(&rows, |row| {
        let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
        Ok((to_u64(seq), read(row)?))
    })
}
