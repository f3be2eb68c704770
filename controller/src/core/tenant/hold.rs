//! Holds: what a court, an authority or a dispute wants kept. A hold is orthogonal to the phase.
//!
//! ```text
//! placed, blocks at once ─countersigned→ standing
//!    └──────release asked for───────┴→ releasing, still blocks ─countersigned→ released
//! ```
//! It blocks draining and every wipe that is not ordered yet; only the last arrow ends that.

use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use crate::core::lifecycle::Document;

/// One hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its number within the tenant, from 1.
    pub number: u32,
    /// Why things are kept.
    pub kind: HoldKind,
    /// Who placed it, by which document.
    pub placed: HoldAct,
    /// Who released it, by which document; asked for as long as it is not countersigned.
    pub released: Option<HoldAct>,
}

/// Kinds of hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// The parties disagree.
    Dispute,
    /// A court or an authority orders it.
    LegalHold,
}

/// One act on a hold: by one person, countersigned by a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAct {
    /// The document that it rests on.
    pub document: Document,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
    /// The second person, once there is one.
    pub countersigned_by: Option<String>,
}

/// What holds a tenant, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldRegion {
    /// Nothing.
    None,
    /// A court or an authority, whatever else.
    LegalHold,
    /// A dispute.
    Dispute,
}

impl Hold {
    /// Whether it still blocks: until its release is countersigned.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.released.as_ref().is_none_or(|act| act.countersigned_by.is_none())
    }

    /// The act that waits for a second person: the release, once it is asked for.
    pub fn uncountersigned(&mut self) -> Option<&mut HoldAct> {
        let act = self.released.as_mut().unwrap_or(&mut self.placed);
        Some(act).filter(|act| act.countersigned_by.is_none())
    }
}
