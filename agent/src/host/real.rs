//! The real host: every step is carried out by one of the modules beside this one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenure_protocol::{
    digest::Digest,
    id::InstanceId,
    wire::v1::{CommitInterval, Mark},
};

use super::{
    erase,
    nft::{self, CutTable, Mended, NftFailure, Protection},
    observe::{self, Gauges},
    qemu::{Vmm, VmmConfig, VmmFailure},
    tap::{self, DeviceKind, TapFailure},
    volume::{VolumeFailure, VolumeStore},
};
use crate::core::{
    machine::{Accelerator, MachineSpec},
    observed::Observed,
    ruleset::TapName,
    step::{Host, HostFailure, Performed, StartInstance, Step, StepProgress},
};

/// The host that this process runs on.
#[derive(Debug)]
pub struct RealHost {
    /// Held for one transaction at a time: a cut waits for nothing longer.
    table: Mutex<CutTable>,
    policy: Mutex<Option<Digest>>,
    vmm: Vmm,
    config: VmmConfig,
    volumes: VolumeStore,
    gauges: Gauges,
}

impl RealHost {
    /// Looks whether the host has what it needs, and takes over the cut table.
    ///
    /// # Errors
    /// A sentence that says what is missing and what to do.
    pub fn open(config: VmmConfig, volumes: VolumeStore) -> Result<Self, HostFailure> {
        nft::probe().map_err(|error| HostFailure::of("nft", &error))?;
        let table = CutTable::open().map_err(|error| HostFailure::of("cut-table", &error))?;
        match table.protection() {
            Protection::Owned => {}
            weaker => {
                tracing::warn!(?weaker, "the cut table cannot be kept from others, only mended");
            }
        }
        let vmm = Vmm::new(config.clone(), volumes.clone()).map_err(vmm_failure)?;
        Ok(Self {
            table: Mutex::new(table),
            policy: Mutex::new(None),
            vmm,
            config,
            volumes,
            gauges: Gauges::open()?,
        })
    }

    /// What guests are accelerated by; the probe runs at the first call.
    ///
    /// # Errors
    /// If the configuration demands what does not work.
    pub fn accelerator(&self) -> Result<Accelerator, HostFailure> {
        self.vmm.accelerator().map_err(vmm_failure)
    }

    fn table(&self) -> MutexGuard<'_, CutTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn isolate(
        &self,
        mark: Mark,
        act: fn(&mut CutTable, Mark) -> Result<CommitInterval, NftFailure>,
    ) -> Result<Performed, HostFailure> {
        let mut table = self.table();
        let interval = act(&mut table, mark).map_err(nft_failure)?;
        let read_back = table.read_back().ok().map(|state| state.cut.contains(&mark));
        Ok(Performed::Isolated { interval, read_back })
    }

    fn start(&self, start: &StartInstance) -> Result<(), HostFailure> {
        let accelerator = self.accelerator()?;
        let spec = MachineSpec::of(&start.wanted, &start.network, accelerator)
            .map_err(|refusal| HostFailure::of(refusal.code(), &refusal))?;
        let bridge = bridge_of(&start.tap)?;
        let tap = tap::ensure_tap(&start.tap, &bridge).map_err(tap_failure)?;
        self.vmm.start(&spec, &tap).map(drop).map_err(vmm_failure)
    }

    fn end(&self, instance: InstanceId, grace: Duration) -> Result<(), HostFailure> {
        let Some(running) = self.vmm.attach(instance).map_err(vmm_failure)? else {
            return Ok(());
        };
        let ended = if grace.is_zero() { running.kill() } else { running.stop(grace).map(drop) };
        ended.map_err(vmm_failure)
    }

    fn apply_policy(&self, text: &str) -> Result<(), HostFailure> {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        *policy = None;
        nft::apply_policy(text).map_err(nft_failure)?;
        *policy = Some(Digest::of(text.as_bytes()));
        Ok(())
    }

    fn remove_volume(&self, step: &Step) -> Result<(), HostFailure> {
        let Step::RemoveVolume { volume } = step else { return Ok(()) };
        match std::fs::remove_file(self.volumes.path(*volume)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(HostFailure::of("remove-volume", &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn remove_instance(&self, instance: InstanceId) -> Result<(), HostFailure> {
        if self.vmm.ram_path(instance).exists() {
            let sentence = format!("the memory file of {instance} is still there: wipe it first");
            return Err(HostFailure { code: "memory-left", sentence });
        }
        self.vmm.forget(instance).map_err(vmm_failure)
    }
}

impl Host for RealHost {
    fn observe(&self) -> Result<Observed, HostFailure> {
        let cut = {
            let mut table = self.table();
            // Nobody can alter a table that we own; to inspect one takes long.
            if *table.protection() != Protection::Owned
                && let Mended::Anew { what } = table.mend().map_err(nft_failure)?
            {
                tracing::error!(what, "somebody changed the cut table: it was made anew");
            }
            table.read_back().map_err(nft_failure)?
        };
        let mut observed = observe::observe(cut, &self.vmm, &self.volumes, &self.gauges)?;
        observed.policy = *self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(observed)
    }

    fn perform(
        &self,
        step: &Step,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure> {
        match step {
            Step::Cut { mark } => return self.isolate(*mark, CutTable::cut),
            Step::Restore { mark } => return self.isolate(*mark, CutTable::restore),
            Step::WipeVolume(wipe) => {
                return erase::volume(&self.volumes, wipe, watch).map(Performed::Wiped);
            }
            Step::WipeMemory(wipe) => {
                return erase::memory(&self.vmm, &self.config.run_dir, wipe, watch)
                    .map(Performed::Wiped);
            }
            Step::Enlist { tap, mark } => self.table().enlist(tap, *mark).map_err(nft_failure)?,
            Step::Delist { tap } => self.table().delist(tap).map_err(nft_failure)?,
            Step::ApplyPolicy { text } => self.apply_policy(text)?,
            Step::EnsureBridge { bridge } => tap::ensure_bridge(bridge).map_err(tap_failure)?,
            Step::EnsureTap { tap, bridge } => {
                tap::ensure_tap(tap, bridge).map(drop).map_err(tap_failure)?;
            }
            Step::RemoveTap { tap } => tap::remove_tap(tap).map_err(tap_failure)?,
            Step::RemoveBridge { bridge } => tap::remove_bridge(bridge).map_err(tap_failure)?,
            Step::CreateVolume { volume, size_bytes } => {
                self.volumes.create(*volume, *size_bytes).map(drop).map_err(volume_failure)?;
            }
            Step::Start(start) => self.start(start)?,
            Step::Stop { instance, grace_ms } => {
                self.end(*instance, Duration::from_millis(*grace_ms))?;
            }
            Step::Kill { instance } => self.end(*instance, Duration::ZERO)?,
            Step::RemoveVolume { .. } => self.remove_volume(step)?,
            Step::RemoveInstance { instance } => self.remove_instance(*instance)?,
        }
        Ok(Performed::Done)
    }
}

fn bridge_of(tap: &TapName) -> Result<String, HostFailure> {
    let devices = tap::list().map_err(tap_failure)?;
    let found = devices.into_iter().find_map(|device| match device.kind {
        DeviceKind::Tap { bridge } if device.name == tap.as_str() => bridge,
        DeviceKind::Tap { .. } | DeviceKind::Bridge => None,
    });
    found.ok_or_else(|| HostFailure {
        code: "tap-unplugged",
        sentence: format!("{} is on no bridge: look for who unplugged it", tap.as_str()),
    })
}

fn nft_failure(error: NftFailure) -> HostFailure {
    HostFailure::of("nft", &error)
}

fn tap_failure(error: TapFailure) -> HostFailure {
    HostFailure::of("tap", &error)
}

fn vmm_failure(error: VmmFailure) -> HostFailure {
    HostFailure::of("machine", &error)
}

fn volume_failure(error: VolumeFailure) -> HostFailure {
    HostFailure::of("volume", &error)
}
