//! Files on their way in.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use object_store::{ObjectStoreExt as _, WriteMultipart, path::Path};
use tenure_protocol::digest::Digest;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{Files, FilesError, Hashes, INCOMING, Result, Slowest, failed};
use crate::core::attachment::Sm3;

/// Bytes of one part of an upload; object stores want at least 5 MiB.
pub(super) const PART_BYTES: usize = 8 << 20;
/// Parts of one upload under way at a time.
const PARTS_UNDER_WAY: usize = 2;

/// How long an upload may take.
pub const UPLOAD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A file that is whole and durable, and has no name yet.
#[derive(Debug)]
pub struct Received {
    pub(super) incoming: Path,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// SM3 of its bytes.
    pub sm3: Sm3,
    /// How many bytes it has.
    pub bytes: u64,
}

impl Files {
    /// Takes a file in of at most `room` bytes, hashed part by part as it comes. `id` is fresh: the
    /// file's name until it has its own; `announced` is how many bytes its sender says it has.
    ///
    /// # Errors
    /// [`FilesError::Broken`], [`FilesError::TooSlow`], [`FilesError::TooLarge`],
    /// [`FilesError::NoSpace`], [`FilesError::Store`]; nothing of it stays then.
    pub async fn receive<E>(
        &self,
        id: Uuid,
        (room, announced): (u64, Option<u64>),
        stream: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin + Send,
    ) -> Result<Received> {
        self.has_space(announced.unwrap_or(0))?;
        let _permit = self.uploads.acquire().await.map_err(|_| FilesError::Broken)?;
        let incoming = Path::from_iter([INCOMING.to_owned(), id.to_string()]);
        let mut writer = self.begin(&incoming).await?;
        let written = timeout(UPLOAD_LIMIT, self.write(&mut writer, room, stream)).await;
        match written.unwrap_or(Err(FilesError::Broken)) {
            Ok(hashes) => {
                writer.finish().await.map_err(failed("finish an upload"))?;
                let (sha256, sm3, bytes) = hashes.finish();
                Ok(Received { incoming, sha256, sm3, bytes })
            }
            Err(error) => {
                if let Err(left) = writer.abort().await {
                    tracing::warn!(error = %left, %incoming, "a broken upload is still there");
                }
                Err(error)
            }
        }
    }

    pub(super) async fn begin(&self, incoming: &Path) -> Result<WriteMultipart> {
        let upload = self.store.put_multipart(incoming).await.map_err(failed("begin an upload"))?;
        Ok(WriteMultipart::new_with_chunk_size(upload, PART_BYTES))
    }

    pub(super) async fn write<E>(
        &self,
        writer: &mut WriteMultipart,
        room: u64,
        mut stream: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin + Send,
    ) -> Result<Hashes> {
        let (mut hashes, mut checked) = (Hashes::default(), 0);
        let mut pace = Pace::new(self.slowest, Instant::now());
        loop {
            let Ok(part) = timeout_at(pace.until, stream.next()).await else {
                pace.next(Instant::now())?;
                continue;
            };
            let Some(part) = part else { return Ok(hashes) };
            let part = part.map_err(|_| FilesError::Broken)?;
            hashes.update(&part);
            if hashes.bytes > room {
                return Err(FilesError::TooLarge);
            }
            if hashes.bytes - checked >= PART_BYTES as u64 {
                checked = hashes.bytes;
                self.has_space(0)?;
            }
            pace.came(part.len() as u64, Instant::now())?;
            let waits = Instant::now();
            writer.wait_for_capacity(PARTS_UNDER_WAY).await.map_err(failed("write a file"))?;
            writer.put(part);
            // That the store is slow is not the sender's fault.
            pace.until += waits.elapsed();
        }
    }
}

/// How much came within the present stretch of time.
struct Pace {
    slowest: Slowest,
    bytes: u64,
    until: Instant,
}

impl Pace {
    fn new(slowest: Slowest, now: Instant) -> Self {
        Self { slowest, bytes: 0, until: now + slowest.within }
    }

    /// More came.
    fn came(&mut self, bytes: u64, now: Instant) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if now < self.until { Ok(()) } else { self.next(now) }
    }

    /// The stretch is over: the next begins, if enough came in this one.
    fn next(&mut self, now: Instant) -> Result<()> {
        if self.bytes < self.slowest.bytes {
            return Err(FilesError::TooSlow);
        }
        *self = Self::new(self.slowest, now);
        Ok(())
    }
}
