//! Drills: the emergency cut rehearsed for real, on a tenant that exists for that, a canary.

use serde::{Deserialize, Serialize};
use tenure_protocol::{id::NoticeId, time::Timestamp};

use super::{Cut, Tenant};

/// Whether a tenant may be drilled: two persons of the provider say that it is a canary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Who says so, waiting for a second person.
    #[serde(default)]
    pub proposed: Option<CanaryProposal>,
    /// The two persons by whose word it is one; nothing of a tenant that is none.
    #[serde(default)]
    pub in_force: Option<CanaryInForce>,
}

/// One person's word that a tenant is a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryProposal {
    /// Why nobody is harmed if it is cut.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// A canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryInForce {
    /// What was proposed, and by whom.
    pub proposal: CanaryProposal,
    /// Who confirmed it.
    pub confirmed_by: String,
    /// When; legal time.
    pub confirmed_at: Timestamp,
}

/// What is measured of a drill. All instants are of the real clock; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// When the API took the request in.
    pub received_at: Option<Timestamp>,
    /// When its orders and armed notices were durable.
    pub durable_at: Option<Timestamp>,
    /// When every host's signed statement of the cut was here.
    pub proven_at: Option<Timestamp>,
    /// When its end was ordered.
    pub restore_ordered_at: Option<Timestamp>,
    /// When the last host let the traffic pass again, by that host's clock.
    pub restored_at: Option<Timestamp>,
    /// The channels that contacts designated, in the order of the application.
    pub channels: Vec<DrilledChannel>,
}

/// One contact over one designated channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrilledChannel {
    /// Who.
    pub contact: String,
    /// The kind of the channel: `mail`, `webhook`, `sms`, `bot`.
    pub channel: String,
    /// The notice, and what corrects it.
    pub notices: Vec<NoticeId>,
    /// When the first of them arrived with grade E2.
    pub told_at: Option<Timestamp>,
}

impl Tenant {
    /// The last drill, with what was measured.
    #[must_use]
    pub fn last_drill(&self) -> Option<(&Cut, &Drill)> {
        self.cuts.iter().rev().find_map(|cut| Some((cut, cut.drill.as_ref()?)))
    }
}
