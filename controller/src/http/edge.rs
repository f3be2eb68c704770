//! The API's edge: what one connection may take, and how many there may be, before any request is
//! looked at.
//!
//! ```text
//! TCP ─ place left? ─▶ TLS 1.3 within 10 s ─▶ head within 10 s ─▶ the router, with its own limits
//!            └ closed        └ closed              └ closed; too large: 431
//! ```
//! A connection keeps its place until it ends. One address may have a part of the places alone, one
//! /48 of IPv6 a wider one, and all from where nobody of the provider came in before not all of
//! them: so no few peers take them all, and customers together leave some for whoever has to order
//! a cut.
//! [`visit`] ends the connections of strangers and those that rest.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, http::Request, response::Response};
use axum_server::{
    Handle,
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use tokio::net::TcpStream;
use tower_service::Service;

pub use self::visit::Visit;
use self::visit::{Stays, Watched};
use super::tls::Presented;
use crate::{
    engine::Engine,
    places::{Capacity, Place, Places, network_of, site_of},
};

mod visit;

/// Connections at once, and those of one address (of one /64 of IPv6) among them. A proxy before
/// the API is one address, too.
const CONNECTIONS: Capacity = Capacity { all: 512, each: 64 };
/// The same for one /48 of IPv6.
const OF_NETWORK: Capacity = Capacity { all: 512, each: 128 };
/// Connections from where nobody of the provider came in before, until somebody of it does. The
/// others' places are left.
const OF_OUTSIDERS: Capacity = Capacity { all: 384, each: 384 };
/// How long a new connection may take until its TLS stands.
const TLS_LIMIT: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may lie idle before one.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: u32 = 16 * 1024;
/// Fields of a request's head.
const MAX_HEADERS: usize = 64;
/// Requests at once on one connection of HTTP/2.
const MAX_STREAMS: u32 = 32;
/// Streams of HTTP/2 that a peer may have reset before they were looked at.
const MAX_RESETS: usize = 32;
/// How often a silent peer of HTTP/2 is asked whether it is there, and how long it may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Serves the API until the handle ends it.
///
/// # Errors
/// If the socket cannot be served.
pub async fn serve(
    socket: TcpListener,
    tls: RustlsConfig,
    router: Router,
    engine: Engine,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let mut server = axum_server::from_tcp_rustls(socket, tls)?
        .handle(handle)
        .first_request_timeout(HEAD_LIMIT)
        .accept_error_handler(|peer: Option<&SocketAddr>, error: &io::Error| {
            tracing::debug!(?peer, %error, "a connection of the API did not come about");
        });
    let http = server.http_builder();
    http.http1()
        .header_read_timeout(HEAD_LIMIT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(usize::try_from(MAX_HEAD_BYTES).unwrap_or(usize::MAX));
    http.http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    let doors = Doors {
        sites: Places::new(CONNECTIONS),
        networks: Places::new(OF_NETWORK),
        outside: Places::new(OF_OUTSIDERS),
        engine,
    };
    server
        .map(|tls| Doorkeeper { tls: tls.handshake_timeout(TLS_LIMIT), doors })
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
}

/// Lets a connection in if there is a place, and only then begins TLS.
#[derive(Debug, Clone)]
struct Doorkeeper {
    tls: RustlsAcceptor,
    doors: Doors,
}

/// All places.
#[derive(Debug, Clone)]
struct Doors {
    sites: Places<IpAddr>,
    networks: Places<IpAddr>,
    outside: Places<()>,
    engine: Engine,
}

/// The places of one connection.
#[derive(Debug)]
struct Within {
    _site: Place<IpAddr>,
    _network: Place<IpAddr>,
}

impl Doors {
    /// The places of one more connection from there, and the one outside, unless the provider comes
    /// from there.
    fn enter(&self, address: IpAddr) -> io::Result<(Within, Option<Place<()>>)> {
        let (site, network) = (site_of(address), network_of(address));
        let full = |what: String| move |own| io::Error::other(format!("no place: {own} of {what}"));
        let places = Within {
            _site: self.sites.enter(site).map_err(full(site.to_string()))?,
            _network: self.networks.enter(network).map_err(full(network.to_string()))?,
        };
        if self.engine.acquainted().is_providers(address) {
            return Ok((places, None));
        }
        let outside = self.outside.enter(()).map_err(full("all outside".to_owned()))?;
        Ok((places, Some(outside)))
    }
}

type Accepted<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl<S: Send + 'static> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Watched<<RustlsAcceptor as Accept<TcpStream, S>>::Stream>;
    type Service = Seated<<RustlsAcceptor as Accept<TcpStream, S>>::Service>;
    type Future = Accepted<(Self::Stream, Self::Service)>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let places = stream.peer_addr().and_then(|peer| self.doors.enter(peer.ip()));
        let tls = self.tls.clone();
        Box::pin(async move {
            let (places, outside) = places?;
            // An answer in two pieces would wait for the peer's delayed acknowledgement, 40 ms.
            stream.set_nodelay(true)?;
            let (stream, service) = tls.accept(stream, service).await?;
            let presented = Presented::of(stream.get_ref().1);
            let visit = Arc::new(Visit::new(outside));
            let stream = Watched::new(stream, visit.clone());
            let places = Arc::new(places);
            Ok((stream, Seated { service, presented, visit, _places: places }))
        })
    }
}

/// A service that keeps its connection's places for as long as it is held, notes what is under way
/// on it, and says of each request which certificate its connection came with.
#[derive(Debug, Clone)]
struct Seated<S> {
    service: S,
    presented: Option<Presented>,
    visit: Arc<Visit>,
    _places: Arc<Within>,
}

impl<B, S> Service<Request<B>> for Seated<S>
where
    S: Service<Request<B>, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let stays = self.visit.begin();
        request.extensions_mut().insert(self.visit.clone());
        if let Some(presented) = self.presented {
            request.extensions_mut().insert(presented);
        }
        let answer = self.service.call(request);
        Box::pin(async move {
            // Under way until the last of its body is out, as the stream of events is.
            Ok(answer.await?.map(|body| Body::new(Stays::new(body, stays))))
        })
    }
}
