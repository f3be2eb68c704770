//! The right edge of the tree: the tiles that can still grow, in memory.

use tenure_protocol::{digest::Digest, evidence::merkle};

use super::{
    error::LedgerError,
    tile::{self, HEIGHT, Shelf, TilePath, WIDTH},
};

/// For each level the hashes of its last, partial tile, and the entries of the last partial bundle.
#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    size: u64,
    entries: Vec<Vec<u8>>,
    levels: Vec<Vec<Digest>>,
}

impl Edge {
    /// From what was read of the partial tiles.
    pub(super) const fn new(size: u64, entries: Vec<Vec<u8>>, levels: Vec<Vec<Digest>>) -> Self {
        Self { size, entries, levels }
    }

    /// Number of leaves.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry, and to `full` the tiles that it fills. Returns its index.
    pub(super) fn push(&mut self, entry: Vec<u8>, full: &mut Vec<(TilePath, Vec<u8>)>) -> u64 {
        let index = self.size;
        let mut hash = merkle::leaf_hash(&entry);
        self.entries.push(entry);
        self.size += 1;
        let path = |shelf, items: u64| TilePath { shelf, index: items / WIDTH - 1, width: 256 };
        if self.size.is_multiple_of(WIDTH) {
            let bytes = tile::encode_entries(&self.entries);
            full.push((path(Shelf::Entries, self.size), bytes));
            self.entries.clear();
        }
        let (mut level, mut items) = (0_u8, self.size);
        loop {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(hash);
            if !items.is_multiple_of(WIDTH) {
                return index;
            }
            full.push((path(Shelf::Hashes(level), items), tile::encode_hashes(hashes)));
            hash = tile::subtree(hashes);
            hashes.clear();
            (level, items) = (level + 1, items / WIDTH);
        }
    }

    /// The partial tiles as they are now.
    pub(super) fn partial_tiles(&self) -> Vec<(TilePath, Vec<u8>)> {
        let mut tiles = Vec::new();
        if let Some(path) = partial(Shelf::Entries, self.size, self.entries.len()) {
            tiles.push((path, tile::encode_entries(&self.entries)));
        }
        for (level, hashes) in (0_u8..).zip(&self.levels) {
            let items = items_of_level(self.size, level);
            if let Some(path) = partial(Shelf::Hashes(level), items, hashes.len()) {
                tiles.push((path, tile::encode_hashes(hashes)));
            }
        }
        tiles
    }

    /// Where they are kept.
    pub(super) fn partial_paths(&self) -> Vec<TilePath> {
        self.partial_tiles().into_iter().map(|(path, _)| path).collect()
    }

    /// The tree's root: it follows from the edge alone.
    ///
    /// # Errors
    /// [`LedgerError::Edge`] if the edge lacks hashes that a tree of this size has.
    pub(super) fn root(&self) -> Result<Digest, LedgerError> {
        merkle::root(self.size, &mut |level, index| {
            let height = level % HEIGHT;
            let start = usize::try_from((index << height) % WIDTH).unwrap_or(usize::MAX);
            self.levels
                .get(usize::from(level / HEIGHT))
                .and_then(|hashes| hashes.get(start..start + (1 << height)))
                .map(tile::subtree)
                .ok_or(LedgerError::Edge { size: self.size })
        })
    }
}

fn partial(shelf: Shelf, items: u64, held: usize) -> Option<TilePath> {
    let width = u16::try_from(held).ok().filter(|&width| width > 0)?;
    Some(TilePath { shelf, index: items / WIDTH, width })
}

/// How many hashes a level of tiles has in a tree of `size` leaves.
pub(super) fn items_of_level(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0)
}
