//! A provider's site in the lab: a controller and two hosts with their agents, as operators install
//! them, each in a network namespace of its own; a customer's office with a mail server and a
//! webhook receiver; and the provider's fabric between them.
//!
//! ```text
//!   ctl (controller)   h1 (hostd, agent, guests)   h2 (the same)   cust (customer, operators)
//!        └───────────────────┴── mgmt bridge 10.80.0.0/24 ──┴──────────────┘
//!                            └── uplinks into tenants' bridges ──────────── cust
//! ```

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenure_agent::core::ruleset::bridge_name;
use tenure_protocol::wire::v1::Mark;

use super::{
    daemon::{Daemon, run, wait_for},
    guest,
    net::{Netns, Switch},
    probe,
    storage::{LoopDisk, Partitions, RamDisk},
    undo::{self, RunDir},
};

/// User of the agent's network side, and of the guests, in the lab: numbers that no account has.
pub const AGENT_UID: u32 = 64_701;
/// Users of the guests' processes, one for each host, are numbers from here on.
pub const VMM_UID: u32 = 64_702;

/// Address of the controller on the management network.
pub const CONTROLLER: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 2);
/// Address of the customer's office on the management network.
pub const OFFICE: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 9);

const API_PORT: u16 = 8443;

/// Partitions of a host whose volumes are devices, and the size of each.
const DEVICES: usize = 6;
const DEVICE_MIB: u64 = 70;

/// Programs and images that a site runs.
#[derive(Debug, Clone)]
pub struct Build {
    /// Directory of `tenure-controller`, `tenure-hostd`, `tenure-agent`, `tenurectl`.
    pub bin: PathBuf,
    /// The image directory that `packaging/guest/build` made.
    pub guest: PathBuf,
}

/// What a site runs of [`Build::bin`].
const PROGRAMS: [&str; 4] = ["tenure-controller", "tenure-hostd", "tenure-agent", "tenurectl"];

impl Build {
    /// Lays programs and image where the site's users can reach them: see [`guest::lay`].
    fn install(&self, dir: &Path) -> anyhow::Result<Self> {
        let installed = Self { bin: dir.join("bin"), guest: dir.join("guest") };
        let programs = PROGRAMS.map(|name| self.bin.join(name));
        guest::lay(programs, &installed.bin, 0o755)?;
        guest::lay_image(&self.guest, &installed.guest)?;
        Ok(installed)
    }
}

/// One hypervisor host of the site.
pub struct HostLab {
    /// `h1` and so on.
    pub name: String,
    /// Its network namespace.
    pub netns: Netns,
    /// Its state, configuration, logs.
    pub dir: PathBuf,
    /// Its volumes, or the records of where they are, and their keys.
    pub disk: LoopDisk,
    /// Where its volumes are devices: partitions, one for each.
    pub devices: Option<Partitions>,
    /// Its guests' memory.
    pub ram: RamDisk,
    /// Sockets and consoles.
    pub run_dir: RamDisk,
    /// The privileged side, once started.
    pub hostd: Option<Daemon>,
    /// The network side, once started.
    pub agent: Option<Daemon>,
}

/// A running site. Dropping it ends all of it.
pub struct Site {
    /// The controller, once started.
    pub controller: Option<Daemon>,
    /// The hosts.
    pub hosts: Vec<HostLab>,
    /// Namespace of the controller.
    pub ctl: Netns,
    /// Namespace of the customer's office.
    pub office: Netns,
    /// The controller's state directory.
    pub state: PathBuf,
    /// More of its configuration: tables.
    pub more: String,
    build: Build,
    dir: PathBuf,
    fabric: BTreeMap<u32, Switch>,
    _management: Switch,
}

impl Site {
    /// Makes namespaces, cables, disks and configuration; starts nothing.
    ///
    /// # Errors
    /// If anything of it cannot be made.
    pub fn create(run: &RunDir, build: Build, hosts: &[&str]) -> anyhow::Result<Self> {
        let build = build.install(&run.path)?;
        let management = Netns::create(&run.netns("mgmt"))?;
        let switch = Switch::create(&management, "mgmt0")?;
        let join = |name: &str, last: u8| -> anyhow::Result<Netns> {
            let netns = Netns::create(&run.netns(name))?;
            switch.join(&netns, "eth0", Ipv4Addr::new(10, 80, 0, last), 24)?;
            Ok(netns)
        };
        let ctl = join("ctl", CONTROLLER.octets()[3])?;
        let office = join("office", OFFICE.octets()[3])?;
        let hosts = hosts
            .iter()
            .zip(11..)
            .map(|(name, last)| {
                let vmm_uid = VMM_UID + u32::from(last);
                HostLab::create(run, name, join(name, last)?, vmm_uid, &build)
            })
            .collect::<anyhow::Result<_>>()?;
        let dir = run.path.join("ctl");
        fs::create_dir_all(&dir)?;
        let state = dir.join("state");
        let fabric = BTreeMap::new();
        Ok(Self {
            controller: None,
            hosts,
            ctl,
            office,
            state,
            more: String::new(),
            build,
            dir,
            fabric,
            _management: switch,
        })
    }

    /// What it runs, where its users reach it.
    #[must_use]
    pub const fn build(&self) -> &Build {
        &self.build
    }

    /// The path of a program of the build.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.build.bin.join(name)
    }

    /// Initialises the controller's state and starts it; `legal_start` is where its demo clock
    /// starts.
    ///
    /// # Errors
    /// If it does not come to serve its API.
    pub fn start_controller(&mut self, mail_domain: &str, legal_start: &str) -> anyhow::Result<()> {
        let mut daemon = self.spawn_controller(mail_domain, legal_start)?;
        let address = SocketAddr::from((CONTROLLER, API_PORT));
        wait_for("the controller's API", Duration::from_secs(20), || {
            daemon.alive()?;
            Ok(probe::connects(&self.office, address)?.then_some(()))
        })?;
        self.controller = Some(daemon);
        Ok(())
    }

    /// As [`Site::start_controller`], without waiting for anything; the process is the caller's.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn_controller(&self, mail_domain: &str, legal_start: &str) -> anyhow::Result<Daemon> {
        let images = fs::read_to_string(self.build.guest.join("image.toml"))?;
        let config = self.dir.join("controller.toml");
        let settings = controller_config(&self.state, mail_domain, &images);
        fs::write(&config, settings + &self.more)?;
        let program = text(&self.program("tenure-controller"))?;
        let config = text(&config)?;
        if !self.state.exists() {
            run(&[&program, "init", "--config", &config])?;
        }
        let argv = [&program, "run", "--config", &config, "--demo-clock", legal_start];
        let log = self.dir.join("controller.log");
        Daemon::spawn(&self.ctl.name, "tenure-controller", &argv, None, &log)
    }

    /// Joins the host at `index` with a token and starts both of its processes.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start_host(&mut self, index: usize, token: &str) -> anyhow::Result<()> {
        let hostd = text(&self.program("tenure-hostd"))?;
        let host = self.hosts.get_mut(index).context("no such host")?;
        let token_file = host.dir.join("join.token");
        fs::write(&token_file, token)?;
        let config = text(&host.dir.join("hostd.toml"))?;
        let join = [&hostd, "join", "--config", &config, "--token-file", &text(&token_file)?];
        host.netns.run(&join)?;
        fs::remove_file(&token_file)?;
        host.start(&self.build)
    }

    /// Kills both processes of a host; its guests live on.
    ///
    /// # Errors
    /// If there is no such host.
    pub fn kill_host(&mut self, name: &str) -> anyhow::Result<()> {
        let host = self.hosts.iter_mut().find(|lab| lab.name == name).context("no such host")?;
        for daemon in [&mut host.agent, &mut host.hostd].into_iter().filter_map(Option::take) {
            drop(daemon);
        }
        Ok(())
    }

    /// Kills both processes of a host and starts them again.
    ///
    /// # Errors
    /// If there is no such host, or a process cannot be started.
    pub fn restart_host(&mut self, name: &str) -> anyhow::Result<()> {
        self.kill_host(name)?;
        let host = self.hosts.iter_mut().find(|lab| lab.name == name).context("no such host")?;
        host.start(&self.build)
    }

    /// What any user of the site's machines could read of its processes, and their logs: places and
    /// bytes.
    ///
    /// # Errors
    /// If a log cannot be read.
    pub fn exposed(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let netns = [&self.ctl, &self.office].into_iter();
        let mut places = Vec::new();
        for netns in netns.chain(self.hosts.iter().map(|host| &host.netns)) {
            for pid in run(&["ip", "netns", "pids", &netns.name])?.split_whitespace() {
                for file in ["cmdline", "environ"] {
                    let path = format!("/proc/{pid}/{file}");
                    // A process may end at any moment.
                    places.extend(fs::read(&path).ok().map(|bytes| (path, bytes)));
                }
            }
        }
        let dirs = self.hosts.iter().map(|host| &host.dir).chain([&self.dir]);
        for entry in dirs.flat_map(fs::read_dir).flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "log") {
                places.push((path.display().to_string(), fs::read(&path)?));
            }
        }
        ensure!(places.len() > 10, "only {} places were found", places.len());
        Ok(places)
    }

    /// Plugs the fabric into a tenant's bridge on a host; the office gets the gateway's address.
    ///
    /// # Errors
    /// If the host has no bridge of this tenant.
    pub fn plug(&mut self, host: &str, mark: u32, gateway: &str, prefix: u8) -> anyhow::Result<()> {
        if !self.fabric.contains_key(&mark) {
            let switch = Switch::create(&self.office, &format!("fab-{mark:x}"))?;
            switch.address(gateway.parse()?, prefix)?;
            self.fabric.insert(mark, switch);
        }
        let host = self.hosts.iter().find(|lab| lab.name == host).context("no such host")?;
        let switch = self.fabric.get(&mark).context("no fabric")?;
        switch.plug(&host.netns, &bridge_name(Mark(mark)))
    }

    /// Fails if a daemon of the site has ended.
    ///
    /// # Errors
    /// With the last lines of its output.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        let hosts = self.hosts.iter_mut().flat_map(|host| [&mut host.hostd, &mut host.agent]);
        for daemon in hosts.chain([&mut self.controller]).flatten() {
            daemon.alive()?;
        }
        Ok(())
    }
}

impl Drop for Site {
    /// Ends all processes before namespaces, mounts and devices go: what is held cannot go.
    fn drop(&mut self) {
        self.controller = None;
        for host in &mut self.hosts {
            host.agent = None;
            host.hostd = None;
        }
        let dirs = self.hosts.iter().map(|host| &host.dir).chain([&self.dir]);
        for error in dirs.filter_map(|dir| undo::end_processes(dir).err()) {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

impl HostLab {
    fn create(
        run: &RunDir,
        name: &str,
        netns: Netns,
        vmm_uid: u32,
        build: &Build,
    ) -> anyhow::Result<Self> {
        let dir = run.path.join(name);
        fs::create_dir_all(dir.join("agent"))?;
        chown(dir.join("agent"), Some(AGENT_UID), Some(AGENT_UID))?;
        let disk = LoopDisk::create(dir.join("disk"), 512)?;
        fs::create_dir(disk.mount.join("volumes"))?;
        fs::DirBuilder::new().mode(0o700).create(disk.mount.join("keys"))?;
        let ram = RamDisk::create(dir.join("ram"), 1024)?;
        let run_dir = RamDisk::with_mode(dir.join("run"), 16, "0711")?;
        // Both layouts are lived with: files on the first host, devices on the others.
        let devices = match name {
            "h1" => None,
            _ => Some(Partitions::create(dir.join("devices.img"), &[DEVICE_MIB; DEVICES])?),
        };
        let parts = devices.as_ref().map_or(&[][..], |disk| &disk.parts);
        fs::write(dir.join("hostd.toml"), hostd_config(&dir, vmm_uid, parts, build))?;
        fs::write(dir.join("agent.toml"), agent_config(&dir))?;
        let (hostd, agent) = (None, None);
        Ok(Self { name: name.to_owned(), netns, dir, disk, devices, ram, run_dir, hostd, agent })
    }

    /// Starts both processes, as after an installation or a restart.
    ///
    /// # Errors
    /// If one of them cannot be started.
    pub fn start(&mut self, build: &Build) -> anyhow::Result<()> {
        self.start_hostd(build)?;
        self.start_agent(build)
    }

    /// Starts the privileged side.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_hostd(&mut self, build: &Build) -> anyhow::Result<()> {
        self.hostd = Some(self.spawn("tenure-hostd", "hostd.toml", None, build)?);
        Ok(())
    }

    /// Starts the network side.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_agent(&mut self, build: &Build) -> anyhow::Result<()> {
        self.agent = Some(self.spawn("tenure-agent", "agent.toml", Some(AGENT_UID), build)?);
        Ok(())
    }

    fn spawn(
        &self,
        name: &str,
        config: &str,
        uid: Option<u32>,
        build: &Build,
    ) -> anyhow::Result<Daemon> {
        let program = text(&build.bin.join(name))?;
        let config = text(&self.dir.join(config))?;
        let argv = [&program, "--config", &config];
        let log = self.dir.join(format!("{name}.log"));
        Daemon::spawn(&self.netns.name, name, &argv, uid, &log)
    }

    /// Where its volumes are.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.disk.mount.join("volumes")
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("path is not UTF-8")?.to_owned())
}

fn controller_config(state: &Path, mail_domain: &str, images: &str) -> String {
    format!(
        "state_dir = \"{}\"\n\
         server_names = [\"{CONTROLLER}\"]\n\
         [api]\nlisten = \"{CONTROLLER}:{API_PORT}\"\n\
         [link]\ncommand = \"{CONTROLLER}:7401\"\nenrolment = \"{CONTROLLER}:7402\"\n\
         [mail]\nsmtp = \"{OFFICE}:25\"\nfrom = \"Tenure <tenure@cloud.example>\"\n\
         domains = {{ \"{mail_domain}\" = \"customer-mx\" }}\n\
         [webhook]\nprivate = true\nplain_http = true\n\
         {images}",
        state.display()
    )
}
fn hostd_config(dir: &Path, vmm_uid: u32, devices: &[PathBuf], build: &Build) -> String {
    let (dir, images) = (dir.display(), build.guest.display());
    format!(
        "volume_devices = {devices:?}\n\
         state_dir = \"{dir}/hostd\"\n\
         run_dir = \"{dir}/run\"\n\
         ram_dir = \"{dir}/ram\"\n\
         volume_dir = \"{dir}/disk/volumes\"\n\
         key_dir = \"{dir}/disk/keys\"\n\
         image_dir = \"{images}\"\n\
         agent_state_dir = \"{dir}/agent\"\n\
         agent_uid = {AGENT_UID}\nagent_gid = {AGENT_UID}\n\
         vmm_uid = {vmm_uid}\nvmm_gid = {vmm_uid}\n"
    )
}

fn agent_config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "state_dir = \"{dir}/agent\"\nsocket = \"{dir}/run/hostd.sock\"\n\
         operator_socket = \"{dir}/run/operator.sock\"\n"
    )
}
