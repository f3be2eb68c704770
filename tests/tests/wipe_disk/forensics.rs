//! Files of the shapes that are hard to wipe, with the whole device scanned before and after.

use std::{collections::BTreeSet, io::ErrorKind};

use nix::fcntl::{FallocateFlags, fallocate};

use super::{
    carvers::{Carver, FOREMOST, PHOTOREC, recovered, volume_of_documents},
    *,
};

const BLOCK: u64 = 4096;
/// Extents of a file that is as fragmented as can be.
const EXTENTS: u64 = 10_000;
/// Single free blocks that a comb leaves. XFS keeps some thousands in reserve.
const TEETH: u64 = 15_000;
/// What is free where something lies under preallocated space.
const SPACE: u64 = 48 * MIB;

/// Gives blocks to a range of a file; what was in them stays there.
fn preallocate(file: &File, from: u64, length: u64) -> nix::Result<()> {
    let [from, length] = [from, length].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    fallocate(file, FallocateFlags::empty(), from, length)
}

/// Appends blocks to a file until the file system has none left: how many bytes it has then.
fn fill(file: &File) -> anyhow::Result<u64> {
    let (mut end, mut step) = (file.metadata()?.len(), 32 * MIB);
    while step >= BLOCK {
        match preallocate(file, end, step) {
            Ok(()) => end += step,
            Err(nix::Error::ENOSPC) => step /= 2,
            Err(error) => return Err(error.into()),
        }
    }
    // Some of a step may have been allocated before there was no more.
    file.set_len(end)?;
    file.sync_all()?;
    Ok(end)
}

/// Bytes that a file system has left.
fn free(ground: &Ground) -> anyhow::Result<u64> {
    let found = nix::sys::statvfs::statvfs(&ground.disk.mount)?;
    Ok(found.blocks_available() * found.fragment_size())
}

/// Whether a file of one block is too much for a file system.
fn is_full(ground: &Ground) -> anyhow::Result<bool> {
    let path = ground.path("more");
    let one = || {
        let file = File::create(&path)?;
        file.write_all_at(&[1; 4096], 0).and_then(|()| file.sync_all())
    };
    let made = one();
    if path.exists() {
        fs::remove_file(&path)?;
    }
    Ok(made.is_err_and(|error| error.kind() == ErrorKind::StorageFull))
}

/// Extents of a file, by a tool that we did not write.
fn extents_of(path: &Path) -> anyhow::Result<u64> {
    let said = run(&["filefrag", path.to_str().context("UTF-8")?])?;
    let count = said.rsplit(": ").next().and_then(|rest| rest.split(' ').next());
    Ok(count.context("no count")?.parse()?)
}

/// A volume full of marks, of which nearly every block lies alone, on a file system without a free
/// one: how many marks there are.
fn scattered(ground: &Ground, path: &Path) -> anyhow::Result<u64> {
    let comb = File::create(ground.path("comb"))?;
    preallocate(&comb, 0, (free(ground)? - 3 * MIB) / BLOCK * BLOCK)?;
    for tooth in 0..TEETH {
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let at = i64::try_from((2 * tooth + 1) * BLOCK)?;
        fallocate(&comb, hole, at, i64::try_from(BLOCK)?)?;
    }
    comb.sync_all()?;
    let blocks = (free(ground)? - MIB) / BLOCK;
    ground.plant(&File::create(path)?, 0, blocks * BLOCK)?;
    fill(&File::create(ground.path("rest"))?)?;
    Ok(blocks)
}

fn wipe_scattered(name: &str, mib: u64, mkfs: &[&str]) -> anyhow::Result<()> {
    let Some(ground) = Ground::new(name, mib, mkfs)? else { return Ok(()) };
    let path = ground.path("volume");
    let blocks = scattered(&ground, &path)?;
    let extents = extents_of(&path)?;
    assert!(extents >= EXTENTS, "{extents} extents");
    assert!(is_full(&ground)?);
    assert_eq!(ground.marks()? as u64, blocks, "before");
    let (mut saves, mut most) = (0, 0);
    let measurement = disk::wipe(&request(&path), &mut |progress| {
        saves += 1;
        // As the agent journals it.
        most = most.max(postcard::to_stdvec(progress).map_or(usize::MAX, |note| note.len()));
        ControlFlow::Continue(())
    })?;
    assert_passes(&measurement);
    assert_eq!(measurement.measured.extents_before.count, extents);
    assert_eq!(ground.marks()?, 0, "after");
    println!("{extents} extents, {saves} notes of at most {most} bytes");
    assert!(saves < 20 && most as u64 <= 16 * extents);
    Ok(())
}

#[test]
fn a_file_of_ten_thousand_extents_on_a_full_ext4_is_wiped_in_each_of_them() -> anyhow::Result<()> {
    wipe_scattered("scattered-ext4", 192, &[EXT4, &["-b", "4096"]].concat())
}

#[test]
fn a_file_of_ten_thousand_extents_on_a_full_xfs_is_wiped_in_each_of_them() -> anyhow::Result<()> {
    wipe_scattered("scattered-xfs", 320, XFS)
}

#[test]
fn what_lies_under_preallocated_space_is_found_by_tools_before_and_by_none_after()
-> anyhow::Result<()> {
    let cases: [(_, _, _, &[Carver]); 2] =
        [("under-ext4", 64, EXT4, &[FOREMOST, PHOTOREC]), ("under-xfs", 320, XFS, &[FOREMOST])];
    for (name, mib, mkfs, carvers) in cases {
        let Some(ground) = Ground::new(name, mib, mkfs)? else { return Ok(()) };
        // Somebody's documents fill what is free, are deleted, and a volume gets their blocks.
        let ballast = free(&ground)?.saturating_sub(SPACE) / BLOCK * BLOCK;
        if ballast > 0 {
            preallocate(&File::create(ground.path("ballast"))?, 0, ballast)?;
        }
        let documents = volume_of_documents(&ground)?;
        let other = File::create(ground.path("other"))?;
        ground.plant(&other, 0, free(&ground)? - 2 * MIB)?;
        drop(other);
        fs::remove_file(documents)?;
        fs::remove_file(ground.path("other"))?;
        run(&["sync", "-f", ground.disk.mount.to_str().context("UTF-8")?])?;
        let path = ground.path("volume");
        let bytes = fill(&File::create(&path)?)?;
        assert!(is_full(&ground)? && bytes > SPACE / 2, "{name}: {bytes} bytes");
        assert!(fs::read(&path)?.iter().all(|&byte| byte == 0), "it reads as zeros");

        let before = ground.marks()?;
        assert!(before as u64 > SPACE / 2 / BLOCK, "{name}: and {before} marks are under it");
        for carver in carvers {
            let found = ground.unmounted(|ground| recovered(ground, carver))?;
            assert!(found.len() > 5, "{} on {name} before: {found:?}", carver.name);
        }
        assert_passes(&wipe(&path)?);
        assert_eq!(ground.marks()?, 0, "{name}: of {before}");
        for carver in carvers {
            let found = ground.unmounted(|ground| recovered(ground, carver))?;
            assert_eq!(found, BTreeSet::new(), "{} on {name} after", carver.name);
        }
    }
    Ok(())
}

#[test]
fn of_a_sparse_file_all_is_overwritten_that_has_blocks_and_the_holes_keep_it_from_passing()
-> anyhow::Result<()> {
    for (name, mib, mkfs) in [("sparse-ext4", 64, EXT4), ("sparse-xfs", 320, XFS)] {
        let Some(ground) = Ground::new(name, mib, mkfs)? else { return Ok(()) };
        let path = ground.path("volume");
        let file = File::create(&path)?;
        let lengths: Vec<u64> = (1..=40).collect();
        for blocks in &lengths {
            // Far apart, and far beyond the device's size in the end.
            ground.plant(&file, blocks * blocks * MIB, blocks * BLOCK)?;
        }
        file.set_len(2 << 30)?;
        file.sync_all()?;
        drop(file);
        let blocks: u64 = lengths.iter().sum();
        assert_eq!(ground.marks()? as u64, blocks, "{name}: before");
        let measurement = wipe(&path)?;
        assert_eq!(ground.marks()?, 0, "{name}: after");
        let measured = &measurement.measured;
        // XFS gives more than is asked for at the end of a file that grows.
        let bytes = measured.extents_before.bytes;
        assert!(bytes >= blocks * BLOCK);
        assert!(measured.passes.iter().all(|pass| pass.bytes == bytes));
        // A volume is made whole: nobody knows what was in a hole, and where that is now.
        let Verdict::Failed(why) = Verdict::of(measured) else { panic!("{measurement:#?}") };
        assert!(why.iter().any(|sentence| sentence.contains("holes")), "{why:?}");
        assert!(path.exists());
    }
    Ok(())
}
