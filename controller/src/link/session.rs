//! A session: one connection of one host.
//!
//! ```text
//! handshake ─admitted→ Hello ─Welcome→ up ─┬─ the peer closed, fell silent, or broke the protocol
//!     │                  │                 ├─ replaced by a newer session of the same host
//!     └─ no host's       └─ over a limit   ├─ its host was blocked, or sent more than it may
//!        certificate,                      ├─ its certificate ended, and was not renewed
//!        unknown, blocked                  └─ the controller stops
//! ```
//! The host is the one that the certificate names, never one that a message names. The streams:
//! control (opened by the agent), then the cut lane and the work lane (opened by the controller). A
//! session sends every open order of its host in order, resends none, and forgets all when it ends:
//! the next session sends again what is still open.

use std::{collections::HashSet, time::Duration};

use ed25519_dalek::{Signature, VerifyingKey};
use quinn::{Connection, RecvStream, SendStream};
use tenure_protocol::{
    id::HostId,
    time::Timestamp,
    wire::{
        ENROL_EXPORTER_LABEL,
        frame::{Frame, FrameError, Kind},
        v1::{
            AlarmMessage, Hello, KeepAlive, Lane, LaneOpen, Nack, RenewAnswer, RenewRequest,
            Report, Welcome, enrol_message,
        },
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    Link,
    authority::{HOST_LIFE, HostIdentity, HostRequest},
    limits::{self, OverLimit},
    sessions::Closing,
    stream::{self, StreamError},
    watches::{self, Watches},
};
use crate::{acquainted::HOST, clock::Clock, engine::EngineError};

/// How long a new connection may take until its Hello is there.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Answers of one lane that wait to be written; reading stops while there are as many.
const LANE_QUEUE: usize = 64;
/// Frames that a session may fail to understand before it is ended.
const MAX_NACKS: u32 = 16;
/// How often the wall clock is compared with the end of the certificate.
const EXPIRY_CHECK: Duration = Duration::from_secs(5);
/// The cut lane's packets leave before all others.
const CUT_PRIORITY: i32 = 10;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The certificate is none of a host.
    #[error("the certificate names no host")]
    NoHost,
    /// No Hello in time.
    #[error("no Hello within {} s", HELLO_LIMIT.as_secs())]
    Silent,
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// A stream ended, or broke the framing.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer sent something else than was due.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The word that the controller alone may say of alarms.
    #[error("a host received an alarm of its own")]
    NoAlarm,
    /// Too much that is not understood.
    #[error("more than {MAX_NACKS} frames that this build does not understand")]
    TooManyNacks,
    /// More than one host may send.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// The certificate ended.
    #[error("the certificate has expired")]
    Expired,
    /// The engine could not take or give something.
    #[error("the engine failed")]
    Engine(#[from] EngineError),
    /// The engine is gone.
    #[error("the controller stops")]
    Stopping,
}

impl SessionError {
    const fn closing(&self) -> Closing {
        match self {
            Self::Engine(EngineError::Blocked) => Closing::Blocked,
            Self::OverLimit(_) => Closing::OverLimit,
            Self::NoHost
            | Self::Engine(
                EngineError::NotFound(_) | EngineError::Refused(_) | EngineError::Invalid(_),
            ) => Closing::UnknownHost,
            Self::Silent
            | Self::Stream(_)
            | Self::Frame(_)
            | Self::NoAlarm
            | Self::TooManyNacks => Closing::Protocol,
            Self::Expired => Closing::Expired,
            Self::Engine(_) => Closing::Failure,
            Self::Connection(_) | Self::Stopping => Closing::Stopping,
        }
    }

    /// Ends the connection, and says why.
    fn close(&self, connection: &Connection) {
        match self {
            Self::OverLimit(over) => self.closing().close_saying(connection, &over.to_string()),
            _ => self.closing().close(connection),
        }
    }
}

/// Serves a connection of the command port to its end. `admitted` is called once the host is up.
pub(super) async fn serve(link: &Link, connection: Connection, admitted: impl FnOnce()) {
    let remote = connection.remote_address();
    let identity = match identify(&connection) {
        Ok(identity) => identity,
        Err(error) => {
            tracing::warn!(%remote, %error, "refused a connection");
            Closing::UnknownHost.close(&connection);
            return;
        }
    };
    let host = identity.host;
    let control = match greet(link, &connection, host).await {
        Ok(control) => control,
        Err(error) => {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(%host, %remote, error = cause, "refused a host");
            error.close(&connection);
            return;
        }
    };
    admitted();
    link.engine.meet(&format!("{HOST}{host}"), remote.ip()).await;
    let seat = link.sessions.admit(host, connection.clone());
    tracing::info!(%host, %remote, "host is up");
    let end = up(link, &connection, identity, control).await;
    if let Err(error) = &end {
        error.close(&connection);
        tracing::info!(%host, error = error as &dyn std::error::Error, "session ended");
    }
    // A newer session of the same host keeps it up.
    if link.sessions.leave(host, seat)
        && let Err(error) = link.engine.host_down(host).await
    {
        tracing::warn!(%host, error = &error as &dyn std::error::Error, "cannot mark host down");
    }
}

fn identify(connection: &Connection) -> Result<HostIdentity, SessionError> {
    let chain = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<rustls_pki_types::CertificateDer<'static>>>().ok())
        .ok_or(SessionError::NoHost)?;
    let leaf = chain.first().ok_or(SessionError::NoHost)?;
    HostIdentity::of_certificate(leaf).map_err(|_| SessionError::NoHost)
}

/// Takes the Hello of a host that may come in, and answers it; the host is up from then on.
async fn greet(
    link: &Link,
    connection: &Connection,
    host: HostId,
) -> Result<(SendStream, RecvStream), SessionError> {
    link.engine.admitted_host(host).await?;
    link.limits.session(host, link.clock.now())?;
    let first = async {
        let (send, mut recv) = connection.accept_bi().await?;
        let hello: Hello = stream::read(&mut recv).await?.decode(Kind::Hello)?;
        Ok::<_, SessionError>((send, recv, hello))
    };
    let (mut send, recv, hello) =
        timeout(HELLO_LIMIT, first).await.map_err(|_| SessionError::Silent)??;
    limits::hello(&hello)?;
    link.engine.host_up(host, hello).await?;
    let welcome = Welcome {
        host,
        controller_version: env!("CARGO_PKG_VERSION").to_owned(),
        now: link.clock.now(),
    };
    stream::write(&mut send, Kind::Welcome, &welcome).await?;
    Ok((send, recv))
}

/// All that a session does while its host is up. Ends with the first thing that ends.
async fn up(
    link: &Link,
    connection: &Connection,
    identity: HostIdentity,
    (control_send, control_recv): (SendStream, RecvStream),
) -> Result<(), SessionError> {
    let host = identity.host;
    let (cut_send, cut_recv) = connection.open_bi().await?;
    // Priorities are the scheduler's of this side alone; a stream that is gone needs none.
    let _ = cut_send.set_priority(CUT_PRIORITY);
    let (work_send, work_recv) = connection.open_bi().await?;
    let (expiry, until) = watch::channel(identity.not_after);
    let control = Control { link, connection, host, expiry };
    tokio::select! {
        end = control.run(control_send, control_recv) => end,
        end = lane(link, host, Lane::Cut, cut_send, cut_recv) => end,
        end = lane(link, host, Lane::Work, work_send, work_recv) => end,
        end = admitted(link, host) => end,
        () = expired(&link.clock, until) => Err(SessionError::Expired),
    }
}

/// Ends when the host is blocked: at once, whatever its streams are stuck in.
async fn admitted(link: &Link, host: HostId) -> Result<(), SessionError> {
    let mut wake = link.engine.wake_of(host);
    loop {
        wake.borrow_and_update();
        link.engine.admitted_host(host).await?;
        wake.changed().await.map_err(|_| SessionError::Stopping)?;
    }
}

/// Ends when the wall clock has passed the end of the certificate.
async fn expired(clock: &Clock, until: watch::Receiver<Timestamp>) {
    loop {
        let left_ms = until.borrow().ms_since(clock.now());
        match u64::try_from(left_ms) {
            Ok(left_ms) if left_ms > 0 => {
                sleep(EXPIRY_CHECK.min(Duration::from_millis(left_ms))).await;
            }
            Ok(_) | Err(_) => return,
        }
    }
}

struct Control<'a> {
    link: &'a Link,
    connection: &'a Connection,
    host: HostId,
    expiry: watch::Sender<Timestamp>,
}

impl Control<'_> {
    async fn run(&self, mut send: SendStream, mut recv: RecvStream) -> Result<(), SessionError> {
        let mut nacks = 0;
        loop {
            let frame = stream::read(&mut recv).await?;
            self.link.limits.control(self.host, self.link.clock.now())?;
            match self.answer(&frame).await {
                Ok(answer) => {
                    send.write_all(&answer.to_bytes()).await.map_err(StreamError::from)?
                }
                Err(SessionError::Frame(error)) => {
                    nack(&mut nacks)?;
                    stream::write(&mut send, Kind::Nack, &nack_of(&frame, &error)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn answer(&self, frame: &Frame) -> Result<Frame, SessionError> {
        if frame.kind == Kind::RenewRequest as u16 {
            let answer = self.renew(&frame.decode(Kind::RenewRequest)?).await?;
            return Ok(Frame::new(Kind::RenewAnswer, &answer)?);
        }
        if frame.kind == Kind::Alarm as u16 {
            return self.heard(frame.decode(Kind::Alarm)?).await;
        }
        let alive: KeepAlive = frame.decode(Kind::KeepAlive)?;
        if let Some(observation) = alive.observation {
            limits::observation(&observation)?;
            self.link.engine.observed(self.host, observation).await?;
        }
        // Another controller on this database may have blocked it, and wakes nobody here.
        self.link.engine.admitted_host(self.host).await?;
        let answer = KeepAlive {
            sent_at: self.link.clock.now(),
            answers: Some(alive.sent_at),
            observation: None,
        };
        Ok(Frame::new(Kind::KeepAlive, &answer)?)
    }

    /// Takes an alarm in; it is durable when this answers that it is received.
    async fn heard(&self, message: AlarmMessage) -> Result<Frame, SessionError> {
        let AlarmMessage::Raised(alarm) = message else { return Err(SessionError::NoAlarm) };
        self.link.limits.alarm(self.host, &alarm, self.link.clock.now())?;
        match self.link.engine.alarm(self.host, &alarm).await {
            Ok(sequence) => Ok(Frame::new(Kind::Alarm, &AlarmMessage::Received { sequence })?),
            Err(EngineError::Invalid(message)) => {
                Ok(Frame::new(Kind::Nack, &Nack { kind: Kind::Alarm as u16, message })?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next certificate, for a request that the host key has signed in this very session.
    async fn renew(&self, request: &RenewRequest) -> Result<RenewAnswer, SessionError> {
        let refused = |message: &str| RenewAnswer::Refused { message: message.to_owned() };
        let key = self.link.engine.admitted_host(self.host).await?.host_key;
        if !signed(self.connection, &key, &request.csr, &request.signature) {
            return Ok(refused("the request is not signed by this host's key in this session"));
        }
        let now = self.link.clock.now();
        let issued = HostRequest::parse(&request.csr)
            .and_then(|csr| self.link.authority.issue_host(self.host, &csr, now));
        let chain = match issued {
            Ok(chain) => chain,
            Err(error) => return Ok(refused(&error.to_string())),
        };
        let life_ms = i64::try_from(HOST_LIFE.as_millis()).unwrap_or(i64::MAX);
        self.expiry.send_replace(now.plus_ms(life_ms));
        tracing::info!(host = %self.host, "renewed a host's certificate");
        Ok(RenewAnswer::Accepted { chain })
    }
}

/// Whether the host key signed this request in this TLS session, and no other.
pub(super) fn signed(
    connection: &Connection,
    key: &[u8; 32],
    csr: &[u8],
    signature: &[u8],
) -> bool {
    let mut exporter = [0; 32];
    if connection.export_keying_material(&mut exporter, ENROL_EXPORTER_LABEL, b"").is_err() {
        return false;
    }
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_bytes(key), Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_strict(&enrol_message(&exporter, csr), &signature).is_ok()
}

/// One lane: orders go out, reports come in, each made durable before it is acknowledged.
async fn lane(
    link: &Link,
    host: HostId,
    lane: Lane,
    send: SendStream,
    recv: RecvStream,
) -> Result<(), SessionError> {
    let (answers, queue) = mpsc::channel(LANE_QUEUE);
    tokio::try_join!(
        write_lane(link, host, lane, send, queue),
        read_lane(link, host, recv, answers),
    )?;
    Ok(())
}

async fn write_lane(
    link: &Link,
    host: HostId,
    lane: Lane,
    mut send: SendStream,
    mut queue: mpsc::Receiver<Frame>,
) -> Result<(), SessionError> {
    let mut wake = link.engine.wake_of(host);
    let mut sent = HashSet::new();
    let mut watches = Watches::default();
    stream::write(&mut send, Kind::LaneOpen, &LaneOpen { lane }).await?;
    loop {
        // Seen before the orders are read: one that is added meanwhile wakes again.
        wake.borrow_and_update();
        let open = link.engine.open_orders(host, lane).await?;
        if lane == Lane::Cut {
            // Read after the orders, and sent before them: no cut is ordered without its packet.
            for frame in watches.frames(link, host).await {
                send.write_all(&frame.to_bytes()).await.map_err(StreamError::from)?;
            }
        }
        let digests: HashSet<_> = open.iter().map(|order| order.digest()).collect();
        sent.retain(|digest| digests.contains(digest));
        for order in open {
            if sent.insert(order.digest()) {
                stream::write(&mut send, Kind::Order, &order).await?;
            }
        }
        loop {
            tokio::select! {
                changed = wake.changed() => {
                    changed.map_err(|_| SessionError::Stopping)?;
                    break;
                }
                answer = queue.recv() => {
                    let answer = answer.ok_or(SessionError::Stopping)?;
                    send.write_all(&answer.to_bytes()).await.map_err(StreamError::from)?;
                }
            }
        }
    }
}

async fn read_lane(
    link: &Link,
    host: HostId,
    mut recv: RecvStream,
    answers: mpsc::Sender<Frame>,
) -> Result<(), SessionError> {
    let mut nacks = 0;
    loop {
        let frame = stream::read(&mut recv).await?;
        link.limits.report(host, link.clock.now())?;
        let replies = match replies(link, host, &frame).await {
            Err(SessionError::Frame(error)) => {
                nack(&mut nacks)?;
                vec![Frame::new(Kind::Nack, &nack_of(&frame, &error))?]
            }
            replies => replies?,
        };
        for reply in replies {
            answers.send(reply).await.map_err(|_| SessionError::Stopping)?;
        }
    }
}

/// What to answer to a frame of a lane.
async fn replies(link: &Link, host: HostId, frame: &Frame) -> Result<Vec<Frame>, SessionError> {
    if frame.kind == Kind::WatchReport as u16 {
        return watches::taken(&link.engine, host, frame.decode(Kind::WatchReport)?).await;
    }
    let report: Report = frame.decode(Kind::Report)?;
    limits::report(&report)?;
    taken(link, host, report).await
}

/// What to answer to a report, once it is durable.
async fn taken(link: &Link, host: HostId, report: Report) -> Result<Vec<Frame>, SessionError> {
    let (order, sequence) = (report.order, report.sequence);
    // In a task of its own: what is committed must also be entered into the ledger, even if the
    // connection ends meanwhile.
    let engine = link.engine.clone();
    let taken = tokio::spawn(async move { engine.report(host, report).await });
    let reply = match taken.await.map_err(|_| SessionError::Stopping)? {
        Ok(reply) => reply,
        Err(
            error @ (EngineError::Refused(_) | EngineError::NotFound(_) | EngineError::Invalid(_)),
        ) => {
            tracing::warn!(%host, %order, sequence, %error, "a report was not taken");
            let nack = Nack { kind: Kind::Report as u16, message: error.to_string() };
            return Ok(vec![Frame::new(Kind::Nack, &nack)?]);
        }
        Err(error) => return Err(error.into()),
    };
    let mut frames = Vec::new();
    if let Some(receipt) = &reply.receipt {
        frames.push(Frame::new(Kind::ReportReceipt, receipt)?);
    }
    if let Some(intent) = &reply.intent {
        frames.push(Frame::new(Kind::IntentReceipt, intent)?);
    }
    if let Some(refusal) = &reply.refusal {
        frames.push(Frame::new(Kind::IntentRefusal, refusal)?);
    }
    Ok(frames)
}

fn nack(count: &mut u32) -> Result<(), SessionError> {
    *count += 1;
    if *count > MAX_NACKS { Err(SessionError::TooManyNacks) } else { Ok(()) }
}

fn nack_of(frame: &Frame, error: &FrameError) -> Nack {
    Nack { kind: frame.kind, message: error.to_string() }
}
