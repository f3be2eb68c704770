//! A guest's memory as a file: it outlives QEMU, so that it can be wiped and read back.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::statfs::{FsType, HUGETLBFS_MAGIC, TMPFS_MAGIC, statfs},
    unistd::{Whence, lseek},
};

use super::VmmFailure;

/// Zeros are written in pieces of this size.
const PIECE: usize = 1 << 20;

/// Makes the memory file of an instance, all zeros, `bytes` long, for the VMM's user. What a former
/// run left in it is overwritten where it lies: freed pages would carry it to whoever gets them
/// next.
pub(super) fn make(path: &Path, bytes: u64, uid: u32, gid: u32) -> Result<File, VmmFailure> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let kind = in_memory(dir)?;
    // hugetlbfs knows no write(2): there the wipe, which maps the file, has to come first.
    if kind == HUGETLBFS_MAGIC && path.try_exists().map_err(on("stat", path))? {
        return Err(VmmFailure::RamLeft { path: path.to_owned() });
    }
    clear(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(on("create", path))?;
    fchown(&file, Some(uid), Some(gid)).map_err(on("give to the VMM's user", path))?;
    file.set_len(bytes).map_err(on("set the size of", path))?;
    Ok(file)
}

/// Overwrites what is in a memory file with zeros, in place.
fn clear(path: &Path) -> Result<(), VmmFailure> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(on("open", path)(error)),
    };
    let zeros = vec![0; PIECE];
    let mut at = 0;
    loop {
        // Holes hold nothing, and filling them would take memory.
        let from = match lseek(&file, at, Whence::SeekData) {
            Ok(from) => from,
            Err(Errno::ENXIO) => return Ok(()),
            Err(errno) => return Err(on("look for data in", path)(errno.into())),
        };
        let to = lseek(&file, from, Whence::SeekHole)
            .map_err(|errno| on("look for holes in", path)(errno.into()))?;
        at = from;
        while at < to {
            let count = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            file.write_all_at(&zeros[..count], at.cast_unsigned()).map_err(on("clear", path))?;
            at += i64::try_from(count).unwrap_or(i64::MAX);
        }
    }
}

/// Refuses a directory on a disk: a guest's memory would be written to it.
fn in_memory(dir: &Path) -> Result<FsType, VmmFailure> {
    let found = statfs(dir).map_err(|errno| on("stat", dir)(errno.into()))?.filesystem_type();
    if found == TMPFS_MAGIC || found == HUGETLBFS_MAGIC {
        Ok(found)
    } else {
        Err(VmmFailure::RamDir { path: dir.to_owned() })
    }
}

/// Removes a memory file without a wipe. Only for one that no guest ever ran in.
pub(super) fn remove_unused(path: &Path) {
    let _ = fs::remove_file(path);
}

fn on(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VmmFailure {
    let path: PathBuf = path.to_owned();
    move |source| VmmFailure::File { act, path, source }
}
