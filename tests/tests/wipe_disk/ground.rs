//! Where the tests wipe: a file system on a loop device, and a mark that is nowhere else.

use super::*;

pub(super) const MIB: u64 = 1 << 20;
pub(super) const EXT4: &[&str] = &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0"];
pub(super) const XFS: &[&str] = &["mkfs.xfs", "-q", "-f"];
pub(super) const BTRFS: &[&str] = &["mkfs.btrfs", "-q", "-f"];

/// A file system on a loop device, and a mark that is nowhere else.
pub(super) struct Ground {
    pub(super) disk: LoopDisk,
    pub(super) mark: Vec<u8>,
    _dir: Option<tempfile::TempDir>,
}

impl Ground {
    /// `None`, and a word about it, where loop devices cannot be made.
    pub(super) fn new(name: &str, mib: u64, mkfs: &[&str]) -> anyhow::Result<Option<Self>> {
        if !Self::possible(mkfs)? {
            return Ok(None);
        }
        let dir = tempfile::Builder::new().prefix("tenure-wipe-").tempdir_in("/var/tmp")?;
        let disk = LoopDisk::with(dir.path().join("mount"), mib, mkfs)?;
        Ok(Some(Self { _dir: Some(dir), ..Self::on(disk, name) }))
    }

    /// On a device that was made otherwise.
    pub(super) fn on(disk: LoopDisk, name: &str) -> Self {
        let mark = format!("TENURE-WIPE-MARK:{}:{name}:", std::process::id()).into_bytes();
        Self { disk, mark, _dir: None }
    }

    /// Whether loop devices with that file system can be made; says why not.
    pub(super) fn possible(mkfs: &[&str]) -> anyhow::Result<bool> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: loop devices and mounts need root");
            return Ok(false);
        }
        let program = mkfs.first().context("no program")?;
        if run(&["which", program]).is_err() {
            eprintln!("SKIPPED: {program} is not installed");
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.disk.mount.join(name)
    }

    pub(super) fn plant(&self, file: &File, from: u64, length: u64) -> anyhow::Result<()> {
        plant(&self.mark, file, from, length)
    }

    pub(super) fn volume(&self, mib: u64) -> anyhow::Result<PathBuf> {
        let path = self.path("volume");
        self.plant(&File::create(&path)?, 0, mib * MIB)?;
        Ok(path)
    }

    /// Does something to the device while its file system is not mounted.
    pub(super) fn unmounted<T>(
        &self,
        act: impl FnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mount = self.disk.mount.to_str().context("UTF-8")?;
        run(&["umount", mount])?;
        let done = act(self);
        run(&["mount", &self.disk.device, mount])?;
        done
    }

    pub(super) fn marks(&self) -> anyhow::Result<usize> {
        run(&["sync", "-f", self.disk.mount.to_str().context("UTF-8")?])?;
        scan::count(Path::new(&self.disk.device), &self.mark)
    }
}

/// Writes a mark at the start of each 4096 bytes of a range.
pub(super) fn plant(mark: &[u8], file: &File, from: u64, length: u64) -> anyhow::Result<()> {
    let mut block = vec![0x5A; 4096];
    block[..mark.len()].copy_from_slice(mark);
    let blocks = block.repeat(256);
    let mut at = from;
    while at < from + length {
        let count = usize::try_from((from + length - at).min(blocks.len() as u64))?;
        file.write_all_at(&blocks[..count], at)?;
        at += count as u64;
    }
    file.sync_all()?;
    Ok(())
}

pub(super) fn request(path: &Path) -> DiskWipe {
    DiskWipe {
        path: path.to_owned(),
        device: None,
        seed: Seed::new(&[7; 32], b"a volume"),
        vmm_dead: true,
        limit: None,
        resume: None,
        clocks: Clocks {
            now: || {
                let since = UNIX_EPOCH.elapsed().unwrap_or_default();
                Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(0))
            },
            monotonic: || UNIX_EPOCH.elapsed().unwrap_or_default(),
        },
    }
}

pub(super) fn wipe(path: &Path) -> Result<DiskMeasurement, DiskFailure> {
    disk::wipe(&request(path), &mut |_| ControlFlow::Continue(()))
}

pub(super) fn code(path: &Path) -> &'static str {
    wipe(path).map_or_else(|failure| failure.code(), |_| "wiped")
}

pub(super) fn assert_passes(measurement: &DiskMeasurement) {
    let verdict = Verdict::of(&measurement.measured);
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}\n{measurement:#?}");
}
