//! What is written: first a stream that nothing but this order's wipe can have left, then zeros.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Every so many bytes the stream carries its own position.
pub const BLOCK: u64 = 4096;

/// How much of the stream is made under one nonce.
const CELL: u64 = 64 * 1024;

/// Seeds the first pass. One for each order and subject.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed([u8; 32]);

impl Seed {
    /// From the order's nonce and the subject's id: SHA-256 of a domain tag and both.
    #[must_use]
    pub fn new(nonce: &[u8; 32], subject: &[u8]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"tenure/wipe/pattern/v1\0");
        hash.update(nonce);
        hash.update(subject);
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The stream of the first pass as a function of the offset in the file: AES-256 in counter mode
/// (as inside AES-256-GCM, NIST SP 800-38D), one nonce for each 64 KiB, with the offset as 8 bytes,
/// little-endian, at the start of each block of 4096 bytes.
///
/// AES, since it runs at the speed of memory; its secrecy is not needed, only that a device cannot
/// foresee, compress or deduplicate it.
pub struct Keystream {
    /// `None` only if the cipher took no key of 32 bytes, which it always does.
    key: Option<LessSafeKey>,
}

impl fmt::Debug for Keystream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keystream(..)")
    }
}

impl Keystream {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { key: UnboundKey::new(&AES_256_GCM, &seed.0).ok().map(LessSafeKey::new) }
    }

    /// Fills `buffer` with the stream's bytes from `offset` on. `None` if the cipher failed: then
    /// nothing may be written from the buffer, nor compared with it.
    #[must_use]
    pub fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let inside = at % CELL;
            let length = usize::try_from(CELL - inside).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = rest.split_at_mut(length);
            if inside == 0 {
                self.cell(at / CELL, part)?;
            } else {
                let mut cell = vec![0; CELL as usize];
                self.cell(at / CELL, &mut cell)?;
                let inside = usize::try_from(inside).unwrap_or(0);
                part.copy_from_slice(&cell[inside..inside + length]);
            }
            at = at.wrapping_add(length as u64);
            rest = after;
        }
        Some(())
    }

    /// The first bytes of cell `index`.
    fn cell(&self, index: u64, bytes: &mut [u8]) -> Option<()> {
        bytes.fill(0);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&index.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = self.key.as_ref()?;
        let _tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), bytes).ok()?;
        let start = index.wrapping_mul(CELL);
        for (number, block) in bytes.chunks_mut(BLOCK as usize).enumerate() {
            let stamp = start.wrapping_add(number as u64 * BLOCK).to_le_bytes();
            let length = stamp.len().min(block.len());
            block[..length].copy_from_slice(&stamp[..length]);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_depends_on_the_position_alone_and_each_block_says_where_it_is() {
        let stream = Keystream::new(Seed::new(&[7; 32], b"volume"));
        let mut whole = vec![0; 3 * CELL as usize];
        stream.fill(0, &mut whole).expect("filled");
        for (start, length) in [(0, 512), (512, 4096), (65_024, 1024), (70_000, 90_001)] {
            let mut part = vec![1; length];
            stream.fill(start as u64, &mut part).expect("filled");
            assert!(part == whole[start..start + length], "{length} bytes from {start}");
        }
        for (number, block) in whole.chunks(BLOCK as usize).enumerate() {
            assert_eq!(block[..8], (number as u64 * BLOCK).to_le_bytes());
        }
    }

    #[test]
    fn another_order_or_another_subject_gives_another_stream() {
        let first_bytes = |nonce: u8, subject: &[u8]| {
            let mut bytes = [0; 64];
            let stream = Keystream::new(Seed::new(&[nonce; 32], subject));
            stream.fill(0, &mut bytes).expect("filled");
            bytes
        };
        assert_ne!(first_bytes(1, b"a"), first_bytes(2, b"a"));
        assert_ne!(first_bytes(1, b"a"), first_bytes(1, b"b"));
        assert!(!format!("{:?}", Seed::new(&[1; 32], b"a")).contains(char::is_numeric));
    }
}
