//! A medium that does wrong what a test asks for: the one file of a FUSE file system, for a loop
//! device to lie over.
//!
//! ```text
//! the test ─▶ ext4 or XFS ─▶ loop device ─▶ FUSE (direct I/O) ─▶ tenure-faulty-medium ─▶ raw file
//!     └──────────── faults, a line of JSON each ────────────────▶┘                          ▲
//!     └──────────── looks at what is truly stored ──────────────────────────────────────────┘
//! ```
//!
//! The process that serves is not the test's own: a test that is killed while it waits for the
//! medium could not end if it had to serve itself. When the test is gone, its pipe closes, the
//! server ends, and the kernel fails whatever still waits.
//!
//! The file is open for direct I/O, so that no page cache lies between the loop device and the
//! medium, whether the loop device itself asks for direct I/O or not.

mod serve;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use self::serve::serve;
use super::{daemon::run, undo::RunDir};

/// The smallest unit of a fault, bytes.
pub const SECTOR: u64 = 512;

/// What the server says once the medium is there, and after each line with faults.
const READY: &str = "ready";

/// What a medium does wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The first sector.
    pub first: u64,
    /// How many sectors.
    pub sectors: u64,
    /// What it does there.
    pub kind: FaultKind,
}

/// What a medium does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Writes end in `EIO`, and nothing of them is stored.
    WriteError,
    /// Reads end in `EIO`.
    ReadError,
    /// Zeros are acknowledged and not stored.
    ElidedZeros,
    /// Zeros are acknowledged, not stored, and read back as zeros: a mapping table forgot the
    /// sector, whose cells keep what they held.
    ForgottenZeros,
    /// Everything is acknowledged and not stored.
    LostWrites,
    /// Reads give what was there when the fault began.
    StaleReads,
    /// Writes are stored so many sectors further on, or back.
    Misdirected {
        /// How many.
        by: i64,
    },
}

/// A medium, served by a process of its own. Dropping it unmounts it and ends the process.
pub struct FaultyMedium {
    /// What to put a loop device over.
    pub file: PathBuf,
    /// What is truly stored: to be looked at, past all faults.
    pub raw: PathBuf,
    /// Where a file system over it can be mounted.
    pub mount: PathBuf,
    fuse: PathBuf,
    server: Child,
    faults: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _run: RunDir,
}

impl FaultyMedium {
    /// A sound medium of `mib` MiB, all zeros, served by `program` (tenure-faulty-medium).
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn start(program: &Path, label: &str, mib: u64) -> anyhow::Result<Self> {
        let dir = RunDir::labelled(label)?;
        let (raw, fuse) = (dir.path.join("raw"), dir.path.join("fuse"));
        File::create(&raw)?.set_len(mib << 20)?;
        fs::create_dir(&fuse)?;
        let mut server = Command::new(program)
            .args([&raw, &fuse])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let faults = server.stdin.take();
        let answers = BufReader::new(server.stdout.take().context("no output")?);
        let (file, mount) = (fuse.join(serve::FILE), dir.path.join("disk"));
        let mut medium = Self { file, raw, mount, fuse, server, faults, answers, _run: dir };
        medium.await_ready()?;
        Ok(medium)
    }

    /// From now on the medium has these faults and no others; none heals it.
    ///
    /// # Errors
    /// If the server is gone.
    pub fn inject(&mut self, faults: &[Fault]) -> anyhow::Result<()> {
        let line = serde_json::to_string(faults)?;
        writeln!(self.faults.as_mut().context("the server has no input")?, "{line}")?;
        self.await_ready()
    }

    fn await_ready(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        anyhow::ensure!(line.trim() == READY, "the faulty medium's server said {line:?}");
        Ok(())
    }
}

impl Drop for FaultyMedium {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", &self.fuse.to_string_lossy()]);
        // At the end of its input the server ends, and with it all that still waits for it.
        drop(self.faults.take());
        let _ = self.server.wait();
    }
}
