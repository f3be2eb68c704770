//! Block devices and mounts of the lab: a loop device over a file, partitions or a file system on
//! it, a tmpfs, a hugetlbfs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::daemon::run;

/// A file system on a loop device of its own. Dropping it unmounts and frees both.
pub struct LoopDisk {
    /// The device, such as `/dev/loop3`.
    pub device: String,
    /// Where the file system is mounted.
    pub mount: PathBuf,
    /// The file under the device.
    pub backing: PathBuf,
}

impl LoopDisk {
    /// Makes a device of `mib` MiB with ext4 and mounts it at `mount`.
    ///
    /// # Errors
    /// If a program fails.
    pub fn create(mount: PathBuf, mib: u64) -> anyhow::Result<Self> {
        Self::with(mount, mib, &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0"])
    }

    /// As [`LoopDisk::create`], with the program that makes the file system.
    ///
    /// # Errors
    /// If a program fails.
    pub fn with(mount: PathBuf, mib: u64, mkfs: &[&str]) -> anyhow::Result<Self> {
        let backing = mount.with_extension("img");
        fs::create_dir_all(mount.parent().context("the mount has no directory")?)?;
        let path = backing.to_str().context("path is not UTF-8")?;
        run(&["fallocate", "-l", &format!("{mib}MiB"), path])?;
        Self::over(backing, mount, mkfs)
    }

    /// As [`LoopDisk::with`], over a file that is there, which goes with it.
    ///
    /// # Errors
    /// If a program fails.
    pub fn over(backing: PathBuf, mount: PathBuf, mkfs: &[&str]) -> anyhow::Result<Self> {
        fs::create_dir_all(&mount)?;
        let disk = Self { device: attach(&backing)?, mount, backing };
        run(&[mkfs, &[disk.device.as_str()]].concat())?;
        run(&["mount", &disk.device, disk.mount.to_str().context("path is not UTF-8")?])?;
        Ok(disk)
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", &self.mount.to_string_lossy()]);
        let _ = run(&["losetup", "-d", &self.device]);
        let _ = fs::remove_file(&self.backing);
    }
}

/// Partitions of a loop device of their own. Dropping it frees all.
pub struct Partitions {
    /// The whole device.
    pub device: String,
    /// Its partitions, such as `/dev/loop3p1`.
    pub parts: Vec<PathBuf>,
    backing: PathBuf,
}

impl Partitions {
    /// Makes partitions of these sizes, MiB, one after the other, all zeros, over a new file.
    ///
    /// # Errors
    /// If a program fails.
    pub fn create(backing: PathBuf, sizes_mib: &[u64]) -> anyhow::Result<Self> {
        let total = sizes_mib.iter().sum::<u64>() + 1;
        let path = backing.to_str().context("path is not UTF-8")?;
        run(&["fallocate", "-l", &format!("{total}MiB"), path])?;
        let mut disk = Self { device: attach(&backing)?, parts: Vec::new(), backing };
        let mut start = SECTORS_OF_MIB;
        for (number, mib) in (1..).zip(sizes_mib) {
            let (from, length) = (start.to_string(), (mib * SECTORS_OF_MIB).to_string());
            run(&["addpart", &disk.device, &number.to_string(), &from, &length])?;
            disk.parts.push(format!("{}p{number}", disk.device).into());
            start += mib * SECTORS_OF_MIB;
        }
        Ok(disk)
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        for number in 1..=self.parts.len() {
            let _ = run(&["delpart", &self.device, &number.to_string()]);
        }
        let _ = run(&["losetup", "-d", &self.device]);
        let _ = fs::remove_file(&self.backing);
    }
}

/// Partition tables count in units of 512 bytes.
const SECTORS_OF_MIB: u64 = 2048;

/// A loop device over a file, with direct I/O: its name. Whoever makes it frees it.
///
/// # Errors
/// If `losetup` fails.
pub fn attach(file: &Path) -> anyhow::Result<String> {
    let path = file.to_str().context("path is not UTF-8")?;
    let show = ["losetup", "--find", "--show", "--direct-io=on", path];
    Ok(run(&show)?.trim().to_owned())
}

/// A tmpfs of its own. Dropping it unmounts it.
pub struct RamDisk {
    /// Where it is mounted.
    pub mount: PathBuf,
}

impl RamDisk {
    /// Mounts a tmpfs of `mib` MiB, never swapped, mode 0700.
    ///
    /// # Errors
    /// If `mount` fails.
    pub fn create(mount: PathBuf, mib: u64) -> anyhow::Result<Self> {
        Self::with_mode(mount, mib, "0700")
    }

    /// The same, with this octal mode.
    ///
    /// # Errors
    /// If `mount` fails.
    pub fn with_mode(mount: PathBuf, mib: u64, mode: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(&mount)?;
        let path = mount.to_str().context("path is not UTF-8")?;
        let size = format!("size={mib}m,mode={mode}");
        // Kernels before 6.4 do not know `noswap`.
        if run(&["mount", "-t", "tmpfs", "-o", &format!("{size},noswap"), "tenure-lab", path])
            .is_err()
        {
            run(&["mount", "-t", "tmpfs", "-o", &size, "tenure-lab", path])?;
        }
        Ok(Self { mount })
    }
}

impl Drop for RamDisk {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", &self.mount.to_string_lossy()]);
    }
}

/// Where the kernel keeps its pool of huge pages (Documentation/admin-guide/mm/hugetlbpage.rst).
const HUGE_POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// A hugetlbfs of its own, over pages of 2 MiB that are added to the machine's pool. Dropping it
/// unmounts it and takes them out again.
pub struct HugeDisk {
    /// Where it is mounted.
    pub mount: PathBuf,
    added: u64,
}

impl HugeDisk {
    /// Adds pages for `mib` MiB to the pool, and mounts.
    ///
    /// # Errors
    /// If the machine has no huge pages, or not as many to give.
    pub fn create(mount: PathBuf, mib: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(&mount)?;
        let before = huge("nr_hugepages")?;
        let wanted = before + mib.div_ceil(2);
        set_huge(wanted)?;
        let added = huge("nr_hugepages")?.saturating_sub(before);
        let disk = Self { mount, added };
        anyhow::ensure!(before + added >= wanted, "{mib} MiB of huge pages are not free");
        let path = disk.mount.to_str().context("path is not UTF-8")?;
        let size = format!("pagesize=2M,size={mib}M");
        run(&["mount", "-t", "hugetlbfs", "-o", &size, "tenure-lab", path])?;
        Ok(disk)
    }
}

impl Drop for HugeDisk {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", &self.mount.to_string_lossy()]);
        let _ = huge("nr_hugepages").and_then(|now| set_huge(now.saturating_sub(self.added)));
    }
}

fn huge(name: &str) -> anyhow::Result<u64> {
    let path = format!("{HUGE_POOL}/{name}");
    let text = fs::read_to_string(&path).with_context(|| format!("no huge pages: {path}"))?;
    Ok(text.trim().parse()?)
}

#[expect(clippy::disallowed_methods, reason = "a setting of the kernel, no file")]
fn set_huge(count: u64) -> anyhow::Result<()> {
    Ok(fs::write(format!("{HUGE_POOL}/nr_hugepages"), count.to_string())?)
}
