//! TLS of the link: 1.3 alone, the pinned root alone, no tickets, no early data, ring.

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig};
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::CryptoProvider};
use rustls_pki_types::CertificateDer;
use tenure_protocol::wire::{ALPN, ALPN_ENROL};

use super::identity::{Identity, IdentityFailure};

/// A connection that is silent for this long is over.
const IDLE_LIMIT_MS: u32 = 15_000;
/// How often a silent controller is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bytes that one stream may have in flight towards us: one frame and its head.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024 + 8;

/// Of the enrolment port: the controller alone is authenticated.
///
/// # Errors
/// [`IdentityFailure`].
pub fn enrolment(root: &[u8]) -> Result<quinn::ClientConfig, IdentityFailure> {
    let tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(root)?)
        .with_no_client_auth();
    quic(tls, ALPN_ENROL)
}

/// Of the command port: both sides are authenticated.
///
/// # Errors
/// [`IdentityFailure`].
pub fn command(root: &[u8], identity: &Identity) -> Result<quinn::ClientConfig, IdentityFailure> {
    let tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(root)?)
        .with_client_auth_cert(identity.certificates(), identity.key()?)?;
    quic(tls, ALPN)
}

fn roots(root: &[u8]) -> Result<RootCertStore, IdentityFailure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.to_vec()))?;
    Ok(roots)
}

fn quic(mut tls: ClientConfig, alpn: &[u8]) -> Result<quinn::ClientConfig, IdentityFailure> {
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

/// The controller opens the two lanes, and nothing else.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(2))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_LIMIT_MS))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(3 * STREAM_WINDOW_BYTES))
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(None);
    transport
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
