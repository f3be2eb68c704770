//! Mail over SMTP: one connection and one transaction per recipient, so that one refused recipient
//! does not take the others' mail along. What the server answered is kept word for word: it is the
//! evidence of delivery. Mail goes to the site's own server, or straight to the recipient's
//! ([`exchange`]), whose 250 is that of the customer's own system.

pub mod exchange;

use std::{collections::BTreeMap, time::Duration};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    address::Envelope,
    message::header::ContentType,
    transport::smtp::{
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};

use tenure_protocol::channel::Grade;
use tokio::time::Instant;

pub use lettre::message::Mailbox;

use self::exchange::{ExchangeError, Exchanges, Resolver};
use crate::Answer;

/// Where mail is handed over, and what its acceptance means.
#[derive(Debug, Clone)]
pub struct MailRoute {
    /// To which server.
    pub way: MailWay,
    /// Sender of all mail.
    pub from: Mailbox,
    /// How much TLS is asked for.
    pub tls: MailTls,
    /// What a 250 of the server means where no domain says otherwise.
    pub grade: Grade,
    /// What it means for recipients of these domains (lower case).
    pub domains: BTreeMap<String, Grade>,
}

/// The server that mail is handed to.
#[derive(Debug, Clone)]
pub enum MailWay {
    /// One for all.
    Server {
        /// Host name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Each recipient's own, by its domain's MX records.
    Exchanges(Exchanges),
}

/// How much TLS is asked of the mail server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// None, for a server on the same machine or wire.
    Off,
    /// STARTTLS where it is offered, whatever the certificate (RFC 7435): better than plain text.
    #[default]
    Optional,
    /// STARTTLS with a certificate of a public authority, or no mail.
    Required,
}

/// A mail route that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// TLS could not be set up.
    #[error("cannot set up TLS for mail")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// Names cannot be looked up.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// One mail to one recipient.
#[derive(Debug)]
pub struct Mail<'a> {
    /// The recipient.
    pub to: &'a str,
    /// Subject, any script.
    pub subject: &'a str,
    /// Plain text, any script.
    pub text: &'a str,
    /// The same in every try of a notice, so that duplicates are known as such.
    pub message_id: &'a str,
}

/// A server to try.
#[derive(Debug, Clone)]
struct Server {
    /// As people call it, and as its certificate does.
    name: String,
    /// Host name or address to dial.
    host: String,
    port: u16,
}

/// Sends mail by one route.
#[derive(Debug, Clone)]
pub struct MailChannel {
    route: MailRoute,
    resolver: Option<Resolver>,
}

impl MailChannel {
    /// Sets the route up; nothing is connected yet.
    ///
    /// # Errors
    /// [`MailError`].
    pub fn new(route: MailRoute) -> Result<Self, MailError> {
        let resolver = match &route.way {
            MailWay::Server { host, .. } => {
                tls(route.tls, host).map_err(MailError::Tls)?;
                None
            }
            MailWay::Exchanges(exchanges) => Some(Resolver::new(exchanges)?),
        };
        Ok(Self { route, resolver })
    }

    /// One try, within `limit` from the first packet to the last reply.
    pub async fn send(&self, mail: &Mail<'_>, limit: Duration) -> Answer {
        // lettre's own limit bounds the connecting alone.
        match tokio::time::timeout(limit, self.transact(mail, limit)).await {
            Ok(answer) => answer,
            Err(_) => failed(format!("{}: no end within {} s", mail.to, limit.as_secs())),
        }
    }

    async fn transact(&self, mail: &Mail<'_>, limit: Duration) -> Answer {
        let begun = Instant::now();
        // What each server said is told before the time is over.
        let limit = limit * 9 / 10;
        let to: Address = match mail.to.parse() {
            Ok(address) => address,
            Err(error) => return failed(format!("{:?} is no mail address: {error}", mail.to)),
        };
        let grade = self.grade(to.domain());
        let message = Message::builder()
            .from(self.route.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(mail.subject)
            .message_id(Some(mail.message_id.to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.to_owned());
        let message = match message {
            Ok(message) => message.formatted(),
            Err(error) => return failed(format!("the mail cannot be composed: {error}")),
        };
        let servers = match self.servers(to.domain()).await {
            Ok(servers) => servers,
            Err(error) => return failed(error.to_string()),
        };
        let envelope = match Envelope::new(Some(self.route.from.email.clone()), vec![to]) {
            Ok(envelope) => envelope,
            Err(error) => return failed(format!("the mail cannot be addressed: {error}")),
        };
        let mut evidence = Vec::new();
        for (at, server) in servers.iter().enumerate() {
            // Each has its share of what is left: one that hangs leaves some for the next.
            let left = limit.saturating_sub(begun.elapsed());
            let share = left / u32::try_from(servers.len() - at).unwrap_or(u32::MAX);
            match self.hand_over(server, &envelope, &message, share).await {
                Ok(words) => return Answer::Accepted { grade, evidence: words },
                Err(refusal) => {
                    evidence.push(refusal.words);
                    // RFC 5321, 4.2.1: the same would be said again.
                    if refusal.is_permanent {
                        break;
                    }
                }
            }
        }
        failed(evidence.join("; "))
    }

    /// The servers to try, the preferred first; one at least.
    async fn servers(&self, domain: &str) -> Result<Vec<Server>, ExchangeError> {
        match (&self.route.way, &self.resolver) {
            (MailWay::Exchanges(exchanges), Some(resolver)) => {
                let found = resolver.exchanges(domain).await?;
                let server = |(name, ip): (String, std::net::IpAddr)| Server {
                    name,
                    host: ip.to_string(),
                    port: exchanges.port,
                };
                Ok(found.into_iter().map(server).collect())
            }
            (MailWay::Server { host, port }, _) => {
                Ok(vec![Server { name: host.clone(), host: host.clone(), port: *port }])
            }
            (MailWay::Exchanges(_), None) => Err(ExchangeError::NoResolver),
        }
    }

    async fn hand_over(
        &self,
        server: &Server,
        envelope: &Envelope,
        message: &[u8],
        limit: Duration,
    ) -> Result<String, Refusal> {
        let Server { name, host, port } = server;
        let named =
            if name == host { format!("{host}:{port}") } else { format!("{name} [{host}]") };
        let refusal = |is_permanent, words: String| Refusal {
            is_permanent,
            words: format!("{named}: {words}"),
        };
        let tls = tls(self.route.tls, name).map_err(|error| refusal(false, error.to_string()))?;
        let hello = ClientId::Domain(self.route.from.email.domain().to_owned());
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(*port)
            .hello_name(hello)
            .timeout(Some(limit))
            .tls(tls)
            .build();
        let sent = tokio::time::timeout(limit, transport.send_raw(envelope, message)).await;
        match sent {
            Ok(Ok(reply)) => {
                let lines: Vec<_> = reply.message().collect();
                Ok(format!("{named}: {} {}", reply.code(), lines.join("\n")))
            }
            Ok(Err(error)) => Err(refusal(error.is_permanent(), error.to_string())),
            Err(_) => Err(refusal(false, format!("no end within {} ms", limit.as_millis()))),
        }
    }

    fn grade(&self, domain: &str) -> Grade {
        let of_domain = self.route.domains.get(&domain.to_ascii_lowercase());
        of_domain.copied().unwrap_or(self.route.grade)
    }
}

/// Why a server did not take a mail.
struct Refusal {
    is_permanent: bool,
    words: String,
}

fn failed(evidence: String) -> Answer {
    Answer::Failed { evidence }
}

/// TLS with the server of this name.
fn tls(wanted: MailTls, name: &str) -> Result<Tls, lettre::transport::smtp::Error> {
    let parameters = |verify: bool| {
        TlsParameters::builder(name.to_owned())
            .dangerous_accept_invalid_certs(!verify)
            .dangerous_accept_invalid_hostnames(!verify)
            .build()
    };
    Ok(match wanted {
        MailTls::Off => Tls::None,
        MailTls::Optional => Tls::Opportunistic(parameters(false)?),
        MailTls::Required => Tls::Required(parameters(true)?),
    })
}
