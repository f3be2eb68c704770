//! The transparency log: C2SP tlog-tiles on local disk, one writer.
//!
//! ```text
//!            append                    tiles durable          head durable
//! Published ────────> entries in tiles ─────────────> signed ──────────────> Published
//!     ^  \                  | crash                      | crash
//!     |   \ any failure     v                            v
//!     |    `──> Broken   start: tiles over the head   start: the head is ahead of the checkpoint
//!     |                  are overwritten              and its tiles are there: publish it
//!     `──────────────────────'────────────────────────'
//! ```
//!
//! *Published*: checkpoint and head are the same note, and the tiles give its root. *Broken*: a
//! write failed and nobody knows how far it came; only a new start, which looks, ends that.
//!
//! The **head** is a second copy of the last checkpoint, outside of the ledger's directory: a
//! backup of the directory that is restored is older than the head, and is refused instead of
//! forking the log. Everything in the directory but `checkpoint` and partial tiles never changes.
//! Of partial tiles the last two generations are kept.

mod edge;
mod error;
mod files;
mod start;
mod tile;

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        entry::MAX_ENTRY_BYTES,
        merkle,
        note::{Checkpoint, LedgerKey},
    },
};

use self::{edge::Edge, tile::WIDTH};
pub use self::{
    error::LedgerError,
    tile::{Shelf, TilePath},
};

/// Most entries of one [`Ledger::append`].
pub const MAX_BATCH: usize = 1024;
/// Entries that keep their places when they are asked for again: the last batch.
const RECENT: u64 = MAX_BATCH as u64;

/// The log. Blocking; one writer per directory, held by a lock.
pub struct Ledger {
    dir: PathBuf,
    head: PathBuf,
    key: SigningKey,
    verifier: LedgerKey,
    edge: Edge,
    note: String,
    /// Where the last [`RECENT`] entries stand, by the hash of their leaf.
    recent: HashMap<Digest, u64>,
    /// The directories of the tiles of the last append.
    durable: BTreeSet<PathBuf>,
    /// Partial tiles of the checkpoint before this one.
    previous: Vec<TilePath>,
    broken: bool,
    _lock: File,
}

/// Proof that an entry is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The hashes, leaf to root (RFC 6962 §2.1.1).
    pub proof: Vec<Digest>,
    /// The checkpoint under which it holds, a signed note.
    pub checkpoint: String,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("dir", &self.dir)
            .field("size", &self.edge.size())
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the log in `dir`, or starts one, with its head in the file `<dir>.head` beside it.
    ///
    /// # Errors
    /// As [`Ledger::open_with_head`].
    pub fn open(dir: &Path, name: &str, key: SigningKey) -> Result<Self, LedgerError> {
        let mut head = dir.as_os_str().to_owned();
        head.push(".head");
        Self::open_with_head(dir, Path::new(&head), name, key)
    }

    /// Opens the log in `dir`, or starts one. `head` should not be in the same backup as `dir`.
    /// Checks the last tiles against the head first.
    ///
    /// # Errors
    /// [`LedgerError`]: in use by another process, torn, or older than its head.
    pub fn open_with_head(
        dir: &Path,
        head: &Path,
        name: &str,
        key: SigningKey,
    ) -> Result<Self, LedgerError> {
        let verifier = LedgerKey::new(name, key.verifying_key())
            .map_err(|source| LedgerError::Name { source })?;
        let lock = files::lock(dir)?;
        let (edge, note) = start::recover(dir, head, &key, &verifier)?;
        let mut ledger = Self {
            dir: dir.to_owned(),
            head: head.to_owned(),
            previous: edge.partial_paths(),
            edge,
            key,
            verifier,
            note,
            recent: HashMap::new(),
            durable: BTreeSet::new(),
            broken: false,
            _lock: lock,
        };
        ledger.recent = ledger.last_leaves()?;
        Ok(ledger)
    }

    /// Appends entries, at most [`MAX_BATCH`], and returns their indices. When this returns, they
    /// are durable and under a signed checkpoint. An entry that stands among the last ones already,
    /// byte by byte, keeps its place: whoever does not know how far a failed append came may ask
    /// again with the same entries.
    ///
    /// # Errors
    /// [`LedgerError::TooMany`] and [`LedgerError::TooLong`] before anything is written; any other
    /// breaks the ledger until it is opened again.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<Vec<u64>, LedgerError> {
        if self.broken {
            return Err(LedgerError::Broken { dir: self.dir.clone() });
        }
        if entries.len() > MAX_BATCH {
            return Err(LedgerError::TooMany { got: entries.len() });
        }
        if let Some(entry) = entries.iter().find(|entry| entry.len() > MAX_ENTRY_BYTES) {
            return Err(LedgerError::TooLong { got: entry.len() });
        }
        let mut edge = self.edge.clone();
        let (mut fresh, mut tiles) = (HashMap::new(), Vec::new());
        let place = |entry: &Vec<u8>| {
            let leaf = merkle::leaf_hash(entry);
            self.recent.get(&leaf).copied().unwrap_or_else(|| {
                *fresh.entry(leaf).or_insert_with(|| edge.push(entry.clone(), &mut tiles))
            })
        };
        let indices: Vec<u64> = entries.iter().map(place).collect();
        if edge.size() == self.edge.size() {
            return Ok(indices);
        }
        let present = self.edge.partial_paths();
        tiles.extend(edge.partial_tiles().into_iter().filter(|(path, _)| !present.contains(path)));
        self.broken = true;
        let note = self.publish(&edge, &tiles)?;
        self.broken = false;
        self.drop_old_partials(&edge);
        let oldest = edge.size().saturating_sub(RECENT);
        self.recent.extend(fresh);
        self.recent.retain(|_, index| *index >= oldest);
        (self.edge, self.note) = (edge, note);
        Ok(indices)
    }

    /// Proof of the entry at `index`, under the present checkpoint.
    ///
    /// # Errors
    /// [`LedgerError::NoEntry`], and what reading tiles gives.
    pub fn proof(&self, index: u64) -> Result<InclusionProof, LedgerError> {
        if index >= self.edge.size() {
            return Err(LedgerError::NoEntry { index, size: self.edge.size() });
        }
        let proof = merkle::inclusion_proof(index, self.edge.size(), &mut self.reader())?;
        Ok(InclusionProof { proof, checkpoint: self.note.clone() })
    }

    /// Proof that the present log begins with the one of `old` entries; empty if `old` is 0 or all.
    ///
    /// # Errors
    /// [`LedgerError::NoEntry`], and what reading tiles gives.
    pub fn consistency(&self, old: u64) -> Result<Vec<Digest>, LedgerError> {
        if old > self.edge.size() {
            return Err(LedgerError::NoEntry { index: old, size: self.edge.size() });
        }
        merkle::consistency_proof(old, self.edge.size(), &mut self.reader())
    }

    /// The entry at `index`.
    ///
    /// # Errors
    /// [`LedgerError::NoEntry`], and what reading tiles gives.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let size = self.edge.size();
        let missing = || LedgerError::NoEntry { index, size };
        let path = TilePath::covering(Shelf::Entries, index, size).ok_or_else(missing)?;
        let entries = tile::decode_entries(&self.read(&path)?)
            .ok_or_else(|| LedgerError::torn(&self.dir, &path, "its lengths do not add up"))?;
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        entries.into_iter().nth(place).ok_or_else(missing)
    }

    /// The present checkpoint: a signed note.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.note
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The key that the checkpoints are checked with.
    #[must_use]
    pub const fn verifier(&self) -> &LedgerKey {
        &self.verifier
    }

    /// The bytes of a tile by its path as C2SP tlog-tiles writes it, such as `tile/0/x001/234.p/5`;
    /// the leading `tile/` may be left out.
    ///
    /// # Errors
    /// [`LedgerError::NoTile`] if there is no such tile.
    pub fn tile(&self, path: &str) -> Result<Vec<u8>, LedgerError> {
        let none = || LedgerError::NoTile { path: path.chars().take(128).collect() };
        let parsed: TilePath = path.parse().map_err(|()| none())?;
        self.read(&parsed).map_err(|error| if error.is_not_found() { none() } else { error })
    }

    fn publish(
        &mut self,
        edge: &Edge,
        tiles: &[(TilePath, Vec<u8>)],
    ) -> Result<String, LedgerError> {
        files::write_tiles(&self.dir, tiles, &mut self.durable)?;
        let origin = self.verifier.name().to_owned();
        let checkpoint = Checkpoint { origin, size: edge.size(), root: edge.root()? };
        let note = checkpoint.sign(&self.key).map_err(|source| LedgerError::Name { source })?;
        files::swap(&self.head, Some(&self.note), &note)?;
        // The head is durable: a start publishes it if this is lost.
        files::replace(&self.dir.join(files::CHECKPOINT), note.as_bytes())?;
        Ok(note)
    }

    /// Of partial tiles, those of the last two checkpoints stay: a reader may hold the one before.
    fn drop_old_partials(&mut self, next: &Edge) {
        let (present, next) = (self.edge.partial_paths(), next.partial_paths());
        for path in self.previous.drain(..) {
            if !present.contains(&path) && !next.contains(&path) {
                files::remove_partial(&self.dir, &path);
            }
        }
        self.previous = present;
    }

    fn last_leaves(&self) -> Result<HashMap<Digest, u64>, LedgerError> {
        let size = self.edge.size();
        let first = size.saturating_sub(RECENT);
        let mut read = self.reader();
        (first..size).map(|index| Ok((read(0, index)?, index))).collect()
    }

    fn reader(&self) -> impl FnMut(u8, u64) -> Result<Digest, LedgerError> {
        start::reader(&self.dir, self.edge.size())
    }

    fn read(&self, path: &TilePath) -> Result<Vec<u8>, LedgerError> {
        files::read(&self.dir.join(path.to_string()))
    }
}

#[cfg(test)]
mod tests;
