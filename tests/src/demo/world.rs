//! What the demo's steps share: the site, the people's desk, the tenant's guests.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    ctl::{Desk, Person, string},
    show::Show,
    steps::People,
};
use crate::lab::{
    api,
    daemon::wait_for,
    mail::MailServer,
    net::Netns,
    site::{Build, CONTROLLER, HostLab, OFFICE, Site},
    undo::RunDir,
    webhook::WebhookReceiver,
};

const MAIL_DOMAIN: &str = "archive.city.example";
const WEBHOOK_PORT: u16 = 8090;

/// Where one volume is on its host.
pub struct VolumePlace {
    /// Its file, or its device.
    pub path: PathBuf,
    /// Whether it is a device of its own.
    pub is_device: bool,
    /// The device that holds it, to be searched whole.
    pub on: String,
}

/// One guest, as the API shows it.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its instance id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its host.
    pub host: String,
    /// Its address.
    pub ip4: String,
    /// Its volumes' ids.
    pub volumes: Vec<String>,
}

impl Guest {
    /// One of its ports.
    ///
    /// # Errors
    /// If its address is none.
    pub fn address(&self, port: u16) -> anyhow::Result<SocketAddr> {
        Ok(SocketAddr::new(self.ip4.parse::<IpAddr>()?, port))
    }
}

/// A tenant, as far as the demo knows it.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// Its mark, hexadecimal, as in the names of its bridges.
    pub mark: u32,
    /// The fabric's address in its network.
    pub gateway: String,
    /// Prefix length of its network.
    pub prefix: u8,
    /// Its guests.
    pub instances: Vec<Guest>,
}

impl Tenant {
    /// Takes over what the API shows once the tenant is placed.
    ///
    /// # Errors
    /// If something is missing.
    pub fn learn(&mut self, view: &Value) -> anyhow::Result<()> {
        let mark = view["mark"].as_u64().context("no mark")?;
        self.mark = u32::try_from(mark)?;
        self.gateway = string(view, "/network/gateway")?;
        let prefix = view["network"]["prefix"].as_u64().context("no prefix")?;
        self.prefix = u8::try_from(prefix)?;
        let list = view["instances"].as_array().context("no instances")?;
        self.instances = list
            .iter()
            .map(|entry| {
                let volumes = entry["volumes"].as_array().context("no volumes")?;
                Ok(Guest {
                    id: string(entry, "/id")?,
                    name: string(entry, "/name")?,
                    host: string(entry, "/host_name")?,
                    ip4: string(entry, "/ip4")?,
                    volumes: volumes
                        .iter()
                        .map(|volume| string(volume, "/id"))
                        .collect::<anyhow::Result<_>>()?,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(())
    }
}

/// All of it. Dropping it ends and removes everything.
pub struct World {
    /// How the office calls the API.
    pub desk: Desk,
    /// When the cut was asked for, and its id.
    pub cut: Option<(Instant, String)>,
    /// The same moment by the wall clock, as files have it.
    pub cut_asked_at: SystemTime,
    /// The customer's webhook receiver.
    pub webhook: WebhookReceiver,
    /// Its secret, shared with the controller in the application.
    pub webhook_secret: String,
    /// The customer's mail server.
    pub mail: MailServer,
    /// The provider's site.
    pub site: Site,
    plugged: Vec<(String, u32)>,
    /// The run's directory, removed last.
    pub run: RunDir,
}

impl World {
    /// Namespaces, devices and peers; the controller runs, no host has joined yet.
    ///
    /// # Errors
    /// If anything of it cannot be made.
    pub fn create(build: Build) -> anyhow::Result<Self> {
        let run = RunDir::create()?;
        let site = Site::create(&run, build, &["h1", "h2"])?;
        let mail = MailServer::start(&site.office.name, &run.path.join("mail"), MAIL_DOMAIN)?;
        let webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let address = SocketAddr::from((OFFICE, WEBHOOK_PORT));
        let webhook = WebhookReceiver::start(&site.office, address, &webhook_secret)?;
        let desk = Desk {
            program: site.program("tenurectl"),
            netns: site.office.name.clone(),
            controller: format!("https://{CONTROLLER}:8443"),
            ca: site.state.join("ca.pem"),
            tokens: run.path.join("tokens"),
        };
        Ok(Self {
            desk,
            cut: None,
            cut_asked_at: SystemTime::UNIX_EPOCH,
            webhook,
            webhook_secret,
            mail,
            site,
            plugged: Vec::new(),
            run,
        })
    }

    /// Starts the controller; its demo clock starts at `legal_start`.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_controller(&mut self, legal_start: &str) -> anyhow::Result<((), String)> {
        self.site.start_controller(MAIL_DOMAIN, legal_start)?;
        Ok(((), format!("its API is at {}; legal time is {legal_start}", self.desk.controller)))
    }

    /// All hosts join, each with a token of its own.
    ///
    /// # Errors
    /// If one does not come up.
    pub fn join_hosts(&mut self, show: &Show, people: &People) -> anyhow::Result<((), String)> {
        for index in 0..self.site.hosts.len() {
            let name = self.site.hosts[index].name.clone();
            let answer = people.admin.call(&["host", "token", &name])?;
            self.site.start_host(index, &string(&answer, "/token")?)?;
            show.say(&format!("{name}: token used, certificate requested"));
        }
        self.wait_hosts_up(&people.admin, "")?;
        Ok(((), format!("{} hosts are up", self.site.hosts.len())))
    }

    /// Waits until every host is up and was heard of after `since` (RFC 3339).
    fn wait_hosts_up(&mut self, admin: &Person, since: &str) -> anyhow::Result<()> {
        let want = self.site.hosts.len();
        wait_for("all hosts to be up", Duration::from_secs(30), || {
            self.site.alive()?;
            let list = admin.call(&["host", "list"])?;
            let items = list.as_array().or_else(|| list["items"].as_array()).context("no list")?;
            let heard = |host: &Value| host["seen_at"].as_str().is_some_and(|at| at > since);
            let up = items.iter().filter(|host| host["up"] == true && heard(host)).count();
            Ok((up == want).then_some(()))
        })
    }

    /// Kills both processes of a host and starts them again.
    ///
    /// # Errors
    /// If the host does not come up again.
    pub fn restart_host(&mut self, name: &str) -> anyhow::Result<()> {
        let [admin, _] = self.first_persons()?;
        self.site.restart_host(name)?;
        let restarted_at = string(&admin.call(&["clock", "show"])?, "/now")?;
        self.wait_hosts_up(&admin, &restarted_at)
    }

    /// Leaves everything running and says how to reach it.
    ///
    /// # Errors
    /// If the run cannot be marked as kept.
    pub fn keep(mut self) -> anyhow::Result<()> {
        self.run.keep()?;
        let desk = &self.desk;
        println!(
            "\nkept running, in {}\n  nsenter --net=/run/netns/{} {} --controller {} \\\n    \
             --ca {} --token-file {} tenant list\n  end it with: packaging/demo sweep --kept",
            self.run.path.display(),
            desk.netns,
            desk.program.display(),
            desk.controller,
            desk.ca.display(),
            desk.tokens.join("admin").display(),
        );
        // The daemons must outlive this process, so nothing is dropped.
        std::mem::forget(self);
        Ok(())
    }

    /// Idle memory of the agent's processes and sizes of the programs, as figures.
    ///
    /// # Errors
    /// If a process is gone.
    pub fn sizes(&self, show: &mut Show) -> anyhow::Result<()> {
        let host = self.site.hosts.first().context("no host")?;
        let daemons = [("tenure-hostd", &host.hostd), ("tenure-agent", &host.agent)];
        let controller = [("tenure-controller", &self.site.controller)];
        for (name, daemon) in daemons.into_iter().chain(controller) {
            let daemon = daemon.as_ref().with_context(|| format!("{name} does not run"))?;
            let rss = mib(daemon.rss_kib()? * 1024);
            show.figure(&format!("{name}, resident memory"), rss, "MiB");
            let bytes = std::fs::metadata(self.site.program(name))?.len();
            show.figure(&format!("{name}, size of the program"), mib(bytes), "MiB");
        }
        Ok(())
    }

    /// The two persons whose tokens `tenure-controller init` left: the administrator, and the one
    /// who confirms what the administrator makes.
    ///
    /// # Errors
    /// If it left none.
    pub fn first_persons(&self) -> anyhow::Result<[Person; 2]> {
        let person = |name: &str| {
            let token = std::fs::read_to_string(self.site.state.join(format!("{name}.token")))?;
            self.desk.person(name, &token)
        };
        Ok([person("admin")?, person("security")?])
    }

    /// Where the customer's mail goes.
    #[must_use]
    pub fn mail_address(&self) -> String {
        format!("duty@{MAIL_DOMAIN}")
    }

    /// Where the customer's webhook goes.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("http://{OFFICE}:{WEBHOOK_PORT}/tenure")
    }

    /// The trust anchors that a verifier was given out of band.
    #[must_use]
    pub fn anchors(&self) -> String {
        self.site.state.join("anchors.json").to_string_lossy().into_owned()
    }

    /// The namespace from which the customer reaches its guests.
    #[must_use]
    pub fn customer_netns(&self) -> Netns {
        self.site.office.clone()
    }

    /// The host of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn host(&self, name: &str) -> anyhow::Result<&HostLab> {
        let mut hosts = self.site.hosts.iter();
        hosts.find(|host| host.name == name).with_context(|| format!("no host {name}"))
    }

    /// The network namespace of the host of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn host_netns(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.host(name)?.netns.name.clone())
    }

    /// Where a guest's volumes are on its host: in files, or on devices of their own.
    ///
    /// # Errors
    /// If one is missing.
    pub fn volume_places(&self, guest: &Guest) -> anyhow::Result<Vec<VolumePlace>> {
        let host = self.host(&guest.host)?;
        let dir = host.volumes();
        let mut places = Vec::new();
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !guest.volumes.iter().any(|volume| name.contains(volume)) {
                continue;
            }
            places.push(match &host.devices {
                Some(devices) => {
                    let record: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
                    let path = string(&record, "/device/path")?.into();
                    VolumePlace { path, is_device: true, on: devices.device.clone() }
                }
                None => VolumePlace { path, is_device: false, on: host.disk.device.clone() },
            });
        }
        let (want, dir) = (guest.volumes.len(), dir.display());
        ensure!(places.len() == want, "{} of {want} volumes are in {dir}", places.len());
        Ok(places)
    }

    /// The provider's fabric is plugged into the tenant's bridges, and the customer gets a route.
    ///
    /// # Errors
    /// If a bridge is missing.
    pub fn plug(&mut self, tenant: &Tenant) -> anyhow::Result<()> {
        for guest in &tenant.instances {
            let uplink = (guest.host.clone(), tenant.mark);
            if !self.plugged.contains(&uplink) {
                self.site.plug(&guest.host, tenant.mark, &tenant.gateway, tenant.prefix)?;
                self.plugged.push(uplink);
            }
        }
        Ok(())
    }

    /// Posts to the API itself, on a connection that is set up for it.
    ///
    /// # Errors
    /// If the answer is no success.
    pub fn api_post(
        &self,
        person: &Person,
        path: &str,
        body: &str,
    ) -> anyhow::Result<(Instant, Value)> {
        let call = api::Call {
            controller: self.desk.controller.clone(),
            ca: self.desk.ca.clone(),
            token: std::fs::read_to_string(person.token_file())?,
        };
        api::post(&self.site.office, &call, path, &[], body)
    }

    /// Fails if a daemon of the site has ended.
    ///
    /// # Errors
    /// With the last lines of its output.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        self.site.alive()
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
