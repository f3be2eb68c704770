//! Block devices as subjects themselves, and what they are known by.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::topology;

/// A block device, by what does not change when names in /dev do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// A path that led to it when it was looked at.
    pub path: PathBuf,
    /// What it and the layers under it are known by, from the top: serial or WWN of a disk, UUID of
    /// a partition or mapping, backing file of a loop.
    pub identities: Vec<String>,
    /// Its size, bytes.
    pub bytes: u64,
}

impl BlockDevice {
    /// Looks at the device to which a path leads.
    ///
    /// # Errors
    /// It is not there, is no block device ([`io::ErrorKind::InvalidInput`]), sends writes elsewhere
    /// than to the old blocks ([`io::ErrorKind::Unsupported`]), or the kernel does not tell what it
    /// is.
    pub fn look(path: &Path) -> io::Result<Self> {
        let number = number(&fs::metadata(path)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no block device"))?;
        let found = topology::resolve(number)?;
        if found.redirects {
            let why = "it is thin or a snapshot: old blocks would stay under its wipe";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let bytes = found.layers.first().map_or(0, |layer| layer.size_bytes);
        let identities = found.identities().map(str::to_owned).collect();
        Ok(Self { path: path.to_owned(), identities, bytes })
    }

    /// Whether both are the same device, whatever led to them.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.identities == other.identities && self.bytes == other.bytes
    }
}

/// The device's own number, if the metadata are those of a block device's node.
pub(super) fn number(metadata: &fs::Metadata) -> Option<u64> {
    metadata.file_type().is_block_device().then(|| metadata.rdev())
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

/// Opens it for writing past the page cache, claimed: nobody who claims it too (a mount, a swap
/// area, a mapping, an array, a running machine) has it meanwhile.
pub(super) fn claim(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_DIRECT | libc::O_EXCL | libc::O_NONBLOCK;
    File::options().read(true).write(true).custom_flags(flags).open(path)
}
