//! Who uses a disk: mounts, swap, loops, what the device mapper and MD put on it, and processes.
//!
//! This scan names users for people. What is complete is the exclusive opening (`O_EXCL` on a block
//! device), which the kernel refuses while a part of the disk is mounted, swapped to or built upon
//! in any namespace; only processes and loops do not claim what they open, so that they are looked
//! for here.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use super::sysfs;

/// Who uses one of these block devices (by their numbers), as sentences.
///
/// # Errors
/// If sysfs or /proc cannot be read: then nobody knows.
pub(super) fn uses(devices: &BTreeSet<u64>) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for &device in devices {
        for holder in sysfs::names(&sysfs::of(device).join("holders"))? {
            found.push(format!("{holder} is built on {}", sysfs::name(device)));
        }
    }
    found.extend(mounts(devices)?);
    for line in fs::read_to_string("/proc/swaps")?.lines().skip(1) {
        let path = line.split_whitespace().next().unwrap_or_default();
        if number(&unescape(path)).is_some_and(|device| devices.contains(&device)) {
            found.push(format!("{path} is swapped to"));
        }
    }
    for name in sysfs::names(Path::new(sysfs::BLOCK))? {
        let backing = Path::new(sysfs::BLOCK).join(&name).join("loop/backing_file");
        let Ok(path) = fs::read_to_string(backing) else { continue };
        if number(path.trim()).is_some_and(|device| devices.contains(&device)) {
            found.push(format!("{name} is a loop over {}", path.trim()));
        }
    }
    found.extend(processes(devices)?);
    // Names that others chose: none of them says to a terminal what it likes.
    let plain = |text: String| text.replace(char::is_control, "?");
    Ok(found.into_iter().map(plain).collect())
}

fn mounts(devices: &BTreeSet<u64>) -> io::Result<Vec<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mut found = Vec::new();
    for line in text.lines() {
        // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw" (proc(5)).
        let (before, after) = line.split_once(" - ").unwrap_or((line, ""));
        let mut fields = before.split(' ').skip(2);
        let by_number = fields.next().and_then(sysfs::parse);
        // btrfs has numbers of its own; its source still names the device.
        let by_source = after.split(' ').nth(1).and_then(|source| number(&unescape(source)));
        if [by_number, by_source].into_iter().flatten().any(|device| devices.contains(&device)) {
            let at = unescape(fields.nth(1).unwrap_or_default());
            found.push(format!("it is mounted at {at}"));
        }
    }
    Ok(found)
}

fn processes(devices: &BTreeSet<u64>) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if id == std::process::id() {
            continue;
        }
        // A process that ended while it was looked at has nothing open.
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        let has = |path: &Path| block_number(path).is_some_and(|device| devices.contains(&device));
        if descriptors.flatten().any(|descriptor| has(&descriptor.path())) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push(format!("{} ({id}) has it open", name.trim()));
        }
    }
    Ok(found)
}

/// The number of the block device at a path.
fn number(path: &str) -> Option<u64> {
    path.starts_with('/').then(|| block_number(Path::new(path))).flatten()
}

fn block_number(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).ok()?;
    metadata.file_type().is_block_device().then(|| metadata.rdev())
}

/// `\040` and its like, as the kernel writes blanks in its tables.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, letter)| text.replace(escape, letter))
}
