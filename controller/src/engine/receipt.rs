//! What message centres and gateways say of short messages, at any time after they were handed
//! over: a receipt finds its notice by the message's id, or by the token of the URL that the
//! message took along, and is recorded as a try is.

use tenure_protocol::{
    channel::{Channel, Grade},
    id::NoticeId,
    ladder::GIVE_UP_S,
    time::Timestamp,
};

use super::{Engine, EngineError};
use crate::{
    core::notice::{Notice, NoticeState, Outcome, Try},
    store::{self, NoticeRow, Received},
};

/// After a notice is given up its receipts are known for another day, ms.
const KNOWN_MS: i64 = (GIVE_UP_S + 24 * 3600) * 1000;

/// Longest words of a gateway that are kept, characters.
const WORDS_LIMIT: usize = 500;
/// What begins a gateway's words among those of the tries.
const RECEIPT: &str = "receipt: ";
/// So many receipts of a gateway are kept with one notice at most.
const RECEIPTS: usize = 32;

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
        let row = store::notice(&mut *self.inner.store.read().await?, notice).await?;
        let fence = row.map(|row| row.fence);
        self.receipt(notice, fence, outcome, evidence).await?;
        Ok(true)
    }

    /// What the URL of the receipts of a notice's short messages ends with.
    #[must_use]
    pub fn receipt_token(&self, notice: NoticeId) -> String {
        self.inner.secrets.receipt_token(notice)
    }

    /// The notice that a token of receipts is of; nothing if it is none.
    #[must_use]
    pub fn receipt_of(&self, token: &str) -> Option<NoticeId> {
        self.inner.secrets.receipt_of(token)
    }

    /// Records a gateway's last word on a notice, once however often it is said.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Conflict`]; the receipt is not kept then.
    pub async fn gateway_received(
        &self,
        notice: NoticeId,
        delivered: bool,
        words: &str,
    ) -> Result<(), EngineError> {
        let evidence: String = format!("{RECEIPT}{words}").chars().take(WORDS_LIMIT).collect();
        let outcome =
            if delivered { Outcome::Accepted { grade: Grade::E2 } } else { Outcome::Failed };
        let row = store::notice(&mut *self.inner.store.read().await?, notice).await?;
        let Some(NoticeRow { notice: known, fence, .. }) = row else { return Ok(()) };
        if !awaits(&known, outcome, &evidence) {
            return Ok(());
        }
        self.receipt(notice, Some(fence), outcome, evidence).await
    }

    /// It speaks of a try of whoever held the notice then, and moves the ladder as that did.
    async fn receipt(
        &self,
        notice: NoticeId,
        fence: Option<u64>,
        outcome: Outcome,
        evidence: String,
    ) -> Result<(), EngineError> {
        tracing::info!(%notice, ?outcome, evidence, "a receipt for a short message");
        let attempt = Try { at: self.inner.clock.now(), outcome, evidence, by: None };
        self.tried(notice, fence, attempt).await
    }
}

/// Whether a gateway's receipt says of a notice what is not known: the same words count again after
/// the message was handed over again, since they may be of that.
fn awaits(notice: &Notice, outcome: Outcome, evidence: &str) -> bool {
    let delivers = matches!(outcome, Outcome::Accepted { .. });
    if !matches!(notice.channel, Channel::Sms { .. })
        || delivers && matches!(notice.state, NoticeState::Delivered { .. })
    {
        return false;
    }
    let is_receipt = |attempt: &&Try| attempt.evidence.starts_with(RECEIPT);
    let handed_over = |attempt: &Try| {
        matches!(attempt.outcome, Outcome::Accepted { .. }) && !is_receipt(&attempt)
    };
    let since = notice.tries.iter().rev().take_while(|attempt| !handed_over(attempt));
    let known = since.filter(is_receipt).any(|attempt| attempt.evidence == evidence);
    let full = notice.tries.iter().filter(is_receipt).count() >= RECEIPTS;
    !known && (delivers || !full)
}
