//! The enrolment port: a host with a join token becomes known and gets its first certificate, and a
//! known host that was off past the end of its certificate re-joins with its host key.
//!
//! ```text
//! EnrolRequest ── signed? ─ token good? ──────────────────▶ known, certificate
//! RejoinRequest ─ known? ─ signed? ─ blocked? ─ too often? ▶ certificate
//! ```
//! Everything is checked before the token is spent: a host that sends a bad request may mend it and
//! try again with the same token. Signatures are over the TLS exporter, so that none can be used in
//! another session. An address from which many requests were refused waits.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use quinn::Connection;
use tenure_protocol::{
    id::HostId,
    wire::{
        frame::{Frame, Kind},
        v1::{EnrolAnswer, EnrolRequest, RejoinRequest},
    },
};
use tokio::time::timeout;

use super::{
    Link,
    authority::{AuthorityError, HostRequest},
    pace::{Limit, Paces},
    session,
    sessions::Closing,
    stream::{self, StreamError},
};
use crate::{acquainted::HOST, engine::EngineError};

/// How long an enrolment may take in all.
const LIMIT: Duration = Duration::from_secs(10);
/// Requests of one address that may be refused.
const REFUSALS: Limit = Limit { burst: 60, pause_ms: 2_000 };
/// Addresses that are held in mind for their refused requests.
const MAX_ADDRESSES: usize = 16_384;
/// Certificates that one host may get by re-joining.
const REJOINS: Limit = Limit { burst: 5, pause_ms: 60_000 };
/// Hosts that are held in mind for having re-joined: as many as one controller is made for.
const MAX_REJOINING_HOSTS: usize = 16_384;

/// Who comes too often.
#[derive(Debug)]
pub(super) struct Gate {
    refusals: Paces<IpAddr>,
    rejoins: Paces<HostId>,
}

impl Default for Gate {
    fn default() -> Self {
        let refusals = Paces::new(REFUSALS, MAX_ADDRESSES);
        Self { refusals, rejoins: Paces::new(REJOINS, MAX_REJOINING_HOSTS) }
    }
}

#[derive(Debug, thiserror::Error)]
enum EnrolmentError {
    #[error("the connection ended")]
    Connection(#[from] quinn::ConnectionError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("cannot make the host known")]
    Engine(#[from] EngineError),
    #[error("cannot issue the host's certificate")]
    Issue(#[from] AuthorityError),
}

/// Serves a connection of the enrolment port to its end: one request, one answer.
pub(super) async fn serve(link: &Link, connection: Connection) {
    let remote = connection.remote_address();
    match timeout(LIMIT, enrol(link, &connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%remote, error, "an enrolment broke off");
        }
        Err(_) => tracing::warn!(%remote, "an enrolment took too long"),
    }
    Closing::Enrolled.close(&connection);
}

async fn enrol(link: &Link, connection: &Connection) -> Result<(), EnrolmentError> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    let frame = stream::read(&mut recv).await?;
    let remote = connection.remote_address();
    let from = network(remote);
    let answer = if link.gate.refusals.is_free(&from, link.clock.now()) {
        answer(link, connection, &frame).await?
    } else {
        refused("too-many-requests", "too many requests of this address were refused: wait")
    };
    if let EnrolAnswer::Refused { code, message } = &answer {
        tracing::warn!(%remote, code, message, "refused an enrolment");
        link.gate.refusals.take(from, link.clock.now());
    }
    stream::write(&mut send, Kind::EnrolAnswer, &answer).await?;
    // Waits until the host has the answer; closing at once could overtake it.
    let _ = send.finish();
    let _ = send.stopped().await;
    Ok(())
}

/// Whose requests are counted together: an IPv4 address, or a network of IPv6.
fn network(remote: SocketAddr) -> IpAddr {
    match remote.ip().to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

async fn answer(
    link: &Link,
    connection: &Connection,
    frame: &Frame,
) -> Result<EnrolAnswer, EnrolmentError> {
    if frame.kind == Kind::RejoinRequest as u16 {
        return match frame.decode::<RejoinRequest>(Kind::RejoinRequest) {
            Ok(request) => rejoin(link, connection, &request).await,
            Err(error) => Ok(refused("bad-request", &error.to_string())),
        };
    }
    match frame.decode::<EnrolRequest>(Kind::EnrolRequest) {
        Ok(request) => decide(link, connection, request).await,
        Err(error) => Ok(refused("bad-request", &error.to_string())),
    }
}

/// The next certificate of a host that is known, for its host key's signature in this session.
async fn rejoin(
    link: &Link,
    connection: &Connection,
    request: &RejoinRequest,
) -> Result<EnrolAnswer, EnrolmentError> {
    let csr = match HostRequest::parse(&request.csr) {
        Ok(csr) => csr,
        Err(error) => return Ok(refused("bad-request", &error.to_string())),
    };
    let host = match link.engine.host(request.host).await {
        Ok(host) => host,
        Err(EngineError::NotFound(_)) => {
            let message = "no host of this id has joined here: join it with a new token";
            return Ok(refused("unknown-host", message));
        }
        Err(error) => return Err(error.into()),
    };
    if !session::signed(connection, &host.host_key, &request.csr, &request.signature) {
        let message = "the request is not signed by this host's key in this session";
        return Ok(refused("bad-signature", message));
    }
    if host.block().is_some() {
        return Ok(refused("host-blocked", &EngineError::Blocked.to_string()));
    }
    let now = link.clock.now();
    if !link.gate.rejoins.take(host.id, now) {
        let message = "this host re-joins too often: mend its clock or its state directory";
        return Ok(refused("too-many-requests", message));
    }
    let chain = link.authority.issue_host(host.id, &csr, now)?;
    tracing::info!(host = %host.id, name = host.name, "a host re-joined with its key");
    Ok(EnrolAnswer::Accepted { host: host.id, chain })
}

async fn decide(
    link: &Link,
    connection: &Connection,
    request: EnrolRequest,
) -> Result<EnrolAnswer, EnrolmentError> {
    let csr = match HostRequest::parse(&request.csr) {
        Ok(csr) => csr,
        Err(error) => return Ok(refused("bad-request", &error.to_string())),
    };
    if !session::signed(connection, &request.host_key, &request.csr, &request.signature) {
        let message = "the request is not signed by the host key in this session";
        return Ok(refused("bad-signature", message));
    }
    let redeemed = link
        .engine
        .redeem_join_token(request.secret, request.host_name.clone(), request.host_key)
        .await;
    let host = match redeemed {
        Ok(host) => host,
        Err(EngineError::Refused(refusal)) => {
            return Ok(refused(refusal.code.as_str(), &refusal.sentence));
        }
        Err(EngineError::Invalid(sentence)) => return Ok(refused("join-token", &sentence)),
        Err(error) => return Err(error.into()),
    };
    let chain = link.authority.issue_host(host, &csr, link.clock.now())?;
    link.engine.meet(&format!("{HOST}{host}"), connection.remote_address().ip()).await;
    tracing::info!(%host, name = request.host_name, "enrolled a host");
    Ok(EnrolAnswer::Accepted { host, chain })
}

fn refused(code: &str, message: &str) -> EnrolAnswer {
    EnrolAnswer::Refused { code: code.to_owned(), message: message.to_owned() }
}
