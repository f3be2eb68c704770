//! The configuration file: TOML, named on the command line. Unknown keys are refused, since a
//! mistyped one would be a setting that silently does not hold.

mod channels;
pub mod fallback;
pub mod secret;

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use tenure_delivery::mail::{MailRoute, MailTls, MailWay, Mailbox, exchange::Exchanges};
use tenure_protocol::channel::{
    Grade,
    destination::{self, DestinationPolicy},
};

pub use self::channels::{Bots, Smpp, Sms};
use crate::{
    core::{
        admission,
        anomaly::SiteThresholds,
        fleet::Image,
        form::Forms,
        group::Zones,
        lifecycle::Provider,
        quota::Quotas,
        rules::{self, Rules},
        tenant::{Contact, Designated},
    },
    files::remote::S3,
    http::{attempts::Providers, provider},
    telemetry::Format,
};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("the configuration {} is not usable", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A channel that cannot be.
    #[error("{key} in the configuration: {reason}")]
    Channel {
        /// Which key.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A value that cannot be.
    #[error("{key} in the configuration {}: {reason}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory that `init` has made.
    pub state_dir: PathBuf,
    /// DNS names and IP addresses under which hosts and people reach this controller.
    pub server_names: Vec<String>,
    /// The HTTP API.
    pub api: Api,
    /// The link to the agents.
    pub link: Link,
    /// Mail; without it mail is not sent, and says so.
    pub mail: Option<Mail>,
    /// Webhooks.
    #[serde(default)]
    pub webhook: Webhook,
    /// Short messages; without them nobody can designate them.
    pub sms: Option<Sms>,
    /// Groups' bots.
    #[serde(default)]
    pub bot: Bots,
    /// When hosts speak for a controller that is silent.
    #[serde(default)]
    pub fallback: fallback::Fallback,
    /// Where the bytes of attachments are kept; in the state directory if not given.
    pub attachments: Option<Attachments>,
    /// How much one customer may take.
    #[serde(default)]
    pub quotas: Quotas,
    /// Images that applications can name.
    #[serde(default, rename = "image")]
    pub images: Vec<Image>,
    /// Which addresses are the extranet's, and which are the platform's own.
    #[serde(default)]
    pub zones: Zones,
    /// From when on what hosts count is an anomaly.
    #[serde(default)]
    pub anomaly: SiteThresholds,
    /// The application form.
    #[serde(default)]
    pub application: Application,
    /// Whom the provider has told of what it owes.
    #[serde(default)]
    pub provider: ProviderContacts,
    /// A text of legal rules instead of the shipped one.
    pub rules: Option<PathBuf>,
    /// Logs.
    #[serde(default)]
    pub log: Log,
    /// The file that it was read from.
    #[serde(skip)]
    pub file: PathBuf,
}

/// Where the HTTP API listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Address and TCP port.
    pub listen: SocketAddr,
    /// PEM file of authorities whose certificates scripts may come with.
    pub client_ca: Option<PathBuf>,
    /// OpenID providers by which people may come in.
    #[serde(default)]
    pub oidc: Vec<provider::Settings>,
    /// How often somebody may come.
    #[serde(default)]
    pub rates: Rates,
}

/// How often somebody may come: a bucket each, that fills up steadily.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Requests of one person in a second.
    pub identity_per_second: NonZeroU32,
    /// And at once, after a rest.
    pub identity_burst: NonZeroU32,
    /// Requests of one peer address in a second.
    pub peer_per_second: NonZeroU32,
    /// And at once, after a rest.
    pub peer_burst: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            identity_per_second: number(50),
            identity_burst: number(500),
            peer_per_second: number(100),
            peer_burst: number(1000),
        }
    }
}

/// Where the link listens, and what hosts are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Address and UDP port for hosts that are known.
    pub command: SocketAddr,
    /// Address and UDP port for hosts with a join token.
    pub enrolment: SocketAddr,
    /// `address:port` of the command port as hosts reach it; `command` if not given.
    pub command_address: Option<String>,
    /// `address:port` of the enrolment port as hosts reach it; `enrolment` if not given.
    pub enrolment_address: Option<String>,
}

/// How mail is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `host:port` of the server that takes all mail.
    pub smtp: Option<String>,
    /// Instead: straight to each recipient's own servers.
    pub mx: Option<Mx>,
    /// Sender.
    pub from: String,
    /// How much TLS is asked for.
    #[serde(default)]
    pub tls: MailTls,
    /// Whose server it is: our relay if `smtp` takes the mail, else the customer's own.
    pub grade: Option<MailGrade>,
    /// Whose server it is for recipients of a domain.
    #[serde(default)]
    pub domains: BTreeMap<String, MailGrade>,
}

/// How recipients' own mail servers are found, by their MX records (RFC 5321).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mx {
    /// The server of DNS, address and port; those of the machine if not given.
    pub resolver: Option<SocketAddr>,
    /// The port of the mail servers.
    #[serde(default = "Mx::smtp_port")]
    pub port: u16,
}

impl Mx {
    const fn smtp_port() -> u16 {
        25
    }
}

/// Whose mail server it is: what its 250 proves (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailGrade {
    /// Our own relay: the mail is sent, no more (E1).
    Relay,
    /// The customer's own: the mail has arrived (E2 if the contact designated it).
    CustomerMx,
}

/// Where webhooks may go.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(default)]
pub struct Webhook {
    /// Whether private addresses are allowed.
    pub private: bool,
    /// Whether this machine itself is allowed: for trials on one machine.
    pub loopback: bool,
    /// Whether plain HTTP is allowed.
    pub plain_http: bool,
    /// PEM file of authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
}

/// The application form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Application {
    /// JSON schema of the site's own form, instead of the shipped one.
    pub form: Option<PathBuf>,
}

/// Where the bytes of attachments are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachments {
    /// In an S3-compatible object store.
    pub s3: S3,
}

/// Whom the provider has told of what it owes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderContacts {
    /// The duty desk.
    pub contact: Vec<Contact>,
    /// Who is told when a deadline is near or missed.
    pub second_contact: Vec<Contact>,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Format,
    /// What is logged.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::default(), filter: "info".to_owned() }
    }
}

impl From<MailGrade> for Grade {
    fn from(grade: MailGrade) -> Self {
        match grade {
            MailGrade::Relay => Self::E1,
            MailGrade::CustomerMx => Self::E2,
        }
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        path.clone_into(&mut config.file);
        config.check()?;
        Ok(config)
    }

    fn wrong(&self, key: &'static str, reason: String) -> ConfigError {
        ConfigError::Value { path: self.file.clone(), key, reason }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.server_names.is_empty() {
            let reason = "give at least one DNS name or IP address".to_owned();
            return Err(self.wrong("server_names", reason));
        }
        let hosts_reach = [
            ("link.command_address", &self.link.command_address, self.link.command),
            ("link.enrolment_address", &self.link.enrolment_address, self.link.enrolment),
        ];
        for (key, address, listen) in hosts_reach {
            match address {
                Some(text) => drop(host_port(text).map_err(|reason| self.wrong(key, reason))?),
                None if listen.ip().is_unspecified() => {
                    let reason = format!(
                        "hosts cannot dial {listen}: give the address and port that they reach"
                    );
                    return Err(self.wrong(key, reason));
                }
                None => {}
            }
        }
        let mut names: Vec<_> = self.images.iter().map(|image| &image.name).collect();
        names.sort();
        if let Some([twice, _]) = names.array_windows().find(|[a, b]| a == b) {
            return Err(self.wrong("image", format!("{twice:?} stands there twice")));
        }
        self.bot.check().map_err(|reason| self.wrong("bot.hosts", reason))?;
        self.zones.check().map_err(|reason| self.wrong("zones.extranet", reason))?;
        self.anomaly.check().map_err(|reason| self.wrong("anomaly", reason))?;
        self.watching().map(drop)
    }

    /// Whom the provider has told.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with the contact and what to do.
    pub fn provider(&self) -> Result<Provider, ConfigError> {
        let ProviderContacts { contact, second_contact } = &self.provider;
        for (key, contacts) in
            [("provider.contact", contact), ("provider.second_contact", second_contact)]
        {
            admission::contacts(contacts).map_err(|refusal| self.wrong(key, refusal.sentence))?;
            for contact in contacts {
                self.check_channels(contact).map_err(|reason| self.wrong(key, reason))?;
            }
        }
        Ok(Provider { contacts: contact.clone(), second: second_contact.clone() })
    }

    fn check_channels(&self, contact: &Contact) -> Result<(), String> {
        let policy = self.webhook.policy();
        if let Some(webhook) = &contact.webhook {
            destination::webhook(&webhook.url, policy).map_err(|error| error.to_string())?;
        }
        if let Some(bot) = &contact.bot {
            let sites = self.bot.hosts.get(&bot.kind).map_or(&[][..], Vec::as_slice);
            destination::bot(bot.kind, bot.url.reveal(), policy, sites)
                .map_err(|error| error.to_string())?;
        }
        if contact.designated.contains(&Designated::Sms) && self.sms.is_none() {
            return Err(format!("{} designates sms: set [sms] up for that", contact.name));
        }
        Ok(())
    }

    /// The legal rules: the site's own text if it names one, else the shipped one.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with the rule and what to do.
    pub fn rules(&self) -> Result<Rules, ConfigError> {
        let Some(path) = &self.rules else {
            return Rules::shipped().map_err(|error| self.wrong("rules", error.to_string()));
        };
        read_rules(path).map_err(|reason| self.wrong("rules", reason))
    }

    /// The OpenID providers.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with the provider and what to do.
    pub fn providers(&self) -> Result<Providers, ConfigError> {
        let mut all = Vec::new();
        for one in &self.api.oidc {
            all.push((one, certificates(one.authorities.as_deref(), "api.oidc.authorities")?));
        }
        Providers::new(&all).map_err(|reason| self.wrong("api.oidc", reason))
    }

    /// How mail is sent, if at all.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn mail_route(&self) -> Result<Option<MailRoute>, ConfigError> {
        let Some(mail) = &self.mail else { return Ok(None) };
        let (way, grade) = match (&mail.smtp, &mail.mx) {
            (Some(smtp), None) => {
                let found = host_port(smtp).map_err(|reason| self.wrong("mail.smtp", reason));
                found.map(|(host, port)| (MailWay::Server { host, port }, MailGrade::Relay))?
            }
            (None, Some(Mx { resolver, port })) => {
                let policy = self.webhook.policy();
                let own = Exchanges { resolver: *resolver, port: *port, policy };
                (MailWay::Exchanges(own), MailGrade::CustomerMx)
            }
            (None, None) | (Some(_), Some(_)) => {
                let reason = "give either mail.smtp or mail.mx".to_owned();
                return Err(self.wrong("mail", reason));
            }
        };
        let from: Mailbox = mail.from.parse().map_err(|_| {
            let reason =
                format!("{:?} is no sender such as Tenure <tenure@example.org>", mail.from);
            self.wrong("mail.from", reason)
        })?;
        let domains = mail
            .domains
            .iter()
            .map(|(domain, grade)| (domain.to_ascii_lowercase(), Grade::from(*grade)))
            .collect();
        let grade = mail.grade.unwrap_or(grade).into();
        Ok(Some(MailRoute { way, from, tls: mail.tls, grade, domains }))
    }
}

impl Application {
    /// The forms of the site.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn forms(&self) -> Result<Forms, ConfigError> {
        let file = self.form.clone().unwrap_or_default();
        let wrong =
            |reason| ConfigError::Value { path: file.clone(), key: "application.form", reason };
        let own = match &self.form {
            Some(path) => Some(fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?),
            None => None,
        };
        Forms::new(own.as_deref()).map_err(|error| wrong(error.to_string()))
    }
}

impl Webhook {
    /// Where webhooks may go.
    #[must_use]
    pub const fn policy(&self) -> DestinationPolicy {
        DestinationPolicy {
            private: self.private,
            loopback: self.loopback,
            plain_http: self.plain_http,
        }
    }

    /// The authorities of the site, DER.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn roots(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        let certificates = certificates(self.authorities.as_deref(), "webhook.authorities")?;
        Ok(certificates.into_iter().map(|der| der.to_vec()).collect())
    }
}

impl Api {
    /// The authorities of scripts' certificates; none if scripts come with tokens alone.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn client_authorities(&self) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        certificates(self.client_ca.as_deref(), "api.client_ca")
    }
}

/// The certificates of a PEM file, if there is one.
fn certificates(
    path: Option<&Path>,
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let failed = |reason: String| ConfigError::Value { path: path.to_owned(), key, reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(format!("no PEM file of certificates: {error}")))?;
    if certificates.is_empty() {
        return Err(failed("no certificate is in it".to_owned()));
    }
    Ok(certificates)
}

/// Reads and checks a text of legal rules.
///
/// # Errors
/// A sentence: the file, the rule, and what to do.
pub fn read_rules(path: &Path) -> Result<Rules, String> {
    let mut text = String::new();
    // One byte more than is allowed, so that a longer text is found to be one.
    fs::File::open(path)
        .and_then(|file| file.take(rules::MAX_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Rules::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn host_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || port == 0 { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../packaging/etc/controller.toml");

    fn load(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).expect("written");
        Config::load(file.path()).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })
    }

    #[test]
    fn the_shipped_configuration_is_usable() {
        let config = load(SHIPPED).expect("usable");
        assert_eq!(
            config.webhook.policy(),
            DestinationPolicy { private: true, ..Default::default() }
        );
    }

    #[test]
    fn an_unknown_key_is_refused_and_named_with_its_line() {
        let error = load(&format!("stat_dir = \"/x\"\n{SHIPPED}")).expect_err("refused");
        assert!(error.contains("stat_dir") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn hosts_need_an_address_that_they_can_dial() {
        let text = SHIPPED.replace("command_address", "# command_address");
        let error = load(&text).expect_err("refused");
        assert!(error.contains("link.command_address"), "{error}");
    }

    #[test]
    fn a_mail_server_needs_a_port_and_a_sender() {
        for (was, is, key) in [
            ("smtp = \"127.0.0.1:25\"", "smtp = \"mail\"", "mail.smtp"),
            ("from = \"", "from = \"@", "mail.from"),
            ("smtp = \"127.0.0.1:25\"", "", "either mail.smtp or mail.mx"),
            ("smtp = \"127", "mx = {}\nsmtp = \"127", "either mail.smtp or mail.mx"),
        ] {
            let error = load(&SHIPPED.replace(was, is)).expect_err("refused");
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_recipients_own_mail_server_proves_arrival_unless_the_site_says_otherwise() {
        let route = |mail: &str| {
            let text = SHIPPED.replace("grade = \"relay\"", "");
            let text = text.replace("smtp = \"127.0.0.1:25\"", mail);
            load(&text).expect("read").mail_route().expect("usable").expect("a route")
        };
        assert_eq!(route("smtp = \"127.0.0.1:25\"").grade, Grade::E1);
        let own = route("mx = { resolver = \"10.0.0.53:53\" }");
        assert_eq!(own.grade, Grade::E2);
        let MailWay::Exchanges(own) = own.way else { panic!("{:?}", own.way) };
        assert_eq!((own.port, own.resolver.map(|at| at.port())), (25, Some(53)));
        assert_eq!(route("mx = {}\ngrade = \"relay\"").grade, Grade::E1);
    }

    #[test]
    fn zones_are_prefixes_without_host_bits_and_few() {
        let with =
            |zones: &str| load(&SHIPPED.replacen("[zones]", &format!("[zones]\n{zones}"), 1));
        assert!(with("extranet = [\"10.0.0.0/8\"]").is_ok());
        let error = with("reserved = [\"10.9.0.1/16\"]").expect_err("host bits");
        assert!(error.contains("write 10.9.0.0/16"), "{error}");
        let many = ["\"10.0.0.0/8\""; 7].join(", ");
        let error = with(&format!("extranet = [{many}]")).expect_err("seven");
        assert!(error.contains("zones.extranet"), "{error}");
    }

    #[test]
    fn thresholds_are_neither_0_nor_never_reached() {
        let with =
            |keys: &str| load(&SHIPPED.replacen("[anomaly]", &format!("[anomaly]\n{keys}"), 1));
        assert_eq!(with("").map(|config| config.anomaly), Ok(SiteThresholds::default()));
        let config = with("packets_per_s = 7").expect("usable");
        assert_eq!(config.anomaly.packets_per_s.get(), 7);
        for (wrong, told) in [
            ("packets_per_s = 0", "nonzero"),
            ("steal_permille = 1001", "1000 at most"),
            ("connections_per_s = 1000000000001", "at most"),
            ("packets = 7", "packets"),
        ] {
            let error = with(wrong).expect_err(wrong);
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_site_may_have_rules_of_its_own_and_is_told_what_is_wrong_with_them() {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).expect("written");
            file
        };
        let read = |text: &str| {
            let own = file(text);
            let config = file(&format!("rules = {:?}\n{SHIPPED}", own.path()));
            let config = Config::load(config.path()).expect("usable");
            config
                .rules()
                .map(|rules| rules.edition().to_owned())
                .map_err(|error| error.to_string())
        };
        let shipped = rules::SHIPPED.replacen("jiangxi-1", "elsewhere-1", 1);
        assert_eq!(read(&shipped).expect("usable"), "elsewhere-1");
        let error = read(&shipped.replace("{ seconds = 300 }", "{ months = 1 }")).expect_err("not");
        assert!(error.contains("rule O12b: its period has to be seconds"), "{error}");
    }
}
