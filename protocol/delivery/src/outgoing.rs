//! What every HTTP client of Tenure is: TLS by rustls, no redirect, no proxy, no connection
//! kept, little read, and not for long.

use std::{io::Read as _, net::IpAddr, sync::Arc, time::Duration};

use tenure_protocol::channel::destination::{self, DestinationPolicy};
use ureq::{
    Agent, Body,
    config::Config,
    http::{Response, StatusCode, Uri},
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

/// Bytes that are read of an answer's body.
const MAX_BODY_BYTES: u64 = 4 * 1024;
/// Characters of it that are kept as evidence.
const MAX_EVIDENCE: usize = 1024;

/// A client for destinations that customers name: what they lead to is checked as it is dialled.
pub(crate) fn guarded(policy: DestinationPolicy, roots: &[Vec<u8>], limit: Duration) -> Agent {
    let resolver = GuardedResolver { inner: DefaultResolver::default(), policy };
    Agent::with_parts(config(roots, limit), DefaultConnector::default(), resolver)
}

/// What an answer says: its status stands, whatever becomes of its body.
pub(crate) fn said(mut answer: Response<Body>) -> (StatusCode, String) {
    let status = answer.status();
    let mut body = Vec::new();
    let _ = answer.body_mut().as_reader().take(MAX_BODY_BYTES).read_to_end(&mut body);
    (status, printable(&body))
}

/// The same as evidence.
pub(crate) fn evidence(status: StatusCode, body: &str) -> String {
    let body: String = body.chars().take(MAX_EVIDENCE).collect();
    format!("{status} {body}").trim().to_owned()
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

/// Its settings. `roots`, DER, are trusted instead of the public authorities if there are any;
/// `limit` bounds a whole request.
#[must_use]
pub fn config(roots: &[impl AsRef<[u8]>], limit: Duration) -> Config {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider);
    if !roots.is_empty() {
        let roots = roots.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned());
        tls = tls.root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()));
    }
    Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(limit))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .user_agent(concat!("tenure/", env!("CARGO_PKG_VERSION")))
        .max_response_header_size(16 * 1024)
        .max_idle_connections(0)
        .build()
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
