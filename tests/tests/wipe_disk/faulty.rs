//! Disks that fail: what is wrong with a medium is measured where it is, and never passes.

use tenure_agent::core::wipe::{Extent, RangeSet};
use tenure_protocol::evidence::predicate::{ReadBack, media_wipe::Range};
use tenure_tests::lab::faulty::{Fault, FaultKind, FaultyMedium, SECTOR};

use super::*;

/// Of the volume.
const VOLUME_MIB: u64 = 2;
/// Sectors of a block of the file systems.
const BLOCK: u64 = 8;

/// A file system over a medium that does wrong what it is told. The medium goes last.
struct Sick {
    ground: Ground,
    medium: FaultyMedium,
}

impl Sick {
    /// `None`, and a word about it, where that cannot be made.
    fn new(name: &str, mib: u64, mkfs: &[&str]) -> anyhow::Result<Option<Self>> {
        if !Ground::possible(mkfs)? {
            return Ok(None);
        }
        if !Path::new("/dev/fuse").exists() {
            eprintln!("SKIPPED: this kernel has no /dev/fuse");
            return Ok(None);
        }
        let program = Path::new(env!("CARGO_BIN_EXE_tenure-faulty-medium"));
        let medium = FaultyMedium::start(program, name, mib)?;
        let disk = LoopDisk::over(medium.file.clone(), medium.mount.clone(), mkfs)?;
        Ok(Some(Self { ground: Ground::on(disk, name), medium }))
    }

    /// A volume full of marks, and where it lies.
    fn volume(&self) -> anyhow::Result<(PathBuf, Vec<Extent>)> {
        let path = self.ground.volume(VOLUME_MIB)?;
        run(&["sync", "-f", self.ground.disk.mount.to_str().context("UTF-8")?])?;
        let mut map = Vec::new();
        let stopped = disk::wipe(&request(&path), &mut |progress| {
            map = progress.before().extents().to_vec();
            ControlFlow::Break(())
        });
        assert_eq!(stopped.expect_err("stopped").code(), "stopped");
        assert_eq!(self.marks()?, marks_of(VOLUME_MIB * MIB), "before");
        Ok((path, map))
    }

    /// Marks on the medium itself, whatever it answers to those who ask it.
    fn marks(&self) -> anyhow::Result<usize> {
        run(&["sync", "-f", self.ground.disk.mount.to_str().context("UTF-8")?])?;
        scan::count(&self.medium.raw, &self.ground.mark)
    }
}

fn marks_of(bytes: u64) -> usize {
    usize::try_from(bytes / 4096).unwrap_or(usize::MAX)
}

/// Sectors of the medium where a range of sectors of a file lies.
fn sectors(map: &[Extent], file: std::ops::Range<u64>) -> Vec<u64> {
    let at = |sector: u64| {
        let offset = sector * SECTOR;
        let has = |one: &&Extent| (one.logical..one.logical + one.length).contains(&offset);
        map.iter().find(has).map(|one| (one.physical + offset - one.logical) / SECTOR)
    };
    file.filter_map(at).collect()
}

fn faults(sectors: &[u64], kind: FaultKind) -> Vec<Fault> {
    ranges(sectors)
        .iter()
        .map(|range| Fault {
            first: range.offset_bytes / SECTOR,
            sectors: range.length_bytes / SECTOR,
            kind,
        })
        .collect()
}

fn ranges(sectors: &[u64]) -> Vec<Range> {
    let mut set = RangeSet::default();
    for sector in sectors {
        set.add(Range { offset_bytes: sector * SECTOR, length_bytes: SECTOR });
    }
    set.ranges().to_vec()
}

/// What a read-back of a pattern measured.
fn read_back(measurement: &DiskMeasurement, pattern: Pattern) -> anyhow::Result<ReadBack> {
    let reads = &measurement.measured.read_backs;
    reads.iter().find(|read| read.pattern == pattern).copied().context("no read-back")
}

/// It failed, and the file stays for another attempt.
fn assert_fails(measurement: &DiskMeasurement, path: &Path) {
    let verdict = Verdict::of(&measurement.measured);
    assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}\n{measurement:#?}");
    assert!(path.exists() && !measurement.measured.unlinked);
}

/// A single sector at a block's start and one amid a block, a run across two pieces, the end.
fn bad_sectors(map: &[Extent]) -> Vec<u64> {
    let last = VOLUME_MIB * MIB / SECTOR;
    let piece = MIB / SECTOR;
    [40..41, 131..132, piece - 12..piece + 12, last - 9..last]
        .into_iter()
        .flat_map(|range| sectors(map, range))
        .collect()
}

#[test]
fn sectors_that_cannot_be_written_or_read_are_told_exactly_and_never_pass() -> anyhow::Result<()> {
    for (name, mib, mkfs) in [("sick-ext4", 64, EXT4), ("sick-xfs", 320, XFS)] {
        let Some(mut sick) = Sick::new(name, mib, mkfs)? else { return Ok(()) };
        for kind in [FaultKind::WriteError, FaultKind::ReadError] {
            let (path, map) = sick.volume()?;
            let bad = bad_sectors(&map);
            let (bytes, total) = (bad.len() as u64 * SECTOR, VOLUME_MIB * MIB);
            assert_eq!(bad.len(), 35);
            sick.medium.inject(&faults(&bad, kind))?;
            let measurement = wipe(&path)?;
            assert_fails(&measurement, &path);
            assert_eq!(measurement.measured.bad_ranges, ranges(&bad), "{name}, {kind:?}");
            let (unwritten, other, unread) = match kind {
                FaultKind::WriteError => (bytes, bytes, 0),
                _ => (0, 0, bytes),
            };
            for pass in &measurement.measured.passes {
                assert_eq!((pass.bytes, pass.error_bytes), (total - unwritten, unwritten));
            }
            for pattern in [Pattern::Stream, Pattern::Zeros] {
                let read = read_back(&measurement, pattern)?;
                let found = (read.bytes, read.mismatched_bytes, read.unreadable_bytes);
                assert_eq!(found, (total - unread, other, unread), "{name}, {kind:?}");
            }
            // What could not be written is still there: five marks begin in those sectors.
            let kept = if unwritten > 0 { 5 } else { 0 };
            assert_eq!(sick.marks()?, kept, "{name}, {kind:?}");

            sick.medium.inject(&[])?;
            assert_passes(&wipe(&path)?);
            assert!(!path.exists());
            assert_eq!(sick.marks()?, 0, "{name}, {kind:?}");
        }
    }
    Ok(())
}

#[test]
fn a_write_error_is_not_forgotten_when_the_wipe_is_interrupted_and_the_medium_heals()
-> anyhow::Result<()> {
    let Some(mut sick) = Sick::new("sick-resumed", 64, EXT4)? else { return Ok(()) };
    let (path, map) = sick.volume()?;
    let bad = bad_sectors(&map);
    sick.medium.inject(&faults(&bad, FaultKind::WriteError))?;
    let mut saved = None;
    let stopped = disk::wipe(&request(&path), &mut |progress| {
        saved = Some(progress.clone());
        if progress.course().stage() == Stage::ReadBack(Pattern::Stream) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(stopped.expect_err("stopped").code(), "stopped");
    sick.medium.inject(&[])?;
    let again = DiskWipe { resume: saved, ..request(&path) };
    let measurement = disk::wipe(&again, &mut |_| ControlFlow::Continue(()))?;
    assert_fails(&measurement, &path);
    assert_eq!(measurement.measured.bad_ranges, ranges(&bad));
    assert_passes(&wipe(&path)?);
    assert_eq!(sick.marks()?, 0);
    Ok(())
}

/// What a medium does wrong without a word, from which stage on until which, and how many bytes
/// the read-backs of the stream and of the zeros find.
struct Silent {
    what: &'static str,
    kind: FaultKind,
    from: Stage,
    until: Stage,
    found: (u64, u64),
}

const STREAM: Stage = Stage::Write(Pattern::Stream);
const ZEROS: Stage = Stage::Write(Pattern::Zeros);

/// All of them at one block of 4096 bytes. One that is stored a block further on spares its
/// neighbour, which is written after it; one that is stored a block before does not, and only the
/// position in the stream tells.
fn silent() -> Vec<Silent> {
    let case = |what, kind, (from, until), found| Silent { what, kind, from, until, found };
    let (all, first, second) = ((STREAM, Stage::Remove), (STREAM, ZEROS), (ZEROS, Stage::Remove));
    let (on, back) = (FaultKind::Misdirected { by: 8 }, FaultKind::Misdirected { by: -8 });
    vec![
        case("zeros are not stored", FaultKind::ElidedZeros, all, (0, 4096)),
        case("nothing is stored", FaultKind::LostWrites, all, (4096, 4096)),
        case("the stream is not stored", FaultKind::LostWrites, first, (4096, 0)),
        case("the second pass is not stored", FaultKind::LostWrites, second, (0, 4096)),
        case("reads give the content of before", FaultKind::StaleReads, all, (4096, 4096)),
        case("reads give the stream for zeros", FaultKind::StaleReads, second, (0, 4096)),
        case("writes go on to the next block", on, all, (4096, 4096)),
        case("zeros go on to the next block", on, second, (0, 4096)),
        case("writes go back to the block before", back, all, (8192, 4096)),
        case("the stream goes back", back, first, (8192, 0)),
    ]
}

#[test]
fn what_a_medium_does_wrong_without_a_word_is_seen_by_the_pass_that_can_see_it()
-> anyhow::Result<()> {
    // The loop device with and without direct I/O of its own: the medium has no cache above it.
    for (name, mib, mkfs, direct) in [
        ("silent-ext4", 64, EXT4, "on"),
        ("silent-xfs", 320, XFS, "on"),
        ("silent-buffered", 64, EXT4, "off"),
    ] {
        let Some(mut sick) = Sick::new(name, mib, mkfs)? else { return Ok(()) };
        run(&["losetup", &format!("--direct-io={direct}"), &sick.ground.disk.device])?;
        for Silent { what, kind, from, until, found } in silent() {
            let (path, map) = sick.volume()?;
            // Amid a piece, and not at the start of what the kernel makes of it.
            let block = sectors(&map, 75 * BLOCK..76 * BLOCK);
            let mut last = None;
            let measurement = disk::wipe(&request(&path), &mut |progress| {
                let stage = progress.course().stage();
                if last.replace(stage) != Some(stage) && [from, until].contains(&stage) {
                    let faults = if stage == from { faults(&block, kind) } else { Vec::new() };
                    assert!(sick.medium.inject(&faults).is_ok());
                }
                ControlFlow::Continue(())
            })?;
            let seen = [Pattern::Stream, Pattern::Zeros]
                .map(|pattern| read_back(&measurement, pattern).map(|read| read.mismatched_bytes));
            let [stream, zeros] = seen;
            assert_eq!((stream?, zeros?), found, "{name}: {what}");
            assert_fails(&measurement, &path);
            sick.medium.inject(&[])?;
            assert_passes(&wipe(&path)?);
            assert_eq!(sick.marks()?, 0, "{name}: {what}");
        }
    }
    Ok(())
}

#[test]
fn a_medium_that_only_remembers_to_answer_zeros_has_lost_the_content_to_the_stream()
-> anyhow::Result<()> {
    let Some(mut sick) = Sick::new("forgetful", 64, EXT4)? else { return Ok(()) };
    let (path, map) = sick.volume()?;
    let all = sectors(&map, 0..VOLUME_MIB * MIB / SECTOR);
    sick.medium.inject(&faults(&all, FaultKind::ForgottenZeros))?;
    // No read-back can see it; that is what the first pass is for.
    assert_passes(&wipe(&path)?);
    assert_eq!(sick.marks()?, 0);
    let raw = File::open(&sick.medium.raw)?;
    let mut bytes = vec![0; 4096];
    for sector in all.iter().step_by(8) {
        raw.read_exact_at(&mut bytes, sector * SECTOR)?;
        assert!(bytes.iter().any(|&byte| byte != 0), "zeros were stored after all");
    }
    Ok(())
}
