//! What message centres say of short messages, at any time after they were handed over: a receipt
//! finds its notice by the message's id, and is recorded as a try is.

use tenure_protocol::{channel::Grade, id::NoticeId, ladder::GIVE_UP_S, time::Timestamp};

use super::{Engine, EngineError};
use crate::{
    core::notice::{Outcome, Try},
    store::{self, Received},
};

/// After a notice is given up its receipts are known for another day, ms.
const KNOWN_MS: i64 = (GIVE_UP_S + 24 * 3600) * 1000;

impl Engine {
    /// Keeps as what messages a notice was handed over.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn short_messages_sent(
        &self,
        notice: NoticeId,
        messages: &[String],
    ) -> Result<(), EngineError> {
        let now = self.inner.clock.now();
        let since = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(KNOWN_MS));
        let mut tx = self.inner.store.write().await?;
        store::keep_short_messages(&mut tx, notice, messages, now, since).await?;
        Ok(store::commit(tx).await?)
    }

    /// Records the last word on a message, and what it means for its notice. Says whether the
    /// message is known.
    ///
    /// # Errors
    /// [`EngineError::Store`]; the receipt is not kept then.
    pub async fn short_message_received(
        &self,
        message: &str,
        delivered: bool,
        evidence: String,
    ) -> Result<bool, EngineError> {
        let mut tx = self.inner.store.write().await?;
        let means = store::receive_short_message(&mut tx, message, delivered).await?;
        store::commit(tx).await?;
        let (notice, outcome) = match means {
            Received::Unknown => return Ok(false),
            Received::Nothing => return Ok(true),
            Received::Delivered(notice) => (notice, Outcome::Accepted { grade: Grade::E2 }),
            Received::Lost(notice) => (notice, Outcome::Failed),
        };
        tracing::info!(%notice, ?outcome, evidence, "a receipt for a short message");
        let attempt = Try { at: self.inner.clock.now(), outcome, evidence, by: None };
        // It speaks of a try of whoever held the notice then, and moves the ladder as that did.
        let row = store::notice(&mut *self.inner.store.read().await?, notice).await?;
        self.tried(notice, row.map(|row| row.fence), attempt).await?;
        Ok(true)
    }
}
