//! Wipes of a volume beside `fio` and `dd`, on one loop device with direct I/O over a file.
//!
//! Each run fills a file with incompressible data and marks, measures one tool, and scans the whole
//! device for marks. A run that leaves one scores nothing, however fast it was.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::Context as _;
use nix::sys::resource::{UsageWho, getrusage};
use tenure_agent::{
    core::wipe::{Seed, Verdict},
    host::{
        disk::{self, DiskWipe},
        memory::{self, MemoryWipe},
        overwrite::Clocks,
    },
};
use tenure_protocol::{evidence::predicate::Span, time::Timestamp};

use super::{Goal, Row};
use crate::{
    lab::{
        daemon::run as program,
        storage::{LoopDisk, RamDisk},
    },
    scan,
};

/// Size of the wiped file, MiB.
const FILE_MIB: u64 = 512;

/// Runs of each tool.
const RUNS: u32 = 5;

const MARK: &[u8] = b"TENURE-BENCH-MARK:";

const FIO: &str = "fio bs=1M direct=1 io_uring iodepth=4";

/// All values of one tool, one for each run.
#[derive(Default)]
struct Values {
    write: Vec<f64>,
    read: Vec<f64>,
    whole: Vec<f64>,
    cpu: Vec<f64>,
}

/// Measures ours, fio and dd by turns.
///
/// # Errors
/// If the device or the peers are not to be had here.
pub fn run() -> anyhow::Result<Vec<Row>> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "loop devices and mounts need root");
    program(&["fio", "--version"]).context("install fio")?;
    let dir = tempfile::Builder::new().prefix("tenure-bench-").tempdir_in("/var/tmp")?;
    let bench = Bench {
        disk: LoopDisk::create(dir.path().join("mount"), FILE_MIB + FILE_MIB / 4)?,
        ram: RamDisk::create(dir.path().join("ram"), FILE_MIB + 1)?,
        content: content()?,
    };
    let (mut ours, mut fio, mut dd, mut memory) =
        (Values::default(), Values::default(), Values::default(), Values::default());
    for round in 1..=RUNS {
        eprintln!("wipe: round {round} of {RUNS}");
        bench.ours(&mut ours)?;
        bench.fio(&mut fio)?;
        bench.dd(&mut dd)?;
        bench.memory(&mut memory)?;
    }
    let row = |figure, unit, values| Row::new("wipe", figure, unit, values);
    let dd_name = "dd bs=4M direct fsync, then cmp: one pass";
    Ok(vec![
        row("zero pass", "MB/s", ours.write).beside(FIO, fio.write).aiming(Goal::RatioAtLeast(0.9)),
        row("read-back", "MB/s", ours.read).beside(FIO, fio.read).aiming(Goal::RatioAtLeast(0.9)),
        row("two passes, both read back", "s/GiB", ours.whole)
            .beside(dd_name, dd.whole)
            .aiming(Goal::RatioAtMost(2.2)),
        row("processor time of all of it", "s/GiB", ours.cpu).beside(dd_name, dd.cpu),
        row("memory, zero pass", "MB/s", memory.write),
        row("memory, read-back", "MB/s", memory.read),
        row("memory, all of it", "s/GiB", memory.whole),
    ])
}

struct Bench {
    disk: LoopDisk,
    ram: RamDisk,
    content: Vec<u8>,
}

impl Bench {
    fn ours(&self, values: &mut Values) -> anyhow::Result<()> {
        let path = self.fill(&self.disk.mount)?;
        let request = DiskWipe {
            path,
            device: None,
            seed: Seed::new(&[9; 32], b"bench"),
            vmm_dead: true,
            limit: None,
            resume: None,
            clocks: clocks(),
        };
        let cpu = processor(UsageWho::RUSAGE_SELF)?;
        let start = Instant::now();
        let measurement = disk::wipe(&request, &mut |_| ControlFlow::Continue(()))?;
        let took = start.elapsed();
        let cpu = processor(UsageWho::RUSAGE_SELF)?.saturating_sub(cpu);
        let verdict = Verdict::of(&measurement.measured);
        anyhow::ensure!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
        let clean = self.is_clean()?;
        let last = |spans: Vec<Span>| spans.last().map_or(0.0, |span| rate(nanos(span.took_ns)));
        let measured = &measurement.measured;
        values.write.push(clean * last(measured.passes.iter().map(|pass| pass.span).collect()));
        values.read.push(clean * last(measured.read_backs.iter().map(|read| read.span).collect()));
        values.whole.push(per_gib(took));
        values.cpu.push(per_gib(cpu));
        Ok(())
    }

    fn fio(&self, values: &mut Values) -> anyhow::Result<()> {
        let path = self.fill(&self.disk.mount)?;
        let write = fio(&path, "write")?;
        let read = fio(&path, "read")?;
        std::fs::remove_file(&path)?;
        let clean = self.is_clean()?;
        values.write.push(clean * write);
        values.read.push(read);
        Ok(())
    }

    fn dd(&self, values: &mut Values) -> anyhow::Result<()> {
        let path = self.fill(&self.disk.mount)?;
        let file = path.to_str().context("path is not UTF-8")?;
        let script = format!(
            "set -e; dd if=/dev/zero of=$0 bs=4M count={} oflag=direct conv=notrunc,fsync \
             status=none; dd if=$0 bs=4M iflag=direct status=none | cmp -n {} - /dev/zero",
            FILE_MIB / 4,
            FILE_MIB << 20
        );
        let cpu = processor(UsageWho::RUSAGE_CHILDREN)?;
        let start = Instant::now();
        program(&["bash", "-o", "pipefail", "-c", &script, file])?;
        let took = start.elapsed();
        let cpu = processor(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(cpu);
        std::fs::remove_file(&path)?;
        anyhow::ensure!(self.is_clean()? > 0.0, "dd left marks on the device");
        values.whole.push(per_gib(took));
        values.cpu.push(per_gib(cpu));
        Ok(())
    }

    fn memory(&self, values: &mut Values) -> anyhow::Result<()> {
        let path = self.fill(&self.ram.mount)?;
        let request = MemoryWipe {
            path,
            seed: Seed::new(&[9; 32], b"bench"),
            vmm_dead: true,
            left_out_of_dumps: true,
            residue: Vec::new(),
            resume: None,
            clocks: clocks(),
        };
        let start = Instant::now();
        let measurement = memory::wipe(&request, &mut |_| ControlFlow::Continue(()))?;
        values.whole.push(per_gib(start.elapsed()));
        let measured = &measurement.measured;
        let clean = measured.read_backs.iter().all(tenure_agent::core::wipe::ReadBack::is_clean);
        anyhow::ensure!(clean, "the memory was not read back clean");
        values.write.extend(measured.passes.last().map(|pass| rate(nanos(pass.span.took_ns))));
        values.read.extend(measured.read_backs.last().map(|read| rate(nanos(read.span.took_ns))));
        Ok(())
    }

    /// A file of incompressible data with a mark in each block, on the device and in no cache.
    fn fill(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        let path = dir.join("volume");
        let mut file = File::create(&path)?;
        for _ in 0..(FILE_MIB << 20) / self.content.len() as u64 {
            file.write_all(&self.content)?;
        }
        file.sync_all()?;
        nix::fcntl::posix_fadvise(
            &file,
            0,
            0,
            nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED,
        )?;
        Ok(path)
    }

    /// 1 if no mark is on the device, 0 otherwise.
    fn is_clean(&self) -> anyhow::Result<f64> {
        program(&["sync", "-f", self.disk.mount.to_str().context("path is not UTF-8")?])?;
        let left = scan::count(Path::new(&self.disk.device), MARK)?;
        Ok(if left == 0 { 1.0 } else { 0.0 })
    }
}

/// 4 MiB of random bytes with a mark at the start of each block.
fn content() -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; 4 << 20];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    for block in bytes.chunks_mut(4096) {
        block[..MARK.len()].copy_from_slice(MARK);
    }
    Ok(bytes)
}

/// MB/s that fio reaches over the file as it lies, its final sync included.
fn fio(path: &Path, direction: &str) -> anyhow::Result<f64> {
    let start = format!("--filename={}", path.display());
    let rw = format!("--rw={direction}");
    let size = format!("--size={FILE_MIB}m");
    let text = program(&[
        "fio",
        "--name=wipe",
        &start,
        &rw,
        &size,
        "--bs=1m",
        "--direct=1",
        "--ioengine=io_uring",
        "--iodepth=4",
        "--zero_buffers",
        "--fsync_on_close=1",
        "--end_fsync=1",
        "--output-format=json",
    ])?;
    let json: serde_json::Value = serde_json::from_str(&text).context("fio's report")?;
    let job = &json["jobs"][0];
    let bytes = job[direction]["io_bytes"].as_f64().context("fio's report has no bytes")?;
    // The job's own time: with the sync, without the start of the program.
    let ms = job["job_runtime"].as_f64().context("fio's report has no time")?;
    Ok(bytes / 1e6 / (ms / 1e3))
}

fn clocks() -> Clocks {
    Clocks {
        now: || {
            let since = UNIX_EPOCH.elapsed().unwrap_or_default();
            Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(0))
        },
        monotonic: || {
            nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
                .map_or(Duration::ZERO, Duration::from)
        },
    }
}

/// User and system time so far.
fn processor(who: UsageWho) -> anyhow::Result<Duration> {
    let usage = getrusage(who)?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

fn nanos(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

fn rate(took: Duration) -> f64 {
    (FILE_MIB << 20) as f64 / 1e6 / took.as_secs_f64().max(1e-9)
}

fn per_gib(took: Duration) -> f64 {
    took.as_secs_f64() * 1024.0 / FILE_MIB as f64
}
