//! The HTTP API, called from a namespace without `tenurectl`: for what must be timed, or is no
//! verb.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::Response,
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

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Posts JSON, with these headers beside the usual ones; returns when the request was sent, and the
/// JSON of the answer. The connection is set up before, by a look at the controller's clock.
///
/// # Errors
/// If the answer is no success, with its body.
pub fn post(
    netns: &Netns,
    call: &Call,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<(Instant, Value)> {
    let (agent, bearer) = call.agent()?;
    let url = format!("{}{path}", call.controller);
    let clock = format!("{}/v1/clock", call.controller);
    netns.within(|| {
        agent.get(&clock).header("authorization", &bearer).call()?.body_mut().read_to_string()?;
        let mut request = agent.post(&url).header("authorization", &bearer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = Instant::now();
        let answer = request.content_type("application/json").send(body.as_bytes())?;
        Ok((sent, read("POST", &url, answer)?))
    })?
}

/// Gets JSON.
///
/// # Errors
/// If the answer is no success, with its body.
pub fn get(netns: &Netns, call: &Call, path: &str) -> anyhow::Result<Value> {
    let (agent, bearer) = call.agent()?;
    let url = format!("{}{path}", call.controller);
    netns.within(|| {
        let answer = agent.get(&url).header("authorization", &bearer).call()?;
        read("GET", &url, answer)
    })?
}

fn read(method: &str, url: &str, mut answer: Response<Body>) -> anyhow::Result<Value> {
    let text = answer.body_mut().read_to_string()?;
    if !answer.status().is_success() {
        bail!("{method} {url} gave {}: {text}", answer.status());
    }
    Ok(serde_json::from_str(&text)?)
}

impl Call {
    fn agent(&self) -> anyhow::Result<(Agent, String)> {
        let der = CertificateDer::from_pem_file(&self.ca).context("the CA's certificate")?;
        let roots = RootCerts::new_with_certs(&[Certificate::from_der(&der).to_owned()]);
        let tls = TlsConfig::builder().root_certs(roots).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(LIMIT))
            .build();
        Ok((Agent::new_with_config(config), format!("Bearer {}", self.token.trim())))
    }
}
