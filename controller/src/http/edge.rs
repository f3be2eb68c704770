//! The API's edge: what one connection may take, and how many there may be, before any request is
//! looked at.
//!
//! ```text
//! TCP ─ place left? ─▶ TLS 1.3 within 10 s ─▶ head within 10 s ─▶ the router, with its own limits
//!            └ closed        └ closed              └ closed; too large: 431
//! ```
//! A connection keeps its place until it ends. One address may have a part of the places alone, so
//! that one peer cannot take them all.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, http::Request};
use axum_server::{
    Handle,
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::tls::Presented;
use crate::places::{Limits, Place, Places, site_of};

/// Connections at once, and those of one address (of one /64 of IPv6) among them. A proxy before
/// the API is one address, too.
const CONNECTIONS: Limits = Limits { all: 512, each: 64 };
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
    let doors = Places::new(CONNECTIONS);
    server
        .map(|tls| Doorkeeper { tls: tls.handshake_timeout(TLS_LIMIT), doors })
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
}

/// Lets a connection in if there is a place, and only then begins TLS.
#[derive(Debug, Clone)]
struct Doorkeeper {
    tls: RustlsAcceptor,
    doors: Places<IpAddr>,
}

type Accepted<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl<S: Send + 'static> Accept<TcpStream, S> for Doorkeeper {
    type Stream = <RustlsAcceptor as Accept<TcpStream, S>>::Stream;
    type Service = Seated<<RustlsAcceptor as Accept<TcpStream, S>>::Service>;
    type Future = Accepted<(Self::Stream, Self::Service)>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().and_then(|peer| {
            let site = site_of(peer.ip());
            self.doors.enter(site).map_err(|own| {
                io::Error::other(format!("no place is left: {own} connections of {site}"))
            })
        });
        let tls = self.tls.clone();
        Box::pin(async move {
            let place = Arc::new(place?);
            let (stream, service) = tls.accept(stream, service).await?;
            let presented = Presented::of(stream.get_ref().1);
            Ok((stream, Seated { service, presented, _place: place }))
        })
    }
}

/// A service that keeps its connection's place for as long as it is held, and says of each request
/// which certificate its connection came with.
#[derive(Debug, Clone)]
struct Seated<S> {
    service: S,
    presented: Option<Presented>,
    _place: Arc<Place<IpAddr>>,
}

impl<B, S: Service<Request<B>>> Service<Request<B>> for Seated<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(presented) = self.presented {
            request.extensions_mut().insert(presented);
        }
        self.service.call(request)
    }
}
