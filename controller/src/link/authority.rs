//! The private certificate authority: a root that may be taken offline, an online intermediate that
//! issues the controller's server certificates and the hosts' client certificates.
//!
//! Time is a parameter, and every validity is explicit: it begins one minute before `now`, for
//! hosts whose clocks are behind. Keys are ECDSA P-256, which every TLS peer of the API takes.
//! Server and client certificates have one extended key usage each, so that neither can be used as
//! the other.

use std::{net::IpAddr, str::FromStr as _, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKey, SanType,
    SerialNumber,
};
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime,
    pem::PemObject as _,
};
use tenure_protocol::{id::HostId, time::Timestamp};
use zeroize::Zeroizing;

/// Life of the root certificate.
pub const ROOT_LIFE: Duration = days(3652);
/// Life of the intermediate certificate.
pub const INTERMEDIATE_LIFE: Duration = days(730);
/// Life of a server certificate; the controller renews its own at half of it.
pub const SERVER_LIFE: Duration = days(30);
/// Life of a host's certificate; hosts renew between 50 and 70 % of it.
pub const HOST_LIFE: Duration = days(1);
/// How long before `now` a certificate begins to be valid.
const BACKDATE: Duration = Duration::from_secs(60);
/// Bytes that a certificate request may have. One for a P-256 key has under 500.
const MAX_REQUEST_BYTES: usize = 8 * 1024;
const HOST_URI: &str = "spiffe://tenure/host/";

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A key could not be made.
    #[error("cannot make a key")]
    MakeKey(#[source] rcgen::Error),
    /// The system gave no random bytes.
    #[error("cannot get random bytes for a serial number")]
    Random(#[source] getrandom::Error),
    /// A certificate could not be signed.
    #[error("cannot sign the certificate of {subject}")]
    Sign {
        /// Whose certificate.
        subject: String,
        /// What the encoder said.
        #[source]
        source: rcgen::Error,
    },
    /// A stored certificate or key is not what it should be.
    #[error("{what} of the certificate authority cannot be read: restore the state directory")]
    Stored {
        /// Which one.
        what: &'static str,
    },
    /// A server name is neither a DNS name nor an IP address.
    #[error("{0:?} is neither a DNS name nor an IP address: mend server_names")]
    ServerName(String),
    /// A certificate request is malformed, or not signed by the key that it names.
    #[error("the certificate request is not usable ({0}): make a new key and request")]
    Request(String),
    /// A peer's certificate is not one that this authority gives to hosts.
    #[error("the certificate does not name one host")]
    NotAHost,
}

/// What `create` makes and the state directory keeps. PEM.
pub struct AuthorityFiles {
    /// The root certificate: public, every client pins it.
    pub root: String,
    /// The root's key: may be moved off the machine, it is needed for a new intermediate alone.
    pub root_key: Zeroizing<String>,
    /// The intermediate certificate.
    pub intermediate: String,
    /// The intermediate's key.
    pub intermediate_key: Zeroizing<String>,
}

impl std::fmt::Debug for AuthorityFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorityFiles").finish_non_exhaustive()
    }
}

/// The online part of the authority.
pub struct Authority {
    root: CertificateDer<'static>,
    intermediate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A server certificate with its chain and key.
#[derive(Debug)]
pub struct ServerIdentity {
    /// Leaf first, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8.
    pub key: PrivateKeyDer<'static>,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// A certificate request whose sender has proved to have its key. What else it asks for is not
/// kept.
#[derive(Debug)]
pub struct HostRequest {
    key: PublicKey,
}

/// What a host's certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostIdentity {
    /// The host.
    pub host: HostId,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// Makes a new authority.
///
/// # Errors
/// [`AuthorityError::MakeKey`], [`AuthorityError::Random`], [`AuthorityError::Sign`].
pub fn create(now: Timestamp) -> Result<AuthorityFiles, AuthorityError> {
    let root_key = KeyPair::generate().map_err(AuthorityError::MakeKey)?;
    let root_params = authority_params("Tenure root", 1, now, ROOT_LIFE)?;
    let root = root_params.self_signed(&root_key).map_err(signing("the root"))?;
    let key = KeyPair::generate().map_err(AuthorityError::MakeKey)?;
    let params = authority_params("Tenure intermediate", 0, now, INTERMEDIATE_LIFE)?;
    let root_key_pem = Zeroizing::new(root_key.serialize_pem());
    let intermediate = params
        .signed_by(&key, &Issuer::new(root_params, root_key))
        .map_err(signing("the intermediate"))?;
    Ok(AuthorityFiles {
        root: root.pem(),
        root_key: root_key_pem,
        intermediate: intermediate.pem(),
        intermediate_key: Zeroizing::new(key.serialize_pem()),
    })
}

impl Authority {
    /// Reads the online part from PEM. The root's key is not needed.
    ///
    /// # Errors
    /// [`AuthorityError::Stored`].
    pub fn load(root: &str, intermediate: &str, key: &str) -> Result<Self, AuthorityError> {
        let stored = |what| AuthorityError::Stored { what };
        let root =
            CertificateDer::from_pem_slice(root.as_bytes()).map_err(|_| stored("the root"))?;
        let intermediate = CertificateDer::from_pem_slice(intermediate.as_bytes())
            .map_err(|_| stored("the intermediate certificate"))?;
        let key = KeyPair::from_pem(key).map_err(|_| stored("the intermediate key"))?;
        let issuer = Issuer::from_ca_cert_der(&intermediate, key)
            .map_err(|_| stored("the intermediate certificate"))?;
        Ok(Self { root, intermediate, issuer })
    }

    /// The root certificate.
    #[must_use]
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// A server certificate with a new key, for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`AuthorityError::ServerName`] and what signing gives.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<ServerIdentity, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::MakeKey)?;
        let sans = names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        let mut params = leaf_params("Tenure controller", now, SERVER_LIFE)?;
        params.subject_alt_names = sans;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).map_err(signing("the controller"))?;
        Ok(ServerIdentity {
            chain: vec![leaf.der().clone(), self.intermediate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            not_after: end(now, SERVER_LIFE),
        })
    }

    /// A host's certificate: its only name is the host's URI, whatever the request asked for. Leaf
    /// first, then the intermediate; DER.
    ///
    /// # Errors
    /// [`AuthorityError::Random`], [`AuthorityError::Sign`].
    pub fn issue_host(
        &self,
        host: HostId,
        request: &HostRequest,
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, AuthorityError> {
        let subject = host.to_string();
        let mut params = leaf_params(&subject, now, HOST_LIFE)?;
        let uri = format!("{HOST_URI}{host}");
        params.subject_alt_names =
            vec![SanType::URI(uri.as_str().try_into().map_err(signing(&subject))?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&request.key, &self.issuer).map_err(signing(&subject))?;
        Ok(vec![leaf.der().to_vec(), self.intermediate.to_vec()])
    }
}

impl HostRequest {
    /// Reads a PKCS#10 request and checks that its sender has the key.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub fn parse(der: &[u8]) -> Result<Self, AuthorityError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(AuthorityError::Request(format!("over {MAX_REQUEST_BYTES} bytes")));
        }
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
                .map_err(|error| AuthorityError::Request(error.to_string()))?;
        Ok(Self { key: request.public_key })
    }
}

impl HostIdentity {
    /// What a verified client certificate says. Exactly one name, a host's URI, is taken.
    ///
    /// # Errors
    /// [`AuthorityError::NotAHost`].
    pub fn of_certificate(der: &[u8]) -> Result<Self, AuthorityError> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| AuthorityError::NotAHost)?;
        let names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .ok_or(AuthorityError::NotAHost)?;
        let [x509_parser::extensions::GeneralName::URI(uri)] = &names.value.general_names[..]
        else {
            return Err(AuthorityError::NotAHost);
        };
        let host = uri
            .strip_prefix(HOST_URI)
            .and_then(|text| HostId::from_str(text).ok())
            .filter(|host| host.to_string().len() + HOST_URI.len() == uri.len())
            .ok_or(AuthorityError::NotAHost)?;
        let seconds = certificate.validity().not_after.timestamp();
        Ok(Self { host, not_after: Timestamp::from_unix_ms(seconds.saturating_mul(1000)) })
    }
}

fn signing(subject: &str) -> impl FnOnce(rcgen::Error) -> AuthorityError {
    move |source| AuthorityError::Sign { subject: subject.to_owned(), source }
}

fn server_name(name: &str) -> Result<SanType, AuthorityError> {
    let wrong = || AuthorityError::ServerName(name.to_owned());
    if let Ok(address) = IpAddr::from_str(name) {
        return Ok(SanType::IpAddress(address));
    }
    rustls_pki_types::DnsName::try_from(name).map_err(|_| wrong())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| wrong())?))
}

fn authority_params(
    name: &str,
    path_length: u8,
    now: Timestamp,
    life: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = base_params(name, now, life)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf_params(
    name: &str,
    now: Timestamp,
    life: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = base_params(name, now, life)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn base_params(
    name: &str,
    now: Timestamp,
    life: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(now).saturating_sub(BACKDATE);
    params.not_after = epoch + since_epoch(end(now, life));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(AuthorityError::Random)?;
    // RFC 5280 §4.1.2.2: a positive integer.
    serial[0] &= 0x7f;
    serial[0] |= 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Whole seconds, since certificates know no smaller unit.
fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.unix_ms() / 1000).unwrap_or(0))
}

fn end(now: Timestamp, life: Duration) -> Timestamp {
    now.plus_ms(i64::try_from(life.as_millis()).unwrap_or(i64::MAX))
}

/// `now` as rustls takes it.
#[must_use]
pub fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(since_epoch(now))
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
