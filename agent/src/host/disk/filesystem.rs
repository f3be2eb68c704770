//! Which file system a file is in, and whether it writes in place.

use std::{fs, fs::File, io};

use nix::sys::statfs::{EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use tenure_protocol::evidence::predicate::media_wipe::{FileSystem, FileSystemKind};

use super::{super::block, extents, refusal::DiskRefusal};

/// Finds it and checks that content goes to the device once, in place.
///
/// # Errors
/// The refusal; or that the kernel cannot be asked.
pub(super) fn check(file: &File, device: u64) -> io::Result<Result<FileSystem, DiskRefusal>> {
    let magic = fstatfs(file)?.filesystem_type();
    // ext2 and ext3 share ext4's number; the name in the mount table tells them apart.
    let kind = match mounted(device)? {
        Some((name, options)) if name == "ext4" && magic == EXT4_SUPER_MAGIC => {
            FileSystem { kind: FileSystemKind::Ext4, mount_options: ext4_options(device, options) }
        }
        Some((name, options)) if name == "xfs" && magic == XFS_SUPER_MAGIC => {
            FileSystem { kind: FileSystemKind::Xfs, mount_options: options }
        }
        Some(_) | None => return Ok(Err(DiskRefusal::FileSystem)),
    };
    if kind.mount_options.contains("data=journal") {
        return Ok(Err(DiskRefusal::JournalledContent));
    }
    let is_xfs = kind.kind == FileSystemKind::Xfs;
    Ok(extents::check_flags(file, is_xfs)?.map(|()| kind))
}

/// Name and options of the file system on a device, from the mount table (proc(5)).
fn mounted(device: u64) -> io::Result<Option<(String, String)>> {
    let number = block::text(device);
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().find_map(|line| mount_line(line, &number)))
}

fn mount_line(line: &str, number: &str) -> Option<(String, String)> {
    let (mount, system) = line.split_once(" - ")?;
    if mount.split(' ').nth(2) != Some(number) {
        return None;
    }
    let mut words = system.split(' ');
    let name = words.next()?.to_owned();
    Some((name, words.nth(1)?.to_owned()))
}

/// ext4 leaves out of the mount table what its superblock says by default, `data=journal` too: its
/// own list has all.
fn ext4_options(device: u64, mounted: String) -> String {
    let name = block::name(device);
    let all = fs::read_to_string(format!("/proc/fs/ext4/{name}/options"));
    all.map_or(mounted, |all| all.lines().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_gives_name_and_options() {
        let line = "36 35 98:0 /a /b rw,noatime master:1 - ext4 /dev/root rw,errors=continue";
        let found = Some(("ext4".to_owned(), "rw,errors=continue".to_owned()));
        assert_eq!(mount_line(line, "98:0"), found);
        assert_eq!(mount_line(line, "98:1"), None);
        assert_eq!(mount_line("nonsense", "98:1"), None);
    }
}
