//! Fingerprints of what lies on a device and is not known in the clear, with no line shared with
//! what wipes it: the blocks of a file are located by `filefrag`, read past the page cache, and
//! searched for over the whole device.

use std::{
    collections::HashSet,
    fs::File,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::lab::daemon::run;

const BLOCK: usize = 4096;
const CHUNK: usize = 4 * 1024 * 1024;

/// Digests of blocks that hold something (not one repeated byte).
pub type Fingerprints = HashSet<[u8; 32]>;

/// The fingerprints of all blocks that `file` has on `device`, the device of its file system.
///
/// # Errors
/// If the extents cannot be listed or read.
pub fn of_file(file: &Path, device: &str) -> anyhow::Result<Fingerprints> {
    let path = file.to_str().context("path is not UTF-8")?;
    let listing = run(&["filefrag", "-s", "-v", "-b4096", path])?;
    let extents: Vec<(u64, u64)> = listing.lines().filter_map(extent).collect();
    ensure!(!extents.is_empty(), "filefrag lists no extents of {path}");
    let mut blocks = Fingerprints::new();
    for (first, count) in extents {
        each_block(device, first, count, |block| {
            blocks.extend(fingerprint(block));
        })?;
    }
    Ok(blocks)
}

/// The fingerprints of all blocks of `device`.
///
/// # Errors
/// If it cannot be read.
pub fn of_device(device: &str) -> anyhow::Result<Fingerprints> {
    let mut blocks = Fingerprints::new();
    each_block(device, 0, blocks_of(device)?, |block| blocks.extend(fingerprint(block)))?;
    Ok(blocks)
}

/// How many blocks of `device`, all of it, are among `wanted`.
///
/// # Errors
/// If the device cannot be read.
pub fn on_device(device: &str, wanted: &Fingerprints) -> anyhow::Result<usize> {
    let mut found = 0;
    each_block(device, 0, blocks_of(device)?, |block| {
        if fingerprint(block).is_some_and(|digest| wanted.contains(&digest)) {
            found += 1;
        }
    })?;
    Ok(found)
}

/// `  0:        0..    4095:      34816..     38911:   4096:             unwritten` and the like.
fn extent(line: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = line.split([':', ' ']).filter(|field| !field.is_empty()).collect();
    let [index, _, _, first, _, count, ..] = fields.as_slice() else { return None };
    index.parse::<u64>().ok()?;
    Some((first.trim_end_matches("..").parse().ok()?, count.parse().ok()?))
}

fn blocks_of(device: &str) -> anyhow::Result<u64> {
    let size: u64 = run(&["blockdev", "--getsize64", device])?.trim().parse()?;
    Ok(size / BLOCK as u64)
}

fn fingerprint(block: &[u8]) -> Option<[u8; 32]> {
    let first = *block.first()?;
    let blank = block.iter().all(|&byte| byte == first);
    (!blank).then(|| Sha256::digest(block).into())
}

fn each_block(
    device: &str,
    first: u64,
    count: u64,
    mut see: impl FnMut(&[u8]),
) -> anyhow::Result<()> {
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_DIRECT)
        .open(device)
        .with_context(|| format!("cannot open {device}"))?;
    let mut room = vec![0_u8; CHUNK + BLOCK];
    let skew = room.as_ptr().align_offset(BLOCK);
    let (mut at, end) = (first * BLOCK as u64, (first + count) * BLOCK as u64);
    while at < end {
        let want = usize::try_from((end - at).min(CHUNK as u64))?;
        let buffer = &mut room[skew..skew + want];
        file.read_exact_at(buffer, at).with_context(|| format!("{device} at {at}"))?;
        buffer.chunks_exact(BLOCK).for_each(&mut see);
        at += want as u64;
    }
    Ok(())
}
