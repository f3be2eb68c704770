//! From the journal into the ledger, row by row and in order, so that row `seq` is entry `seq - 1`.

use super::{Engine, EngineError};
use crate::{ledger::MAX_BATCH, store};

impl Engine {
    /// Brings into the ledger what the journal has and it has not.
    ///
    /// # Errors
    /// [`EngineError::Ledger`], [`EngineError::Store`]; the rows wait for the next call.
    pub(super) async fn drain(&self) -> Result<(), EngineError> {
        let _one_at_a_time = self.inner.draining.lock().await;
        loop {
            let pending = store::pending(&mut *self.inner.store.read().await?, MAX_BATCH).await?;
            let Some(first) = pending.first().map(|row| row.seq) else { return Ok(()) };
            let engine = self.clone();
            let rows = pending.clone();
            let appended = tokio::task::spawn_blocking(move || engine.append(first, rows)).await;
            appended.map_err(|error| EngineError::Invalid(error.to_string()))??;
            let mut tx = self.inner.store.write().await?;
            for row in &pending {
                store::set_ledger_index(&mut tx, row.seq, row.seq - 1).await?;
            }
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

    /// Drains after a commit that stands whatever the ledger does.
    pub(super) async fn drain_or_log(&self) {
        if let Err(error) = self.drain().await {
            tracing::error!(%error, "the ledger is behind the journal");
        }
    }
}
