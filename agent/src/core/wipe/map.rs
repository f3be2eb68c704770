//! Where a file's content lies on its medium.

use serde::{Deserialize, Serialize};
use tenure_protocol::digest::Digest;

/// A run of bytes of a file that lies in one piece on the medium. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Offset in the file.
    pub logical: u64,
    /// Offset on the file system's block device; for memory, the offset in the file again.
    pub physical: u64,
    /// Length, more than 0.
    pub length: u64,
}

/// All extents of a file by ascending offset, with those that touch on both sides joined, so that
/// two maps are equal exactly if every byte of the file lies where it lay.
///
/// Flags are no part of it: a preallocated extent becomes a written one without moving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Extent>", into = "Vec<Extent>")]
pub struct ExtentMap {
    extents: Vec<Extent>,
}

/// Why a list of extents is no map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapFault {
    /// A length of 0, or an end beyond 2^64.
    #[error("an extent at offset {0} is empty or too long")]
    Length(u64),
    /// Two extents claim the same bytes of the file.
    #[error("two extents claim the file's bytes at offset {0}")]
    Overlap(u64),
    /// Two extents claim the same bytes of the medium.
    #[error("two extents claim the medium's bytes at offset {0}")]
    Shared(u64),
}

/// One piece of work: at most so many bytes of one extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// How many of the map's bytes lie before it: what progress counts.
    pub position: u64,
    /// Offset in the file.
    pub logical: u64,
    /// Offset on the medium. Only meaningful in [`ExtentMap::pieces`].
    pub physical: u64,
    /// Length in bytes.
    pub length: usize,
}

impl ExtentMap {
    /// Sorts and joins.
    ///
    /// # Errors
    /// [`MapFault`]: such a map cannot be overwritten extent by extent.
    pub fn new(mut extents: Vec<Extent>) -> Result<Self, MapFault> {
        for extent in &extents {
            let ends = (
                extent.logical.checked_add(extent.length),
                extent.physical.checked_add(extent.length),
            );
            if extent.length == 0 || ends.0.is_none() || ends.1.is_none() {
                return Err(MapFault::Length(extent.logical));
            }
        }
        extents.sort_by_key(|extent| extent.physical);
        if let Some(pair) =
            extents.windows(2).find(|pair| pair[0].physical + pair[0].length > pair[1].physical)
        {
            return Err(MapFault::Shared(pair[1].physical));
        }
        extents.sort_by_key(|extent| extent.logical);
        let mut joined: Vec<Extent> = Vec::with_capacity(extents.len());
        for extent in extents {
            match joined.last_mut() {
                Some(last) if last.logical + last.length > extent.logical => {
                    return Err(MapFault::Overlap(extent.logical));
                }
                Some(last)
                    if last.logical + last.length == extent.logical
                        && last.physical + last.length == extent.physical =>
                {
                    last.length += extent.length;
                }
                Some(_) | None => joined.push(extent),
            }
        }
        Ok(Self { extents: joined })
    }

    /// The extents, by ascending offset in the file.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// How many bytes all extents have together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.extents.iter().fold(0, |sum, extent| sum.saturating_add(extent.length))
    }

    /// Offset in the file of the end of the last extent; 0 if there is none.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.extents.last().map_or(0, |last| last.logical + last.length)
    }

    /// SHA-256 over the extents in order: offset, place and length, each as 8 bytes, big-endian.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let bytes: Vec<u8> = self
            .extents
            .iter()
            .flat_map(|extent| [extent.logical, extent.physical, extent.length])
            .flat_map(u64::to_be_bytes)
            .collect();
        Digest::of(&bytes)
    }

    /// Pieces of at most `limit` bytes, each in one place on the medium, from `position` on: what
    /// is read back.
    pub fn pieces(&self, limit: usize, position: u64) -> impl Iterator<Item = Chunk> {
        cut(self.extents.clone(), limit, position)
    }

    /// Pieces of at most `limit` bytes, each in one run of the file, from `position` on: what is
    /// written. The file system splits them, so that a fragmented file costs fewer calls.
    pub fn runs(&self, limit: usize, position: u64) -> impl Iterator<Item = Chunk> {
        let mut runs: Vec<Extent> = Vec::new();
        for extent in &self.extents {
            match runs.last_mut() {
                Some(last) if last.logical + last.length == extent.logical => {
                    last.length += extent.length;
                }
                Some(_) | None => runs.push(*extent),
            }
        }
        cut(runs, limit, position)
    }
}

impl TryFrom<Vec<Extent>> for ExtentMap {
    type Error = MapFault;
    fn try_from(extents: Vec<Extent>) -> Result<Self, MapFault> {
        Self::new(extents)
    }
}

impl From<ExtentMap> for Vec<Extent> {
    fn from(map: ExtentMap) -> Self {
        map.extents
    }
}

/// Cuts at multiples of `limit` in the file, so that a piece's content never depends on where an
/// interrupted run had stopped.
fn cut(extents: Vec<Extent>, limit: usize, from: u64) -> impl Iterator<Item = Chunk> {
    let limit = limit.max(1) as u64;
    let mut before = 0;
    extents
        .into_iter()
        .flat_map(move |extent| {
            let start = before;
            before += extent.length;
            let mut offset = 0;
            std::iter::from_fn(move || {
                let at = extent.logical + offset;
                let length = (limit - at % limit).min(extent.length - offset);
                let chunk = Chunk {
                    position: start + offset,
                    logical: at,
                    physical: extent.physical + offset,
                    length: usize::try_from(length).ok()?,
                };
                offset += length;
                (length > 0).then_some(chunk)
            })
        })
        .skip_while(move |chunk| chunk.position + chunk.length as u64 <= from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extent(logical: u64, physical: u64, length: u64) -> Extent {
        Extent { logical, physical, length }
    }

    #[test]
    fn a_map_joins_what_touches_and_refuses_what_overlaps() {
        let map = ExtentMap::new(vec![extent(8, 108, 8), extent(0, 100, 8), extent(32, 50, 4)])
            .expect("a map");
        assert_eq!(map.extents(), [extent(0, 100, 16), extent(32, 50, 4)]);
        assert_eq!((map.bytes(), map.end()), (20, 36));
        let overlap = ExtentMap::new(vec![extent(0, 0, 8), extent(4, 100, 8)]);
        assert_eq!(overlap, Err(MapFault::Overlap(4)));
        let shared = ExtentMap::new(vec![extent(0, 0, 8), extent(8, 4, 8)]);
        assert_eq!(shared, Err(MapFault::Shared(4)));
        assert_eq!(ExtentMap::new(vec![extent(3, 0, 0)]), Err(MapFault::Length(3)));
        assert_eq!(ExtentMap::new(vec![extent(1, 0, u64::MAX)]), Err(MapFault::Length(1)));
    }

    proptest! {
        #[test]
        fn chunks_cover_every_byte_once_from_any_position(
            lengths in proptest::collection::vec((1_u64..5000, 0_u64..300), 0..20),
            limit in 1_usize..3000,
            at in 0_u64..60_000,
        ) {
            let (mut logical, mut list) = (0, Vec::new());
            for (length, gap) in lengths {
                logical += gap;
                // The medium's order is the reverse of the file's.
                list.push(extent(logical, 10_000_000 - 10_000 * (list.len() as u64 + 1), length));
                logical += length;
            }
            let map = ExtentMap::new(list).expect("a map");
            for chunks in [
                map.pieces(limit, at).collect::<Vec<_>>(),
                map.runs(limit, at).collect::<Vec<_>>(),
            ] {
                let mut next = chunks.first().map_or(map.bytes(), |chunk| chunk.position);
                prop_assert!(next <= at.min(map.bytes()));
                prop_assert!(at - next.min(at) < limit as u64 || next == map.bytes());
                for chunk in chunks {
                    prop_assert_eq!(chunk.position, next);
                    prop_assert!(chunk.length > 0 && chunk.length <= limit);
                    next += chunk.length as u64;
                }
                prop_assert_eq!(next, map.bytes());
            }
        }
    }
}
