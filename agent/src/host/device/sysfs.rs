//! What the kernel says of block devices in /sys.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, makedev, minor};

/// Where the kernel lists every block device by name.
pub(super) const BLOCK: &str = "/sys/class/block";

/// The directory of a block device.
pub(super) fn of(device: u64) -> PathBuf {
    Path::new("/sys/dev/block").join(format!("{}:{}", major(device), minor(device)))
}

/// The kernel's name of a block device, or its number.
pub(super) fn name(device: u64) -> String {
    let target = fs::canonicalize(of(device)).ok();
    let name = target.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    name.map_or_else(|| format!("{}:{}", major(device), minor(device)), |name| name.into_owned())
}

/// A device's number from `major:minor`.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// The text of an attribute.
pub(super) fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The names in a directory, in order; none if there is no such directory.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// A whole disk's number and those of its partitions.
pub(super) fn with_partitions(disk: u64) -> io::Result<Vec<u64>> {
    let dir = of(disk);
    let mut found = vec![disk];
    for name in names(&dir)? {
        let part = dir.join(name);
        if part.join("partition").exists() {
            let number = read(&part.join("dev")).and_then(|text| parse(&text));
            found.push(number.ok_or(io::ErrorKind::InvalidData)?);
        }
    }
    Ok(found)
}
