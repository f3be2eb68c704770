//! What every HTTP client of Tenure is: TLS by rustls, no redirect, no proxy, no connection
//! kept, little read, and not for long.

use std::{sync::Arc, time::Duration};

use ureq::{
    Agent,
    config::Config,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

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
