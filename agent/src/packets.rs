//! Where a host keeps the packets of the cuts that it watches over, and what became of each: files
//! in a directory that root alone can open.
//!
//! ```text
//! <cut>.packet   0600, secret; written once, overwritten in place and unlinked when the watch ends
//! <cut>.watch    0600, nothing secret; replaced with each change
//! ```
//! A packet is not encrypted: the key would have to lie beside it, for a host must be able to send
//! after a restart and without its controller. On a file system that does not overwrite in place,
//! or a drive that remaps, old bytes may outlive the file, as with all files there; the secrets in
//! it are those of webhooks, which their owners can change.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tenure_protocol::{
    id::CutId,
    wire::{
        frame,
        watch::{Packet, SignedPacket},
    },
};
use zeroize::Zeroizing;

use crate::{
    core::watch::WatchRecord,
    file::{self, FileFailure},
};

/// Most bytes of a file here: reports of a watch wait in one.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Extension of a packet's file.
const PACKET: &str = "packet";
/// Extension of a record's file.
const RECORD: &str = "watch";

/// A packet or record that cannot be kept or destroyed.
#[derive(Debug, thiserror::Error)]
pub enum PacketFailure {
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] FileFailure),
    /// It cannot be encoded.
    #[error("a packet or its record cannot be encoded: {0}")]
    Encode(String),
    /// The directory or a file in it cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A packet's bytes could not be overwritten.
    #[error("cannot overwrite {path}: it holds secrets; remove it")]
    Destroy {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The directory.
#[derive(Debug)]
pub struct Packets {
    dir: PathBuf,
}

/// What was found of one watch: its packet as it came, its record, or both.
#[derive(Debug, Default)]
pub struct Found {
    /// The packet, still signed.
    pub packet: Option<SignedPacket>,
    /// The record.
    pub record: Option<WatchRecord>,
}

impl Packets {
    /// Opens or makes the directory, mode 0700.
    ///
    /// # Errors
    /// [`PacketFailure::File`].
    pub fn open(dir: &Path) -> Result<Self, PacketFailure> {
        file::directory(dir, 0o700, None)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// All that is kept. What cannot be read is logged and left where it is, but half a packet of a
    /// crash is destroyed.
    ///
    /// # Errors
    /// [`PacketFailure::Read`] if the directory cannot be listed.
    pub fn load(&self) -> Result<Vec<Found>, PacketFailure> {
        let failed = |source| PacketFailure::Read { path: self.dir.clone(), source };
        let mut found = std::collections::BTreeMap::<CutId, Found>::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            match (stem.parse::<CutId>(), kind) {
                (Ok(cut), PACKET) => found.entry(cut).or_default().packet = read(&path),
                (Ok(cut), RECORD) => found.entry(cut).or_default().record = read(&path),
                (_, "new") => {
                    if let Err(error) = destroy(&path) {
                        tracing::error!(error = &error as &dyn std::error::Error, "left over");
                    }
                }
                (_, _) => tracing::warn!(path = %path.display(), "a file that is none of ours"),
            }
        }
        Ok(found.into_values().collect())
    }

    /// Keeps a packet, durable when it returns.
    ///
    /// # Errors
    /// [`PacketFailure`].
    pub fn keep(&self, cut: CutId, packet: &SignedPacket) -> Result<(), PacketFailure> {
        let bytes = Zeroizing::new(frame::encode(packet).map_err(PacketFailure::Encode)?);
        Ok(file::replace(&self.path(cut, PACKET), &bytes, None)?)
    }

    /// Keeps what became of a watch, durable when it returns.
    ///
    /// # Errors
    /// [`PacketFailure`].
    pub fn note(&self, record: &WatchRecord) -> Result<(), PacketFailure> {
        let bytes = frame::encode(record).map_err(PacketFailure::Encode)?;
        Ok(file::replace(&self.path(record.cut, RECORD), &bytes, None)?)
    }

    /// Destroys a packet: its bytes are overwritten before the file goes.
    ///
    /// # Errors
    /// [`PacketFailure::Destroy`].
    pub fn destroy(&self, cut: CutId) -> Result<(), PacketFailure> {
        destroy(&self.path(cut, PACKET))
    }

    /// Forgets a watch that is over.
    ///
    /// # Errors
    /// [`PacketFailure::Destroy`].
    pub fn forget(&self, cut: CutId) -> Result<(), PacketFailure> {
        destroy(&self.path(cut, RECORD))
    }

    fn path(&self, cut: CutId, kind: &str) -> PathBuf {
        self.dir.join(format!("{cut}.{kind}"))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = file::read_limited(path, MAX_FILE_BYTES).map_err(|error| error.to_string());
    match bytes.map(Zeroizing::new).and_then(|bytes| frame::decode(&bytes)) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(path = %path.display(), error, "what is kept of a watch is not read");
            None
        }
    }
}

/// Overwrites a file's bytes, and then removes it; one that is not there is destroyed already.
fn destroy(path: &Path) -> Result<(), PacketFailure> {
    let overwrite = || -> io::Result<()> {
        let mut file = match OpenOptions::new().write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        file.write_all(&vec![0; length])?;
        file.sync_all()?;
        fs::remove_file(path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    overwrite().map_err(|source| PacketFailure::Destroy { path: path.to_owned(), source })
}

/// The packet in signed bytes of this host's own files, its signature checked once more.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn reopen(signed: &SignedPacket, key: &ed25519_dalek::VerifyingKey) -> Result<Packet, String> {
    signed.verify(key).map_err(|error| error.to_string())
}
