//! The door for this host's operators: cut, restore and status, with no controller at all.
//!
//! A socket of its own, which the kernel lets root and the operators' group connect to, and nobody
//! else; the user of tenure-agent, which strangers can reach, is refused here whatever its groups
//! are, and so are the machines' processes. Who it is that asks is not taken from its words: it is
//! the login of the peer's session, as the kernel has kept it since that began
//! (`/proc/PID/loginuid`: neither sudo nor su changes it), or else the peer's user. Names are
//! looked up in `/etc/passwd` alone, since a name server that is gone must not hold up a cut.
//!
//! ```text
//! tenure-agent cut ─ OperatorAsk ─► tenure-hostd ─► cut lane
//!                  ◄ LocalAnswer ──
//! ```

pub mod account;
pub mod client;

use std::{
    io,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use nix::sys::socket::UnixCredentials;
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::network_cut::Direction, id::TenantId, wire::frame::FrameError,
};

use crate::{
    engine::{
        EngineFailure, Input, Roster,
        local::{LocalAnswer, LocalAsk, LocalInput},
        lock,
    },
    file,
    socket::{self, SocketFailure},
};

/// Kinds of frames of this socket, apart from the link's and from those of the other one.
const ASK: u16 = 0x105;
const ANSWER: u16 = 0x106;

/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// Most bytes of a list of users.
const MAX_PASSWD_BYTES: u64 = 1024 * 1024;

/// The loginuid of a process that no login began.
const NO_LOGIN: u32 = u32::MAX;

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorAsk {
    /// A cut or a restore.
    Act {
        /// Whose traffic.
        tenant: TenantId,
        /// Which way.
        direction: Direction,
        /// Why.
        reason: String,
        /// Who it is by its own account.
        by: Option<String>,
    },
    /// Which tenants are here, and how they stand.
    Status,
}

/// What operators are served with.
#[derive(Debug)]
pub struct Door {
    /// Inbox of the cut lane.
    pub cut: SyncSender<Input>,
    /// The tenants that are on this host.
    pub roster: Roster,
    /// Users that are never served: tenure-agent's and the machines'.
    pub refused: [u32; 2],
}

/// Makes the socket: mode 0660, of root and the operators' group.
///
/// # Errors
/// [`SocketFailure::TooLong`], [`SocketFailure::Listen`].
pub fn listen(path: &Path, operators_gid: u32) -> Result<UnixListener, SocketFailure> {
    socket::listen(path, operators_gid)
}

/// Serves operators until the listener fails.
pub fn serve(listener: &UnixListener, door: Door) -> io::Error {
    let refused = door.refused;
    let serve = move |stream: &UnixStream, peer: &UnixCredentials| door.serve(stream, peer);
    socket::accept(listener, |uid| !refused.contains(&uid), &Arc::new(serve))
}

impl Door {
    fn serve(&self, stream: &UnixStream, peer: &UnixCredentials) -> Result<(), SocketFailure> {
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        // Read first: it is the session of who has just connected.
        let login = login(peer);
        loop {
            let ask: OperatorAsk = socket::decode(&socket::read(stream)?, ASK)?;
            let answer = self.answer(ask, login.clone())?;
            socket::write(stream, &socket::local(ANSWER, &answer)?)?;
        }
    }

    fn answer(
        &self,
        ask: OperatorAsk,
        login: Option<(String, u32)>,
    ) -> Result<LocalAnswer, SocketFailure> {
        let Some(login) = login else {
            let message = "the process that connected has ended: ask from one that stays";
            let (code, message) = ("login-unknown".to_owned(), message.to_owned());
            return Ok(LocalAnswer::Refused { code, message });
        };
        let ask = match ask {
            OperatorAsk::Act { by: None, .. } if login.1 == 0 => {
                let message = "the login is root, which is no person: say who you are with --by";
                let (code, message) = ("by-missing".to_owned(), message.to_owned());
                return Ok(LocalAnswer::Refused { code, message });
            }
            OperatorAsk::Act { tenant, direction, reason, by } => {
                let mark = lock(&self.roster).get(&tenant).copied();
                LocalAsk::Act { tenant, mark, direction, login, by, reason }
            }
            OperatorAsk::Status => LocalAsk::Status(lock(&self.roster).clone()),
        };
        let (answer, answers) = sync_channel(1);
        let stopped = || SocketFailure::Engine(EngineFailure::Stopped);
        let input = Input::Local(LocalInput { ask, answer });
        self.cut.send(input).map_err(|_| stopped())?;
        answers.recv().map_err(|_| stopped())
    }
}

/// The login of a peer's session and its number; nothing of a process that is gone. Root can shed
/// its login: who it then is, it says itself. A kernel without audit keeps none.
pub(crate) fn login(peer: &UnixCredentials) -> Option<(String, u32)> {
    let kept = |process: &str| {
        let path = format!("/proc/{process}/loginuid");
        let text = String::from_utf8(file::read_limited(Path::new(&path), 64).ok()?).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let uid = match kept(&peer.pid().to_string()) {
        Some(NO_LOGIN) => peer.uid(),
        Some(uid) => uid,
        None if kept("self").is_none() => peer.uid(),
        None => return None,
    };
    let users = file::read_limited(Path::new("/etc/passwd"), MAX_PASSWD_BYTES).unwrap_or_default();
    let name = name_of(&String::from_utf8_lossy(&users), uid);
    Some((name.unwrap_or_else(|| format!("uid {uid}")), uid))
}

/// The first name of a user in the text of a `passwd` file.
fn name_of(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

/// A question.
///
/// # Errors
/// [`FrameError::TooLong`].
fn ask_frame(ask: &OperatorAsk) -> Result<tenure_protocol::wire::frame::Frame, FrameError> {
    socket::local(ASK, ask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_without_a_name_is_nobody_and_whoever_is_known_reaches_the_cut_lane() {
        let (cut, inbox) = sync_channel(1);
        let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(1));
        let roster: Roster = Arc::default();
        lock(&roster).insert(tenant, tenure_protocol::wire::v1::Mark(7));
        let door = Door { cut, roster, refused: [1, 2] };
        let ask = |by: Option<&str>| OperatorAsk::Act {
            tenant,
            direction: Direction::Cut,
            reason: "flood".to_owned(),
            by: by.map(str::to_owned),
        };
        let root = || ("root".to_owned(), 0);
        let refused = door.answer(ask(None), Some(root())).expect("answered");
        assert!(matches!(refused, LocalAnswer::Refused { code, .. } if code == "by-missing"));
        assert!(inbox.try_recv().is_err(), "nothing got so far");
        let lane = std::thread::spawn(move || match inbox.recv() {
            Ok(Input::Local(LocalInput { ask: LocalAsk::Act { mark, login, by, .. }, answer })) => {
                answer.try_send(LocalAnswer::Status(Vec::new())).expect("waited for");
                (mark.map(|mark| mark.0), login, by)
            }
            other => panic!("{other:?}"),
        });
        let gone = door.answer(ask(Some("wang.lei")), None).expect("answered");
        assert!(matches!(gone, LocalAnswer::Refused { code, .. } if code == "login-unknown"));
        let named = door.answer(ask(Some("wang.lei")), Some(root())).expect("answered");
        assert_eq!(named, LocalAnswer::Status(Vec::new()));
        let got = lane.join().expect("no panic");
        assert_eq!(got, (Some(7), root(), Some("wang.lei".to_owned())));
    }

    #[test]
    fn a_login_is_the_first_name_of_its_number() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nbad line\nli:x:1000:1000::/:\nwu:x:1000:1::/:\n";
        assert_eq!(name_of(users, 1000).as_deref(), Some("li"));
        assert_eq!(name_of(users, 0).as_deref(), Some("root"));
        assert_eq!(name_of(users, 7), None);
        assert_eq!(name_of("", 0), None);
    }
}
