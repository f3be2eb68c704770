//! Who is on the way to an OpenID provider and back ([`super::provider`] speaks with it).
//!
//! ```text
//! begin ─▶ attempt: state, nonce, PKCE verifier; the provider's endpoints and keys of now
//!   the person signs in at the provider; its answer comes to tenurectl on loopback (RFC 8252)
//! finish ─▶ attempt taken, whatever comes of it ─▶ code exchanged ─▶ ID token verified ─▶ who
//! ```
//! An attempt has a secret of its own, which whoever began it alone has: what stands in the
//! browser's address, state and code, is not enough to end it. Attempts are kept in memory, each
//! for ten minutes, and end with the controller.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::StatusCode;
use openidconnect::{Nonce, PkceCodeVerifier, RedirectUrl};
use rustls_pki_types::CertificateDer;
use tenure_protocol::{digest::Digest, time::Timestamp};
use tokio::{sync::Semaphore, task::spawn_blocking};
use zeroize::Zeroizing;

use super::{
    problem::Problem,
    provider::{Attempt, Provider, ProviderError, Settings},
};
use crate::{
    chance::Chance,
    core::{access, identity::Identity},
};

/// How long a person may take at the provider, ms.
const ATTEMPT_MS: i64 = 10 * 60 * 1000;
/// Attempts that are kept; a new one ends the oldest.
const ATTEMPTS_MAX: usize = 4096;
/// Requests to providers at the same time; each takes a thread.
const SLOTS: usize = 8;
/// After how long somebody may come again when all are taken, s.
const BUSY_FOR_S: u32 = 5;
/// What attempts' secrets begin with.
const ATTEMPT: &str = "tno_";
/// Where tenurectl waits for the browser, on its own machine.
const REDIRECT_PATH: &str = "/callback";

/// The providers of the site, and who is on the way back from one.
pub struct Providers {
    all: Vec<Arc<Provider>>,
    attempts: Mutex<VecDeque<(Digest, Attempt)>>,
    slots: Arc<Semaphore>,
    chance: Chance,
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

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|provider| &provider.name)).finish()
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
            access::name("a provider's name", name).map_err(|error| error.to_string())?;
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
            slots: Arc::new(Semaphore::new(SLOTS)),
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
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            let detail = "too many people come in at once: try again in a few seconds";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
            Problem { retry_after_s: Some(BUSY_FOR_S), ..problem }
        })?;
        let name = &provider.name;
        // The slot goes with the thread, which goes on when whoever asked has gone.
        let work = move || {
            let _slot = slot;
            work()
        };
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

fn refused() -> Problem {
    let detail = "what came back from the OpenID provider is not accepted: begin anew, and if it \
                  happens again ask the operators, whose log says why";
    Problem::new(StatusCode::UNAUTHORIZED, "sign-in-refused", detail)
}

fn broken() -> Problem {
    let detail = "the controller broke off; nothing is known to be done: try again";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken-off", detail)
}
