//! The controller's HTTP API: one request, one answer, each with a limit. A change carries a key
//! under which it is made once, so it is sent again by itself when no answer came. Trusts the CA of
//! the profile and no other, goes straight to the controller (no proxy, no redirect), and only by
//! HTTPS, because every request carries a secret.

use std::{fmt, fs::File, io::Read, time::Duration};

use rustls_pki_types::CertificateDer;
use serde::Serialize;
use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder,
    http::{HeaderMap, Response},
    tls::{Certificate, ClientCert, RootCerts, TlsConfig},
};
use zeroize::Zeroizing;

use crate::{
    failure::{Failure, Problem},
    pause,
};

/// Most bytes of an answer but a bundle.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;
/// Most bytes of a bundle.
const MAX_BUNDLE_BYTES: u64 = 1024 * 1024 * 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const BUNDLE_LIMIT: Duration = Duration::from_secs(600);
const UPLOAD_LIMIT: Duration = Duration::from_secs(960);
/// Longer than the controller lets a stream live.
const STREAM_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How often a change is sent at most, and how long to wait before it is sent again.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_millis(500);
/// Most pages of a list.
const MAX_PAGES: u32 = 10_000;

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

/// Where a list goes on (RFC 8288): a path of the same controller.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().ok()?;
    let (target, kind) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = kind.split(';').any(|part| part.trim() == "rel=\"next\"");
    (is_next && target.starts_with("/v1/")).then(|| target.to_owned())
}

impl Api {
    /// `controller` is an https URL without a path.
    pub(crate) fn new(
        controller: &str,
        authorities: &[CertificateDer<'_>],
        client: Option<ClientCert>,
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
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots));
        let tls = tls.client_cert(client).build();
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

    /// GETs JSON if it is not what `tag` names already; keeps the new tag.
    pub(crate) fn get_changed(
        &self,
        path: &str,
        tag: &mut Option<String>,
    ) -> Result<Option<Value>, Failure> {
        let mut request = self.known(self.agent.get(self.url(path)));
        if let Some(tag) = tag.as_deref() {
            request = request.header("if-none-match", tag);
        }
        let answer = request.call();
        if answer.as_ref().is_ok_and(|answer| tag.is_some() && answer.status() == 304) {
            return Ok(None);
        }
        let answer = self.accepted(answer)?;
        let new = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
        *tag = new.map(str::to_owned);
        let value = serde_json::from_slice(&self.bytes(answer)?);
        value.map(Some).map_err(|_| self.foreign("an answer that is not JSON"))
    }

    /// GETs a text.
    pub(crate) fn words(&self, path: &str) -> Result<String, Failure> {
        let request = self.known(self.agent.get(self.url(path)));
        let bytes = self.bytes(self.accepted(request.call())?)?;
        String::from_utf8(bytes).map_err(|_| self.foreign("an answer that is no text"))
    }

    /// Where the controller is.
    pub(crate) fn controller(&self) -> &str {
        &self.controller
    }

    /// GETs a whole list, page by page.
    pub(crate) fn list(&self, path: &str) -> Result<Value, Failure> {
        let mut all = Vec::new();
        let mut next = Some(path.to_owned());
        for _ in 0..MAX_PAGES {
            let Some(path) = next.take() else { return Ok(Value::Array(all)) };
            let answer = self.accepted(self.known(self.agent.get(self.url(&path))).call())?;
            next = next_page(answer.headers());
            match serde_json::from_slice(&self.bytes(answer)?) {
                Ok(Value::Array(items)) => all.extend(items),
                Ok(_) | Err(_) => return Err(self.foreign("a list that is none")),
            }
        }
        Err(self.foreign("a list without an end"))
    }

    /// POSTs JSON, answers JSON (null if the answer is empty).
    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        self.change(path, body, None)
    }

    /// POSTs JSON once: for what must not be sent again by itself.
    pub(crate) fn post_once(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        self.json(self.known(self.agent.post(self.url(path))).send_json(body))
    }

    /// DELETEs, answers JSON (null if the answer is empty).
    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.known(self.agent.delete(self.url(path))).call())
    }

    /// POSTs JSON about a version of a tenant: its number, or whichever it is at.
    pub(crate) fn post_about(
        &self,
        version: Option<u64>,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Value, Failure> {
        let tag = version.map_or_else(|| "*".to_owned(), |version| format!("\"{version}\""));
        self.change(path, body, Some(&tag))
    }

    /// Sends a change until it is answered, under one key.
    fn change(
        &self,
        path: &str,
        body: &impl Serialize,
        if_match: Option<&str>,
    ) -> Result<Value, Failure> {
        let key = uuid::Uuid::now_v7().to_string();
        let mut unanswered = None;
        for again in 0..TRIES {
            if again > 0 {
                pause::pause(AGAIN * again);
            }
            let mut request = self.known(self.agent.post(self.url(path)));
            request = request.header("idempotency-key", &key);
            if let Some(tag) = if_match {
                request = request.header("if-match", tag);
            }
            match self.json(request.send_json(body)) {
                // What went wrong first tells more than that it went wrong again.
                Err(failure @ Failure::Unreachable(_)) => {
                    unanswered.get_or_insert(failure);
                }
                Err(Failure::Refused(problem)) if problem.is_under_way() => {
                    unanswered.get_or_insert(Failure::Refused(problem));
                }
                answered => return answered,
            }
        }
        Err(unanswered.unwrap_or_else(|| self.foreign("no answer")))
    }

    /// GETs a stream of events, after the one of this number.
    pub(crate) fn stream(
        &self,
        path: &str,
        after: Option<u64>,
    ) -> Result<impl Read + use<>, Failure> {
        let mut request = self.known(self.agent.get(self.url(path)));
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        let answer = request.config().timeout_global(Some(STREAM_LIMIT)).build().call();
        let answer = self.accepted(answer)?;
        Ok(answer.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// POSTs a file as a stream, answers JSON.
    pub(crate) fn upload(&self, path: &str, media: &str, file: File) -> Result<Value, Failure> {
        let request = self
            .known(self.agent.post(self.url(path)))
            .header("content-type", media)
            .config()
            .timeout_global(Some(UPLOAD_LIMIT))
            .build();
        self.json(request.send(file))
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
