//! What the journal keeps, as values. A [`Change`] is one durable step of the engine's state; a
//! commit is a list of them, all or none.
//!
//! ```text
//! order   accepted ──────────────────────────────► finished (done | failed | refused)
//! wipe    planned ─► announced ─► released ─► subjects one by one ─► finished
//!         nothing is destroyed before `released`: the intent is in the ledger, proved
//! subject pending ─► working(resume) ─► measured(facts) ─► attested(passed?, envelopes)
//!         its file is unlinked between measured and attested, and only if all else passed
//! tenant  live ─► destroying ─► destroyed
//! local   accepted ─► done: what a person on this host ordered itself
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    evidence::predicate::{LocalOrder, network_cut::Direction},
    generation::Generation,
    id::{CutId, OrderId, TenantId},
    time::Timestamp,
    wire::{
        order::SignedOrder,
        v1::{CutOrder, Mark, OrderState, Report, TenantWanted, WipeSubject},
    },
};

/// An order that this host took, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Its id.
    pub id: OrderId,
    /// Whose.
    pub tenant: TenantId,
    /// Digest of its signed bytes.
    pub digest: Digest,
    /// The order as it came.
    pub signed: SignedOrder,
    /// When it was journalled, by the host's clock.
    pub journalled_at: Timestamp,
    /// After this the order, if it is finished, may be forgotten: it would be refused as expired.
    pub expires_at: Timestamp,
    /// How far it is.
    pub stage: OrderStage,
}

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStage {
    /// Taken, and to be carried out.
    Accepted,
    /// Over: with its last state, one of done, failed and refused.
    Finished(OrderState),
}

/// A tenant on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Whose.
    pub tenant: TenantId,
    /// Generation of the last order that was accepted.
    pub generation: Generation,
    /// The whole wanted state.
    pub wanted: TenantWanted,
    /// All that was ever allocated here and is not proved to be wiped.
    pub inventory: BTreeMap<WipeSubject, Allocation>,
    /// Whether it lives.
    pub fate: Fate,
    /// Digest of the envelope with the last intent of a wipe, which a retry supersedes.
    pub last_intent: Option<Digest>,
}

/// How far an allocation came. The record is made before the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allocation {
    /// May be there in part.
    Begun,
    /// Is there: if it is found missing, that is a failure and never made again in silence.
    Made,
}

/// Whether a tenant lives on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It does.
    Live,
    /// Its destruction was released; some of it may be gone already.
    Destroying,
    /// All of it is wiped.
    Destroyed {
        /// When the last subject passed.
        at: Timestamp,
    },
}

/// Isolation of a tenant on this host. Kept by the cut lane in a journal of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationRecord {
    /// Whose.
    pub tenant: TenantId,
    /// Its mark.
    pub mark: Mark,
    /// Generation of the last cut or restore that was accepted.
    pub generation: Generation,
    /// The cut that it belongs to.
    pub cut: CutId,
    /// What is wanted, and asserted on every tick.
    pub isolation: Isolation,
}

/// Whether a tenant's traffic passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// It passes as far as the policy lets it.
    Connected,
    /// None passes.
    Cut,
}

/// What a person on this host ordered itself. Kept by the cut lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRecord {
    /// The order's id, made by this host.
    pub id: OrderId,
    /// Whose traffic.
    pub tenant: TenantId,
    /// Which cut, and the tenant's mark.
    pub cut: CutOrder,
    /// Which way.
    pub direction: Direction,
    /// Generation of the controller's last order on the tenant's isolation here; 0 if it gave none.
    pub generation: Generation,
    /// Who ordered it, why and when.
    pub given: LocalOrder,
    /// How far it is.
    pub stage: LocalStage,
}

/// How far a local order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LocalStage {
    /// Taken, and to be carried out: tried again on every tick.
    Accepted,
    /// Carried out.
    Done {
        /// DSSE envelope, JSON; none if it could not be signed.
        envelope: Option<Vec<u8>>,
    },
}

/// A wipe under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WipeRecord {
    /// The order.
    pub order: OrderId,
    /// How far it is.
    pub stage: WipeStage,
    /// Digest of the envelope with the intent of the attempt before, if there was one.
    pub supersedes: Option<Digest>,
    /// What is to be destroyed, in the order of destruction.
    pub subjects: Vec<SubjectRecord>,
}

/// How far a wipe is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WipeStage {
    /// The intent has not been signed yet.
    Planned,
    /// The intent is signed and on its way to the ledger.
    Announced {
        /// DSSE envelope, JSON.
        intent: Vec<u8>,
        /// Sequence of the report that carries it.
        sequence: u64,
    },
    /// The intent is in the ledger, and that was proved.
    Released {
        /// DSSE envelope, JSON.
        intent: Vec<u8>,
        /// Index of its ledger entry.
        ledger_index: u64,
        /// When the proof was checked.
        at: Timestamp,
    },
}

/// One thing to destroy, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// What.
    pub subject: WipeSubject,
    /// How far.
    pub stage: SubjectStage,
}

/// How far the destruction of one subject is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubjectStage {
    /// Not begun.
    Pending,
    /// Begun.
    Working {
        /// The step's note to itself; `None` before its first.
        resume: Option<Vec<u8>>,
    },
    /// Overwritten and read back; its file may be unlinked already.
    Measured {
        /// [`super::step::WipeFacts`], JSON.
        facts: Vec<u8>,
    },
    /// Over.
    Attested {
        /// The verdict.
        passed: bool,
        /// DSSE envelopes, JSON.
        envelopes: Vec<Vec<u8>>,
    },
}

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An order was taken, or came a stage further.
    Order(OrderRecord),
    /// A finished order that may be forgotten.
    Forget(OrderId),
    /// A tenant changed.
    Tenant(TenantRecord),
    /// A tenant's isolation changed.
    Isolation(IsolationRecord),
    /// A local order was taken, or came a stage further.
    Local(LocalRecord),
    /// A local order that may be forgotten.
    ForgetLocal(OrderId),
    /// A wipe came a stage further.
    Wipe(WipeRecord),
    /// A wipe is over.
    ForgetWipe(OrderId),
    /// A report to send until it is receipted.
    Queue(Report),
    /// A report that was receipted.
    Dequeue(u64),
}

/// All that a journal holds, in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// By id.
    pub orders: BTreeMap<OrderId, OrderRecord>,
    /// By tenant.
    pub tenants: BTreeMap<TenantId, TenantRecord>,
    /// By tenant.
    pub isolations: BTreeMap<TenantId, IsolationRecord>,
    /// By id.
    pub locals: BTreeMap<OrderId, LocalRecord>,
    /// By order.
    pub wipes: BTreeMap<OrderId, WipeRecord>,
    /// Reports without a receipt, by sequence.
    pub queue: BTreeMap<u64, Report>,
}

impl Records {
    /// The state after `change`.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Order(record) => {
                self.orders.insert(record.id, record);
            }
            Change::Forget(id) => {
                self.orders.remove(&id);
            }
            Change::Tenant(record) => {
                self.tenants.insert(record.tenant, record);
            }
            Change::Isolation(record) => {
                self.isolations.insert(record.tenant, record);
            }
            Change::Local(record) => {
                self.locals.insert(record.id, record);
            }
            Change::ForgetLocal(id) => {
                self.locals.remove(&id);
            }
            Change::Wipe(record) => {
                self.wipes.insert(record.order, record);
            }
            Change::ForgetWipe(id) => {
                self.wipes.remove(&id);
            }
            Change::Queue(report) => {
                self.queue.insert(report.sequence, report);
            }
            Change::Dequeue(sequence) => {
                self.queue.remove(&sequence);
            }
        }
    }

    /// Ids of the orders that are not finished, oldest first (ids are time-ordered).
    #[must_use]
    pub fn unfinished(&self) -> Vec<OrderId> {
        self.orders
            .values()
            .filter(|record| record.stage == OrderStage::Accepted)
            .map(|record| record.id)
            .collect()
    }
}
