//! One act on several tenants, or on all of a host: each is cut, or connected again, by the
//! lifecycle as it is alone, and each customer gets one notice over each channel.
//!
//! ```text
//! unknown, no instances yet, a planned cut of which nobody knows ─→ nothing is done, for none
//! cut already, or connected already                              ─→ said so; the others go on
//! ```
//! A host's tenants are cut on every host that they are on: a tenant's isolation is one state.
//! Those of them whose instances are stopped have nothing to cut, and are said to be refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::Channel,
    digest::Digest,
    id::{CutId, OrderId, TenantId},
};

use super::{
    draw::Draw,
    joint,
    lifecycle::{self, Actor, Context, Event, Transition},
    notice::NoticeKind,
    refusal::{Code, Fault, Refusal},
    tenant::{Isolation, OrderKind, Tenant},
};

/// Most tenants of one act: one transaction decides on all of them and their notices.
pub const MOST_TOGETHER: usize = 256;

/// Which tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These.
    Named(Vec<TenantId>),
    /// All that have instances on this host: its name or id.
    OnHost(String),
}

/// What came of the act for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which tenant.
    pub tenant: TenantId,
    /// Whose.
    pub customer: String,
    /// The name of its system.
    pub system: String,
    /// What was done.
    pub result: OutcomeKind,
    /// Why nothing was done.
    pub why: Option<String>,
    /// Its version now.
    pub version: u64,
    /// Its isolation now.
    pub isolation: Isolation,
    /// The cut that this is about.
    pub cut: Option<CutId>,
    /// The orders to its hosts.
    pub orders: Vec<OrderId>,
}

/// What was done about one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// Its hosts are ordered.
    Ordered,
    /// It is as it should be, or its hosts were ordered before.
    Already,
    /// Nothing: it says why.
    Refused,
}

/// What happens to each, with joint notices; `address` tells channels apart. Each tenant has its
/// own draw of the context's.
///
/// # Errors
/// [`Code::NotForAll`] if it cannot be done for one of them, naming each.
pub fn decide(
    before: &[Tenant],
    which: &Which,
    (event, actor): (&Event, &Actor),
    address: impl Fn(&Channel) -> Digest,
    context: &Context<'_>,
) -> Result<(Vec<Transition>, Vec<Outcome>), Refusal> {
    let (notice, order) = match event {
        Event::Cut { .. } => (NoticeKind::Cut, OrderKind::Cut),
        _ => (NoticeKind::Restored, OrderKind::Restore),
    };
    let mut draw = Draw::new(context.seed, context.real_now);
    let (mut transitions, mut outcomes, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (place, tenant) in before.iter().enumerate() {
        let own = Context { seed: draw.bytes(), ..*context };
        match lifecycle::apply(tenant, event, actor, &own) {
            Ok(transition) => {
                outcomes.push(Outcome::ordered(&transition.tenant, order));
                transitions.push(transition);
            }
            Err(refusal) if stays(&refusal, which) => {
                outcomes.push(Outcome::refused(tenant, order, refusal));
            }
            Err(refusal) => faults.push(fault(place, tenant.id, &refusal.sentence)),
        }
    }
    if !faults.is_empty() {
        return Err(Refusal::faulty(Code::NotForAll, faults));
    }
    joint::join(&mut transitions, notice, address, (context.letters, context.real_now), &mut draw);
    Ok((transitions, outcomes))
}

/// How many there may be, each once.
///
/// # Errors
/// [`Code::InvalidInput`], saying what to do.
pub fn admit(ids: &[TenantId], which: &Which) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let twice = ids.iter().enumerate().filter(|(_, id)| !seen.insert(**id));
    let twice: Vec<Fault> =
        twice.map(|(place, id)| fault(place, *id, "this tenant is named twice")).collect();
    if !twice.is_empty() {
        return Err(Refusal::faulty(Code::InvalidInput, twice));
    }
    let count = ids.len();
    let sentence = match (count, which) {
        (0, Which::Named(_)) => {
            "no tenant is named: name at least one tenant, or a host".to_owned()
        }
        (0, Which::OnHost(_)) => "no tenant has instances on this host: nothing to do".to_owned(),
        (1..=MOST_TOGETHER, _) => return Ok(()),
        (_, _) => format!(
            "these are {count} tenants, and one act is about {MOST_TOGETHER} at most: name them in \
             several acts"
        ),
    };
    Err(Refusal::new(Code::InvalidInput, sentence))
}

/// A fault of one tenant of the request.
#[must_use]
pub fn fault(place: usize, tenant: TenantId, message: &str) -> Fault {
    Fault { pointer: format!("/tenants/{place}"), message: format!("{tenant}: {message}") }
}

/// Whether what is refused to one tenant leaves the others as they are: it is cut or connected
/// already; or it was not named, and its instances do not run.
const fn stays(refusal: &Refusal, which: &Which) -> bool {
    match refusal.code {
        Code::WrongIsolation => true,
        Code::WrongPhase => matches!(which, Which::OnHost(_)),
        _ => false,
    }
}

impl Outcome {
    fn of(tenant: &Tenant, result: OutcomeKind, why: Option<String>) -> Self {
        Self {
            tenant: tenant.id,
            customer: tenant.application.customer.clone(),
            system: tenant.application.system.name.clone(),
            result,
            why,
            version: tenant.version,
            isolation: tenant.isolation,
            cut: tenant.isolation.cut(),
            orders: Vec::new(),
        }
    }

    fn ordered(tenant: &Tenant, kind: OrderKind) -> Self {
        let orders = tenant.open_orders(kind);
        Self { orders, ..Self::of(tenant, OutcomeKind::Ordered, None) }
    }

    fn refused(tenant: &Tenant, kind: OrderKind, refusal: Refusal) -> Self {
        let wanted = match (kind, tenant.isolation) {
            (OrderKind::Cut, Isolation::Cutting { .. } | Isolation::Cut { .. }) => true,
            (OrderKind::Restore, Isolation::Connected | Isolation::Restoring { .. }) => true,
            (_, _) => false,
        };
        let is_already = wanted && refusal.code == Code::WrongIsolation;
        let result = if is_already { OutcomeKind::Already } else { OutcomeKind::Refused };
        Self::of(tenant, result, Some(refusal.sentence))
    }
}
