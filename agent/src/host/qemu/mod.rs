//! Virtual machines: QEMU processes without privileges, which outlive the agent.
//!
//! ```text
//! absent ──start──> preparing ──spawn──> paused ──volumes, cont──> running
//!                       │                  │                        │   ▲
//!                       │                  │       guest powers off │   │ attach (agent restarted)
//!                       ▼                  ▼                        ▼   │
//!                     absent <──────────  dead <──stop, kill──── shut down / running
//! ```
//!
//! absent: no run directory. preparing: a run directory without a process. paused: QEMU waits for
//! its volumes; after an agent's crash such a machine is incomplete, and is stopped and started
//! again. running: the guest runs. shut down: the guest has powered off or panicked, and QEMU holds
//! still. dead: the process has ended, proven by its pidfd; the run directory and the memory file
//! stay until they are wiped or the instance starts again.
//!
//! Stopping never depends on the health of QEMU: what it does not do in time is done by SIGKILL.

mod failure;
mod image;
mod probe;
pub mod qmp;
mod ram;
mod rundir;
mod running;

use std::{
    ffi::OsString,
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use tenure_protocol::id::InstanceId;

use self::rundir::RunDir;
use super::{
    key::Passphrase,
    pidfd::Pidfd,
    process::{Detached, Identity, spawn_detached},
    volume::VolumeStore,
};
use crate::core::machine::{self, Accelerator, MachineFds, MachineSpec};

pub use self::{
    failure::VmmFailure,
    running::{RunState, Running, Stopped},
};

/// How long QEMU may take to greet: it starts slowly on a busy host.
const GREETING_LIMIT: Duration = Duration::from_secs(60);

/// How long QEMU may take for one command. Opening a LUKS volume derives a key.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How long a killed process may take to be dead.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// Which accelerator the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcceleratorSetting {
    /// KVM where a probe shows that it works, translation elsewhere.
    #[default]
    Auto,
    /// KVM, or nothing runs.
    Kvm,
    /// Translation.
    Tcg,
}

/// Where machines live on this host.
#[derive(Debug, Clone)]
pub struct VmmConfig {
    /// QEMU, by name or path.
    pub program: PathBuf,
    /// One directory for each instance; not kept over a reboot, mode 0700.
    pub run_dir: PathBuf,
    /// Memory files: a tmpfs or hugetlbfs, mode 0700.
    pub ram_dir: PathBuf,
    /// Kernels and initial RAM file systems, named by their SHA-256.
    pub image_dir: PathBuf,
    /// User that QEMU runs as, not 0.
    pub uid: u32,
    /// Group that QEMU runs as.
    pub gid: u32,
    /// What to accelerate with.
    pub accelerator: AcceleratorSetting,
}

/// An instance that has a run directory on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceFound {
    /// Which.
    pub instance: InstanceId,
    /// Whether its process is alive.
    pub alive: bool,
}

/// The machines of a host.
#[derive(Debug)]
pub struct Vmm {
    config: VmmConfig,
    volumes: VolumeStore,
    accelerator: OnceLock<Result<Accelerator, String>>,
}

impl Vmm {
    /// Machines as `config` says, with volumes from `volumes`.
    ///
    /// # Errors
    /// [`VmmFailure::Privileged`].
    pub fn new(config: VmmConfig, volumes: VolumeStore) -> Result<Self, VmmFailure> {
        if config.uid == 0 {
            return Err(VmmFailure::Privileged);
        }
        Ok(Self { config, volumes, accelerator: OnceLock::new() })
    }

    /// What guests of this host are accelerated by. The probe runs at the first call.
    ///
    /// # Errors
    /// [`VmmFailure::NoKvm`].
    pub fn accelerator(&self) -> Result<Accelerator, VmmFailure> {
        let found = self.accelerator.get_or_init(|| {
            let probe = || {
                probe::probe(
                    &self.config.program,
                    Accelerator::Kvm,
                    &self.identity(Accelerator::Kvm),
                )
            };
            match self.config.accelerator {
                AcceleratorSetting::Tcg => Ok(Accelerator::Tcg),
                AcceleratorSetting::Kvm => probe().map(|()| Accelerator::Kvm),
                AcceleratorSetting::Auto => match probe() {
                    Ok(()) => Ok(Accelerator::Kvm),
                    Err(reason) => {
                        tracing::warn!(reason, "KVM does not work here: guests run translated");
                        Ok(Accelerator::Tcg)
                    }
                },
            }
        });
        found.clone().map_err(|reason| VmmFailure::NoKvm { reason })
    }

    /// An instance's memory file, whether it exists or not.
    #[must_use]
    pub fn ram_path(&self, instance: InstanceId) -> PathBuf {
        self.config.ram_dir.join(instance.to_string())
    }

    /// An instance's console log, whether it exists or not. A wipe overwrites it: the guest may
    /// have printed its secrets.
    #[must_use]
    pub fn console_path(&self, instance: InstanceId) -> PathBuf {
        self.run_path(instance).join(rundir::CONSOLE)
    }

    fn run_path(&self, instance: InstanceId) -> PathBuf {
        self.config.run_dir.join(instance.to_string())
    }

    fn run_dir(&self, instance: InstanceId) -> RunDir {
        RunDir::new(self.run_path(instance))
    }

    fn identity(&self, accelerator: Accelerator) -> Identity {
        let groups = match accelerator {
            Accelerator::Kvm => probe::kvm_group().into_iter().collect(),
            Accelerator::Tcg => Vec::new(),
        };
        Identity { uid: self.config.uid, gid: self.config.gid, groups }
    }

    /// Starts a machine and lets its guest run. Its volumes exist; `tap` is its open tap.
    ///
    /// # Errors
    /// See [`VmmFailure`]. Then no process of it is left.
    pub fn start(&self, spec: &MachineSpec, tap: &OwnedFd) -> Result<Running, VmmFailure> {
        let dir = self.run_dir(spec.instance);
        if let Some(process) = dir.process()? {
            let pid = process.id().pid;
            return Err(VmmFailure::AlreadyRuns { instance: spec.instance, pid });
        }
        // All that can be wrong is looked at before anything is touched.
        let kernel = image::open(&self.config, spec.kernel)?;
        let initrd = image::open(&self.config, spec.initrd)?;
        let volumes = self.open_volumes(spec)?;
        let ram_path = self.ram_path(spec.instance);
        let ram = ram::make(&ram_path, spec.memory_bytes(), self.config.uid, self.config.gid)?;
        dir.renew()?;
        let (console, socket) = (dir.console()?, dir.listen()?);
        let fds = MachineFds {
            ram: ram.as_raw_fd(),
            kernel: kernel.as_raw_fd(),
            initrd: initrd.as_raw_fd(),
            tap: tap.as_raw_fd(),
            console: console.as_raw_fd(),
            qmp: socket.as_raw_fd(),
        };
        let program = self.config.program.to_string_lossy();
        let argv: Vec<OsString> =
            machine::argv(&program, spec, &fds).into_iter().map(OsString::from).collect();
        let spawned = spawn_detached(&Detached {
            argv: &argv,
            fds: &[
                ram.as_fd(),
                kernel.as_fd(),
                initrd.as_fd(),
                tap.as_fd(),
                console.as_fd(),
                socket.as_fd(),
            ],
            identity: Some(&self.identity(spec.accelerator)),
            output: dir.qemu_log()?,
            record: dir.record()?,
        });
        let process = match spawned {
            Ok(process) => process,
            Err(failure) => {
                ram::remove_unused(&ram_path);
                return Err(VmmFailure::Spawn(failure));
            }
        };
        // Ours are closed, so that a QEMU that dies is seen as a closed connection at once.
        drop((ram, kernel, initrd, console, socket));
        let running = Running::new(spec.instance, process, dir);
        if let Err(source) = running.bring_up(&volumes) {
            let words = running.last_words();
            running.kill()?;
            return Err(VmmFailure::BringUp { instance: spec.instance, words, source });
        }
        tracing::info!(instance = %spec.instance, pid = running.process().pid, "machine started");
        Ok(running)
    }

    fn open_volumes(&self, spec: &MachineSpec) -> Result<Vec<OpenVolume>, VmmFailure> {
        let mut opened = Vec::new();
        for (index, volume) in spec.volumes.iter().enumerate() {
            opened.push(OpenVolume {
                commands: machine::volume_commands(index, *volume, self.volumes.backing(*volume)?),
                file: self.volumes.open(*volume)?,
                key: self.volumes.key(*volume)?,
            });
        }
        Ok(opened)
    }

    /// The machine of an instance, if its process is alive; after an agent's restart, too.
    ///
    /// # Errors
    /// See [`VmmFailure`].
    pub fn attach(&self, instance: InstanceId) -> Result<Option<Running>, VmmFailure> {
        let dir = self.run_dir(instance);
        let process: Option<Pidfd> = dir.process()?;
        Ok(process.map(|process| Running::new(instance, process, dir)))
    }

    /// Ends the machine of an instance as [`Running::stop`] does; without one there is
    /// nothing to do.
    ///
    /// # Errors
    /// [`VmmFailure::StillAlive`], or its run directory cannot be read.
    pub fn stop(&self, instance: InstanceId, grace: Duration) -> Result<Stopped, VmmFailure> {
        match self.attach(instance)? {
            Some(running) => running.stop(grace),
            None => Ok(Stopped::Already),
        }
    }

    /// Keeps a console log within `limit_bytes`: one that is longer is overwritten and starts
    /// again. A guest could otherwise fill the host's memory with it. Call it on every tick.
    ///
    /// # Errors
    /// The log cannot be overwritten.
    pub fn trim_console(&self, instance: InstanceId, limit_bytes: u64) -> Result<(), VmmFailure> {
        rundir::trim(&self.console_path(instance), limit_bytes)
    }

    /// Every instance with a run directory or a memory file on this host, in order.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn list(&self) -> Result<Vec<InstanceFound>, VmmFailure> {
        let mut ids = Vec::new();
        for dir in [&self.config.run_dir, &self.config.ram_dir] {
            for entry in fs::read_dir(dir).map_err(on("read", dir))? {
                let name = entry.map_err(on("read", dir))?.file_name();
                ids.extend(name.to_string_lossy().parse::<InstanceId>().ok());
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter()
            .map(|instance| {
                let alive = self.run_dir(instance).process()?.is_some();
                Ok(InstanceFound { instance, alive })
            })
            .collect()
    }

    /// Removes what a dead machine left besides its memory file: overwrites its logs and removes
    /// its run directory.
    ///
    /// # Errors
    /// It is alive, or a file cannot be overwritten.
    pub fn forget(&self, instance: InstanceId) -> Result<(), VmmFailure> {
        let dir = self.run_dir(instance);
        if let Some(process) = dir.process()? {
            return Err(VmmFailure::AlreadyRuns { instance, pid: process.id().pid });
        }
        dir.remove()
    }
}

/// A volume on its way into QEMU.
#[derive(Debug)]
struct OpenVolume {
    commands: Vec<machine::QmpCommand>,
    file: fs::File,
    key: Passphrase,
}

fn on(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VmmFailure {
    let path = path.to_owned();
    move |source| VmmFailure::File { act, path, source }
}
