//! What follows from an event: plain data, that the engine makes durable and sends.

use tenure_protocol::{
    digest::Digest,
    generation::Generation,
    id::{CutId, HostId, NoticeId, OrderId},
    time::Timestamp,
    wire::{v1::Action, watch::DisarmReason},
};

use crate::core::{
    notice::{Notice, NoticeKind},
    tenant::{Acknowledgement, Tenant},
};

/// What follows from an event: the next state and what is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The next state.
    pub tenant: Tenant,
    /// What follows, in order.
    pub effects: Vec<Effect>,
    /// What the journal's ledger entry refers to, if not to the journal row itself: an approval's
    /// or an attestation's digest.
    pub object: Option<Digest>,
    /// Whether anything changed; if not, nothing is recorded.
    pub changed: bool,
}

/// What the engine makes durable in the same transaction, and sends after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// An order to one host.
    Order(OrderDraft),
    /// A notice, armed.
    Arm(Box<Notice>),
    /// An armed notice goes out now, with this text.
    Release {
        /// The notice with its new text.
        notice: Box<Notice>,
        /// What goes out instead if the armed text went out already.
        correction: Box<Notice>,
    },
    /// An armed notice that has not gone out yet never will.
    Void {
        /// Which.
        notice: NoticeId,
        /// Why.
        reason: String,
        /// What goes out if the armed text went out already.
        correction: Box<Notice>,
    },
    /// A host keeps the notices of a cut, to send them itself if the controller falls silent.
    Watch {
        /// Who.
        host: HostId,
        /// Over which cut.
        cut: CutId,
    },
    /// No host need keep them any more.
    Disarm {
        /// Of which cut.
        cut: CutId,
        /// Why.
        reason: DisarmReason,
    },
    /// Notices that nobody needs any more: those not delivered yet are not tried again.
    Stop {
        /// Which.
        notices: Vec<NoticeId>,
        /// Why.
        reason: String,
    },
    /// A person of the customer knows of a cut: sign the account of it.
    Acknowledge(Box<Acknowledged>),
    /// The tenant has left: sign the manifest of its evidence.
    Exit,
}

/// What is signed of an acknowledgement (grade E3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The notice that it stands for: the first of the cut's.
    pub notice: NoticeId,
    /// What that says.
    pub kind: NoticeKind,
    /// When the customer had to know, if a rule says so.
    pub due_at: Option<Timestamp>,
    /// Who knows, and when, and by what words.
    pub given: Acknowledgement,
}

/// An order that is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDraft {
    /// Which.
    pub id: OrderId,
    /// To whom.
    pub host: HostId,
    /// Of the wanted state, or of the isolation.
    pub generation: Generation,
    /// For how long it may be accepted, ms.
    pub ttl_ms: u64,
    /// What to do.
    pub action: Action,
}
