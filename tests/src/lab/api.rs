//! The HTTP API, called from a namespace without `tenurectl`: for what must be timed, or is no
//! verb.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, bail};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::net::Netns;

/// Where the API is, and as whom it is called.
#[derive(Clone)]
pub struct Call {
    /// `https://…`.
    pub controller: String,
    /// The authority's root certificate.
    pub ca: PathBuf,
    /// The bearer token.
    pub token: String,
}

/// Posts JSON; returns when the request was sent, and the JSON of the answer. The connection is set
/// up before, by a look at the controller's clock.
///
/// # Errors
/// If the answer is no success, with its body.
pub fn post(
    netns: &Netns,
    call: &Call,
    path: &str,
    body: &str,
) -> anyhow::Result<(Instant, Value)> {
    let der = CertificateDer::from_pem_file(&call.ca).context("the CA's certificate")?;
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(&der).to_owned()]);
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = Agent::config_builder().tls_config(tls).http_status_as_error(false).build();
    let url = format!("{}{path}", call.controller);
    let clock = format!("{}/v1/clock", call.controller);
    let bearer = format!("Bearer {}", call.token.trim());
    netns.within(|| {
        let agent = Agent::new_with_config(config);
        agent.get(&clock).header("authorization", &bearer).call()?.body_mut().read_to_string()?;
        let request = agent.post(&url).header("authorization", &bearer);
        let sent = Instant::now();
        let mut answer = request.content_type("application/json").send(body.as_bytes())?;
        let text = answer.body_mut().read_to_string()?;
        if !answer.status().is_success() {
            bail!("POST {url} gave {}: {text}", answer.status());
        }
        Ok((sent, serde_json::from_str(&text)?))
    })?
}
