//! Wipes what an instance's process left in its run directory: console log, sockets.

use std::{
    fs, io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use tenure_protocol::evidence::predicate::memory_wipe::{Residue, ResiduePlace, ResidueState};

use super::{disk, memory, overwrite::Clocks};
use crate::core::wipe::{Seed, Verdict};

/// A file of the run directory whose name begins so is a console's log.
pub const CONSOLE: &str = "console";

/// A run directory that cannot be emptied.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct LeftoverFailure {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Overwrites and unlinks each file of a directory, then removes the directory. The instance's
/// process must be dead. One residue for the console's log, one for all else; what could not be
/// wiped is still there, and is [`ResidueState::Found`].
///
/// # Errors
/// If the directory cannot be read. That it is not there is no error: nothing is left then.
pub fn wipe(dir: &Path, seed: Seed, clocks: Clocks) -> Result<Vec<Residue>, LeftoverFailure> {
    let failed = |operation, source| LeftoverFailure { operation, path: dir.to_owned(), source };
    let mut consoles = Tally::new(ResiduePlace::ConsoleLog);
    let mut others = Tally::new(ResiduePlace::RuntimeFiles);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(vec![consoles.residue(), others.residue()]);
        }
        entries => entries.map_err(|source| failed("read", source))?,
    };
    for entry in entries {
        let path = entry.map_err(|source| failed("read", source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let tally = if name.starts_with(CONSOLE) { &mut consoles } else { &mut others };
        match remove(&path, seed, clocks) {
            Ok(()) => tally.wiped += 1,
            Err(reason) => tally.left.push(reason),
        }
    }
    if consoles.left.is_empty() && others.left.is_empty() {
        fs::remove_dir(dir).map_err(|source| failed("remove", source))?;
    }
    Ok(vec![consoles.residue(), others.residue()])
}

struct Tally {
    place: ResiduePlace,
    wiped: u32,
    left: Vec<String>,
}

impl Tally {
    const fn new(place: ResiduePlace) -> Self {
        Self { place, wiped: 0, left: Vec::new() }
    }

    fn residue(self) -> Residue {
        let (state, detail) = if !self.left.is_empty() {
            (ResidueState::Found, self.left.join("; "))
        } else if self.wiped == 0 {
            (ResidueState::Clean, "nothing is there".to_owned())
        } else {
            (ResidueState::Clean, format!("{} overwritten, read back and removed", self.wiped))
        };
        Residue { place: self.place, state, detail }
    }
}

/// Removes one entry; gives a sentence if it is still there or was not wiped clean.
fn remove(path: &Path, seed: Seed, clocks: Clocks) -> Result<(), String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let metadata = fs::symlink_metadata(path).map_err(|error| at(&error))?;
    if metadata.is_dir() {
        return Err(at(&"a directory, which no instance makes there"));
    }
    // Sockets, links and empty files have no blocks.
    if !metadata.is_file() || (metadata.len() == 0 && metadata.blocks() == 0) {
        return fs::remove_file(path).map_err(|error| at(&error));
    }
    let request = disk::DiskWipe {
        path: path.to_owned(),
        device: None,
        seed,
        vmm_dead: true,
        limit: None,
        resume: None,
        clocks,
    };
    let verdict = match disk::wipe(&request, &mut |_| ControlFlow::Continue(())) {
        Ok(measurement) => Verdict::of(&measurement.measured),
        Err(failure) if failure.code() == disk::DiskRefusal::FileSystem.code() => {
            return remove_memory(path, seed, clocks).map_err(|error| at(&error));
        }
        Err(failure) => return Err(failure.to_string()),
    };
    match verdict {
        Verdict::Pass(_) => Ok(()),
        Verdict::PassWithExceptions(reasons) | Verdict::Failed(reasons) => {
            Err(at(&reasons.join(", ")))
        }
    }
}

/// Run directories are on tmpfs as a rule (`/run`).
fn remove_memory(path: &Path, seed: Seed, clocks: Clocks) -> Result<(), String> {
    let request = memory::MemoryWipe {
        path: path.to_owned(),
        seed,
        vmm_dead: true,
        left_out_of_dumps: true,
        residue: Vec::new(),
        resume: None,
        clocks,
    };
    let measured = memory::wipe(&request, &mut |_| ControlFlow::Continue(()))
        .map_err(|failure| failure.to_string())?
        .measured;
    let clean = measured.passes.iter().all(|pass| pass.bytes == measured.bytes)
        && measured.read_backs.iter().all(|read| read.is_clean() && read.bytes == measured.bytes);
    if !clean {
        return Err("it could not be overwritten and read back".to_owned());
    }
    // Nobody looked for residue of this file: it is residue itself. So its wipe, which is no full
    // pass, has not unlinked it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}
