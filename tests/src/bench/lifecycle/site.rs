//! The database that grows: copies of tenants that have lived, written by the controller's own
//! store, and the ledger over their journal.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::statfs::{TMPFS_MAGIC, statfs},
    unistd::syncfs,
};
use tempfile::TempDir;
use tenure_controller::{
    assembly,
    chance::Chance,
    clock::Clock,
    core::{
        anomaly::SiteThresholds,
        draw::Draw,
        form::Forms,
        group::Zones,
        lifecycle::Provider,
        placement::{FIRST_MARK, NETWORKS},
        rules::Rules,
        tenant::{Contact, Phase, Tenant},
    },
    engine::{Engine, Parts},
    files::Files,
    ledger::Ledger,
    secrets::Secrets,
    state,
    store::{self, NewEntry, Store},
};
use tenure_protocol::{
    digest::Digest,
    id::TenantId,
    time::Timestamp,
    wire::v1::{Mark, Network},
};
use tokio::{sync::watch, task::JoinHandle};

use super::lives::{Life, Lives, live};

/// How many customers the tenants belong to: bureaus of a province.
pub const CUSTOMERS: u64 = 100;
/// Copies of one transaction.
const BATCH: u64 = 5_000;
/// Real time in the sweeps' engine: what they arm is not due for the controller that runs later.
const SWEEPS_AT: &str = "2040-01-02T00:00:00Z";

/// A tenant of the database that transitions are made of.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    /// Which.
    pub id: TenantId,
    /// Of which customer.
    pub customer: u64,
    /// Whether it was returned to its customer.
    pub returned: bool,
}

/// The database and what it is copied from.
#[derive(Debug)]
pub struct Site {
    lives: Lives,
    dir: TempDir,
    /// Tenants that it has.
    pub tenants: u64,
    /// Those with resources; each has a network of its own.
    holding: u32,
    /// Those that wait for an opinion, or for a correction.
    pub open: Vec<Open>,
    /// Those in formal operation, which can be cut.
    pub online: Vec<TenantId>,
}

/// The engine of the sweeps, in this process.
pub struct Sweeper {
    engine: Engine,
    store: Store,
    stop: watch::Sender<bool>,
    following: JoinHandle<()>,
    _lock: Box<dyn Send>,
}

impl Site {
    /// Lets the templates live, and makes the state of a controller below `parent`.
    ///
    /// # Errors
    /// If `parent` is memory, or anything cannot be made.
    pub async fn make(parent: &Path) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("tenure-bench-", parent)?;
        let memory = statfs(dir.path())?.filesystem_type() == TMPFS_MAGIC;
        ensure!(!memory, "{} is in memory: nothing is durable there", parent.display());
        assembly::init(&dir.path().join("state"), "bench.test/ledger", Clock::system()).await?;
        let lives = live().await?;
        let site =
            Self { lives, dir, tenants: 0, holding: 0, open: Vec::new(), online: Vec::new() };
        let store = site.store().await?;
        let mut tx = store.write().await?;
        for host in &site.lives.hosts {
            store::save_host(&mut tx, host).await?;
        }
        store::commit(tx).await?;
        store.close().await;
        Ok(site)
    }

    /// Where everything is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The controller's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// Bytes of the database's file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn database_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.state().join("tenure.db").metadata()?.len())
    }

    /// Bytes of the state of a tenant that transitions are made of.
    ///
    /// # Errors
    /// None in practice.
    pub fn open_bytes(&self) -> anyhow::Result<usize> {
        Ok(serde_json::to_string(&self.lives.submitted.tenant)?.len())
    }

    async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.state().join("tenure.db")).await?)
    }

    /// Adds copies until there are so many tenants: each with its own id, customer, mark and
    /// network, and with the last row of its template's journal.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn grow(&mut self, tenants: u64) -> anyhow::Result<()> {
        let store = self.store().await?;
        while self.tenants < tenants {
            let mut tx = store.write().await?;
            for _ in 0..BATCH.min(tenants - self.tenants) {
                let life = self.template().clone();
                let tenant = self.copy(&life.tenant)?;
                store::add_tenant(&mut tx, &tenant).await?;
                store::append_journal(&mut tx, entry(&life, &tenant)).await?;
            }
            store::commit(tx).await?;
        }
        store.close().await;
        Ok(())
    }

    /// The engine on this database, at the instant at which copies of the template that becomes due
    /// first are due, and no others. It brings the journal into the ledger as it starts.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn sweeper(&self) -> anyhow::Result<Sweeper> {
        let state = state::open(&self.state())?;
        let ledger =
            Ledger::open(&state.path.join("ledger"), state.ledger.name(), state.ledger_key)?;
        let store = self.store().await?;
        let clock = Clock::simulated(SWEEPS_AT.parse()?);
        clock.set_legal(self.lives.due_at.plus_ms(1));
        let desk = |name: &str| Contact {
            name: name.to_owned(),
            email: Some(format!("{name}@cloud.example")),
            ..Contact::default()
        };
        let provider = Provider { contacts: vec![desk("duty")], second: vec![desk("deputy")] };
        let secrets = Secrets::new(&state.access_key, Chance::default())?;
        let engine = Engine::open(Parts {
            store: store.clone(),
            ledger,
            files: Files::local(&state.path.join("attachments"), 0)?,
            keys: state.keys,
            secrets,
            clock,
            chance: Chance::default(),
            images: Vec::new(),
            zones: Zones::default(),
            thresholds: SiteThresholds::default(),
            rules: Rules::shipped()?,
            forms: Forms::new(None)?,
            provider,
            quotas: crate::fleet::unlimited(),
            watching: crate::fleet::watching::nowhere(),
        })
        .await?;
        // What growing has left in memory would be written beside what is measured.
        syncfs(&File::open(self.dir())?)?;
        let (stop, stopping) = watch::channel(false);
        let following = tokio::spawn(engine.clone().follow_journal(stopping));
        Ok(Sweeper { engine, store, stop, following, _lock: Box::new(state.lock) })
    }

    /// One sweep with so many tenants due; ms.
    ///
    /// # Errors
    /// If other tenants are due, or one of these still is afterwards.
    pub async fn sweep(&mut self, sweeper: &Sweeper, due: u64) -> anyhow::Result<f64> {
        let life = self.lives.due.clone();
        let mut tx = sweeper.store.write().await?;
        for _ in 0..due {
            let tenant = self.copy(&life.tenant)?;
            store::add_tenant(&mut tx, &tenant).await?;
        }
        store::commit(tx).await?;
        ensure!(sweeper.due().await? == due, "others than those are due");
        let start = std::time::Instant::now();
        sweeper.engine.tick().await?;
        let took_ms = start.elapsed().as_secs_f64() * 1000.0;
        ensure!(sweeper.due().await? == 0, "some are due after the sweep");
        Ok(took_ms)
    }

    /// What the next copy is of. Most were refused, wait or have left; those with resources are few
    /// enough for their networks.
    const fn template(&self) -> &Life {
        match self.tenants * 7919 % 1000 {
            0..200 => &self.lives.closed,
            400..800 => &self.lives.submitted,
            800..812 => &self.lives.online,
            812..814 => &self.lives.trial,
            _ => &self.lives.rejected,
        }
    }

    fn copy(&mut self, template: &Tenant) -> anyhow::Result<Tenant> {
        let number = self.tenants;
        self.tenants += 1;
        let mut tenant = template.clone();
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        // Ids grow as they do in life: by time.
        let submitted = tenant.submitted_at.context("a template was submitted")?;
        let born = submitted.plus_ms(i64::try_from(number)?);
        tenant.id = TenantId::from_uuid(Draw::new(seed, born).uuid());
        let customer = (number / 1000 + number) % CUSTOMERS;
        tenant.application.customer = customer_name(customer);
        if let Some(given) = &mut tenant.allotment {
            given.mark = Mark(FIRST_MARK + u32::try_from(number)?);
            if tenant.phase.holds_resources() {
                ensure!(self.holding < NETWORKS, "more tenants hold resources than networks");
                let [a, b, c, _] = (0x0a40_0000 + (self.holding << 8)).to_be_bytes();
                given.network =
                    Network { address: [a, b, c, 0], prefix: 24, gateway: [a, b, c, 1] };
                self.holding += 1;
            }
        }
        if tenant.submitted_at == self.lives.submitted.tenant.submitted_at {
            self.open.push(Open { id: tenant.id, customer, returned: false });
        }
        if tenant.phase == Phase::Online {
            self.online.push(tenant.id);
        }
        Ok(tenant)
    }
}

impl Sweeper {
    async fn due(&self) -> anyhow::Result<u64> {
        let clock = self.engine.clock();
        let now: Timestamp = clock.legal(clock.now());
        let due = store::tenants_to_wake(&mut *self.store.read().await?, now).await?;
        Ok(u64::try_from(due.len())?)
    }

    /// Brings the ledger up to the journal and closes the database.
    ///
    /// # Errors
    /// If what follows the journal panicked.
    pub async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.following.await?;
        drop(self.engine);
        self.store.close().await;
        Ok(())
    }
}

/// A customer's name.
#[must_use]
pub fn customer_name(number: u64) -> String {
    format!("bureau {number}")
}

fn entry<'a>(life: &'a Life, tenant: &Tenant) -> NewEntry<'a> {
    NewEntry {
        tenant: tenant.id,
        kind: &life.last.kind,
        at: life.last.at,
        actor: &life.last.actor,
        actor_keyid: Digest::of(life.last.actor.name.as_bytes()),
        body: life.last.body.clone(),
        phase: tenant.phase,
        shown: tenant.submitted_at.is_some(),
        object: None,
        salt: Digest::of(tenant.id.to_string().as_bytes()).0,
    }
}
