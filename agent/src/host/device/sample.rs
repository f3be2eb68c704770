//! Places of a disk, read before and after. They stay in this process's memory.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use tenure_protocol::evidence::predicate::device_sanitize::Sample;

/// Places of each part.
const PLACES: u64 = 256;
/// Bytes of each, and what they are aligned to.
const PLACE_BYTES: usize = 4096;

/// What the places of a disk held.
#[derive(Debug)]
pub struct Places(Vec<Option<Vec<u8>>>);

/// Reads places all over the parts, past every cache of this host.
///
/// # Errors
/// If a node cannot be opened. A place that cannot be read is nothing.
pub(super) fn read<'a>(parts: impl Iterator<Item = (&'a Path, u64)>) -> io::Result<Places> {
    let mut places = Vec::new();
    for (node, bytes) in parts {
        let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(node)?;
        let blocks = bytes / PLACE_BYTES as u64;
        let count = blocks.min(PLACES);
        // The first and the last, and others evenly between them.
        for number in 0..count {
            let block = number * blocks.saturating_sub(1) / count.saturating_sub(1).max(1);
            places.push(one(&file, block * PLACE_BYTES as u64));
        }
    }
    Ok(Places(places))
}

fn one(file: &File, at: u64) -> Option<Vec<u8>> {
    // O_DIRECT wants an aligned buffer.
    let mut buffer = vec![0; 2 * PLACE_BYTES];
    let skip = buffer.as_ptr().align_offset(PLACE_BYTES);
    let place = buffer.get_mut(skip..skip + PLACE_BYTES)?;
    file.read_exact_at(place, at).ok()?;
    Some(place.to_vec())
}

impl Places {
    /// What became of them.
    #[must_use]
    pub fn compare(&self, after: &Self) -> Sample {
        let mut sample = Sample {
            places: u32::try_from(after.0.len()).unwrap_or(u32::MAX),
            place_bytes: PLACE_BYTES as u32,
            unchanged: 0,
            uniform: 0,
            unreadable: 0,
        };
        for (before, after) in self.0.iter().zip(&after.0) {
            match after {
                None => sample.unreadable += 1,
                Some(after) if is_uniform(after) => sample.uniform += 1,
                Some(_) if before == after => sample.unchanged += 1,
                Some(_) => {}
            }
        }
        sample
    }
}

fn is_uniform(place: &[u8]) -> bool {
    place.iter().all(|byte| Some(byte) == place.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_it_was_is_told_apart_from_zeros_and_from_what_cannot_be_read() {
        let marked = Some(b"mark".repeat(1024));
        let before = Places(vec![marked.clone(), marked.clone(), Some(vec![0; 4096]), None]);
        let after = Places(vec![marked, Some(vec![0; 4096]), Some(vec![0; 4096]), None]);
        let sample = before.compare(&after);
        assert_eq!((sample.places, sample.unchanged), (4, 1));
        assert_eq!((sample.uniform, sample.unreadable), (2, 1));
    }
}
