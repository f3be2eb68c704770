//! What a person on this host may have done to a tenant's traffic without a controller.
//!
//! ```text
//! cut      of a tenant that is on this host and not cut: whoever ordered the cut that is open
//! restore  of a cut that a person on this host ordered, until the controller's order takes over
//! ```
//! A local act takes no generation: it stands under that of the controller's last order, so any
//! newer order supersedes it. Once the controller has a local cut, it orders the tenant cut: from
//! that order on the end is its business, since the tenant is cut on its other hosts as well then.
//! Nothing else takes a local cut out of this host's hands: receipts of reports are not signed.
//!
//! A cut takes the id of the standing packet that is kept for the tenant, so that the host tells
//! the customer of it; without one it draws an id.

use tenure_protocol::{
    digest::Digest,
    evidence::predicate::{LocalOrder, network_cut::Direction},
    generation::Generation,
    id::{CutId, HostId, OrderId, TenantId},
    time::Timestamp,
    wire::v1::{Action, CutOrder, Mark, Order},
};
use uuid::Uuid;

use super::record::{Isolation, IsolationRecord, LocalRecord, LocalStage, Records};

/// What a person on this host asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whose traffic.
    pub tenant: TenantId,
    /// The tenant's mark, if the tenant is on this host.
    pub mark: Option<Mark>,
    /// Which way.
    pub direction: Direction,
    /// Who asks, why and when.
    pub given: LocalOrder,
    /// A number that this host uses once: ids are drawn from it.
    pub number: u64,
    /// The id of the tenant's standing packet, if one is kept; of no cut before.
    pub reserved: Option<CutId>,
}

/// Why a person on this host is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalRefusal {
    /// The words are none.
    #[error("{0}")]
    Words(&'static str),
    /// Nothing of the tenant is here.
    #[error(
        "nothing of tenant {0} is on this host: `tenure-agent status` lists the tenants that are"
    )]
    UnknownTenant(TenantId),
    /// A cut by the controller's order is in force.
    #[error("the tenant is cut already, by the controller's order (cut {0})")]
    CutByController(CutId),
    /// A local cut is in force.
    #[error("the tenant is cut already: {person} ordered it on this host at {at} (cut {cut})")]
    CutHere {
        /// Which cut.
        cut: CutId,
        /// By whom.
        person: String,
        /// When.
        at: Timestamp,
    },
    /// Nothing to restore.
    #[error("the tenant is not cut on this host: there is nothing to restore")]
    NotCut,
    /// Not this host's business.
    #[error("the controller ordered this cut (cut {0}): it alone ends it (`tenurectl restore`)")]
    RestoreByController(CutId),
}

impl LocalRefusal {
    /// Stable code, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Words(_) => "words",
            Self::UnknownTenant(_) => "unknown-tenant",
            Self::CutByController(_) => "cut-by-controller",
            Self::CutHere { .. } => "cut-here",
            Self::NotCut => "not-cut",
            Self::RestoreByController(_) => "restore-by-controller",
        }
    }
}

/// Decides; what is to be journalled, if it is a yes.
///
/// # Errors
/// [`LocalRefusal`]: nothing is touched then.
pub fn admit(asked: Asked, host: HostId, records: &Records) -> Result<LocalRecord, LocalRefusal> {
    if let Some(fault) = asked.given.fault() {
        return Err(LocalRefusal::Words(fault));
    }
    let known = records.isolations.get(&asked.tenant);
    let mark = known.map(|known| known.mark).or(asked.mark);
    let mark = mark.ok_or(LocalRefusal::UnknownTenant(asked.tenant))?;
    let local = known.and_then(|known| in_force(records, known));
    let fresh = drawn(host, &asked);
    let cut = match asked.direction {
        Direction::Cut => {
            cuttable(known, local)?;
            asked.reserved.unwrap_or_else(|| CutId::from_uuid(fresh[1]))
        }
        Direction::Restore => restorable(known, local)?,
    };
    Ok(LocalRecord {
        id: OrderId::from_uuid(fresh[0]),
        tenant: asked.tenant,
        cut: CutOrder { cut, mark },
        direction: asked.direction,
        generation: known.map_or_else(Generation::default, |known| known.generation),
        given: asked.given,
        stage: LocalStage::Accepted,
    })
}

fn cuttable(
    known: Option<&IsolationRecord>,
    local: Option<&LocalRecord>,
) -> Result<(), LocalRefusal> {
    let Some(known) = known.filter(|known| known.isolation == Isolation::Cut) else {
        return Ok(());
    };
    Err(match local {
        Some(local) => LocalRefusal::CutHere {
            cut: known.cut,
            person: local.given.person(),
            at: local.given.at,
        },
        None => LocalRefusal::CutByController(known.cut),
    })
}

fn restorable(
    known: Option<&IsolationRecord>,
    local: Option<&LocalRecord>,
) -> Result<CutId, LocalRefusal> {
    let known = known.filter(|known| known.isolation == Isolation::Cut);
    let known = known.ok_or(LocalRefusal::NotCut)?;
    if local.is_none() {
        return Err(LocalRefusal::RestoreByController(known.cut));
    }
    Ok(known.cut)
}

/// The order of a person on this host that this isolation follows from, if it is one.
#[must_use]
pub fn in_force<'a>(records: &'a Records, isolation: &IsolationRecord) -> Option<&'a LocalRecord> {
    records.locals.values().find(|local| local.isolation() == *isolation)
}

/// Whether no local cut has had this id yet.
#[must_use]
pub fn is_unused(records: &Records, cut: CutId) -> bool {
    let isolated = records.isolations.values().any(|one| one.cut == cut);
    !isolated && !records.locals.values().any(|local| local.cut.cut == cut)
}

/// Two ids, of the order and of its cut: version 7 like all others, and random enough, since no
/// host uses a number twice.
fn drawn(host: HostId, asked: &Asked) -> [Uuid; 2] {
    let ms = u64::try_from(asked.given.at.unix_ms()).unwrap_or(0);
    ["order", "cut"].map(|what| {
        let text = format!("tenure/local/{what}\0{host}\0{}\0{ms}\0{}", asked.tenant, asked.number);
        let digest = Digest::of(text.as_bytes()).0;
        let mut random = [0; 10];
        random.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    })
}

impl LocalRecord {
    /// The isolation that it asks for.
    #[must_use]
    pub const fn isolation(&self) -> IsolationRecord {
        IsolationRecord {
            tenant: self.tenant,
            mark: self.cut.mark,
            generation: self.generation,
            cut: self.cut.cut,
            isolation: match self.direction {
                Direction::Cut => Isolation::Cut,
                Direction::Restore => Isolation::Connected,
            },
        }
    }

    /// The same as an order, as what is stated of orders is made from one.
    #[must_use]
    pub const fn as_order(&self, host: HostId) -> Order {
        Order {
            id: self.id,
            host,
            tenant: self.tenant,
            generation: self.generation,
            issued_at: self.given.at,
            ttl_ms: 0,
            action: match self.direction {
                Direction::Cut => Action::Cut(self.cut),
                Direction::Restore => Action::Restore(self.cut),
            },
        }
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
