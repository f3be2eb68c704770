//! The bytes of attachments: on local disk, or in an S3-compatible object store.
//!
//! ```text
//! stream ─→ incoming/<id> ─whole, hashed, durable─→ <owner>/<sha256> ─row committed─→ acknowledged
//!              └─ broken off, too large, not admitted → removed
//! ```
//! A file is hashed while it arrives, never held whole in memory, and gets its name only once it is
//! whole and durable. What is read is hashed again, before its first byte is given out.

mod read;
mod receive;
pub mod remote;

use std::{path::PathBuf, sync::Arc, time::Duration};

use nix::sys::statvfs::statvfs;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path};
use sha2::{Digest as _, Sha256};
use tenure_protocol::{digest::Digest, id::TenantId};
use tokio::sync::Semaphore;

pub use self::{
    read::Content,
    receive::{Received, UPLOAD_LIMIT},
};
use crate::core::attachment::{Attachment, Sm3, owner_name};

/// Where files lie that are not whole yet.
const INCOMING: &str = "incoming";
/// Uploads at a time; others wait. Each holds at most [`receive::PART_BYTES`] × 3 in memory.
pub const UPLOADS: usize = 8;
/// What a sender must not stay below: so many bytes in each such time.
const SLOWEST: Slowest = Slowest { bytes: 30 * 16 * 1024, within: Duration::from_secs(30) };

/// The files.
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    uploads: Arc<Semaphore>,
    disk: Option<Arc<Disk>>,
    slowest: Slowest,
}

/// The disk on which files lie, and how many bytes of it stay free.
#[derive(Debug)]
struct Disk {
    directory: PathBuf,
    floor_bytes: u64,
}

/// The slowest sender that is waited for.
#[derive(Debug, Clone, Copy)]
struct Slowest {
    bytes: u64,
    within: Duration,
}

/// Why a file was not kept, or is not given out.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The directory cannot be used.
    #[error("cannot use {} for attachments", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be set up.
    #[error("cannot set up the store of attachments")]
    Open(#[source] object_store::Error),
    /// A key file of the store cannot be used.
    #[error("the key file {} of the store of attachments cannot be used: {reason}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The sender broke off.
    #[error("the file broke off: send it again")]
    Broken,
    /// The sender was too slow.
    #[error(
        "the file came too slowly, at less than 16 KiB in a second: send it again over a better \
         line"
    )]
    TooSlow,
    /// The disk is nearly full.
    #[error(
        "the disk of attachments has too little free space, so that no file is taken in now: tell \
         the operators, and send it again later"
    )]
    NoSpace,
    /// More bytes than a file may have.
    #[error("the file has more bytes than an attachment may have")]
    TooLarge,
    /// The store failed.
    #[error("the store of attachments failed while it tried to {operation}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The stored bytes are not those that were filed.
    #[error("the attachment {sha256} is damaged in the store: restore it from the backup")]
    Damaged {
        /// Which.
        sha256: Digest,
    },
}

type Result<T> = std::result::Result<T, FilesError>;

impl Files {
    /// Files on local disk, each synced before it is acknowledged; so many bytes of the disk stay
    /// free. What an earlier run left half-way is removed: the directory is this controller's
    /// alone.
    ///
    /// # Errors
    /// [`FilesError::Directory`], [`FilesError::Open`].
    pub fn local(directory: &std::path::Path, floor_bytes: u64) -> Result<Self> {
        let failed =
            |path: PathBuf| move |source| FilesError::Directory { path: path.clone(), source };
        let incoming = directory.join(INCOMING);
        if incoming.exists() {
            std::fs::remove_dir_all(&incoming).map_err(failed(incoming.clone()))?;
        }
        std::fs::create_dir_all(&incoming).map_err(failed(incoming))?;
        let store = LocalFileSystem::new_with_prefix(directory).map_err(FilesError::Open)?;
        let disk = Arc::new(Disk { directory: directory.to_owned(), floor_bytes });
        Ok(Self { disk: Some(disk), ..Self::new(store.with_fsync(true)) })
    }

    fn new(store: impl ObjectStore) -> Self {
        Self {
            store: Arc::new(store),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            disk: None,
            slowest: SLOWEST,
        }
    }

    /// Gives a file that is whole its name. Afterwards it survives the loss of power.
    ///
    /// # Errors
    /// [`FilesError::Store`]; it can be tried again.
    pub async fn keep(&self, received: &Received, owner: Option<TenantId>) -> Result<()> {
        let to = place(owner, received.sha256);
        let kept = self.store.rename_opts(&received.incoming, &to, Default::default()).await;
        kept.map_err(failed("keep a file"))
    }

    /// Removes a file that has its name and was not admitted after all.
    pub async fn withdraw(&self, received: &Received, owner: Option<TenantId>) {
        let place = place(owner, received.sha256);
        if let Err(error) = self.store.delete(&place).await {
            tracing::warn!(%error, %place, "a refused file is still there");
        }
    }

    /// Whether the disk has room for so many bytes more.
    fn has_space(&self, bytes: u64) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let path = &disk.directory;
        let found = statvfs(path.as_path())
            .map_err(|errno| FilesError::Directory { path: path.clone(), source: errno.into() })?;
        let free = found.blocks_available().saturating_mul(found.fragment_size());
        if free >= disk.floor_bytes.saturating_add(bytes) {
            Ok(())
        } else {
            Err(FilesError::NoSpace)
        }
    }

    /// Removes a file that was not admitted.
    pub async fn discard(&self, received: &Received) {
        if let Err(error) = self.store.delete(&received.incoming).await {
            tracing::warn!(%error, incoming = %received.incoming, "a refused file is still there");
        }
    }

    /// The bytes of an attachment. The whole file is read and hashed first, and a damaged one is
    /// not given out; it is hashed once more while it goes out, and breaks off before its last part
    /// should it have changed in between.
    ///
    /// # Errors
    /// [`FilesError::Damaged`], [`FilesError::Store`].
    pub async fn content(&self, owner: Option<TenantId>, known: &Attachment) -> Result<Content> {
        let place = place(owner, known.sha256);
        read::check(&self.store, &place, known).await?;
        read::content(&self.store, &place, known).await
    }
}

/// Where a kept file lies.
fn place(owner: Option<TenantId>, sha256: Digest) -> Path {
    Path::from_iter([owner_name(owner), sha256.to_string()])
}

fn failed(operation: &'static str) -> impl FnOnce(object_store::Error) -> FilesError {
    move |source| FilesError::Store { operation, source }
}

/// Both digests and the size of what went by.
#[derive(Default)]
struct Hashes {
    sha256: Sha256,
    sm3: sm3::Sm3,
    bytes: u64,
}

impl Hashes {
    fn update(&mut self, part: &[u8]) {
        self.sha256.update(part);
        self.sm3.update(part);
        self.bytes = self.bytes.saturating_add(part.len() as u64);
    }

    fn finish(self) -> (Digest, Sm3, u64) {
        (Digest(self.sha256.finalize().into()), Sm3(self.sm3.finalize().into()), self.bytes)
    }
}

#[cfg(test)]
mod tests;
