//! Wipes files on ext4 and XFS, and block devices: overwritten in place, read back from the block
//! device.
//!
//! ```text
//!  check ─▶ map ─▶ save ─▶ (write ─▶ flush ─▶ read back) × 2 ─▶ map again ─▶ save ─▶ unlink
//! ```
//!
//! A file that reads as zeros proves nothing: truncating, punching and discarding all leave the old
//! blocks. So the blocks are those of the map before the first write, they are read at their places
//! on the device with `O_DIRECT`, and the map must be the same in the end.
//!
//! A device is one extent, all of it. It must be known beforehand by what it is, since names in
//! /dev change; it is claimed, so that nothing mounts it meanwhile; and it has no name to unlink.

mod device;
mod extents;
mod filesystem;
mod refusal;
mod subject;
mod topology;

use std::{
    fs::{self, File},
    io,
    num::NonZeroU64,
    ops::ControlFlow,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{
        Ending, NotMeasured,
        media_wipe::{ExtentList, FileSystem, FileSystemKind, MediaWipeMeasured},
        wipe::DeviceReported,
    },
    time::Timestamp,
};

use self::subject::{Step, Subject};
pub use self::{
    device::BlockDevice,
    refusal::DiskRefusal,
    topology::{Topology, resolve},
};
use super::{
    holders::{self, FileIdentity},
    overwrite::Clocks,
};
use crate::core::wipe::{Course, ExtentMap, Seed, Verdict};

/// A wipe of one file or block device.
#[derive(Debug, Clone)]
pub struct DiskWipe {
    /// The file, or what leads to the device.
    pub path: PathBuf,
    /// The device that must be found there; a file if there is none.
    pub device: Option<BlockDevice>,
    /// Seeds the first pass.
    pub seed: Seed,
    /// Whether the process that wrote to it is proven dead (pidfd).
    pub vmm_dead: bool,
    /// Most bytes a second, so that neighbours on the same disk keep their latency.
    pub limit: Option<NonZeroU64>,
    /// What was saved last, if this wipe was begun before.
    pub resume: Option<DiskProgress>,
    /// The clocks.
    pub clocks: Clocks,
}

/// What is to be saved durably each time it is given, and handed in again for a resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskProgress {
    file: FileIdentity,
    file_bytes: u64,
    file_system: FileSystem,
    topology: Topology,
    before: ExtentMap,
    course: Course,
    measurement: Option<DiskMeasurement>,
}

impl DiskProgress {
    /// Where the content was before the first write.
    #[must_use]
    pub const fn before(&self) -> &ExtentMap {
        &self.before
    }

    /// Stage and offset.
    #[must_use]
    pub const fn course(&self) -> &Course {
        &self.course
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMeasurement {
    /// The facts from which the verdict follows.
    pub measured: MediaWipeMeasured,
    /// The disks' own word.
    pub device_reported: Vec<DeviceReported>,
    /// What nobody measured, with reasons.
    pub not_measured: Vec<NotMeasured>,
    /// How often the wipe was interrupted and resumed.
    pub interruptions: u32,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum DiskFailure {
    /// It must not be overwritten, or overwriting proves nothing. Nothing was written.
    #[error("{} is not wiped: {refusal}{holders}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        refusal: DiskRefusal,
        /// For [`DiskRefusal::Held`], who holds it.
        holders: String,
    },
    /// Nothing is there. Never counts as a wipe.
    #[error("{} is not there: nothing was wiped", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The saved progress is another file's.
    #[error("{} is not the file whose wipe was begun: look for who replaced it", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The caller stopped it; the last saved progress resumes it.
    #[error("the wipe of {} was stopped", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// A step failed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// Which.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DiskFailure {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.code(),
            Self::Absent { .. } => "absent",
            Self::Replaced { .. } => "replaced",
            Self::Stopped { .. } => "stopped",
            Self::Io { .. } => "io",
        }
    }
}

/// Overwrites a file or device twice in place, reads it back twice from the block device, and
/// unlinks a file that is clean.
///
/// `save` gets the progress before the first write, before each stage and regularly within; it must
/// make it durable before it returns. If it breaks, the wipe stops.
///
/// # Errors
/// [`DiskFailure`]. Faults of the medium are none: they are measured, and end in a failed verdict.
pub fn wipe(
    request: &DiskWipe,
    save: &mut dyn FnMut(&DiskProgress) -> ControlFlow<()>,
) -> Result<DiskMeasurement, DiskFailure> {
    let step = Step { path: &request.path };
    if let Some(measurement) = removed_before(request) {
        return Ok(measurement);
    }
    let subject = Subject::open(request)?;
    let mut progress = subject.progress(request)?;
    let mut measurement = match progress.measurement.take() {
        Some(measurement) => measurement,
        None => {
            if save(&progress).is_break() {
                return Err(DiskFailure::Stopped { path: request.path.clone() });
            }
            if request.device.is_none() {
                // Blocks beyond the end of the file come under it. It only grows: nothing is freed.
                let end = progress.before.end().max(progress.file_bytes);
                step.io("extend", subject.file.set_len(end))?;
            }
            subject.overwrite(request, &mut progress, save)?;
            let measurement = subject.measure(&progress)?;
            progress.measurement = Some(measurement.clone());
            if save(&progress).is_break() {
                return Err(DiskFailure::Stopped { path: request.path.clone() });
            }
            measurement
        }
    };
    if request.device.is_some() {
        return Ok(measurement);
    }
    // A file without a full pass stays: another attempt must find it.
    let mut gone = measurement.measured.clone();
    gone.unlinked = true;
    if !matches!(Verdict::of(&gone), Verdict::Pass(_)) {
        return Ok(measurement);
    }
    step.io("unlink", subject.identity.unlink(&request.path))?;
    measurement.measured.unlinked = step.io("look at", subject.file.metadata())?.nlink() == 0;
    Ok(measurement)
}

/// Whether overwriting a file in place reaches all of its content on the medium. A file in memory
/// has none.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn in_place(file: &File) -> io::Result<Result<(), DiskRefusal>> {
    if fstatfs(file)?.filesystem_type() == TMPFS_MAGIC {
        return Ok(Ok(()));
    }
    Ok(match filesystem::check(file, file.metadata()?.dev())? {
        Ok(_) => extents::map(file)?.map(drop),
        Err(refusal) => Err(refusal),
    })
}

/// The facts of a wipe that did not come to a measurement, for its statement: none.
#[must_use]
pub fn unmeasured(ending: Ending, now: Timestamp) -> MediaWipeMeasured {
    let none = ExtentList::of(&[], 0);
    let unknown = FileSystemKind::Other("unknown".to_owned());
    MediaWipeMeasured {
        ending,
        span: Course::begin(0, now).span(),
        file_system: FileSystem { kind: unknown, mount_options: String::new() },
        topology: Vec::new(),
        file_bytes: 0,
        extents_before: none,
        extents_after: None,
        writers: holders::unknown(),
        passes: Vec::new(),
        read_backs: Vec::new(),
        file_synced: false,
        device_cache_flushed: false,
        unlinked: false,
        bad_ranges: Vec::new(),
    }
}

/// A wipe that was measured, saved, and cut short after its file was unlinked.
fn removed_before(request: &DiskWipe) -> Option<DiskMeasurement> {
    if request.device.is_some() {
        return None;
    }
    let mut measurement = request.resume.as_ref()?.measurement.clone()?;
    let gone = fs::symlink_metadata(&request.path)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    measurement.measured.unlinked = true;
    gone.then_some(measurement)
}
