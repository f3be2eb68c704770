//! What durability alone costs here: bare SQLite with the controller's settings on the same file
//! system, which commits as many bytes as a transition does, and nothing else.

use std::{path::Path, time::Instant};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::serve::Load;

/// Rows that are changed in turn.
const ROWS: usize = 1_000;

/// The bare database.
#[derive(Debug)]
pub struct Floor {
    connection: SqliteConnection,
    state: String,
    row: String,
    turn: i64,
}

impl Floor {
    /// Makes it in `dir`: rows of `state` bytes to be changed, and rows of `row` bytes to be added
    /// with each change.
    ///
    /// # Errors
    /// If it cannot be made.
    pub async fn make(dir: &Path, state: usize, row: usize) -> anyhow::Result<Self> {
        let mut connection = SqliteConnectOptions::new()
            .filename(dir.join("floor.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .connect()
            .await?;
        connection
            .execute(
                "CREATE TABLE states (id INTEGER PRIMARY KEY, state TEXT NOT NULL); \
                 CREATE TABLE rows (id INTEGER PRIMARY KEY, row TEXT NOT NULL)",
            )
            .await?;
        let (state, row) = ("s".repeat(state), "r".repeat(row));
        let mut tx = connection.begin().await?;
        for _ in 0..ROWS {
            sqlx::query("INSERT INTO states (state) VALUES ($1)")
                .bind(&state)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Self { connection, state, row, turn: 0 })
    }

    /// So many commits, one after the other.
    ///
    /// # Errors
    /// If one fails.
    pub async fn commits(&mut self, count: usize) -> anyhow::Result<Load> {
        let (start, mut each_ms) = (Instant::now(), Vec::with_capacity(count));
        for _ in 0..count {
            let asked = Instant::now();
            self.turn = self.turn % i64::try_from(ROWS)? + 1;
            let mut tx = self.connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("UPDATE states SET state = $1 WHERE id = $2")
                .bind(&self.state)
                .bind(self.turn)
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO rows (row) VALUES ($1)")
                .bind(&self.row)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            each_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(Load { each_ms, seconds: start.elapsed().as_secs_f64() })
    }
}
