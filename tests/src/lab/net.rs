//! Networks of the lab: namespaces, switches between them, uplinks into tenants' bridges.
//!
//! ```text
//!   host h1 ── veth ──┐                     host h1: tb-100 ── up-100 ─┐
//!   host h2 ── veth ──┼─ Switch (mgmt)      host h2: tb-100 ── up-100 ─┼─ Switch (gateway .1)
//!   host h3 ── veth ──┘                     in the customer's namespace ┘
//! ```

use std::{
    fs::File,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, anyhow};
use nix::sched::{CloneFlags, setns};

use super::daemon::{run, run_in};

/// A number for names that must not meet, within this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A named network namespace with its loopback up. The last clone to be dropped removes it; what
/// still runs inside keeps it alive without its name.
#[derive(Debug, Clone)]
pub struct Netns {
    /// As `ip netns` has it.
    pub name: String,
    _removal: Arc<Removal>,
}

#[derive(Debug)]
struct Removal(String);

impl Drop for Removal {
    fn drop(&mut self) {
        let _ = run(&["ip", "netns", "del", &self.0]);
    }
}

impl Netns {
    /// Makes a namespace of this name.
    ///
    /// # Errors
    /// If there is one already, or without root.
    pub fn create(name: &str) -> anyhow::Result<Self> {
        run(&["ip", "netns", "add", name])?;
        let netns = Self { name: name.to_owned(), _removal: Arc::new(Removal(name.to_owned())) };
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// Makes a namespace whose name no other process or test has.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn unique(label: &str) -> anyhow::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::create(&format!("tn-{label}-{}-{number}", std::process::id()))
    }

    /// Runs `ip` with these words inside.
    ///
    /// # Errors
    /// If it fails: with its standard error.
    pub fn ip(&self, words: &[&str]) -> anyhow::Result<String> {
        run(&[&["ip", "-n", self.name.as_str()], words].concat())
    }

    /// Runs a program to its end inside.
    ///
    /// # Errors
    /// If it cannot be started, or fails: with its standard error.
    pub fn run(&self, argv: &[&str]) -> anyhow::Result<String> {
        run_in(&self.name, argv)
    }

    /// Calls `work` on a thread of its own inside. Sockets, taps and processes that it makes stay
    /// inside when they are used elsewhere.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or `work` panics.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let file = File::open(format!("/run/netns/{}", self.name))
            .with_context(|| format!("no namespace {}", self.name))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(file, CloneFlags::CLONE_NEWNET)?;
                anyhow::Ok(work())
            });
            inside.join().map_err(|_| anyhow!("a thread in {} panicked", self.name))?
        })
    }

    /// Gives a device inside an address.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn address(&self, device: &str, address: Ipv4Addr, prefix: u8) -> anyhow::Result<()> {
        let address = format!("{address}/{prefix}");
        self.ip(&["address", "add", &address, "dev", device]).map(drop)
    }
}

/// A bridge in a namespace, into which other namespaces and tenants' bridges are plugged.
#[derive(Debug, Clone)]
pub struct Switch {
    netns: Netns,
    bridge: String,
}

impl Switch {
    /// Makes the bridge `bridge` in `netns` and brings it up.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn create(netns: &Netns, bridge: &str) -> anyhow::Result<Self> {
        netns.ip(&["link", "add", bridge, "type", "bridge", "mcast_snooping", "0"])?;
        netns.ip(&["link", "set", bridge, "up"])?;
        Ok(Self { netns: netns.clone(), bridge: bridge.to_owned() })
    }

    /// Gives the namespace of the switch itself an address on it.
    ///
    /// # Errors
    /// If the address is taken.
    pub fn address(&self, address: Ipv4Addr, prefix: u8) -> anyhow::Result<()> {
        self.netns.address(&self.bridge, address, prefix)
    }

    /// Joins a namespace: it gets the device `device` with this address.
    ///
    /// # Errors
    /// If it has such a device already.
    pub fn join(
        &self,
        netns: &Netns,
        device: &str,
        address: Ipv4Addr,
        prefix: u8,
    ) -> anyhow::Result<()> {
        self.cable(netns, device)?;
        netns.address(device, address, prefix)
    }

    /// Plugs a tenant's bridge on a host into this switch, by an uplink named `up-…`.
    ///
    /// # Errors
    /// If the host has no such bridge.
    pub fn plug(&self, host: &Netns, tenant_bridge: &str) -> anyhow::Result<()> {
        let uplink = format!("up-{}", tenant_bridge.trim_start_matches("tb-"));
        self.cable(host, &uplink)?;
        host.ip(&["link", "set", &uplink, "master", tenant_bridge]).map(drop)
    }

    fn cable(&self, netns: &Netns, device: &str) -> anyhow::Result<()> {
        let port = format!("port{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cable(&self.netns, &port, netns, device)?;
        self.netns.ip(&["link", "set", &port, "master", &self.bridge]).map(drop)
    }
}

/// A cable: `here` in `netns` and `there` in `other`, both up.
///
/// # Errors
/// If a name is taken.
pub fn cable(netns: &Netns, here: &str, other: &Netns, there: &str) -> anyhow::Result<()> {
    netns.ip(&[
        "link",
        "add",
        here,
        "type",
        "veth",
        "peer",
        "name",
        there,
        "netns",
        &other.name,
    ])?;
    netns.ip(&["link", "set", here, "up"])?;
    other.ip(&["link", "set", there, "up"]).map(drop)
}

/// Whether network tests can run here; else the reason is printed as SKIPPED.
#[must_use]
pub fn can_run(test: &str) -> bool {
    let reason = if !nix::unistd::geteuid().is_root() {
        "needs root"
    } else if !std::path::Path::new("/dev/net/tun").exists() {
        "needs /dev/net/tun"
    } else if run(&["ip", "netns", "list"]).is_err() {
        "needs ip from iproute2"
    } else if run(&["nft", "--version"]).is_err() {
        "needs nft"
    } else {
        return true;
    };
    eprintln!("SKIPPED: {test}: {reason}");
    false
}
