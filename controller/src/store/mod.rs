//! What the controller keeps: one SQL database. Every transition is one transaction, and what was
//! committed survives the loss of power (`synchronous = FULL`).
//!
//! It is SQLite. Schema and statements ([`sql`]) keep to what PostgreSQL takes too (BYTEA is a type
//! there, and any name is one here), which a test lets PostgreSQL say; only `BEGIN IMMEDIATE` and
//! the pragmas at the start are SQLite's own.
//! Rows hold their record as JSON, and beside it the columns that are searched by.
//!
//! All writing goes over one connection, for which writers queue in their order. SQLite lets one
//! write at a time anyway, but by connections that try again after a nap of up to 100 ms. The queue
//! has a line in front of it, which lets one writer in at a time: a cut does not stand in that
//! line ([`Store::write_at_once`]), however many do.
//!
//! A commit is an append to SQLite's log of writes and one fsync. The pages are written back into
//! the database's file, to places all over it, by a connection of its own ([`Store::write_back`]),
//! lest every fiftieth commit wait for that.

mod accounts;
mod acquainted;
mod alarms;
mod attachments;
mod calendar;
mod duty;
#[cfg(test)]
mod file_tests;
mod hosts;
mod identities;
mod journal;
mod keys;
#[cfg(test)]
mod line_tests;
mod notices;
mod orders;
pub mod page;
mod platform;
mod records;
pub mod row;
mod short_messages;
pub mod sql;
#[cfg(test)]
mod sql_tests;
mod tenants;
mod tokens;
mod watches;

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{sync::Mutex, time::timeout};

use self::sql::query;
pub use self::{
    accounts::*, acquainted::*, alarms::*, attachments::*, calendar::*, duty::*, hosts::*,
    identities::*, journal::*, keys::*, notices::*, orders::*, page::*, platform::*, records::*,
    short_messages::*, tenants::*, tokens::*, watches::*,
};

/// Connections to read with at most.
const READERS: u32 = 8;
/// Pages that the log of writes may have before a writer itself writes them back, in the middle of
/// its commit: 64 MiB. [`Store::write_back`] does that beside the commits, long before.
const WAL_PAGES: u32 = 16_384;
/// How long a transaction waits for its turn, and a statement for another process's lock.
const BUSY: Duration = Duration::from_secs(10);

/// The schema, in the order in which it grew; an entry never changes after its release.
pub const MIGRATIONS: [(i64, &str); 22] = [
    (1, include_str!("../../migrations/0001_first.sql")),
    (2, include_str!("../../migrations/0002_salt.sql")),
    (3, include_str!("../../migrations/0003_platform.sql")),
    (4, include_str!("../../migrations/0004_search_and_keys.sql")),
    (5, include_str!("../../migrations/0005_calendar.sql")),
    (6, include_str!("../../migrations/0006_attachments.sql")),
    (7, include_str!("../../migrations/0007_records.sql")),
    (8, include_str!("../../migrations/0008_drafts.sql")),
    (9, include_str!("../../migrations/0009_large.sql")),
    (10, include_str!("../../migrations/0010_access.sql")),
    (11, include_str!("../../migrations/0011_confirmed.sql")),
    (12, include_str!("../../migrations/0012_quotas.sql")),
    (13, include_str!("../../migrations/0013_identities.sql")),
    (14, include_str!("../../migrations/0014_alarms.sql")),
    (15, include_str!("../../migrations/0015_watches.sql")),
    (16, include_str!("../../migrations/0016_short_messages.sql")),
    (17, include_str!("../../migrations/0017_duty.sql")),
    (18, include_str!("../../migrations/0018_occupied.sql")),
    (19, include_str!("../../migrations/0019_joint.sql")),
    (20, include_str!("../../migrations/0020_standing.sql")),
    (21, include_str!("../../migrations/0021_urgent.sql")),
    (22, include_str!("../../migrations/0022_standing_packets.sql")),
];

/// The last migration that gave tenants a column of what their state says.
const SEARCHED_SINCE: i64 = 18;

/// The migration that gave rows of the journal the customer that they are streamed to.
const STREAMED_SINCE: i64 = 9;

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    /// Writes back what was committed.
    keeper: SqlitePool,
    /// Whoever holds it is the next to write.
    line: Arc<Mutex<()>>,
    file: Arc<OpenFile>,
}

/// The file that was opened. SQLite goes on writing into one that was removed, and all of it would
/// be lost with the process.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    known: (u64, u64),
}

impl OpenFile {
    fn new(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), known: (found.dev(), found.ino()) })
    }

    /// Fails if it lies there no more.
    fn check(&self) -> Result<()> {
        let found = std::fs::metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.known) {
            return Ok(());
        }
        Err(StoreError::Removed { path: self.path.display().to_string() })
    }
}

/// Why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be opened.
    #[error("the database {path} cannot be opened")]
    Open {
        /// Its file.
        path: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Its file is not there any more, or is another one.
    #[error(
        "the database {path} was removed or replaced while it was open, and nothing more is \
         written: stop the controller, put the file back (or restore it from the backup), start it"
    )]
    Removed {
        /// Its file.
        path: String,
    },
    /// Its schema is of a newer build.
    #[error("the database has schema {found}; this build knows up to {known}: install a newer one")]
    Newer {
        /// The schema's number.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// A statement failed.
    #[error("the database failed while it tried to {operation}")]
    Statement {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not read back.
    #[error("a row of {table} cannot be read: {reason}")]
    Row {
        /// Its table.
        table: &'static str,
        /// Why.
        reason: String,
    },
}

/// A transaction.
pub type Tx = Transaction<'static, Sqlite>;

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the database, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Newer`], or a failed migration.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let failed = |source| StoreError::Open { path: path.display().to_string(), source };
        let pool = |connections| {
            SqlitePoolOptions::new().max_connections(connections).acquire_timeout(BUSY)
        };
        // The writer first: it makes the file.
        let writing = options.clone().pragma("wal_autocheckpoint", WAL_PAGES.to_string());
        let writer = pool(1).connect_with(writing).await.map_err(failed)?;
        // A connection that is made later makes no second, empty one if the file is gone by then.
        let options = options.create_if_missing(false);
        let keeper = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        let readers = pool(READERS).connect_with(options).await.map_err(failed)?;
        let file = OpenFile::new(path).map_err(|error| failed(sqlx::Error::Io(error)))?;
        let store = Self { readers, writer, keeper, line: Arc::default(), file: Arc::new(file) };
        store.migrate().await?;
        Ok(store)
    }

    /// A connection to read with.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        self.readers.acquire().await.map_err(failed("get a connection"))
    }

    /// A transaction to write in; it takes the lock at once, so that what it reads stays true.
    ///
    /// # Errors
    /// [`StoreError::Statement`], [`StoreError::Removed`].
    pub async fn write(&self) -> Result<Tx> {
        let _next = timeout(BUSY, self.line.lock())
            .await
            .map_err(|_| failed("begin")(sqlx::Error::PoolTimedOut))?;
        self.write_at_once().await
    }

    /// As [`Store::write`], before all who stand in line: it waits for the transaction under way,
    /// and for one more at most. For what must not wait, and is rare.
    ///
    /// # Errors
    /// [`StoreError::Statement`], [`StoreError::Removed`].
    pub async fn write_at_once(&self) -> Result<Tx> {
        self.file.check()?;
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))
    }

    /// Writes what was committed from the log of writes back into the database's file, as far as
    /// no reader needs it where it is. Commits go on meanwhile. Says how many pages the log has
    /// that are not written back yet.
    ///
    /// # Errors
    /// [`StoreError::Statement`]; the log keeps what was committed.
    #[allow(clippy::disallowed_methods, reason = "a pragma, which only SQLite has")]
    pub async fn write_back(&self) -> Result<u64> {
        let operation = "write back what was committed";
        let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_one(&self.keeper)
            .await
            .map_err(failed(operation))?;
        let pages = |column| row.try_get::<i64, _>(column).map_err(failed(operation));
        Ok(to_u64(pages("log")?.saturating_sub(pages("checkpointed")?)))
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.keeper.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }

    #[allow(clippy::disallowed_methods, reason = "the schema, all of which is `MIGRATIONS`")]
    async fn migrate(&self) -> Result<()> {
        let operation = "bring the schema up to date";
        let mut tx = self.write().await?;
        query(sql::CREATE_SCHEMA_VERSION).execute(&mut *tx).await.map_err(failed(operation))?;
        let found: i64 = query(sql::SCHEMA_VERSION)
            .fetch_one(&mut *tx)
            .await
            .and_then(|row| row.try_get("version"))
            .map_err(failed(operation))?;
        let known = MIGRATIONS.iter().map(|(version, _)| *version).max().unwrap_or(0);
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        for (version, statements) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
            sqlx::raw_sql(*statements).execute(&mut *tx).await.map_err(failed(operation))?;
            query(sql::ADD_SCHEMA_VERSION)
                .bind(version)
                .execute(&mut *tx)
                .await
                .map_err(failed(operation))?;
        }
        if found < SEARCHED_SINCE {
            tenants::refill(&mut tx).await?;
        }
        if found < STREAMED_SINCE {
            query(sql::FILL_CUSTOMERS).execute(&mut *tx).await.map_err(failed(operation))?;
        }
        commit(tx).await
    }
}

/// Makes a transaction durable.
///
/// # Errors
/// [`StoreError::Statement`]; nothing of it holds then.
pub async fn commit(tx: Tx) -> Result<()> {
    tx.commit().await.map_err(failed("commit"))
}

/// A named value of the whole controller.
///
/// # Errors
/// [`StoreError::Statement`].
pub async fn meta(conn: &mut SqliteConnection, name: &str) -> Result<Option<String>> {
    query(sql::META)
        .bind(name)
        .fetch_optional(conn)
        .await
        .and_then(|row| row.map(|row| row.try_get("value")).transpose())
        .map_err(failed("read a setting"))
}

/// Sets a named value of the whole controller.
///
/// # Errors
/// [`StoreError::Statement`].
pub async fn set_meta(conn: &mut SqliteConnection, name: &str, value: &str) -> Result<()> {
    query(sql::SET_META)
        .bind(name)
        .bind(value)
        .execute(conn)
        .await
        .map_err(failed("keep a setting"))?;
    Ok(())
}

/// Whether the database answers.
///
/// # Errors
/// [`StoreError::Statement`].
pub async fn ping(conn: &mut SqliteConnection) -> Result<()> {
    conn.ping().await.map_err(failed("answer"))
}

fn failed(operation: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Statement { operation, source }
}

/// What is said of a row that does not read or write as JSON.
pub(crate) const fn unreadable(table: &'static str, reason: String) -> StoreError {
    StoreError::Row { table, reason }
}

fn to_json<T: Serialize>(table: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Row { table, reason: error.to_string() })
}

fn from_json<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Row { table, reason: error.to_string() })
}

fn parse<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| StoreError::Row { table, reason: error.to_string() })
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
