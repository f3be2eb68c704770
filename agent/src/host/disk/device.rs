//! Block devices as subjects themselves, and what they are known by.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tenure_protocol::evidence::predicate::media_wipe::LayerKind;

use super::{super::block, Topology, topology};

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
        let number = block::number_of(&fs::metadata(path)?)
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
        let number = block::number_of(&opened.metadata()?).ok_or(io::ErrorKind::NotFound)?;
        if Self::of(number, &self.path)?.is(self) {
            Ok(opened)
        } else {
            let why = "another device is at its path now";
            Err(io::Error::new(io::ErrorKind::NotFound, why))
        }
    }
}

/// Whether the files of all loops among the layers are overwritten in place.
fn is_in_place(found: &Topology) -> io::Result<bool> {
    for layer in found.layers.iter().filter(|layer| layer.kind == LayerKind::Loop) {
        let number = block::parse(&layer.device).ok_or(io::ErrorKind::InvalidData)?;
        let backing = fs::read_to_string(block::of(number).join("loop/backing_file"))?;
        let file = File::open(backing.trim_end())?;
        let is_device = block::number_of(&file.metadata()?).is_some();
        if !is_device && super::in_place(&file)?.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The devices through which the same bytes can be reached: of a partition its disk, of a disk its
/// partitions; the device itself is left out.
pub(super) fn relatives(device: u64) -> io::Result<Vec<u64>> {
    let dir = fs::canonicalize(block::of(device))?;
    if dir.join("partition").exists() {
        return Ok(vec![block::number_in(&dir.join(".."))?]);
    }
    let mut found = block::with_partitions(device)?;
    found.retain(|one| *one != device);
    Ok(found)
}

/// Who uses a device from inside the kernel, as far as sysfs tells: mappings and arrays over it,
/// and loop devices. A mounted file system or a swap area on it is seen when it is claimed.
pub(super) fn kernel_users(device: u64) -> io::Result<Vec<String>> {
    let mut users = block::holders(device)?;
    users.extend(block::loops_over(|one| one == device)?.into_iter().map(|(name, _)| name));
    Ok(users)
}
