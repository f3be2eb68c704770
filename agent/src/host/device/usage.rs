//! Who uses a disk: mounts, swap, loops, what the device mapper and MD put on it, and processes.
//!
//! This scan names users for people. What is complete is the exclusive opening (`O_EXCL` on a block
//! device), which the kernel refuses while a part of the disk is mounted, swapped to or built upon
//! in any namespace; only processes and loops do not claim what they open, so that they are looked
//! for here.

use std::{collections::BTreeSet, fs, io, path::Path};

use super::super::block;

/// Who uses one of these block devices (by their numbers), as sentences.
///
/// # Errors
/// If sysfs or /proc cannot be read: then nobody knows.
pub(super) fn uses(devices: &BTreeSet<u64>) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for &device in devices {
        for holder in block::holders(device)? {
            found.push(format!("{holder} is built on {}", block::name(device)));
        }
    }
    found.extend(mounts(devices)?);
    for line in fs::read_to_string("/proc/swaps")?.lines().skip(1) {
        let path = line.split_whitespace().next().unwrap_or_default();
        if number(&block::unescape(path)).is_some_and(|device| devices.contains(&device)) {
            found.push(format!("{path} is swapped to"));
        }
    }
    let loops = block::loops_over(|device| devices.contains(&device))?;
    found.extend(loops.iter().map(|(name, path)| format!("{name} is a loop over {path}")));
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
        let by_number = fields.next().and_then(block::parse);
        // btrfs has numbers of its own; its source still names the device.
        let by_source = after.split(' ').nth(1).and_then(|source| number(&block::unescape(source)));
        if [by_number, by_source].into_iter().flatten().any(|device| devices.contains(&device)) {
            let at = block::unescape(fields.nth(1).unwrap_or_default());
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
    block::number_of(&fs::metadata(path).ok()?)
}
