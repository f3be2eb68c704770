//! Mail over SMTP: one connection and one transaction per recipient, so that one refused recipient
//! does not take the others' mail along. What the server answered is kept word for word: it is the
//! evidence of delivery.

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

use crate::Answer;

pub use lettre::message::Mailbox;

/// Where mail is handed over, and what its acceptance means.
#[derive(Debug, Clone)]
pub struct MailRoute {
    /// Host name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Sender of all mail.
    pub from: Mailbox,
    /// How much TLS is asked for.
    pub tls: MailTls,
    /// What a 250 of this server means where no domain says otherwise.
    pub grade: Grade,
    /// What it means for recipients of these domains (lower case).
    pub domains: BTreeMap<String, Grade>,
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

/// Sends mail by one route.
#[derive(Debug, Clone)]
pub struct MailChannel {
    route: MailRoute,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl MailChannel {
    /// Sets the route up; nothing is connected yet.
    ///
    /// # Errors
    /// [`MailError::Tls`].
    pub fn new(route: MailRoute, limit: Duration) -> Result<Self, MailError> {
        let parameters = |verify: bool| {
            TlsParameters::builder(route.host.clone())
                .dangerous_accept_invalid_certs(!verify)
                .dangerous_accept_invalid_hostnames(!verify)
                .build()
                .map_err(MailError::Tls)
        };
        let tls = match route.tls {
            MailTls::Off => Tls::None,
            MailTls::Optional => Tls::Opportunistic(parameters(false)?),
            MailTls::Required => Tls::Required(parameters(true)?),
        };
        let hello = ClientId::Domain(route.from.email.domain().to_owned());
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&route.host)
            .port(route.port)
            .hello_name(hello)
            .timeout(Some(limit))
            .tls(tls)
            .build();
        Ok(Self { route, transport })
    }

    /// One try, within `limit` from the first packet to the last reply.
    pub async fn send(&self, mail: &Mail<'_>, limit: Duration) -> Answer {
        // lettre's own limit bounds the connecting alone.
        match tokio::time::timeout(limit, self.transact(mail)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Failed {
                evidence: format!("{}: no end within {} s", self.server(), limit.as_secs()),
            },
        }
    }

    async fn transact(&self, mail: &Mail<'_>) -> Answer {
        let failed = |reason: String| Answer::Failed { evidence: reason };
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
            Ok(message) => message,
            Err(error) => return failed(format!("the mail cannot be composed: {error}")),
        };
        let envelope = match Envelope::new(Some(self.route.from.email.clone()), vec![to]) {
            Ok(envelope) => envelope,
            Err(error) => return failed(format!("the mail cannot be addressed: {error}")),
        };
        match self.transport.send_raw(&envelope, &message.formatted()).await {
            Ok(reply) => {
                let lines: Vec<_> = reply.message().collect();
                let evidence = format!("{}: {} {}", self.server(), reply.code(), lines.join("\n"));
                Answer::Accepted { grade, evidence }
            }
            Err(error) => failed(format!("{}: {error}", self.server())),
        }
    }

    fn grade(&self, domain: &str) -> Grade {
        let of_domain = self.route.domains.get(&domain.to_ascii_lowercase());
        of_domain.copied().unwrap_or(self.route.grade)
    }

    fn server(&self) -> String {
        format!("{}:{}", self.route.host, self.route.port)
    }
}
