//! A machine whose process was alive when it was last looked at.

use std::{os::fd::AsFd, time::Duration};

use tenure_protocol::id::InstanceId;

use super::{
    COMMAND_LIMIT, GREETING_LIMIT, KILL_LIMIT, OpenVolume, VmmFailure,
    qmp::{Qmp, QmpFailure},
    rundir::{QMP, RunDir},
};
use crate::host::pidfd::{Pidfd, ProcessId};

/// How long QEMU may take to answer when it is to be stopped; after that it is killed.
const STOP_COMMAND_LIMIT: Duration = Duration::from_secs(2);

/// How long QEMU may take to end after `quit`: it flushes its volumes.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

/// What QEMU says of its guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// The guest runs.
    Running,
    /// QEMU waits for its volumes: its start was broken off. Stop it and start it again.
    Incomplete,
    /// The guest has powered off or panicked.
    ShutDown,
    /// Anything else, by QEMU's name: paused for an I/O error, for instance.
    Other(String),
}

/// How a machine came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was dead already.
    Already,
    /// The guest powered off when it was asked to.
    ByGuest,
    /// QEMU ended in good order; the guest was not asked, or did not follow.
    Quit,
    /// QEMU did not answer, and was killed.
    Killed,
}

/// A machine with a process.
#[derive(Debug)]
pub struct Running {
    instance: InstanceId,
    pidfd: Pidfd,
    dir: RunDir,
}

impl Running {
    pub(super) fn new(instance: InstanceId, pidfd: Pidfd, dir: RunDir) -> Self {
        Self { instance, pidfd, dir }
    }

    /// Which instance it is.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        self.pidfd.id()
    }

    /// Its process by descriptor, to wait for its end.
    #[must_use]
    pub fn pidfd(&self) -> &Pidfd {
        &self.pidfd
    }

    pub(super) fn last_words(&self) -> String {
        self.dir.last_words()
    }

    fn connect(&self, limit: Duration) -> Result<Qmp, VmmFailure> {
        let dir = self.dir.open()?;
        Qmp::connect(&dir, QMP, limit).map_err(|source| self.ask(source))
    }

    fn ask(&self, source: QmpFailure) -> VmmFailure {
        VmmFailure::Ask { instance: self.instance, source }
    }

    /// Gives a paused machine its volumes and lets it run.
    pub(super) fn bring_up(&self, volumes: &[OpenVolume]) -> Result<(), QmpFailure> {
        let dir = self.dir.open().map_err(|failure| QmpFailure::Connect {
            path: QMP.to_owned(),
            source: std::io::Error::other(failure),
        })?;
        let mut qmp = Qmp::connect(&dir, QMP, GREETING_LIMIT)?;
        for volume in volumes {
            for command in &volume.commands {
                let file = Some(volume.file.as_fd());
                qmp.execute(command, file, Some(&volume.key), COMMAND_LIMIT)?;
            }
        }
        qmp.ask("cont", COMMAND_LIMIT)?;
        Ok(())
    }

    /// What QEMU says of its guest now.
    ///
    /// # Errors
    /// QEMU does not answer. Whether it is alive at all, [`Running::pidfd`] says.
    pub fn status(&self) -> Result<RunState, VmmFailure> {
        let mut qmp = self.connect(STOP_COMMAND_LIMIT)?;
        let answer =
            qmp.ask("query-status", STOP_COMMAND_LIMIT).map_err(|source| self.ask(source))?;
        let state = answer.get("status").and_then(serde_json::Value::as_str).unwrap_or("?");
        Ok(match state {
            "running" => RunState::Running,
            "prelaunch" => RunState::Incomplete,
            "shutdown" | "guest-panicked" => RunState::ShutDown,
            other => RunState::Other(other.chars().take(64).collect()),
        })
    }

    /// Ends the machine: asks the guest to power off if `grace` is not zero, then QEMU to end, then
    /// kills it. Comes back when the process is proven dead.
    ///
    /// # Errors
    /// [`VmmFailure::StillAlive`], if not even that ended it.
    pub fn stop(&self, grace: Duration) -> Result<Stopped, VmmFailure> {
        if self.dead_within(Duration::ZERO)? {
            return Ok(Stopped::Already);
        }
        let asked = self.ask_to_stop(grace);
        if let Ok(how) = asked
            && self.dead_within(QUIT_LIMIT)?
        {
            tracing::info!(instance = %self.instance, how = ?how, "machine stopped");
            return Ok(how);
        }
        self.kill()?;
        Ok(Stopped::Killed)
    }

    fn ask_to_stop(&self, grace: Duration) -> Result<Stopped, VmmFailure> {
        let ask = |source| self.ask(source);
        let mut qmp = self.connect(STOP_COMMAND_LIMIT)?;
        let mut how = Stopped::Quit;
        if !grace.is_zero() {
            qmp.ask("system_powerdown", STOP_COMMAND_LIMIT).map_err(ask)?;
            if qmp.wait_event("SHUTDOWN", grace).map_err(ask)? {
                how = Stopped::ByGuest;
            }
        }
        match qmp.ask("quit", STOP_COMMAND_LIMIT) {
            // It may be gone before its answer is through.
            Ok(_) | Err(QmpFailure::Closed { .. }) => Ok(how),
            Err(source) => Err(ask(source)),
        }
    }

    /// Ends the process at once, and comes back when it is proven dead.
    ///
    /// # Errors
    /// [`VmmFailure::StillAlive`].
    pub fn kill(&self) -> Result<(), VmmFailure> {
        let pid = self.process().pid;
        self.pidfd.kill().map_err(|source| VmmFailure::Follow { pid, source })?;
        if !self.dead_within(KILL_LIMIT)? {
            return Err(VmmFailure::StillAlive { pid });
        }
        tracing::info!(instance = %self.instance, "machine killed");
        Ok(())
    }

    fn dead_within(&self, limit: Duration) -> Result<bool, VmmFailure> {
        let pid = self.process().pid;
        self.pidfd.wait_dead(limit).map_err(|source| VmmFailure::Follow { pid, source })
    }
}
