//! The monthly probe of the channels to a customer's contacts: lists of contacts rot, and a cut is
//! no time to learn it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{channel::Grade, id::NoticeId, time::Timestamp};

/// One month's probe: what went to each contact over each channel, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The first day of its month.
    pub month: Date,
    /// When it went out; legal time.
    pub sent_at: Timestamp,
    /// Every channel.
    pub channels: Vec<Probed>,
    /// Who of the customer acknowledged it.
    pub acknowledged: Option<ProbeAcknowledged>,
    /// Whether the provider was told of what is missing.
    pub told: bool,
}

/// One contact over one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Who.
    pub contact: String,
    /// The kind of the channel: `mail`, `webhook`, `sms`, `bot`.
    pub channel: String,
    /// The notice.
    pub notice: NoticeId,
    /// What its acceptance proved; nothing if nobody has taken it.
    pub grade: Option<Grade>,
}

/// A person's acknowledgement of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAcknowledged {
    /// Who.
    pub person: String,
    /// When; legal time.
    pub at: Timestamp,
}

impl Probe {
    /// The channels that took nothing, each by its contact.
    pub fn silent(&self) -> impl Iterator<Item = &Probed> {
        self.channels.iter().filter(|one| one.grade.is_none())
    }

    /// Whether all is well: every channel took it, and a person acknowledged it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.acknowledged.is_some() && self.silent().next().is_none()
    }
}
