//! Wipes of memory files on tmpfs and hugetlbfs.

#![allow(
    clippy::disallowed_methods,
    reason = "tests read clocks, start processes and write files, as an operator would"
)]

use std::{
    fs::{self, File},
    ops::ControlFlow,
    os::{
        fd::AsRawFd as _,
        unix::{fs::FileExt as _, net::UnixListener},
    },
    path::Path,
    time::UNIX_EPOCH,
};

use anyhow::Context as _;
use tenure_agent::{
    core::wipe::{Pattern, Seed, Stage, Verdict},
    host::{
        leftovers,
        memory::{self, MemoryFailure, MemoryMeasurement, MemoryProgress, MemoryWipe},
        overwrite::Clocks,
    },
};
use tenure_protocol::{
    evidence::predicate::memory_wipe::{MemoryFileSystem, Residue, ResiduePlace, ResidueState},
    time::Timestamp,
};
use tenure_tests::{
    lab::{
        daemon::run,
        storage::{LoopDisk, RamDisk},
    },
    scan,
};

const MIB: u64 = 1 << 20;

const CLOCKS: Clocks = Clocks {
    now: || {
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(0))
    },
    monotonic: || UNIX_EPOCH.elapsed().unwrap_or_default(),
};

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: mounts need root");
    }
    root
}

fn mark() -> Vec<u8> {
    format!("TENURE-RAM-TEST-MARK:{}:", std::process::id()).into_bytes()
}

fn request(path: &Path) -> MemoryWipe {
    let state = ResidueState::Clean;
    let console = Residue { place: ResiduePlace::ConsoleLog, state, detail: "none".into() };
    MemoryWipe {
        path: path.to_owned(),
        seed: Seed::new(&[3; 32], b"memory"),
        vmm_dead: true,
        left_out_of_dumps: true,
        residue: vec![console],
        resume: None,
        clocks: CLOCKS,
    }
}

fn wipe(path: &Path) -> Result<MemoryMeasurement, MemoryFailure> {
    memory::wipe(&request(path), &mut |_| ControlFlow::Continue(()))
}

fn code(path: &Path) -> &'static str {
    wipe(path).map_or_else(|failure| failure.code(), |_| "wiped")
}

/// A sparse file with marks: 1 MiB of pages, then 1 MiB of nothing, and so on.
fn plant(path: &Path, mib: u64) -> anyhow::Result<()> {
    let file = File::create(path)?;
    file.set_len(mib * MIB)?;
    let mut page = vec![0x5A; 4096];
    page[..mark().len()].copy_from_slice(&mark());
    let run = page.repeat(256);
    for number in (0..mib).step_by(2) {
        file.write_all_at(&run, number * MIB)?;
    }
    Ok(())
}

/// Stops a wipe before a stage, and gives what was saved.
fn stop_before(path: &Path, stage: Stage) -> Option<MemoryProgress> {
    let mut saved = None;
    let stopped = memory::wipe(&request(path), &mut |progress: &MemoryProgress| {
        saved = Some(progress.clone());
        if progress.course().stage() == stage {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(stopped.expect_err("stopped").code(), "stopped");
    saved
}

fn resume(path: &Path, saved: Option<MemoryProgress>) -> anyhow::Result<MemoryMeasurement> {
    let saved = postcard::to_stdvec(&saved)?;
    let request = MemoryWipe { resume: postcard::from_bytes(&saved)?, ..request(path) };
    Ok(memory::wipe(&request, &mut |_| ControlFlow::Continue(()))?)
}

fn assert_passes(measurement: &MemoryMeasurement) {
    let verdict = Verdict::of(&measurement.measured);
    let swaps = fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1);
    let passes = match &verdict {
        Verdict::Pass(_) => true,
        // tmpfs without `noswap` (before Linux 6.4) on a host with swap.
        Verdict::PassWithExceptions(_) => swaps,
        Verdict::Failed(_) => false,
    };
    assert!(passes, "{verdict:?}\n{measurement:#?}");
}

#[test]
fn every_page_of_a_memory_file_is_overwritten_and_read_back() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let ram = RamDisk::create(dir.path().join("ram"), 64)?;
    let path = ram.mount.join("instance");
    plant(&path, 33)?;
    assert_eq!(scan::count(&path, &mark())?, 17 * 256);
    let measurement = wipe(&path)?;
    assert_passes(&measurement);
    let measured = &measurement.measured;
    assert_eq!(measured.file_system, MemoryFileSystem::Tmpfs);
    assert_eq!(measured.bytes, 17 * MIB, "holes are left out");
    assert!(measurement.not_measured[0].what.starts_with(&format!("{} bytes", 16 * MIB)));
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_memory_wipe_goes_on_after_a_stop_and_the_marks_are_gone_between() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let ram = RamDisk::create(dir.path().join("ram"), 64)?;
    let path = ram.mount.join("instance");
    plant(&path, 9)?;
    let saved = stop_before(&path, Stage::ReadBack(Pattern::Stream));
    assert_eq!(scan::count(&path, &mark())?, 0);
    let bytes = fs::read(&path)?;
    let empty = bytes.chunks(4096).filter(|page| page.iter().all(|&byte| byte == 0)).count();
    assert_eq!(empty, 4 * 256, "the holes alone are empty");
    let measurement = resume(&path, saved)?;
    assert_passes(&measurement);
    assert_eq!(measurement.interruptions, 1);

    plant(&path, 9)?;
    let saved = stop_before(&path, Stage::ReadBack(Pattern::Zeros));
    assert!(fs::read(&path)?.iter().all(|&byte| byte == 0));
    File::options().write(true).open(&path)?.write_all_at(b"x", 2 * MIB + 77)?;
    let measurement = resume(&path, saved.clone())?;
    assert_eq!(measurement.measured.read_backs[1].mismatched_bytes, 512);
    assert!(matches!(Verdict::of(&measurement.measured), Verdict::Failed(_)));

    // What is not clean stays for another attempt; somebody puts another file in its place.
    fs::remove_file(&path)?;
    plant(&path, 9)?;
    let replaced = resume(&path, saved).expect_err("another file");
    assert!(replaced.to_string().contains("look for who changed it"), "{replaced}");
    Ok(())
}

#[test]
fn memory_that_somebody_holds_or_that_is_none_is_refused() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let ram = RamDisk::create(dir.path().join("ram"), 16)?;
    let path = ram.mount.join("instance");
    plant(&path, 2)?;
    let reader = File::open(&path)?;
    assert_eq!(code(&path), "held");
    drop(reader);
    fs::hard_link(&path, ram.mount.join("other"))?;
    assert_eq!(code(&path), "hard-links");
    fs::remove_file(ram.mount.join("other"))?;
    assert_eq!(code(&ram.mount), "not-a-file");
    assert_eq!(code(&ram.mount.join("nothing")), "absent");
    let alive = MemoryWipe { vmm_dead: false, ..request(&path) };
    let refused = memory::wipe(&alive, &mut |_| ControlFlow::Continue(()));
    assert_eq!(refused.expect_err("alive").code(), "vmm-alive");
    assert_eq!(scan::count(&path, &mark())?, 256, "nothing was written");
    fs::write(dir.path().join("file"), "content")?;
    assert_eq!(code(&dir.path().join("file")), "file-system");
    Ok(())
}

#[test]
fn residue_and_an_unseen_console_keep_memory_from_passing() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let ram = RamDisk::create(dir.path().join("ram"), 16)?;
    let path = ram.mount.join("instance");
    plant(&path, 2)?;
    let unseen = MemoryWipe { residue: Vec::new(), ..request(&path) };
    let measurement = memory::wipe(&unseen, &mut |_| ControlFlow::Continue(()))?;
    let verdict = Verdict::of(&measurement.measured);
    assert!(matches!(verdict, Verdict::PassWithExceptions(_)), "{verdict:?}");
    assert!(path.exists(), "only a full pass unlinks");

    plant(&path, 2)?;
    let mut found = request(&path);
    found.residue[0].state = ResidueState::Found;
    let measurement = memory::wipe(&found, &mut |_| ControlFlow::Continue(()))?;
    assert!(matches!(Verdict::of(&measurement.measured), Verdict::Failed(_)));
    Ok(())
}

#[test]
fn huge_pages_are_wiped_like_others() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let pool = Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    let before = fs::read_to_string(pool).unwrap_or_default();
    let dir = tempfile::tempdir()?;
    let mount = dir.path().join("huge");
    fs::create_dir(&mount)?;
    let text = mount.to_str().context("UTF-8")?;
    if fs::write(pool, "8").is_err()
        || run(&["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "tenure-huge", text]).is_err()
    {
        eprintln!("SKIPPED: no hugetlbfs here");
        return Ok(());
    }
    let path = mount.join("instance");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    let ready = file.set_len(4 * MIB);
    drop(file);
    let result = wipe(&path);
    let left = path.exists();
    run(&["umount", text])?;
    fs::write(pool, before)?;
    ready?;
    let measurement = match result {
        Err(MemoryFailure::Io { operation: "map", source, .. }) => {
            eprintln!("SKIPPED: no huge pages to be had: {source}");
            return Ok(());
        }
        result => result?,
    };
    assert_passes(&measurement);
    assert_eq!(measurement.measured.file_system, MemoryFileSystem::Hugetlbfs);
    assert_eq!((measurement.measured.page_bytes, measurement.measured.bytes), (2 * MIB, 4 * MIB));
    assert!(!left);
    Ok(())
}

#[test]
fn what_a_process_left_in_its_run_directory_is_wiped_too() -> anyhow::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let ram = RamDisk::create(dir.path().join("ram"), 16)?;
    let disk = LoopDisk::create(dir.path().join("disk"), 32)?;
    for mount in [&ram.mount, &disk.mount] {
        let run_dir = mount.join("instance");
        fs::create_dir(&run_dir)?;
        fs::write(run_dir.join("console.log"), mark().repeat(1000))?;
        fs::write(run_dir.join("pid"), mark())?;
        fs::write(run_dir.join("empty"), "")?;
        let socket = UnixListener::bind(run_dir.join("qmp"))?;
        assert!(socket.as_raw_fd() > 2);
        run(&["sync", "-f", mount.to_str().context("UTF-8")?])?;
        let seed = Seed::new(&[1; 32], b"run");
        let residue = leftovers::wipe(&run_dir, seed, CLOCKS)?;
        assert_eq!(residue.len(), 2);
        assert!(residue.iter().all(|one| one.state == ResidueState::Clean), "{residue:?}");
        assert!(!run_dir.exists());
        let again = leftovers::wipe(&run_dir, seed, CLOCKS)?;
        assert_eq!(again[0].detail, "nothing is there");
    }
    assert_eq!(scan::count(Path::new(&disk.device), &mark())?, 0);

    let run_dir = disk.mount.join("held");
    fs::create_dir(&run_dir)?;
    fs::write(run_dir.join("console.log"), mark())?;
    let reader = File::open(run_dir.join("console.log"))?;
    let residue = leftovers::wipe(&run_dir, Seed::new(&[1; 32], b"run"), CLOCKS)?;
    assert_eq!(residue[0].state, ResidueState::Found, "{residue:?}");
    assert_eq!(residue[1].state, ResidueState::Clean);
    drop(reader);
    Ok(())
}
