//! From the journal into the ledger, row by row and in order, so that row `seq` is entry `seq - 1`.
//!
//! What is committed is durable in the journal; the ledger follows, and a start brings it up to the
//! journal before anything else. So whoever commits does not wait for the ledger's files: it wakes
//! [`Engine::follow_journal`], which takes all rows that came meanwhile together. What may happen
//! only once a row is in the ledger (a wipe, an exit bundle) calls [`Engine::drain`] itself, and
//! whoever asks for the ledger's checkpoint gets one that covers all that was committed before.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::{Engine, EngineError};
use crate::{ledger::MAX_BATCH, store};

/// Least time between two appends that nobody waits for: each costs several syncs of the disk that
/// the next transition is waiting for, too.
const PACE: Duration = Duration::from_millis(100);

/// Between two looks at what was committed and is not written back into the database's file.
const WRITE_BACK: Duration = Duration::from_millis(250);

impl Engine {
    /// Writes what was committed back into the database's file, so that no commit has to do it,
    /// until it is told to stop.
    pub async fn write_back(self, mut stopping: watch::Receiver<bool>) {
        while timeout(WRITE_BACK, stopping.wait_for(|stop| *stop)).await.is_err() {
            if let Err(error) = self.inner.store.write_back().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "commits have to write back by themselves");
            }
        }
    }

    /// Brings the journal into the ledger as it grows, until it is told to stop.
    pub async fn follow_journal(self, mut stopping: watch::Receiver<bool>) {
        let mut wake = self.inner.ledger_wake.subscribe();
        loop {
            self.catch_up().await;
            // Either the time is over, or it is time to stop.
            let stop = timeout(PACE, stopping.wait_for(|stop| *stop)).await.is_ok();
            if stop {
                return self.catch_up().await;
            }
            tokio::select! {
                _ = wake.changed() => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Brings into the ledger what the journal has and it has not.
    ///
    /// # Errors
    /// [`EngineError::Ledger`], [`EngineError::Store`]; the rows wait for the next call.
    pub(super) async fn drain(&self) -> Result<(), EngineError> {
        let _one_at_a_time = self.inner.draining.lock().await;
        loop {
            let pending = store::pending(&mut *self.inner.store.read().await?, MAX_BATCH).await?;
            let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
                return Ok(());
            };
            let (first, last) = (first.seq, last.seq);
            let engine = self.clone();
            let appended = tokio::task::spawn_blocking(move || engine.append(first, pending)).await;
            appended.map_err(|error| EngineError::Invalid(error.to_string()))??;
            let mut tx = self.inner.store.write().await?;
            store::set_ledger_indices(&mut tx, first..=last).await?;
            store::commit(tx).await?;
        }
    }

    /// Appends rows; those that the ledger has already, from before a crash, are compared instead.
    fn append(&self, first: u64, rows: Vec<store::Pending>) -> Result<(), EngineError> {
        let mut ledger = self.ledger();
        let size = ledger.size();
        if size + 1 < first {
            return Err(EngineError::Invalid(format!(
                "the ledger ends before entry {first} of the journal: it is not this journal's"
            )));
        }
        let mut fresh = Vec::new();
        for row in rows {
            if row.seq > size {
                fresh.push(row.entry);
            } else if ledger.entry(row.seq - 1)? != row.entry {
                let sentence = format!("entry {} of the ledger is not the journal's", row.seq - 1);
                return Err(EngineError::Invalid(sentence));
            }
        }
        if !fresh.is_empty() {
            ledger.append(&fresh)?;
        }
        Ok(())
    }

    /// After a commit, which stands whatever the ledger does. Where nobody follows the journal, the
    /// ledger is brought up to it before this returns.
    pub(super) async fn drain_or_log(&self) {
        if self.inner.ledger_wake.receiver_count() == 0 {
            self.catch_up().await;
        } else {
            self.inner.ledger_wake.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Brings the ledger up to the journal; if that fails, it stays behind for now.
    pub(super) async fn catch_up(&self) {
        if let Err(error) = self.drain().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the ledger is behind the journal");
        }
    }
}
