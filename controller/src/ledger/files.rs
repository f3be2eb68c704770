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
    replace(path, bytes)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Puts `bytes` in place of the file: the old or the new, never a part. After a loss of power it
/// may be the old one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
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

/// Puts tiles in their places, durably. `known` are the directories that this process knows to be
/// durable under their names: those of the tiles before, and afterwards of these.
pub(super) fn write_tiles(
    dir: &Path,
    tiles: &[(TilePath, Vec<u8>)],
    known: &mut BTreeSet<PathBuf>,
) -> Result<(), LedgerError> {
    for (tile, bytes) in tiles {
        let path = dir.join(tile.to_string());
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(LedgerError::file("make directory", parent))?;
        replace(&path, bytes)?;
    }
    let (named, used) = directories(dir, tiles.iter().map(|(tile, _)| tile), known);
    // Deepest first: a name is durable only once its directory is.
    named.iter().rev().try_for_each(|dir| sync_dir(dir))?;
    *known = used;
    Ok(())
}

/// Which directories get a name when these tiles are put in their places: those of the tiles, and
/// those above directories that are not known to be durable. And all that the tiles lie in.
fn directories<'a>(
    dir: &Path,
    tiles: impl Iterator<Item = &'a TilePath>,
    known: &BTreeSet<PathBuf>,
) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let (mut named, mut used) = (BTreeSet::new(), BTreeSet::new());
    for tile in tiles {
        let path = dir.join(tile.to_string());
        named.extend(path.parent().map(Path::to_owned));
        for within in path.ancestors().skip(1).take_while(|above| *above != dir) {
            if !known.contains(within) {
                named.extend(within.parent().map(Path::to_owned));
            }
            used.insert(within.to_owned());
        }
    }
    (named, used)
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

fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)
        .and_then(|handle| handle.sync_all())
        .map_err(LedgerError::file("sync directory", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Shelf;

    #[test]
    fn a_directory_is_synced_when_it_gets_a_name_and_not_again() {
        let tile = |shelf, index, width| TilePath { shelf, index, width };
        let named = |tiles: &[TilePath], known: &mut BTreeSet<PathBuf>| {
            let (named, used) = directories(Path::new("log"), tiles.iter(), known);
            *known = used;
            named.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let mut known = BTreeSet::new();
        let first = [tile(Shelf::Entries, 0, 7), tile(Shelf::Hashes(0), 0, 7)];
        let all = ["log", "log/tile", "log/tile/0", "log/tile/0/000.p", "log/tile/entries"];
        assert_eq!(named(&first, &mut known)[..5], all, "a new process knows none to be durable");
        let next = [tile(Shelf::Entries, 0, 8), tile(Shelf::Hashes(0), 0, 8)];
        let names = named(&next, &mut known);
        assert_eq!(names, ["log/tile/0/000.p", "log/tile/entries/000.p"]);
        let over = [tile(Shelf::Entries, 0, 256), tile(Shelf::Entries, 1, 1)];
        let names = named(&over, &mut known);
        assert_eq!(names, ["log/tile/entries", "log/tile/entries/001.p"], "one of them is new");
    }
}
