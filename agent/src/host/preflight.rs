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

use super::nft::{self, NftFailure};
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
    /// The socket's path does not fit.
    #[error("the socket's path {0} is over {MAX_SOCKET_PATH} bytes: choose a shorter run_dir")]
    SocketPath(PathBuf),
    /// A directory cannot be made.
    #[error(transparent)]
    Make(#[from] FileFailure),
}

/// Checks all, and makes the directories that are Tenure's alone.
///
/// # Errors
/// [`PreflightFailure`]: the first condition that does not hold.
pub fn check(config: &HostdConfig) -> Result<(), PreflightFailure> {
    if !geteuid().is_root() {
        return Err(PreflightFailure::NotRoot);
    }
    if config.vmm_uid == 0 || config.vmm_uid == config.agent_uid {
        return Err(PreflightFailure::User("vmm_uid"));
    }
    let socket = config.socket();
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(PreflightFailure::SocketPath(socket));
    }
    program(&config.qemu, "qemu-system-x86", "qemu")?;
    program(&config.qemu_img, "qemu-utils", "qemu_img")?;
    nft::probe()?;
    file::directory(&config.state_dir, 0o700, None)?;
    file::directory(&config.run_dir, 0o711, None)?;
    file::directory(&config.instances_dir(), 0o700, None)?;
    file::directory(&config.volume_dir, 0o700, None)?;
    file::directory(&config.key_dir, 0o700, None)?;
    let kind = kind(&config.ram_dir, "ram_dir")?;
    if kind != TMPFS_MAGIC && kind != HUGETLBFS_MAGIC {
        return Err(PreflightFailure::RamDir(config.ram_dir.clone()));
    }
    private(&config.ram_dir, "ram_dir")?;
    in_place(&config.volume_dir, "volume_dir")?;
    in_place(&config.key_dir, "key_dir")?;
    self::kind(&config.image_dir, "image_dir")?;
    Ok(())
}

fn program(path: &Path, package: &'static str, key: &'static str) -> Result<(), PreflightFailure> {
    // A bare name is looked for in PATH when it is started.
    if path.components().count() > 1 && !path.is_file() {
        return Err(PreflightFailure::Program { path: path.to_owned(), package, key });
    }
    Ok(())
}

fn kind(path: &Path, key: &'static str) -> Result<nix::sys::statfs::FsType, PreflightFailure> {
    let failed = |source| PreflightFailure::Directory { path: path.to_owned(), key, source };
    Ok(statfs(path).map_err(|errno| failed(errno.into()))?.filesystem_type())
}

fn in_place(path: &Path, key: &'static str) -> Result<(), PreflightFailure> {
    let found = kind(path, key)?;
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
