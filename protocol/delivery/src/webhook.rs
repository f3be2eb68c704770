//! Webhooks by Standard Webhooks 1.0: the body is signed with the secret that both sides know. A
//! 2xx answer means that the notice has entered the system that the customer designated; anything
//! else, redirects too, is a failure.

use std::{io::Read as _, net::IpAddr, time::Duration};

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
use ureq::{
    Agent,
    config::Config,
    http::{StatusCode, Uri},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use crate::{Answer, outgoing};

/// Bytes of an answer's body that are kept as evidence.
const MAX_EVIDENCE_BYTES: u64 = 1024;

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
        let config = outgoing::config(roots, limit);
        let resolver = GuardedResolver { inner: DefaultResolver::default(), policy };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), resolver), policy }
    }

    /// One try. Blocks its thread for as long as the limit at most.
    #[must_use]
    pub fn send(&self, message: &WebhookMessage) -> Answer {
        match self.post(message) {
            Ok((status, body)) if status.is_success() => {
                let evidence = format!("{status} {body}").trim().to_owned();
                Answer::Accepted { grade: Grade::E2, evidence }
            }
            Ok((status, body)) if status.is_redirection() => {
                let evidence = format!("{status} {body}: redirects are not followed");
                Answer::Failed { evidence }
            }
            Ok((status, body)) => Answer::Failed { evidence: format!("{status} {body}") },
            Err(evidence) => Answer::Failed { evidence },
        }
    }

    fn post(&self, message: &WebhookMessage) -> Result<(StatusCode, String), String> {
        destination::webhook(&message.url, self.policy).map_err(|error| error.to_string())?;
        let seconds = message.at.unix_ms() / 1000;
        let signature = Webhook::new(message.secret.reveal())
            .and_then(|key| key.sign(&message.id, seconds, message.body.as_bytes()))
            .map_err(|error| format!("cannot sign: {error}"))?;
        let mut answer = self
            .agent
            .post(&message.url)
            .header("content-type", "application/json")
            .header(HEADER_WEBHOOK_ID, &message.id)
            .header(HEADER_WEBHOOK_TIMESTAMP, seconds.to_string())
            .header(HEADER_WEBHOOK_SIGNATURE, &signature)
            .send(message.body.as_bytes())
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        // The status stands, whatever becomes of the body.
        let mut body = Vec::new();
        let _ = answer.body_mut().as_reader().take(MAX_EVIDENCE_BYTES).read_to_end(&mut body);
        Ok((status, printable(&body)))
    }
}

/// The text of an answer without control characters: it goes into records that people read.
fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Looks names up, and gives no address that nothing may be sent to.
#[derive(Debug)]
struct GuardedResolver {
    inner: DefaultResolver,
    policy: DestinationPolicy,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        let mut refused = None;
        for socket in found.iter() {
            let ip: IpAddr = socket.ip();
            match destination::address(ip, self.policy) {
                Ok(()) => allowed.push(*socket),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if allowed.is_empty() => {
                let text = error.to_string();
                Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text).into())
            }
            Some(_) | None => Ok(allowed),
        }
    }
}
