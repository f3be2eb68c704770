//! A small client of the QEMU Machine Protocol (QEMU, `docs/interop/qmp-spec.txt`).
//!
//! One line of JSON each way. Every exchange has a time limit and every line a greatest length:
//! QEMU runs a guest's devices, and what it says is input like any other. Events are kept, the
//! newest [`MAX_EVENTS`] of them; they are not replayed to a new connection, so state is asked for.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use nix::{
    poll::PollFlags,
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg,
        socket,
    },
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    core::machine::{Carries, QmpCommand},
    host::{deadline::Deadline, key::Passphrase},
};

/// Longest line that QEMU may send, bytes.
const MAX_LINE: usize = 1 << 20;

/// Most events that are kept.
const MAX_EVENTS: usize = 64;

/// What went wrong between us and QEMU.
#[derive(Debug, thiserror::Error)]
pub enum QmpFailure {
    /// The socket refuses or does not exist: QEMU is gone, or somebody else talks to it.
    #[error("cannot connect to {path}")]
    Connect {
        /// The socket.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("cannot talk to QEMU during `{command}`")]
    Talk {
        /// The command under way.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("QEMU did not answer `{command}` within {limit_ms} ms")]
    TimedOut {
        /// The command.
        command: String,
        /// The limit, ms.
        limit_ms: u128,
    },
    /// The other end closed.
    #[error("QEMU closed the connection during `{command}`")]
    Closed {
        /// The command under way.
        command: String,
    },
    /// No line of JSON, or too long a one.
    #[error("QEMU answered `{command}` with something that is not QMP")]
    NotQmp {
        /// The command under way.
        command: String,
    },
    /// QEMU understood and refused.
    #[error("QEMU refused `{command}`: {description} ({class})")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's class of the error.
        class: String,
        /// QEMU's words.
        description: String,
    },
}

/// A connection, past its greeting.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    received: Vec<u8>,
    events: VecDeque<String>,
    next_id: u64,
}

impl Qmp {
    /// Connects to the socket `name` in the directory `dir` and negotiates. The directory is given
    /// open, since the path of a Unix socket may not be longer than 107 bytes.
    ///
    /// # Errors
    /// See [`QmpFailure`].
    pub fn connect(dir: &File, name: &str, limit: Duration) -> Result<Self, QmpFailure> {
        let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        let stream = connect_now(Path::new(&path))
            .map_err(|source| QmpFailure::Connect { path: name.to_owned(), source })?;
        let mut qmp = Self { stream, received: Vec::new(), events: VecDeque::new(), next_id: 0 };
        let greeting = qmp.read_until(limit, "greeting", |line| line.get("QMP").map(drop))?;
        debug_assert_eq!(greeting, Some(()));
        let plain =
            |execute| QmpCommand { execute, arguments: json!({}), carries: Carries::Nothing };
        qmp.execute(&plain("qmp_capabilities"), None, None, limit)?;
        Ok(qmp)
    }

    /// Sends a command that takes nothing along.
    ///
    /// # Errors
    /// See [`QmpFailure`].
    pub fn ask(&mut self, execute: &'static str, limit: Duration) -> Result<Value, QmpFailure> {
        let command = QmpCommand { execute, arguments: json!({}), carries: Carries::Nothing };
        self.execute(&command, None, None, limit)
    }

    /// Sends a command with what it carries, and gives what QEMU returns.
    ///
    /// # Errors
    /// See [`QmpFailure`].
    pub fn execute(
        &mut self,
        command: &QmpCommand,
        descriptor: Option<BorrowedFd<'_>>,
        passphrase: Option<&Passphrase>,
        limit: Duration,
    ) -> Result<Value, QmpFailure> {
        self.next_id += 1;
        let id = self.next_id;
        let secret = match command.carries {
            Carries::Passphrase => passphrase,
            Carries::Nothing | Carries::Descriptor => None,
        };
        let line = render(command, id, secret);
        let descriptor = match command.carries {
            Carries::Descriptor => descriptor,
            Carries::Nothing | Carries::Passphrase => None,
        };
        self.send(&line, descriptor, limit, command.execute)?;
        let answer = self.read_until(limit, command.execute, |line| {
            (line.get("id").and_then(Value::as_u64) == Some(id)).then(|| line.clone())
        })?;
        let Some(answer) = answer else { return Err(not_qmp(command.execute)) };
        match (answer.get("return"), answer.get("error")) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(error)) => Err(QmpFailure::Refused {
                command: command.execute.to_owned(),
                class: text(error, "class"),
                description: text(error, "desc"),
            }),
            (None, None) => Err(not_qmp(command.execute)),
        }
    }

    /// Waits for an event of this name, one that came before included. `false` if none came in
    /// time.
    ///
    /// # Errors
    /// See [`QmpFailure`].
    pub fn wait_event(&mut self, name: &str, limit: Duration) -> Result<bool, QmpFailure> {
        if self.events.iter().any(|event| event == name) {
            return Ok(true);
        }
        let seen = self.read_until(limit, name, |line| {
            (line.get("event").and_then(Value::as_str) == Some(name)).then_some(())
        });
        match seen {
            Ok(found) => Ok(found.is_some()),
            Err(QmpFailure::TimedOut { .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn send(
        &mut self,
        line: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        limit: Duration,
        command: &str,
    ) -> Result<(), QmpFailure> {
        let talk = |source| QmpFailure::Talk { command: command.to_owned(), source };
        let deadline = Deadline::after(limit).map_err(talk)?;
        let mut rest = line;
        let mut descriptor = descriptor;
        while !rest.is_empty() {
            let ready =
                deadline.wait(&[(self.stream.as_fd(), PollFlags::POLLOUT)]).map_err(talk)?;
            if ready.is_none() {
                return Err(timed_out(command, limit));
            }
            let sent = match descriptor {
                Some(fd) => {
                    let fds = [fd.as_raw_fd()];
                    let rights = [ControlMessage::ScmRights(&fds)];
                    let bytes = [IoSlice::new(rest)];
                    let flags = MsgFlags::MSG_NOSIGNAL;
                    sendmsg::<UnixAddr>(self.stream.as_raw_fd(), &bytes, &rights, flags, None)
                        .map_err(io::Error::from)
                }
                None => self.stream.write(rest),
            };
            match sent {
                Ok(count) => {
                    rest = &rest[count..];
                    descriptor = None;
                }
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(talk(error)),
            }
        }
        Ok(())
    }

    /// Reads lines until `wanted` gives something for one. Events on the way are kept.
    fn read_until<T>(
        &mut self,
        limit: Duration,
        command: &str,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<Option<T>, QmpFailure> {
        let talk = |source| QmpFailure::Talk { command: command.to_owned(), source };
        let deadline = Deadline::after(limit).map_err(talk)?;
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let value: Value = serde_json::from_slice(&line).map_err(|_| not_qmp(command))?;
                if let Some(event) = value.get("event").and_then(Value::as_str) {
                    self.events.push_back(event.chars().take(64).collect());
                    if self.events.len() > MAX_EVENTS {
                        self.events.pop_front();
                    }
                }
                if let Some(found) = wanted(&value) {
                    return Ok(Some(found));
                }
            }
            if self.received.len() > MAX_LINE {
                return Err(not_qmp(command));
            }
            // A stream of events may not hold us beyond the limit.
            let passed = deadline.passed().map_err(talk)?;
            let watched = [(self.stream.as_fd(), PollFlags::POLLIN)];
            if passed || deadline.wait(&watched).map_err(talk)?.is_none() {
                return Err(timed_out(command, limit));
            }
            let mut buffer = [0; 8 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(QmpFailure::Closed { command: command.to_owned() }),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if would_block(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(QmpFailure::Closed { command: command.to_owned() });
                }
                Err(error) => return Err(talk(error)),
            }
        }
    }
}

/// A command's line. A passphrase is hexadecimal, so it stands in JSON as it is; it is put in here
/// and nowhere else, and the line is cleared after it was sent.
fn render(command: &QmpCommand, id: u64, passphrase: Option<&Passphrase>) -> Zeroizing<Vec<u8>> {
    let arguments = command.arguments.to_string();
    let mut line = Zeroizing::new(Vec::with_capacity(arguments.len() + 256));
    let head = format!("{{\"execute\":\"{}\",\"id\":{id},\"arguments\":", command.execute);
    line.extend_from_slice(head.as_bytes());
    match (passphrase, arguments.strip_suffix('}')) {
        (Some(secret), Some(open)) => {
            line.extend_from_slice(open.as_bytes());
            line.extend_from_slice(b",\"data\":\"");
            line.extend_from_slice(secret.reveal().as_bytes());
            line.extend_from_slice(b"\"}");
        }
        (_, _) => line.extend_from_slice(arguments.as_bytes()),
    }
    line.extend_from_slice(b"}\n");
    line
}

/// Connects without waiting: a full queue means that somebody else talks to QEMU already.
fn connect_now(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or("?").chars().take(1024).collect()
}

fn not_qmp(command: &str) -> QmpFailure {
    QmpFailure::NotQmp { command: command.to_owned() }
}

fn timed_out(command: &str, limit: Duration) -> QmpFailure {
    QmpFailure::TimedOut { command: command.to_owned(), limit_ms: limit.as_millis() }
}

#[cfg(test)]
#[path = "qmp_tests.rs"]
mod tests;
