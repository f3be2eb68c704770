//! Network namespaces of the lab, and the cables between them.

use std::{fs::File, sync::Arc};

use anyhow::{Context as _, anyhow};
use nix::sched::{CloneFlags, setns};

use super::daemon::{run, run_in};

/// A named network namespace with its loopback up. The last clone's drop removes it.
#[derive(Debug, Clone)]
pub struct Netns {
    /// Its name, as `ip netns` has it.
    pub name: String,
    _guard: Arc<Guard>,
}

#[derive(Debug)]
struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = run(&["ip", "netns", "del", &self.0]);
    }
}

impl Netns {
    /// Makes a namespace.
    ///
    /// # Errors
    /// If there is one of that name, or `ip` fails.
    pub fn create(name: &str) -> anyhow::Result<Self> {
        run(&["ip", "netns", "add", name])?;
        let netns = Self { name: name.to_owned(), _guard: Arc::new(Guard(name.to_owned())) };
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// Runs `ip` with these words in the namespace.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn ip(&self, words: &[&str]) -> anyhow::Result<String> {
        run(&[&["ip", "-n", self.name.as_str()], words].concat())
    }

    /// Runs a program to its end in the namespace.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, argv: &[&str]) -> anyhow::Result<String> {
        run_in(&self.name, argv)
    }

    /// Runs `act` on a thread of its own that has entered the namespace: sockets that it makes stay
    /// there.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn within<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let path = format!("/run/netns/{}", self.name);
        let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let thread = std::thread::spawn(move || -> anyhow::Result<T> {
            setns(file, CloneFlags::CLONE_NEWNET).context("setns")?;
            Ok(act())
        });
        thread.join().map_err(|_| anyhow!("the thread in {} panicked", self.name))?
    }
}

/// A cable: `here` in `netns` and `there` in `other`, both up.
///
/// # Errors
/// If `ip` fails.
pub fn cable(netns: &Netns, here: &str, other: &Netns, there: &str) -> anyhow::Result<()> {
    let words = ["link", "add", here, "type", "veth", "peer", "name", there, "netns", &other.name];
    netns.ip(&words)?;
    netns.ip(&["link", "set", here, "up"])?;
    other.ip(&["link", "set", there, "up"])?;
    Ok(())
}
