//! The wipe of a volume: its key first, since that is quick and makes the rest unreadable; then its
//! blocks.

use std::{
    fs::File,
    io::{self, ErrorKind},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{
        Ending, KeyErasureMeasured, MediaWipeMeasured, NotMeasured, Span,
        key_erasure::{Escrow, HeaderErasure, KeyCopy, KeyPlace},
        wipe::{Pattern, ReadBack},
    },
    id::VolumeId,
    time::Timestamp,
    wire::frame,
};

use super::{CLOCKS, RealHost};
use crate::{
    clock,
    core::{
        step::{HostFailure, Performed, StepProgress, VolumeWipe, WipeFacts},
        wipe::{Course, Seed, Stage},
    },
    file,
    host::{
        disk::{self, DiskFailure, DiskProgress, DiskWipe},
        volume::{Place, VolumeFile},
    },
};

/// Most bytes of a key's record.
const MAX_RECORD_BYTES: u64 = 64 * 1024;

/// Of a volume whose header nobody could read.
const UNKNOWN: &str = "unknown";

/// What the wipe of a volume keeps between two runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// How far the blocks are.
    disk: Option<DiskProgress>,
}

impl Note {
    /// For the journal, again and again, and as that writes: the map of a file of ten thousand
    /// extents takes a fifth of what it takes in JSON.
    fn bytes(&self) -> Vec<u8> {
        frame::encode(self).unwrap_or_default()
    }

    /// From the journal, where older builds left JSON. None if it is neither: then the wipe begins
    /// again.
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"{") {
            return serde_json::from_slice(bytes).ok();
        }
        frame::decode(bytes).ok()
    }
}

/// What is known of a volume's header and key. Kept in the state directory from before the first
/// write until the volume is removed, so that every attempt states what really was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeyRecord {
    started_at: Timestamp,
    ended_at: Timestamp,
    took_ns: u64,
    /// The encryption header, if it was there.
    header: Option<Header>,
    /// Bytes of key files that were overwritten and read back; 0: none was found yet.
    overwritten_bytes: u64,
    /// Why overwriting them did not reach all that they left on their medium, as a sentence.
    #[serde(default)]
    elsewhere: Option<String>,
    /// Key files were overwritten, then unlinked, and then no copy had a name any more.
    gone: bool,
}

/// What the volume began with before its wipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    bytes: u64,
    encryption: String,
}

impl RealHost {
    pub(super) fn wipe_volume(
        &self,
        wipe: &VolumeWipe,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure> {
        let mut note = wipe.resume.as_deref().map_or_else(Note::default, |resume| {
            Note::read(resume).unwrap_or_else(|| {
                tracing::warn!(volume = %wipe.volume, "the wipe's note is not of this build: it \
                    begins again");
                Note::default()
            })
        });
        let vmm_dead = self.is_dead(wipe.instance)?;
        let key = self.erase_key(wipe.volume, vmm_dead);
        let mut request = DiskWipe {
            path: PathBuf::new(),
            device: None,
            seed: Seed::new(&wipe.nonce, wipe.volume.as_uuid().as_bytes()),
            vmm_dead,
            limit: self.wipe_limit,
            resume: note.disk.take(),
            clocks: CLOCKS,
        };
        let place = self.volumes.place(wipe.volume);
        let place = place.map_err(|error| (Ending::Aborted, HostFailure::of("volume", &error)));
        let measured = place.and_then(|Place { path, device }| {
            (request.path, request.device) = (path, device);
            disk::wipe(&request, &mut |progress| {
                let (done_bytes, total_bytes) = far(progress.course());
                let note = Note { disk: Some(progress.clone()) };
                watch(StepProgress { done_bytes, total_bytes, resume: note.bytes() });
                ControlFlow::Continue(())
            })
            .map_err(|failure| (ending(&failure), HostFailure::of(failure.code(), &failure)))
        });
        let (media, device_reported, mut not_measured) = match measured {
            Ok(found) => (found.measured, found.device_reported, found.not_measured),
            Err((ending, HostFailure { code, sentence: reason })) => {
                tracing::error!(volume = %wipe.volume, code, "{reason}");
                let what = "the volume's blocks".to_owned();
                let none = disk::unmeasured(ending, clock::now());
                (none, Vec::new(), vec![NotMeasured { what, reason }])
            }
        };
        if let Err(failure) = &key {
            let (what, reason) = ("the volume's key".to_owned(), failure.sentence.clone());
            tracing::error!(volume = %wipe.volume, code = failure.code, "{reason}");
            not_measured.push(NotMeasured { what, reason });
        }
        let key = measured_key(key, vmm_dead, &media);
        let media = Box::new(media);
        let facts = WipeFacts::Volume { media, key, device_reported, not_measured };
        Ok(Performed::Wiped(Box::new(facts)))
    }

    /// Destroys the key, once. Each step is noted durably before the next: the header is read, key
    /// files are found where an overwrite in place reaches them or not, they are overwritten, and
    /// only then unlinked. So a file that is gone after a crash was overwritten by this host if and
    /// only if the record says so.
    fn erase_key(&self, volume: VolumeId, vmm_dead: bool) -> Result<KeyRecord, HostFailure> {
        let failed = |error: &(dyn std::error::Error + 'static)| HostFailure::of("key", error);
        let path = self.erased_path(volume);
        let keys = self.volumes.keys();
        let mut record = match read_record(&path)? {
            Some(mut record) if record.gone && keys.is_gone(volume).map_err(|e| failed(&e))? => {
                // A device that was away at an earlier attempt: what it begins with is known now.
                if record.header.is_none() {
                    record.header = KeyRecord::begin(self.volumes.describe(volume).ok()).header;
                    file::replace(&path, &bytes(&record), None).map_err(|error| failed(&error))?;
                }
                return Ok(record);
            }
            Some(record) => record,
            None => KeyRecord::begin(self.volumes.describe(volume).ok()),
        };
        if !vmm_dead {
            let sentence = "the instance's process is not proven dead".to_owned();
            return Err(HostFailure { code: "vmm-alive", sentence });
        }
        let began = clock::monotonic();
        let before_ns = record.took_ns;
        let keep = |record: &mut KeyRecord| {
            let took = clock::monotonic().saturating_sub(began).as_nanos();
            record.took_ns = before_ns.saturating_add(u64::try_from(took).unwrap_or(u64::MAX));
            record.ended_at = clock::now();
            file::replace(&path, &bytes(record), None).map_err(|error| failed(&error))
        };
        if record.elsewhere.is_none() {
            record.elsewhere = elsewhere(&keys.copies(volume)).map_err(|error| failed(&error))?;
        }
        keep(&mut record)?;
        let found = keys.overwrite(volume).map_err(|error| failed(&error))?;
        if found.copies > 0 {
            record.overwritten_bytes = found.overwritten_bytes;
            keep(&mut record)?;
        }
        keys.unlink(volume).map_err(|error| failed(&error))?;
        record.gone = record.overwritten_bytes > 0;
        keep(&mut record)?;
        Ok(record)
    }
}

const fn ending(failure: &DiskFailure) -> Ending {
    match failure {
        DiskFailure::Absent { .. } => Ending::Absent,
        DiskFailure::Refused { .. }
        | DiskFailure::Replaced { .. }
        | DiskFailure::Stopped { .. }
        | DiskFailure::Io { .. } => Ending::Aborted,
    }
}

impl KeyRecord {
    fn begin(found: Option<VolumeFile>) -> Self {
        let now = clock::now();
        let header =
            found.map(|file| Header { bytes: file.header_bytes, encryption: file.encryption });
        Self {
            started_at: now,
            ended_at: now,
            took_ns: 0,
            header,
            overwritten_bytes: 0,
            elsewhere: None,
            gone: false,
        }
    }

    fn key_file(&self) -> KeyCopy {
        let detail = if let Some(elsewhere) = &self.elsewhere {
            format!("overwritten and unlinked, which does not reach all of it: {elsewhere}")
        } else if self.gone {
            format!(
                "{} bytes overwritten in place, read back, unlinked; this build has no way by \
                 which a key leaves its host",
                self.overwritten_bytes
            )
        } else {
            "no key file was found, and by its records this host destroyed none".to_owned()
        };
        let destroyed = self.gone && self.elsewhere.is_none();
        KeyCopy { place: KeyPlace::KeyFile, destroyed, detail }
    }
}

/// Why overwriting these files in place does not reach all that they have on their medium, if it
/// does not. To be asked before, since a write may change where they lie.
fn elsewhere(paths: &[PathBuf]) -> io::Result<Option<String>> {
    for path in paths {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if let Err(refusal) = disk::in_place(&file)? {
            return Ok(Some(refusal.to_string()));
        }
    }
    Ok(None)
}

fn read_record(path: &Path) -> Result<Option<KeyRecord>, HostFailure> {
    let unreadable = |why: &str| HostFailure {
        code: "key",
        sentence: format!("cannot read the record {}: {why}", path.display()),
    };
    match file::read_limited(path, MAX_RECORD_BYTES) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|why| unreadable(&why.to_string()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&error.to_string())),
    }
}

fn process_memory(vmm_dead: bool) -> KeyCopy {
    let detail = if vmm_dead {
        "the kernel has no process of the instance any more"
    } else {
        "the instance's process is not proven dead"
    };
    let detail = detail.to_owned();
    KeyCopy { place: KeyPlace::ProcessMemory, destroyed: vmm_dead, detail }
}

/// The header is a part of the volume: what was read back of the whole holds for it as well.
fn measured_key(
    key: Result<KeyRecord, HostFailure>,
    vmm_dead: bool,
    media: &MediaWipeMeasured,
) -> KeyErasureMeasured {
    let record = match key {
        Ok(record) => record,
        Err(failure) => {
            let key_file =
                KeyCopy { place: KeyPlace::KeyFile, destroyed: false, detail: failure.sentence };
            return KeyErasureMeasured {
                ending: Ending::Aborted,
                span: media.span,
                encryption: UNKNOWN.to_owned(),
                encrypted_from_first_byte: false,
                copies: vec![key_file, process_memory(vmm_dead)],
                header: None,
                escrow: Escrow::Unknown,
            };
        }
    };
    let zeros = media.read_backs.iter().rev().find(|read| read.pattern == Pattern::Zeros);
    let whole = zeros.filter(|read| read.is_clean() && read.bytes == media.extents_before.bytes);
    let header = record.header.as_ref().zip(whole).map(|(header, read)| HeaderErasure {
        bytes: header.bytes,
        read_back: ReadBack { bytes: header.bytes, ..*read },
    });
    let (started_at, ended_at, took_ns) = (record.started_at, record.ended_at, record.took_ns);
    let encryption = record.header.as_ref().map_or(UNKNOWN, |header| &header.encryption);
    KeyErasureMeasured {
        ending: Ending::Completed,
        span: Span { started_at, ended_at, took_ns },
        encryption: encryption.to_owned(),
        // A container: with its header at the first byte, all that a guest wrote is payload.
        encrypted_from_first_byte: record.header.is_some(),
        copies: vec![record.key_file(), process_memory(vmm_dead)],
        header,
        // Where this host had the key, nobody else has one: no code here gives a key away.
        escrow: if record.gone { Escrow::None } else { Escrow::Unknown },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(gone: bool, header: Option<Header>) -> KeyRecord {
        let overwritten_bytes = if gone { 4096 } else { 0 };
        KeyRecord { took_ns: 1, header, overwritten_bytes, gone, ..KeyRecord::begin(None) }
    }

    #[test]
    fn a_note_of_an_older_build_is_read_and_what_is_none_begins_again() {
        let note = br#"{"disk":null}"#;
        assert!(Note::read(note).is_some_and(|note| note.disk.is_none()));
        assert!(Note::read(&Note::default().bytes()).is_some_and(|note| note.disk.is_none()));
        assert!(Note::read(b"").is_none() && Note::read(b"{").is_none());
    }

    #[test]
    fn nothing_is_stated_that_was_not_seen() {
        let media = disk::unmeasured(Ending::Aborted, clock::now());
        let header = Header { bytes: 4096, encryption: "luks1/aes-256-xts-plain64".to_owned() };
        let seen = measured_key(Ok(record(true, Some(header))), true, &media);
        assert!(seen.encrypted_from_first_byte && seen.copies.iter().all(|copy| copy.destroyed));
        assert_eq!((seen.escrow, seen.header), (Escrow::None, None));
        let unseen = measured_key(Ok(record(false, None)), false, &media);
        assert!(!unseen.encrypted_from_first_byte);
        assert!(unseen.copies.iter().all(|copy| !copy.destroyed));
        assert!(unseen.copies[1].detail.contains("not proven dead"));
        assert_eq!((unseen.escrow, unseen.encryption.as_str()), (Escrow::Unknown, UNKNOWN));
        let failure = HostFailure { code: "key", sentence: "the key stays".to_owned() };
        let failed = measured_key(Err(failure), true, &media);
        assert_eq!((failed.ending, failed.copies[0].destroyed), (Ending::Aborted, false));
        assert_eq!(failed.copies[0].detail, "the key stays");
    }
}
