//! The settings of short messages and of groups' bots.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use tenure_delivery::{
    TRY_LIMIT,
    sms::{
        Numbers, SmsChannel, Told,
        gateway::{Gateway, GatewayChannel},
        receipts::Receipts,
        smpp::{SmppChannel, SmppSettings},
    },
};
use tenure_protocol::channel::BotKind;
use tokio::sync::mpsc;

use super::{ConfigError, certificates, host_port, secret};

/// How short messages are sent: by one of the two ways.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// By SMPP.
    pub smpp: Option<Smpp>,
    /// By an HTTP gateway.
    pub gateway: Option<Gateway>,
    /// Headers for the gateway, each with the file that has its value.
    #[serde(default)]
    pub secret_headers: BTreeMap<String, PathBuf>,
    /// PEM file of authorities to trust for the gateway instead of the public ones.
    pub authorities: Option<PathBuf>,
}

/// To which message centre, and as whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smpp {
    /// `host:port`.
    pub address: String,
    /// Account.
    pub system_id: String,
    /// The file with its password.
    pub password_file: PathBuf,
    /// What kind of system this is, if the operator asks for it.
    #[serde(default)]
    pub system_type: String,
    /// The sender that people see.
    pub source: String,
    /// Type of that number.
    #[serde(default)]
    pub source_ton: u8,
    /// And of its plan.
    #[serde(default)]
    pub source_npi: u8,
    /// How receivers' numbers are written.
    #[serde(default)]
    pub numbers: Numbers,
}

/// Where bots may be posted to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bots {
    /// Hosts besides the vendor's own, by kind: names or addresses, without a port.
    pub hosts: BTreeMap<BotKind, Vec<String>>,
}

impl Sms {
    /// How the gateway's receipts are read; nothing if none come.
    #[must_use]
    pub fn receipts(&self) -> Option<Receipts> {
        self.gateway.as_ref()?.receipts.clone()
    }

    /// The channel. It begins to bind at once if it is SMPP; `keeper` keeps messages' ids and takes
    /// receipts.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with the key and what to do.
    pub fn channel(&self, keeper: mpsc::Sender<Told>) -> Result<SmsChannel, ConfigError> {
        match (&self.smpp, &self.gateway) {
            (Some(smpp), None) => {
                let key = "sms.smpp";
                let (host, port) = host_port(&smpp.address).map_err(|reason| wrong(key, reason))?;
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                let settings = SmppSettings {
                    address: format!("{host}:{port}"),
                    system_id: smpp.system_id.clone(),
                    password: secret::read(&smpp.password_file)
                        .map_err(|reason| wrong("sms.smpp.password_file", reason))?,
                    system_type: smpp.system_type.clone(),
                    source: smpp.source.clone(),
                    source_ton: smpp.source_ton,
                    source_npi: smpp.source_npi,
                    numbers: smpp.numbers,
                };
                let channel = SmppChannel::start(settings, keeper);
                Ok(SmsChannel::Smpp(channel.map_err(|error| wrong(key, error.to_string()))?))
            }
            (None, Some(gateway)) => {
                let mut secrets = BTreeMap::new();
                for (name, file) in &self.secret_headers {
                    let secret = secret::read(file);
                    let secret = secret.map_err(|reason| wrong("sms.secret_headers", reason))?;
                    secrets.insert(name.clone(), secret);
                }
                let roots = certificates(self.authorities.as_deref(), "sms.authorities")?;
                let roots: Vec<Vec<u8>> = roots.into_iter().map(|der| der.to_vec()).collect();
                let channel = GatewayChannel::new(gateway.clone(), secrets, &roots, TRY_LIMIT);
                let channel = channel.map_err(|error| wrong("sms.gateway", error.to_string()))?;
                Ok(SmsChannel::Gateway(Box::new(channel)))
            }
            (None, None) | (Some(_), Some(_)) => {
                let reason = "give either [sms.smpp] or [sms.gateway]".to_owned();
                Err(wrong("sms", reason))
            }
        }
    }
}

impl Bots {
    /// Checks the hosts.
    ///
    /// # Errors
    /// A sentence: the host and what to do.
    pub(super) fn check(&self) -> Result<(), String> {
        let fits = |host: &&String| {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
                && host.rsplit_once(':').is_none_or(|_| host.starts_with('['))
        };
        match self.hosts.values().flatten().find(|host| !fits(host)) {
            None => Ok(()),
            Some(host) => Err(format!(
                "{host:?} is no host: give a name such as im.example.gov.cn, without scheme, port"
            )),
        }
    }
}

fn wrong(key: &'static str, reason: String) -> ConfigError {
    ConfigError::Channel { key, reason }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::PermissionsExt as _};

    use super::*;

    async fn said(text: &str) -> String {
        let sms: Sms = toml::from_str(text).expect("settings");
        let refused = sms.channel(mpsc::channel(1).0);
        refused.map(drop).expect_err("refused").to_string()
    }

    #[tokio::test]
    async fn short_messages_go_by_one_way_with_secrets_that_nobody_else_may_read() {
        assert!(said("").await.contains("either [sms.smpp] or [sms.gateway]"));
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("password");
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::io::Write::write_all(&mut File::create(&file).expect("made"), b"pass\n")
            .expect("written");
        let text = format!(
            "[smpp]\naddress = \"127.0.0.1:2775\"\nsystem_id = \"tenure\"\nsource = \"1069\"\n\
             password_file = {file:?}\n"
        );
        std::fs::set_permissions(&file, mode(0o640)).expect("changed");
        assert!(said(&text).await.contains("chmod 600"), "{}", said(&text).await);
        std::fs::set_permissions(&file, mode(0o600)).expect("changed");
        let long = text.replace("\"tenure\"", "\"a-name-of-more-than-fifteen\"");
        assert!(said(&long).await.contains("system_id"), "{}", said(&long).await);
        let sms: Sms = toml::from_str(&text).expect("settings");
        assert!(sms.channel(mpsc::channel(1).0).is_ok());
        assert!(!format!("{sms:?}").contains("pass\n"), "no secret is printed");
    }

    #[test]
    fn a_bots_host_is_a_name_alone() {
        let check = |host: &str| {
            Bots { hosts: BTreeMap::from([(BotKind::Wecom, vec![host.to_owned()])]) }.check()
        };
        for host in ["zwwx.example.gov.cn", "10.1.2.3", "[fd00::1]"] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in ["", "https://zwwx.example.gov.cn", "zwwx.example.gov.cn:443", "a b"] {
            assert!(check(host).is_err(), "{host}");
        }
    }
}
