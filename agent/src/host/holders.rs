//! Who else holds a file or a block device: open descriptors, mappings and mounts in /proc, and a
//! lease.
//!
//! The scan names the holders for people; the lease (`fcntl(2)`, `F_SETLEASE`) is what is
//! complete, since the kernel refuses it while any other open file or mapping of the inode is left,
//! those inside the kernel and those under way in sockets included, and breaks it when somebody
//! opens the file later. Of a block device there is no lease: it is claimed (`O_EXCL`), which keeps
//! mounts and mappings out, and processes that open it for a moment between two scans are not seen.
//! Of mounts of the file itself (bind mounts), which are further names that no link count tells of,
//! the scan alone knows.
#![allow(unsafe_code, reason = "fcntl's lease commands have no safe wrapper")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use nix::sys::stat::makedev;
use tenure_protocol::evidence::predicate::wipe::Writers;

use super::block;

/// `F_SETSIG` (asm-generic/fcntl.h), which the libc crate leaves out.
const F_SETSIG: libc::c_int = 10;

/// A file as the kernel knows it, or a block device, which is the same by whatever node it is
/// opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileIdentity {
    /// The file system's device number, or the block device's own.
    pub device: u64,
    /// The inode's number; 0, which no file has, of a block device.
    pub inode: u64,
}

impl FileIdentity {
    /// Of an open file.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::found(&file.metadata()?))
    }

    fn found(metadata: &fs::Metadata) -> Self {
        block::number_of(metadata).map_or_else(
            || Self { device: metadata.dev(), inode: metadata.ino() },
            |device| Self { device, inode: 0 },
        )
    }

    const fn is_device(self) -> bool {
        self.inode == 0
    }

    /// Unlinks the name if it is still this file's, durably.
    ///
    /// # Errors
    /// If it is another file's now, or cannot be unlinked.
    pub fn unlink(&self, path: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.dev() != self.device || metadata.ino() != self.inode {
            return Err(io::Error::other("the name is another file's now"));
        }
        fs::remove_file(path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

/// What was found in /proc.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Holders {
    /// Processes with an open descriptor: id and name.
    open: Vec<(i32, String)>,
    /// Processes with a mapping.
    mapped: Vec<(i32, String)>,
    /// Mounts of the file itself, each once, with a process that sees it.
    mounted: Vec<(i32, String)>,
    /// Processes whose descriptors this process may not see.
    unseen: u32,
}

impl Holders {
    /// Whether nobody was found.
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.mapped.is_empty() && self.mounted.is_empty()
    }

    /// The holders, for a sentence.
    fn names(&self) -> String {
        let mut names: Vec<String> = self
            .open
            .iter()
            .chain(&self.mapped)
            .chain(&self.mounted)
            .map(|(id, name)| format!("{name} ({id})"))
            .collect();
        names.dedup();
        names.join(", ")
    }
}

/// Who has a block device open or mapped, as names for a sentence.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn of_device(number: u64) -> io::Result<Vec<String>> {
    let found = find(FileIdentity { device: number, inode: 0 }, None)?;
    let names = found.open.iter().chain(&found.mapped);
    Ok(names.map(|(id, name)| format!("{name} ({id})")).collect())
}

/// Looks through /proc for other holders of a file than the descriptor `own` of this process.
fn find(identity: FileIdentity, own: Option<&File>) -> io::Result<Holders> {
    let mut found = Holders::default();
    let mut namespaces = BTreeSet::new();
    let this = i32::try_from(std::process::id()).unwrap_or(0);
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let own = own.filter(|_| id == this).map(|own| own.as_raw_fd());
        match has_open(&entry.path(), identity, own) {
            Ok(true) => found.open.push((id, name_of(&entry.path()))),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.unseen += 1,
            // It ended while it was looked at.
            Err(_) => continue,
        }
        if has_mapped(&entry.path(), identity).unwrap_or(false) {
            found.mapped.push((id, name_of(&entry.path())));
        }
        // All processes of one mount namespace and root directory see the same mounts.
        let see = ["ns/mnt", "root"].map(|link| fs::read_link(entry.path().join(link)).ok());
        if !namespaces.contains(&see)
            && let Ok(mounts) = mounts(&entry.path(), identity)
        {
            found.mounted.extend(mounts.into_iter().map(|at| (id, format!("a mount at {at}"))));
            namespaces.insert(see);
        }
    }
    Ok(found)
}

/// Where a process sees the file as a mount of its own.
fn mounts(process: &Path, identity: FileIdentity) -> io::Result<Vec<String>> {
    let device = block::text(identity.device);
    let table = fs::read(process.join("mountinfo"))?;
    let table = String::from_utf8_lossy(&table);
    let points = table.lines().filter_map(|line| mount_point(line, &device));
    let is_it = |point: &PathBuf| {
        let seen = process.join("root").join(point.strip_prefix("/").unwrap_or(point));
        fs::symlink_metadata(seen).is_ok_and(|metadata| {
            metadata.dev() == identity.device && metadata.ino() == identity.inode
        })
    };
    Ok(points.filter(is_it).map(|point| point.display().to_string()).collect())
}

/// The mount point in a line of mountinfo (proc(5)) of that device, such as `8:1`.
fn mount_point(line: &str, device: &str) -> Option<PathBuf> {
    let mut words = line.split(' ').skip(2);
    if words.next()? != device {
        return None;
    }
    Some(block::unescape(words.nth(1)?).into())
}

fn has_open(process: &Path, identity: FileIdentity, own: Option<RawFd>) -> io::Result<bool> {
    for entry in fs::read_dir(process.join("fd"))? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        if own.is_some() && own == number {
            continue;
        }
        // Follows the link to the open file itself, whatever its name and mount namespace.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if FileIdentity::found(&metadata) == identity {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_mapped(process: &Path, identity: FileIdentity) -> io::Result<bool> {
    if identity.is_device() {
        // `maps` has the node's inode, which says nothing of the device.
        return Ok(fs::read_dir(process.join("map_files"))?
            .flatten()
            .filter_map(|entry| fs::metadata(entry.path()).ok())
            .any(|metadata| FileIdentity::found(&metadata) == identity));
    }
    let text = fs::read(process.join("maps"))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().any(|line| maps_line(line) == Some((identity.device, identity.inode))))
}

/// Device and inode of a line such as `7f…-7f… rw-s 00000000 07:00 12 /path` (proc(5)).
fn maps_line(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace().skip(3);
    let (major, minor) = words.next()?.split_once(':')?;
    let inode = words.next()?.parse().ok()?;
    let number = |hex| u64::from_str_radix(hex, 16).ok();
    Some((makedev(number(major)?, number(minor)?), inode))
}

fn name_of(process: &Path) -> String {
    fs::read_to_string(process.join("comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

/// How it is known that nobody else holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// A write lease: the kernel says so, and says it if it ceases.
    Leased,
    /// The file system has no leases; the scan of /proc saw every process.
    Scanned,
    /// A block device that is open for this alone (`O_EXCL`), of which the scan saw no other user.
    Claimed,
}

/// Makes sure that nobody else holds a file, or a block device that `file` has claimed, and that
/// nobody will unnoticed. Gives the holders'
/// names if there are any.
///
/// # Errors
/// If the kernel cannot be asked; `EACCES` without the capability `CAP_LEASE` on another user's
/// file.
pub fn exclude(file: &File, identity: FileIdentity) -> io::Result<Result<Exclusion, String>> {
    let found = find(identity, Some(file))?;
    if !found.is_empty() {
        return Ok(Err(found.names()));
    }
    if identity.is_device() {
        return Ok(match found.unseen {
            0 => Ok(Exclusion::Claimed),
            unseen => Err(format!("{unseen} processes that cannot be looked at")),
        });
    }
    match lease(file) {
        Ok(()) => Ok(Ok(Exclusion::Leased)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Ok(Err("something in the kernel, such as a loop device".to_owned()))
        }
        // The file system has no leases.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(match found.unseen {
            0 => Ok(Exclusion::Scanned),
            unseen => Err(format!("{unseen} processes that cannot be looked at")),
        }),
        Err(error) => Err(error),
    }
}

/// Who holds it now, or has tried to open it since it was excluded.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn writers(file: &File, identity: FileIdentity, since: Exclusion) -> io::Result<Writers> {
    let count = |list: &[_]| u32::try_from(list.len()).unwrap_or(u32::MAX);
    let found = find(identity, Some(file))?;
    let came = match since {
        Exclusion::Leased => fcntl(file, libc::F_GETLEASE, 0)? != libc::F_WRLCK,
        Exclusion::Scanned | Exclusion::Claimed => false,
    };
    // A mount is a way to open it.
    let open_files = count(&found.open).max(u32::from(came || !found.mounted.is_empty()));
    Ok(Writers { vmm_dead: true, open_files, mappings: count(&found.mapped) })
}

/// Nothing is known about other holders.
#[must_use]
pub const fn unknown() -> Writers {
    Writers { vmm_dead: false, open_files: 0, mappings: 0 }
}

/// Takes a write lease on the only open descriptor of a file: `EAGAIN` if anything else has it open
/// or mapped.
fn lease(file: &File) -> io::Result<()> {
    // A broken lease is announced by SIGIO, which ends a process; SIGURG is ignored unless somebody
    // asks for it, and the lease is asked for at the end.
    fcntl(file, F_SETSIG, libc::SIGURG)?;
    fcntl(file, libc::F_SETLEASE, libc::F_WRLCK)?;
    Ok(())
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the three commands that are
    // used here take an integer and touch no memory of this process.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_gives_device_and_inode() {
        let line = "7f1c2000-7f1c3000 rw-s 00000000 07:10 131   /var/lib/tenure/a b";
        assert_eq!(maps_line(line), Some((makedev(7, 16), 131)));
        assert_eq!(maps_line("7f1c2000-7f1c3000 rw-p 00000000 00:00 0"), Some((makedev(0, 0), 0)));
        assert_eq!(maps_line("nonsense"), None);
    }

    #[test]
    fn a_line_of_mountinfo_gives_the_mount_point_of_its_device() {
        let line = r"36 35 7:16 /volume /mnt/a\040b\134 rw shared:1 - ext4 /dev/loop1 rw";
        assert_eq!(mount_point(line, "7:16"), Some(r"/mnt/a b\".into()));
        assert_eq!(mount_point(line, "7:1"), None);
        assert_eq!(mount_point("nonsense", "7:1"), None);
    }
}
