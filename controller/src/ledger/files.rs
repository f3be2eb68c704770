//! Files that matter: written beside, synced, renamed, and their directories synced.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::{TilePath, error::LedgerError};

/// Name of the checkpoint in the ledger's directory.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// A full bundle of the longest entries.
const MAX_FILE_BYTES: u64 = 256 * (2 + 65_535);

/// Makes the ledger's directory and holds it for this process.
pub(super) fn lock(dir: &Path) -> Result<File, LedgerError> {
    fs::create_dir_all(dir).map_err(LedgerError::file("make directory", dir))?;
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(LedgerError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(LedgerError::file("lock", &path)(source)),
    }
}

/// All bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LedgerError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(LedgerError::file("read", path))
}

/// All bytes of a file, none if it is not there.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts `bytes` in place of the file, durably: the old or the new, never a part.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    write_unsynced(path, bytes)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Puts tiles in their places, durably.
pub(super) fn write_tiles(dir: &Path, tiles: &[(TilePath, Vec<u8>)]) -> Result<(), LedgerError> {
    let mut dirs: BTreeSet<PathBuf> = BTreeSet::new();
    for (tile, bytes) in tiles {
        let path = dir.join(tile.to_string());
        let parents = path.ancestors().skip(1).take_while(|parent| parent.starts_with(dir));
        dirs.extend(parents.map(Path::to_owned));
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(LedgerError::file("make directory", parent))?;
        write_unsynced(&path, bytes)?;
    }
    // Deepest first: a name is durable only once its directory is.
    dirs.iter().rev().try_for_each(|dir| sync_dir(dir))
}

/// Puts `next` in place of the file, if it holds `present` still.
pub(super) fn swap(path: &Path, present: Option<&str>, next: &str) -> Result<(), LedgerError> {
    if read_if_there(path)?.as_deref() != present.map(str::as_bytes) {
        return Err(LedgerError::HeadChanged { head: path.to_owned() });
    }
    write(path, next.as_bytes())
}

/// Removes a partial tile that no checkpoint needs any more. What stays behind does no harm.
pub(super) fn remove_partial(dir: &Path, tile: &TilePath) {
    let path = dir.join(tile.to_string());
    let gone = fs::remove_file(&path);
    if let (Ok(()), Some(parent)) = (gone, path.parent()) {
        // Fails, rightly, while other partial tiles are in it.
        let _ = fs::remove_dir(parent);
    }
}

fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(LedgerError::file("write", path))
}

fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)
        .and_then(|handle| handle.sync_all())
        .map_err(LedgerError::file("sync directory", dir))
}
