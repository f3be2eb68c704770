//! Wipes of files on real file systems on loop devices, checked by a scanner that is not the
//! agent's.

#![allow(
    clippy::disallowed_methods,
    reason = "tests read clocks, start processes and write files, as an operator would"
)]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context as _;
use tenure_agent::{
    core::wipe::{Pattern, Seed, Stage, Verdict},
    host::{
        disk::{self, DiskFailure, DiskMeasurement, DiskProgress, DiskWipe},
        overwrite::Clocks,
    },
};
use tenure_protocol::{
    evidence::predicate::media_wipe::{FileSystemKind, LayerKind},
    time::Timestamp,
};
use tenure_tests::{
    lab::{
        daemon::{run, wait_for},
        storage::LoopDisk,
    },
    scan,
};

mod carvers;
mod devices;
mod faulty;
mod forensics;
mod ground;
mod killed;
mod refused;
mod volume;

use ground::{BTRFS, EXT4, Ground, MIB, XFS, assert_passes, code, plant, request, wipe};

#[test]
fn marks_all_over_a_file_are_on_the_device_before_and_nowhere_after() -> anyhow::Result<()> {
    for (name, mib, mkfs) in [("ext4", 96, EXT4), ("xfs", 320, XFS)] {
        let Some(ground) = Ground::new(name, mib, mkfs)? else { return Ok(()) };
        let path = ground.volume(24)?;
        assert_eq!(ground.marks()?, 24 * 256, "{name}: before");
        let measurement = wipe(&path)?;
        assert_eq!(ground.marks()?, 0, "{name}: after");
        assert_passes(&measurement);
        let measured = &measurement.measured;
        let kind = if name == "ext4" { FileSystemKind::Ext4 } else { FileSystemKind::Xfs };
        assert_eq!(measured.file_system.kind, kind);
        assert_eq!(measured.extents_before.bytes, 24 * MIB);
        assert_eq!(measured.topology[0].kind, LayerKind::Loop);
        assert!(measured.topology.len() > 1, "{:?}", measured.topology);
        assert!(!path.exists());
    }
    Ok(())
}

#[test]
fn sparse_fragmented_and_preallocated_files_are_reached_in_every_block() -> anyhow::Result<()> {
    for (name, mib, mkfs) in [("ext4", 96, EXT4), ("xfs", 320, XFS)] {
        let Some(ground) = Ground::new(name, mib, mkfs)? else { return Ok(()) };
        // Old content under what will be preallocated: fill the device, then free it.
        let filler = File::create(ground.path("filler"))?;
        let free = nix::sys::statvfs::statvfs(&ground.disk.mount)?;
        ground.plant(&filler, 0, free.blocks_available() * free.fragment_size() - 4 * MIB)?;
        drop(filler);
        fs::remove_file(ground.path("filler"))?;
        let old = ground.marks()?;

        let path = ground.path("volume");
        let file = File::create(&path)?;
        let neighbour = File::create(ground.path("neighbour"))?;
        for number in (0..600).rev() {
            // Each block synced alternately with a neighbour's, every second one a hole, and from
            // the end on, so that nothing is allocated ahead.
            ground.plant(&file, number * 8192, 4096)?;
            neighbour.write_all_at(&[1; 4096], number * 4096)?;
            neighbour.sync_data()?;
        }
        use nix::fcntl::{FallocateFlags, fallocate};
        let length = i64::try_from(16 * MIB)?;
        fallocate(&file, FallocateFlags::empty(), i64::try_from(8 * MIB)?, length)?;
        // Beyond the end of the file as well.
        fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, i64::try_from(24 * MIB)?, length)?;
        file.sync_all()?;
        drop(file);

        let mut map = Vec::new();
        let measurement = disk::wipe(&request(&path), &mut |progress| {
            map = progress.before().extents().to_vec();
            ControlFlow::Continue(())
        })?;
        assert_passes(&measurement);
        let bytes = measurement.measured.extents_before.bytes;
        assert!(bytes >= 600 * 4096 + 32 * MIB, "{name}: {bytes} bytes");
        assert!(map.len() > 300, "{name}: {} extents", map.len());
        let left = scan::find(Path::new(&ground.disk.device), &ground.mark)?;
        let inside =
            |at: &&u64| map.iter().any(|e| (e.physical..e.physical + e.length).contains(*at));
        assert_eq!(left.iter().find(inside), None, "{name}: {} of {old} left", left.len());
    }
    Ok(())
}

#[test]
fn the_scanner_finds_what_a_truncation_leaves() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("truncated", 64, EXT4)? else { return Ok(()) };
    let path = ground.volume(8)?;
    let file = File::options().write(true).open(&path)?;
    file.set_len(0)?;
    file.set_len(8 * MIB)?;
    file.sync_all()?;
    drop(file);
    assert!(fs::read(&path)?.iter().all(|&byte| byte == 0), "the file reads as zeros");
    assert_eq!(ground.marks()?, 8 * 256, "and all of it is on the device");
    // What is left in the file has no blocks: that is no wipe either.
    let measurement = wipe(&path)?;
    assert!(matches!(Verdict::of(&measurement.measured), Verdict::Failed(_)));
    Ok(())
}

#[test]
fn a_byte_that_changes_behind_our_back_is_seen() -> anyhow::Result<()> {
    for pattern in [Pattern::Stream, Pattern::Zeros] {
        let Some(ground) = Ground::new("flipped", 64, EXT4)? else { return Ok(()) };
        let path = ground.volume(8)?;
        let backing = File::options().write(true).open(&ground.disk.backing)?;
        let mut flipped = None;
        let measurement = disk::wipe(&request(&path), &mut |progress: &DiskProgress| {
            if progress.course().stage() == Stage::ReadBack(pattern) && flipped.is_none() {
                let at = progress.before().extents()[0].physical + 4_098_777;
                let written = backing.write_all_at(&[0xEE], at).and_then(|()| backing.sync_all());
                assert!(written.is_ok(), "{written:?}");
                flipped = Some(at);
            }
            ControlFlow::Continue(())
        })?;
        assert!(flipped.is_some());
        let read = measurement.measured.read_backs.iter().find(|read| read.pattern == pattern);
        assert_eq!(read.context("no read-back")?.mismatched_bytes, 512, "one sector");
        let verdict = Verdict::of(&measurement.measured);
        assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
        assert!(path.exists(), "a file that is not clean stays for another attempt");
        assert!(!measurement.measured.unlinked);
    }
    Ok(())
}

#[test]
fn a_wipe_that_is_stopped_anywhere_goes_on_from_where_it_was() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("resumed", 260, EXT4)? else { return Ok(()) };
    let path = ground.volume(160)?;
    let (mut saved, mut stops): (Option<DiskProgress>, Vec<(Stage, u64)>) = (None, Vec::new());
    let measurement = loop {
        let resume = saved.clone().map(|p| postcard::to_stdvec(&p)).transpose()?;
        let resume = resume.map(|bytes| postcard::from_bytes(&bytes)).transpose()?;
        let mut saves = 0;
        let result = disk::wipe(&DiskWipe { resume, ..request(&path) }, &mut |progress| {
            saves += 1;
            let at = (progress.course().stage(), progress.course().offset());
            saved = Some(progress.clone());
            // Once at every place that is saved.
            if stops.contains(&at) || stops.iter().filter(|stop| stop.0 == at.0).count() > 2 {
                return ControlFlow::Continue(());
            }
            stops.push(at);
            ControlFlow::Break(())
        });
        match result {
            Ok(measurement) => break measurement,
            Err(DiskFailure::Stopped { .. }) => {}
            Err(failure) => return Err(failure.into()),
        }
    };
    assert_passes(&measurement);
    assert!(stops.len() > 8, "{stops:?}");
    assert_eq!(measurement.interruptions as usize, stops.len() - 1, "{stops:?}");
    assert_eq!(ground.marks()?, 0);
    // The file is gone and the last save says that all was measured: the same once more.
    let again = DiskWipe { resume: saved, ..request(&path) };
    let again = disk::wipe(&again, &mut |_| ControlFlow::Break(()))?;
    assert_passes(&again);
    Ok(())
}

#[test]
fn saved_progress_is_refused_for_a_file_that_was_put_in_its_place() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("replaced", 64, EXT4)? else { return Ok(()) };
    let path = ground.volume(4)?;
    let mut saved = None;
    let stopped = disk::wipe(&request(&path), &mut |progress| {
        saved = Some(progress.clone());
        ControlFlow::Break(())
    });
    assert_eq!(stopped.expect_err("stopped").code(), "stopped");
    fs::rename(&path, ground.path("aside"))?;
    let path = ground.volume(4)?;
    let other = DiskWipe { resume: saved, ..request(&path) };
    let refused = disk::wipe(&other, &mut |_| ControlFlow::Continue(()));
    assert_eq!(refused.expect_err("another file").code(), "replaced");
    Ok(())
}

#[test]
fn a_wipe_that_is_killed_goes_on_in_a_fresh_process() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("killed", 260, EXT4)? else { return Ok(()) };
    let path = ground.volume(192)?;
    let saved = ground.disk.mount.with_extension("progress");
    // Each process is killed at its own place, with writes or reads under way; the last one is not.
    let places =
        ["Write(Stream) 67108864", "ReadBack(Stream) 67108864", "Write(Zeros) 134217728", "-"];
    let mut last = String::new();
    for place in places {
        let mut probe = Command::new(env!("CARGO_BIN_EXE_tenure-wipe-probe"))
            .args([path.as_os_str(), saved.as_os_str(), place.as_ref()])
            .stdout(Stdio::piped())
            .spawn()?;
        for line in BufReader::new(probe.stdout.take().context("no output")?).lines() {
            last = line?;
            if last.starts_with("parked") {
                probe.kill()?;
                break;
            }
        }
        let status = probe.wait()?;
        assert_eq!(status.success(), place == "-", "{place}: {status}, {last}");
        assert_eq!(path.exists(), place != "-");
    }
    assert!(last.starts_with("Pass(") && last.ends_with("after 3"), "{last}");
    assert_eq!(ground.marks()?, 0);
    Ok(())
}

#[test]
fn a_device_that_loses_blocks_never_passes() -> anyhow::Result<()> {
    // A device that takes fewer bytes than it claims: thinly backed, on a small file system.
    let Some(outer) = Ground::new("outer", 48, EXT4)? else { return Ok(()) };
    let backing = outer.path("inner.img");
    File::create(&backing)?.set_len(160 * MIB)?;
    let mkfs = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal"];
    let inner = LoopDisk::over(backing, outer.disk.mount.with_extension("inner"), &mkfs)?;
    let path = inner.mount.join("volume");
    run(&["fallocate", "-l", "64MiB", path.to_str().context("UTF-8")?])?;
    run(&["sync", "-f", inner.mount.to_str().context("UTF-8")?])?;

    // The kernel tells of lost blocks once more when they are flushed: then nothing is measured.
    match wipe(&path) {
        Ok(measurement) => {
            assert!(!measurement.measured.bad_ranges.is_empty());
            assert!(matches!(Verdict::of(&measurement.measured), Verdict::Failed(_)));
        }
        Err(failure) => assert_eq!(failure.code(), "io", "{failure}"),
    }
    Ok(())
}
