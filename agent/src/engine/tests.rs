mod anomalies;
mod cutting;
mod local;
mod wiping;

use std::{path::PathBuf, sync::mpsc::Receiver};

use ed25519_dalek::SigningKey;
use tempfile::TempDir;
use tenure_protocol::{
    evidence::{
        dsse,
        entry::Entry,
        key::PublicKey,
        merkle,
        note::Checkpoint,
        predicate::{Kind, NetworkCut, Predicate, WipeResult},
    },
    wire::v1::{Action, OrderState, Outcome, Power},
};

use super::*;
use crate::{
    core::{sample, step::Step},
    host::fake::FakeHost,
    journal::Fault,
};

/// A host with its journals on disk, a controller's keys, and no threads of its own: each lane is
/// driven by hand, so that every run is the same.
struct Bench {
    dir: TempDir,
    host: Arc<FakeHost>,
    identity: Arc<Identity>,
    order_key: SigningKey,
    ledger: SigningKey,
    reserve: Arc<reserve::Reserve>,
}

struct Lanes {
    cut: CutLane,
    work: WorkLane,
    reports: Receiver<Report>,
}

impl Bench {
    fn new() -> Self {
        let order_key = SigningKey::from_bytes(&[1; 32]);
        let ledger = SigningKey::from_bytes(&[2; 32]);
        let digest = Digest::of(b"binary");
        let identity = Identity {
            host: OnceLock::from(sample::host()),
            key: HostKey::from_secret(&[3; 32]),
            order_key: order_key.verifying_key(),
            ledger_key: LedgerKey::new("ledger.test", ledger.verifying_key()).expect("a name"),
            agent: AgentIdentity {
                version: "0".to_owned(),
                binary: digest,
                boot_id: "boot".to_owned(),
                kernel: "6".to_owned(),
            },
        };
        Self {
            // Memory, where there is some: a crash here is the process's, not the machine's.
            dir: TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a directory"),
            host: Arc::new(FakeHost::default()),
            identity: Arc::new(identity),
            order_key,
            ledger,
            reserve: Arc::default(),
        }
    }

    fn alarms(&self) -> Arc<Alarms> {
        Arc::new(Alarms::open(&self.dir.path().join("alarms")))
    }

    fn journal(&self, name: &str) -> Journal {
        let path: PathBuf = self.dir.path().join(name);
        Journal::open(&path).expect("a journal")
    }

    fn lanes(&self, fault: Fault) -> Result<Lanes, EngineFailure> {
        let (mut cut, mut work) = (self.journal("cut.redb"), self.journal("work.redb"));
        cut.fail(fault);
        work.fail(fault);
        let sequence = Arc::new(Sequence::of_start(work.starts()));
        let (outlet, reports) = mpsc::sync_channel(MAX_OUTLET);
        let host: Arc<dyn Host> = self.host.clone();
        let mut cut = CutLane {
            desk: Desk::new(cut, Lane::Cut, Arc::clone(&sequence), Clock::default()),
            host: Arc::clone(&host),
            identity: Arc::clone(&self.identity),
            herald: Arc::new(Herald::new(self.alarms(), Arc::clone(&sequence), Clock::default())),
            watch: mpsc::sync_channel(1).0,
            reserve: Arc::clone(&self.reserve),
        };
        cut.begin()?;
        let desk = Desk::new(work, Lane::Work, sequence, Clock::default());
        let work = WorkLane::new(desk, host, Arc::clone(&self.identity));
        work.converge()?;
        cut.take(Input::Connected(outlet.clone()))?;
        work.take(Input::Connected(outlet))?;
        Ok(Lanes { cut, work, reports })
    }

    fn sound(&self) -> Lanes {
        self.lanes(Fault::default()).expect("a sound journal")
    }

    /// A whole engine, with its threads.
    fn start(&self, clock: Clock, alarms: Arc<Alarms>) -> Engine {
        let parts = Parts {
            host: Arc::clone(&self.host),
            cut_journal: self.journal("cut.redb"),
            work_journal: self.journal("work.redb"),
            watch: mpsc::sync_channel(1).0,
            reserve: Arc::clone(&self.reserve),
            identity: Arc::clone(&self.identity),
            clock,
            alarms,
        };
        Engine::start(parts).expect("started")
    }

    fn signed(&self, id: u128, n: u128, generation: u64, action: Action) -> SignedOrder {
        let order = sample::order(id, n, generation, Clock::default().now(), action);
        SignedOrder::sign(&order, &self.order_key).expect("signed")
    }

    fn configure(&self, id: u128, generation: u64, power: Power) -> SignedOrder {
        self.signed(id, 1, generation, Action::Configure(sample::wanted(1, power)))
    }

    fn wipe(&self, id: u128, generation: u64) -> SignedOrder {
        self.signed(id, 1, generation, Action::Wipe(sample::wipe(1, 1)))
    }

    /// What the ledger answers to an intent.
    fn receipt(&self, order: tenure_protocol::id::OrderId, envelope: &[u8]) -> IntentReceipt {
        self.receipt_by(&self.ledger, order, Digest::of(envelope))
    }

    fn receipt_by(
        &self,
        key: &SigningKey,
        order: tenure_protocol::id::OrderId,
        object_digest: Digest,
    ) -> IntentReceipt {
        let entry = Entry {
            v: 1,
            seq: 1,
            tenant: Some(sample::tenant(1)),
            tenant_seq: 1,
            prev_tenant_event: None,
            kind: Kind::WipeIntent.name().to_owned(),
            at: Clock::default().now(),
            actor_keyid: Digest::of(b"host"),
            object_digest,
        }
        .to_bytes();
        let root = merkle::leaf_hash(&entry);
        let checkpoint = Checkpoint { origin: "ledger.test".to_owned(), size: 1, root };
        let checkpoint = checkpoint.sign(key).expect("signed");
        IntentReceipt { order, entry, index: 0, proof: vec![], checkpoint }
    }

    fn destroyed_anything(&self) -> bool {
        self.host.log().iter().any(Step::destroys)
    }
}

impl Lanes {
    fn reports(&self) -> Vec<Report> {
        self.reports.try_iter().collect()
    }

    fn run_work(&self) -> Result<(), EngineFailure> {
        loop {
            let next = self.work.desk().runnable();
            match next {
                Some(id) => self.work.perform(id)?,
                None => return Ok(()),
            }
        }
    }

    fn order(&self, signed: SignedOrder) -> Vec<Report> {
        self.work.take(Input::Order(signed)).expect("taken");
        self.run_work().expect("performed");
        self.reports()
    }
}

fn intent(reports: &[Report]) -> Vec<u8> {
    let find = |report: &Report| match &report.state {
        OrderState::Intent { envelope } => Some(envelope.clone()),
        _ => None,
    };
    reports.iter().find_map(find).expect("an intent")
}

fn states(reports: &[Report]) -> Vec<&'static str> {
    reports
        .iter()
        .map(|report| match report.state {
            OrderState::Journalled => "journalled",
            OrderState::Started => "started",
            OrderState::Progress(_) => "progress",
            OrderState::Intent { .. } => "intent",
            OrderState::Done { .. } => "done",
            OrderState::Refused { .. } | OrderState::Unmade { refused: true, .. } => "refused",
            OrderState::Failed { .. } | OrderState::Unmade { .. } => "failed",
            OrderState::Local { .. } => "local",
        })
        .collect()
}

fn code(reports: &[Report]) -> &str {
    match &reports.last().expect("a report").state {
        OrderState::Refused { code, .. }
        | OrderState::Failed { code, .. }
        | OrderState::Unmade { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_tenant_is_configured_once_however_often_it_is_ordered() {
    let bench = Bench::new();
    let lanes = bench.sound();
    let order = bench.configure(1, 1, Power::Running);
    assert_eq!(states(&lanes.order(order.clone())), ["journalled", "started", "done"]);
    let steps = bench.host.log().len();
    assert_eq!(states(&lanes.order(order)), ["done"], "answered from the journal");
    assert_eq!(bench.host.log().len(), steps, "and nothing done again");
    let stale = bench.configure(2, 1, Power::Stopped);
    assert_eq!(code(&lanes.order(stale)), "stale-generation");
    assert_eq!(states(&lanes.order(bench.configure(3, 2, Power::Stopped))).last(), Some(&"done"));
}

#[test]
fn an_order_that_the_pinned_key_did_not_sign_does_nothing() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let order = sample::order(1, 1, 1, Clock::default().now(), Action::Cut(sample::cut(1)));
    let forged = SignedOrder::sign(&order, &SigningKey::from_bytes(&[9; 32])).expect("signed");
    lanes.cut.take(Input::Order(forged.clone())).expect("passed over");
    lanes.work.take(Input::Order(forged)).expect("passed over");
    let mut altered = bench.configure(1, 1, Power::Running);
    let last = altered.order.len() - 1;
    altered.order[last] ^= 1;
    lanes.order(altered);
    assert_eq!(lanes.reports(), vec![]);
    assert!(
        bench.host.log().iter().all(|step| matches!(step, Step::Guard { .. })),
        "and no other step"
    );
    assert!(lanes.work.desk().records().orders.is_empty());
}

#[test]
fn a_report_is_said_again_until_its_receipt_over_restarts_too() {
    let bench = Bench::new();
    let lanes = bench.sound();
    let done = lanes.order(bench.configure(1, 1, Power::Running)).pop().expect("done");
    drop(lanes);
    let lanes = bench.sound();
    assert_eq!(lanes.reports(), vec![done.clone()], "the same bytes, the same number");
    let receipt = ReportReceipt { order: done.order, sequence: done.sequence };
    let other = ReportReceipt { order: sample::order_id(99), ..receipt };
    lanes.work.take(Input::ReportReceipt(other)).expect("taken");
    assert_eq!(lanes.work.desk().records().queue.len(), 1, "a receipt of another order");
    lanes.work.take(Input::ReportReceipt(receipt)).expect("taken");
    drop(lanes);
    let lanes = bench.sound();
    assert_eq!(lanes.reports(), vec![]);
    let next = lanes.order(bench.configure(2, 2, Power::Running)).pop().expect("done");
    assert!(next.sequence > done.sequence, "numbers are never used again");
}

/// The process ends at each commit in turn, before or after it reached the disk; it is started
/// again and again until all is done. The end is always the same, each order has one last state,
/// and nothing is destroyed before the receipt.
#[test]
fn a_crash_at_any_commit_changes_nothing_of_the_end() {
    for durable in [false, true] {
        for after in 0.. {
            let fault = Fault { after: Some(after), durable };
            if story(fault) {
                assert!(after > 20, "the story has commits to crash at, it had {after}");
                break;
            }
        }
    }
}

/// Gives whether the whole story went by without the crash.
fn story(fault: Fault) -> bool {
    let bench = Bench::new();
    let orders = [bench.configure(1, 1, Power::Running), bench.wipe(2, 2)];
    let cut = bench.signed(3, 1, 1, Action::Cut(sample::cut(1)));
    let whole = act(&bench, fault, &orders, &cut).is_ok();
    if !whole {
        act(&bench, Fault::default(), &orders, &cut).expect("without a crash it ends");
    }
    let lanes = bench.sound();
    let records = lanes.work.desk().records().clone();
    for id in [1, 2] {
        let stage = &records.orders[&sample::order_id(id)].stage;
        assert!(
            matches!(stage, crate::core::record::OrderStage::Finished(OrderState::Done { .. })),
            "{fault:?}: {stage:?}"
        );
    }
    assert!(records.wipes.is_empty() && records.unfinished().is_empty());
    assert!(bench.host.state().cut.contains(&sample::cut(1).mark));
    assert!(bench.host.state().volumes.is_empty());
    let log = bench.host.log();
    let made = log.iter().filter(|step| matches!(step, Step::Start(_))).count();
    assert_eq!(made, 2, "{fault:?}: no instance is started twice");
    whole
}

fn act(
    bench: &Bench,
    fault: Fault,
    orders: &[SignedOrder; 2],
    cut: &SignedOrder,
) -> Result<(), EngineFailure> {
    let mut lanes = bench.lanes(fault)?;
    for order in orders {
        lanes.work.take(Input::Order(order.clone()))?;
        lanes.run_work()?;
    }
    lanes.cut.take(Input::Order(cut.clone()))?;
    let reports = lanes.reports();
    let announced = reports.iter().any(|r| matches!(r.state, OrderState::Intent { .. }));
    if announced {
        let receipt = bench.receipt(sample::order_id(2), &intent(&reports));
        lanes.work.take(Input::IntentReceipt(receipt))?;
    }
    lanes.run_work()
}
