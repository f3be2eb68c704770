//! The file of a wipe, checked and open, and what is done with it.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use tenure_protocol::evidence::predicate::{
    Ending, NotMeasured,
    media_wipe::{ExtentList, FileSystem, LayerKind, MediaWipeMeasured},
    wipe::ReadLayer,
};

use super::{
    super::{
        holders::{self, Exclusion, FileIdentity},
        overwrite::{self, Access, Halt, Medium},
    },
    DiskFailure, DiskMeasurement, DiskProgress, DiskWipe, Topology, extents, filesystem,
    refusal::DiskRefusal,
    topology,
};
use crate::core::wipe::{Course, ExtentMap, Stage};

/// The file, checked and open.
pub(super) struct Subject<'a> {
    step: Step<'a>,
    pub(super) file: File,
    device: File,
    pub(super) identity: FileIdentity,
    file_bytes: u64,
    file_system: FileSystem,
    pub(super) topology: Topology,
    pub(super) map: ExtentMap,
    sector_bytes: usize,
    exclusion: Exclusion,
}

impl<'a> Subject<'a> {
    /// All checks. Writes nothing but the file's own dirty pages.
    pub(super) fn open(request: &'a DiskWipe) -> Result<Self, DiskFailure> {
        let step = Step { path: &request.path };
        step.require(request.vmm_dead, DiskRefusal::VmmAlive)?;
        let file = step.open()?;
        let metadata = step.io("look at", file.metadata())?;
        step.require(metadata.is_file(), DiskRefusal::NotAFile)?;
        step.require(metadata.nlink() == 1, DiskRefusal::HardLinks)?;
        let identity = step.io("look at", FileIdentity::of(&file))?;
        let exclusion = step.exclude(&file, identity)?;
        step.io("sync", file.sync_all())?;
        let device = identity.device;
        let file_system = step.check("look at", filesystem::check(&file, device))?;
        let map = step.check("map", extents::map(&file))?;
        let topology = step.io("find the disk under", topology::resolve(device))?;
        step.require(!topology.redirects, DiskRefusal::RedirectingDevice)?;
        let sector = topology::sector_bytes(device);
        let sector_bytes = step.io("find the sector size under", sector)?.clamp(512, 4096);
        let opened = topology::open(device, libc::O_DIRECT);
        let device = step.io("open the device under", opened)?;
        Ok(Self {
            step,
            file,
            device,
            identity,
            file_bytes: metadata.len(),
            file_system,
            topology,
            map,
            sector_bytes,
            exclusion,
        })
    }

    /// The saved progress if it is this file's, or the begin.
    pub(super) fn progress(&self, request: &DiskWipe) -> Result<DiskProgress, DiskFailure> {
        let now = (request.clocks.now)();
        let Some(saved) = request.resume.clone() else {
            return Ok(DiskProgress {
                file: self.identity,
                file_bytes: self.file_bytes,
                file_system: self.file_system.clone(),
                topology: self.topology.clone(),
                before: self.map.clone(),
                course: Course::begin(self.map.bytes(), now),
                measurement: None,
            });
        };
        // Device numbers change with a restart of the host; what the devices are known by does not.
        let same_device = saved.file.device == self.identity.device
            || saved.topology.identities().eq(self.topology.identities());
        if saved.file.inode != self.identity.inode || !same_device {
            return Err(DiskFailure::Replaced { path: request.path.clone() });
        }
        let course = saved.course.resumed(now);
        Ok(DiskProgress { file: self.identity, course, ..saved })
    }

    pub(super) fn overwrite(
        &self,
        request: &DiskWipe,
        progress: &mut DiskProgress,
        save: &mut dyn FnMut(&DiskProgress) -> ControlFlow<()>,
    ) -> Result<(), DiskFailure> {
        let map = progress.before.clone();
        let medium = Medium {
            access: &OnDevice { file: &self.file, device: &self.device },
            map: &map,
            sector_bytes: self.sector_bytes,
            // O_DIRECT alone is not durable: the file's metadata, then the device's own cache.
            flush: &|| self.file.sync_all().and_then(|()| self.device.sync_all()),
            layer: ReadLayer::BlockDevice,
            direct: true,
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
            Err(Halt::Stopped) => Err(DiskFailure::Stopped { path: request.path.clone() }),
            Err(Halt::Flush(error)) => self.step.io("flush the device under", Err(error)),
        }
    }

    /// Everything, after the last read-back.
    pub(super) fn measure(&self, progress: &DiskProgress) -> Result<DiskMeasurement, DiskFailure> {
        let after = self.step.io("map again", extents::map(&self.file))?;
        let found = holders::writers(&self.file, self.identity, self.exclusion);
        let writers = self.step.io("look for holders of", found)?;
        let course = &progress.course;
        let measured = MediaWipeMeasured {
            ending: Ending::Completed,
            span: course.span(),
            file_system: self.file_system.clone(),
            topology: self.topology.layers.clone(),
            file_bytes: progress.file_bytes,
            extents_before: list(&progress.before),
            // A map that is refused now is not the one that was accepted.
            extents_after: after.ok().as_ref().map(list),
            writers,
            passes: course.passes().to_vec(),
            read_backs: course.read_backs().to_vec(),
            // A course does not go on after a flush that failed.
            file_synced: true,
            device_cache_flushed: true,
            unlinked: false,
            bad_ranges: course.bad_ranges().ranges().to_vec(),
        };
        Ok(DiskMeasurement {
            measured,
            device_reported: self.topology.reported.clone(),
            not_measured: self.not_measured(progress),
            interruptions: course.interruptions(),
        })
    }

    fn not_measured(&self, progress: &DiskProgress) -> Vec<NotMeasured> {
        let mut list = vec![NotMeasured {
            what: "the file's name, size and times in the file system's metadata and journal"
                .into(),
            reason: "they hold nothing of its content".into(),
        }];
        let holes = progress.file_bytes.saturating_sub(progress.before.bytes());
        if holes > 0 {
            list.push(NotMeasured {
                what: format!("{holes} bytes of the file that are holes"),
                reason: "no block of the device belongs to them".into(),
            });
        }
        let virtual_layer = |kind| match kind {
            LayerKind::Loop | LayerKind::DeviceMapper | LayerKind::Raid => true,
            LayerKind::Partition | LayerKind::Disk | LayerKind::Other => false,
        };
        for layer in self.topology.layers.iter().filter(|layer| virtual_layer(layer.kind)) {
            list.push(NotMeasured {
                what: format!(
                    "where {:?} {} ({}) keeps its blocks",
                    layer.kind, layer.device, layer.identity
                ),
                reason: "the read-back is from the file system's own device, above it".into(),
            });
        }
        list
    }
}

/// Written through the file system, read back around it.
struct OnDevice<'a> {
    file: &'a File,
    device: &'a File,
}

impl Access for OnDevice<'_> {
    fn write(&self, bytes: &[u8], logical: u64) -> io::Result<usize> {
        self.file.write_at(bytes, logical)
    }

    fn read(&self, bytes: &mut [u8], physical: u64) -> io::Result<()> {
        self.device.read_exact_at(bytes, physical)
    }
}

/// The steps' errors carry the path.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) path: &'a Path,
}

impl Step<'_> {
    pub(super) fn io<T>(
        &self,
        operation: &'static str,
        result: io::Result<T>,
    ) -> Result<T, DiskFailure> {
        let path = self.path.to_owned();
        result.map_err(|source| DiskFailure::Io { operation, path, source })
    }

    fn refused(&self, refusal: DiskRefusal, holders: String) -> DiskFailure {
        DiskFailure::Refused { path: self.path.to_owned(), refusal, holders }
    }

    fn require(&self, holds: bool, refusal: DiskRefusal) -> Result<(), DiskFailure> {
        if holds { Ok(()) } else { Err(self.refused(refusal, String::new())) }
    }

    fn check<T>(
        &self,
        operation: &'static str,
        result: io::Result<Result<T, DiskRefusal>>,
    ) -> Result<T, DiskFailure> {
        self.io(operation, result)?.map_err(|refusal| self.refused(refusal, String::new()))
    }

    fn open(&self) -> Result<File, DiskFailure> {
        // Looked at first, so that no socket or pipe is opened, nor a file system that has no
        // O_DIRECT mistaken for a fault.
        let kind = match fs::symlink_metadata(self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DiskFailure::Absent { path: self.path.to_owned() });
            }
            found => self.io("look at", found)?,
        };
        self.require(kind.is_file(), DiskRefusal::NotAFile)?;
        let flags = libc::O_DIRECT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = File::options().read(true).write(true).custom_flags(flags).open(self.path);
        if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput) {
            return Err(self.refused(DiskRefusal::FileSystem, String::new()));
        }
        self.io("open", opened)
    }

    /// Nobody else holds it, and nobody will unnoticed.
    fn exclude(&self, file: &File, identity: FileIdentity) -> Result<Exclusion, DiskFailure> {
        let excluded = holders::exclude(file, identity);
        self.io("take a lease (CAP_LEASE) on", excluded)?
            .map_err(|names| self.refused(DiskRefusal::Held, format!(" ({names})")))
    }
}

/// The map as statements have it.
fn list(map: &ExtentMap) -> ExtentList {
    let extents: Vec<_> =
        map.extents().iter().map(|at| (at.logical, at.physical, at.length)).collect();
    ExtentList::of(&extents, 0)
}
