//! A fleet in one process: the real controller's engine on a temporary database and ledger, and the
//! real agents' engines on fake hosts. Orders and reports go from hand to hand instead of over a
//! link, all time is the fleet's own and moved by the story ([`Fleet::set_time`]), and nothing
//! sleeps.

mod local;
pub mod watching;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use tempfile::TempDir;
use tenure_agent::{
    alarm::Alarms,
    clock::Clock as AgentClock,
    core::step::Step,
    engine::{Engine as AgentEngine, Identity, Input, MAX_OUTLET, Parts as AgentParts},
    host::fake::FakeHost,
    journal::Journal,
    sign::HostKey,
};
use tenure_controller::{
    chance::Chance,
    clock::Clock,
    core::{
        anomaly::SiteThresholds,
        attachment::Label,
        fleet::Image,
        form::Forms,
        group::Zones,
        lifecycle::{Actor, Document, Provider, Role},
        notice::{Notice, Outcome, Try},
        quota::Quotas,
        rules::Rules,
        tenant::{
            Application, Contact, Designated, IngressRequest, InstanceRequest, System, Webhook,
            Zone,
        },
    },
    engine::{Engine, Filed, NoticeRow, Page, Parts},
    files::Files,
    keys::Keys,
    ledger::Ledger,
    secrets::Secrets,
    store::Store,
};
use tenure_protocol::{
    channel::{Grade, Secret},
    digest::Digest,
    evidence::{anchors::Anchors, predicate::AgentIdentity},
    id::{HostId, OrderId, TenantId},
    time::Timestamp,
    wire::v1::{Lane, OrderState, Report, Transport},
};

use self::watching::Watching;

/// When a fleet starts, if no story says otherwise.
const START: Timestamp = Timestamp::from_unix_ms(1_767_225_600_000);

/// How long a fake host may take for an answer, really; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// One host with its agent.
#[derive(Debug)]
pub struct Member {
    /// Its id at the controller.
    pub id: HostId,
    /// The host under the agent: can be told to fail.
    pub host: Arc<FakeHost>,
    /// Whether anything reaches it.
    pub reachable: bool,
    /// Its watch over cuts.
    pub watching: Watching,
    identity: Arc<Identity>,
    agent: AgentEngine,
    reports: Receiver<Report>,
    sent: BTreeSet<OrderId>,
}

/// The fleet.
#[derive(Debug)]
pub struct Fleet {
    /// The controller.
    pub controller: Engine,
    /// The hosts, by name.
    pub members: BTreeMap<String, Member>,
    /// All agents' clock; the controller's goes with it.
    time: AgentClock,
    /// The same draws in every run, so that a story replays with the same ids and digests.
    chance: Chance,
    dir: TempDir,
}

impl Fleet {
    /// A controller with an empty database and no hosts.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Rules::shipped()?).await
    }

    /// Starts a controller without hosts, with these legal rules.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub async fn start_with(rules: Rules) -> anyhow::Result<Self> {
        Self::start_as(rules, Provider::default()).await
    }

    /// Starts a controller without hosts, with these legal rules, of a provider with contacts.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub async fn start_as(rules: Rules, provider: Provider) -> anyhow::Result<Self> {
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())?;
        let ledger_key = SigningKey::from_bytes(&[2; 32]);
        let ledger = Ledger::open(&dir.path().join("ledger"), "ledger.test", ledger_key)?;
        let store = Store::open(&dir.path().join("controller.db")).await?;
        let keys = Keys {
            order: SigningKey::from_bytes(&[1; 32]),
            attestation: SigningKey::from_bytes(&[3; 32]),
        };
        let image = Image {
            name: "small".to_owned(),
            kernel: Digest::of(b"kernel"),
            initrd: Digest::of(b"initrd"),
            cmdline: "console=ttyS0".to_owned(),
        };
        let files = Files::local(&dir.path().join("attachments"), 0)?;
        let clock = Clock::simulated(START);
        let chance = Chance::replayed();
        let secrets = Secrets::new(&[4; 32], chance.clone())?;
        let parts = Parts {
            store,
            ledger,
            files,
            keys,
            secrets,
            clock,
            chance: chance.clone(),
            images: vec![image],
            zones: Zones::default(),
            thresholds: SiteThresholds::default(),
            rules,
            forms: Forms::new(None)?,
            provider,
            quotas: unlimited(),
            watching: watching::nowhere(),
        };
        let controller = Engine::open(parts).await?;
        let time = AgentClock::simulated(START);
        Ok(Self { controller, members: BTreeMap::new(), time, chance, dir })
    }

    /// Stops the controller as a crash would, and starts it on the same files.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn restart_controller(self) -> anyhow::Result<Self> {
        let Self { controller, members, time, chance, dir } = self;
        drop(controller);
        let ledger_key = SigningKey::from_bytes(&[2; 32]);
        let ledger = Ledger::open(&dir.path().join("ledger"), "ledger.test", ledger_key)?;
        let store = Store::open(&dir.path().join("controller.db")).await?;
        let keys = Keys {
            order: SigningKey::from_bytes(&[1; 32]),
            attestation: SigningKey::from_bytes(&[3; 32]),
        };
        let files = Files::local(&dir.path().join("attachments"), 0)?;
        let clock = Clock::simulated(time.now());
        let parts = Parts {
            store,
            ledger,
            files,
            keys,
            secrets: Secrets::new(&[4; 32], chance.clone())?,
            clock,
            chance: chance.clone(),
            images: Vec::new(),
            zones: Zones::default(),
            thresholds: SiteThresholds::default(),
            rules: Rules::shipped()?,
            forms: Forms::new(None)?,
            provider: Provider::default(),
            quotas: unlimited(),
            watching: watching::nowhere(),
        };
        let controller = Engine::open(parts).await?;
        Ok(Self { controller, members, time, chance, dir })
    }

    /// Makes it so late, for the controller and for every agent.
    ///
    /// # Errors
    /// If what falls due with it fails.
    pub async fn set_time(&self, at: Timestamp) -> anyhow::Result<()> {
        self.time.set(at);
        self.controller.clock().set(at);
        Ok(self.controller.tick().await?)
    }

    /// Takes a host in, as enrolment does, and starts its agent.
    ///
    /// # Errors
    /// If the controller refuses or a journal cannot be made.
    pub async fn join(&mut self, name: &str) -> anyhow::Result<()> {
        let number = u8::try_from(self.members.len())?;
        let key = HostKey::from_secret(&[100 + number; 32]);
        let host_key = key.public().to_bytes();
        let grant = self.controller.create_join_token(Actor::controller(), name.to_owned()).await?;
        let id = self.controller.redeem_join_token(grant.secret, name.to_owned(), host_key).await?;
        let identity = Identity {
            host: OnceLock::from(id),
            key,
            order_key: self.controller.keys().order.verifying_key(),
            ledger_key: self.controller.ledger_key(),
            agent: AgentIdentity {
                version: "0".to_owned(),
                binary: Digest::of(b"binary"),
                boot_id: "boot".to_owned(),
                kernel: "6".to_owned(),
            },
        };
        let (host, identity) = (Arc::new(FakeHost::at(self.time.clone())), Arc::new(identity));
        let packets = self.dir.path().join(format!("{name}-packets"));
        let (watching, watch) = Watching::start(packets, &identity, &self.time);
        let agent = AgentEngine::start(AgentParts {
            host: Arc::clone(&host),
            cut_journal: Journal::open(&self.dir.path().join(format!("{name}-cut.redb")))?,
            work_journal: Journal::open(&self.dir.path().join(format!("{name}-work.redb")))?,
            watch,
            reserve: Arc::clone(&watching.reserve),
            identity: Arc::clone(&identity),
            clock: self.time.clone(),
            alarms: Arc::new(Alarms::open(&self.dir.path().join(format!("{name}-alarms")))),
        })?;
        let (outlet, reports) = sync_channel(MAX_OUTLET);
        agent.deliver(Lane::Cut, Input::Connected(outlet.clone()))?;
        agent.deliver(Lane::Work, Input::Connected(outlet))?;
        self.controller.host_up(id, crate::lab::in_process::hello()).await?;
        let sent = BTreeSet::new();
        let member = Member { id, host, reachable: true, watching, identity, agent, reports, sent };
        self.members.insert(name.to_owned(), member);
        Ok(())
    }

    /// Carries orders and reports until no reachable host owes an answer: of one host and one of
    /// its lanes after the other, so that reports come in the same order in every run.
    ///
    /// # Errors
    /// If a host does not answer, or the controller does not take an answer.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        loop {
            let mut owed = false;
            for (name, member) in &mut self.members {
                if !member.reachable {
                    continue;
                }
                for lane in [Lane::Cut, Lane::Work] {
                    if lane == Lane::Cut {
                        member.watching.meet(member.id, &self.controller).await?;
                    }
                    while member.hand_over(&self.controller, lane).await? {
                        owed = true;
                        let report = member.reports.recv_timeout(PATIENCE);
                        let report = report.with_context(|| format!("{name} does not answer"))?;
                        member.take_back(&self.controller, report).await?;
                    }
                }
                while let Ok(report) = member.reports.try_recv() {
                    member.take_back(&self.controller, report).await?;
                }
                member.watching.meet(member.id, &self.controller).await?;
            }
            if !owed {
                return Ok(());
            }
        }
    }

    /// Tries every notice that is due within half a minute, each with this outcome, and returns
    /// them.
    ///
    /// # Errors
    /// If the controller does not take a try.
    pub async fn deliver(&self, outcome: Outcome) -> anyhow::Result<Vec<Notice>> {
        let now = self.controller.clock().now();
        let leased = self.controller.due_notices(now.plus_ms(30_000)).await?;
        let mut notices = Vec::new();
        for NoticeRow { notice, fence, .. } in leased {
            let evidence = match outcome {
                Outcome::Accepted { .. } => "250 2.0.0 Ok: queued as 1".to_owned(),
                Outcome::Failed => "connection refused".to_owned(),
            };
            let at = self.controller.clock().now();
            let attempt = Try { at, outcome, evidence, by: None };
            self.controller.notice_tried(notice.id, fence, attempt).await?;
            notices.push(notice);
        }
        Ok(notices)
    }

    /// Uploads a file whose bytes are its name, and returns the document that refers to it.
    ///
    /// # Errors
    /// If the controller refuses.
    pub async fn file(
        &self,
        actor: &Actor,
        owner: Option<TenantId>,
        name: &str,
    ) -> anyhow::Result<Document> {
        let label = Label { name: name.to_owned(), media_type: "text/plain".to_owned() };
        let part = Ok::<_, Infallible>(Bytes::copy_from_slice(name.as_bytes()));
        let stream = futures_util::stream::iter([part]);
        let filed = self.controller.attach(actor, owner, label, None, stream).await?;
        let (Filed::New(known) | Filed::Before(known)) = filed;
        Ok(Document { title: name.to_owned(), sha256: known.sha256 })
    }

    /// All that became of a tenant: its journal, orders and notices, a line each, with their times.
    ///
    /// # Errors
    /// If the database does not read.
    pub async fn events(&self, tenant: TenantId) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        let whole = &Page::default();
        let journal = self.controller.journal(tenant, whole).await?;
        let orders = self.controller.orders(tenant, whole).await?;
        let notices = self.controller.notices(tenant, whole).await?;
        let more = [journal.next, orders.next, notices.next];
        anyhow::ensure!(more == [None; 3], "a story has more events than one page of each list");
        lines.extend(
            journal.items.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?,
        );
        lines
            .extend(orders.items.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?);
        lines.extend(
            notices.items.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?,
        );
        for (name, member) in &self.members {
            let steps: Vec<_> = member.host.log().iter().map(Step::name).collect();
            lines.push(format!("{name}: {}", steps.join(", ")));
        }
        Ok(lines)
    }

    /// What a security team is given to verify with.
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        Anchors::new(self.controller.ledger_key(), self.controller.attestation_key())
    }
}

impl Member {
    /// Whether the rules that its agent put in force last let this port be reached, or reach it.
    #[must_use]
    pub fn opens(&self, port: &str) -> bool {
        let log = self.host.log();
        let policies = log.iter().rev().filter_map(|step| match step {
            Step::ApplyPolicy { text } => Some(text),
            _ => None,
        });
        let open = format!("tcp . {port} . ");
        policies.take(1).any(|text| text.contains(&open))
    }

    /// Gives the agent what this lane has not been given; says whether it owes an answer.
    async fn hand_over(&mut self, controller: &Engine, lane: Lane) -> anyhow::Result<bool> {
        let mut owes = false;
        for order in controller.open_orders(self.id, lane).await? {
            owes = true;
            let id = order.verify(&controller.keys().order.verifying_key())?.id;
            if self.sent.insert(id) {
                self.agent.deliver(lane, Input::Order(order))?;
            }
        }
        Ok(owes)
    }

    async fn take_back(&self, controller: &Engine, report: Report) -> anyhow::Result<()> {
        let lane = match report.state {
            OrderState::Local { .. } => Lane::Cut,
            _ => controller.order(report.order).await?.lane,
        };
        let reply = controller.report(self.id, report).await?;
        if let Some(intent) = reply.intent {
            self.agent.deliver(lane, Input::IntentReceipt(intent))?;
        }
        if let Some(refusal) = reply.refusal {
            self.agent.deliver(lane, Input::IntentRefusal(refusal))?;
        }
        if let Some(receipt) = reply.receipt {
            self.agent.deliver(lane, Input::ReportReceipt(receipt))?;
        }
        Ok(())
    }
}

/// In the customer's own system.
pub const ARRIVES: Outcome = Outcome::Accepted { grade: Grade::E2 };

/// Accepted by our own relay: sent, no more.
pub const SENT: Outcome = Outcome::Accepted { grade: Grade::E1 };

/// No quotas: one customer stands for many here.
#[must_use]
pub fn unlimited() -> Quotas {
    Quotas {
        customer_bytes: u64::MAX,
        customer_files: u64::MAX,
        customer_open: u64::MAX,
        free_bytes: 0,
    }
}

/// A person of the provider.
#[must_use]
pub fn provider(name: &str, role: Role) -> Actor {
    Actor { name: name.to_owned(), role, customer: None }
}

/// A person of the customer.
#[must_use]
pub fn customer(name: &str) -> Actor {
    Actor { name: name.to_owned(), role: Role::Customer, customer: Some("data bureau".to_owned()) }
}

/// An application for two small web servers with a port for the extranet and one for the Internet,
/// with a mail address and a webhook to be notified at, each of a contact of its own; the rest of
/// the form is that of the example.
#[must_use]
pub fn application() -> Application {
    Application {
        customer: "data bureau".to_owned(),
        system: System {
            name: "portal".to_owned(),
            code: "JX-PORTAL".to_owned(),
            major: false,
            internet_facing: true,
        },
        contacts: vec![
            Contact {
                email: Some("duty@data.example".to_owned()),
                designated: vec![Designated::Email],
                ..contact("duty desk")
            },
            Contact {
                webhook: Some(Webhook {
                    url: "https://data.example/hook".to_owned(),
                    secret: Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                }),
                designated: vec![Designated::Webhook],
                ..contact("operations")
            },
        ],
        instances: vec![InstanceRequest {
            role: "web".to_owned(),
            count: 2,
            vcpus: 1,
            memory_mib: 128,
            image: "small".to_owned(),
            volumes_gib: Vec::new(),
            volumes_mib: vec![64],
            ingress: [(80, Zone::Extranet), (443, Zone::Internet)]
                .map(|(port, zone)| IngressRequest { protocol: Transport::Tcp, port, zone })
                .to_vec(),
        }],
        form: example()["form"].take(),
    }
}

fn contact(name: &str) -> Contact {
    Contact {
        name: name.to_owned(),
        mobile: Some("13800000001".to_owned()),
        available: Some("24x7".to_owned()),
        ..Contact::default()
    }
}

/// The application that `tenurectl application example` prints.
#[must_use]
pub fn example() -> Value {
    let text = include_str!("../../cli/src/application.example.json");
    serde_json::from_str(text).unwrap_or_default()
}
