//! The work lane: two threads over one desk. The inbox thread admits orders and takes receipts at
//! once; the performer carries out one order at a time, without holding the desk while it does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvError},
    },
};

use tenure_protocol::{
    digest::Digest,
    evidence::entry::verify_intent_receipt,
    id::{InstanceId, OrderId, TenantId},
    wire::v1::{Action, IntentReceipt, IntentRefusal, Mark, OrderState, TenantWanted, WipeOrder},
};

use super::{
    EngineFailure, Identity, Input,
    desk::{Admitted, Desk},
    lock,
};
use crate::{
    clock::Clock,
    core::{
        accept,
        anomaly::Watched,
        record::{
            Allocation, Change, Fate, OrderRecord, SubjectRecord, SubjectStage, TenantRecord,
            WipeRecord, WipeStage,
        },
        step::Host,
    },
};

/// Longest word of the controller on an intent that is kept, characters.
const MAX_REFUSAL_CHARS: usize = 2_000;

/// The tenants that are on a host, each with its mark; held for moments alone, so that nobody who
/// looks waits for a commit.
pub type Roster = Arc<Mutex<BTreeMap<TenantId, Mark>>>;

#[derive(Debug)]
pub(super) struct WorkLane {
    desk: Mutex<Desk>,
    roster: Roster,
    wake: Condvar,
    stopped: AtomicBool,
    pub(super) host: Arc<dyn Host>,
    pub(super) identity: Arc<Identity>,
    pub(super) clock: Clock,
}

/// The tenants of which something is left on this host.
fn present(desk: &Desk) -> BTreeMap<TenantId, Mark> {
    let tenants = desk.records().tenants.values();
    let left = tenants.filter(|tenant| !matches!(tenant.fate, Fate::Destroyed { .. }));
    left.map(|tenant| (tenant.tenant, tenant.wanted.mark)).collect()
}

impl WorkLane {
    pub(super) fn new(desk: Desk, host: Arc<dyn Host>, identity: Arc<Identity>) -> Self {
        let (wake, stopped) = (Condvar::new(), AtomicBool::new(false));
        let clock = desk.clock().clone();
        let roster = Arc::new(Mutex::new(present(&desk)));
        Self { desk: Mutex::new(desk), roster, wake, stopped, host, identity, clock }
    }

    pub(super) fn roster(&self) -> Roster {
        Arc::clone(&self.roster)
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Ends both threads, the performer between two steps.
    pub(super) fn stop(&self) {
        let _desk = self.desk();
        self.stopped.store(true, Ordering::Relaxed);
        self.wake.notify_all();
    }

    /// Whose each instance is.
    pub(super) fn owners(&self) -> BTreeMap<InstanceId, TenantId> {
        let desk = self.desk();
        *lock(&self.roster) = present(&desk);
        let of = |tenant: &TenantRecord| {
            let id = tenant.tenant;
            tenant.wanted.instances.iter().map(move |one| (one.instance, id)).collect::<Vec<_>>()
        };
        desk.records().tenants.values().flat_map(of).collect()
    }

    /// What is watched of what each instance does. Nothing of a tenant that is being wiped is.
    pub(super) fn watched(&self) -> Watched {
        let desk = self.desk();
        let live = desk.records().tenants.values().filter(|tenant| tenant.fate == Fate::Live);
        Watched::of(live.flat_map(|tenant| {
            let (id, thresholds) = (tenant.tenant, tenant.wanted.thresholds);
            tenant.wanted.instances.iter().map(move |one| (one.instance, id, thresholds))
        }))
    }

    /// Whose each mark is.
    pub(super) fn marks(&self) -> BTreeMap<Mark, TenantId> {
        let desk = self.desk();
        let tenants = desk.records().tenants.values();
        tenants.map(|tenant| (tenant.wanted.mark, tenant.tenant)).collect()
    }

    /// The inbox thread.
    pub(super) fn run(&self, inbox: &Receiver<Input>) -> Result<(), EngineFailure> {
        loop {
            match inbox.recv() {
                Ok(Input::Stop) | Err(RecvError) => return Ok(()),
                Ok(input) => self.take(input)?,
            }
        }
    }

    pub(super) fn take(&self, input: Input) -> Result<(), EngineFailure> {
        let mut desk = self.desk();
        match input {
            Input::Order(signed) => {
                if let Some(admitted) = desk.admit(signed, &self.identity)? {
                    self.journal(&mut desk, admitted)?;
                }
            }
            Input::ReportReceipt(receipt) => desk.receipted(receipt)?,
            Input::IntentReceipt(receipt) => self.release(&mut desk, &receipt)?,
            Input::IntentRefusal(refusal) => self.abandon(&mut desk, &refusal)?,
            Input::Connected(outlet) => desk.connected(outlet),
            Input::Tick => desk.tick()?,
            Input::Local(_) | Input::Drift | Input::Stop => {}
        }
        drop(desk);
        self.wake.notify_all();
        Ok(())
    }

    fn journal(&self, desk: &mut Desk, admitted: Admitted) -> Result<(), EngineFailure> {
        let Admitted { order, record } = admitted;
        let known = desk.records().tenants.get(&order.tenant).cloned();
        let changes = match &order.action {
            Action::Configure(wanted) => {
                let tenant = configured(known, order.tenant, order.generation, wanted);
                vec![Change::Order(record), Change::Tenant(tenant)]
            }
            Action::Wipe(wipe) => {
                let Some(tenant) = known else { return Ok(()) };
                let tenant = TenantRecord { generation: order.generation, ..tenant };
                vec![
                    Change::Order(record),
                    Change::Tenant(tenant),
                    Change::Wipe(planned(order.id, wipe)),
                ]
            }
            Action::Cut(_) | Action::Restore(_) => return Ok(()),
        };
        desk.commit(changes)?;
        *lock(&self.roster) = present(desk);
        tracing::info!(order = %order.id, tenant = %order.tenant, "order journalled");
        desk.tell(order.id, OrderState::Journalled);
        Ok(())
    }

    /// No log, no wipe: only a proof under the pinned ledger key releases one.
    fn release(&self, desk: &mut Desk, receipt: &IntentReceipt) -> Result<(), EngineFailure> {
        let Some(wipe) = desk.records().wipes.get(&receipt.order).cloned() else { return Ok(()) };
        let WipeStage::Announced { intent, sequence } = wipe.stage else { return Ok(()) };
        let digest = Digest::of(&intent);
        let Some(order) = desk.records().orders.get(&receipt.order) else { return Ok(()) };
        let Some(tenant) = desk.records().tenants.get(&order.tenant).cloned() else {
            return Ok(());
        };
        match verify_intent_receipt(receipt, &digest, &self.identity.ledger_key) {
            Ok(entry) if entry.tenant == Some(tenant.tenant) => {}
            Ok(_) => {
                tracing::error!(order = %receipt.order, "the intent is logged for another tenant");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(order = %receipt.order, "no proof of the intent: {error}");
                return Ok(());
            }
        }
        tracing::info!(order = %receipt.order, index = receipt.index, "wipe released");
        let stage =
            WipeStage::Released { intent, ledger_index: receipt.index, at: self.clock.now() };
        desk.commit(vec![
            Change::Wipe(WipeRecord { stage, ..wipe }),
            Change::Tenant(TenantRecord {
                fate: Fate::Destroying,
                last_intent: Some(digest),
                ..tenant
            }),
            Change::Dequeue(sequence),
        ])
    }

    /// An intent that the controller will not enter ends its order, and destroys nothing. Nobody
    /// has to prove a refusal: who can forge one could as well keep the receipt back for ever.
    fn abandon(&self, desk: &mut Desk, refusal: &IntentRefusal) -> Result<(), EngineFailure> {
        let IntentRefusal { order, sequence, code, message } = refusal;
        let stage = desk.records().wipes.get(order).map(|wipe| &wipe.stage);
        match stage {
            Some(WipeStage::Announced { sequence: announced, .. }) if announced == sequence => {}
            Some(_) | None => return Ok(()),
        }
        let Some(record) = desk.records().orders.get(order).cloned() else { return Ok(()) };
        let text = format!("the controller does not take the intent ({code}): {message}");
        let text = text.chars().take(MAX_REFUSAL_CHARS).collect();
        let changes = vec![Change::ForgetWipe(*order), Change::Dequeue(*sequence)];
        self.fail(desk, record, "intent-refused", text, Vec::new(), changes)
    }

    /// The performer thread: first what the host should run already, then orders, oldest first.
    pub(super) fn perform_all(&self) -> Result<(), EngineFailure> {
        self.converge()?;
        while let Some(id) = self.wait_for_order() {
            self.perform(id)?;
        }
        Ok(())
    }

    fn wait_for_order(&self) -> Option<OrderId> {
        let mut desk = self.desk();
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(id) = desk.runnable() {
                return Some(id);
            }
            desk = self.wake.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn perform(&self, id: OrderId) -> Result<(), EngineFailure> {
        let opened = self.desk().reopen(id, &self.identity);
        match opened {
            Ok((record, order)) => match &order.action {
                Action::Configure(wanted) => self.configure(record, &order, wanted),
                Action::Wipe(wipe) => self.wipe(record, &order, wipe),
                Action::Cut(_) | Action::Restore(_) => Ok(()),
            },
            Err(reason) => self.give_up(id, "not-readable", reason),
        }
    }

    fn give_up(&self, id: OrderId, code: &str, message: String) -> Result<(), EngineFailure> {
        tracing::error!(order = %id, code, "an order of the journal cannot go on: {message}");
        let mut desk = self.desk();
        let Some(record) = desk.records().orders.get(&id).cloned() else { return Ok(()) };
        self.fail(&mut desk, record, code, message, Vec::new(), Vec::new())
    }

    pub(super) fn fail(
        &self,
        desk: &mut Desk,
        record: OrderRecord,
        code: &str,
        message: String,
        envelopes: Vec<Vec<u8>>,
        changes: Vec<Change>,
    ) -> Result<(), EngineFailure> {
        tracing::warn!(order = %record.id, tenant = %record.tenant, code, "failed: {message}");
        let state = OrderState::Failed { code: code.to_owned(), message, envelopes };
        desk.finish(record, state, changes)
    }
}

/// The tenant with a new wanted state. What it will allocate is on record before it is allocated.
fn configured(
    known: Option<TenantRecord>,
    tenant: TenantId,
    generation: tenure_protocol::generation::Generation,
    wanted: &TenantWanted,
) -> TenantRecord {
    let (mut inventory, last_intent) =
        known.map_or_else(Default::default, |known| (known.inventory, known.last_intent));
    for subject in accept::subjects_of(wanted) {
        inventory.entry(subject).or_insert(Allocation::Begun);
    }
    let wanted = wanted.clone();
    TenantRecord { tenant, generation, wanted, inventory, fate: Fate::Live, last_intent }
}

fn planned(order: OrderId, wipe: &WipeOrder) -> WipeRecord {
    let pending = |subject: &_| SubjectRecord { subject: *subject, stage: SubjectStage::Pending };
    let subjects = wipe.subjects.iter().map(pending).collect();
    WipeRecord { order, stage: WipeStage::Planned, supersedes: None, subjects }
}
