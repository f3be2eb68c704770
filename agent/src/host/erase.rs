//! The two destructive steps, made of what `disk`, `memory`, `key` and `leftovers` measure. Each keeps
//! a note of how far it is, which comes back in `resume` after a crash.

use std::{ops::ControlFlow, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tenure_protocol::evidence::predicate::{
    KeyErasureMeasured,
    conclusion::Ending,
    key_erasure::{Escrow, HeaderErasure, KeyCopy, KeyPlace},
    media_wipe::MediaWipeMeasured,
    memory_wipe::Residue,
    wipe::Pattern,
};

use super::{
    disk::{self, DiskProgress, DiskWipe},
    leftovers,
    memory::{self, MemoryProgress},
    overwrite::Clocks,
    qemu::Vmm,
    volume::VolumeStore,
};
use crate::{
    clock,
    core::{
        step::{HostFailure, MemoryWipe, StepProgress, VolumeWipe, WipeFacts},
        wipe::{Course, Seed, Stage},
    },
};

const CLOCKS: Clocks = Clocks { now: clock::now, monotonic: clock::monotonic };

/// What `host/volume.rs` makes of every volume.
const ENCRYPTION: &str = "luks1/aes-256-xts-plain64";

/// How far a volume's wipe is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeNote {
    /// Of header and key slots; read before they are overwritten.
    header_bytes: u64,
    disk: Option<DiskProgress>,
}

/// How far a memory's wipe is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryNote {
    residue: Vec<Residue>,
    memory: Option<MemoryProgress>,
}

/// Destroys a volume's key, then overwrites its file and reads it back. The machine that used it is
/// dead: the plan's kill came before, and fails unless the pidfd says so.
///
/// # Errors
/// [`HostFailure`]; what was done is in the last note.
pub(super) fn volume(
    volumes: &VolumeStore,
    wipe: &VolumeWipe,
    watch: &mut dyn FnMut(StepProgress),
) -> Result<Box<WipeFacts>, HostFailure> {
    let begun: Option<VolumeNote> = read(wipe.resume.as_deref())?;
    let again = begun.is_some();
    let mut note = match begun {
        Some(note) => note,
        None => {
            let header_bytes = volumes
                .header_bytes(wipe.volume)
                .map_err(|error| HostFailure::of("volume", &error))?;
            VolumeNote { header_bytes, disk: None }
        }
    };
    // On record before the key goes: a key that is gone then went by this wipe.
    watch(StepProgress { done_bytes: 0, total_bytes: 0, resume: write(&note) });
    let erased = volumes.erase_key(wipe.volume).map_err(|error| HostFailure::of("key", &error))?;
    let destroyed =
        erased.copies_known == erased.copies_destroyed && (erased.copies_known > 0 || again);
    let detail = if erased.copies_known > 0 {
        "overwritten in place, read back and removed".to_owned()
    } else if again {
        "removed by an earlier run of this wipe".to_owned()
    } else {
        "no key file was there when the wipe began".to_owned()
    };
    let request = DiskWipe {
        path: volumes.path(wipe.volume),
        seed: Seed::new(&wipe.nonce, wipe.volume.as_uuid().as_bytes()),
        vmm_dead: true,
        resume: note.disk.take(),
        clocks: CLOCKS,
    };
    let header_bytes = note.header_bytes;
    let mut save = |progress: &DiskProgress| {
        note.disk = Some(progress.clone());
        watch(progress_of(progress.course(), write(&note)));
        ControlFlow::Continue(())
    };
    let measurement = disk::wipe(&request, &mut save)
        .map_err(|failure| HostFailure::of(failure.code(), &failure))?;
    let key_file = KeyCopy { place: KeyPlace::KeyFile, destroyed, detail };
    Ok(Box::new(WipeFacts::Volume {
        key: key_erasure(&measurement.measured, header_bytes, key_file),
        media: Box::new(measurement.measured),
        device_reported: measurement.device_reported,
        not_measured: measurement.not_measured,
    }))
}

/// The header lies in the volume's first bytes, so the volume's read-back covers it. What mismatched
/// anywhere counts against it.
fn key_erasure(
    media: &MediaWipeMeasured,
    header_bytes: u64,
    key_file: KeyCopy,
) -> KeyErasureMeasured {
    let zeros = media.read_backs.iter().rfind(|read| read.pattern == Pattern::Zeros);
    let header = zeros.map(|read| {
        let mut read_back = *read;
        read_back.bytes = read.bytes.min(header_bytes);
        HeaderErasure { bytes: header_bytes, read_back }
    });
    let process = KeyCopy {
        place: KeyPlace::ProcessMemory,
        destroyed: true,
        detail: "the process is dead, by its pidfd, and nothing holds the volume".to_owned(),
    };
    KeyErasureMeasured {
        ending: Ending::Completed,
        span: media.span,
        encryption: ENCRYPTION.to_owned(),
        encrypted_from_first_byte: true,
        copies: vec![key_file, process],
        header,
        escrow: Escrow::None,
    }
}

/// Wipes what an instance's process left in its run directory, then its memory file.
///
/// # Errors
/// [`HostFailure`]; what was done is in the last note.
pub(super) fn memory(
    vmm: &Vmm,
    run_dir: &Path,
    wipe: &MemoryWipe,
    watch: &mut dyn FnMut(StepProgress),
) -> Result<Box<WipeFacts>, HostFailure> {
    let instance = wipe.instance;
    let alive = vmm.attach(instance).map_err(|error| HostFailure::of("machine", &error))?;
    let seed = Seed::new(&wipe.nonce, instance.as_uuid().as_bytes());
    let mut note = match read(wipe.resume.as_deref())? {
        Some(note) => note,
        None if alive.is_some() => MemoryNote { residue: Vec::new(), memory: None },
        None => {
            let residue = leftovers::wipe(&run_dir.join(instance.to_string()), seed, CLOCKS)
                .map_err(|error| HostFailure::of("leftovers", &error))?;
            MemoryNote { residue, memory: None }
        }
    };
    let request = memory::MemoryWipe {
        path: vmm.ram_path(instance),
        seed,
        vmm_dead: alive.is_none(),
        // `core/machine.rs` starts every machine so.
        left_out_of_dumps: true,
        residue: note.residue.clone(),
        resume: note.memory.take(),
        clocks: CLOCKS,
    };
    let mut save = |progress: &MemoryProgress| {
        note.memory = Some(progress.clone());
        watch(progress_of(progress.course(), write(&note)));
        ControlFlow::Continue(())
    };
    let measurement = memory::wipe(&request, &mut save)
        .map_err(|failure| HostFailure::of(failure.code(), &failure))?;
    Ok(Box::new(WipeFacts::Memory {
        memory: measurement.measured,
        not_measured: measurement.not_measured,
    }))
}

/// Two passes, each read back: four stages through the same bytes.
fn progress_of(course: &Course, resume: Vec<u8>) -> StepProgress {
    let target = course.target_bytes();
    let done = match course.stage() {
        Stage::Write(_) | Stage::ReadBack(_) => {
            let stages = course.passes().len() + course.read_backs().len();
            target.saturating_mul(stages as u64).saturating_add(course.offset())
        }
        Stage::Remove => target.saturating_mul(4),
    };
    StepProgress { done_bytes: done, total_bytes: target.saturating_mul(4), resume }
}

fn read<T: DeserializeOwned>(note: Option<&[u8]>) -> Result<Option<T>, HostFailure> {
    note.map(|bytes| {
        serde_json::from_slice(bytes).map_err(|error| HostFailure::of("wipe-note", &error))
    })
    .transpose()
}

fn write<T: Serialize>(note: &T) -> Vec<u8> {
    serde_json::to_vec(note).unwrap_or_default()
}
