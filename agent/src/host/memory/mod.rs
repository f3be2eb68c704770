//! Wipes an instance's memory: the file on tmpfs or hugetlbfs that outlives its process.
//!
//! ```text
//!  check ─▶ save ─▶ (write ─▶ read back) × 2 ─▶ look for residue ─▶ save ─▶ unlink
//! ```
//!
//! Holes of a tmpfs file are left out, and counted: no page belongs to them, and filling them would
//! take memory that the host may not have. hugetlbfs knows no holes here: all of it is written.

mod failure;
mod mapping;
mod residue;
mod store;

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    sys::statfs::{HUGETLBFS_MAGIC, TMPFS_MAGIC, fstatfs},
    unistd::{Whence, lseek},
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{
        Ending, NotMeasured,
        memory_wipe::{MemoryFileSystem, MemoryWipeMeasured, Residue},
        wipe::ReadLayer,
    },
    time::Timestamp,
};

pub use self::failure::{MemoryFailure, MemoryRefusal};
use self::mapping::Mapping;
use super::{
    holders::{self, Exclusion, FileIdentity},
    overwrite::{self, Clocks, Halt, Medium},
};
use crate::core::wipe::{Course, Extent, ExtentMap, Seed, Stage, Verdict};

/// A wipe of one instance's memory.
#[derive(Debug, Clone)]
pub struct MemoryWipe {
    /// The file.
    pub path: PathBuf,
    /// Seeds the first pass.
    pub seed: Seed,
    /// Whether the instance's process is proven dead (pidfd).
    pub vmm_dead: bool,
    /// Whether its process was told to leave the guest's memory out of core dumps
    /// (`dump-guest-core=off`).
    pub left_out_of_dumps: bool,
    /// What was found of the guest elsewhere before (`host::leftovers`).
    pub residue: Vec<Residue>,
    /// What was saved last, if this wipe was begun before.
    pub resume: Option<MemoryProgress>,
    /// The clocks.
    pub clocks: Clocks,
}

/// What is to be saved durably each time it is given, and handed in again for a resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryProgress {
    file: FileIdentity,
    file_bytes: u64,
    pages: ExtentMap,
    course: Course,
    measurement: Option<MemoryMeasurement>,
}

impl MemoryProgress {
    /// Stage and offset.
    #[must_use]
    pub const fn course(&self) -> &Course {
        &self.course
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryMeasurement {
    /// The facts from which the verdict follows. `bytes` are those that pages belong to.
    pub measured: MemoryWipeMeasured,
    /// What nobody measured, with reasons.
    pub not_measured: Vec<NotMeasured>,
    /// How often the wipe was interrupted and resumed.
    pub interruptions: u32,
}

/// Overwrites the memory twice, reads it back twice, looks for residue, unlinks the file if it is
/// clean.
///
/// `save` as in [`super::disk::wipe`].
///
/// # Errors
/// [`MemoryFailure`].
pub fn wipe(
    request: &MemoryWipe,
    save: &mut dyn FnMut(&MemoryProgress) -> ControlFlow<()>,
) -> Result<MemoryMeasurement, MemoryFailure> {
    let path = &request.path;
    if let Some(measurement) = removed_before(request) {
        return Ok(measurement);
    }
    let subject = Subject::open(request)?;
    let mut progress = subject.progress(request)?;
    let mut measurement = match progress.measurement.take() {
        Some(measurement) => measurement,
        None => {
            subject.overwrite(request, &mut progress, save)?;
            let measurement = subject.measure(request, &progress)?;
            progress.measurement = Some(measurement.clone());
            if save(&progress).is_break() {
                return Err(MemoryFailure::Stopped { path: path.clone() });
            }
            measurement
        }
    };
    // A file without a full pass stays: another attempt must find it.
    let mut gone = measurement.measured.clone();
    gone.unlinked = true;
    if !matches!(Verdict::of(&gone), Verdict::Pass(_)) {
        return Ok(measurement);
    }
    subject.io("unlink", subject.identity.unlink(path))?;
    measurement.measured.unlinked = subject.io("look at", subject.file.metadata())?.nlink() == 0;
    Ok(measurement)
}

/// The facts of a wipe that did not come to a measurement, for its statement: none.
#[must_use]
pub fn unmeasured(ending: Ending, now: Timestamp) -> MemoryWipeMeasured {
    MemoryWipeMeasured {
        ending,
        span: Course::begin(0, now).span(),
        file_system: MemoryFileSystem::Tmpfs,
        page_bytes: 0,
        bytes: 0,
        writers: holders::unknown(),
        passes: Vec::new(),
        read_backs: Vec::new(),
        unlinked: false,
        residue: Vec::new(),
    }
}

/// A wipe that was measured, saved, and cut short after its file was unlinked.
fn removed_before(request: &MemoryWipe) -> Option<MemoryMeasurement> {
    let mut measurement = request.resume.as_ref()?.measurement.clone()?;
    let gone = fs::symlink_metadata(&request.path)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    measurement.measured.unlinked = true;
    gone.then_some(measurement)
}

/// The file, checked and open.
struct Subject<'a> {
    path: &'a Path,
    file: File,
    identity: FileIdentity,
    file_bytes: u64,
    file_system: MemoryFileSystem,
    page_bytes: u64,
    pages: ExtentMap,
    exclusion: Exclusion,
}

impl<'a> Subject<'a> {
    fn open(request: &'a MemoryWipe) -> Result<Self, MemoryFailure> {
        let path = request.path.as_path();
        let refused = |refusal, holders| {
            Err(MemoryFailure::Refused { path: path.to_owned(), refusal, holders })
        };
        let refuse = |refusal| refused(refusal, String::new());
        if !request.vmm_dead {
            return refuse(MemoryRefusal::VmmAlive);
        }
        let kind = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MemoryFailure::Absent { path: path.to_owned() });
            }
            found => io(path, "look at", found)?,
        };
        if !kind.is_file() {
            return refuse(MemoryRefusal::NotAFile);
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = File::options().read(true).write(true).custom_flags(flags).open(path);
        let file = io(path, "open", opened)?;
        let metadata = io(path, "look at", file.metadata())?;
        if metadata.nlink() != 1 {
            return refuse(MemoryRefusal::HardLinks);
        }
        let system = io(path, "look at", fstatfs(&file).map_err(io::Error::from))?;
        let file_system = match system.filesystem_type() {
            TMPFS_MAGIC => MemoryFileSystem::Tmpfs,
            HUGETLBFS_MAGIC => MemoryFileSystem::Hugetlbfs,
            _ => return refuse(MemoryRefusal::FileSystem),
        };
        let identity = io(path, "look at", FileIdentity::of(&file))?;
        let excluded = holders::exclude(&file, identity);
        let exclusion = match io(path, "take a lease (CAP_LEASE) on", excluded)? {
            Ok(exclusion) => exclusion,
            Err(names) => return refused(MemoryRefusal::Held, format!(" ({names})")),
        };
        let file_bytes = metadata.len();
        let pages = io(path, "map", pages(&file, file_system, file_bytes))?;
        let page_bytes = u64::try_from(system.block_size()).unwrap_or(0);
        Ok(Self { path, file, identity, file_bytes, file_system, page_bytes, pages, exclusion })
    }

    fn progress(&self, request: &MemoryWipe) -> Result<MemoryProgress, MemoryFailure> {
        let now = (request.clocks.now)();
        match request.resume.clone() {
            None => Ok(MemoryProgress {
                file: self.identity,
                file_bytes: self.file_bytes,
                pages: self.pages.clone(),
                course: Course::begin(self.pages.bytes(), now),
                measurement: None,
            }),
            Some(saved) if saved.file == self.identity && saved.pages == self.pages => {
                let course = saved.course.resumed(now);
                Ok(MemoryProgress { course, ..saved })
            }
            Some(_) => Err(MemoryFailure::Replaced { path: self.path.to_owned() }),
        }
    }

    fn overwrite(
        &self,
        request: &MemoryWipe,
        progress: &mut MemoryProgress,
        save: &mut dyn FnMut(&MemoryProgress) -> ControlFlow<()>,
    ) -> Result<(), MemoryFailure> {
        let clock = request.clocks.monotonic;
        let mapping = Mapping::new(&self.file, self.file_bytes, self.page_bytes, clock);
        let mapping = self.io("map", mapping)?;
        let medium = Medium {
            access: &mapping,
            map: &self.pages,
            sector_bytes: 4096,
            flush: &|| Ok(()),
            layer: ReadLayer::Memory,
            direct: false,
            limit: None,
        };
        let mut course = progress.course.clone();
        let ended =
            overwrite::carry_out(&mut course, request.seed, &medium, request.clocks, &mut |now| {
                progress.course = now.clone();
                if now.stage() == Stage::Remove {
                    ControlFlow::Continue(())
                } else {
                    save(progress)
                }
            });
        match ended {
            Ok(()) => Ok(()),
            Err(Halt::Stopped) => Err(MemoryFailure::Stopped { path: self.path.to_owned() }),
            Err(Halt::Flush(error)) => self.io("flush", Err(error)),
        }
    }

    fn measure(
        &self,
        request: &MemoryWipe,
        progress: &MemoryProgress,
    ) -> Result<MemoryMeasurement, MemoryFailure> {
        let after = pages(&self.file, self.file_system, self.file_bytes);
        if self.io("map again", after)? != progress.pages {
            return Err(MemoryFailure::Replaced { path: self.path.to_owned() });
        }
        let writers = holders::writers(&self.file, self.identity, self.exclusion);
        let mut residue = request.residue.clone();
        let swappable = self.io("find the mount of", residue::is_swappable(&self.identity))?
            && self.file_system == MemoryFileSystem::Tmpfs;
        residue.extend(residue::look(swappable, request.left_out_of_dumps));
        let course = &progress.course;
        let measured = MemoryWipeMeasured {
            ending: Ending::Completed,
            span: course.span(),
            file_system: self.file_system,
            page_bytes: self.page_bytes,
            bytes: progress.pages.bytes(),
            writers: self.io("look for holders of", writers)?,
            passes: course.passes().to_vec(),
            read_backs: course.read_backs().to_vec(),
            unlinked: false,
            residue,
        };
        let holes = progress.file_bytes.saturating_sub(progress.pages.bytes());
        let not_measured = (holes > 0).then(|| NotMeasured {
            what: format!("{holes} bytes of the file that are holes"),
            reason: "no page belongs to them: the guest never touched them, or gave them back"
                .into(),
        });
        Ok(MemoryMeasurement {
            measured,
            not_measured: not_measured.into_iter().collect(),
            interruptions: course.interruptions(),
        })
    }

    fn io<T>(&self, operation: &'static str, result: io::Result<T>) -> Result<T, MemoryFailure> {
        io(self.path, operation, result)
    }
}

fn io<T>(path: &Path, operation: &'static str, result: io::Result<T>) -> Result<T, MemoryFailure> {
    result.map_err(|source| MemoryFailure::Io { operation, path: path.to_owned(), source })
}

/// The runs of a file that pages belong to; pages in swap count.
fn pages(file: &File, system: MemoryFileSystem, file_bytes: u64) -> io::Result<ExtentMap> {
    let mut runs = Vec::new();
    let run = |from: u64, to: u64| Extent { logical: from, physical: from, length: to - from };
    match system {
        MemoryFileSystem::Hugetlbfs if file_bytes > 0 => runs.push(run(0, file_bytes)),
        MemoryFileSystem::Hugetlbfs => {}
        MemoryFileSystem::Tmpfs => {
            let mut at = 0;
            while at < file_bytes {
                let from = match lseek(file, offset(at)?, Whence::SeekData) {
                    Err(nix::errno::Errno::ENXIO) => break,
                    found => u64::try_from(found?).unwrap_or(0),
                };
                let to = lseek(file, offset(from)?, Whence::SeekHole)?;
                at = u64::try_from(to).unwrap_or(0).min(file_bytes);
                runs.push(run(from, at.max(from)));
            }
        }
    }
    ExtentMap::new(runs).map_err(io::Error::other)
}

fn offset(at: u64) -> io::Result<i64> {
    i64::try_from(at).map_err(io::Error::other)
}
