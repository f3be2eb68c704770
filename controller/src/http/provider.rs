//! OpenID providers, by which people come in (OpenID Connect Core 1.0, authorization code flow with
//! PKCE, RFC 7636). It speaks with them; whom an identity lets in is the engine's to say.
//!
//! Requests go to the origin of the configured issuer alone, whatever its metadata names, follow no
//! redirect, and take little and not for long.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::http::Uri;
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
use tenure_delivery::outgoing;
use tenure_protocol::time::Timestamp;
use ureq::Agent;

use crate::{
    config::secret,
    core::identity::{self, Identity, Origin},
};

/// How long a request to a provider may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a provider's answer.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;
/// How far a provider's clock may be before ours, ms.
const SKEW_MS: i64 = 60 * 1000;

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

/// A provider.
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) issuer: IssuerUrl,
    origin: Origin,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    pub(super) acr: Vec<String>,
    agent: Agent,
}

/// An attempt to come in by it.
pub(super) struct Attempt {
    pub(super) provider: Arc<Provider>,
    pub(super) metadata: CoreProviderMetadata,
    pub(super) redirect: RedirectUrl,
    pub(super) state: String,
    pub(super) nonce: Nonce,
    pub(super) verifier: PkceCodeVerifier,
    pub(super) until: Timestamp,
}

/// Why a provider's answer is not taken. For the log: whoever tries is not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
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

impl Settings {
    /// The secret in its file.
    fn secret(&self) -> Result<Option<ClientSecret>, String> {
        let read = self.client_secret_file.as_deref().map(secret::read).transpose()?;
        Ok(read.map(|secret| ClientSecret::new(secret.reveal().to_owned())))
    }
}

impl Provider {
    /// As it is configured; `roots`, if there are any, are trusted instead of public authorities.
    pub(super) fn new(settings: &Settings, roots: &[CertificateDer<'_>]) -> Result<Self, String> {
        let origin = identity::issuer(&settings.issuer).map_err(|error| error.to_string())?;
        if settings.client_id.is_empty() {
            return Err("client_id is empty".to_owned());
        }
        let agent = outgoing::config(roots, REQUEST_LIMIT).new_agent();
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
    pub(super) fn discover(&self) -> Result<CoreProviderMetadata, ProviderError> {
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

impl Attempt {
    /// Where the person signs in.
    pub(super) fn url(&self) -> String {
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
    pub(super) fn identity(self, code: &str, now: Timestamp) -> Result<Identity, ProviderError> {
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
    // The library leaves this one to its callers.
    if claims.authorized_party().is_some_and(|party| *party != provider.client_id) {
        return Err(wrong("it is for another authorized party".to_owned()));
    }
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
