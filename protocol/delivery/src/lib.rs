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
    ladder::{OTHER_AT_ONCE, URGENT_AT_ONCE},
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
    /// Whether it goes by places of its own, beside whatever else waits.
    pub urgent: bool,
    /// When this try is made.
    pub at: Timestamp,
    /// What the URL of its receipts ends with; nothing if none can come to who sends it.
    pub receipt: Option<String>,
}

/// All channels of a site.
#[derive(Debug, Clone)]
pub struct Courier {
    mail: Option<MailChannel>,
    webhook: WebhookChannel,
    sms: Option<SmsChannel>,
    bots: Option<BotChannel>,
    urgent: Places,
    other: Places,
}

/// Places of each channel.
#[derive(Debug, Clone)]
struct Places {
    mail: Arc<Semaphore>,
    webhook: Arc<Semaphore>,
    sms: Arc<Semaphore>,
    bot: Arc<Semaphore>,
}

impl Places {
    fn new(most: u16) -> Self {
        let places = || Arc::new(Semaphore::new(usize::from(most)));
        Self { mail: places(), webhook: places(), sms: places(), bot: places() }
    }

    const fn of(&self, channel: &Channel) -> &Arc<Semaphore> {
        match channel {
            Channel::Mail { .. } => &self.mail,
            Channel::Webhook { .. } => &self.webhook,
            Channel::Sms { .. } => &self.sms,
            Channel::Bot { .. } => &self.bot,
        }
    }
}

impl Courier {
    /// A courier; without a mail channel, mail fails and says so.
    #[must_use]
    pub fn new(mail: Option<MailChannel>, webhook: WebhookChannel) -> Self {
        let (urgent, other) = (Places::new(URGENT_AT_ONCE), Places::new(OTHER_AT_ONCE));
        Self { mail, webhook, sms: None, bots: None, urgent, other }
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
        let places = if parcel.urgent { &self.urgent } else { &self.other };
        let place = places.of(&parcel.channel).acquire();
        let _place = timeout(PLACE_LIMIT, place).await.ok()?.ok()?;
        let Parcel { id, channel, subject, body, payload, urgent: _, at, receipt } = parcel;
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
                sms.send(ShortMessage { to: number, text, id, receipt }, TRY_LIMIT).await
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
