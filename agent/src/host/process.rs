#![allow(unsafe_code, reason = "pre_exec: a child gives up its privileges before exec")]
//! The one place where processes are started.
//!
//! [`Invocation`] runs a tool of the host to its end: within a time limit, with what it prints
//! limited, and with argv, exit status and stderr in the error. Nobody branches on stderr's text.
//! [`Detached`] starts a process that outlives the agent: QEMU.
//!
//! A child gets stdin, stdout, stderr and the descriptors that are named, under their own numbers,
//! and no others. Its environment is `PATH` and `LC_ALL` alone.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::process::CommandExt,
    },
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::PollFlags,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{deadline::Deadline, pidfd::Pidfd, shed::Shed};

/// How long a tool may run unless the caller says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes of each of stdout and stderr a tool may print: nft lists a policy of 5,000 taps
/// in a few million.
pub const OUTPUT_LIMIT: usize = 32 << 20;

/// Where tools are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A host process that did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ProcessFailure {
    /// It could not be started at all.
    #[error("cannot start `{argv}`")]
    Start {
        /// The argument list.
        argv: String,
        /// Why: `NotFound` means that the program is not installed.
        #[source]
        source: io::Error,
    },
    /// It ended with another status than 0.
    #[error("`{argv}` ended with {status}: {stderr}")]
    Status {
        /// The argument list.
        argv: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, at most 4 KiB, for people.
        stderr: String,
    },
    /// It ran longer than it may, and was killed.
    #[error("`{argv}` was killed after {limit_ms} ms")]
    TimedOut {
        /// The argument list.
        argv: String,
        /// The limit, ms.
        limit_ms: u128,
    },
    /// It printed more than it may, and was killed.
    #[error("`{argv}` was killed: it printed more than {OUTPUT_LIMIT} bytes")]
    TooMuchOutput {
        /// The argument list.
        argv: String,
    },
    /// Waiting for it or talking to it failed.
    #[error("cannot follow `{argv}`")]
    Follow {
        /// The argument list.
        argv: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ProcessFailure {
    /// Whether the program is not installed.
    #[must_use]
    pub fn is_not_installed(&self) -> bool {
        matches!(self, Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What a tool printed, having ended with status 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What its process id was.
    pub pid: u32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Whose rights a process has: no capabilities, no supplementary groups but the ones given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id, not 0.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Runs a tool with [`DEFAULT_LIMIT`]. `argv[0]` is the program.
///
/// # Errors
/// See [`ProcessFailure`].
pub fn run<S: AsRef<OsStr>>(
    argv: &[S],
    stdin: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Output, ProcessFailure> {
    Invocation::new(argv).stdin(stdin).fds(fds).run()
}

/// A tool to run to its end.
pub struct Invocation<'a> {
    argv: Vec<OsString>,
    stdin: &'a [u8],
    fds: &'a [BorrowedFd<'a>],
    limit: Duration,
    identity: Option<&'a Identity>,
}

impl fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What goes to stdin may be a passphrase.
        f.debug_struct("Invocation").field("argv", &self.argv).finish_non_exhaustive()
    }
}

impl<'a> Invocation<'a> {
    /// `argv[0]` is the program, looked for in the usual places if it has no slash.
    #[must_use]
    pub fn new<S: AsRef<OsStr>>(argv: &[S]) -> Self {
        let argv = argv.iter().map(|arg| arg.as_ref().to_owned()).collect();
        Self { argv, stdin: &[], fds: &[], limit: DEFAULT_LIMIT, identity: None }
    }

    /// What it reads from standard input. Secrets go here, never into argv.
    #[must_use]
    pub fn stdin(mut self, bytes: &'a [u8]) -> Self {
        self.stdin = bytes;
        self
    }

    /// Descriptors that it inherits under their own numbers.
    #[must_use]
    pub fn fds(mut self, fds: &'a [BorrowedFd<'a>]) -> Self {
        self.fds = fds;
        self
    }

    /// How long it may run.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whose rights it has; ours if not said.
    #[must_use]
    pub fn identity(mut self, identity: &'a Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Runs it and waits for its end.
    ///
    /// # Errors
    /// See [`ProcessFailure`].
    pub fn run(&self) -> Result<Output, ProcessFailure> {
        let argv = show(&self.argv);
        let mut command = match command(&self.argv) {
            Ok(command) => command,
            Err(source) => return Err(ProcessFailure::Start { argv, source }),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that a limit ends its children as well.
        command.process_group(0);
        let shed = Shed::new(self.fds, self.identity, None);
        // SAFETY: `Shed::apply` makes system calls only and does not allocate.
        unsafe { command.pre_exec(move || shed.apply()) };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(source) => return Err(ProcessFailure::Start { argv, source }),
        };
        let mut talk = Talk::new(&mut child, self.stdin);
        let followed = talk.follow(child.id(), self.limit);
        if !matches!(followed, Ok(Ended::Alone)) {
            // Not reaped yet, so the number is still its own.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        }
        let status = match child.wait() {
            Ok(status) => status,
            Err(source) => return Err(ProcessFailure::Follow { argv, source }),
        };
        match followed {
            Err(source) => Err(ProcessFailure::Follow { argv, source }),
            Ok(Ended::OverTime) => {
                Err(ProcessFailure::TimedOut { argv, limit_ms: self.limit.as_millis() })
            }
            Ok(Ended::OverLong) => Err(ProcessFailure::TooMuchOutput { argv }),
            Ok(Ended::Alone) if status.success() => {
                Ok(Output { pid: child.id(), stdout: talk.stdout.bytes, stderr: talk.stderr.bytes })
            }
            Ok(Ended::Alone) => {
                let stderr = excerpt(&talk.stderr.bytes);
                Err(ProcessFailure::Status { argv, status, stderr })
            }
        }
    }
}

/// A process to start that outlives the agent.
#[derive(Debug)]
pub struct Detached<'a> {
    /// Program and arguments.
    pub argv: &'a [OsString],
    /// Descriptors that it inherits under their own numbers.
    pub fds: &'a [BorrowedFd<'a>],
    /// Whose rights it has; `None` keeps ours (tests without root).
    pub identity: Option<&'a Identity>,
    /// Where its stdout and stderr go.
    pub output: File,
    /// Where the child writes its own `/proc/<pid>/stat` line before it becomes the program, so
    /// that no process of ours is ever without a record, whenever the agent is killed.
    pub record: File,
}

/// Starts a process in a session of its own: no terminal, working directory `/`, no core dumps, no
/// new privileges, no capabilities.
///
/// # Errors
/// The program could not be started.
pub fn spawn_detached(detached: &Detached<'_>) -> Result<Pidfd, ProcessFailure> {
    let argv = || show(detached.argv);
    let start = |source| ProcessFailure::Start { argv: argv(), source };
    let mut command = command(detached.argv).map_err(start)?;
    command.stdin(Stdio::null()).current_dir("/");
    command.stdout(detached.output.try_clone().map_err(start)?);
    command.stderr(detached.output.try_clone().map_err(start)?);
    let shed = Shed::new(detached.fds, detached.identity, Some(detached.record.as_raw_fd()));
    // SAFETY: `Shed::apply` makes system calls only and does not allocate.
    unsafe { command.pre_exec(move || shed.apply()) };
    let child = command.spawn().map_err(start)?;
    // Not reaped yet, so the number is still its own.
    match Pidfd::of_pid(child.id()) {
        Ok(Some(pidfd)) => Ok(pidfd),
        Ok(None) => Err(start(io::Error::other("it ended at once"))),
        Err(source) => Err(start(source)),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where processes are started")]
fn command(argv: &[OsString]) -> io::Result<Command> {
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty argument list"))?;
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH).env("LC_ALL", "C");
    Ok(command)
}

fn show(argv: &[OsString]) -> String {
    argv.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last 4 KiB of what a tool said, on one line.
fn excerpt(stderr: &[u8]) -> String {
    let tail = &stderr[stderr.len().saturating_sub(4096)..];
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { "it gave no reason".to_owned() } else { lines.join("; ") }
}

/// How a tool came to its end.
enum Ended {
    Alone,
    OverTime,
    OverLong,
}

/// What flows between us and a tool.
struct Talk<'a> {
    stdin: Option<(ChildStdin, &'a [u8])>,
    stdout: Captured<ChildStdout>,
    stderr: Captured<ChildStderr>,
}

impl<'a> Talk<'a> {
    fn new(child: &mut Child, stdin: &'a [u8]) -> Self {
        Self {
            stdin: child.stdin.take().map(|pipe| (pipe, stdin)),
            stdout: Captured { pipe: child.stdout.take(), bytes: Vec::new() },
            stderr: Captured { pipe: child.stderr.take(), bytes: Vec::new() },
        }
    }

    fn follow(&mut self, pid: u32, limit: Duration) -> io::Result<Ended> {
        let deadline = Deadline::after(limit)?;
        let pidfd = Pidfd::of_pid(pid)?.ok_or_else(|| io::Error::other("the child is gone"))?;
        if let Some((pipe, _)) = &self.stdin {
            set_nonblocking(pipe.as_fd())?;
        }
        self.stdout.prepare()?;
        self.stderr.prepare()?;
        loop {
            self.feed()?;
            if !(self.stdout.drain()? && self.stderr.drain()?) {
                return Ok(Ended::OverLong);
            }
            let mut watched = vec![(pidfd.as_fd(), PollFlags::POLLIN)];
            if let Some((pipe, _)) = &self.stdin {
                watched.push((pipe.as_fd(), PollFlags::POLLOUT));
            }
            watched.extend(self.stdout.pipe.as_ref().map(|p| (p.as_fd(), PollFlags::POLLIN)));
            watched.extend(self.stderr.pipe.as_ref().map(|p| (p.as_fd(), PollFlags::POLLIN)));
            let Some(ready) = deadline.wait(&watched)? else { return Ok(Ended::OverTime) };
            if !ready[0].is_empty() {
                // What it wrote before its end is in the pipes by now. A grandchild may hold them
                // open for ever, so their end is not waited for.
                let within = self.stdout.drain()? && self.stderr.drain()?;
                return Ok(if within { Ended::Alone } else { Ended::OverLong });
            }
        }
    }

    /// Writes what the pipe takes now, and closes it after the last byte.
    fn feed(&mut self) -> io::Result<()> {
        while let Some((pipe, rest)) = &mut self.stdin {
            if rest.is_empty() {
                self.stdin = None;
                break;
            }
            match pipe.write(rest) {
                Ok(count) => *rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It does not read any further; its status says whether that is a fault.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.stdin = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A stream of a tool, and what came from it so far.
struct Captured<P> {
    pipe: Option<P>,
    bytes: Vec<u8>,
}

impl<P: Read + AsFd> Captured<P> {
    fn prepare(&self) -> io::Result<()> {
        self.pipe.as_ref().map_or(Ok(()), |pipe| set_nonblocking(pipe.as_fd()))
    }

    /// Reads what is there. `false` if it is more than it may be.
    fn drain(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.bytes.len() > OUTPUT_LIMIT {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
