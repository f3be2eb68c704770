//! The cut lane: cuts and restores, and nothing else.
//!
//! ```text
//!   order ─► journal ─► first stage: one element, t0 ─► second stage: the seal ─► proof ─► report
//!   start, tick ─► the table guarded, every cut in it ─► every seal again, none too many
//!   somebody's change of the packet filter ─► the table guarded, every cut in it
//! ```
//!
//! Cuts that wait in the inbox together are journalled in one commit and put in force in one
//! transaction, with one t0; each stays an order of its own, with its generation, its statement and
//! its report. None waits for others to come: what is there already is taken. Where the kernel does
//! not take them together, each is tried alone.
//!
//! A seal never undoes or fails a cut: where it is missing, the log and the statement say so.

use std::sync::{
    Arc,
    mpsc::{Receiver, RecvError, SyncSender},
};

use tenure_protocol::{
    digest::Digest,
    evidence::predicate::{
        LocalOrder,
        cut_proof::CutProof,
        network_cut::{Direction, SealMeasured},
    },
    id::{CutId, OrderId, TenantId},
    time::Timestamp,
    wire::{
        frame,
        order::SignedOrder,
        v1::{Action, CommitInterval, CutOrder, Mark, Order, OrderState, Outcome},
    },
};

use super::{
    EngineFailure, Identity, Input, MAX_INBOX,
    desk::{Admitted, Desk},
    herald::Herald,
    reserve::Reserve,
    watch,
};
use crate::{
    core::{
        attest::{self, Beside},
        drift::Drift,
        record::{Change, Isolation, IsolationRecord, LocalStage, OrderRecord, OrderStage},
        seal::NO_SEAL,
        step::{Host, HostFailure, Performed, Step},
    },
    precedence,
};

pub(super) struct CutLane {
    pub(super) desk: Desk,
    pub(super) host: Arc<dyn Host>,
    pub(super) identity: Arc<Identity>,
    pub(super) herald: Arc<Herald>,
    pub(super) watch: SyncSender<watch::Input>,
    pub(super) reserve: Arc<Reserve>,
}

/// A change of a tenant's isolation, as it was ordered and as the kernel took it.
struct Measured {
    /// Of the order.
    digest: Digest,
    /// Who gave it, if no controller did.
    local: Option<LocalOrder>,
    direction: Direction,
    cut: CutOrder,
    interval: CommitInterval,
}

impl CutLane {
    /// Before anything else: every cut is asserted, and unfinished orders are carried out.
    pub(super) fn begin(&mut self) -> Result<(), EngineFailure> {
        self.assert_cuts();
        for id in self.desk.records().unfinished() {
            self.resume(id)?;
        }
        self.resume_locally()?;
        self.announce();
        Ok(())
    }

    pub(super) fn run(&mut self, inbox: &Receiver<Input>) -> Result<(), EngineFailure> {
        precedence::take();
        let mut next = None;
        loop {
            match next.take().map_or_else(|| inbox.recv(), Ok) {
                Ok(Input::Stop) | Err(RecvError) => return Ok(()),
                Ok(Input::Order(signed)) => next = self.take_orders(signed, inbox)?,
                Ok(input) => self.take(input)?,
            }
        }
    }

    /// Takes an order and, if it is a cut, the cuts of other tenants that are there already. Gives
    /// the message after them, if it was taken out of the inbox.
    fn take_orders(
        &mut self,
        first: SignedOrder,
        inbox: &Receiver<Input>,
    ) -> Result<Option<Input>, EngineFailure> {
        let mut cuts: Vec<Admitted> = Vec::new();
        let mut next = Some(Input::Order(first));
        while let Some(Input::Order(signed)) = next {
            if let Some(admitted) = self.desk.admit(signed.clone(), &self.identity)? {
                let order = &admitted.order;
                let is_other = |other: &Admitted| {
                    other.order.tenant != order.tenant && other.order.id != order.id
                };
                if matches!(order.action, Action::Cut(_)) && cuts.iter().all(is_other) {
                    cuts.push(admitted);
                } else if cuts.is_empty() {
                    self.isolate(admitted)?;
                    return Ok(None);
                } else {
                    // Admitted again, once what stands before it is done.
                    self.isolate_all(cuts)?;
                    return Ok(Some(Input::Order(signed)));
                }
            }
            next = (cuts.len() < MAX_INBOX).then(|| inbox.try_recv().ok()).flatten();
        }
        self.isolate_all(cuts)?;
        Ok(next)
    }

    fn isolate_all(&mut self, mut cuts: Vec<Admitted>) -> Result<(), EngineFailure> {
        if cuts.len() < 2 {
            return cuts.pop().map_or(Ok(()), |admitted| self.isolate(admitted));
        }
        self.desk.commit(cuts.iter().flat_map(journalled).collect())?;
        for Admitted { order, .. } in &cuts {
            self.desk.tell(order.id, OrderState::Journalled);
        }
        let of = |admitted: &Admitted| parts(&admitted.order).map(|(cut, _)| cut.mark);
        let marks = cuts.iter().filter_map(of).collect();
        let together = match self.host.perform(&Step::CutAll { marks }, &mut |_| {}) {
            Ok(Performed::IsolatedAll { interval, read_back }) => Some((interval, read_back)),
            other => {
                tracing::error!(?other, "cuts were not put in force together: each is tried alone");
                None
            }
        };
        if let Some((interval, _)) = &together {
            // The watch counts before anything is sealed or measured.
            let orders = cuts.iter().filter_map(|admitted| parts(&admitted.order));
            orders.for_each(|(cut, _)| self.began(cut.cut, interval.earliest));
        }
        for admitted in cuts {
            let Some(mark) = of(&admitted) else { continue };
            let made = together.as_ref().map(|(interval, read_back)| {
                (*interval, read_back.as_ref().map(|cut| cut.contains(&mark)))
            });
            self.carry_out(admitted.record, &admitted.order, made)?;
        }
        Ok(())
    }

    pub(super) fn take(&mut self, input: Input) -> Result<(), EngineFailure> {
        match input {
            Input::Order(signed) => match self.desk.admit(signed, &self.identity)? {
                Some(admitted) => self.isolate(admitted),
                None => Ok(()),
            },
            Input::Local(input) => self.take_local(input),
            Input::ReportReceipt(receipt) => self.desk.receipted(receipt),
            Input::Connected(outlet) => {
                self.desk.connected(outlet);
                self.retell();
                Ok(())
            }
            Input::Tick => {
                self.assert_cuts();
                self.resume_locally()?;
                self.announce();
                self.desk.tick()
            }
            Input::Drift => {
                self.guard();
                Ok(())
            }
            Input::IntentReceipt(_) | Input::IntentRefusal(_) | Input::Stop => Ok(()),
        }
    }

    /// Tells the watch of every cut that this host has committed and still remembers: it may have
    /// missed one, or got its packet later. It takes each once.
    fn announce(&self) {
        for record in self.desk.records().orders.values() {
            let OrderStage::Finished(OrderState::Done { outcome: Outcome::Cut(interval), .. }) =
                &record.stage
            else {
                continue;
            };
            let order = frame::decode::<Order>(&record.signed.order);
            if let Ok(Order { action: Action::Cut(cut), .. }) = order {
                self.began(cut.cut, interval.earliest);
            }
        }
        for local in self.desk.records().locals.values() {
            if local.direction == Direction::Cut && matches!(local.stage, LocalStage::Done { .. }) {
                self.began(local.cut.cut, local.given.at);
            }
        }
    }

    /// Never waits: a cut is not held up by what follows from it.
    fn began(&self, cut: CutId, at: Timestamp) {
        let _ = self.watch.try_send(watch::Input::Began { cut, at });
    }

    fn assert_cuts(&self) {
        self.guard();
        // Of connected tenants as well: their taps have no seal, or lose it now.
        for record in self.desk.records().isolations.values() {
            let _ = self.seal(record.tenant, record.mark);
        }
    }

    /// Every cut is in force, and nobody has changed what keeps it so.
    fn guard(&self) {
        let isolations = &self.desk.records().isolations;
        let is_cut = |record: &&IsolationRecord| record.isolation == Isolation::Cut;
        let cut = isolations.values().filter(is_cut).map(|record| record.mark).collect();
        self.herald.proclaim(self.host.perform(&Step::Guard { cut }, &mut |_| {}), |mark| {
            isolations.values().find(|record| record.mark == mark).map(|record| record.tenant)
        });
    }

    /// Seals the taps of a tenant that is cut; else why they are not, as a sentence.
    fn seal(&self, tenant: TenantId, mark: Mark) -> Result<SealMeasured, String> {
        match self.host.perform(&Step::Seal { mark }, &mut |_| {}) {
            Ok(Performed::Sealed(seal)) => Ok(seal),
            Ok(other) => Err(format!("the host answered a seal with {other:?}")),
            // Said once, when the host was taken hold of.
            Err(HostFailure { code: NO_SEAL, sentence }) => Err(sentence),
            Err(HostFailure { code, sentence }) => {
                tracing::error!(%tenant, mark = mark.0, code, "taps are not sealed: {sentence}");
                Err(sentence)
            }
        }
    }

    fn resume(&mut self, id: OrderId) -> Result<(), EngineFailure> {
        match self.desk.reopen(id, &self.identity) {
            Ok((record, order)) => self.carry_out(record, &order, None),
            Err(reason) => {
                tracing::error!(order = %id, "an order of the journal cannot go on: {reason}");
                Ok(())
            }
        }
    }

    fn isolate(&mut self, admitted: Admitted) -> Result<(), EngineFailure> {
        self.desk.commit(journalled(&admitted))?;
        self.desk.tell(admitted.order.id, OrderState::Journalled);
        self.carry_out(admitted.record, &admitted.order, None)
    }

    /// `made`: a cut that was put in force already, with others: when, and whether it was read
    /// back.
    fn carry_out(
        &mut self,
        record: OrderRecord,
        order: &Order,
        made: Option<(CommitInterval, Option<bool>)>,
    ) -> Result<(), EngineFailure> {
        let state = self.change(order, (record.digest, None), made);
        let state = self.identity.signed_end(record.digest, state);
        self.desk.finish(record, state, Vec::new())
    }

    /// Puts a change of isolation in force, unless it is `made` already, seals and measures it.
    /// The statement has the
    /// order's digest, and who gave it if no controller did.
    pub(super) fn change(
        &self,
        order: &Order,
        (digest, local): (Digest, Option<LocalOrder>),
        made: Option<(CommitInterval, Option<bool>)>,
    ) -> OrderState {
        let Some((cut, direction)) = parts(order) else {
            return failed("host", "this is no order to cut or to restore".to_owned());
        };
        let step = match direction {
            Direction::Cut => Step::Cut { mark: cut.mark },
            Direction::Restore => Step::Restore { mark: cut.mark },
        };
        let performed = match made {
            Some((interval, read_back)) => Ok(Performed::Isolated { interval, read_back }),
            None => self.host.perform(&step, &mut |_| {}),
        };
        let state = match performed {
            Ok(Performed::Isolated { interval, read_back: cut_read_back }) => {
                if direction == Direction::Cut {
                    self.began(cut.cut, interval.earliest);
                }
                let seal = self.seal(order.tenant, cut.mark);
                let proof = (direction == Direction::Cut).then(|| self.prove(cut.mark));
                let beside = Beside { cut_read_back, seal, proof };
                let measured = Measured { digest, local, direction, cut, interval };
                self.measured(order, measured, beside)
            }
            Ok(other) => failed("host", format!("the host answered a cut with {other:?}")),
            Err(HostFailure { code, sentence }) => failed(code, sentence),
        };
        tracing::info!(order = %order.id, tenant = %order.tenant, mark = cut.mark.0, ?direction,
            done = matches!(state, OrderState::Done { .. }), "isolation changed");
        state
    }

    /// Measures whether a cut holds; else why that was not measured, as a sentence.
    fn prove(&self, mark: Mark) -> Result<CutProof, String> {
        match self.host.perform(&Step::Prove { mark }, &mut |_| {}) {
            Ok(Performed::Proved(proof)) => Ok(proof),
            Ok(other) => Err(format!("the host answered a proof with {other:?}")),
            Err(HostFailure { code, sentence }) => {
                tracing::error!(mark = mark.0, code, "a cut is not proved: {sentence}");
                Err(sentence)
            }
        }
    }

    fn measured(
        &self,
        order: &Order,
        Measured { digest, local, direction, cut, interval }: Measured,
        beside: Beside,
    ) -> OrderState {
        let origin = self.identity.origin(order, digest, self.desk.clock().quality());
        let still = direction == Direction::Restore
            && beside.seal.as_ref().is_ok_and(|seal| seal.sealed_read_back > 0);
        let passes = matches!(&beside.proof, Some(Ok(proof)) if !proof.holds());
        let gone = beside.cut_read_back == Some(direction == Direction::Restore);
        let statement = attest::network_cut(origin, &cut, direction, interval, beside, local);
        let envelopes = match self.identity.key.seal(&statement) {
            Ok(envelope) => vec![envelope],
            Err(error) => {
                tracing::error!(order = %order.id, "the cut's statement was not signed: {error}");
                Vec::new()
            }
        };
        if passes {
            let what = format!(
                "the proof of a cut failed: frames pass, or the table's rules are others (order \
                 {})",
                order.id
            );
            let drift = Drift { what, ..Drift::not_cut(cut.mark, false) };
            self.herald.proclaim(Ok(Performed::Found(vec![drift])), |_| Some(order.tenant));
        }
        if still || gone {
            return OrderState::Failed {
                code: "not-in-force".to_owned(),
                message:
                    "the kernel acknowledged the change, but measured afterwards it is not in \
                          force: look for another program that edits the packet filter"
                        .to_owned(),
                envelopes,
            };
        }
        let outcome = match direction {
            Direction::Cut => Outcome::Cut(interval),
            Direction::Restore => Outcome::Restored(interval),
        };
        OrderState::Done { outcome, envelopes }
    }
}

/// What is journalled before an order is carried out.
fn journalled(admitted: &Admitted) -> Vec<Change> {
    let Admitted { order, record } = admitted;
    let Some((cut, direction)) = parts(order) else { return Vec::new() };
    let isolation = match direction {
        Direction::Cut => Isolation::Cut,
        Direction::Restore => Isolation::Connected,
    };
    let wanted = IsolationRecord {
        tenant: order.tenant,
        mark: cut.mark,
        generation: order.generation,
        cut: cut.cut,
        isolation,
    };
    vec![Change::Order(record.clone()), Change::Isolation(wanted)]
}

fn failed(code: &str, message: String) -> OrderState {
    OrderState::Failed { code: code.to_owned(), message, envelopes: Vec::new() }
}

const fn parts(order: &Order) -> Option<(CutOrder, Direction)> {
    match &order.action {
        Action::Cut(cut) => Some((*cut, Direction::Cut)),
        Action::Restore(cut) => Some((*cut, Direction::Restore)),
        Action::Configure(_) | Action::Wipe(_) => None,
    }
}
