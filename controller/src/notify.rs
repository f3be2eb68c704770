//! The drain of the outbox: takes notices that are due, has each carried over its channel, records
//! what came of it. The ladder of tries is `core`'s; here is only the hand that rings.

use std::{sync::Arc, time::Duration};

use tenure_delivery::{
    Answer, Courier, Parcel,
    sms::{Tidings, Told},
};
use tenure_protocol::time::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use crate::{
    core::notice::{Notice, Outcome, Try},
    engine::{Engine, EngineError, NoticeRow},
};

/// Between two looks at the outbox, at least: a leased notice counts as due until it is tried.
const LOOK_MIN_MS: i64 = 100;
/// Between two looks at the outbox, at most.
const LOOK_MAX_MS: i64 = 2_000;

/// The drain.
#[derive(Debug)]
pub struct Drain {
    engine: Engine,
    courier: Courier,
}

impl Drain {
    /// A drain of this engine's outbox.
    #[must_use]
    pub fn new(engine: Engine, courier: Courier) -> Arc<Self> {
        Arc::new(Self { engine, courier })
    }

    /// Runs until `stop` turns true. Tries that are under way end by themselves.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut wake = self.engine.notices_wake();
        while !*stop.borrow_and_update() {
            // Seen before the outbox is read: what comes in meanwhile wakes again.
            wake.borrow_and_update();
            let now = self.engine.clock().now();
            let next = match self.look(now).await {
                Ok(next) => next,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "cannot read the outbox; trying again");
                    None
                }
            };
            let pause_ms = next
                .map_or(LOOK_MAX_MS, |at| at.ms_since(now))
                .clamp(LOOK_MIN_MS, LOOK_MAX_MS)
                .unsigned_abs();
            tokio::select! {
                _ = stop.changed() => {}
                changed = wake.changed() => if changed.is_err() { return },
                () = sleep(Duration::from_millis(pause_ms)) => {}
            }
        }
    }

    /// Starts a try of all that is due, and says when something is due next.
    async fn look(self: &Arc<Self>, now: Timestamp) -> Result<Option<Timestamp>, EngineError> {
        for NoticeRow { notice, fence, .. } in self.engine.due_notices(now).await? {
            let drain = self.clone();
            tokio::spawn(async move { drain.attempt(notice, fence).await });
        }
        self.engine.next_notice_at().await
    }

    async fn attempt(&self, notice: Notice, fence: u64) {
        let (id, kind) = (notice.id, notice.kind.as_str());
        let tenant = notice.tenant.map(tracing::field::display);
        let answer = match self.engine.opened_channel(notice.channel) {
            Ok(channel) => {
                let parcel = Parcel {
                    id: id.to_string(),
                    channel,
                    subject: notice.subject,
                    body: notice.body,
                    payload: notice.payload,
                    urgent: notice.kind.is_urgent(),
                    at: self.engine.clock().now(),
                    receipt: Some(self.engine.receipt_token(id)),
                };
                self.courier.carry(parcel).await
            }
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                Some(Answer::Failed { evidence: reason.unwrap_or_else(|| error.to_string()) })
            }
        };
        let Some(answer) = answer else {
            tracing::warn!(notice = %id, tenant, kind, "no free place to try a notice; later");
            return;
        };
        let (outcome, evidence) = match answer {
            Answer::Accepted { grade, evidence } => (Outcome::Accepted { grade }, evidence),
            Answer::Failed { evidence } => (Outcome::Failed, evidence),
        };
        tracing::info!(notice = %id, tenant, kind, ?outcome, evidence, "tried a notice");
        let attempt = Try { at: self.engine.clock().now(), outcome, evidence, by: None };
        // Not recorded: its lease runs out and it is tried again, with the same message id.
        if let Err(error) = self.engine.notice_tried(id, fence, attempt).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(notice = %id, tenant, error, "cannot record a try");
        }
    }
}

/// Keeps what message centres say of short messages, in its order, until nobody says anything more.
pub async fn take_in(engine: Engine, mut told: mpsc::Receiver<Told>) {
    while let Some(Told { tidings, kept }) = told.recv().await {
        let done = match tidings {
            Tidings::Sent { notice, messages } => match notice.parse() {
                Ok(notice) => engine.short_messages_sent(notice, &messages).await.map(|()| true),
                Err(_) => Ok(true),
            },
            Tidings::Receipt { message, delivered, evidence } => {
                engine.short_message_received(&message, delivered, evidence).await
            }
        };
        let known = done.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot keep what a message centre said; it will say it again");
            false
        });
        let _ = kept.send(known);
    }
}
