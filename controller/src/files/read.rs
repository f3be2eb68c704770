//! Files on their way out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};

use super::{FilesError, Hashes, Result, failed};
use crate::core::attachment::Attachment;

/// An attachment's bytes.
pub type Content = BoxStream<'static, Result<Bytes>>;

/// Bytes on their way, hashed, the last part held back until the digests are known to hold.
struct Passing {
    source: BoxStream<'static, object_store::Result<Bytes>>,
    held_back: Bytes,
    hashes: Option<Hashes>,
    known: Attachment,
}

/// Reads the whole file and compares its digests.
pub(super) async fn check(
    store: &Arc<dyn ObjectStore>,
    place: &Path,
    known: &Attachment,
) -> Result<()> {
    content(store, place, known).await?.try_for_each(async |_| Ok(())).await
}

/// The file's bytes; an error instead of the last part if they are not those that were filed.
pub(super) async fn content(
    store: &Arc<dyn ObjectStore>,
    place: &Path,
    known: &Attachment,
) -> Result<Content> {
    let source = match store.get(place).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Err(damaged(known)),
        Err(error) => return Err(failed("read a file")(error)),
    };
    let (held_back, hashes) = (Bytes::new(), Some(Hashes::default()));
    let passing = Passing { source, held_back, hashes, known: known.clone() };
    let parts = futures_util::stream::try_unfold(passing, async |mut passing: Passing| {
        let part = passing.next().await?;
        Ok(part.map(|part| (part, passing)))
    });
    Ok(parts.boxed())
}

impl Passing {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(hashes) = &mut self.hashes else { return Ok(None) };
            let Some(part) = self.source.next().await else { break };
            let part = part.map_err(failed("read a file"))?;
            hashes.update(&part);
            let ready = std::mem::replace(&mut self.held_back, part);
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
        }
        let found = self.hashes.take().map(Hashes::finish);
        if found != Some((self.known.sha256, self.known.sm3, self.known.bytes)) {
            return Err(damaged(&self.known));
        }
        Ok(Some(std::mem::take(&mut self.held_back)))
    }
}

fn damaged(known: &Attachment) -> FilesError {
    FilesError::Damaged { sha256: known.sha256 }
}
