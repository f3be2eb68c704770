//! The one way in: load the tenant, let `core` decide, commit state, journal, orders and notices in
//! one transaction, then wake the senders. It keeps no state of its own but the wake-up channels.

use std::sync::Arc;

use tenure_protocol::{
    digest::Digest,
    id::{HostId, NoticeId, OrderId, TenantId},
    time::Timestamp,
    wire::{
        order::SignedOrder,
        v1::{Hello, IntentReceipt, Lane, Observation, Report, ReportReceipt},
    },
};
use tokio::sync::watch;

use crate::{
    clock::Clock,
    core::{
        fleet::Image,
        lifecycle::{Actor, Event, Role},
        notice::{Notice, Try},
        refusal::Refusal,
        tenant::{Application, Phase, Tenant},
    },
    keys::Keys,
    store::record::{EvidenceRecord, HostRecord, JournalRecord, OrderRecord},
};

pub use crate::store::record;

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The domain says no; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such thing.
    #[error("no {0} has this id")]
    NotFound(&'static str),
    /// Somebody else changed the tenant at the same time, too often in a row.
    #[error("the tenant is being changed by others; try again")]
    Conflict,
    /// What a host or a caller handed in is not what it has to be.
    #[error("{0}")]
    Invalid(String),
    /// The database failed.
    #[error("the store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The ledger failed.
    #[error("the ledger failed")]
    Ledger(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A grant for one host to join.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinGrant {
    /// Works once; only its digest is kept.
    pub secret: [u8; 32],
    /// The host that it is for.
    pub host_name: String,
    /// Real clock.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for JoinGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinGrant").field("host_name", &self.host_name).finish_non_exhaustive()
    }
}

/// What a report is answered with, once it is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The report need not be sent again.
    pub receipt: Option<ReportReceipt>,
    /// The wipe's intent is in the ledger: destruction may begin.
    pub intent: Option<IntentReceipt>,
}

/// The engine. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    keys: Keys,
    images: Vec<Image>,
    notices_wake: watch::Sender<u64>,
}

impl Engine {
    /// Both clocks.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The signing keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The image catalogue.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.inner.images
    }

    /// Fires when notices became due.
    #[must_use]
    pub fn notices_wake(&self) -> watch::Receiver<u64> {
        self.inner.notices_wake.subscribe()
    }
}

/// The API that follows is under construction: each of these answers that it is not there yet.
macro_rules! pending {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl Engine {
            $($(#[$doc])*
            ///
            /// # Errors
            /// [`EngineError`].
            pub async fn $name(&self, $($arg: $type),*) -> Result<$out, EngineError> {
                $(let _ = $arg;)*
                Err(EngineError::NotFound(stringify!($name)))
            })*
        }
    };
}

pending! {
    /// Takes an application in.
    submit(actor: Actor, application: Application) -> Tenant;
    /// Lets something happen to a tenant.
    act(actor: Actor, tenant: TenantId, event: Event) -> Tenant;
    /// Handles every deadline and wake-up that has come.
    tick() -> ();
    /// When `tick` has something to do next; real clock.
    next_wake() -> Option<Timestamp>;
    /// One tenant.
    tenant(id: TenantId) -> Tenant;
    /// All tenants, by id; of one phase if given.
    tenants(phase: Option<Phase>) -> Vec<Tenant>;
    /// A tenant's journal, oldest first.
    journal(id: TenantId) -> Vec<JournalRecord>;
    /// A tenant's orders, oldest first.
    orders(id: TenantId) -> Vec<OrderRecord>;
    /// One order.
    order(id: OrderId) -> OrderRecord;
    /// A tenant's notices, oldest first.
    notices(id: TenantId) -> Vec<Notice>;
    /// A tenant's evidence, oldest first.
    evidence(id: TenantId) -> Vec<EvidenceRecord>;
    /// All hosts, by name.
    hosts() -> Vec<HostRecord>;
    /// One host.
    host(id: HostId) -> HostRecord;
    /// Makes an API token; returns its secret, which is kept nowhere.
    create_token(by: Actor, name: String, role: Role, customer: Option<String>) -> String;
    /// Whose token has this digest.
    actor_of(token_digest: Digest) -> Option<Actor>;
    /// Grants one host to join.
    create_join_token(by: Actor, host_name: String) -> JoinGrant;
    /// Takes a host in. Two uses of one grant block the host.
    redeem_join_token(secret: [u8; 32], host_name: String, host_key: [u8; 32]) -> HostId;
    /// A host's session stands.
    host_up(host: HostId, hello: Hello) -> ();
    /// A host's session ended.
    host_down(host: HostId) -> ();
    /// What a host sees.
    observed(host: HostId, observation: Observation) -> ();
    /// The orders to a host that are not finished, oldest first.
    open_orders(host: HostId, lane: Lane) -> Vec<SignedOrder>;
    /// Takes a host's report in; durable when it returns.
    report(host: HostId, report: Report) -> Reply;
    /// Notices to be tried now, leased to the caller for 20 s.
    due_notices(now: Timestamp) -> Vec<Notice>;
    /// When a notice is due next; real clock.
    next_notice_at() -> Option<Timestamp>;
    /// Records a try.
    notice_tried(notice: NoticeId, attempt: Try) -> ();
    /// A closed tenant's exit bundle: a tar file.
    bundle(id: TenantId) -> Vec<u8>;
    /// The ledger's checkpoint: a signed note.
    ledger_checkpoint() -> String;
    /// A tile of the ledger, by its path (C2SP tlog-tiles).
    ledger_tile(path: String) -> Vec<u8>;
    /// Moves the demo clock forward and returns the new offset, ms.
    advance_clock(by: Actor, days: u32) -> i64;
}

impl Engine {
    /// Fires when orders to this host were added.
    #[must_use]
    pub fn wake_of(&self, _host: HostId) -> watch::Receiver<u64> {
        self.inner.notices_wake.subscribe()
    }
}
