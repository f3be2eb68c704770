//! The two UDP ports, and how many may come in at once.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsFd as _,
    sync::Arc,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    engine::Engine,
    places::{Capacity, Place, Places, site_of},
};

/// Handshakes at once. A herd of agents comes up sooner one after another than all together.
const MAX_HANDSHAKES: usize = 64;
/// Handshakes of one address (one /64 of IPv6) at once; those of forged addresses count apart.
const EACH: usize = 16;
/// Handshakes of strangers at once: the other places are for peers from where somebody came in
/// before, also after a restart.
const OF_STRANGERS: usize = 48;
/// With fewer places left than this, a peer has to show first that it owns its address.
const RETRY_BELOW: usize = MAX_HANDSHAKES / 2;
/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of the sockets' buffers: a herd's first packets wait there.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A port that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on UDP {address} ({purpose}): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Which port it was to be.
        purpose: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Keys that a restarted controller has to have again, so that agents notice the restart in a round
/// trip instead of by silence: both make the stateless resets that answer packets of old sessions.
pub struct ResetKeys {
    /// For the resets' tokens.
    pub reset: Zeroizing<[u8; 64]>,
    /// For connection ids.
    pub connection_ids: u64,
}

impl std::fmt::Debug for ResetKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetKeys")
    }
}

/// Opens one port.
///
/// # Errors
/// [`ListenError::Bind`].
pub fn open(
    address: SocketAddr,
    purpose: &'static str,
    config: ServerConfig,
    keys: &ResetKeys,
) -> Result<Endpoint, ListenError> {
    let failed = |source| ListenError::Bind { address, purpose, source };
    let socket = std::net::UdpSocket::bind(address).map_err(failed)?;
    // Beyond net.core.rmem_max this needs CAP_NET_ADMIN; a smaller buffer works too.
    if setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        let _ = setsockopt(&socket.as_fd(), sockopt::RcvBuf, &BUFFER_BYTES);
    }
    let _ = setsockopt(&socket.as_fd(), sockopt::SndBuf, &BUFFER_BYTES);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, keys.reset.as_slice());
    let mut endpoint = EndpointConfig::new(Arc::new(key));
    let ids = keys.connection_ids;
    endpoint
        .cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(ids)));
    Endpoint::new(endpoint, Some(config), socket, Arc::new(TokioRuntime)).map_err(failed)
}

/// A place among the handshakes, until it is dropped.
pub(super) struct Handshake {
    _place: OwnedSemaphorePermit,
    _share: Place<(IpAddr, bool)>,
    _stranger: Option<Place<()>>,
}

/// Accepts connections until the endpoint is closed. `serve` gets each with its place among the
/// handshakes, and gives the place back when the peer is in.
pub(super) async fn accept<F, S>(endpoint: Endpoint, engine: Engine, serve: F)
where
    F: Fn(Connection, Handshake) -> S + Clone + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let shares = Places::new(Capacity { all: MAX_HANDSHAKES, each: EACH });
    let strangers = Places::new(Capacity { all: OF_STRANGERS, each: OF_STRANGERS });
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Some(incoming) = endpoint.accept().await else { return };
        let busy = places.available_permits() < RETRY_BELOW;
        let shown = incoming.remote_address_validated();
        let address = incoming.remote_address().ip();
        let share = shares.enter((site_of(address), shown));
        // Anybody can forge an address that is known.
        let known = shown && engine.acquainted().is_providers(address);
        let stranger = if known { Ok(None) } else { strangers.enter(()).map(Some) };
        let full = busy || share.is_err() || stranger.is_err();
        if full && !shown && incoming.may_retry() {
            // The address is forged, or its owner comes again at once.
            let _ = incoming.retry();
            continue;
        }
        let (Ok(share), Ok(stranger)) = (share, stranger) else {
            incoming.refuse();
            continue;
        };
        let place = Handshake { _place: place, _share: share, _stranger: stranger };
        let serve = serve.clone();
        tokio::spawn(async move {
            if let Some(connection) = shake_hands(incoming).await {
                serve(connection, place).await;
            }
        });
    }
}

async fn shake_hands(incoming: Incoming) -> Option<Connection> {
    let remote = incoming.remote_address();
    match timeout(HANDSHAKE_LIMIT, incoming).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            tracing::warn!(%remote, %error, "a handshake failed");
            None
        }
        Err(_) => {
            tracing::warn!(%remote, "a handshake took too long");
            None
        }
    }
}
