//! What can be wrong with the ledger, and what to do then.

use std::{
    io,
    path::{Path, PathBuf},
};

use tenure_protocol::evidence::note::NoteError;

use super::{MAX_BATCH, TilePath};

/// Why the ledger does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The ledger's name cannot stand in a checkpoint.
    #[error("the ledger cannot sign checkpoints")]
    Name {
        /// Why.
        #[source]
        source: NoteError,
    },
    /// Another process writes to it.
    #[error("the ledger in {} is in use by another process: stop that one first", dir.display())]
    InUse {
        /// Where.
        dir: PathBuf,
    },
    /// Reading or writing failed.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A note on disk is not this ledger's.
    #[error("{} is no checkpoint of this ledger: restore it, or the key that signed it",
        path.display())]
    Note {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NoteError,
    },
    /// A tile is not what it was.
    #[error("tile {} is torn or was changed: {reason}; restore it from a copy of the ledger",
        path.display())]
    Torn {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tiles do not give the root that was signed.
    #[error("the tiles in {} do not give the root that was signed for {size} entries: they are \
        torn or were changed; restore them from a copy of the ledger", dir.display())]
    WrongRoot {
        /// Where.
        dir: PathBuf,
        /// Of how many entries.
        size: u64,
    },
    /// The directory is older than the head.
    #[error("the ledger in {} ends at {found} entries, but {signed} were signed ({}): an older \
        copy was restored; restore the newest one, or the log would fork",
        dir.display(), head.display())]
    RolledBack {
        /// Where.
        dir: PathBuf,
        /// Entries in the directory.
        found: u64,
        /// Entries at the head.
        signed: u64,
        /// The head's file.
        head: PathBuf,
    },
    /// The head is older than the directory, or names another tree of the same size.
    #[error("the head {} is not the one of the ledger in {}: an older copy of it was restored, or \
        it belongs to another ledger; put the newest one back", head.display(), dir.display())]
    WrongHead {
        /// The head's file.
        head: PathBuf,
        /// The ledger's directory.
        dir: PathBuf,
    },
    /// The head is not there.
    #[error("the head {} of the ledger in {} is missing: put it back; if it is lost for good, and \
        you know that the directory is the newest copy, copy its file `checkpoint` there",
        head.display(), dir.display())]
    NoHead {
        /// The head's file.
        head: PathBuf,
        /// The ledger's directory.
        dir: PathBuf,
    },
    /// Somebody else has written the head.
    #[error("the head {} was changed by somebody else: is there a second controller?",
        head.display())]
    HeadChanged {
        /// The head's file.
        head: PathBuf,
    },
    /// An append failed before.
    #[error("the ledger in {} is in an unknown state after a failed write: start the controller \
        again", dir.display())]
    Broken {
        /// Where.
        dir: PathBuf,
    },
    /// The right edge is not complete.
    #[error("the right edge of the tree of {size} entries is not complete: this is a bug")]
    Edge {
        /// Of how many entries.
        size: u64,
    },
    /// Too many entries at once.
    #[error("{got} entries at once, the limit is {MAX_BATCH}")]
    TooMany {
        /// How many.
        got: usize,
    },
    /// An entry over the limit.
    #[error("an entry of {got} bytes, the limit is 65535")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// No such entry.
    #[error("the ledger has no entry {index}, it has {size}")]
    NoEntry {
        /// Asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// No such tile.
    #[error("the ledger has no tile {path:?}")]
    NoTile {
        /// Asked for.
        path: String,
    },
}

impl LedgerError {
    /// Whether a file was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(super) fn file(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }

    pub(super) fn torn(dir: &Path, path: &TilePath, reason: &str) -> Self {
        Self::Torn { path: dir.join(path.to_string()), reason: reason.to_owned() }
    }
}
