//! Start-up: what is on disk, whether it is what was signed, and the end of an append that a crash
//! cut off.

use std::path::Path;

use ed25519_dalek::SigningKey;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        merkle,
        note::{Checkpoint, LedgerKey},
    },
};

use super::{
    edge::{Edge, items_of_level},
    error::LedgerError,
    files,
    tile::{self, HEIGHT, Shelf, TilePath, WIDTH},
};

/// The edge of the tree, and its checkpoint's note.
pub(super) fn recover(
    dir: &Path,
    head: &Path,
    key: &SigningKey,
    verifier: &LedgerKey,
) -> Result<(Edge, String), LedgerError> {
    let checkpoint = dir.join(files::CHECKPOINT);
    let published = note(&checkpoint, verifier)?;
    match (published, note(head, verifier)?) {
        (None, None) => begin(dir, head, key, verifier),
        (None, Some((signed, text))) if signed.size == 0 => {
            files::write(&checkpoint, text.as_bytes())?;
            Ok((Edge::default(), text))
        }
        (None, Some((signed, _))) => Err(rolled_back(dir, head, 0, signed.size)),
        (Some(_), None) => Err(LedgerError::NoHead { head: head.to_owned(), dir: dir.to_owned() }),
        (Some((published, _)), Some((signed, text))) => {
            let same_size = signed.size == published.size;
            if signed.size < published.size || (same_size && signed.root != published.root) {
                return Err(LedgerError::WrongHead { head: head.to_owned(), dir: dir.to_owned() });
            }
            let edge = load(dir, &signed).map_err(|error| {
                if same_size { error } else { rolled_back(dir, head, published.size, signed.size) }
            })?;
            if !same_size {
                // Nobody but us signs, so the head is ours: the crash came before the publishing.
                check_root(dir, &published, signed.size)?;
                files::write(&checkpoint, text.as_bytes())?;
            }
            Ok((edge, text))
        }
    }
}

/// Hashes of complete subtrees, from the tiles of the tree of `size` leaves.
pub(super) fn reader(
    dir: &Path,
    size: u64,
) -> impl FnMut(u8, u64) -> Result<Digest, LedgerError> + use<> {
    let dir = dir.to_owned();
    let mut last: Option<(TilePath, Vec<Digest>)> = None;
    move |level, index| {
        let (shelf, height) = (Shelf::Hashes(level / HEIGHT), level % HEIGHT);
        let first = index << height;
        let path = TilePath::covering(shelf, first, size)
            .ok_or(LedgerError::NoEntry { index: first, size })?;
        let hashes = match last.take() {
            Some((held, hashes)) if held == path => hashes,
            _ => read_hashes(&dir, &path)?,
        };
        let start = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let hash = hashes.get(start..start + (1 << height)).map(tile::subtree);
        last = Some((path, hashes));
        hash.ok_or_else(|| LedgerError::torn(&dir, &path, "it is too short"))
    }
}

fn begin(
    dir: &Path,
    head: &Path,
    key: &SigningKey,
    verifier: &LedgerKey,
) -> Result<(Edge, String), LedgerError> {
    if dir.join("tile").exists() {
        return Err(LedgerError::NoHead { head: head.to_owned(), dir: dir.to_owned() });
    }
    let origin = verifier.name().to_owned();
    let checkpoint = Checkpoint { origin, size: 0, root: Digest::of(b"") };
    let note = checkpoint.sign(key).map_err(|source| LedgerError::Name { source })?;
    files::swap(head, None, &note)?;
    files::write(&dir.join(files::CHECKPOINT), note.as_bytes())?;
    Ok((Edge::default(), note))
}

fn note(path: &Path, verifier: &LedgerKey) -> Result<Option<(Checkpoint, String)>, LedgerError> {
    let Some(bytes) = files::read_if_there(path)? else { return Ok(None) };
    let refuse = |source| LedgerError::Note { path: path.to_owned(), source };
    let checkpoint = Checkpoint::open(&bytes, verifier).map_err(refuse)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(Some((checkpoint, text)))
}

/// Reads the right edge, and checks it against the signed root and against the last full tiles.
fn load(dir: &Path, signed: &Checkpoint) -> Result<Edge, LedgerError> {
    let size = signed.size;
    let mut levels = Vec::new();
    for level in 0.. {
        let items = items_of_level(size, level);
        if items == 0 {
            break;
        }
        let width = items % WIDTH;
        let partial = TilePath::covering(Shelf::Hashes(level), items - 1, size);
        levels.push(match partial {
            Some(path) if width > 0 => read_hashes(dir, &path)?,
            Some(_) | None => Vec::new(),
        });
    }
    let entries = match TilePath::covering(Shelf::Entries, size.saturating_sub(1), size) {
        Some(path) if path.is_partial() => read_entries(dir, &path)?,
        Some(_) | None => Vec::new(),
    };
    let edge = Edge::new(size, entries, levels);
    if edge.root()? != signed.root {
        return Err(LedgerError::WrongRoot { dir: dir.to_owned(), size });
    }
    check_last_bundle(dir, size)?;
    check_last_full_tiles(dir, size)?;
    Ok(edge)
}

/// The entries that were written last have the hashes that were written last.
fn check_last_bundle(dir: &Path, size: u64) -> Result<(), LedgerError> {
    let Some(last) = size.checked_sub(1) else { return Ok(()) };
    let covering = |shelf| TilePath::covering(shelf, last, size);
    let (Some(bundle), Some(hashes)) = (covering(Shelf::Entries), covering(Shelf::Hashes(0)))
    else {
        return Err(LedgerError::Edge { size });
    };
    let entries = read_entries(dir, &bundle)?;
    let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    if leaves == read_hashes(dir, &hashes)? {
        Ok(())
    } else {
        Err(LedgerError::torn(dir, &bundle, "its entries do not have their hashes"))
    }
}

/// The last full tile of each level gives the hash that the level above has of it.
fn check_last_full_tiles(dir: &Path, size: u64) -> Result<(), LedgerError> {
    let mut read = reader(dir, size);
    for level in 0.. {
        let full = items_of_level(size, level) / WIDTH;
        let Some(index) = full.checked_sub(1) else { return Ok(()) };
        let path = TilePath { shelf: Shelf::Hashes(level), index, width: 256 };
        let above = read((level + 1) * HEIGHT, index)?;
        if tile::subtree(&read_hashes(dir, &path)?) != above {
            return Err(LedgerError::torn(dir, &path, "it does not have its hash"));
        }
    }
    Ok(())
}

fn check_root(dir: &Path, published: &Checkpoint, size: u64) -> Result<(), LedgerError> {
    let root = merkle::root(published.size, &mut reader(dir, size))?;
    if root == published.root {
        Ok(())
    } else {
        Err(LedgerError::WrongRoot { dir: dir.to_owned(), size: published.size })
    }
}

fn read_hashes(dir: &Path, path: &TilePath) -> Result<Vec<Digest>, LedgerError> {
    let bytes = files::read(&dir.join(path.to_string()))?;
    tile::decode_hashes(&bytes)
        .filter(|hashes| hashes.len() == usize::from(path.width))
        .ok_or_else(|| LedgerError::torn(dir, path, &format!("it has {} bytes", bytes.len())))
}

fn read_entries(dir: &Path, path: &TilePath) -> Result<Vec<Vec<u8>>, LedgerError> {
    let bytes = files::read(&dir.join(path.to_string()))?;
    tile::decode_entries(&bytes)
        .filter(|entries| entries.len() == usize::from(path.width))
        .ok_or_else(|| LedgerError::torn(dir, path, "it is not whole"))
}

fn rolled_back(dir: &Path, head: &Path, found: u64, signed: u64) -> LedgerError {
    LedgerError::RolledBack { dir: dir.to_owned(), head: head.to_owned(), found, signed }
}
