//! What is on the host: the only observer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::sys::statvfs::statvfs;
use sysinfo::System;
use tenure_protocol::{
    digest::Digest,
    evidence::predicate::AgentIdentity,
    id::InstanceId,
    wire::v1::{HostFacts, Power},
};

use super::{
    nft::CutState,
    pool::Pool,
    qemu::{RunState, Vmm, VmmFailure},
    tap::{self, DeviceKind},
    volume::VolumeStore,
};
use crate::core::{observed::Observed, ruleset::TapName, step::HostFailure};

/// Most bytes of a guest's console that are kept; a longer one starts again. It lies in `/run`,
/// which is the host's memory.
const MAX_CONSOLE_BYTES: u64 = 4 * 1024 * 1024;

/// What this process and its kernel are, for statements.
///
/// # Errors
/// [`HostFailure`] if the process cannot read its own binary, or the kernel's boot id.
pub fn agent_identity() -> Result<AgentIdentity, HostFailure> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| HostFailure {
            code: "not-observed",
            sentence: format!("cannot read {path}: {error}"),
        })
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok(AgentIdentity {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: sha256(&read("/proc/self/exe")?),
        boot_id: text(read("/proc/sys/kernel/random/boot_id")?),
        kernel: text(read("/proc/sys/kernel/osrelease")?),
    })
}

/// SHA-256 by ring, whose code is fast in every build: a binary has tens of megabytes, and a build
/// without optimisation takes minutes for them on a slow machine.
fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = Digest([0; 32]);
    digest.0.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    digest
}

/// What the host has.
///
/// # Errors
/// [`HostFailure`] if a directory cannot be measured.
pub fn facts(
    ram_dir: &Path,
    (volume_dir, volume_devices): (&Path, &[PathBuf]),
    accelerator: &str,
    kernel: &str,
) -> Result<HostFacts, HostFailure> {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(HostFacts {
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: capacity(ram_dir)?,
        volume_bytes: if volume_devices.is_empty() {
            capacity(volume_dir)?
        } else {
            Pool::new(volume_devices, volume_dir).bytes()
        },
        accelerator: accelerator.to_owned(),
        kernel: kernel.to_owned(),
    })
}

/// Bytes that a file system has room for in all. hugetlbfs counts in its own pages.
fn capacity(dir: &Path) -> Result<u64, HostFailure> {
    let found = statvfs(dir).map_err(|error| HostFailure {
        code: "not-observed",
        sentence: format!("cannot measure {}: {error}", dir.display()),
    })?;
    Ok(found.blocks().saturating_mul(found.fragment_size()))
}

/// Looks at load and memory, and remembers what sysinfo needs from one look to the next.
#[derive(Debug)]
pub struct Gauge(Mutex<Option<System>>);

impl Default for Gauge {
    fn default() -> Self {
        Self(Mutex::new(System::new().ok()))
    }
}

impl Gauge {
    fn read(&self, observed: &mut Observed) {
        let mut system = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(system) = system.as_mut() else { return };
        system.refresh_memory();
        system.refresh_cpu_usage();
        observed.memory_used_bytes = system.used_memory();
        let permille = (system.global_cpu_usage() * 10.0).round().clamp(0.0, 1000.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was clamped to 0..=1000"
        )]
        let permille = permille as u32;
        observed.cpu_load_permille = permille;
    }
}

/// Everything but the machines, which are looked at apart.
///
/// # Errors
/// [`HostFailure`] if a part cannot be seen.
pub(super) fn host(
    volumes: &VolumeStore,
    cuts: CutState,
    policy: Option<Digest>,
    gauge: &Gauge,
) -> Result<Observed, HostFailure> {
    let mut observed = Observed { policy, cut: cuts.cut, ..Observed::default() };
    let named = |name: &str| TapName::parse(name).ok();
    observed.enlisted =
        cuts.ports.iter().filter_map(|(tap, mark)| Some((named(tap)?, *mark))).collect();
    for device in tap::list().map_err(|error| HostFailure::of("links", &error))? {
        match device.kind {
            DeviceKind::Bridge if device.up => {
                observed.bridges.insert(device.name);
            }
            DeviceKind::Tap { bridge: Some(_) } if device.up => {
                observed.taps.extend(named(&device.name));
            }
            // What is down or not plugged in is made again by the same step.
            DeviceKind::Bridge | DeviceKind::Tap { .. } => {}
        }
    }
    let known = volumes.list().map_err(|error| HostFailure::of("volumes", &error))?;
    for volume in known {
        // One whose device is gone is on this host no less: its wipe says that it was not found.
        if volumes.is_complete(volume).unwrap_or(true) {
            observed.volumes.insert(volume);
        }
    }
    gauge.read(&mut observed);
    Ok(observed)
}

/// The machines: running is what has a guest that runs; anything else, a process that hangs too,
/// counts as stopped and is ended before it is started again. What they print is kept in bounds.
///
/// # Errors
/// [`HostFailure`] if run directories cannot be read.
pub(super) fn machines(vmm: &Vmm) -> Result<BTreeMap<InstanceId, Power>, HostFailure> {
    let failed = |error: VmmFailure| HostFailure::of("machines", &error);
    let mut found = BTreeMap::new();
    for one in vmm.list().map_err(failed)? {
        trim(vmm, one.instance);
        let running = one.alive
            && match vmm.attach(one.instance).map_err(failed)?.map(|machine| machine.status()) {
                None => false,
                Some(Ok(RunState::Incomplete | RunState::ShutDown)) => false,
                // A machine that does not answer may run: nobody starts a second one over it.
                Some(Ok(RunState::Running | RunState::Other(_)) | Err(_)) => true,
            };
        found.insert(one.instance, if running { Power::Running } else { Power::Stopped });
    }
    Ok(found)
}

/// A console that cannot be trimmed is no reason not to observe.
fn trim(vmm: &Vmm, instance: InstanceId) {
    if let Err(error) = vmm.trim_console(instance, MAX_CONSOLE_BYTES) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%instance, error, "a console is not trimmed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binarys_digest_is_the_one_that_every_other_digest_is() {
        assert_eq!(sha256(b"tenure-hostd"), Digest::of(b"tenure-hostd"));
    }
    use crate::{
        core::sample,
        host::qemu::{AcceleratorSetting, VmmConfig},
    };

    #[test]
    fn a_console_beyond_the_limit_starts_again_when_machines_are_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().to_owned();
        let config = VmmConfig {
            program: "qemu".into(),
            run_dir: at.clone(),
            ram_dir: at.clone(),
            image_dir: at.clone(),
            uid: 1,
            gid: 1,
            accelerator: AcceleratorSetting::Tcg,
        };
        let vmm =
            Vmm::new(config, VolumeStore::new(&at, &[], &at, Path::new("qemu-img"))).expect("fit");
        for (instance, over, left) in [(1, 0, MAX_CONSOLE_BYTES), (2, 1, 0)] {
            let console = vmm.console_path(sample::instance(instance));
            std::fs::create_dir_all(console.parent().expect("a parent")).expect("made");
            let file = std::fs::File::create(&console).expect("made");
            file.set_len(MAX_CONSOLE_BYTES + over).expect("grown");
            machines(&vmm).expect("seen");
            assert_eq!(file.metadata().expect("seen").len(), left);
        }
    }
}
