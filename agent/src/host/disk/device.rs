//! Block devices as subjects themselves, and what they are known by.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tenure_protocol::evidence::predicate::media_wipe::LayerKind;

use super::{Topology, topology};

/// A block device, by what does not change when names in /dev do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// A path that led to it when it was looked at.
    pub path: PathBuf,
    /// What it and the layers under it are known by, from the top: WWN, UUID or serial of a disk,
    /// UUID or place of a partition, UUID of a mapping, backing file of a loop. None is empty.
    pub identities: Vec<String>,
    /// Its size, bytes.
    pub bytes: u64,
}

impl BlockDevice {
    /// Looks at the device to which a path leads.
    ///
    /// # Errors
    /// It is not there, is no block device ([`io::ErrorKind::InvalidInput`]), cannot be known again
    /// or may send writes elsewhere than to the old blocks ([`io::ErrorKind::Unsupported`]), or
    /// the kernel does not tell what it is.
    pub fn look(path: &Path) -> io::Result<Self> {
        let number = number(&fs::metadata(path)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no block device"))?;
        Self::of(number, path)
    }

    fn of(number: u64, path: &Path) -> io::Result<Self> {
        let unfit = |why| io::Error::new(io::ErrorKind::Unsupported, why);
        let found = topology::resolve(number)?;
        if found.redirects || !is_in_place(&found)? {
            return Err(unfit("it is thin, cached or a snapshot: old blocks would stay"));
        }
        let identities = found.known_by().ok_or_else(|| {
            unfit("it, or a device under it, has no WWN, UUID or serial number to know it again by")
        })?;
        let bytes = found.layers.first().map_or(0, |layer| layer.size_bytes);
        Ok(Self { path: path.to_owned(), identities, bytes })
    }

    /// Whether both are the same device, whatever led to them.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.identities == other.identities && self.bytes == other.bytes
    }

    /// Opens it for writing past the page cache, claimed: nobody who claims it too (a mount, a swap
    /// area, a mapping, an array, a running machine) has it meanwhile. What was opened is this
    /// device, whatever became of the path.
    ///
    /// # Errors
    /// `EBUSY` if it is claimed; [`io::ErrorKind::NotFound`] if the path leads to another.
    pub fn claim(&self) -> io::Result<File> {
        let flags = libc::O_DIRECT | libc::O_EXCL | libc::O_NONBLOCK;
        let opened = File::options().read(true).write(true).custom_flags(flags).open(&self.path)?;
        let number = number(&opened.metadata()?).ok_or(io::ErrorKind::NotFound)?;
        if Self::of(number, &self.path)?.is(self) {
            Ok(opened)
        } else {
            let why = "another device is at its path now";
            Err(io::Error::new(io::ErrorKind::NotFound, why))
        }
    }
}

/// Whether a loop's file, if there is one, is overwritten in place.
fn is_in_place(found: &Topology) -> io::Result<bool> {
    let lowest_named = found.layers.iter().find(|layer| layer.kind == LayerKind::Loop);
    let Some(layer) = lowest_named else { return Ok(true) };
    let dir = PathBuf::from("/sys/dev/block").join(&layer.device);
    let backing = fs::read_to_string(dir.join("loop/backing_file"))?;
    let file = File::open(backing.trim_end())?;
    let is_device = number(&file.metadata()?).is_some();
    Ok(is_device || super::in_place(&file)?.is_ok())
}

/// The device's own number, if the metadata are those of a block device's node.
pub(super) fn number(metadata: &fs::Metadata) -> Option<u64> {
    metadata.file_type().is_block_device().then(|| metadata.rdev())
}

/// The devices through which the same bytes can be reached: of a partition its disk, of a disk its
/// partitions; the device itself is left out.
pub(super) fn relatives(device: u64) -> io::Result<Vec<u64>> {
    let dir = topology::directory(device)?;
    let mut found = Vec::new();
    if dir.join("partition").exists() {
        found.push(topology::number_in(&dir.join("../dev"))?);
        return Ok(found);
    }
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.join("partition").exists() {
            found.push(topology::number_in(&path.join("dev"))?);
        }
    }
    Ok(found)
}

/// Who uses a device from inside the kernel, as far as sysfs tells: mappings and arrays over it,
/// and loop devices. A mounted file system or a swap area on it is seen when it is claimed.
pub(super) fn kernel_users(device: u64) -> io::Result<Vec<String>> {
    let mut users = Vec::new();
    let holders = topology::directory(device)?.join("holders");
    match fs::read_dir(holders) {
        Ok(entries) => {
            for entry in entries {
                users.push(entry?.file_name().to_string_lossy().into_owned());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let Ok(backing) = fs::read_to_string(entry.path().join("loop/backing_file")) else {
            continue;
        };
        let found = fs::metadata(backing.trim_end());
        if found.is_ok_and(|metadata| number(&metadata) == Some(device)) {
            users.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(users)
}
