//! What a run of the lab made outside of its own memory, written down before it is made, so that a
//! later process can remove it if this one is killed.
//!
//! A run has a directory `/var/tmp/tenure-lab-<pid>`, and another one of the same process
//! `/var/tmp/tenure-lab-<pid>.<label>`. Its network namespaces are named `tnl<pid>-<name>`, or
//! `tnl<pid>.<label>-<name>`; every process of the run lives in one of them. Mounts are below the
//! directory, loop devices have their backing files there. So the directory's name alone says what
//! to remove.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::daemon::{run, wait_for};

const PARENT: &str = "/var/tmp";
const PREFIX: &str = "tenure-lab-";

/// A run's directory. Dropping it removes all that the run made, unless it is kept.
pub struct RunDir {
    /// The directory.
    pub path: PathBuf,
    name: String,
    keep: bool,
}

impl RunDir {
    /// A directory for this process, mode 0755.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create() -> anyhow::Result<Self> {
        Self::named(std::process::id().to_string())
    }

    /// One of several directories of this process.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn labelled(label: &str) -> anyhow::Result<Self> {
        Self::named(format!("{}.{label}", std::process::id()))
    }

    fn named(name: String) -> anyhow::Result<Self> {
        let path = Path::new(PARENT).join(format!("{PREFIX}{name}"));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, name, keep: false })
    }

    /// The full name of this run's network namespace `name`.
    #[must_use]
    pub fn netns(&self, name: &str) -> String {
        format!("tnl{}-{name}", self.name)
    }

    /// Leaves everything as it is when this value is dropped, and in sweeps but the last.
    ///
    /// # Errors
    /// If the mark cannot be written.
    pub fn keep(&mut self) -> anyhow::Result<()> {
        self.keep = true;
        fs::write(self.path.join("keep"), "")?;
        Ok(())
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.keep {
            for error in remove(&self.name) {
                eprintln!("cleaning up: {error:#}");
            }
        }
    }
}

/// Removes what runs left behind whose process is gone; kept ones only if `kept`. Returns their
/// directories.
///
/// # Errors
/// All that could not be removed, in one message.
pub fn sweep(kept: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut swept = Vec::new();
    let mut errors = Vec::new();
    for entry in fs::read_dir(PARENT)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let pid = name.split('.').next().unwrap_or_default();
        if pid.parse::<u32>().is_err() {
            continue;
        }
        let runs = Path::new(&format!("/proc/{pid}")).exists();
        if runs || (path.join("keep").exists() && !kept) {
            continue;
        }
        errors.extend(remove(name));
        swept.push(path);
    }
    if errors.is_empty() {
        return Ok(swept);
    }
    let lines: Vec<String> = errors.iter().map(|error| format!("{error:#}")).collect();
    anyhow::bail!("{}", lines.join("\n"))
}

/// Removes all that the run of this name made; goes on after an error, and returns all of them.
fn remove(name: &str) -> Vec<anyhow::Error> {
    let dir = Path::new(PARENT).join(format!("{PREFIX}{name}"));
    let mut errors = Vec::new();
    errors.extend(end_processes(&dir).err());
    for netns in namespaces(&format!("tnl{name}-")) {
        errors.extend(remove_namespace(&netns).err());
    }
    // What a loop device lies on is busy until that is detached.
    let _ = unmount_below(&dir, &[]);
    errors.extend(detach_loops(&dir).err());
    errors.extend(unmount_below(&dir, &["-l"]).err());
    if dir.exists() {
        errors.extend(fs::remove_dir_all(&dir).with_context(|| format!("{}", dir.display())).err());
    }
    errors
}

/// Kills every process but this one that has a file below `dir` open: guests, which outlive their
/// agents and live in namespaces without names.
///
/// # Errors
/// If one of them does not die.
pub fn end_processes(dir: &Path) -> anyhow::Result<()> {
    let prefix = format!("{}/", dir.display());
    wait_for(&format!("processes of {} to end", dir.display()), Duration::from_secs(20), || {
        let pids = holders(&prefix)?;
        for pid in &pids {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        Ok(pids.is_empty().then_some(()))
    })
}

fn holders(prefix: &str) -> anyhow::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(pid) = name.parse::<i32>() else { continue };
        // A process that is ending has no readable list.
        let Ok(files) = fs::read_dir(path.join("fd")) else { continue };
        let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        let own = pid == Pid::this().as_raw();
        if !own && targets.any(|target| target.to_string_lossy().starts_with(prefix)) {
            pids.push(Pid::from_raw(pid));
        }
    }
    Ok(pids)
}

fn namespaces(prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn remove_namespace(netns: &str) -> anyhow::Result<()> {
    wait_for(&format!("processes in {netns} to end"), Duration::from_secs(20), || {
        let pids = run(&["ip", "netns", "pids", netns])?;
        for pid in pids.split_whitespace() {
            let _ = kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL);
        }
        Ok(pids.trim().is_empty().then_some(()))
    })?;
    run(&["ip", "netns", "del", netns]).map(drop)
}

fn unmount_below(dir: &Path, options: &[&str]) -> anyhow::Result<()> {
    let prefix = format!("{}/", dir.display());
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let below: Vec<&str> = below.filter(|mount| mount.starts_with(&prefix)).collect();
    for mount in below.iter().rev() {
        run(&[&["umount"][..], options, &[*mount]].concat())?;
    }
    Ok(())
}

fn detach_loops(dir: &Path) -> anyhow::Result<()> {
    let prefix = format!("{}/", dir.display());
    let list = run(&["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"])?;
    for line in list.lines() {
        if let Some((device, file)) = line.trim().split_once(char::is_whitespace)
            && file.trim().starts_with(&prefix)
        {
            // Its partitions would outlive it; most have none, which partx calls an error.
            let _ = run(&["partx", "--delete", device]);
            run(&["losetup", "-d", device])?;
        }
    }
    Ok(())
}
