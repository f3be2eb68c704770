//! The link to the controller: tenure-agent's side, which holds no privileges and believes nothing
//! for tenure-hostd.
//!
//! ```text
//!        ┌► enrol (no certificate) ──┐
//! start ─┼► rejoin (it has expired) ─┼► dial ─► Hello ─Welcome→ up ─┐
//!  ▲     └► (it is good) ────────────┘                              │ any end: of the connection,
//!  └──────────────── jittered back-off ◄────────────────────────────┘ a lane, or tenure-hostd
//! ```
//!
//! [`tls`] has the configurations, [`identity`] the key and certificate, [`local`] the way to
//! tenure-hostd, [`enrol`] and [`session`] the two ports, [`stream`] the frames; [`courier`] needs
//! no link: it carries notices when the controller is silent.

pub mod courier;
pub mod enrol;
pub mod identity;
pub mod local;
pub mod session;
pub mod stream;
pub mod tls;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use quinn::Endpoint;

use crate::{clock, join::Invitation};

/// First and longest wait between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How long a session must last before the wait starts from its beginning again.
const SETTLED: Duration = Duration::from_secs(60);

/// How long a handshake or an enrolment may take.
pub(crate) const DIAL_LIMIT: Duration = Duration::from_secs(15);

/// Why the link is not up, for now or for good.
#[derive(Debug, thiserror::Error)]
pub enum LinkFailure {
    /// The address means nothing here.
    #[error("cannot resolve {0}")]
    Resolve(String, #[source] std::io::Error),
    /// No socket.
    #[error("cannot open a UDP socket")]
    Socket(#[source] std::io::Error),
    /// The dial could not even begin.
    #[error("cannot dial")]
    Dial(#[from] quinn::ConnectError),
    /// The connection failed or ended.
    #[error("the connection ended")]
    Connection(#[from] quinn::ConnectionError),
    /// Nothing in time.
    #[error("no {what} within {} s", limit.as_secs())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// A stream ended, or broke the framing.
    #[error(transparent)]
    Stream(#[from] stream::StreamFailure),
    /// tenure-hostd did not answer.
    #[error(transparent)]
    Local(#[from] local::LocalFailure),
    /// TLS or the identity.
    #[error(transparent)]
    Identity(#[from] identity::IdentityFailure),
    /// The TLS session gives no exporter.
    #[error("the TLS session cannot be bound to the request")]
    Exporter,
    /// The controller does not take the host in.
    #[error("the controller does not take this host in ({code}): {message}")]
    Refused {
        /// Stable code.
        code: String,
        /// Why, and what to do.
        message: String,
    },
    /// The controller said something else than was due.
    #[error("the controller broke the protocol: {0}")]
    Protocol(&'static str),
}

/// The link's side of a host.
#[derive(Debug)]
pub struct Link {
    /// tenure-agent's own state directory.
    pub state_dir: PathBuf,
    /// The socket of tenure-hostd.
    pub socket: PathBuf,
    /// What `tenure-hostd join` left.
    pub invitation: Invitation,
}

impl Link {
    /// Keeps the link up, for ever.
    pub async fn run(&self) {
        let mut wait = BACKOFF.0;
        loop {
            let began = clock::monotonic();
            let mut settled = false;
            match self.once().await {
                Ok(()) => tracing::info!("the session ended"),
                Err(error) => {
                    // tenure-hostd is on this host: asking it often burdens nobody else.
                    settled = matches!(error, LinkFailure::Local(_));
                    tracing::warn!(error = &error as &dyn std::error::Error, "the link is down");
                }
            }
            if settled || clock::monotonic().saturating_sub(began) >= SETTLED {
                wait = BACKOFF.0;
            }
            tokio::time::sleep(jitter(wait)).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    /// One try: gets a certificate if there is none that is good, then serves one session to its
    /// end.
    ///
    /// # Errors
    /// [`LinkFailure`]: why it ended.
    pub async fn once(&self) -> Result<(), LinkFailure> {
        let mut base = local::Base::connect(&self.socket).await?;
        let identity = match identity::load(&self.state_dir)? {
            Some(old) if old.certificate.not_after <= clock::now() => {
                tracing::warn!(since = %old.certificate.not_after, "the certificate has expired");
                enrol::rejoin(self, &mut base, old.certificate.host).await?
            }
            Some(identity) => identity,
            None => enrol::enrol(self, &mut base).await?,
        };
        base.enrolled(&identity.chain).await?;
        session::run(self, base, identity).await
    }
}

pub(crate) async fn resolve(address: &str) -> Result<SocketAddr, LinkFailure> {
    let failed = |error| LinkFailure::Resolve(address.to_owned(), error);
    let mut addresses = tokio::net::lookup_host(address).await.map_err(failed)?;
    addresses.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

pub(crate) fn endpoint(peer: SocketAddr) -> Result<Endpoint, LinkFailure> {
    let local: SocketAddr = if peer.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    Endpoint::client(local).map_err(LinkFailure::Socket)
}

/// A random part of a wait, half of it at least: agents that lost one controller come back apart.
fn jitter(wait: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness the wait is only less spread.
    let _ = getrandom::fill(&mut bytes);
    let permille = 500 + u32::from_le_bytes(bytes) % 501;
    wait * permille / 1000
}
