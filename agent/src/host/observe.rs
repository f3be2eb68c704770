//! The only place that finds out what is on a host.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
use tenure_protocol::wire::v1::Power;

use super::{
    nft::CutState,
    qemu::Vmm,
    tap::{self, DeviceKind},
    volume::VolumeStore,
};
use crate::core::{observed::Observed, ruleset::TapName, step::HostFailure};

/// Load and memory of the host: the load is that since the last look.
#[derive(Debug)]
pub struct Gauges(Mutex<System>);

impl Gauges {
    /// Ready to be read.
    ///
    /// # Errors
    /// If the system does not tell its load or memory.
    pub fn open() -> Result<Self, HostFailure> {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(what)
            .map_err(|error| HostFailure { code: "gauges", sentence: format!("{error:?}") })?;
        Ok(Self(Mutex::new(system)))
    }

    /// Load of all processors in thousandths, and bytes of memory in use.
    pub fn read(&self) -> (u32, u64) {
        let mut system = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        system.refresh_cpu_usage();
        system.refresh_memory();
        let percent = system.global_cpu_usage().clamp(0.0, 100.0);
        // Clamped above, so neither sign nor size is lost.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let permille = (percent * 10.0) as u32;
        (permille, system.used_memory())
    }
}

/// Looks at devices, machines and volumes; `cut` is what the cut table said, `gauges` the load.
///
/// # Errors
/// If a part cannot be seen.
pub fn observe(
    cut: CutState,
    vmm: &Vmm,
    volumes: &VolumeStore,
    gauges: &Gauges,
) -> Result<Observed, HostFailure> {
    let mut bridges = BTreeSet::new();
    let mut taps = BTreeSet::new();
    for device in tap::list().map_err(|error| HostFailure::of("devices", &error))? {
        match device.kind {
            DeviceKind::Bridge if device.up => drop(bridges.insert(device.name)),
            DeviceKind::Tap { bridge: Some(_) } if device.up => {
                taps.extend(TapName::parse(&device.name).ok());
            }
            DeviceKind::Bridge | DeviceKind::Tap { .. } => {}
        }
    }
    let mut enlisted = BTreeMap::new();
    for (name, mark) in cut.ports {
        enlisted.extend(TapName::parse(&name).ok().map(|tap| (tap, mark)));
    }
    let machines = vmm.list().map_err(|error| HostFailure::of("machines", &error))?;
    let power = |alive| if alive { Power::Running } else { Power::Stopped };
    let instances =
        machines.iter().map(|machine| (machine.instance, power(machine.alive))).collect();
    let volumes = volumes.list().map_err(|error| HostFailure::of("volumes", &error))?;
    let (cpu_load_permille, memory_used_bytes) = gauges.read();
    Ok(Observed {
        bridges,
        taps,
        enlisted,
        cut: cut.cut,
        policy: None,
        instances,
        volumes: volumes.into_iter().collect(),
        cpu_load_permille,
        memory_used_bytes,
    })
}
