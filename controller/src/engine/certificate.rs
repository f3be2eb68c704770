//! Client certificates of scripts: tokens that are shown by the key of a certificate instead of a
//! secret. Owner, role, scope, end and revocation are those of any token.
//!
//! A certificate is known by the SHA-256 of all of it, not of its key: an authority that certifies
//! the same key anew, or under another name, opens nothing until an administrator has registered
//! the new certificate, and a revoked one does not come back under the same key.

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tenure_protocol::{digest::Digest, time::Timestamp};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Call, Engine, EngineError, NewToken};
use crate::{
    core::access::Principal,
    store::{self, Certificate, TokenRecord, Tx},
};

/// Longest name of a certificate that is kept, characters.
const SUBJECT_MAX: usize = 255;

/// A certificate that is to be registered.
#[derive(Debug)]
pub(super) struct Paper {
    certificate: Certificate,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Paper {
    fn read(pem: &str) -> Result<Self, EngineError> {
        let wrong = || {
            let sentence = "`certificate` is no PEM text of one X.509 certificate: give the \
                            client's own, without its authorities and without its key";
            EngineError::Invalid(sentence.to_owned())
        };
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let all = all.map_err(|_| wrong())?;
        // A key does not belong here: whoever sends one is told, and it is kept nowhere.
        let [der] = all.as_slice() else { return Err(wrong()) };
        if pem.contains("PRIVATE KEY") {
            return Err(wrong());
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| wrong())?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        let subject = parsed.subject().to_string();
        let plain = subject.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        Ok(Self {
            certificate: Certificate {
                sha256: Digest::of(der),
                subject: plain.take(SUBJECT_MAX).collect(),
            },
            not_before: at(parsed.validity().not_before.timestamp()),
            not_after: at(parsed.validity().not_after.timestamp()),
        })
    }

    /// When the token ends: not after its certificate.
    pub(super) fn token_end(
        &self,
        now: Timestamp,
        asked: Timestamp,
    ) -> Result<Timestamp, EngineError> {
        if now < self.not_before || now >= self.not_after {
            let sentence = format!(
                "the certificate is valid from {} to {}, not now: give one that is",
                self.not_before, self.not_after
            );
            return Err(EngineError::Invalid(sentence));
        }
        Ok(asked.min(self.not_after))
    }

    /// What is kept of it.
    pub(super) fn certificate(self) -> Certificate {
        self.certificate
    }
}

/// One certificate is one token, for ever.
pub(super) async fn need_new(tx: &mut Tx, digest: Digest) -> Result<(), EngineError> {
    match store::token_by_digest(tx, digest).await? {
        None => Ok(()),
        Some(token) => Err(EngineError::Invalid(format!(
            "this certificate was registered already, as {}: give a new one",
            token.id
        ))),
    }
}

impl Engine {
    /// Registers a certificate (PEM) as a token.
    ///
    /// # Errors
    /// As [`Self::create_token`]; [`EngineError::Invalid`] too for what is no certificate, one that
    /// is not valid now, or one that was registered before.
    pub async fn register_certificate(
        &self,
        call: impl Into<Call>,
        new: NewToken,
        pem: &str,
    ) -> Result<TokenRecord, EngineError> {
        let paper = Paper::read(pem)?;
        let digest = paper.certificate.sha256;
        self.issue(call.into(), new, (digest, Some(paper)), None).await
    }

    /// Who comes with the key of this certificate; nothing if it is not registered, or has ended.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn principal_of_certificate(
        &self,
        sha256: Digest,
    ) -> Result<Option<Principal>, EngineError> {
        let now = self.inner.clock.now();
        let known = store::token_by_digest(&mut *self.inner.store.read().await?, sha256).await?;
        let known = known.filter(|token| {
            token.grant.certificate.as_ref().is_some_and(|one| one.sha256 == sha256)
        });
        self.token_principal(known, now).await
    }
}
