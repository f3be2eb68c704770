//! Short messages, by one of two ways: [`smpp`] to the operator's message centre, or [`gateway`],
//! any HTTP interface that a template can describe. Handing a message over proves that it is sent
//! (E1); a delivery receipt proves that it is on the telephone (E2).
//!
//! ```text
//! submit_sm ──resp, message id──→ E1 ──Tidings::Sent──→ kept with the notice
//! deliver_sm (receipt, any time, after a restart too) ──Tidings::Receipt──→ E2, or a failed try
//!      └──deliver_sm_resp, once that is durable; "try again later" otherwise
//! ```
//! A receipt comes when it comes, so it is no part of a try: whoever keeps the notices takes it in
//! by the message id. A gateway's come to the controller's API, at a URL that the message takes
//! along ([`receipts`]).

pub mod gateway;
pub mod receipts;
pub mod smpp;
mod text;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use self::{gateway::GatewayChannel, smpp::SmppChannel};
use crate::Answer;

/// One short message.
#[derive(Debug, Clone)]
pub struct ShortMessage {
    /// The telephone, E.164.
    pub to: String,
    /// What to say.
    pub text: String,
    /// The notice's id, the same in every try.
    pub id: String,
    /// What the URL of its receipts ends with; nothing if none can come by one.
    pub receipt: Option<String>,
}

/// How the number of a telephone is written for the one who takes the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    /// With the country's code: 8613800000000.
    #[default]
    International,
    /// Of the mainland's without it: 13800000000.
    Mainland,
}

impl Numbers {
    /// `number` in this form, and whether it has the country's code.
    fn write(self, number: &str) -> (&str, bool) {
        let digits = number.strip_prefix('+').unwrap_or(number);
        match (self, digits.strip_prefix("86")) {
            (Self::Mainland, Some(national)) => (national, false),
            (Self::Mainland, None) | (Self::International, _) => (digits, true),
        }
    }
}

/// What is to be kept about short messages, with the word that it is.
#[derive(Debug)]
pub struct Told {
    /// What.
    pub tidings: Tidings,
    /// Whether it is durable.
    pub kept: oneshot::Sender<bool>,
}

/// What happened to short messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tidings {
    /// A notice was handed over as these messages: its parts.
    Sent {
        /// [`ShortMessage::id`].
        notice: String,
        /// Their ids, as the message centre gives them.
        messages: Vec<String>,
    },
    /// The last word on one message.
    Receipt {
        /// Its id.
        message: String,
        /// Whether it is on the telephone.
        delivered: bool,
        /// The message centre's words.
        evidence: String,
    },
}

/// How a site sends short messages.
#[derive(Debug, Clone)]
pub enum SmsChannel {
    /// By SMPP.
    Smpp(SmppChannel),
    /// By an HTTP gateway.
    Gateway(Box<GatewayChannel>),
}

impl SmsChannel {
    /// One try, within `limit`.
    pub async fn send(&self, message: ShortMessage, limit: Duration) -> Answer {
        match self {
            Self::Smpp(smpp) => smpp.send(&message, limit).await,
            Self::Gateway(gateway) => gateway.send(message).await,
        }
    }
}

/// Tells whoever keeps the notices, and says whether it is kept.
async fn tell(keeper: &mpsc::Sender<Told>, tidings: Tidings, limit: Duration) -> bool {
    let (kept, answer) = oneshot::channel();
    let told = async {
        keeper.send(Told { tidings, kept }).await.ok()?;
        answer.await.ok()
    };
    matches!(tokio::time::timeout(limit, told).await, Ok(Some(true)))
}
