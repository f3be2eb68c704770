//! How the customer comes to know of an emergency cut when no notice gets through: the alarms by
//! which the provider's people are called, and a person's acknowledgement (grade E3).

use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::{Cut, CutEnd};

/// An upper rung of the ladder: the provider's people are called, since nothing of grade E2 is
/// known. The lower rungs are the tries of each notice, and the last is the breach of O12b.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The duty desk and the second contacts know of it.
    SecondContacts,
    /// Phone the customer now.
    Phone,
}

impl Rung {
    /// Both, in the order of their time.
    pub const ALL: [Self; 2] = [Self::SecondContacts, Self::Phone];

    /// How long after the cut, ms.
    #[must_use]
    pub const fn after_ms(self) -> i64 {
        match self {
            Self::SecondContacts => 60_000,
            Self::Phone => 180_000,
        }
    }

    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecondContacts => "second-contacts",
            Self::Phone => "phone",
        }
    }
}

/// That a person of the customer knows of a cut (grade E3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who knows of it.
    pub person: String,
    /// By what number or otherwise it was heard; nothing if the customer came in and gave it.
    pub over: Option<String>,
    /// The words that were heard; nothing if the customer came in and gave it.
    pub words: Option<String>,
    /// When it was given; real clock.
    pub at: Timestamp,
    /// Who recorded it.
    pub recorded_by: String,
    /// When that was; real clock.
    pub recorded_at: Timestamp,
}

impl Acknowledgement {
    /// Whether the customer itself came in and said so; else somebody of the provider heard it.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.words.is_none()
    }
}

impl Cut {
    /// Whether the customer still has to be told that it was cut in an emergency, or in a drill of
    /// one: nothing of grade E2 or E3 is known. A cut that no host made and that was restored is
    /// nothing to tell.
    #[must_use]
    pub const fn is_untold(&self) -> bool {
        let made = match self.end {
            CutEnd::Open => true,
            CutEnd::Restored { .. } => self.t0.is_some(),
            CutEnd::Void { .. } => false,
        };
        self.kind.is_at_once() && made && self.notified_at.is_none()
    }

    /// What the ladder counts from, real clock: t0, or the order while no t0 is known.
    #[must_use]
    pub fn counts_from(&self) -> Timestamp {
        let ordered = self.began_at.unwrap_or(self.ordered_at);
        self.t0.map_or(ordered, |t0| t0.earliest)
    }

    /// The last alarm whose time has come; nothing of a cut that is told.
    #[must_use]
    pub fn alarm_at(&self, real_now: Timestamp) -> Option<Rung> {
        let passed_ms = real_now.ms_since(self.counts_from());
        let come = |alarm: &Rung| self.is_untold() && passed_ms >= alarm.after_ms();
        Rung::ALL.into_iter().rfind(come)
    }

    /// When the next alarm's time comes, or came if nobody was called with it yet; real clock.
    #[must_use]
    pub fn next_alarm_at(&self) -> Option<Timestamp> {
        let ahead = |alarm: &Rung| self.alarm.is_none_or(|last| last < *alarm);
        let next = Rung::ALL.into_iter().filter(|_| self.is_untold()).find(ahead)?;
        Some(self.counts_from().plus_ms(next.after_ms()))
    }
}
