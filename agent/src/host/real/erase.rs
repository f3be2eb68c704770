//! The wipe of a volume: its key first, since that is quick and makes the rest unreadable; then its
//! blocks.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{
        Ending, KeyErasureMeasured, MediaWipeMeasured, NotMeasured, Span,
        key_erasure::{Escrow, HeaderErasure, KeyCopy, KeyPlace},
        wipe::{Pattern, ReadBack},
    },
    time::Timestamp,
};

use super::{CLOCKS, RealHost};
use crate::{
    clock,
    core::{
        step::{HostFailure, Performed, StepProgress, VolumeWipe, WipeFacts},
        wipe::{Course, Seed, Stage},
    },
    file,
    host::disk::{self, DiskFailure, DiskProgress, DiskWipe},
};

/// What the wipe of a volume keeps between two runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// The key is being destroyed: if it is gone after a crash, this wipe destroyed it.
    erasing: bool,
    /// What is known of the key and the header.
    key: Option<ErasedKey>,
    /// How far the blocks are.
    disk: Option<DiskProgress>,
}

/// A destroyed key, remembered for a later attempt at the blocks, until the volume is removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ErasedKey {
    started_at: Timestamp,
    erased_at: Timestamp,
    took_ns: u64,
    header_bytes: u64,
    destroyed: bool,
    detail: String,
}

impl RealHost {
    pub(super) fn wipe_volume(
        &self,
        wipe: &VolumeWipe,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure> {
        let mut note: Note = wipe
            .resume
            .as_deref()
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default();
        let vmm_dead = self.is_dead(wipe.instance)?;
        let key = self.erase_key(wipe, vmm_dead, &mut note, watch);
        let request = DiskWipe {
            path: self.volumes.path(wipe.volume),
            seed: Seed::new(&wipe.nonce, wipe.volume.as_uuid().as_bytes()),
            vmm_dead,
            resume: note.disk.take(),
            clocks: CLOCKS,
        };
        let erased = note.key.clone();
        let measured = disk::wipe(&request, &mut |progress| {
            let (done_bytes, total_bytes) = far(progress.course());
            let disk = Some(progress.clone());
            let note = Note { erasing: true, key: erased.clone(), disk };
            watch(StepProgress { done_bytes, total_bytes, resume: bytes(&note) });
            ControlFlow::Continue(())
        });
        let (media, device_reported, mut not_measured) = match measured {
            Ok(found) => (found.measured, found.device_reported, found.not_measured),
            Err(failure) => {
                let ending = match &failure {
                    DiskFailure::Absent { .. } => Ending::Absent,
                    DiskFailure::Refused { .. }
                    | DiskFailure::Replaced { .. }
                    | DiskFailure::Stopped { .. }
                    | DiskFailure::Io { .. } => Ending::Aborted,
                };
                let reason = HostFailure::of(failure.code(), &failure).sentence;
                tracing::error!(volume = %wipe.volume, code = failure.code(), "{reason}");
                let what = "the volume's blocks".to_owned();
                let none = disk::unmeasured(ending, CLOCKS);
                (none, Vec::new(), vec![NotMeasured { what, reason }])
            }
        };
        if let Err(failure) = &key {
            let (what, reason) = ("the volume's key".to_owned(), failure.sentence.clone());
            tracing::error!(volume = %wipe.volume, code = failure.code, "{reason}");
            not_measured.push(NotMeasured { what, reason });
        }
        let key = measured_key(key.ok(), vmm_dead, &media);
        let media = Box::new(media);
        let facts = WipeFacts::Volume { media, key, device_reported, not_measured };
        Ok(Performed::Wiped(Box::new(facts)))
    }

    /// Destroys the key, once: what was found is noted here and in the state directory.
    fn erase_key(
        &self,
        wipe: &VolumeWipe,
        vmm_dead: bool,
        note: &mut Note,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<ErasedKey, HostFailure> {
        let remembered = self.erased_path(wipe.volume);
        if note.key.is_none() {
            let read = std::fs::read(&remembered).ok();
            note.key = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        }
        if let Some(key) = &note.key {
            return Ok(key.clone());
        }
        if !vmm_dead {
            let sentence = "the instance's process is not proven dead".to_owned();
            return Err(HostFailure { code: "vmm-alive", sentence });
        }
        let failed = |error| HostFailure::of("key", &error);
        let header_bytes = self.volumes.header_bytes(wipe.volume).unwrap_or(0);
        let begun_before = note.erasing;
        note.erasing = true;
        watch(StepProgress { done_bytes: 0, total_bytes: 0, resume: bytes(note) });
        let (started_at, began) = (clock::now(), clock::monotonic());
        let facts = self.volumes.erase_key(wipe.volume).map_err(failed)?;
        let took = clock::monotonic().saturating_sub(began).as_nanos();
        let detail = if facts.copies_known > 0 {
            format!("{} bytes overwritten in place, read back, unlinked", facts.overwritten_bytes)
        } else if begun_before {
            "overwritten and unlinked by this wipe before it was interrupted".to_owned()
        } else {
            "no key file was found, and none was destroyed by this host's record".to_owned()
        };
        let destroyed = if facts.copies_known > 0 {
            facts.copies_known == facts.copies_destroyed
        } else {
            begun_before
        };
        let key = ErasedKey {
            started_at,
            erased_at: clock::now(),
            took_ns: u64::try_from(took).unwrap_or(u64::MAX),
            header_bytes,
            destroyed,
            detail,
        };
        file::replace(&remembered, &bytes(&key), None)
            .map_err(|error| HostFailure::of("key", &error))?;
        note.key = Some(key.clone());
        watch(StepProgress { done_bytes: 0, total_bytes: 0, resume: bytes(note) });
        Ok(key)
    }
}

/// The header is a part of the volume: what was read back of the whole holds for it as well.
fn measured_key(
    key: Option<ErasedKey>,
    vmm_dead: bool,
    media: &MediaWipeMeasured,
) -> KeyErasureMeasured {
    let zeros = media.read_backs.iter().rev().find(|read| read.pattern == Pattern::Zeros);
    let whole = zeros.filter(|read| read.is_clean() && read.bytes == media.extents_before.bytes);
    let header = key.as_ref().zip(whole).map(|(key, read)| HeaderErasure {
        bytes: key.header_bytes,
        read_back: ReadBack { bytes: key.header_bytes, ..*read },
    });
    let span = key.as_ref().map_or(media.span, |key| Span {
        started_at: key.started_at,
        ended_at: key.erased_at,
        took_ns: key.took_ns,
    });
    let copies = key.map_or_else(Vec::new, |key| {
        vec![
            KeyCopy { place: KeyPlace::KeyFile, destroyed: key.destroyed, detail: key.detail },
            KeyCopy {
                place: KeyPlace::ProcessMemory,
                destroyed: vmm_dead,
                detail: "the instance's process is dead".to_owned(),
            },
        ]
    });
    KeyErasureMeasured {
        ending: if copies.is_empty() { Ending::Aborted } else { Ending::Completed },
        span,
        encryption: "luks1/aes-256-xts-plain64".to_owned(),
        encrypted_from_first_byte: true,
        copies,
        header,
        escrow: Escrow::None,
    }
}

/// Bytes done of all four stages, and their sum.
pub(super) fn far(course: &Course) -> (u64, u64) {
    let target = course.target_bytes();
    let before = match course.stage() {
        Stage::Write(Pattern::Stream) => 0,
        Stage::ReadBack(Pattern::Stream) => 1,
        Stage::Write(Pattern::Zeros) => 2,
        Stage::ReadBack(Pattern::Zeros) => 3,
        Stage::Remove => 4,
    };
    let offset = if course.stage() == Stage::Remove { 0 } else { course.offset() };
    (target.saturating_mul(before).saturating_add(offset), target.saturating_mul(4))
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
