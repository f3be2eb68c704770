//! Tiles (C2SP tlog-tiles): 256 hashes or entries each, where they are kept, and their bytes.

use std::{fmt, str::FromStr};

use tenure_protocol::{
    digest::Digest,
    evidence::merkle::{self, node_hash},
};

/// Hashes, or entries, of a full tile.
pub(super) const WIDTH: u64 = 256;

/// Levels of the tree in one tile.
pub(super) const HEIGHT: u8 = 8;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// Entries.
    Entries,
    /// Hashes of subtrees of 256^level leaves.
    Hashes(u8),
}

/// Where a tile is kept: `tile/<level>/<index>`, the index in groups of three digits, `.p/<width>`
/// if it is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    /// What it holds.
    pub shelf: Shelf,
    /// Its number on the shelf.
    pub index: u64,
    /// How many hashes or entries, 1 to 256.
    pub width: u16,
}

impl TilePath {
    /// Whether it can still grow.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        (self.width as u64) < WIDTH
    }

    /// The tile that holds the item at `position` of a shelf, in a tree of `size` leaves; none if
    /// there is no such item.
    pub(super) fn covering(shelf: Shelf, position: u64, size: u64) -> Option<Self> {
        let items = match shelf {
            Shelf::Entries => size,
            Shelf::Hashes(level) => size.checked_shr(u32::from(level) * u32::from(HEIGHT))?,
        };
        if position >= items {
            return None;
        }
        let index = position / WIDTH;
        let width = u16::try_from((items - index * WIDTH).min(WIDTH)).ok()?;
        Some(Self { shelf, index, width })
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shelf {
            Shelf::Entries => f.write_str("tile/entries/")?,
            Shelf::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            let lead = if groups.is_empty() { "" } else { "x" };
            let end = if groups.is_empty() { "" } else { "/" };
            write!(f, "{lead}{group:03}{end}")?;
        }
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TilePath {
    type Err = ();
    /// Only what `Display` prints is a path; so no other file can be named.
    fn from_str(text: &str) -> Result<Self, ()> {
        let body = text.strip_prefix("tile/").unwrap_or(text);
        let (shelf, rest) = body.split_once('/').ok_or(())?;
        let shelf = match shelf {
            "entries" => Shelf::Entries,
            level => Shelf::Hashes(level.parse().map_err(|_| ())?),
        };
        let (digits, width) = match rest.split_once(".p/") {
            Some((digits, width)) => (digits, width.parse().map_err(|_| ())?),
            None => (rest, 256),
        };
        let digits: String = digits.chars().filter(|c| !matches!(c, 'x' | '/')).collect();
        let path = Self { shelf, index: digits.parse().map_err(|_| ())?, width };
        let canonical = path.to_string();
        let same = canonical == text || canonical.strip_prefix("tile/") == Some(text);
        if same && (1..=256).contains(&width) { Ok(path) } else { Err(()) }
    }
}

/// The bytes of a tile of hashes.
pub(super) fn encode_hashes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes of a tile; none if the bytes are not whole hashes.
pub(super) fn decode_hashes(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().copied().map(Digest).collect())
}

/// The bytes of a tile of entries: each with its length before it, u16 big endian.
pub(super) fn encode_entries(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// The entries of a tile; none if the lengths do not add up.
pub(super) fn decode_entries(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// Hash of the subtree over hashes of equal height, a power of two of them.
pub(super) fn subtree(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => merkle::leaf_hash(b""),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}
