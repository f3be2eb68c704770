//! A domain's own mail servers (RFC 5321, section 5.1): its MX records in the order of their
//! preference, else the domain's own address; none if it says so (RFC 7505).
//!
//! DNS is believed as it answers: who can forge answers on the way to the resolver can take a
//! notice in the customer's place. So use a resolver of the site's own, which validates.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    ResolveError, TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    name_server::TokioConnectionProvider,
    proto::xfer::Protocol,
};
use tenure_protocol::channel::destination::{self, DestinationError, DestinationPolicy};

/// Most servers of a domain that are tried.
const MAX_SERVERS: usize = 4;
/// How long an answer of DNS is waited for, each time.
const LOOK_UP: Duration = Duration::from_secs(1);
/// How long it is believed that there is no answer.
const NONE_FOR: Duration = Duration::from_secs(5);

/// How recipients' own mail servers are reached.
#[derive(Debug, Clone)]
pub struct Exchanges {
    /// The server of DNS to ask; those of the machine if none is given.
    pub resolver: Option<SocketAddr>,
    /// The port of the mail servers: 25.
    pub port: u16,
    /// Which addresses they may have.
    pub policy: DestinationPolicy,
}

/// Why a domain has no server to try.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The machine's own settings cannot be used.
    #[error("cannot use the machine's servers of DNS: {0}")]
    Settings(ResolveError),
    /// DNS is not asked on this route.
    #[error("mail servers are not looked up on this route")]
    NoResolver,
    /// DNS gave no answer.
    #[error("cannot look up the mail servers of {domain}: {error}")]
    LookUp {
        /// Of which domain.
        domain: String,
        /// Why.
        error: ResolveError,
    },
    /// The domain takes no mail.
    #[error("{0} takes no mail (RFC 7505): ask the customer for another address")]
    TakesNone(String),
    /// No server has an address that something may be sent to.
    #[error("no mail server of {domain} can be tried: {reason}")]
    NoAddress {
        /// Of which domain.
        domain: String,
        /// Why not the last of them.
        reason: String,
    },
}

/// Asks DNS.
#[derive(Debug, Clone)]
pub struct Resolver {
    dns: TokioResolver,
    policy: DestinationPolicy,
}

impl Resolver {
    /// Sets it up; nothing is asked yet.
    ///
    /// # Errors
    /// [`ExchangeError::Settings`].
    pub fn new(exchanges: &Exchanges) -> Result<Self, ExchangeError> {
        let mut builder = match exchanges.resolver {
            None => TokioResolver::builder_tokio().map_err(ExchangeError::Settings)?,
            Some(server) => {
                let mut config = ResolverConfig::new();
                for protocol in [Protocol::Udp, Protocol::Tcp] {
                    config.add_name_server(NameServerConfig::new(server, protocol));
                }
                TokioResolver::builder_with_config(config, TokioConnectionProvider::default())
            }
        };
        let options = builder.options_mut();
        options.timeout = LOOK_UP;
        options.attempts = 1;
        options.negative_max_ttl = Some(NONE_FOR);
        Ok(Self { dns: builder.build(), policy: exchanges.policy })
    }

    /// The servers of a domain by name and address, the preferred first; one at least, and
    /// [`MAX_SERVERS`] at most.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn exchanges(&self, domain: &str) -> Result<Vec<(String, IpAddr)>, ExchangeError> {
        let failed = |error| ExchangeError::LookUp { domain: domain.to_owned(), error };
        // With its last dot nothing is searched for in the machine's own domains.
        let whole = format!("{domain}.");
        let mut names = match self.dns.mx_lookup(whole.as_str()).await {
            Ok(found) => {
                let mut found: Vec<_> =
                    found.iter().map(|mx| (mx.preference(), mx.exchange().to_utf8())).collect();
                found.sort();
                found.into_iter().map(|(_, name)| name).collect()
            }
            Err(error) if error.is_no_records_found() && !error.is_nx_domain() => vec![whole],
            Err(error) => return Err(failed(error)),
        };
        if names.iter().all(|name| name == ".") {
            return Err(ExchangeError::TakesNone(domain.to_owned()));
        }
        names.truncate(MAX_SERVERS);
        let mut servers = Vec::new();
        let mut reason = "none has an address".to_owned();
        for name in names {
            let addresses = match self.dns.lookup_ip(name.as_str()).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    reason = error.to_string();
                    continue;
                }
            };
            let name = name.trim_end_matches('.').to_owned();
            for ip in addresses.iter() {
                match destination::address(ip, self.policy) {
                    Ok(()) => servers.push((name.clone(), ip)),
                    Err(error) => reason = DestinationError::to_string(&error),
                }
            }
        }
        servers.truncate(MAX_SERVERS);
        if servers.is_empty() {
            return Err(ExchangeError::NoAddress { domain: domain.to_owned(), reason });
        }
        Ok(servers)
    }
}
