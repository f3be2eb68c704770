//! The network side's identity: a TLS key of its own and a certificate of a day.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use crate::{
    certificate::{self, CertificateFailure, HostCertificate},
    clock,
    file::{self, FileFailure},
    join::{self, Invitation},
};

/// An identity that cannot be made, kept or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFailure {
    /// No key or request.
    #[error("cannot make a TLS key and its certificate request")]
    Make(#[source] rcgen::Error),
    /// The stored identity is not readable.
    #[error("cannot read {0}: remove it and join the host again")]
    Read(PathBuf),
    /// The certificate is not what it should be.
    #[error("the certificate cannot be used")]
    Certificate(#[from] CertificateFailure),
    /// It cannot be kept.
    #[error(transparent)]
    File(#[from] FileFailure),
    /// TLS does not take it.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// QUIC does not take it.
    #[error("cannot set up QUIC")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// A key that has no certificate yet.
pub struct Request {
    key: KeyPair,
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
}

/// A key with its certificate.
pub struct Identity {
    key: Zeroizing<String>,
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// What the leaf says.
    pub certificate: HostCertificate,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Request {
    /// A new key and the request for its certificate; what it asks for, the authority decides.
    ///
    /// # Errors
    /// [`IdentityFailure::Make`].
    pub fn new() -> Result<Self, IdentityFailure> {
        let key = KeyPair::generate().map_err(IdentityFailure::Make)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).map_err(IdentityFailure::Make)?;
        Ok(Self { csr: csr.der().to_vec(), key })
    }

    /// The identity with the certificate that the authority gave, kept for the next start.
    ///
    /// # Errors
    /// [`IdentityFailure`].
    pub fn complete(
        self,
        chain: Vec<Vec<u8>>,
        state_dir: &Path,
        invitation: &Invitation,
    ) -> Result<Identity, IdentityFailure> {
        let certificate = certificate::verify(&chain, &invitation.ca_der, clock::now())?;
        let key = Zeroizing::new(self.key.serialize_pem());
        let mut text = key.clone();
        for der in &chain {
            text.push_str(&pem(der));
        }
        file::replace(&path(state_dir), text.as_bytes(), None)?;
        Ok(Identity { key, chain, certificate })
    }
}

impl Identity {
    /// The chain as rustls takes it.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }

    /// The key as rustls takes it.
    ///
    /// # Errors
    /// [`IdentityFailure::Tls`].
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, IdentityFailure> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| rustls::Error::General(error.to_string()).into())
    }
}

/// The stored identity; none if the host has to enrol: there is none, or a newer invitation lies
/// beside it.
///
/// # Errors
/// [`IdentityFailure::Read`], [`IdentityFailure::Certificate`].
pub fn load(state_dir: &Path) -> Result<Option<Identity>, IdentityFailure> {
    let path = path(state_dir);
    if !path.exists() || is_newer(&join::invitation_path(state_dir), &path) {
        return Ok(None);
    }
    let unreadable = || IdentityFailure::Read(path.clone());
    let key = Zeroizing::new(std::fs::read_to_string(&path).map_err(|_| unreadable())?);
    let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(key.as_bytes())
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable())?;
    let certificate = certificate::read(chain.first().ok_or_else(unreadable)?)?;
    Ok(Some(Identity { key, chain, certificate }))
}

fn is_newer(one: &Path, other: &Path) -> bool {
    let at = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    matches!((at(one), at(other)), (Some(one), Some(other)) if one > other)
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity.pem")
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
