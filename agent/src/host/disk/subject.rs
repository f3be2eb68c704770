//! The file or device of a wipe, checked and open, and what is done with it.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use tenure_protocol::evidence::predicate::{
    Ending, NotMeasured,
    media_wipe::{ExtentList, FileSystem, FileSystemKind, LayerKind, MediaWipeMeasured},
    wipe::ReadLayer,
};

use super::{
    super::{
        holders::{self, Exclusion, FileIdentity},
        overwrite::{self, Access, Halt, Medium},
    },
    DiskFailure, DiskMeasurement, DiskProgress, DiskWipe, Topology,
    device::{self, BlockDevice},
    extents, filesystem,
    refusal::DiskRefusal,
    topology,
};
use crate::core::wipe::{Course, Extent, ExtentMap, Stage};

/// The file or device, checked and open.
pub(super) struct Subject<'a> {
    step: Step<'a>,
    /// The known device, if the subject is one.
    known: Option<&'a BlockDevice>,
    pub(super) file: File,
    /// The device under the file; none if it is the subject itself.
    below: Option<File>,
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
        match &request.device {
            Some(known) => Self::open_device(step, known),
            None => Self::open_file(step),
        }
    }

    /// The device itself, if it is the one that is known, and nobody else uses it.
    fn open_device(step: Step<'a>, known: &'a BlockDevice) -> Result<Self, DiskFailure> {
        let found = match BlockDevice::look(step.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DiskFailure::Absent { path: step.path.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(step.refused(DiskRefusal::NotADevice, String::new()));
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(step.refused(DiskRefusal::RedirectingDevice, String::new()));
            }
            found => step.io("look at", found)?,
        };
        step.require(found.is(known), DiskRefusal::OtherThanKnown)?;
        let claimed = found.claim();
        if claimed.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)) {
            return Err(step.refused(DiskRefusal::Held, " (it is claimed in the kernel)".into()));
        }
        let file = step.io("claim", claimed)?;
        let identity = step.io("look at", FileIdentity::of(&file))?;
        let topology = step.io("find the disk under", topology::resolve(identity.device))?;
        let mut users = step.io("look for users of", device::kernel_users(identity.device))?;
        users.extend(step.io("look for users of", around(identity.device))?);
        if !users.is_empty() {
            return Err(step.refused(DiskRefusal::Held, format!(" ({})", users.join(", "))));
        }
        let exclusion = step.exclude(&file, identity)?;
        let sector = topology::sector_bytes(identity.device);
        let sector_bytes = step.io("find the sector size of", sector)?.clamp(512, 4096);
        let file_system = FileSystem { kind: FileSystemKind::None, mount_options: String::new() };
        let map = step.check("map", Ok(whole(known.bytes)))?;
        Ok(Self {
            step,
            known: Some(known),
            file,
            below: None,
            identity,
            file_bytes: known.bytes,
            file_system,
            topology,
            map,
            sector_bytes,
            exclusion,
        })
    }

    fn open_file(step: Step<'a>) -> Result<Self, DiskFailure> {
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
        let below = Some(step.io("open the device under", opened)?);
        Ok(Self {
            step,
            known: None,
            file,
            below,
            identity,
            file_bytes: metadata.len(),
            file_system,
            topology,
            map,
            sector_bytes,
            exclusion,
        })
    }

    fn device(&self) -> &File {
        self.below.as_ref().unwrap_or(&self.file)
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
        let known = saved.topology.known_by();
        let same_device = saved.file.device == self.identity.device
            || (known.is_some() && known == self.topology.known_by());
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
            access: &OnDevice { file: &self.file, device: self.device() },
            map: &map,
            sector_bytes: self.sector_bytes,
            // O_DIRECT alone is not durable: the file's metadata, then the device's own cache.
            flush: &|| self.file.sync_all().and_then(|()| self.device().sync_all()),
            layer: ReadLayer::BlockDevice,
            direct: true,
            limit: request.limit,
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
        let after = match self.known {
            Some(known) => {
                let found = self.step.io("look again at", BlockDevice::look(self.step.path))?;
                if found.is(known) { whole(found.bytes) } else { Err(DiskRefusal::OtherThanKnown) }
            }
            None => self.step.io("map again", extents::map(&self.file))?,
        };
        let found = holders::writers(&self.file, self.identity, self.exclusion);
        let mut writers = self.step.io("look for holders of", found)?;
        if self.known.is_some() {
            let users = self.step.io("look for users of", around(self.identity.device))?;
            writers.open_files += u32::try_from(users.len()).unwrap_or(u32::MAX);
        }
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
        let mut list = vec![match self.known {
            Some(_) => NotMeasured {
                what: "whether a process opened the device, unclaimed, between two looks".into(),
                reason: "the kernel keeps out and tells of those alone that claim it".into(),
            },
            None => NotMeasured {
                what: "the file's name, size and times in the file system's metadata and journal"
                    .into(),
                reason: "they hold nothing of its content".into(),
            },
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
                reason: "the read-back is from the first of the devices, above it".into(),
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

/// Who has open what reaches the same bytes: a partition's disk, a disk's partitions.
fn around(device: u64) -> io::Result<Vec<String>> {
    let mut users = Vec::new();
    for relative in device::relatives(device)? {
        users.extend(holders::of_device(relative)?);
        users.extend(device::kernel_users(relative)?);
    }
    Ok(users)
}

/// A device's map: all of it, in its place.
fn whole(bytes: u64) -> Result<ExtentMap, DiskRefusal> {
    let all = Extent { logical: 0, physical: 0, length: bytes };
    ExtentMap::new(vec![all]).map_err(|_| DiskRefusal::UnknownExtent)
}

/// The map as statements have it.
fn list(map: &ExtentMap) -> ExtentList {
    let extents: Vec<_> =
        map.extents().iter().map(|at| (at.logical, at.physical, at.length)).collect();
    ExtentList::of(&extents, 0)
}
