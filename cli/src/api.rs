//! The controller's HTTP API: one request, one answer, each with a limit. Trusts the CA of the
//! profile and no other, goes straight to the controller (no proxy, no redirect), and only by
//! HTTPS, because every request carries a secret.

use std::{fmt, io::Read, time::Duration};

use rustls_pki_types::CertificateDer;
use serde::Serialize;
use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder,
    http::Response,
    tls::{Certificate, RootCerts, TlsConfig},
};
use zeroize::Zeroizing;

use crate::failure::{Failure, Problem};

/// Most bytes of an answer but a bundle.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;
/// Most bytes of a bundle.
const MAX_BUNDLE_BYTES: u64 = 1024 * 1024 * 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const BUNDLE_LIMIT: Duration = Duration::from_secs(600);

/// The API of one controller, for one token, or for somebody who is not known yet.
pub(crate) struct Api {
    agent: Agent,
    controller: String,
    authorization: Option<Zeroizing<String>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("controller", &self.controller).finish_non_exhaustive()
    }
}

impl Api {
    /// `controller` is an https URL without a path.
    pub(crate) fn new(
        controller: &str,
        authorities: &[CertificateDer<'_>],
        token: Option<Zeroizing<String>>,
    ) -> Result<Self, Failure> {
        let controller = controller.trim_end_matches('/');
        let authority = controller.strip_prefix("https://").unwrap_or_default();
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(Failure::Usage(format!(
                "{controller:?} is no controller: give a URL such as https://tenure.example:8443"
            )));
        }
        let roots: Vec<_> =
            authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_global(Some(ANSWER_LIMIT))
            .user_agent(concat!("tenurectl/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let authorization = token.map(|token| Zeroizing::new(format!("Bearer {}", token.as_str())));
        Ok(Self { agent, controller: controller.to_owned(), authorization })
    }

    /// GETs JSON. `path` starts with a slash and is made of ids and fixed words only.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.known(self.agent.get(self.url(path))).call())
    }

    /// POSTs JSON, answers JSON (null if the answer is empty).
    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        self.json(self.known(self.agent.post(self.url(path))).send_json(body))
    }

    /// DELETEs, answers JSON (null if the answer is empty).
    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.known(self.agent.delete(self.url(path))).call())
    }

    /// GETs bytes of any size up to the bundle's limit, as a stream.
    pub(crate) fn fetch(&self, path: &str) -> Result<impl Read + use<>, Failure> {
        let answer = self
            .known(self.agent.get(self.url(path)))
            .config()
            .timeout_global(Some(BUNDLE_LIMIT))
            .build()
            .call();
        let answer = self.accepted(answer)?;
        Ok(answer.into_body().into_with_config().limit(MAX_BUNDLE_BYTES).reader())
    }

    /// The failure of a stream that [`Self::fetch`] gave.
    pub(crate) fn broken(&self, error: impl fmt::Display) -> Failure {
        Failure::Unreachable(format!("the answer of {} broke off: {error}", self.controller))
    }

    fn known<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization.as_str()),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.controller)
    }

    fn json(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, Failure> {
        let bytes = self.bytes(self.accepted(answer)?)?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|_| self.foreign("an answer that is not JSON"))
    }

    fn accepted(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Failure> {
        let answer = answer.map_err(|error| self.no_answer(&error))?;
        let status = answer.status().as_u16();
        match status {
            200..=299 => Ok(answer),
            400..=499 => Err(Failure::Refused(Problem::read(status, &self.bytes(answer)?))),
            500..=599 => {
                let problem = Problem::read(status, &self.bytes(answer)?);
                Err(Failure::Unreachable(format!(
                    "the controller has failed: {}; nothing is known to be done, try again",
                    Failure::Refused(problem)
                )))
            }
            _ => Err(self.foreign(&format!("HTTP status {status}"))),
        }
    }

    fn bytes(&self, answer: Response<Body>) -> Result<Vec<u8>, Failure> {
        let body = answer.into_body().into_with_config().limit(MAX_ANSWER_BYTES);
        body.read_to_vec().map_err(|error| self.broken(error))
    }

    fn foreign(&self, what: &str) -> Failure {
        Failure::Unreachable(format!(
            "{} gave {what}: is this a Tenure controller's API? check --controller",
            self.controller
        ))
    }

    fn no_answer(&self, error: &ureq::Error) -> Failure {
        let text = error.to_string();
        let advice = if text.contains("certificate") || text.contains("UnknownIssuer") {
            "its certificate is not of the authority in --ca, or not for this name"
        } else {
            "check --controller, and that the controller runs"
        };
        Failure::Unreachable(format!("cannot reach {}: {text}; {advice}", self.controller))
    }
}
