//! Notices: what the customer is told, over which channel, and what counts as having told it.
//!
//! ```text
//! armed ──t0, or 3 s──→ due ──tried──→ due (next rung of the ladder) ──E2──→ delivered
//!   └──no host cut──→ void     └── a person acknowledged ──→ void
//! ```
//! A notice is rendered before the order that it is about, so that no fault after the cut can keep
//! it from going out.

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::{Channel, Grade},
    id::{CutId, NoticeId, TenantId},
    time::Timestamp,
};

use super::tenant::Designated;

/// One notice to one contact over one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which. The message id and the webhook id of every try are made of it.
    pub id: NoticeId,
    /// About whom.
    pub tenant: TenantId,
    /// About which cut.
    pub cut: Option<CutId>,
    /// What it says.
    pub kind: NoticeKind,
    /// To whom.
    pub contact: String,
    /// Over what.
    pub channel: Channel,
    /// Whether that is the system that the contact designated (Civil Code, article 137): nothing
    /// else that takes the notice counts as its arrival. Nobody knows it of a notice from before
    /// this was kept.
    #[serde(default)]
    pub designated: bool,
    /// Subject line.
    pub subject: String,
    /// Text: Chinese first, then English.
    pub body: String,
    /// The same as JSON, for webhooks: the exact bytes to be posted.
    pub payload: String,
    /// What became of it.
    pub state: NoticeState,
    /// Every try, oldest first.
    pub tries: Vec<Try>,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// The resources are handed over.
    Handover,
    /// A cut is planned.
    CutAnnounced,
    /// The planned cut does not take place.
    CutCalledOff,
    /// The traffic is cut, or a cut was ordered.
    Cut,
    /// More on a cut that was notified already: its instant, or that it did not happen.
    CutCorrection,
    /// A cut is still open.
    CutReminder,
    /// The traffic passes again.
    Restored,
    /// The trial ended without reports.
    TrialExpired,
    /// The stop day has come, and migration and backup are not confirmed.
    ConfirmationMissing,
    /// The same a second time: a grace begins with its delivery.
    SecondNotice,
    /// The report of a monthly security check is there.
    Inspection,
    /// The tenant's data is destroyed and the tenant closed.
    Closed,
    /// The customer is reminded of what it owes.
    Reminder,
    /// The provider is reminded of what it owes, or told what the customer did not do. Not the
    /// customer's to read.
    ProviderReminder,
    /// The provider's people are called: no notice of an emergency cut has reached the customer.
    /// Not the customer's to read.
    DutyAlarm,
}

impl NoticeKind {
    /// The stable kebab-case text; also the webhook's event type after `tenure.`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handover => "handover",
            Self::CutAnnounced => "cut-announced",
            Self::CutCalledOff => "cut-called-off",
            Self::Cut => "cut",
            Self::CutCorrection => "cut-correction",
            Self::CutReminder => "cut-reminder",
            Self::Restored => "restored",
            Self::TrialExpired => "trial-expired",
            Self::ConfirmationMissing => "confirmation-missing",
            Self::SecondNotice => "second-notice",
            Self::Inspection => "inspection",
            Self::Closed => "closed",
            Self::Reminder => "reminder",
            Self::ProviderReminder => "provider-reminder",
            Self::DutyAlarm => "duty-alarm",
        }
    }

    /// Whether it is the provider's alone to read.
    #[must_use]
    pub const fn is_providers(self) -> bool {
        matches!(self, Self::ProviderReminder | Self::DutyAlarm)
    }
}

/// The channel as a contact designates it.
#[must_use]
pub const fn designation(channel: &Channel) -> Designated {
    match channel {
        Channel::Mail { .. } => Designated::Email,
        Channel::Webhook { .. } => Designated::Webhook,
    }
}

/// One try to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it ended; real clock.
    pub at: Timestamp,
    /// Whether it was delivered.
    pub outcome: Outcome,
    /// The peer's words: "250 2.0.0 Ok: queued as …", "HTTP 204", or the error.
    pub evidence: String,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The peer took it.
    Accepted {
        /// What that proves.
        grade: Grade,
    },
    /// It did not.
    Failed,
}

/// What became of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum NoticeState {
    /// Rendered and durable; goes out at `release_at` unless it is released or voided before.
    Armed {
        /// Real clock.
        release_at: Timestamp,
    },
    /// To be tried.
    Due {
        /// When the ladder began; real clock.
        since: Timestamp,
        /// The next rung; real clock.
        next_at: Timestamp,
    },
    /// It is in the customer's system; the grade says whether in the one that was designated.
    Delivered {
        /// When; real clock.
        at: Timestamp,
        /// How certainly.
        grade: Grade,
    },
    /// Never to be sent.
    Void {
        /// Why.
        reason: String,
    },
}

/// How long an armed notice waits for its cut's instant, ms.
pub const ARMED_MS: i64 = 3_000;

/// The ladder: when a notice is tried, seconds after it became due.
pub const LADDER_S: [i64; 9] = [0, 5, 15, 30, 60, 90, 120, 180, 240];

/// After the ladder a notice is tried again at this interval, seconds, until it is delivered.
pub const AFTER_LADDER_S: i64 = 300;

/// A notice that found no way is given up after this time, seconds; the breach stands already.
pub const GIVE_UP_S: i64 = 7 * 24 * 3600;

/// The first rung of the ladder after `now`, for a notice that became due at `since`; nothing once
/// it is given up.
#[must_use]
pub fn next_rung(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let passed_ms = now.ms_since(since);
    if passed_ms >= GIVE_UP_S * 1000 {
        return None;
    }
    let rung = LADDER_S.iter().map(|rung| rung * 1000).find(|rung| *rung > passed_ms);
    Some(rung.map_or_else(|| now.plus_ms(AFTER_LADDER_S * 1000), |rung| since.plus_ms(rung)))
}

impl Notice {
    /// When it has to be looked at again; real clock.
    #[must_use]
    pub const fn next_at(&self) -> Option<Timestamp> {
        match &self.state {
            NoticeState::Armed { release_at } => Some(*release_at),
            NoticeState::Due { next_at, .. } => Some(*next_at),
            NoticeState::Delivered { .. } | NoticeState::Void { .. } => None,
        }
    }

    /// Whether any try was made.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        matches!(self.state, NoticeState::Armed { .. }) && self.tries.is_empty()
    }

    /// Records a try and says whether the notice was taken by it for the first time, and what that
    /// proves. A customer's system that the contact did not designate proves no arrival (E1), and
    /// is not tried again.
    pub fn record(&mut self, mut attempt: Try) -> Option<Grade> {
        let at = attempt.at;
        let taken = match attempt.outcome {
            Outcome::Accepted { grade } if grade.discharges() => {
                let grade = if self.designated { grade } else { Grade::E1 };
                attempt.outcome = Outcome::Accepted { grade };
                Some(grade)
            }
            Outcome::Accepted { .. } | Outcome::Failed => None,
        };
        self.tries.push(attempt);
        let since = match self.state {
            NoticeState::Armed { .. } => at,
            NoticeState::Due { since, .. } => since,
            NoticeState::Delivered { .. } | NoticeState::Void { .. } => return None,
        };
        if let Some(grade) = taken {
            self.state = NoticeState::Delivered { at, grade };
            return Some(grade);
        }
        self.state = match next_rung(since, at) {
            Some(next_at) => NoticeState::Due { since, next_at },
            None => NoticeState::Void { reason: "no channel took it within 7 days".to_owned() },
        };
        None
    }
}
