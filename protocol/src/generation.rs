//! Generations: which of two wanted states is newer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Generation of a tenant's wanted state on one host. Starts at 1 and grows by one with each order
/// that changes it; an order with a generation that is not newer than the one in force is stale.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
