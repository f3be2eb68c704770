//! Carries a rendered notice to a customer's system over one channel, and brings back what that
//! system said. The controller uses it, and so does a host whose controller is silent.
//!
//! [`mail`], [`webhook`], [`sms`] and [`bot`] are the channels, independent of one another: each
//! has places of its own, so that a mail server that hangs holds no webhook up.

pub mod bot;
pub mod mail;
pub mod outgoing;
pub mod sms;
pub mod webhook;

use std::{sync::Arc, time::Duration};

use tenure_protocol::{
    channel::{Channel, Grade},
    time::Timestamp,
};
use tokio::{sync::Semaphore, time::timeout};

use self::{
    bot::{BotChannel, BotMessage},
    mail::{Mail, MailChannel},
    sms::{ShortMessage, SmsChannel},
    webhook::{WebhookChannel, WebhookMessage},
};

/// Longest try, from the first packet to the last reply.
pub const TRY_LIMIT: Duration = Duration::from_secs(8);
/// Tries at once over one channel.
const PLACES: usize = 64;
/// Who found no place for so long gives up: a lease of 20 s, less one try.
const PLACE_LIMIT: Duration = Duration::from_secs(10);

/// What one try gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The other side took it.
    Accepted {
        /// What that proves.
        grade: Grade,
        /// Its words.
        evidence: String,
    },
    /// It did not; the ladder goes on.
    Failed {
        /// Its words, or what went wrong.
        evidence: String,
    },
}

/// One notice, rendered, on its way over one channel.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The same in every try, and whoever makes it, so that duplicates are known as such.
    pub id: String,
    /// Over what, and where to.
    pub channel: Channel,
    /// Subject line.
    pub subject: String,
    /// Text for people.
    pub body: String,
    /// The same as JSON: the exact bytes for webhooks.
    pub payload: String,
    /// When this try is made.
    pub at: Timestamp,
}

/// All channels of a site.
#[derive(Debug, Clone)]
pub struct Courier {
    mail: Option<MailChannel>,
    webhook: WebhookChannel,
    sms: Option<SmsChannel>,
    bots: Option<BotChannel>,
    mail_places: Arc<Semaphore>,
    webhook_places: Arc<Semaphore>,
    sms_places: Arc<Semaphore>,
    bot_places: Arc<Semaphore>,
}

impl Courier {
    /// A courier; without a mail channel, mail fails and says so.
    #[must_use]
    pub fn new(mail: Option<MailChannel>, webhook: WebhookChannel) -> Self {
        let places = || Arc::new(Semaphore::new(PLACES));
        Self {
            mail,
            webhook,
            sms: None,
            bots: None,
            mail_places: places(),
            webhook_places: places(),
            sms_places: places(),
            bot_places: places(),
        }
    }

    /// With short messages; without them they fail and say so.
    #[must_use]
    pub fn with_sms(self, sms: Option<SmsChannel>) -> Self {
        Self { sms, ..self }
    }

    /// With bots; without them they fail and say so.
    #[must_use]
    pub fn with_bots(self, bots: BotChannel) -> Self {
        Self { bots: Some(bots), ..self }
    }

    /// One try; nothing if there was no place for it in time.
    pub async fn carry(&self, parcel: Parcel) -> Option<Answer> {
        let places = match &parcel.channel {
            Channel::Mail { .. } => &self.mail_places,
            Channel::Webhook { .. } => &self.webhook_places,
            Channel::Sms { .. } => &self.sms_places,
            Channel::Bot { .. } => &self.bot_places,
        };
        let _place = timeout(PLACE_LIMIT, places.acquire()).await.ok()?.ok()?;
        let Parcel { id, channel, subject, body, payload, at } = parcel;
        let missing = |what: &str| Answer::Failed { evidence: what.to_owned() };
        Some(match channel {
            Channel::Mail { address } => {
                let Some(mail) = &self.mail else {
                    return Some(missing(
                        "this site has no mail server: set [mail] in its \
                                         configuration",
                    ));
                };
                let message_id = format!("<{id}@tenure>");
                let letter =
                    Mail { to: &address, subject: &subject, text: &body, message_id: &message_id };
                mail.send(&letter, TRY_LIMIT).await
            }
            Channel::Webhook { url, secret } => {
                let message = WebhookMessage { url, secret, id, at, body: payload };
                let webhook = self.webhook.clone();
                let sent = tokio::task::spawn_blocking(move || webhook.send(&message)).await;
                sent.unwrap_or_else(|error| Answer::Failed { evidence: error.to_string() })
            }
            Channel::Sms { number } => {
                let Some(sms) = &self.sms else {
                    return Some(missing(
                        "this site sends no short messages: set [sms] in its \
                                         configuration",
                    ));
                };
                let text = format!("{subject}\n{body}");
                sms.send(ShortMessage { to: number, text, id }, TRY_LIMIT).await
            }
            Channel::Bot { kind, url, secret } => {
                let Some(bots) = &self.bots else {
                    return Some(missing("no bot is posted to from here"));
                };
                let text = format!("{subject}\n{body}");
                bots.send(BotMessage { kind, url, secret, text, at }).await
            }
        })
    }
}
