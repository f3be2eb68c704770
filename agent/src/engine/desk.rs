//! A lane's desk: its journal, its numbers and its way out. Everything is saved here before it is
//! said.
//!
//! Receipts of reports are not signed. They come over a session in which both sides are
//! authenticated, through the network side, and who breaks into that can forge them. He gains a
//! delay by it and no more: a receipt ends the repetition of a report, but the order's record
//! stays, with its last state and envelopes, and is said again when the controller sends the order
//! again, which it does in each new session until it has the end itself. A record that attests a
//! wipe stays for ever, any other until a day after the order's time to live; until then the
//! controller shows the order as open, which people see. A wipe is released by the ledger's proof
//! alone, never by a receipt. A refused intent stops a wipe, as withholding its receipt does.

use std::sync::{Arc, mpsc::TrySendError};

use tenure_protocol::{
    id::OrderId,
    wire::{
        frame,
        order::SignedOrder,
        v1::{Action, Lane, Order, OrderState, Outcome, Report, ReportReceipt},
    },
};

use super::{EngineFailure, Identity, Outlet, Sequence};
use crate::{
    clock::Clock,
    core::{
        accept::{self, Admission, Refusal, Standing},
        record::{Change, OrderRecord, OrderStage, Records, WipeStage},
    },
    journal::Journal,
};

/// Most reports without a receipt: beyond it no new work is taken. Cuts are taken always.
pub(super) const MAX_QUEUED_REPORTS: usize = 4096;

/// How long a finished order is remembered after it expired, ms.
pub(super) const KEEP_FINISHED_MS: i64 = 24 * 3600 * 1000;

/// An order that was admitted, and is to be journalled with what follows from it.
pub(super) struct Admitted {
    pub(super) order: Order,
    pub(super) record: OrderRecord,
}

#[derive(Debug)]
pub(super) struct Desk {
    journal: Journal,
    lane: Lane,
    sequence: Arc<Sequence>,
    outlet: Option<Outlet>,
    clock: Clock,
}

impl Desk {
    pub(super) const fn new(
        journal: Journal,
        lane: Lane,
        sequence: Arc<Sequence>,
        clock: Clock,
    ) -> Self {
        Self { journal, lane, sequence, outlet: None, clock }
    }

    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) const fn records(&self) -> &Records {
        self.journal.records()
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) -> Result<(), EngineFailure> {
        Ok(self.journal.commit(changes)?)
    }

    /// A number that this host never uses again.
    pub(super) fn number(&self) -> u64 {
        self.sequence.next()
    }

    /// A new report, numbered.
    pub(super) fn report(&self, order: OrderId, state: OrderState) -> Report {
        Report { order, sequence: self.sequence.next(), at: self.clock.now(), state }
    }

    /// Says something that may be lost.
    pub(super) fn tell(&mut self, order: OrderId, state: OrderState) {
        let report = self.report(order, state);
        self.send(report);
    }

    pub(super) fn send(&mut self, report: Report) {
        let Some(outlet) = &self.outlet else { return };
        match outlet.try_send(report) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => self.outlet = None,
        }
    }

    /// Checks the signature, then admission. A refusal is journalled and said here; an order that
    /// is known is answered with its present state.
    pub(super) fn admit(
        &mut self,
        signed: SignedOrder,
        identity: &Identity,
    ) -> Result<Option<Admitted>, EngineFailure> {
        let order = match signed.verify(&identity.order_key) {
            Ok(order) => order,
            Err(error) => {
                tracing::error!(lane = ?self.lane, "an order was not taken: {error}");
                return Ok(None);
            }
        };
        if order.action.lane() != self.lane {
            tracing::error!(order = %order.id, lane = ?self.lane, "an order on the wrong lane");
            return Ok(None);
        }
        let Some(host) = identity.host.get() else {
            tracing::error!(order = %order.id, "an order came before the host is enrolled");
            return Ok(None);
        };
        if self.lane == Lane::Work && self.records().queue.len() >= MAX_QUEUED_REPORTS {
            tracing::error!(order = %order.id, "too many reports without a receipt: not taken");
            return Ok(None);
        }
        let digest = signed.digest();
        let now = self.clock.now();
        let standing = Standing { host: *host, now, records: self.records() };
        let record = OrderRecord {
            id: order.id,
            tenant: order.tenant,
            digest,
            signed,
            journalled_at: now,
            expires_at: accept::expires_at(&order),
            stage: OrderStage::Accepted,
        };
        match accept::accept(&order, digest, &standing) {
            Admission::Accept => Ok(Some(Admitted { order, record })),
            Admission::Known => {
                self.answer(order.id);
                Ok(None)
            }
            Admission::Refuse(refusal) => {
                self.refuse(record, &refusal, identity)?;
                Ok(None)
            }
        }
    }

    fn refuse(
        &mut self,
        record: OrderRecord,
        refusal: &Refusal,
        identity: &Identity,
    ) -> Result<(), EngineFailure> {
        let code = refusal.code();
        tracing::info!(order = %record.id, tenant = %record.tenant, code, "order refused");
        let mut state = OrderState::Refused { code: code.to_owned(), message: refusal.to_string() };
        if self.lane == Lane::Cut {
            state = identity.signed_end(record.digest, state);
        }
        // The record of an order is never replaced by one that merely took its id.
        if *refusal == Refusal::DigestChanged {
            let report = self.report(record.id, state);
            self.commit(vec![Change::Queue(report.clone())])?;
            self.send(report);
            return Ok(());
        }
        self.finish(record, state, Vec::new())
    }

    /// Ends an order: its last state and what else changes with it, in one commit.
    pub(super) fn finish(
        &mut self,
        record: OrderRecord,
        state: OrderState,
        mut changes: Vec<Change>,
    ) -> Result<(), EngineFailure> {
        let report = self.report(record.id, state.clone());
        changes.push(Change::Order(OrderRecord { stage: OrderStage::Finished(state), ..record }));
        changes.push(Change::Queue(report.clone()));
        self.commit(changes)?;
        self.send(report);
        Ok(())
    }

    /// Says the present state of a known order again.
    fn answer(&mut self, id: OrderId) {
        let queued: Vec<Report> =
            self.records().queue.values().filter(|report| report.order == id).cloned().collect();
        if !queued.is_empty() {
            queued.into_iter().for_each(|report| self.send(report));
            return;
        }
        match self.records().orders.get(&id).map(|record| record.stage.clone()) {
            Some(OrderStage::Finished(state)) => self.tell(id, state),
            Some(OrderStage::Accepted) => self.tell(id, OrderState::Journalled),
            None => {}
        }
    }

    /// A report is durable at the controller. An intent is said on until its own receipt comes.
    pub(super) fn receipted(&mut self, receipt: ReportReceipt) -> Result<(), EngineFailure> {
        let known = self.records().queue.get(&receipt.sequence);
        let over = known.is_some_and(|report| {
            report.order == receipt.order && !matches!(report.state, OrderState::Intent { .. })
        });
        if over { self.commit(vec![Change::Dequeue(receipt.sequence)]) } else { Ok(()) }
    }

    /// The link is up: what has no receipt is said again.
    pub(super) fn connected(&mut self, outlet: Outlet) {
        self.outlet = Some(outlet);
        let accepted: Vec<OrderId> = self.records().unfinished();
        accepted.into_iter().for_each(|id| self.tell(id, OrderState::Journalled));
        self.resend(None);
    }

    /// Says again what has no receipt and is older than `before` by the host's clock.
    pub(super) fn resend(&mut self, before: Option<tenure_protocol::time::Timestamp>) {
        let old = |report: &&Report| before.is_none_or(|before| report.at < before);
        let reports: Vec<Report> = self.records().queue.values().filter(old).cloned().collect();
        reports.into_iter().for_each(|report| self.send(report));
    }

    /// On each tick: says again what is without a receipt for long, and forgets what is over.
    pub(super) fn tick(&mut self) -> Result<(), EngineFailure> {
        let now = self.clock.now();
        self.resend(Some(now.plus_ms(-RESEND_AFTER_MS)));
        let over: Vec<Change> = self
            .records()
            .orders
            .values()
            .filter(|record| {
                record.stage != OrderStage::Accepted
                    && !attests_wipe(&record.stage)
                    && !self.is_in_force(record)
                    && now.ms_since(record.expires_at) > KEEP_FINISHED_MS
                    && !self.records().queue.values().any(|report| report.order == record.id)
            })
            .map(|record| Change::Forget(record.id))
            .collect();
        if over.is_empty() { Ok(()) } else { self.commit(over) }
    }

    /// Whether the tenant's isolation is by this very order: forgotten, it would be refused if it
    /// came again, although what it asks for is in force.
    fn is_in_force(&self, record: &OrderRecord) -> bool {
        let Some(isolation) = self.records().isolations.get(&record.tenant) else { return false };
        let order = frame::decode::<Order>(&record.signed.order);
        order.is_ok_and(|order| {
            matches!(order.action, Action::Cut(_) | Action::Restore(_))
                && order.generation == isolation.generation
        })
    }

    /// Orders that can go on now, oldest first: a wipe whose intent is on its way cannot.
    pub(super) fn runnable(&self) -> Option<OrderId> {
        let waits = |id: &OrderId| {
            let stage = self.records().wipes.get(id).map(|wipe| &wipe.stage);
            matches!(stage, Some(WipeStage::Announced { .. }))
        };
        self.records().unfinished().into_iter().find(|id| !waits(id))
    }

    /// An order that is not finished, its signature checked once more.
    pub(super) fn reopen(
        &self,
        id: OrderId,
        identity: &Identity,
    ) -> Result<(OrderRecord, Order), String> {
        let record = self.records().orders.get(&id).ok_or("it is not in the journal")?;
        let order = record.signed.verify(&identity.order_key).map_err(|error| error.to_string())?;
        Ok((record.clone(), order))
    }
}

/// Whether an order's end carries what proves a wipe, as far as it came. Such a record is never
/// forgotten: receipts of reports are not signed, and what they stand for cannot be measured again.
fn attests_wipe(stage: &OrderStage) -> bool {
    match stage {
        OrderStage::Finished(OrderState::Done { outcome: Outcome::Wiped, .. }) => true,
        OrderStage::Finished(OrderState::Failed { envelopes, .. }) => !envelopes.is_empty(),
        OrderStage::Finished(_) | OrderStage::Accepted => false,
    }
}

/// How old a report without a receipt is when a tick says it again, ms.
const RESEND_AFTER_MS: i64 = 10_000;
