//! Where all tools wipe: a loop device, filled before each run and scanned after it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    sys::resource::{UsageWho, getrusage},
};
use tempfile::TempDir;

use super::{Run, neighbour, ours};
use crate::{
    lab::{daemon::run, storage::LoopDisk},
    scan,
};

const MARK: &[u8] = b"TENURE-BENCH-MARK:";

const MKFS: &[&str] = &["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0"];

/// The device and what is on it.
pub(crate) struct Ground {
    pub(crate) disk: LoopDisk,
    /// Size of the wiped file.
    pub(crate) mib: u64,
    content: Vec<u8>,
    device_mib: u64,
    /// Goes last: the disk lies in it.
    pub(crate) dir: TempDir,
}

/// What a process cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
}

impl Ground {
    /// A device with room for a file of `mib` MiB, written over once: a file system below that
    /// gives blocks only at the first write would slow the first tool.
    pub(crate) fn new(mib: u64) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("tenure-bench-").tempdir_in("/var/tmp")?;
        let device_mib = mib + mib / 4 + neighbour::FILE_MIB + 16;
        let device_mib = device_mib.next_multiple_of(4);
        let disk = LoopDisk::create(dir.path().join("mount"), device_mib)?;
        let mut content = vec![0; 4 << 20];
        File::open("/dev/urandom")?.read_exact(&mut content)?;
        for block in content.chunks_mut(4096) {
            block[..MARK.len()].copy_from_slice(MARK);
        }
        let ground = Self { disk, mib, content, device_mib, dir };
        ground.without_file_system(|| {
            whole_sectors(&ground.disk.device)?;
            ground.write(Path::new(&ground.disk.device), device_mib)?;
            // No mark may be left from here.
            let count = format!("count={}", device_mib / 4);
            let output = format!("of={}", ground.disk.device);
            run(&["dd", "if=/dev/zero", &output, "bs=4M", &count, "oflag=direct", "status=none"])
        })?;
        anyhow::ensure!(ground.is_clean()?, "the device has marks before the first run");
        Ok(ground)
    }

    /// The file, of incompressible data with a mark in each block, on the device and in no cache.
    pub(crate) fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.disk.mount.join("volume");
        if path.exists() {
            fs::remove_file(&path)?;
        }
        self.write(&path, self.mib)?;
        self.drop_caches()?;
        Ok(path)
    }

    /// One run of a tool on a file.
    pub(crate) fn on_file(
        &self,
        tool: impl FnOnce(&Path) -> anyhow::Result<Run>,
    ) -> anyhow::Result<Run> {
        let path = self.fill()?;
        let before = self.sectors_read()?;
        let run = tool(&path)?;
        let read = self.sectors_read()? - before;
        if path.exists() {
            fs::remove_file(&path)?;
        }
        self.judged(run, read, self.mib)
    }

    /// One run of a tool that takes a device: its size in MiB is told.
    pub(crate) fn on_device(
        &self,
        tool: impl FnOnce(u64) -> anyhow::Result<Run>,
    ) -> anyhow::Result<Run> {
        self.without_file_system(|| {
            self.write(Path::new(&self.disk.device), self.device_mib)?;
            self.drop_caches()?;
            let before = self.sectors_read()?;
            let run = tool(self.device_mib)?;
            let read = self.sectors_read()? - before;
            self.judged(run, read, self.device_mib)
        })
    }

    /// With what the device and the scan say.
    fn judged(&self, run: Run, sectors: u64, mib: u64) -> anyhow::Result<Run> {
        let device_reads = (sectors * 512) as f64 / (mib << 20) as f64;
        Ok(Run { device_reads, is_clean: self.is_clean()?, ..run })
    }

    /// Whether no mark is on the device.
    pub(crate) fn is_clean(&self) -> anyhow::Result<bool> {
        self.drop_caches()?;
        Ok(scan::count(Path::new(&self.disk.device), MARK)? == 0)
    }

    /// Does something with the bare device, and makes a new file system.
    fn without_file_system<T>(&self, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mount = self.disk.mount.to_str().context("path is not UTF-8")?;
        run(&["umount", mount])?;
        let done = act();
        run(&[MKFS, &[self.disk.device.as_str()]].concat())?;
        run(&["mount", &self.disk.device, mount])?;
        done
    }

    fn write(&self, path: &Path, mib: u64) -> anyhow::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
        for _ in 0..(mib << 20) / self.content.len() as u64 {
            file.write_all(&self.content)?;
        }
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        Ok(())
    }

    /// The caches over this device alone: others use this machine, too.
    fn drop_caches(&self) -> anyhow::Result<()> {
        run(&["sync", "-f", self.disk.mount.to_str().context("path is not UTF-8")?])?;
        run(&["blockdev", "--flushbufs", &self.disk.device])?;
        let backing = File::open(&self.disk.backing)?;
        backing.sync_all()?;
        posix_fadvise(&backing, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        Ok(())
    }

    /// Sectors of 512 bytes that were read from the device so far (Documentation/block/stat.rst).
    pub(crate) fn sectors_read(&self) -> anyhow::Result<u64> {
        let name = self.disk.device.trim_start_matches("/dev/");
        let text = fs::read_to_string(format!("/sys/block/{name}/stat"))?;
        Ok(text.split_whitespace().nth(2).context("the device has no count")?.parse()?)
    }
}

/// Gives a loop device sectors of 4096 bytes, as disks have: with 512, which is a loop device's
/// own, nwipe writes 512 bytes at a time, and would look slower than it is.
pub(crate) fn whole_sectors(device: &str) -> anyhow::Result<()> {
    run(&["losetup", "--sector-size", "4096", device]).map(drop)
}

/// Runs a program to its end. What its children need counts, too, if it waits for them.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn cost(argv: &[&str]) -> anyhow::Result<(Cost, String)> {
    let before = processor()?;
    let start = Instant::now();
    let said = run(argv)?;
    let took = start.elapsed();
    Ok((Cost { took, cpu: processor()?.saturating_sub(before) }, said))
}

impl Cost {
    /// As a run over so many bytes.
    pub(crate) fn run(self, mib: u64) -> Run {
        let rate = ours::rate(mib, self.took.as_secs_f64());
        let cpu = self.cpu.as_secs_f64() * 1024.0 / mib as f64;
        Run { write: rate, whole: rate, cpu, ..Run::default() }
    }
}

/// User and system time of all children that have ended.
fn processor() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}
