//! The boundary of the two processes: a unix socket, where tenure-hostd trusts nothing that it
//! reads.
//!
//! ```text
//! connection   tenure-agent → tenure-hostd                tenure-hostd → tenure-agent
//! cut, work    Order, ReportReceipt, IntentReceipt,       Report
//!              IntentRefusal
//! cut          Packet, Disarm, WatchReceipt               WatchReport
//!              (the link's own frames, passed on as they are)
//! base         Ask: facts, signature, observation, id,    Tell: one answer to each
//!              alarms
//! courier      Carried: what came of a notice             Errand: a notice to be carried now
//! ```
//!
//! Each connection is of one channel, which its first frame names, and has its own thread: nothing
//! queues before the cut lane. Every frame is the link's, with its limit. Orders are believed by
//! their signature and receipts of intents by their proof; the rest of what the network side can
//! say here delays reports, loses alarms, or stops a wipe before it begins, at worst: alarms leave
//! here signed, so that it can make none, and stand in this host's log as well. It is believed in
//! what came of a notice that it carried, since nobody else was there.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tenure_protocol::wire::{
    frame::{self, Frame, FrameError, Kind, LENGTH_BYTES},
    v1::{Hello, Lane, Observation, SignedAlarm, enrol_message},
};

use crate::{
    alarm::Alarms,
    certificate, clock,
    engine::{
        EngineFailure, Identity, Input, MAX_OUTLET, lock,
        watch::{self, Carried, Errand},
    },
    join, precedence,
};

/// Longest path of a unix socket, bytes (`sun_path` without its end).
pub const MAX_SOCKET_PATH: usize = 107;

/// Most connections at once.
const MAX_CONNECTIONS: usize = 16;

/// Most alarms of one answer: they are asked for every few seconds, and a controller takes one in
/// two seconds from a host.
const ALARMS_AT_ONCE: usize = 2;

/// Kinds of frames of this socket alone, apart from the link's.
const CHANNEL: u16 = 0x100;
const ASK: u16 = 0x101;
const TELL: u16 = 0x102;
const ERRAND: u16 = 0x103;
const CARRIED: u16 = 0x104;
// 0x105 and 0x106 are those of the operators' socket ([`crate::operator`]).

/// What a connection is for: its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// One lane's orders and reports.
    Lane(Lane),
    /// Questions and answers.
    Base,
    /// Notices to be carried.
    Courier,
}

/// What the network side asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Its Hello.
    Hello,
    /// A signature of the host key over [`enrol_message`], and over nothing else.
    Sign {
        /// Of the TLS session.
        exporter: [u8; 32],
        /// The certificate request, DER.
        csr: Vec<u8>,
    },
    /// What is seen on the host.
    Observe,
    /// Whose this certificate is, if it is this host's.
    Enrolled {
        /// DER, leaf first.
        chain: Vec<Vec<u8>>,
    },
    /// The oldest alarms that the controller has not received.
    Alarms,
    /// The controller has received an alarm.
    AlarmReceived {
        /// The alarm's.
        sequence: u64,
    },
}

/// What the privileged side answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tell {
    /// To [`Ask::Hello`].
    Hello(Hello),
    /// To [`Ask::Sign`].
    Signature {
        /// The host key.
        host_key: [u8; 32],
        /// 64 bytes.
        signature: Vec<u8>,
    },
    /// To [`Ask::Observe`].
    Observation(Observation),
    /// To [`Ask::Enrolled`] and [`Ask::AlarmReceived`].
    Known,
    /// No, and why.
    Refused(String),
    /// To [`Ask::Alarms`].
    Alarms(Vec<SignedAlarm>),
}

/// Why the socket cannot be served, or a connection of it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SocketFailure {
    /// The path does not fit.
    #[error("the socket's path {0} is over {MAX_SOCKET_PATH} bytes: choose a shorter run_dir")]
    TooLong(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {path}")]
    Listen {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection ended.
    #[error("the connection ended")]
    Io(#[from] io::Error),
    /// The peer broke the framing.
    #[error("the peer broke the framing")]
    Frame(#[from] FrameError),
    /// A message that does not belong here.
    #[error("a message that does not belong on this channel")]
    Unexpected,
    /// The engine ended.
    #[error("the engine has ended")]
    Engine(#[from] EngineFailure),
}

/// What connections are served with.
#[derive(Debug)]
pub struct Desk {
    /// Inbox of the cut lane.
    pub cut: mpsc::SyncSender<Input>,
    /// Inbox of the work lane.
    pub work: mpsc::SyncSender<Input>,
    /// Inbox of the watch over cuts.
    pub watch: mpsc::SyncSender<watch::Input>,
    /// Who this host is.
    pub identity: Arc<Identity>,
    /// What it says of itself.
    pub hello: Hello,
    /// What was seen on it.
    pub view: Arc<Mutex<Observation>>,
    /// What waits to be told to the controller.
    pub alarms: Arc<Alarms>,
    /// The pinned root certificate, DER.
    pub root: Vec<u8>,
    /// Where the host's id is kept.
    pub state_dir: PathBuf,
    /// The connection that is the cut lane's now.
    pub cutting: Mutex<Option<UnixStream>>,
}

/// Makes the socket: mode 0660, of root and the given group.
///
/// # Errors
/// [`SocketFailure::TooLong`], [`SocketFailure::Listen`].
pub fn listen(path: &Path, group: u32) -> Result<UnixListener, SocketFailure> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(SocketFailure::TooLong(path.to_owned()));
    }
    let make = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        chown(path, None, Some(group))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(listener)
    };
    make().map_err(|source| SocketFailure::Listen { path: path.to_owned(), source })
}

/// Serves connections of these users until the listener fails.
pub fn serve(listener: &UnixListener, allowed: &[u32], desk: &Arc<Desk>) -> io::Error {
    let desk = Arc::clone(desk);
    let serve = move |stream: &UnixStream, _: &UnixCredentials| desk.serve(stream);
    accept(listener, |uid| allowed.contains(&uid), &Arc::new(serve))
}

/// Serves connections of the users that are admitted, each on a thread of its own, until the
/// listener fails.
pub(crate) fn accept<S>(
    listener: &UnixListener,
    admits: impl Fn(u32) -> bool,
    serve: &Arc<S>,
) -> io::Error
where
    S: Fn(&UnixStream, &UnixCredentials) -> Result<(), SocketFailure> + Send + Sync + 'static,
{
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return error,
        };
        let peer = match getsockopt(&stream, PeerCredentials) {
            Ok(peer) if admits(peer.uid()) => peer,
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), pid = peer.pid(), "refused a user on the socket");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "refused a peer of unknown user on the socket");
                continue;
            }
        };
        if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("refused a connection: {MAX_CONNECTIONS} are open");
            continue;
        }
        let (serve, place) = (Arc::clone(serve), Arc::clone(&open));
        let spawned = thread::Builder::new().name("socket".to_owned()).spawn(move || {
            if let Err(error) = serve(&stream, &peer)
                && !matches!(&error, SocketFailure::Io(_))
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection broke off");
            }
            let _ = stream.shutdown(Shutdown::Both);
            place.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            open.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "no thread for a connection");
        }
    }
}

impl Desk {
    fn serve(&self, stream: &UnixStream) -> Result<(), SocketFailure> {
        match decode(&read(stream)?, CHANNEL)? {
            Channel::Lane(lane) => self.serve_lane(stream, lane),
            Channel::Base => self.serve_base(stream),
            Channel::Courier => self.serve_courier(stream),
        }
    }

    fn serve_lane(&self, stream: &UnixStream, lane: Lane) -> Result<(), SocketFailure> {
        let inbox = if lane == Lane::Cut { &self.cut } else { &self.work };
        let give = |input| inbox.send(input).map_err(|_| EngineFailure::Stopped);
        let out = Arc::new(Mutex::new(stream.try_clone()?));
        let (outlet, reports) = mpsc::sync_channel(MAX_OUTLET);
        write_all("reports", Kind::Report, Arc::clone(&out), reports)?;
        give(Input::Connected(outlet))?;
        let mut cuts = None;
        if lane == Lane::Cut {
            // One at a time has precedence: the newest, since a link begins anew with it.
            let before = lock(&self.cutting).replace(stream.try_clone()?);
            let _ = before.map(|before| before.shutdown(Shutdown::Both));
            precedence::take();
            let (outlet, reports) = mpsc::sync_channel(MAX_OUTLET);
            write_all("watch reports", Kind::WatchReport, out, reports)?;
            // A watch that does not listen is no reason not to cut.
            let _ = self.watch.try_send(watch::Input::Connected(outlet));
            cuts = Some(Cuts { watch: &self.watch, unanswered: None });
        }
        loop {
            let frame = read(stream)?;
            if let Some(cuts) = &mut cuts
                && cuts.take(&frame)?
            {
                continue;
            }
            let input = match frame.kind {
                kind if kind == Kind::Order as u16 => Input::Order(frame.decode(Kind::Order)?),
                kind if kind == Kind::ReportReceipt as u16 => {
                    Input::ReportReceipt(frame.decode(Kind::ReportReceipt)?)
                }
                kind if kind == Kind::IntentReceipt as u16 => {
                    Input::IntentReceipt(frame.decode(Kind::IntentReceipt)?)
                }
                kind if kind == Kind::IntentRefusal as u16 => {
                    Input::IntentRefusal(frame.decode(Kind::IntentRefusal)?)
                }
                _ => return Err(SocketFailure::Unexpected),
            };
            give(input)?;
        }
    }

    fn serve_courier(&self, stream: &UnixStream) -> Result<(), SocketFailure> {
        let (outlet, errands) = mpsc::sync_channel::<Errand>(watch::MAX_ERRANDS);
        let out = stream.try_clone()?;
        thread::Builder::new().name("errands".to_owned()).spawn(move || {
            for errand in errands {
                if local(ERRAND, &errand).map_or(Ok(()), |frame| write(&out, &frame)).is_err() {
                    break;
                }
            }
            let _ = out.shutdown(Shutdown::Both);
        })?;
        let give = |input| self.watch.send(input).map_err(|_| EngineFailure::Stopped);
        give(watch::Input::Courier(outlet))?;
        loop {
            give(watch::Input::Carried(decode(&read(stream)?, CARRIED)?))?;
        }
    }

    fn serve_base(&self, stream: &UnixStream) -> Result<(), SocketFailure> {
        loop {
            let ask: Ask = decode(&read(stream)?, ASK)?;
            write(stream, &local(TELL, &self.answer(ask))?)?;
        }
    }

    fn answer(&self, ask: Ask) -> Tell {
        match ask {
            Ask::Hello => Tell::Hello(self.hello.clone()),
            Ask::Sign { exporter, csr } => Tell::Signature {
                host_key: self.identity.key.public().to_bytes(),
                signature: self.identity.key.sign(&enrol_message(&exporter, &csr)),
            },
            Ask::Alarms => match self.alarms.signed(ALARMS_AT_ONCE, &self.identity) {
                Ok(alarms) => Tell::Alarms(alarms),
                Err(error) => Tell::Refused(error.to_string()),
            },
            Ask::AlarmReceived { sequence } => {
                self.alarms.received(sequence);
                Tell::Known
            }
            Ask::Observe => Tell::Observation(lock(&self.view).clone()),
            Ask::Enrolled { chain } => match self.enrolled(&chain) {
                Ok(()) => Tell::Known,
                Err(sentence) => Tell::Refused(sentence),
            },
        }
    }

    /// The host's id is the one that the pinned authority certified, and the first stays.
    fn enrolled(&self, chain: &[Vec<u8>]) -> Result<(), String> {
        let now = clock::now();
        let host = certificate::verify(chain, &self.root, now)
            .map_err(|error| {
                let source = std::error::Error::source(&error);
                source.map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
            })?
            .host;
        match self.identity.host.get() {
            Some(known) if *known == host => return Ok(()),
            Some(known) => {
                return Err(format!(
                    "the certificate is host {host}'s, this is host {known}: join it again"
                ));
            }
            None => {}
        }
        join::save_host_id(&self.state_dir, host).map_err(|error| error.to_string())?;
        let _ = self.identity.host.set(host);
        tracing::info!(%host, "host is enrolled");
        Ok(())
    }
}

/// What the cut lane's stream carries for the watch. It never holds the stream up for long, since
/// the orders to cut come behind it.
struct Cuts<'a> {
    watch: &'a mpsc::SyncSender<watch::Input>,
    /// A packet that took too long: no other is waited for meanwhile.
    unanswered: Option<mpsc::Receiver<()>>,
}

impl Cuts<'_> {
    /// Takes a frame if it is for the watch.
    fn take(&mut self, frame: &Frame) -> Result<bool, SocketFailure> {
        let input = match frame.kind {
            kind if kind == Kind::Packet as u16 => {
                let (done, kept) = mpsc::sync_channel(1);
                let packet = frame.decode(Kind::Packet)?;
                self.give(watch::Input::Packet(packet, done));
                self.wait(kept);
                return Ok(true);
            }
            kind if kind == Kind::Disarm as u16 => {
                watch::Input::Disarm(frame.decode(Kind::Disarm)?)
            }
            kind if kind == Kind::WatchReceipt as u16 => {
                watch::Input::Receipt(frame.decode(Kind::WatchReceipt)?)
            }
            _ => return Ok(false),
        };
        self.give(input);
        Ok(true)
    }

    fn give(&self, input: watch::Input) {
        if self.watch.try_send(input).is_err() {
            // It comes again with the next session, until it is answered.
            tracing::error!("the watch over cuts does not keep up: a message to it is lost");
        }
    }

    fn wait(&mut self, kept: mpsc::Receiver<()>) {
        if let Some(before) = &self.unanswered
            && before.try_recv() == Err(mpsc::TryRecvError::Empty)
        {
            return;
        }
        self.unanswered = match kept.recv_timeout(watch::KEEP_LIMIT) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tracing::error!("a packet is not durable in time: the cut goes on");
                Some(kept)
            }
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => None,
        };
    }
}

/// Writes what comes, each whole, until the stream or the sender ends; on a thread of its own.
fn write_all<T: Serialize + Send + 'static>(
    name: &str,
    kind: Kind,
    out: Arc<Mutex<UnixStream>>,
    messages: mpsc::Receiver<T>,
) -> io::Result<()> {
    let body = move || {
        for message in messages {
            let frame = match Frame::new(kind, &message) {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::error!(?kind, %error, "a message does not fit a frame");
                    continue;
                }
            };
            if write(&lock(&out), &frame).is_err() {
                break;
            }
        }
        // The lane itself needs its reports alone.
        if kind == Kind::Report {
            let _ = lock(&out).shutdown(Shutdown::Both);
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

pub(crate) fn read(mut stream: &UnixStream) -> Result<Frame, SocketFailure> {
    let mut prefix = [0; LENGTH_BYTES];
    stream.read_exact(&mut prefix)?;
    let mut bytes = vec![0; Frame::length(prefix)?];
    stream.read_exact(&mut bytes)?;
    Ok(Frame::from_bytes(&bytes)?)
}

pub(crate) fn write(mut stream: &UnixStream, frame: &Frame) -> Result<(), SocketFailure> {
    Ok(stream.write_all(&frame.to_bytes())?)
}

/// A frame of a local socket.
pub(crate) fn local<T: Serialize>(kind: u16, message: &T) -> Result<Frame, FrameError> {
    let body = frame::encode(message).map_err(|reason| FrameError::Body { kind, reason })?;
    let frame = Frame { kind, version: 1, body };
    let length = frame.to_bytes().len() - LENGTH_BYTES;
    if length > frame::MAX_FRAME_BYTES {
        Err(FrameError::TooLong { got: length })
    } else {
        Ok(frame)
    }
}

pub(crate) fn decode<T: DeserializeOwned>(frame: &Frame, kind: u16) -> Result<T, FrameError> {
    if frame.kind != kind {
        return Err(FrameError::WrongKind { got: frame.kind, want: kind });
    }
    frame::decode(&frame.body).map_err(|reason| FrameError::Body { kind, reason })
}

/// The first frame of a connection.
///
/// # Errors
/// [`FrameError`]; no value gives one.
pub fn channel_frame(channel: Channel) -> Result<Frame, FrameError> {
    local(CHANNEL, &channel)
}

/// The errand in a frame.
///
/// # Errors
/// [`FrameError`].
pub fn errand_of(frame: &Frame) -> Result<Errand, FrameError> {
    decode(frame, ERRAND)
}

/// What came of an errand.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn carried_frame(carried: &Carried) -> Result<Frame, FrameError> {
    local(CARRIED, carried)
}

/// A question.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn ask_frame(ask: &Ask) -> Result<Frame, FrameError> {
    local(ASK, ask)
}

/// The answer in a frame.
///
/// # Errors
/// [`FrameError`].
pub fn tell_of(frame: &Frame) -> Result<Tell, FrameError> {
    decode(frame, TELL)
}
