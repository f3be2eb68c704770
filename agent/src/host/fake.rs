//! The fake host: the same steps on a picture of a host in memory. For tests and simulations; no
//! process of ours uses it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use tenure_protocol::{
    digest::Digest,
    evidence::predicate::{
        KeyErasureMeasured, MediaWipeMeasured, MemoryWipeMeasured, Span,
        conclusion::Ending,
        cut_proof::{ConservationMeasured, CutProof, Fact, ProbesMeasured, StructureMeasured},
        key_erasure::{Escrow, HeaderErasure, KeyCopy, KeyPlace},
        media_wipe::{ExtentList, FileSystem, FileSystemKind, Layer, LayerKind},
        memory_wipe::{MemoryFileSystem, Residue, ResiduePlace, ResidueState},
        network_cut::SealMeasured,
        wipe::{Pass, Pattern, ReadBack, ReadLayer, ReadMode, Writers},
    },
    id::InstanceId,
    time::Timestamp,
    wire::v1::{AlarmKind, CommitInterval, Mark, Power},
};

use crate::{
    clock::Clock,
    core::{
        anomaly::Sample,
        drift::Drift,
        observed::Observed,
        step::{Host, HostFailure, Performed, Step, StepProgress, WipeFacts},
    },
};

/// Bytes of each thing that the fake host wipes: the largest volume that a tenant can be given, so
/// that no volume is larger than what was wiped of it.
const BYTES: u64 = 64 << 40;

/// A host in memory. It keeps what was done in a log, and can be told to fail or to block.
#[derive(Debug, Default)]
pub struct FakeHost {
    clock: Clock,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    observed: Observed,
    sample: Sample,
    memory: BTreeSet<InstanceId>,
    /// The policy that was applied last.
    applied: Option<Digest>,
    log: Vec<Step>,
    failing: BTreeMap<&'static str, &'static str>,
    blocked: BTreeSet<&'static str>,
    waiting: BTreeSet<&'static str>,
}

impl FakeHost {
    /// An empty host with a clock of its own; [`FakeHost::default`] has the system's.
    #[must_use]
    pub fn at(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Every step that was done, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Step> {
        self.lock().log.clone()
    }

    /// What there is, without the ways in which looking can fail.
    #[must_use]
    pub fn state(&self) -> Observed {
        self.lock().observed.clone()
    }

    /// Changes what there is, as somebody else on the host would.
    pub fn tamper(&self, change: impl FnOnce(&mut Observed)) {
        change(&mut self.lock().observed);
    }

    /// Changes what is counted.
    pub fn count(&self, change: impl FnOnce(&mut Sample)) {
        change(&mut self.lock().sample);
    }

    /// From now on steps of this name ([`Step::name`]) fail with this code.
    pub fn fail(&self, step: &'static str, code: &'static str) {
        self.lock().failing.insert(step, code);
    }

    /// Steps of this name go well again.
    pub fn heal(&self, step: &'static str) {
        self.lock().failing.remove(step);
    }

    /// From now on steps of this name wait until they are let go.
    pub fn block(&self, step: &'static str) {
        self.lock().blocked.insert(step);
    }

    /// Lets steps of this name go on.
    pub fn release(&self, step: &'static str) {
        self.lock().blocked.remove(step);
        self.changed.notify_all();
    }

    /// Waits until a step of this name is blocked.
    pub fn wait_until_blocked(&self, step: &'static str) {
        let mut inner = self.lock();
        while !inner.waiting.contains(step) {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for FakeHost {
    fn observe(&self) -> Result<Observed, HostFailure> {
        Ok(self.state())
    }

    fn sample(&self) -> Result<Sample, HostFailure> {
        Ok(self.lock().sample.clone())
    }

    fn perform(
        &self,
        step: &Step,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure> {
        let name = step.name();
        let mut inner = self.lock();
        while inner.blocked.contains(name) {
            inner.waiting.insert(name);
            self.changed.notify_all();
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.waiting.remove(name);
        if let Some(code) = inner.failing.get(name).copied() {
            let sentence = format!("the fake host was told to fail at {name}");
            return Err(HostFailure { code, sentence });
        }
        inner.log.push(step.clone());
        let performed = inner.perform(step, self.clock.now());
        drop(inner);
        if matches!(step, Step::WipeVolume(_) | Step::WipeMemory(_)) {
            for done in [BYTES / 2, BYTES] {
                let resume = done.to_be_bytes().to_vec();
                watch(StepProgress { done_bytes: done, total_bytes: BYTES, resume });
            }
        }
        Ok(performed)
    }
}

impl Inner {
    fn perform(&mut self, step: &Step, now: Timestamp) -> Performed {
        let there = &mut self.observed;
        match step {
            Step::Cut { mark } => {
                there.cut.insert(*mark);
                return isolated(true, now);
            }
            Step::CutAll { marks } => return self.cut_all(marks, now),
            Step::Restore { mark } => {
                there.cut.remove(mark);
                return isolated(false, now);
            }
            Step::Seal { mark } => return sealed(there, *mark, now),
            Step::Guard { cut } => return Performed::Found(self.guard(cut)),
            Step::Prove { mark } => return proved(there, *mark, now),
            Step::Patrol => return Performed::Found(self.patrol()),
            Step::Enlist { tap, mark } => {
                there.enlisted.insert(tap.clone(), *mark);
            }
            Step::Delist { tap } => {
                there.enlisted.remove(tap);
            }
            Step::ApplyPolicy { text } => {
                there.policy = Some(Digest::of(text.as_bytes()));
                self.applied = there.policy;
            }
            Step::EnsureBridge { bridge } => {
                there.bridges.insert(bridge.clone());
            }
            Step::EnsureTap { tap, .. } => {
                there.taps.insert(tap.clone());
            }
            Step::RemoveTap { tap } => {
                there.taps.remove(tap);
            }
            Step::RemoveBridge { bridge } => {
                there.bridges.remove(bridge);
            }
            Step::CreateVolume { volume, .. } => {
                there.volumes.insert(*volume);
            }
            Step::Start(start) => {
                there.instances.insert(start.wanted.instance, Power::Running);
                self.memory.insert(start.wanted.instance);
            }
            Step::Stop { instance, .. } | Step::Kill { instance } => {
                if let Some(power) = there.instances.get_mut(instance) {
                    *power = Power::Stopped;
                }
            }
            Step::WipeVolume(wipe) => {
                return Performed::Wiped(Box::new(volume(
                    there.volumes.contains(&wipe.volume),
                    now,
                )));
            }
            Step::WipeMemory(wipe) => {
                return Performed::Wiped(Box::new(memory(
                    self.memory.contains(&wipe.instance),
                    now,
                )));
            }
            Step::RemoveVolume { volume } => {
                there.volumes.remove(volume);
            }
            Step::RemoveInstance { instance } => {
                there.instances.remove(instance);
                self.memory.remove(instance);
            }
        }
        Performed::Done
    }
}

impl Inner {
    fn cut_all(&mut self, marks: &BTreeSet<Mark>, now: Timestamp) -> Performed {
        self.observed.cut.extend(marks);
        let interval = CommitInterval { earliest: now, latest: now, took_ns: 1 };
        Performed::IsolatedAll { interval, read_back: Some(self.observed.cut.clone()) }
    }

    fn guard(&mut self, cut: &BTreeSet<Mark>) -> Vec<Drift> {
        let there = &mut self.observed;
        let missing: Vec<Mark> = cut.difference(&there.cut).copied().collect();
        there.cut.extend(&missing);
        missing.into_iter().map(|mark| Drift::not_cut(mark, true)).collect()
    }

    fn patrol(&mut self) -> Vec<Drift> {
        if self.observed.policy == self.applied {
            return Vec::new();
        }
        self.observed.policy = self.applied;
        vec![Drift {
            kind: AlarmKind::PacketFilter,
            subject: "bridge tenure".to_owned(),
            mark: None,
            what: "the table is gone".to_owned(),
            culprit: None,
            repaired: true,
        }]
    }
}

fn isolated(cut: bool, now: Timestamp) -> Performed {
    let interval = CommitInterval { earliest: now, latest: now, took_ns: 1 };
    Performed::Isolated { interval, read_back: Some(cut) }
}

fn sealed(there: &Observed, mark: Mark, now: Timestamp) -> Performed {
    let taps = there.enlisted.values().filter(|of| **of == mark).count();
    let taps = u32::try_from(taps).unwrap_or(u32::MAX);
    let sealed_read_back = if there.cut.contains(&mark) { taps } else { 0 };
    Performed::Sealed(SealMeasured { at: now, taps, sealed_read_back })
}

fn proved(there: &Observed, mark: Mark, now: Timestamp) -> Performed {
    let taps = there.enlisted.values().filter(|of| **of == mark).count();
    let taps = u32::try_from(taps).unwrap_or(u32::MAX);
    let rules = Digest::of(b"fake");
    let in_force = there.cut.contains(&mark);
    let structure = StructureMeasured { digest: rules, wanted: rules, in_force };
    let conservation = ConservationMeasured {
        taps,
        took_ns: 1,
        received_within: 0,
        dropped: 0,
        received_around: 0,
        sent: 0,
    };
    let probes = ProbesMeasured { requests: 1, taps, dropped: u64::from(taps), sent: 0 };
    Performed::Proved(CutProof {
        at: now,
        structure: Fact::Measured(structure),
        conservation: Fact::Measured(conservation),
        probes: Fact::Measured(probes),
    })
}

const fn span(now: Timestamp) -> Span {
    Span { started_at: now, ended_at: now, took_ns: 1 }
}

const fn ending(there: bool) -> Ending {
    if there { Ending::Completed } else { Ending::Absent }
}

const GONE: Writers = Writers { vmm_dead: true, open_files: 0, mappings: 0 };

const fn pass(pattern: Pattern, now: Timestamp) -> Pass {
    Pass { pattern, bytes: BYTES, error_bytes: 0, span: span(now) }
}

const fn read(pattern: Pattern, layer: ReadLayer, bytes: u64, now: Timestamp) -> ReadBack {
    let (mode, direct, span) = (ReadMode::Full, true, span(now));
    let (mismatched_bytes, unreadable_bytes) = (0, 0);
    ReadBack { pattern, mode, layer, direct, bytes, mismatched_bytes, unreadable_bytes, span }
}

fn volume(there: bool, now: Timestamp) -> WipeFacts {
    let extents = ExtentList::of(&[(0, 4096, BYTES)], 0);
    let layer = ReadLayer::BlockDevice;
    let header_bytes = 4096;
    let media = MediaWipeMeasured {
        ending: ending(there),
        span: span(now),
        file_system: FileSystem { kind: FileSystemKind::Ext4, mount_options: "rw".to_owned() },
        topology: vec![Layer {
            kind: LayerKind::Disk,
            device: "0:0".to_owned(),
            offset_bytes: 0,
            size_bytes: BYTES,
            identity: "fake".to_owned(),
        }],
        file_bytes: BYTES,
        extents_before: extents.clone(),
        extents_after: Some(extents),
        writers: GONE,
        passes: vec![pass(Pattern::Stream, now), pass(Pattern::Zeros, now)],
        read_backs: vec![
            read(Pattern::Stream, layer, BYTES, now),
            read(Pattern::Zeros, layer, BYTES, now),
        ],
        file_synced: true,
        device_cache_flushed: true,
        unlinked: false,
        bad_ranges: Vec::new(),
    };
    let key = KeyErasureMeasured {
        ending: ending(there),
        span: span(now),
        encryption: "luks1/aes-256-xts-plain64".to_owned(),
        encrypted_from_first_byte: true,
        copies: vec![KeyCopy {
            place: KeyPlace::KeyFile,
            destroyed: true,
            detail: "fake".to_owned(),
        }],
        header: Some(HeaderErasure {
            bytes: header_bytes,
            read_back: read(Pattern::Zeros, layer, header_bytes, now),
        }),
        escrow: Escrow::None,
    };
    let media = Box::new(media);
    WipeFacts::Volume { media, key, device_reported: Vec::new(), not_measured: Vec::new() }
}

fn memory(there: bool, now: Timestamp) -> WipeFacts {
    let residue = ResiduePlace::REQUIRED
        .into_iter()
        .map(|place| Residue { place, state: ResidueState::Clean, detail: "fake".to_owned() })
        .collect();
    let memory = MemoryWipeMeasured {
        ending: ending(there),
        span: span(now),
        file_system: MemoryFileSystem::Tmpfs,
        page_bytes: 4096,
        bytes: BYTES,
        writers: GONE,
        passes: vec![pass(Pattern::Zeros, now)],
        read_backs: vec![read(Pattern::Zeros, ReadLayer::Memory, BYTES, now)],
        unlinked: false,
        residue,
    };
    WipeFacts::Memory { memory, not_measured: Vec::new() }
}
