//! A site for one scenario after another: a controller, three hosts, and a customer with a mail
//! server, a webhook receiver and a telephone. Its one tenant has one guest, and is cut and
//! restored again and again.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tenure_tests::{
    demo::ctl::{Desk, Person, string},
    fleet::example,
    lab::{
        api,
        daemon::{run_in, wait_for},
        mail::MailServer,
        site::{Build, CONTROLLER, OFFICE, Site},
        smsc::Smsc,
        undo::RunDir,
        webhook::WebhookReceiver,
    },
};

use crate::heard::{Arrival, Phone};

/// After how long a silence of the controller hosts speak, s: the least that a site may choose.
pub(crate) const FALLBACK_S: u64 = 10;
pub(crate) const DOMAIN: &str = "archive.city.example";
pub(crate) const WEBHOOK_PORT: u16 = 8090;
pub(crate) const COMMAND_PORT: u16 = 7401;
const LEGAL_START: &str = "2026-08-24T01:00:00Z";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PASSWORD: &str = "secret12";
const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

/// The site and its customer. Dropping it ends and removes all of it.
pub(crate) struct Rig {
    pub(crate) site: Site,
    pub(crate) mail: Option<MailServer>,
    pub(crate) webhook: WebhookReceiver,
    pub(crate) phone: Phone,
    /// The tenant's id.
    pub(crate) tenant: String,
    /// The host of its guest.
    pub(crate) cut_host: usize,
    pub(crate) people: People,
    operator: api::Call,
    run: RunDir,
}

/// A cut, ordered.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// Its id.
    pub(crate) id: String,
    /// When it was asked for.
    pub(crate) asked: Instant,
}

impl Rig {
    /// All of it, with the tenant in its trial.
    pub(crate) fn create(label: &str, build: &Build, venv: &Path) -> anyhow::Result<Self> {
        let run = RunDir::labelled(label)?;
        let mut site = Site::create(&run, build.clone(), &HOSTS)?;
        let mail = MailServer::start(&site.office.name, &run.path.join("mail"), DOMAIN)?;
        let address = SocketAddr::from((OFFICE, WEBHOOK_PORT));
        let webhook = WebhookReceiver::start(&site.office, address, SECRET)?;
        let phone = Phone::new(Smsc::start_in(&site.office, OFFICE, venv, PASSWORD)?)?;
        let password = run.path.join("smpp.secret");
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(&password)?;
        std::io::Write::write_all(&mut file, PASSWORD.as_bytes())?;
        site.more = format!(
            "[fallback]\nafter_s = {FALLBACK_S}\n\
             [sms.smpp]\naddress = \"{OFFICE}:{}\"\nsystem_id = \"tenure\"\nsource = \"10690000\"\n\
             password_file = {password:?}\n",
            phone.port()
        );
        site.start_controller(DOMAIN, LEGAL_START)?;
        let desk = Desk {
            program: site.program("tenurectl"),
            netns: site.office.name.clone(),
            controller: format!("https://{CONTROLLER}:8443"),
            ca: site.state.join("ca.pem"),
            tokens: run.path.join("tokens"),
        };
        let people = People::new(&site, &desk)?;
        for (index, name) in HOSTS.iter().enumerate() {
            let answer = people.admin.call(&["host", "token", name])?;
            site.start_host(index, &string(&answer, "/token")?)?;
        }
        let (ca, controller) = (desk.ca.clone(), desk.controller.clone());
        let token = fs::read_to_string(people.operator.token_file())?;
        let operator = api::Call { controller, ca, token };
        let mail = Some(mail);
        let (tenant, cut_host) = (String::new(), 0);
        let mut rig = Self { site, mail, webhook, phone, tenant, cut_host, people, operator, run };
        rig.wait_hosts()?;
        rig.tenant = rig.people.apply()?;
        let view = wait_for("the trial", Duration::from_secs(240), || {
            rig.site.alive()?;
            let view = rig.view()?;
            ensure!(view["phase"] != "configuration-failed", "{view:#}");
            Ok((view["phase"] == "trial").then_some(view))
        })?;
        let host = string(&view, "/instances/0/host_name")?;
        rig.cut_host = HOSTS.iter().position(|name| *name == host).context("no such host")?;
        Ok(rig)
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        api::get(&self.site.office, &self.operator, path)
    }

    /// The tenant, as the controller shows it.
    pub(crate) fn view(&self) -> anyhow::Result<Value> {
        self.get(&format!("/v1/tenants/{}", self.tenant))
    }

    /// A list of the tenant's.
    pub(crate) fn list(&self, what: &str) -> anyhow::Result<Vec<Value>> {
        let all = self.get(&format!("/v1/tenants/{}/{what}?limit=500", self.tenant))?;
        Ok(all.as_array().or_else(|| all["items"].as_array()).context("no list")?.clone())
    }

    /// Waits until all hosts are up.
    pub(crate) fn wait_hosts(&mut self) -> anyhow::Result<()> {
        wait_for("all hosts to be up", Duration::from_secs(60), || {
            let all = self.get("/v1/hosts")?;
            let all = all.as_array().or_else(|| all["items"].as_array()).context("no list")?;
            let up = all.iter().filter(|host| host["up"] == true).count();
            Ok((up == HOSTS.len()).then_some(()))
        })
    }

    /// Orders an emergency cut, under a key.
    pub(crate) fn cut(&self, key: &str) -> anyhow::Result<Cut> {
        let path = format!("/v1/tenants/{}/cut", self.tenant);
        let body = json!({"kind": "emergency", "reason": "it floods the platform"}).to_string();
        let headers = [("idempotency-key", key)];
        let netns = &self.site.office;
        let (asked, answer) = api::post(netns, &self.operator, &path, &headers, &body)?;
        Ok(Cut { id: string(&answer, "/cut")?, asked })
    }

    /// Restores the tenant, and waits until it is connected.
    pub(crate) fn restore(&self) -> anyhow::Result<()> {
        let path = format!("/v1/tenants/{}/restore", self.tenant);
        let body = json!({"reason": "the cause is mended"}).to_string();
        api::post(&self.site.office, &self.operator, &path, &[], &body)?;
        self.wait_isolation("connected")
    }

    /// Waits until the controller knows of this isolation from every host.
    pub(crate) fn wait_isolation(&self, wanted: &str) -> anyhow::Result<()> {
        wait_for(&format!("isolation {wanted}"), Duration::from_secs(60), || {
            Ok((isolation(&self.view()?) == wanted).then_some(()))
        })
    }

    /// Whether the tenant is cut by the kernel of its host, whatever anybody knows.
    pub(crate) fn is_cut(&self) -> anyhow::Result<bool> {
        let netns = &self.site.hosts[self.cut_host].netns.name;
        let set = run_in(netns, &["nft", "list", "set", "bridge", "tenure_cut", "cut_tenant"])?;
        Ok(set.contains("elements"))
    }

    /// The hosts that keep the packet of a cut.
    pub(crate) fn keepers(&self, cut: &str) -> Vec<usize> {
        let hosts = self.site.hosts.iter().enumerate();
        let kept = hosts.filter(|(_, host)| {
            host.dir.join("hostd/packets").join(format!("{cut}.packet")).exists()
        });
        kept.map(|(index, _)| index).collect()
    }

    /// Starts the controller, as after a crash.
    pub(crate) fn start_controller(&mut self) -> anyhow::Result<()> {
        self.site.start_controller(DOMAIN, LEGAL_START)
    }

    /// Tries to start the controller where it cannot; what it said.
    pub(crate) fn controller_refuses(&mut self) -> anyhow::Result<String> {
        let mut daemon = self.site.spawn_controller(DOMAIN, LEGAL_START)?;
        wait_for("the controller to give up", Duration::from_secs(20), || {
            Ok(daemon.ended()?.then_some(()))
        })?;
        Ok(daemon.tail())
    }

    /// Starts Postfix, as after a stop.
    pub(crate) fn start_mail(&mut self) -> anyhow::Result<()> {
        let dir = self.run.path.join("mail");
        self.mail = Some(MailServer::start(&self.site.office.name, &dir, DOMAIN)?);
        Ok(())
    }

    /// Ends the network side of every host and starts it again: it dials at once, instead of after
    /// the waits that many losses of the link within a minute have made long.
    pub(crate) fn redial(&mut self) -> anyhow::Result<()> {
        let build = self.site.build().clone();
        for host in &mut self.site.hosts {
            host.agent = None;
            host.start_agent(&build)?;
        }
        self.wait_hosts()
    }

    /// All that has reached the customer's own systems of a cut, each as the sender is called.
    pub(crate) fn heard(&mut self, cut: &str) -> anyhow::Result<Vec<Arrival>> {
        let mut all = self.phone.heard(cut);
        for message in self.webhook.received() {
            if message.signed && message.status == 204 && message.body.to_string().contains(cut) {
                let at = SystemTime::now() - message.at.elapsed();
                let from = sender(message.from);
                all.push(Arrival { at, channel: "webhook", from, id: message.id });
            }
        }
        let mails = self.mail.as_ref().map(MailServer::mails).transpose()?.unwrap_or_default();
        for (mail, at) in mails.into_iter().filter(|(mail, _)| mail.contains(cut)) {
            // Received: from NAME (unknown [ADDRESS])
            let from = mail.split("])").next().and_then(|head| head.rsplit('[').next());
            let from = sender(from.context("a mail without its sender")?.parse()?);
            let id = mail.lines().find_map(|line| line.strip_prefix("Message-ID: <"));
            let id = id.and_then(|rest| rest.split('@').next()).context("no Message-ID")?;
            all.push(Arrival { at, channel: "mail", from, id: id.to_owned() });
        }
        all.sort_by_key(|arrival| arrival.at);
        Ok(all)
    }

    /// What the role of a sender is in a cut.
    pub(crate) fn role(&self, from: &str) -> &'static str {
        match HOSTS.iter().position(|name| *name == from) {
            None => "controller",
            Some(index) if index == self.cut_host => "cut host",
            Some(_) => "witness",
        }
    }
}

/// What a tenant's isolation is called in a view.
pub(crate) fn isolation(view: &Value) -> String {
    let value = &view["isolation"];
    value.as_str().or_else(|| value["state"].as_str()).unwrap_or_default().to_owned()
}

/// Who has an address of the management network.
fn sender(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let last = usize::from(address.octets()[3]);
    match last.checked_sub(11).and_then(|index| HOSTS.get(index)) {
        Some(host) => (*host).to_owned(),
        None if address == CONTROLLER => "controller".to_owned(),
        None => address.to_string(),
    }
}

/// Who acts.
pub(crate) struct People {
    admin: Person,
    pub(crate) security: Person,
    customer: Person,
    reviewer: Person,
    pub(crate) operator: Person,
}

impl People {
    fn new(site: &Site, desk: &Desk) -> anyhow::Result<Self> {
        let first = |name: &str| {
            let token = fs::read_to_string(site.state.join(format!("{name}.token")))?;
            desk.person(name, &token)
        };
        let (admin, security) = (first("admin")?, first("security")?);
        let make = |name: &str, role: &str, customer: Option<&str>| -> anyhow::Result<Person> {
            let mut words = vec!["token", "create", name, "--role", role];
            words.extend(customer.iter().flat_map(|&customer| ["--customer", customer]));
            let answer = admin.call(&words)?;
            security.call(&["token", "confirm", &string(&answer, "/id")?])?;
            desk.person(name, &string(&answer, "/token")?)
        };
        Ok(Self {
            customer: make("zhang.wei", "customer", Some("city-archive"))?,
            reviewer: make("li.na", "reviewer", None)?,
            operator: make("wang.lei", "operator", None)?,
            admin,
            security,
        })
    }

    /// A tenant of one small guest, told over three channels; it is approved.
    fn apply(&self) -> anyhow::Result<String> {
        let mut form = example();
        form["customer"] = json!("city-archive");
        let duty = &mut form["contacts"][0];
        duty["email"] = json!(format!("duty@{DOMAIN}"));
        duty["webhook"] =
            json!({"url": format!("http://{OFFICE}:{WEBHOOK_PORT}/tenure"), "secret": SECRET});
        duty["designated"] = json!(["email", "webhook", "sms"]);
        form["contacts"][1]["email"] = json!(format!("head@{DOMAIN}"));
        form["instances"] = json!([{
            "role": "web", "count": 1, "vcpus": 1, "memory_mib": 128, "image": "tiny-1",
            "volumes_mib": [16], "ingress": [{"protocol": "tcp", "port": 80}],
        }]);
        let text = form.to_string();
        let view = self.customer.call_with(&["application", "submit", "-"], text.as_bytes())?;
        let id = string(&view, "/id")?;
        let Some(tenant) = Some(id).filter(|id| !id.is_empty()) else { bail!("no id: {view}") };
        self.reviewer.call(&["review", "approve", &tenant, "--opinion", "complete"])?;
        Ok(tenant)
    }
}
