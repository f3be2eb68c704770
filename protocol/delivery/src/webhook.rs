//! Webhooks by Standard Webhooks 1.0: the body is signed with the secret that both sides know. A
//! 2xx answer means that the notice has entered the system that the customer designated; anything
//! else, redirects too, is a failure.

use std::time::Duration;

use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};
use tenure_protocol::{
    channel::{
        Grade, Secret,
        destination::{self, DestinationPolicy},
    },
    time::Timestamp,
};
use ureq::{Agent, http::StatusCode};

use crate::{Answer, outgoing};

/// One message to one webhook.
pub struct WebhookMessage {
    /// Where to.
    pub url: String,
    /// `whsec_` and base64.
    pub secret: Secret,
    /// The same in every try of a notice.
    pub id: String,
    /// When this try is made.
    pub at: Timestamp,
    /// JSON.
    pub body: String,
}

/// Sends webhooks.
#[derive(Debug, Clone)]
pub struct WebhookChannel {
    agent: Agent,
    policy: DestinationPolicy,
}

impl WebhookChannel {
    /// `roots`, DER, are trusted instead of the public authorities if there are any; `limit` bounds
    /// a whole try.
    #[must_use]
    pub fn new(policy: DestinationPolicy, roots: &[Vec<u8>], limit: Duration) -> Self {
        Self { agent: outgoing::guarded(policy, roots, limit), policy }
    }

    /// One try. Blocks its thread for as long as the limit at most.
    #[must_use]
    pub fn send(&self, message: &WebhookMessage) -> Answer {
        match self.post(message) {
            Ok((status, body)) if status.is_success() => {
                let evidence = outgoing::evidence(status, &body);
                Answer::Accepted { grade: Grade::E2, evidence }
            }
            Ok((status, body)) if status.is_redirection() => {
                let said = outgoing::evidence(status, &body);
                Answer::Failed { evidence: format!("{said}: redirects are not followed") }
            }
            Ok((status, body)) => Answer::Failed { evidence: outgoing::evidence(status, &body) },
            Err(evidence) => Answer::Failed { evidence },
        }
    }

    fn post(&self, message: &WebhookMessage) -> Result<(StatusCode, String), String> {
        destination::webhook(&message.url, self.policy).map_err(|error| error.to_string())?;
        let seconds = message.at.unix_ms() / 1000;
        let signature = Webhook::new(message.secret.reveal())
            .and_then(|key| key.sign(&message.id, seconds, message.body.as_bytes()))
            .map_err(|error| format!("cannot sign: {error}"))?;
        let answer = self
            .agent
            .post(&message.url)
            .header("content-type", "application/json")
            .header(HEADER_WEBHOOK_ID, &message.id)
            .header(HEADER_WEBHOOK_TIMESTAMP, seconds.to_string())
            .header(HEADER_WEBHOOK_SIGNATURE, &signature)
            .send(message.body.as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(outgoing::said(answer))
    }
}
