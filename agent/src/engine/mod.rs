//! The engine: accept → plan → save → perform → observe → report, on two lanes.
//!
//! ```text
//!            orders, receipts                             reports
//! person   ──► admit ──► journal ┐  (cut and restore, without a controller)
//! cut lane   ──► verify ─► accept ─► journal ─► perform ──► journal ──► outlet
//! work lane  ──► verify ─► accept ─► journal ─┐                          ▲
//!   performer      ◄── next unfinished ◄──────┘ plan, perform, attest ───┘
//! watch      ◄── packets, receipts, t0: has customers told if the controller is silent
//! tick       ──► cuts asserted again, observation refreshed, reports sent again
//! sampler    ──► what is counted: floods, saturated disks and taken processors are told
//! patrol     ──► what others changed is mended and told, at once and on every tick
//! ```
//!
//! Each lane has its own thread and its own journal, so nothing on the cut lane waits for the work
//! lane: not for its commits, and not for a wipe of hours. Nothing is sent or acknowledged before
//! it is durable, and a journal that cannot be written ends the process.

pub mod anomaly;
mod configure;
mod cut;
mod desk;
mod drift;
mod herald;
pub mod local;
pub mod reserve;
pub mod watch;
mod wipe;
mod work;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use ed25519_dalek::VerifyingKey;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        note::LedgerKey,
        predicate::{self, AgentIdentity, Origin},
    },
    id::HostId,
    wire::{
        order::SignedOrder,
        v1::{
            InstanceObserved, IntentReceipt, IntentRefusal, Lane, Observation, Order, OrderState,
            Report, ReportReceipt, unmade_message,
        },
    },
};

pub use self::work::Roster;
use self::{
    anomaly::Sampler, cut::CutLane, desk::Desk, drift::Patrol, herald::Herald, work::WorkLane,
};
use crate::{
    alarm::Alarms,
    clock::Clock,
    core::{attest, observed::Observed, step::Host},
    host::preflight::PreflightFailure,
    journal::{Journal, JournalFailure},
    sign::HostKey,
};

/// Most messages that wait before a lane; whoever sends more waits.
pub const MAX_INBOX: usize = 256;

/// Most reports that wait before the link; more are sent again later, from the journal.
pub const MAX_OUTLET: usize = 1024;

/// How often cuts are asserted again, the host is observed, and old reports are sent again.
pub const TICK: Duration = Duration::from_secs(3);

/// Why an engine ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineFailure {
    /// The journal cannot be written: nothing may be acknowledged any more.
    #[error("the journal failed, so this process ends; it goes on from the journal when restarted")]
    Journal(#[from] JournalFailure),
    /// The host does not fit.
    #[error(transparent)]
    Unfit(#[from] Box<PreflightFailure>),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// A thread ended with a panic.
    #[error("the {0} thread panicked: this is a bug, please report it")]
    Panic(&'static str),
    /// It was asked to.
    #[error("the engine was stopped")]
    Stopped,
}

/// Who this host is, and whom it believes.
#[derive(Debug)]
pub struct Identity {
    /// The host's id: not known before it is enrolled. No order is taken before.
    pub host: OnceLock<HostId>,
    /// The host key.
    pub key: HostKey,
    /// The controller's order key, pinned when the host joined.
    pub order_key: VerifyingKey,
    /// The ledger's key, pinned when the host joined.
    pub ledger_key: LedgerKey,
    /// Build, boot and kernel, as statements name them.
    pub agent: AgentIdentity,
}

impl Identity {
    fn origin(&self, order: &Order, digest: Digest, clock: predicate::Clock) -> Origin {
        attest::origin(order, digest, order.host, self.agent.clone(), clock)
    }

    /// The end of an order of the cut lane as the controller believes it: what was not carried out
    /// under this host's signature.
    fn signed_end(&self, order: Digest, state: OrderState) -> OrderState {
        let (refused, code, message, envelopes) = match state {
            OrderState::Failed { code, message, envelopes } => (false, code, message, envelopes),
            OrderState::Refused { code, message } => (true, code, message, Vec::new()),
            other => return other,
        };
        let signature = self.key.sign(&unmade_message(&order, refused, &code, &message));
        OrderState::Unmade { refused, code, message, envelopes, signature }
    }
}

/// What an engine is made of.
#[derive(Debug)]
pub struct Parts<H> {
    /// The host.
    pub host: Arc<H>,
    /// The cut lane's journal.
    pub cut_journal: Journal,
    /// The work lane's journal.
    pub work_journal: Journal,
    /// The way to the watch over cuts ([`watch::start`]).
    pub watch: SyncSender<watch::Input>,
    /// The cuts that persons on this host may take the ids of, as the watch keeps them.
    pub reserve: Arc<reserve::Reserve>,
    /// Who and whom.
    pub identity: Arc<Identity>,
    /// The time of orders, reports and statements.
    pub clock: Clock,
    /// Where alarms wait for the controller.
    pub alarms: Arc<Alarms>,
}

/// A message to a lane.
#[derive(Debug)]
pub enum Input {
    /// An order, as it came.
    Order(SignedOrder),
    /// What a person on this host wants.
    Local(local::LocalInput),
    /// A report is durable at the controller.
    ReportReceipt(ReportReceipt),
    /// A wipe's intent is in the ledger.
    IntentReceipt(IntentReceipt),
    /// A wipe's intent is not taken, and will not be.
    IntentRefusal(IntentRefusal),
    /// The link is up: reports go here from now on, those without a receipt first.
    Connected(Outlet),
    /// Time has passed.
    Tick,
    /// Somebody may have changed the packet filter.
    Drift,
    /// End.
    Stop,
}

/// Where a lane's reports go.
pub type Outlet = SyncSender<Report>;

/// Numbers of reports: never used again, since each start of the process has a range of its own.
#[derive(Debug)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    fn of_start(start: u64) -> Self {
        Self(AtomicU64::new(start << 32))
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    cut: SyncSender<Input>,
    work: SyncSender<Input>,
    work_lane: Arc<WorkLane>,
    view: Arc<Mutex<Observation>>,
    ended: Receiver<EngineFailure>,
    nudge: SyncSender<()>,
    stopped: Arc<AtomicBool>,
    end_ticks: Vec<mpsc::Sender<()>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Engine {
    /// Asserts every cut of the journal, and only then starts the lanes.
    ///
    /// # Errors
    /// [`EngineFailure`]; a cut that cannot be asserted is logged and tried again on every tick.
    pub fn start<H: Host + 'static>(parts: Parts<H>) -> Result<Self, EngineFailure> {
        Self::start_after(parts, || Ok(()))
    }

    /// As [`Self::start`], with a check between the cuts and the lanes: a host that is not fit for
    /// machines any more has still asserted its cuts when this fails.
    ///
    /// # Errors
    /// [`EngineFailure`], also the check's.
    pub fn start_after<H: Host + 'static>(
        parts: Parts<H>,
        fit: impl FnOnce() -> Result<(), PreflightFailure>,
    ) -> Result<Self, EngineFailure> {
        let Parts { host, cut_journal, work_journal, watch, reserve, identity, clock, alarms } =
            parts;
        let host: Arc<dyn Host> = host;
        let start = cut_journal.starts().max(work_journal.starts());
        let sequence = Arc::new(Sequence::of_start(start));
        let herald = Arc::new(Herald::new(alarms, Arc::clone(&sequence), clock.clone()));
        let mut cut_lane = CutLane {
            desk: Desk::new(cut_journal, Lane::Cut, Arc::clone(&sequence), clock.clone()),
            host: Arc::clone(&host),
            identity: Arc::clone(&identity),
            herald: Arc::clone(&herald),
            watch,
            reserve,
        };
        cut_lane.begin()?;
        fit().map_err(Box::new)?;
        let desk = Desk::new(work_journal, Lane::Work, sequence, clock.clone());
        let work_lane = Arc::new(WorkLane::new(desk, Arc::clone(&host), identity));
        let (cut, cut_inbox) = mpsc::sync_channel(MAX_INBOX);
        let (work, work_inbox) = mpsc::sync_channel(MAX_INBOX);
        // Without a limit, and need none: each of the threads sends once, as its last act.
        let (end, ended) = mpsc::channel();
        let view = Arc::new(Mutex::new(Observation::default()));
        // Nothing is ever sent: its end is the message.
        let (end_ticks, ticks) = mpsc::channel();
        let (end_samples, samples) = mpsc::channel();
        // One that waits stands for all that come meanwhile.
        let (nudge, nudges) = mpsc::sync_channel(1);
        let stopped = Arc::new(AtomicBool::new(false));
        let mut engine = Self {
            cut: cut.clone(),
            work: work.clone(),
            work_lane: Arc::clone(&work_lane),
            view: Arc::clone(&view),
            ended,
            nudge: nudge.clone(),
            stopped: Arc::clone(&stopped),
            end_ticks: vec![end_ticks, end_samples],
            threads: Vec::new(),
        };
        engine.spawn("cut lane", end.clone(), move || cut_lane.run(&cut_inbox))?;
        let admission = Arc::clone(&work_lane);
        engine.spawn("work lane", end.clone(), move || admission.run(&work_inbox))?;
        let performer = Arc::clone(&work_lane);
        engine.spawn("performer", end.clone(), move || performer.perform_all())?;
        let patrol = Patrol {
            host: Arc::clone(&host),
            work_lane: Arc::clone(&work_lane),
            cut: cut.clone(),
            herald: Arc::clone(&herald),
            stopped,
        };
        engine.spawn("patrol", end.clone(), move || patrol.run(&nudges))?;
        let sampler = Sampler {
            host: Arc::clone(&host),
            work_lane: Arc::clone(&work_lane),
            herald,
            clock: clock.clone(),
        };
        engine.spawn("sampler", end.clone(), move || sampler.run(&samples))?;
        let observer = Observer { host, work_lane, view, lanes: [cut, work], nudge, clock };
        engine.spawn("tick", end, move || observer.run(&ticks))?;
        Ok(engine)
    }

    /// Gives a lane a message; waits while its inbox is full.
    ///
    /// # Errors
    /// [`EngineFailure::Stopped`] if the lane has ended.
    pub fn deliver(&self, lane: Lane, input: Input) -> Result<(), EngineFailure> {
        self.inbox(lane).send(input).map_err(|_| EngineFailure::Stopped)
    }

    /// A lane's inbox.
    #[must_use]
    pub fn inbox(&self, lane: Lane) -> SyncSender<Input> {
        match lane {
            Lane::Cut => self.cut.clone(),
            Lane::Work => self.work.clone(),
        }
    }

    /// Where to say that somebody may have changed the packet filter or the devices.
    #[must_use]
    pub fn nudge(&self) -> SyncSender<()> {
        self.nudge.clone()
    }

    /// The tenants that are on this host, for another thread.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.work_lane.roster()
    }

    /// What was seen on the host at the last tick, for another thread.
    #[must_use]
    pub fn view(&self) -> Arc<Mutex<Observation>> {
        Arc::clone(&self.view)
    }

    /// Waits until a part of the engine ends, which none does by itself but on a failure.
    #[must_use]
    pub fn wait(&self) -> EngineFailure {
        self.ended.recv().unwrap_or(EngineFailure::Stopped)
    }

    /// Ends the engine between two steps, and gives what it ended by.
    pub fn stop(mut self) -> EngineFailure {
        self.signal();
        self.end_ticks.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.ended.try_recv().unwrap_or(EngineFailure::Stopped)
    }

    fn signal(&self) {
        self.work_lane.stop();
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.nudge.try_send(());
        let _ = self.cut.try_send(Input::Stop);
        let _ = self.work.try_send(Input::Stop);
    }

    fn spawn(
        &mut self,
        name: &'static str,
        end: mpsc::Sender<EngineFailure>,
        body: impl FnOnce() -> Result<(), EngineFailure> + Send + 'static,
    ) -> Result<(), EngineFailure> {
        let guarded = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            let failure = match outcome {
                Ok(Ok(())) => EngineFailure::Stopped,
                Ok(Err(failure)) => failure,
                Err(_) => EngineFailure::Panic(name),
            };
            let _ = end.send(failure);
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(guarded)
            .map_err(EngineFailure::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.signal();
    }
}

struct Observer {
    host: Arc<dyn Host>,
    work_lane: Arc<WorkLane>,
    view: Arc<Mutex<Observation>>,
    lanes: [SyncSender<Input>; 2],
    nudge: SyncSender<()>,
    clock: Clock,
}

impl Observer {
    fn run(&self, ended: &Receiver<()>) -> Result<(), EngineFailure> {
        let mut wait = Duration::ZERO;
        while self.clock.wait(wait, ended) {
            wait = TICK;
            for lane in &self.lanes {
                let _ = lane.try_send(Input::Tick);
            }
            let _ = self.nudge.try_send(());
            match self.host.observe() {
                Ok(observed) => *lock(&self.view) = self.observation(&observed),
                Err(error) => tracing::warn!(code = error.code, "cannot observe: {error}"),
            }
        }
        Ok(())
    }

    fn observation(&self, observed: &Observed) -> Observation {
        let owners = self.work_lane.owners();
        let instances = observed
            .instances
            .iter()
            .filter_map(|(instance, power)| {
                let tenant = *owners.get(instance)?;
                Some(InstanceObserved { instance: *instance, tenant, power: *power })
            })
            .collect();
        Observation {
            instances,
            cut: observed.cut.iter().copied().collect(),
            cpu_load_permille: observed.cpu_load_permille,
            memory_used_bytes: observed.memory_used_bytes,
        }
    }
}

/// A lock whose holder panicked is still good: each state is replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
