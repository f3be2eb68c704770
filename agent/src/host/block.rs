//! What the kernel says of block devices in /sys, and how it writes its tables.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, makedev, minor};

/// Where the kernel lists every block device by name.
pub(crate) const BLOCK: &str = "/sys/class/block";

/// The directory of a block device.
pub(crate) fn of(device: u64) -> PathBuf {
    Path::new("/sys/dev/block").join(text(device))
}

/// A device's number as `major:minor`.
pub(crate) fn text(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// The device's own number, if the metadata are those of a block device's node.
pub(crate) fn number_of(metadata: &fs::Metadata) -> Option<u64> {
    metadata.file_type().is_block_device().then(|| metadata.rdev())
}

/// The number in the file `dev` of a device's directory.
pub(crate) fn number_in(dir: &Path) -> io::Result<u64> {
    let number = read(&dir.join("dev")).and_then(|text| parse(&text));
    number.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The kernel's name of a block device, or its number.
pub(crate) fn name(device: u64) -> String {
    let target = fs::canonicalize(of(device)).ok();
    let name = target.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    name.map_or_else(|| text(device), |name| name.into_owned())
}

/// A device's number from `major:minor`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// The text of an attribute.
pub(crate) fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The names in a directory, in order; none if there is no such directory.
pub(crate) fn names(dir: &Path) -> io::Result<Vec<String>> {
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
pub(crate) fn with_partitions(disk: u64) -> io::Result<Vec<u64>> {
    let dir = of(disk);
    let mut found = vec![disk];
    for name in names(&dir)? {
        let part = dir.join(name);
        if part.join("partition").exists() {
            found.push(number_in(&part)?);
        }
    }
    Ok(found)
}

/// What the device mapper and MD have built on a device.
pub(crate) fn holders(device: u64) -> io::Result<Vec<String>> {
    names(&of(device).join("holders"))
}

/// Loop devices over one of these devices, by name, each with the path that it was given.
pub(crate) fn loops_over(is_one: impl Fn(u64) -> bool) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in names(Path::new(BLOCK))? {
        let backing = Path::new(BLOCK).join(&name).join("loop/backing_file");
        let Some(path) = read(&backing) else { continue };
        let number = fs::metadata(&path).ok().as_ref().and_then(number_of);
        if number.is_some_and(&is_one) {
            found.push((name, path));
        }
    }
    Ok(found)
}

/// A field of a table such as mountinfo, in which blanks and backslashes are written in octal.
pub(crate) fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, letter)| text.replace(escape, letter))
}
