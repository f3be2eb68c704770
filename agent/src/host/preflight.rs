//! What must hold before tenure-hostd starts: each condition with a sentence that says what to do.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{
    sys::statfs::{EXT4_SUPER_MAGIC, HUGETLBFS_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, statfs},
    unistd::geteuid,
};

use super::{
    disk::BlockDevice,
    nft::{self, NftFailure},
    pool::{Pool, PoolFailure},
};
use crate::{
    config::HostdConfig,
    file::{self, FileFailure},
    socket::MAX_SOCKET_PATH,
};

/// Why tenure-hostd does not start.
#[derive(Debug, thiserror::Error)]
pub enum PreflightFailure {
    /// Not root.
    #[error("tenure-hostd must run as root: it makes taps, packet filters and volumes")]
    NotRoot,
    /// The machines' user is root's or the agent's.
    #[error("{0} must be a user of its own, neither root nor another of Tenure's users")]
    User(&'static str),
    /// A program is missing.
    #[error("{path} is not there: install {package}, or set {key} in the configuration")]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// What has it.
        package: &'static str,
        /// The configuration's key.
        key: &'static str,
    },
    /// nft or the kernel.
    #[error(transparent)]
    Nft(#[from] NftFailure),
    /// A directory cannot be looked at.
    #[error("cannot look at {path} ({key}): make it")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The configuration's key.
        key: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Guests' memory would lie on a disk.
    #[error(
        "ram_dir {0} is neither tmpfs nor hugetlbfs: mount one (mount -t tmpfs -o \
         mode=0700,size=… tmpfs {0})"
    )]
    RamDir(PathBuf),
    /// Guests' memory could reach a swap device.
    #[error(
        "{0} is a tmpfs that may be swapped out: run swapoff -a, or mount it with noswap (Linux \
         6.4), or use hugetlbfs"
    )]
    Swap(PathBuf),
    /// Overwriting in place proves nothing there.
    #[error("{key} {path} is not on ext4 or XFS: overwriting in place proves nothing there")]
    FileSystem {
        /// The directory.
        path: PathBuf,
        /// The configuration's key.
        key: &'static str,
    },
    /// Others may look into it.
    #[error("{path} ({key}) is open to others: chmod 0700 {path}")]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// The configuration's key.
        key: &'static str,
    },
    /// No device for volumes.
    #[error("{path} of volume_devices cannot be used")]
    VolumeDevice {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The records of which volume is on which device.
    #[error(transparent)]
    Pool(#[from] PoolFailure),
    /// The socket's path does not fit.
    #[error("the socket's path {0} is over {MAX_SOCKET_PATH} bytes: choose a shorter run_dir")]
    SocketPath(PathBuf),
    /// A directory cannot be made.
    #[error(transparent)]
    Make(#[from] FileFailure),
}

/// Checks all, and only then makes the directories that are Tenure's alone.
///
/// # Errors
/// [`PreflightFailure`]: the first condition that does not hold. Nothing was made then, but where
/// making a directory itself failed.
pub fn check(config: &HostdConfig) -> Result<(), PreflightFailure> {
    isolation(config)?;
    machines(config)?;
    // Asked by the operator alone: a disk that fails must not keep a host from its tenants.
    for path in &config.volume_devices {
        BlockDevice::look(path)
            .map_err(|source| PreflightFailure::VolumeDevice { path: path.clone(), source })?;
    }
    Pool::new(&config.volume_devices, &config.volume_dir).taken()?;
    Ok(())
}

/// What cuts need: checked and made first, since a host that can hold no machine any more must
/// still assert its cuts.
///
/// # Errors
/// As [`check`].
pub fn isolation(config: &HostdConfig) -> Result<(), PreflightFailure> {
    if !geteuid().is_root() {
        return Err(PreflightFailure::NotRoot);
    }
    nft::probe()?;
    Ok(file::directory(&config.state_dir, 0o700, None)?)
}

/// What machines and their wipes need.
///
/// # Errors
/// As [`check`].
pub fn machines(config: &HostdConfig) -> Result<(), PreflightFailure> {
    if config.vmm_uid == 0 || config.vmm_uid == config.agent_uid {
        return Err(PreflightFailure::User("vmm_uid"));
    }
    let socket = config.socket();
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(PreflightFailure::SocketPath(socket));
    }
    program(&config.qemu, "qemu-system-x86", "qemu")?;
    program(&config.qemu_img, "qemu-utils", "qemu_img")?;
    let kind = kind(&config.ram_dir, "ram_dir")?;
    if kind != TMPFS_MAGIC && kind != HUGETLBFS_MAGIC {
        return Err(PreflightFailure::RamDir(config.ram_dir.clone()));
    }
    private(&config.ram_dir, "ram_dir")?;
    if kind == TMPFS_MAGIC {
        unswapped(&config.ram_dir)?;
    }
    in_place(&config.volume_dir, "volume_dir")?;
    in_place(&config.key_dir, "key_dir")?;
    self::kind(&config.image_dir, "image_dir")?;
    file::directory(&config.run_dir, 0o711, None)?;
    file::directory(&config.instances_dir(), 0o700, None)?;
    file::directory(&config.volume_dir, 0o700, None)?;
    Ok(file::directory(&config.key_dir, 0o700, None)?)
}

/// A program must be there: a path as it is, a bare name somewhere in PATH.
fn program(path: &Path, package: &'static str, key: &'static str) -> Result<(), PreflightFailure> {
    let there = if path.components().count() > 1 {
        path.is_file()
    } else {
        let dirs = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&dirs).any(|dir| dir.join(path).is_file())
    };
    let missing = || PreflightFailure::Program { path: path.to_owned(), package, key };
    if there { Ok(()) } else { Err(missing()) }
}

/// Memory that was swapped out stays on a disk that nobody overwrites.
fn unswapped(ram_dir: &Path) -> Result<(), PreflightFailure> {
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|source| PreflightFailure::Directory {
            path: path.into(),
            key: "ram_dir",
            source,
        })
    };
    if !swaps(&read("/proc/swaps")?) || noswap(&read("/proc/self/mountinfo")?, ram_dir) {
        Ok(())
    } else {
        Err(PreflightFailure::Swap(ram_dir.to_owned()))
    }
}

/// Whether `/proc/swaps` has more than its head.
fn swaps(text: &str) -> bool {
    text.lines().skip(1).any(|line| !line.trim().is_empty())
}

/// Whether the last mount at `dir`, by `/proc/self/mountinfo`, is one that is never swapped.
fn noswap(mountinfo: &str, dir: &Path) -> bool {
    let at = |line: &&str| line.split(' ').nth(4).is_some_and(|point| Path::new(point) == dir);
    mountinfo
        .lines()
        .rfind(at)
        .and_then(|line| line.rsplit(' ').next())
        .is_some_and(|options| options.split(',').any(|option| option == "noswap"))
}

/// The file system of a directory; of one that is not there yet, that of the nearest that is.
fn place(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(path)
}

fn kind(path: &Path, key: &'static str) -> Result<nix::sys::statfs::FsType, PreflightFailure> {
    let failed = |source| PreflightFailure::Directory { path: path.to_owned(), key, source };
    Ok(statfs(path).map_err(|errno| failed(errno.into()))?.filesystem_type())
}

fn in_place(path: &Path, key: &'static str) -> Result<(), PreflightFailure> {
    let found = kind(place(path), key)?;
    if found == EXT4_SUPER_MAGIC || found == XFS_SUPER_MAGIC {
        Ok(())
    } else {
        Err(PreflightFailure::FileSystem { path: path.to_owned(), key })
    }
}

fn private(path: &Path, key: &'static str) -> Result<(), PreflightFailure> {
    let failed = |source| PreflightFailure::Directory { path: path.to_owned(), key, source };
    if path.metadata().map_err(failed)?.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(PreflightFailure::Exposed { path: path.to_owned(), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_that_is_never_swapped_may_lie_beside_a_swap() {
        let head = "Filename\tType\tSize\tUsed\tPriority\n";
        assert!(!swaps(head) && swaps(&format!("{head}/dev/sda2 partition 1 0 -2\n")));
        let mount = |at: &str, options: &str| {
            format!("36 25 0:32 / {at} rw,nosuid shared:1 - tmpfs tmpfs {options}\n")
        };
        let ram = Path::new("/run/tenure-ram");
        let fixed = mount("/run/tenure-ram", "rw,mode=700,noswap");
        assert!(noswap(&fixed, ram));
        assert!(!noswap(&mount("/run/other", "rw,noswap"), ram));
        assert!(!noswap(&mount("/run/tenure-ram", "rw,mode=700"), ram));
        let over = mount("/run/tenure-ram", "rw");
        assert!(!noswap(&format!("{fixed}{over}"), ram), "the last mount is the one in use");
    }

    #[test]
    fn a_program_is_looked_for_where_it_would_be_started_from() {
        program(Path::new("sh"), "dash", "qemu").expect("in PATH");
        program(Path::new("/bin/sh"), "dash", "qemu").expect("there");
        for path in ["no-such-program", "/bin/no-such-program"] {
            let error = program(Path::new(path), "qemu-utils", "qemu_img").expect_err("missing");
            let sentence = error.to_string();
            assert!(["qemu-utils", "qemu_img", path].iter().all(|word| sentence.contains(word)));
        }
    }
}
