//! OpenID providers, by which people come in (OpenID Connect Core 1.0, authorization code flow with
//! PKCE, RFC 7636). It speaks with them; whom an identity lets in is the engine's to say.
//!
//! ```text
//! begin ─▶ attempt: state, nonce, PKCE verifier; the provider's endpoints and keys of now
//!   the person signs in at the provider, whose answer comes back to tenurectl on loopback (RFC 8252)
//! finish ─▶ attempt taken, whatever comes of it ─▶ code exchanged ─▶ ID token verified ─▶ identity
//! ```
//! An attempt has a secret of its own, which whoever began it alone has: what stands in the browser's
//! address, state and code, is not enough to end it. Attempts are kept in memory, each for ten
//! minutes, and end with the controller.
//!
//! Requests go to the origin of the configured issuer alone, whatever its metadata names, follow no
//! redirect, and take little and not for long.

use std::{
    collections::VecDeque,
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use axum::http::{StatusCode, Uri};
use openidconnect::{
    AccessTokenHash, AuthenticationContextClass, AuthenticationFlow, AuthorizationCode, ClientId,
    ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, TokenResponse as _,
    core::{
        CoreClient, CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm,
        CoreProviderMetadata, CoreResponseType, CoreTokenResponse,
    },
};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use tenure_protocol::{digest::Digest, time::Timestamp};
use tokio::{sync::Semaphore, task::spawn_blocking};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::{
    chance::Chance,
    core::identity::{self, Identity, Origin},
};

/// How long a person may take at the provider, ms.
const ATTEMPT_MS: i64 = 10 * 60 * 1000;
/// Attempts that are kept; a new one ends the oldest.
const ATTEMPTS_MAX: usize = 4096;
/// How long a request to a provider may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a provider's answer.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;
/// Requests to providers at the same time; each takes a thread.
const SLOTS: usize = 8;
/// After how long somebody may come again when all are taken, s.
const BUSY_FOR_S: u32 = 5;
/// How far a provider's clock may be before ours, ms.
const SKEW_MS: i64 = 60 * 1000;
/// Bytes of a client's secret.
const MAX_SECRET_BYTES: u64 = 4096;
/// What attempts' secrets begin with.
const ATTEMPT: &str = "tno_";
/// Where tenurectl waits for the browser, on its own machine.
const REDIRECT_PATH: &str = "/callback";

/// The signatures that an ID token may have: public keys alone. `none`, and MACs under the client's
/// secret, are not among them.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A provider, as it is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What people call it: `tenurectl login --oidc NAME`.
    pub name: String,
    /// Its issuer, exactly as it writes it.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// File with our secret there, mode 0600; none for a client without.
    pub client_secret_file: Option<PathBuf>,
    /// Ways of signing in (`acr`), one of which the ID token must name.
    #[serde(default)]
    pub acr: Vec<String>,
    /// PEM file of authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
}

/// The providers of the site, and who is on the way back from one.
pub struct Providers {
    all: Vec<Arc<Provider>>,
    attempts: Mutex<VecDeque<(Digest, Attempt)>>,
    slots: Semaphore,
    chance: Chance,
}

struct Provider {
    name: String,
    issuer: IssuerUrl,
    origin: Origin,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    acr: Vec<String>,
    agent: Agent,
}

struct Attempt {
    provider: Arc<Provider>,
    metadata: CoreProviderMetadata,
    redirect: RedirectUrl,
    state: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    until: Timestamp,
}

/// An attempt that has begun.
pub struct Begun {
    /// Its secret, which is not kept.
    pub attempt: Zeroizing<String>,
    /// Where the person signs in.
    pub url: String,
    /// Real clock.
    pub until: Timestamp,
}

/// What came back from the provider.
pub struct Returned {
    /// The attempt's secret.
    pub attempt: Zeroizing<String>,
    /// The state.
    pub state: Zeroizing<String>,
    /// The code.
    pub code: Zeroizing<String>,
    /// Who answered (RFC 9207).
    pub iss: Option<String>,
}

/// Why a provider's answer is not taken. For the log: whoever tries is not told.
#[derive(Debug, thiserror::Error)]
enum ProviderError {
    /// No request at all.
    #[error("its metadata names {0}, which is not of the issuer's origin: nothing was sent there")]
    Elsewhere(String),
    /// The request.
    #[error("the request failed: {0}")]
    Http(String),
    /// The metadata or the keys.
    #[error("its metadata are not usable: {0}")]
    Discovery(String),
    /// The code.
    #[error("it refused the code: {0}")]
    Code(String),
    /// The answer to the code.
    #[error("its answer to the code is not usable: {0}")]
    Answer(String),
    /// The ID token.
    #[error("its ID token does not hold: {0}")]
    Token(String),
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|provider| &provider.name)).finish()
    }
}

impl Settings {
    /// The secret in its file.
    fn secret(&self) -> Result<Option<ClientSecret>, String> {
        self.client_secret_file.as_deref().map(read_secret).transpose()
    }
}

fn read_secret(path: &Path) -> Result<ClientSecret, String> {
    let wrong = |reason: &str| format!("{}: {reason}", path.display());
    let read = |error: std::io::Error| wrong(&error.to_string());
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others may read it: chmod 600 it"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(read)?;
    match text.trim() {
        "" => Err(wrong("give the secret, alone")),
        secret => Ok(ClientSecret::new(secret.to_owned())),
    }
}

impl Provider {
    fn new(settings: &Settings, roots: &[CertificateDer<'_>]) -> Result<Self, String> {
        let origin = identity::issuer(&settings.issuer).map_err(|error| error.to_string())?;
        if settings.client_id.is_empty() {
            return Err("client_id is empty".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider);
        if !roots.is_empty() {
            let roots = roots.iter().map(|der| Certificate::from_der(der).to_owned());
            tls = tls.root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(REQUEST_LIMIT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("tenure/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(16 * 1024)
            .max_idle_connections(0)
            .build()
            .new_agent();
        Ok(Self {
            name: settings.name.clone(),
            issuer: IssuerUrl::new(settings.issuer.clone()).map_err(|error| error.to_string())?,
            origin,
            client_id: ClientId::new(settings.client_id.clone()),
            client_secret: settings.secret()?,
            acr: settings.acr.clone(),
            agent,
        })
    }

    /// One request, to the issuer's own origin. Blocks its thread.
    fn send(&self, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
        self.need_own(request.uri())?;
        let failed = |error: ureq::Error| ProviderError::Http(error.to_string());
        let (head, body) = self.agent.run(request).map_err(failed)?.into_parts();
        let body = body.into_with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(failed)?;
        Ok(HttpResponse::from_parts(head, body))
    }

    fn need_own(&self, uri: &Uri) -> Result<(), ProviderError> {
        let own = Origin::of(uri).is_some_and(|origin| origin == self.origin);
        if own { Ok(()) } else { Err(ProviderError::Elsewhere(uri.to_string())) }
    }

    /// Its endpoints and keys.
    fn discover(&self) -> Result<CoreProviderMetadata, ProviderError> {
        let send = |request: HttpRequest| self.send(request);
        let metadata = CoreProviderMetadata::discover(&self.issuer, &send)
            .map_err(|error| ProviderError::Discovery(in_full(&error)))?;
        let wrong = |error: &dyn std::fmt::Display| ProviderError::Discovery(error.to_string());
        let token = metadata.token_endpoint().ok_or_else(|| wrong(&"no token endpoint"))?;
        for url in [metadata.authorization_endpoint().as_str(), token.as_str()] {
            self.need_own(&url.parse().map_err(|error| wrong(&error))?)?;
        }
        Ok(metadata)
    }
}

impl Providers {
    /// Of the site: each with the authorities that it is trusted by, the public ones if there are
    /// none.
    ///
    /// # Errors
    /// A sentence: which provider, and what to do.
    pub fn new(all: &[(&Settings, Vec<CertificateDer<'static>>)]) -> Result<Self, String> {
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for (settings, roots) in all {
            let name = &settings.name;
            crate::core::access::name("a provider's name", name)
                .map_err(|error| error.to_string())?;
            if providers.iter().any(|one| one.name == *name) {
                return Err(format!("{name} stands there twice"));
            }
            let provider =
                Provider::new(settings, roots).map_err(|error| format!("{name}: {error}"))?;
            if provider.acr.is_empty() {
                tracing::warn!(
                    name,
                    "no acr is asked of this provider: it alone says how people sign in there, \
                     with a second factor or without"
                );
            }
            providers.push(Arc::new(provider));
        }
        Ok(Self {
            all: providers,
            attempts: Mutex::default(),
            slots: Semaphore::new(SLOTS),
            chance: Chance::default(),
        })
    }

    /// The provider of this name, or the only one.
    fn find(&self, name: Option<&str>) -> Result<&Arc<Provider>, Problem> {
        let found = match (name, self.all.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|provider| provider.name == name),
        };
        found.ok_or_else(|| {
            let names: Vec<_> = self.all.iter().map(|provider| provider.name.as_str()).collect();
            let detail = if names.is_empty() {
                "this controller has no OpenID provider: come in by password".to_owned()
            } else {
                format!("name one of this controller's OpenID providers: {}", names.join(", "))
            };
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-provider", detail)
        })
    }

    /// The issuer of the provider of this name.
    ///
    /// # Errors
    /// The answer, if there is none.
    pub fn issuer(&self, name: &str) -> Result<String, Problem> {
        Ok(self.find(Some(name))?.issuer.as_str().to_owned())
    }

    /// Begins an attempt, whose end comes to this port of the person's own machine.
    ///
    /// # Errors
    /// The answer.
    pub async fn begin(
        &self,
        name: Option<&str>,
        port: u16,
        now: Timestamp,
    ) -> Result<Begun, Problem> {
        let provider = self.find(name)?.clone();
        let asked = provider.clone();
        let metadata = self.ask(&provider, move || asked.discover()).await?;
        let redirect = format!("http://127.0.0.1:{port}{REDIRECT_PATH}");
        let attempt = Attempt {
            redirect: RedirectUrl::new(redirect).map_err(|_| broken())?,
            state: self.draw("")?.to_string(),
            nonce: Nonce::new(self.draw("")?.to_string()),
            verifier: PkceCodeVerifier::new(self.draw("")?.to_string()),
            until: now.plus_ms(ATTEMPT_MS),
            metadata,
            provider,
        };
        let secret = self.draw(ATTEMPT)?;
        let begun = Begun { attempt: secret.clone(), url: attempt.url(), until: attempt.until };
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        while attempts.front().is_some_and(|(_, old)| old.until <= now)
            || attempts.len() >= ATTEMPTS_MAX
        {
            attempts.pop_front();
        }
        attempts.push_back((Digest::of(secret.as_bytes()), attempt));
        Ok(begun)
    }

    /// Ends an attempt: who came back, as the provider has signed it.
    ///
    /// # Errors
    /// The answer.
    pub async fn finish(&self, returned: Returned, now: Timestamp) -> Result<Identity, Problem> {
        let digest = Digest::of(returned.attempt.as_bytes());
        let taken = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let at = attempts.iter().position(|(one, _)| *one == digest);
            at.and_then(|at| attempts.remove(at)).map(|(_, attempt)| attempt)
        };
        let Some(attempt) = taken.filter(|attempt| now < attempt.until) else {
            let detail = "this attempt to come in is over, or there was none: begin a new one";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "attempt-over", detail));
        };
        let same =
            |one: &str, other: &str| Digest::of(one.as_bytes()) == Digest::of(other.as_bytes());
        let issuer = attempt.provider.issuer.as_str();
        if !same(&attempt.state, &returned.state) || returned.iss.is_some_and(|iss| iss != issuer) {
            tracing::warn!(issuer, "a sign-in was refused: another state or issuer came back");
            return Err(refused());
        }
        let provider = attempt.provider.clone();
        self.ask(&provider, move || attempt.identity(&returned.code, now)).await
    }

    /// Asks a provider, on a thread of its own.
    async fn ask<T: Send + 'static>(
        &self,
        provider: &Provider,
        work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, Problem> {
        let _slot = self.slots.try_acquire().map_err(|_| {
            let detail = "too many people come in at once: try again in a few seconds";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
            Problem { retry_after_s: Some(BUSY_FOR_S), ..problem }
        })?;
        let name = &provider.name;
        match spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error @ (ProviderError::Code(_) | ProviderError::Token(_)))) => {
                tracing::warn!(provider = name, %error, "a sign-in was refused");
                Err(refused())
            }
            Ok(Err(error)) => {
                tracing::error!(provider = name, %error, "the OpenID provider failed");
                let detail = format!("the OpenID provider {name} does not answer as it should");
                Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "provider-failed",
                    format!("{detail}: come in by password, and tell the operators"),
                ))
            }
            Err(error) => {
                tracing::error!(%error, "a question to an OpenID provider broke off");
                Err(broken())
            }
        }
    }

    fn draw(&self, prefix: &str) -> Result<Zeroizing<String>, Problem> {
        let seed = Zeroizing::new(self.chance.draw().map_err(|error| {
            tracing::error!(%error, "the system gave no random bytes");
            broken()
        })?);
        Ok(Zeroizing::new(format!("{prefix}{}", hex::encode(seed.as_slice()))))
    }
}

impl Attempt {
    /// Where the person signs in.
    fn url(&self) -> String {
        let client = CoreClient::from_provider_metadata(
            self.metadata.clone(),
            self.provider.client_id.clone(),
            None,
        )
        .set_redirect_uri(self.redirect.clone());
        let (state, nonce) = (self.state.clone(), self.nonce.clone());
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || CsrfToken::new(state),
                move || nonce,
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&self.verifier));
        for acr in &self.provider.acr {
            request = request.add_auth_context_value(AuthenticationContextClass::new(acr.clone()));
        }
        request.url().0.to_string()
    }

    /// Exchanges the code, and verifies what comes for it.
    fn identity(self, code: &str, now: Timestamp) -> Result<Identity, ProviderError> {
        let Self { provider, metadata, redirect, nonce, verifier, .. } = self;
        let client = CoreClient::from_provider_metadata(
            metadata,
            provider.client_id.clone(),
            provider.client_secret.clone(),
        )
        .set_redirect_uri(redirect);
        let send = |request: HttpRequest| provider.send(request);
        let answer = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| ProviderError::Answer(error.to_string()))?
            .set_pkce_verifier(verifier)
            .request(&send)
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(answer) => {
                    ProviderError::Code(answer.error().to_string())
                }
                RequestTokenError::Request(error) => error,
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    ProviderError::Answer(in_full(&error))
                }
            })?;
        let token = answer
            .id_token()
            .ok_or_else(|| ProviderError::Answer("there is no ID token in it".to_owned()))?;
        let verifier = client.id_token_verifier();
        verified(&provider, token, &answer, verifier, &nonce, now)
    }
}

/// Verifies an ID token (OpenID Connect Core 1.0, section 3.1.3.7): issuer, audience and no other
/// one, authorized party, algorithm, signature, end, nonce; and what is asked for beyond: when it
/// was issued, the access token's digest, the way of signing in.
fn verified(
    provider: &Provider,
    token: &CoreIdToken,
    answer: &CoreTokenResponse,
    verifier: CoreIdTokenVerifier<'_>,
    nonce: &Nonce,
    now: Timestamp,
) -> Result<Identity, ProviderError> {
    let wrong = |reason: String| ProviderError::Token(reason);
    let now_ms = now.unix_ms();
    let at = UNIX_EPOCH + Duration::from_millis(now_ms.unsigned_abs());
    let acr = &provider.acr;
    let verifier = verifier
        .set_allowed_algs(ALGORITHMS)
        .set_other_audience_verifier_fn(|_| false)
        .set_time_fn(move || at.into())
        .set_issue_time_verifier_fn(move |issued| {
            let early = issued.timestamp_millis() > now_ms.saturating_add(SKEW_MS);
            if early { Err("it is issued in the future".to_owned()) } else { Ok(()) }
        })
        .set_auth_context_verifier_fn(move |given| {
            let good = acr.is_empty() || given.is_some_and(|given| acr.contains(given));
            if good { Ok(()) } else { Err("it names no acr that is asked for".to_owned()) }
        });
    let claims = token.claims(&verifier, nonce).map_err(|error| wrong(in_full(&error)))?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| wrong(error.to_string()))?;
        let key = token.signing_key(&verifier).map_err(|error| wrong(error.to_string()))?;
        let is = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
            .map_err(|error| wrong(error.to_string()))?;
        if is != *expected {
            return Err(wrong("it is of another access token".to_owned()));
        }
    }
    let subject = claims.subject().as_str().to_owned();
    identity::subject(&subject).map_err(|error| wrong(error.to_string()))?;
    Ok(Identity { issuer: provider.issuer.as_str().to_owned(), subject })
}

/// An error with what lies below it.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text.push_str(&format!(": {source}"));
        below = source.source();
    }
    text
}

fn refused() -> Problem {
    let detail = "what came back from the OpenID provider is not accepted: begin anew, and if it \
                  happens again ask the operators, whose log says why";
    Problem::new(StatusCode::UNAUTHORIZED, "sign-in-refused", detail)
}

fn broken() -> Problem {
    let detail = "the controller broke off; nothing is known to be done: try again";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken-off", detail)
}
