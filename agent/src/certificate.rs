//! What a host's certificate says, once it is verified up to the pinned root.

use std::{sync::Arc, time::Duration};

use rustls::{RootCertStore, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, UnixTime};
use tenure_protocol::{id::HostId, time::Timestamp};
use x509_parser::extensions::GeneralName;

const HOST_URI: &str = "spiffe://tenure/host/";

/// A chain that is no host's of the pinned authority.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFailure {
    /// The root is no trust anchor.
    #[error("the pinned root certificate cannot be used: join the host again")]
    Root,
    /// The chain does not lead to the root, or is not valid now.
    #[error("the certificate is not the pinned authority's, or not valid now")]
    Chain(#[source] rustls::Error),
    /// It does not name one host.
    #[error("the certificate does not name one host")]
    Name,
}

/// A host's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCertificate {
    /// The host that it names.
    pub host: HostId,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Verifies a chain (DER, leaf first) up to `root` at `now`, and reads it.
///
/// # Errors
/// [`CertificateFailure`].
pub fn verify(
    chain: &[Vec<u8>],
    root: &[u8],
    now: Timestamp,
) -> Result<HostCertificate, CertificateFailure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.to_vec())).map_err(|_| CertificateFailure::Root)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| CertificateFailure::Root)?;
    let mut chain = chain.iter().map(|der| CertificateDer::from(der.as_slice()));
    let leaf = chain.next().ok_or(CertificateFailure::Name)?;
    let rest: Vec<_> = chain.collect();
    let seconds = u64::try_from(now.unix_ms() / 1000).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_client_cert(&leaf, &rest, now).map_err(CertificateFailure::Chain)?;
    read(&leaf)
}

/// Reads a leaf that was verified before.
///
/// # Errors
/// [`CertificateFailure::Name`].
pub fn read(leaf: &[u8]) -> Result<HostCertificate, CertificateFailure> {
    let name = || CertificateFailure::Name;
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).map_err(|_| name())?;
    let names = certificate.subject_alternative_name().ok().flatten().ok_or_else(name)?;
    let [GeneralName::URI(uri)] = &names.value.general_names[..] else { return Err(name()) };
    let host = uri.strip_prefix(HOST_URI).and_then(|text| text.parse().ok()).ok_or_else(name)?;
    let at = |seconds: i64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
    Ok(HostCertificate {
        host,
        not_before: at(certificate.validity().not_before.timestamp()),
        not_after: at(certificate.validity().not_after.timestamp()),
    })
}
