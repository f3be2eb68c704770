//! The run directory of an instance: what the agent finds again after a restart.
//!
//! | file | what |
//! |---|---|
//! | `boot-id` | the host's boot: process numbers of another one mean nothing |
//! | `process` | QEMU's own `/proc/<pid>/stat` line, written by itself before it became QEMU |
//! | `qmp` | the socket |
//! | `console.log` | what the guest printed; may hold its secrets |
//! | `qemu.log` | what QEMU printed |
//!
//! It is fresh at each start, and stays after the machine's end until it is wiped or the next
//! start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        fs::{DirBuilderExt, FileExt, OpenOptionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use super::VmmFailure;
use crate::host::pidfd::{Pidfd, ProcessId};

/// The socket's name in its directory.
pub(super) const QMP: &str = "qmp";

/// What the guest printed.
pub(super) const CONSOLE: &str = "console.log";

/// What QEMU printed.
const QEMU_LOG: &str = "qemu.log";

const BOOT_ID: &str = "boot-id";
const PROCESS: &str = "process";

/// The host's own boot id.
const HOST_BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// An instance's run directory.
#[derive(Debug, Clone)]
pub(super) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes it anew. What a former start left is overwritten and removed; the caller has made sure
    /// that its process is dead.
    pub(super) fn renew(&self) -> Result<(), VmmFailure> {
        self.remove()?;
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).create(&self.path).map_err(on("create", &self.path))?;
        let boot_id = fs::read(HOST_BOOT_ID).map_err(on("read", Path::new(HOST_BOOT_ID)))?;
        let path = self.path.join(BOOT_ID);
        let mut file = self.create(BOOT_ID, false)?;
        file.write_all(&boot_id).map_err(on("write", &path))?;
        file.sync_all().map_err(on("sync", &path))
    }

    /// Overwrites the logs and removes everything. Absent is fine.
    pub(super) fn remove(&self) -> Result<(), VmmFailure> {
        for name in [CONSOLE, QEMU_LOG] {
            overwrite(&self.path.join(name))?;
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(on("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The process of this directory, if it is alive.
    pub(super) fn process(&self) -> Result<Option<Pidfd>, VmmFailure> {
        let Some(boot_id) = read_small(&self.path.join(BOOT_ID))? else { return Ok(None) };
        let now = read_small(Path::new(HOST_BOOT_ID))?;
        if now.as_ref() != Some(&boot_id) {
            return Ok(None);
        }
        let Some(line) = read_small(&self.path.join(PROCESS))? else { return Ok(None) };
        let Some(id) = ProcessId::from_stat(&line) else { return Ok(None) };
        let follow = |source| VmmFailure::Follow { pid: id.pid, source };
        let Some(found) = Pidfd::open(id).map_err(follow)? else { return Ok(None) };
        Ok(if found.is_dead().map_err(follow)? { None } else { Some(found) })
    }

    /// Opens the directory, to reach the socket by it.
    pub(super) fn open(&self) -> Result<File, VmmFailure> {
        File::open(&self.path).map_err(on("open", &self.path))
    }

    pub(super) fn console(&self) -> Result<File, VmmFailure> {
        self.create(CONSOLE, true)
    }

    pub(super) fn qemu_log(&self) -> Result<File, VmmFailure> {
        self.create(QEMU_LOG, true)
    }

    pub(super) fn record(&self) -> Result<File, VmmFailure> {
        self.create(PROCESS, false)
    }

    pub(super) fn listen(&self) -> Result<UnixListener, VmmFailure> {
        use std::os::fd::AsRawFd as _;
        let dir = self.open()?;
        // By the descriptor, since a socket's path may not be longer than 107 bytes.
        let path = format!("/proc/self/fd/{}/{QMP}", dir.as_raw_fd());
        UnixListener::bind(path).map_err(on("listen on", &self.path.join(QMP)))
    }

    /// The end of what QEMU printed, for an error.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(self.path.join(QEMU_LOG)).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(2048)..];
        let words = String::from_utf8_lossy(tail).trim().replace('\n', "; ");
        if words.is_empty() { "it said nothing".to_owned() } else { words }
    }

    fn create(&self, name: &str, append: bool) -> Result<File, VmmFailure> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.write(true).append(append).create_new(true).mode(0o600);
        options.open(&path).map_err(on("create", &path))
    }
}

/// Overwrites a log where it lies, durably. Absent is fine.
pub(super) fn overwrite(path: &Path) -> Result<u64, VmmFailure> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(on("open", path)(error)),
    };
    let length = file.metadata().map_err(on("stat", path))?.len();
    let zeros = vec![0; 64 << 10];
    let mut at = 0;
    while at < length {
        let count = usize::try_from(length - at).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all_at(&zeros[..count], at).map_err(on("overwrite", path))?;
        at += count as u64;
    }
    file.sync_all().map_err(on("sync", path))?;
    Ok(length)
}

/// Empties a log that has grown beyond `limit` bytes. QEMU appends to it, so it goes on from the
/// start; what it prints in between is lost.
pub(super) fn trim(path: &Path, limit: u64) -> Result<(), VmmFailure> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(on("stat", path)(error)),
    };
    if length <= limit {
        return Ok(());
    }
    overwrite(path)?;
    let file = OpenOptions::new().write(true).open(path).map_err(on("open", path))?;
    file.set_len(0).map_err(on("empty", path))
}

/// A file of at most 4 KiB; `None` if it does not exist.
fn read_small(path: &Path) -> Result<Option<String>, VmmFailure> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(on("read", path)(error)),
    }
}

fn on(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VmmFailure {
    let path = path.to_owned();
    move |source| VmmFailure::File { act, path, source }
}
