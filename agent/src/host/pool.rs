//! Block devices that are set aside for volumes: a whole disk, partition or logical volume each,
//! with no file system between.
//!
//! ```text
//! free ──record written──▶ taken ──container made, renamed──▶ in use (<id>.device)
//!   ▲    (<id>.device.partial) │ head overwritten, record removed │
//!   └──────────────────────────┴───── wiped, record removed ──────┘
//! ```
//!
//! A record says which device a volume is on by what the device is known by; names in /dev may
//! change. Only a device that begins and ends with zeros is taken: one that holds anything was set
//! aside by mistake, or was not wiped.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tenure_protocol::id::VolumeId;

use super::disk::BlockDevice;
use crate::file::{self, FileFailure};

/// How much of a device's begin and end is looked at before it is taken, bytes.
const EDGE_BYTES: usize = 1 << 20;

/// What is overwritten of a device whose container was half made, bytes: its header is smaller.
pub const HEAD_BYTES: u64 = 4 << 20;

/// Most bytes of a record.
const MAX_RECORD_BYTES: u64 = 64 * 1024;

/// What went wrong with a device for volumes.
#[derive(Debug, thiserror::Error)]
pub enum PoolFailure {
    /// No device is free, large enough and blank.
    #[error("no device of volume_devices is free for {wanted} bytes: {why}")]
    NoneFits {
        /// Bytes that are needed.
        wanted: u64,
        /// Of each device, why not.
        why: String,
    },
    /// What is found there is another device.
    #[error(
        "volume {volume} is on the device {identity}, which none of volume_devices leads to: \
         attach it again"
    )]
    Gone {
        /// Which.
        volume: VolumeId,
        /// What the device is known by.
        identity: String,
    },
    /// Two devices cannot be told apart.
    #[error(
        "two devices are known by {identity}, and volume {volume} is on one of them: take the copy \
         out of this host"
    )]
    Twice {
        /// Which.
        volume: VolumeId,
        /// What both are known by.
        identity: String,
    },
    /// A device or a record cannot be read or written.
    #[error("cannot {act} {path}")]
    File {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record cannot be understood.
    #[error("the record {path} of a volume's device is damaged: {reason}")]
    Record {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A record cannot be written.
    #[error(transparent)]
    Write(#[from] FileFailure),
}

/// The device of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The device.
    pub device: BlockDevice,
    /// Size that the guest sees, bytes.
    pub size_bytes: u64,
}

/// All devices that are set aside.
#[derive(Debug, Clone)]
pub struct Pool {
    devices: Vec<PathBuf>,
    dir: PathBuf,
}

impl Pool {
    /// These devices; records in `dir`.
    #[must_use]
    pub fn new(devices: &[PathBuf], dir: &Path) -> Self {
        Self { devices: devices.to_vec(), dir: dir.to_owned() }
    }

    /// Whether volumes are files.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Bytes of all devices that are there.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let found = self.devices.iter().filter_map(|path| BlockDevice::look(path).ok());
        found.fold(0, |sum, device| sum.saturating_add(device.bytes))
    }

    /// The slot of a volume, with the path that leads to its device now; and whether its container
    /// is complete.
    ///
    /// # Errors
    /// [`PoolFailure::Gone`] if nothing leads to it; the record cannot be read.
    pub fn slot(&self, volume: VolumeId) -> Result<Option<(Slot, bool)>, PoolFailure> {
        let whole = self.read(&self.record(volume))?;
        let (slot, complete) = match whole {
            Some(slot) => (slot, true),
            None => match self.read(&self.partial(volume))? {
                Some(slot) => (slot, false),
                None => return Ok(None),
            },
        };
        let paths = std::iter::once(&slot.device.path).chain(&self.devices);
        let found = paths.filter_map(|path| BlockDevice::look(path).ok());
        let found: Vec<_> = found.filter(|found| found.is(&slot.device)).collect();
        let identity = || slot.device.identities.join(", ");
        let number =
            |device: &BlockDevice| fs::metadata(&device.path).map(|found| found.rdev()).ok();
        let Some(first) = found.first() else {
            return Err(PoolFailure::Gone { volume, identity: identity() });
        };
        if found.iter().any(|other| number(other) != number(first)) {
            return Err(PoolFailure::Twice { volume, identity: identity() });
        }
        Ok(Some((Slot { device: first.clone(), ..slot }, complete)))
    }

    /// Takes the smallest device that is free and blank and has room for `size_bytes` and a header.
    ///
    /// # Errors
    /// [`PoolFailure::NoneFits`]; the record cannot be written.
    pub fn take(&self, volume: VolumeId, size_bytes: u64) -> Result<Slot, PoolFailure> {
        let taken = self.taken()?;
        let wanted = size_bytes.saturating_add(HEAD_BYTES);
        let (mut best, mut why) = (None::<BlockDevice>, Vec::new());
        for path in &self.devices {
            match candidate(path, &taken, wanted) {
                Ok(device) if best.as_ref().is_none_or(|best| device.bytes < best.bytes) => {
                    best = Some(device);
                }
                Ok(_) => {}
                Err(reason) => why.push(format!("{}: {reason}", path.display())),
            }
        }
        let Some(device) = best else {
            return Err(PoolFailure::NoneFits { wanted, why: why.join("; ") });
        };
        let slot = Slot { device, size_bytes };
        let path = self.partial(volume);
        let bytes = serde_json::to_vec(&slot).map_err(|error| PoolFailure::Record {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        file::replace(&path, &bytes, None)?;
        Ok(slot)
    }

    /// The container on a volume's device is complete.
    ///
    /// # Errors
    /// The record cannot be renamed.
    pub fn complete(&self, volume: VolumeId) -> Result<(), PoolFailure> {
        let partial = self.partial(volume);
        fs::rename(&partial, self.record(volume)).map_err(on("rename", &partial))?;
        self.sync()
    }

    /// Gives a volume's device back. What is on it must be overwritten.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn release(&self, volume: VolumeId) -> Result<(), PoolFailure> {
        for path in [self.record(volume), self.partial(volume)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(on("remove", &path)(error));
                }
                _ => {}
            }
        }
        self.sync()
    }

    /// Overwrites the head of a device whose container was half made, and gives it back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn release_partial(&self, volume: VolumeId) -> Result<(), PoolFailure> {
        if let Some((slot, false)) = self.slot(volume)? {
            let path = &slot.device.path;
            let claimed = slot.device.claim().map_err(on("claim", path))?;
            // Of the claimed device; its own descriptor takes aligned memory alone.
            let node = PathBuf::from(format!("/proc/self/fd/{}", claimed.as_raw_fd()));
            let file = OpenOptions::new().write(true).open(node).map_err(on("open", path))?;
            let zeros = vec![0; EDGE_BYTES];
            for at in (0..HEAD_BYTES).step_by(EDGE_BYTES) {
                file.write_all_at(&zeros, at).map_err(on("overwrite", path))?;
            }
            file.sync_all().map_err(on("sync", path))?;
            self.release(volume)?;
        }
        Ok(())
    }

    fn record(&self, volume: VolumeId) -> PathBuf {
        self.dir.join(format!("{volume}.device"))
    }

    fn partial(&self, volume: VolumeId) -> PathBuf {
        self.dir.join(format!("{volume}.device.partial"))
    }

    fn read(&self, path: &Path) -> Result<Option<Slot>, PoolFailure> {
        let bytes = match file::read_limited(path, MAX_RECORD_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(on("read", path)(error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| PoolFailure::Record {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// All devices that a record names.
    ///
    /// # Errors
    /// A record cannot be read: no device is taken then, since nobody knows which are free.
    pub fn taken(&self) -> Result<Vec<BlockDevice>, PoolFailure> {
        let mut taken = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(on("read", &self.dir))? {
            let path = entry.map_err(on("read", &self.dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".device") || name.ends_with(".device.partial") {
                taken.extend(self.read(&path)?.map(|slot| slot.device));
            }
        }
        Ok(taken)
    }

    fn sync(&self) -> Result<(), PoolFailure> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(on("sync", &self.dir))
    }
}

/// The device, if a volume of so many bytes can be made on it; else why not.
fn candidate(path: &Path, taken: &[BlockDevice], wanted: u64) -> Result<BlockDevice, String> {
    let device = BlockDevice::look(path).map_err(|error| error.to_string())?;
    if taken.iter().any(|other| other.is(&device)) {
        return Err("another volume is on it".to_owned());
    }
    if device.bytes < wanted {
        return Err(format!("it has {} bytes", device.bytes));
    }
    let claimed = device.claim().map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => "it is mounted or otherwise in use".to_owned(),
        _ => error.to_string(),
    })?;
    let node = PathBuf::from(format!("/proc/self/fd/{}", claimed.as_raw_fd()));
    let file = File::open(node).map_err(|error| error.to_string())?;
    let mut edge = vec![0; EDGE_BYTES];
    for at in [0, device.bytes - EDGE_BYTES as u64] {
        file.read_exact_at(&mut edge, at).map_err(|error| error.to_string())?;
        if edge.iter().any(|byte| *byte != 0) {
            return Err(
                "it holds data: take it out of volume_devices, or overwrite its first and \
                 last MiB with zeros if nobody needs it"
                    .to_owned(),
            );
        }
    }
    Ok(device)
}

fn on<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PoolFailure + 'a {
    move |source| PoolFailure::File { act, path: path.to_owned(), source }
}
