//! The drain of the outbox: takes notices that are due, tries each over its channel, records what
//! came of it. The ladder of tries is `core`'s; here is only the hand that rings.
//!
//! Channels are independent: each has places of its own, so that a mail server that hangs holds no
//! webhook up.

use std::{sync::Arc, time::Duration};

use tenure_protocol::time::Timestamp;
use tokio::{
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::{
    Answer,
    mail::{Mail, MailChannel},
    webhook::{WebhookChannel, WebhookMessage},
};
use crate::{
    core::notice::{Channel, Notice, Outcome, Try},
    engine::{Engine, EngineError},
};

/// Longest try, from the first packet to the last reply.
pub const TRY_LIMIT: Duration = Duration::from_secs(8);
/// Tries at once over one channel.
const PLACES: usize = 64;
/// A notice that found no place for so long is left to its lease's end: 20 s, less one try.
const PLACE_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at the outbox, at least: a leased notice counts as due until it is tried.
const LOOK_MIN_MS: i64 = 100;
/// Between two looks at the outbox, at most.
const LOOK_MAX_MS: i64 = 2_000;

/// The drain.
#[derive(Debug)]
pub struct Drain {
    engine: Engine,
    mail: Option<MailChannel>,
    webhook: WebhookChannel,
    mail_places: Arc<Semaphore>,
    webhook_places: Arc<Semaphore>,
}

impl Drain {
    /// A drain; without a mail channel, mail fails and says so.
    #[must_use]
    pub fn new(engine: Engine, mail: Option<MailChannel>, webhook: WebhookChannel) -> Arc<Self> {
        let places = || Arc::new(Semaphore::new(PLACES));
        let (mail_places, webhook_places) = (places(), places());
        Arc::new(Self { engine, mail, webhook, mail_places, webhook_places })
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
        for notice in self.engine.due_notices(now).await? {
            let drain = self.clone();
            tokio::spawn(async move { drain.attempt(notice).await });
        }
        self.engine.next_notice_at().await
    }

    async fn attempt(&self, notice: Notice) {
        let (id, tenant, kind) = (notice.id, notice.tenant, notice.kind.as_str());
        let Some(answer) = self.send(notice).await else {
            tracing::warn!(notice = %id, %tenant, kind, "no free place to try a notice; later");
            return;
        };
        let (outcome, evidence) = match answer {
            Answer::Accepted { grade, evidence } => (Outcome::Accepted { grade }, evidence),
            Answer::Failed { evidence } => (Outcome::Failed, evidence),
        };
        tracing::info!(notice = %id, %tenant, kind, ?outcome, evidence, "tried a notice");
        let attempt = Try { at: self.engine.clock().now(), outcome, evidence };
        // Not recorded: its lease runs out and it is tried again, with the same message id.
        if let Err(error) = self.engine.notice_tried(id, attempt).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(notice = %id, %tenant, error, "cannot record a try");
        }
    }

    /// One try; nothing if there was no place for it in time.
    async fn send(&self, notice: Notice) -> Option<Answer> {
        let places = match &notice.channel {
            Channel::Mail { .. } => &self.mail_places,
            Channel::Webhook { .. } => &self.webhook_places,
        };
        let _place = timeout(PLACE_LIMIT, places.acquire()).await.ok()?.ok()?;
        Some(match notice.channel {
            Channel::Mail { address } => match &self.mail {
                Some(mail) => {
                    let message_id = format!("<{}@tenure>", notice.id);
                    let letter = Mail {
                        to: &address,
                        subject: &notice.subject,
                        text: &notice.body,
                        message_id: &message_id,
                    };
                    mail.send(&letter, TRY_LIMIT).await
                }
                None => Answer::Failed {
                    evidence: "this site has no mail server: set [mail] in its configuration"
                        .to_owned(),
                },
            },
            Channel::Webhook { url, secret } => {
                let message = WebhookMessage {
                    url,
                    secret,
                    id: notice.id.to_string(),
                    at: self.engine.clock().now(),
                    body: notice.payload,
                };
                let channel = self.webhook.clone();
                let sent = tokio::task::spawn_blocking(move || channel.send(&message)).await;
                sent.unwrap_or_else(|error| Answer::Failed { evidence: error.to_string() })
            }
        })
    }
}
