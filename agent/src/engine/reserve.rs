//! Which cut ids a person's cut on this host may take, so that its customer is told by the host:
//! one for each tenant of which a standing packet is kept and not used yet.
//!
//! ```text
//! watch ─ kept ───────────────► one for the tenant ─ a person cuts ─► taken, once: in use
//! watch ─ another, disarmed, old ► withdrawn          └─ refused, or taken back ─► given back
//! ```
//! Whoever takes an id out first has it: what the cut lane took, the watch ends no more but by the
//! customer's being told. The lock is held for a look-up and never over a file, so that no cut
//! waits for the watch.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use tenure_protocol::id::{CutId, TenantId};

use super::lock;

/// A cut id for which this host keeps a standing packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The id.
    pub cut: CutId,
    /// How long after the cut the host tells the customer, ms.
    pub after_ms: u64,
}

/// The ids that are free.
#[derive(Debug, Default)]
pub struct Reserve(Mutex<BTreeMap<TenantId, Reserved>>);

impl Reserve {
    /// The tenant's, if there is one.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> Option<Reserved> {
        self.free().get(&tenant).copied()
    }

    /// Takes the tenant's: from now on it is in use.
    #[must_use]
    pub fn take(&self, tenant: TenantId) -> Option<Reserved> {
        self.free().remove(&tenant)
    }

    /// Gives back what was taken and not used, unless there is another one by now.
    pub fn give_back(&self, tenant: TenantId, reserved: Reserved) {
        self.free().entry(tenant).or_insert(reserved);
    }

    /// Keeps a new one, and gives the one that it replaces.
    pub(super) fn keep(&self, tenant: TenantId, reserved: Reserved) -> Option<Reserved> {
        self.free().insert(tenant, reserved)
    }

    /// Withdraws this one. Gives whether it was free.
    pub(super) fn withdraw(&self, tenant: TenantId, cut: CutId) -> bool {
        let mut free = self.free();
        let is_free = free.get(&tenant).is_some_and(|known| known.cut == cut);
        if is_free {
            free.remove(&tenant);
        }
        is_free
    }

    fn free(&self) -> MutexGuard<'_, BTreeMap<TenantId, Reserved>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_reserved_cut_is_taken_once_and_what_is_taken_is_withdrawn_no_more() {
        let reserve = Reserve::default();
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let reserved = |n| Reserved { cut: CutId::from_uuid(Uuid::from_u128(n)), after_ms: 9 };
        assert_eq!(reserve.take(tenant), None);
        assert_eq!(reserve.keep(tenant, reserved(2)), None);
        assert_eq!(reserve.keep(tenant, reserved(3)), Some(reserved(2)));
        assert!(!reserve.withdraw(tenant, reserved(2).cut), "it is replaced");
        assert_eq!(reserve.take(tenant), Some(reserved(3)));
        assert_eq!((reserve.of(tenant), reserve.take(tenant)), (None, None), "once");
        assert!(!reserve.withdraw(tenant, reserved(3).cut), "it is in use");
        reserve.give_back(tenant, reserved(3));
        assert_eq!(reserve.of(tenant), Some(reserved(3)));
        assert!(reserve.withdraw(tenant, reserved(3).cut));
    }
}
