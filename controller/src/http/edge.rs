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
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use tokio::net::TcpStream;
use tower_service::Service;

/// Connections at once.
const MAX_CONNECTIONS: usize = 512;
/// Connections of one address at once. A proxy before the API is one address, too.
const MAX_CONNECTIONS_OF_ADDRESS: usize = 64;
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
    let doors = Arc::new(Doors::default());
    server
        .map(|tls| Doorkeeper { tls: tls.handshake_timeout(TLS_LIMIT), doors })
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
}

/// Who is in.
#[derive(Debug, Default)]
struct Doors {
    inside: Mutex<HashMap<IpAddr, usize>>,
}

impl Doors {
    /// A place for one more connection of this address, until it is dropped.
    fn enter(self: &Arc<Self>, address: IpAddr) -> io::Result<Place> {
        let mut inside = self.inside();
        let of_address = inside.get(&address).copied().unwrap_or(0);
        if of_address >= MAX_CONNECTIONS_OF_ADDRESS
            || inside.values().sum::<usize>() >= MAX_CONNECTIONS
        {
            return Err(io::Error::other(format!(
                "no place is left: {of_address} connections of {address}"
            )));
        }
        inside.insert(address, of_address + 1);
        Ok(Place { doors: self.clone(), address })
    }

    fn leave(&self, address: IpAddr) {
        let mut inside = self.inside();
        match inside.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                inside.remove(&address);
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection.
#[derive(Debug)]
struct Place {
    doors: Arc<Doors>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doors.leave(self.address);
    }
}

/// Lets a connection in if there is a place, and only then begins TLS.
#[derive(Debug, Clone)]
struct Doorkeeper {
    tls: RustlsAcceptor,
    doors: Arc<Doors>,
}

type Accepted<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl<S: Send + 'static> Accept<TcpStream, S> for Doorkeeper {
    type Stream = <RustlsAcceptor as Accept<TcpStream, S>>::Stream;
    type Service = Seated<<RustlsAcceptor as Accept<TcpStream, S>>::Service>;
    type Future = Accepted<(Self::Stream, Self::Service)>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().and_then(|peer| self.doors.enter(peer.ip().to_canonical()));
        let tls = self.tls.clone();
        Box::pin(async move {
            let place = Arc::new(place?);
            let (stream, service) = tls.accept(stream, service).await?;
            Ok((stream, Seated { service, _place: place }))
        })
    }
}

/// A service that keeps its connection's place for as long as it is held.
#[derive(Debug, Clone)]
struct Seated<S> {
    service: S,
    _place: Arc<Place>,
}

impl<R, S: Service<R>> Service<R> for Seated<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_part_of_the_places_all_together_have_the_whole_and_each_is_given_back() {
        let doors = Arc::new(Doors::default());
        let enter = |last: u8| doors.enter(IpAddr::from([192, 0, 2, last]));
        let mut inside = Vec::new();
        for last in 0..8 {
            inside.extend((0..64).map(|_| enter(last).expect("a place")));
            enter(last).expect_err("its part is taken");
        }
        enter(9).expect_err("all are taken");
        inside.pop();
        let place = enter(9).expect("one was given back");
        enter(9).expect_err("all are taken");
        drop((place, inside));
        assert!(doors.inside().is_empty());
    }
}
