//! Looks for marks on a device or in a file, byte by byte, with code that shares nothing with the
//! agent's: what it finds, others can find.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::Context as _;

/// Bytes of one read.
const STEP: usize = 4 << 20;

/// Where a buffer for `O_DIRECT` must begin.
const ALIGNMENT: usize = 4096;

/// Offsets of every occurrence of `mark`, also across the bounds of reads. Block devices are read
/// with `O_DIRECT`, so that no cache answers.
///
/// # Errors
/// If a byte of it cannot be read: an area that was not looked at is no clean one.
pub fn find(path: &Path, mark: &[u8]) -> anyhow::Result<Vec<u64>> {
    anyhow::ensure!(!mark.is_empty() && mark.len() < ALIGNMENT, "a mark has 1 to 4095 bytes");
    let file = open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut memory = vec![0; ALIGNMENT + STEP + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    // The last bytes of the read before lie in front of the next, for marks across the bound.
    let window = &mut memory[start..start + ALIGNMENT + STEP];
    let (mut found, mut offset, mut kept) = (Vec::new(), 0_u64, 0);
    loop {
        let count = read(&file, &mut window[ALIGNMENT..], offset)
            .with_context(|| format!("cannot read {} at {offset}", path.display()))?;
        let seen = &window[ALIGNMENT - kept..ALIGNMENT + count];
        let base = offset - kept as u64;
        found.extend(positions(seen, mark).map(|at| base + at as u64));
        if count < STEP {
            return Ok(found);
        }
        offset += count as u64;
        kept = (mark.len() - 1).min(count);
        let end = ALIGNMENT + count;
        window.copy_within(end - kept..end, ALIGNMENT - kept);
    }
}

/// How often `mark` occurs.
///
/// # Errors
/// As [`find`].
pub fn count(path: &Path, mark: &[u8]) -> anyhow::Result<usize> {
    Ok(find(path, mark)?.len())
}

fn open(path: &Path) -> io::Result<File> {
    let is_device = path.metadata()?.file_type().is_block_device();
    let flags = if is_device { libc::O_DIRECT } else { 0 };
    File::options().read(true).custom_flags(flags).open(path)
}

/// Reads until the buffer is full or the end is reached.
fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

fn positions<'a>(bytes: &'a [u8], mark: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        while from + mark.len() <= bytes.len() {
            let limit = bytes.len() - mark.len() + 1;
            let at = from + first(&bytes[from..limit], mark[0])?;
            from = at + 1;
            if bytes[at..].starts_with(mark) {
                return Some(at);
            }
        }
        None
    })
}

/// Offset of the first such byte. Empty blocks are left out at once: debug builds scan devices too.
fn first(bytes: &[u8], byte: u8) -> Option<usize> {
    let zeros = [0_u8; 4096];
    let mut skipped = 0;
    for block in bytes.chunks(4096) {
        let is_empty = byte != 0 && block == &zeros[..block.len()];
        if !is_empty && let Some(at) = block.iter().position(|&other| other == byte) {
            return Some(skipped + at);
        }
        skipped += block.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_at_every_place_even_across_reads() -> anyhow::Result<()> {
        let mark = b"MARK-OF-THE-SCAN";
        let mut bytes = vec![0xAB; 2 * STEP + 777];
        let places = [0, 17, STEP - 1, STEP + 4096, 2 * STEP - 9, bytes.len() - mark.len()];
        for place in places {
            bytes[place..place + mark.len()].copy_from_slice(mark);
        }
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &bytes)?;
        assert_eq!(find(file.path(), mark)?, places.map(|place| place as u64));
        assert_eq!(count(file.path(), b"MARK-THAT-IS-NOT-THERE")?, 0);
        Ok(())
    }
}
