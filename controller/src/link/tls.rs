//! TLS of every port: the controller's own certificate, renewed in place, and the configurations of
//! the two QUIC ports and of the HTTP API.
//!
//! No tickets and no early data wherever clients have certificates: a resumed session skips the
//! check of the client's certificate.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use quinn::{IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicServerConfig};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;
use tenure_protocol::{
    time::Timestamp,
    wire::{ALPN, ALPN_ENROL},
};

use super::authority::{Authority, AuthorityError, SERVER_LIFE};

/// A connection that is silent for this long is over.
const IDLE_LIMIT_MS: u32 = 15_000;
/// How often the controller asks a silent agent whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bytes that one stream may have in flight towards us: one frame and its head.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024 + 8;
/// Bytes that a whole connection may have in flight towards us.
const CONNECTION_WINDOW_BYTES: u32 = 3 * STREAM_WINDOW_BYTES;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate for the controller.
    #[error("cannot issue the controller's certificate")]
    Certificate(#[from] AuthorityError),
    /// rustls does not take the certificate, its key or the settings.
    #[error("cannot set up TLS")]
    Rustls(#[from] rustls::Error),
    /// The root is no trust anchor.
    #[error("cannot verify hosts with the stored root certificate")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// QUIC needs a cipher suite that is not there.
    #[error("cannot set up QUIC")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// The controller's certificate, the same for all ports. Nobody restarts anything to renew it.
pub struct ServerCertificate {
    authority: Arc<Authority>,
    names: Vec<String>,
    current: RwLock<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    renew_at: Timestamp,
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ServerCertificate {
    /// Issues the first certificate, for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`TlsError::Certificate`], [`TlsError::Rustls`].
    pub fn new(
        authority: Arc<Authority>,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(issue(&authority, &names, now)?);
        Ok(Arc::new(Self { authority, names, current }))
    }

    /// Issues the next certificate if half of this one's life is over. To be called now and then.
    ///
    /// # Errors
    /// As [`Self::new`]; the old certificate stays.
    pub fn renew(&self, now: Timestamp) -> Result<(), TlsError> {
        if now < self.current.read().unwrap_or_else(PoisonError::into_inner).renew_at {
            return Ok(());
        }
        let next = issue(&self.authority, &self.names, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        tracing::info!("renewed the controller's certificate");
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).key.clone())
    }
}

fn issue(authority: &Authority, names: &[String], now: Timestamp) -> Result<Current, TlsError> {
    let identity = authority.issue_server(names, now)?;
    let key = CertifiedKey::from_der(identity.chain, identity.key, &provider())?;
    let half_ms = i64::try_from(SERVER_LIFE.as_millis() / 2).unwrap_or(i64::MAX);
    Ok(Current { key: Arc::new(key), renew_at: now.plus_ms(half_ms) })
}

/// Of the command port: TLS 1.3, both sides authenticated.
///
/// # Errors
/// [`TlsError`].
pub fn command_port(
    authority: &Authority,
    certificate: Arc<ServerCertificate>,
) -> Result<quinn::ServerConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root().clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let tls = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    quic(tls, ALPN)
}

/// Of the enrolment port: TLS 1.3, the controller alone is authenticated.
///
/// # Errors
/// [`TlsError`].
pub fn enrolment_port(
    certificate: Arc<ServerCertificate>,
) -> Result<quinn::ServerConfig, TlsError> {
    let tls = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    quic(tls, ALPN_ENROL)
}

/// Of the HTTP API: TLS 1.3 alone. Its clients are tenurectl, scripts and consoles; what is kept up
/// to date has spoken 1.3 since 2018. rustls keeps its feature `tls12` for what the controller
/// dials: customers' webhooks and mail relays, whose servers others choose. There 1.2 with its AEAD
/// suites, the only ones that rustls has, is better than a notice that never arrives.
///
/// With authorities, clients are asked for a certificate of one of them; they may come without.
///
/// # Errors
/// [`TlsError`].
pub fn http_port(
    certificate: Arc<ServerCertificate>,
    client_authorities: Vec<CertificateDer<'static>>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut tls = if client_authorities.is_empty() {
        builder.with_no_client_auth().with_cert_resolver(certificate)
    } else {
        let mut roots = RootCertStore::empty();
        for authority in client_authorities {
            roots.add(authority)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()?;
        let tls = builder.with_client_cert_verifier(verifier).with_cert_resolver(certificate);
        never_resumed(tls)
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn quic(mut tls: ServerConfig, alpn: &[u8]) -> Result<quinn::ServerConfig, TlsError> {
    tls.alpn_protocols = vec![alpn.to_vec()];
    let tls = never_resumed(tls);
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport()));
    // An agent whose address changes connects again; nobody else may take its session along.
    config.migration(false);
    Ok(config)
}

/// A resumed session would skip the check of the client's certificate.
fn never_resumed(mut tls: ServerConfig) -> ServerConfig {
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.max_early_data_size = 0;
    tls
}

/// Every peer opens one stream, the control or enrolment stream; the lanes are the controller's.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_LIMIT_MS))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(None);
    transport
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
