//! The real host: each step goes to the module that does it.

mod counters;
mod drift;
mod erase;
mod memory;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tenure_protocol::{
    evidence::predicate::network_cut::SealMeasured,
    id::{InstanceId, VolumeId},
    wire::v1::{Mark, Power},
};

use self::{counters::Counters, drift::Policy};
use super::{
    nft::{self, Changes, CutTable, NftFailure, PolicyTable, Protection},
    observe::{self, Gauge},
    overwrite::Clocks,
    qemu::{RunState, Vmm, VmmConfig, VmmFailure},
    tap::{self, DeviceKind, TapFailure},
    volume::VolumeStore,
};
use crate::{
    clock,
    config::HostdConfig,
    core::{
        anomaly::Sample,
        machine::MachineSpec,
        observed::Observed,
        ruleset::{ListKey, TapName},
        seal,
        step::{Host, HostFailure, Performed, StartInstance, Step, StepProgress},
    },
    file::{self, FileFailure},
};

/// The clocks of wipes.
const CLOCKS: Clocks = Clocks { now: clock::now, monotonic: clock::monotonic };

/// Why the host cannot be taken hold of.
#[derive(Debug, thiserror::Error)]
pub enum RealHostFailure {
    /// The cut table.
    #[error(transparent)]
    Nft(#[from] NftFailure),
    /// The machines.
    #[error(transparent)]
    Vmm(Box<VmmFailure>),
    /// A directory.
    #[error(transparent)]
    File(#[from] FileFailure),
    /// The kernel gave no random bytes.
    #[error("the kernel gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// The devices.
    #[error(transparent)]
    Tap(#[from] TapFailure),
}

impl From<VmmFailure> for RealHostFailure {
    fn from(failure: VmmFailure) -> Self {
        Self::Vmm(Box::new(failure))
    }
}

/// This host.
#[derive(Debug)]
pub struct RealHost {
    cuts: Mutex<Cuts>,
    policy: Mutex<Policy>,
    list_key: ListKey,
    /// Taps that were made and are to be there, each with its bridge.
    devices: Mutex<BTreeMap<TapName, String>>,
    changes: Changes,
    volumes: VolumeStore,
    /// Most bytes a second of a volume's wipe.
    wipe_limit: Option<NonZeroU64>,
    vmm: Vmm,
    /// Taken for writing while a machine is started or ended, so that nobody asks it meanwhile.
    busy: RwLock<()>,
    seen: Mutex<BTreeMap<InstanceId, Power>>,
    gauge: Gauge,
    counters: Mutex<Counters>,
    erased_dir: PathBuf,
}

#[derive(Debug)]
struct Cuts {
    table: CutTable,
    /// Taps that were entered, for a table that has to be made anew, and for seals.
    taps: BTreeMap<TapName, Mark>,
    /// Why taps cannot be sealed on this host, as a sentence.
    no_seal: Option<String>,
    /// Whether the table was made by this process and nothing was asserted in it yet.
    fresh: bool,
}

impl Cuts {
    /// Seals the taps of a mark that is cut, as many as there are; none of one that is not.
    fn seal(&mut self, mark: Mark) -> Result<SealMeasured, HostFailure> {
        if let Some(reason) = &self.no_seal {
            return Err(HostFailure { code: seal::NO_SEAL, sentence: reason.clone() });
        }
        let of_mark = self.taps.iter().filter(|(tap, of)| **of == mark && tap::exists(tap));
        let taps: BTreeSet<TapName> = of_mark.map(|(tap, _)| tap.clone()).collect();
        let cut = self.table.is_cut(mark).map_err(nft)?;
        let wanted = if cut { &taps } else { &BTreeSet::new() };
        self.table.seal(mark, wanted).map_err(nft)?;
        let sealed = self.table.sealed(mark).map_err(nft)?;
        let count = |taps: usize| u32::try_from(taps).unwrap_or(u32::MAX);
        let sealed = taps.iter().filter(|tap| sealed.contains(tap.as_str())).count();
        let (taps, sealed_read_back) = (count(taps.len()), count(sealed));
        Ok(SealMeasured { at: clock::now(), taps, sealed_read_back })
    }

    /// As [`Self::seal`], beside a step that must not fail by it: every tick tries again.
    fn seal_beside(&mut self, mark: Mark) {
        match self.seal(mark) {
            Ok(_) | Err(HostFailure { code: seal::NO_SEAL, .. }) => {}
            Err(failure) => {
                tracing::error!(
                    mark = mark.0,
                    code = failure.code,
                    "taps are not sealed: {failure}"
                );
            }
        }
    }
}

impl RealHost {
    /// Takes hold of the cut table: the cuts that are in it stay in force.
    ///
    /// # Errors
    /// [`RealHostFailure`].
    pub fn open(config: &HostdConfig) -> Result<Self, RealHostFailure> {
        let (dir, devices) = (&config.volume_dir, &config.volume_devices);
        let volumes = VolumeStore::new(dir, devices, &config.key_dir, &config.qemu_img);
        let machines = VmmConfig {
            program: config.qemu.clone(),
            run_dir: config.instances_dir(),
            ram_dir: config.ram_dir.clone(),
            image_dir: config.image_dir.clone(),
            uid: config.vmm_uid,
            gid: config.vmm_gid,
            accelerator: config.accelerator,
        };
        let vmm = Vmm::new(machines, volumes.clone())?;
        let changes = Changes::default();
        let mut table = CutTable::open_among(changes.clone())?;
        let no_seal = nft::probe_seal().err().map(|error| nft(error).sentence);
        if let Some(reason) = &no_seal {
            tracing::warn!(reason, "cuts have no second stage on this host");
        }
        if let Protection::Unowned { reason } = table.protection() {
            tracing::warn!(reason, "the cut table is not protected from others");
        }
        let ports = table.read_back()?.ports;
        let taps: BTreeMap<TapName, Mark> = ports
            .into_iter()
            .filter_map(|(tap, mark)| Some((TapName::parse(&tap).ok()?, mark)))
            .collect();
        let plugged = tap::list()?.into_iter().filter_map(|device| match device.kind {
            DeviceKind::Tap { bridge } => Some((TapName::parse(&device.name).ok()?, bridge?)),
            DeviceKind::Bridge => None,
        });
        let devices = plugged.filter(|(tap, _)| taps.contains_key(tap)).collect();
        let fresh = table.is_fresh();
        let erased_dir = config.state_dir.join("erased");
        file::directory(&erased_dir, 0o700, None)?;
        Ok(Self {
            cuts: Mutex::new(Cuts { table, taps, no_seal, fresh }),
            policy: Mutex::new(Policy::new(PolicyTable::open(changes.clone())?)),
            list_key: drift::list_key(&config.state_dir.join("lists.key"))?,
            devices: Mutex::new(devices),
            changes,
            volumes,
            wipe_limit: config.wipe_bytes_per_s(),
            vmm,
            busy: RwLock::new(()),
            seen: Mutex::default(),
            gauge: Gauge::default(),
            counters: Mutex::new(Counters::open()?),
            erased_dir,
        })
    }

    /// What others change in the packet filter, for whoever reads the notifications of it.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// What guests are accelerated by: `kvm` or `tcg`.
    ///
    /// # Errors
    /// [`RealHostFailure::Vmm`] if the configuration demands what does not work.
    pub fn accelerator(&self) -> Result<&'static str, RealHostFailure> {
        Ok(self.vmm.accelerator()?.name())
    }

    fn start(&self, start: &StartInstance) -> Result<(), HostFailure> {
        let accelerator = self.vmm.accelerator().map_err(vmm)?;
        let spec = MachineSpec::of(&start.wanted, &start.network, accelerator)
            .map_err(|refusal| HostFailure::of(refusal.code(), &refusal))?;
        let _busy = self.busy.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = self.vmm.attach(spec.instance).map_err(vmm)? {
            match machine.status() {
                Ok(RunState::Running) => return Ok(()),
                Ok(RunState::Incomplete | RunState::ShutDown | RunState::Other(_)) | Err(_) => {
                    machine.kill().map_err(vmm)?;
                }
            }
        }
        let tap = self.ensure_tap(&start.tap, &start.bridge)?;
        self.vmm.start(&spec, &tap).map_err(vmm)?;
        Ok(())
    }

    fn stop(&self, instance: InstanceId, grace: Option<Duration>) -> Result<(), HostFailure> {
        let _busy = self.busy.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = self.vmm.attach(instance).map_err(vmm)? {
            match grace {
                Some(grace) => drop(machine.stop(grace).map_err(vmm)?),
                None => machine.kill().map_err(vmm)?,
            }
        }
        Ok(())
    }

    /// Whether no process of the instance is left: asked of the kernel, each time.
    fn is_dead(&self, instance: InstanceId) -> Result<bool, HostFailure> {
        Ok(self.vmm.attach(instance).map_err(vmm)?.is_none())
    }

    fn isolate(&self, mark: Mark, cut: bool) -> Result<Performed, HostFailure> {
        let mut cuts = self.cuts();
        let interval = if cut { cuts.table.cut(mark) } else { cuts.table.restore(mark) };
        let interval = interval.map_err(nft)?;
        let read_back = match cuts.table.read_back() {
            Ok(state) => Some(state.cut.contains(&mark)),
            Err(error) => {
                tracing::warn!(%error, "a cut was committed and cannot be read back");
                None
            }
        };
        Ok(Performed::Isolated { interval, read_back })
    }

    fn cut_all(&self, marks: &BTreeSet<Mark>) -> Result<Performed, HostFailure> {
        let mut cuts = self.cuts();
        let interval = cuts.table.cut_all(marks).map_err(nft)?;
        let read_back = match cuts.table.read_back() {
            Ok(state) => Some(state.cut),
            Err(error) => {
                tracing::warn!(%error, "cuts were committed and cannot be read back");
                None
            }
        };
        Ok(Performed::IsolatedAll { interval, read_back })
    }

    /// A tap of a tenant that is cut is sealed before it goes up.
    fn ensure_tap(&self, tap: &TapName, bridge: &str) -> Result<OwnedFd, HostFailure> {
        let seal = || {
            let mut cuts = self.cuts();
            if let Some(mark) = cuts.taps.get(tap).copied() {
                cuts.seal_beside(mark);
            }
        };
        let made = tap::ensure_tap(tap, bridge, seal);
        let made = made.map_err(|error| HostFailure::of("tap", &error))?;
        self.devices().insert(tap.clone(), bridge.to_owned());
        Ok(made)
    }

    fn remove_tap(&self, tap: &TapName) -> Result<(), HostFailure> {
        let mut devices = self.devices();
        tap::remove_tap(tap).map_err(|error| HostFailure::of("links", &error))?;
        devices.remove(tap);
        Ok(())
    }

    fn enlist(&self, tap: &TapName, mark: Mark) -> Result<(), HostFailure> {
        let mut cuts = self.cuts();
        cuts.table.enlist(tap, mark).map_err(nft)?;
        let before = cuts.taps.insert(tap.clone(), mark).filter(|before| *before != mark);
        before.into_iter().chain([mark]).for_each(|mark| cuts.seal_beside(mark));
        Ok(())
    }

    fn delist(&self, tap: &TapName) -> Result<(), HostFailure> {
        let mut cuts = self.cuts();
        cuts.table.delist(tap).map_err(nft)?;
        if let Some(mark) = cuts.taps.remove(tap) {
            cuts.seal_beside(mark);
        }
        Ok(())
    }

    fn create_volume(&self, volume: VolumeId, size_bytes: u64) -> Result<(), HostFailure> {
        let failed = |error| HostFailure::of("volume", &error);
        self.volumes.create(volume, size_bytes).map(drop).map_err(failed)
    }

    fn remove_volume(&self, volume: VolumeId) -> Result<(), HostFailure> {
        let failed = |error| HostFailure::of("volume", &error);
        self.volumes.remove(volume).map_err(failed)?;
        remove(&self.erased_path(volume))
    }

    fn remove_instance(&self, instance: InstanceId) -> Result<(), HostFailure> {
        // The wipe has unlinked the memory already; a file that is there again was never wiped.
        if self.vmm.ram_path(instance).exists() {
            let sentence = format!("instance {instance} has memory again after its wipe");
            return Err(HostFailure { code: "memory-again", sentence });
        }
        self.vmm.forget(instance).map_err(vmm)
    }

    fn erased_path(&self, volume: VolumeId) -> PathBuf {
        self.erased_dir.join(format!("{volume}.json"))
    }

    fn cuts(&self) -> MutexGuard<'_, Cuts> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn devices(&self) -> MutexGuard<'_, BTreeMap<TapName, String>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for RealHost {
    fn observe(&self) -> Result<Observed, HostFailure> {
        let cuts = self.cuts().table.read_back().map_err(nft)?;
        let policy = self.policy().in_force().map_err(nft)?;
        let mut observed = observe::host(&self.volumes, cuts, policy, &self.gauge)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A machine that is being started or ended answers one at a time: what was seen before
        // counts until that is over.
        if let Ok(_free) = self.busy.try_read() {
            *seen = observe::machines(&self.vmm)?;
        }
        observed.instances = seen.clone();
        observed.list_key = self.list_key.clone();
        Ok(observed)
    }

    fn sample(&self) -> Result<Sample, HostFailure> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = seen.into_iter().filter(|(_, power)| *power == Power::Running);
        let instances: BTreeSet<InstanceId> = running.map(|(instance, _)| instance).collect();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.read(&self.vmm, &instances)
    }

    fn perform(
        &self,
        step: &Step,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure> {
        let links = |error: tap::TapFailure| HostFailure::of("links", &error);
        match step {
            Step::Cut { mark } => return self.isolate(*mark, true),
            Step::CutAll { marks } => return self.cut_all(marks),
            Step::Restore { mark } => return self.isolate(*mark, false),
            Step::Seal { mark } => return self.cuts().seal(*mark).map(Performed::Sealed),
            Step::Prove { mark } => return self.prove(*mark).map(Performed::Proved),
            Step::Guard { cut } => return self.guard(cut).map(Performed::Found),
            Step::Patrol => return self.patrol().map(Performed::Found),
            Step::Enlist { tap, mark } => self.enlist(tap, *mark)?,
            Step::Delist { tap } => self.delist(tap)?,
            Step::ApplyPolicy { text } => self.policy().replace(text).map_err(nft)?,
            Step::EnsureBridge { bridge } => tap::ensure_bridge(bridge).map_err(links)?,
            Step::EnsureTap { tap, bridge } => drop(self.ensure_tap(tap, bridge)?),
            Step::RemoveTap { tap } => self.remove_tap(tap)?,
            Step::RemoveBridge { bridge } => tap::remove_bridge(bridge).map_err(links)?,
            Step::CreateVolume { volume, size_bytes } => {
                self.create_volume(*volume, *size_bytes)?;
            }
            Step::Start(start) => self.start(start)?,
            Step::Stop { instance, grace_ms } => {
                self.stop(*instance, Some(Duration::from_millis(*grace_ms)))?;
            }
            Step::Kill { instance } => self.stop(*instance, None)?,
            Step::WipeVolume(wipe) => return self.wipe_volume(wipe, watch),
            Step::WipeMemory(wipe) => return self.wipe_memory(wipe, watch),
            Step::RemoveVolume { volume } => self.remove_volume(*volume)?,
            Step::RemoveInstance { instance } => self.remove_instance(*instance)?,
        }
        Ok(Performed::Done)
    }
}

fn nft(error: NftFailure) -> HostFailure {
    HostFailure::of("packet-filter", &error)
}

fn vmm(error: VmmFailure) -> HostFailure {
    HostFailure::of("machine", &error)
}

fn remove(path: &Path) -> Result<(), HostFailure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(HostFailure {
            code: "not-removed",
            sentence: format!("cannot remove {}: {error}", path.display()),
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}
