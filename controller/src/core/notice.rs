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
    id::{CutId, HostId, NoticeId, TenantId},
    ladder,
    time::Timestamp,
};

use super::{joint::Joint, tenant::Designated};

/// One notice to one contact over one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which. The message id and the webhook id of every try are made of it.
    pub id: NoticeId,
    /// About whom; nobody if it is about the platform, or about several tenants.
    pub tenant: Option<TenantId>,
    /// About which cut; none if it is about several.
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
    /// What it says of each of several systems; nothing of a notice about one tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<Box<Joint>>,
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
    /// Terms of rules of its security groups are over.
    RulesEnded,
    /// The report of a monthly security check is there.
    Inspection,
    /// The monthly probe of the channels to the customer's contacts.
    Probe,
    /// Its contacts are others now: to those who are none any more.
    ContactsChanged,
    /// The tenant's data is destroyed and the tenant closed.
    Closed,
    /// The customer is reminded of what it owes.
    Reminder,
    /// The provider is reminded of what it owes, or told what the customer did not do. Not the
    /// customer's to read.
    ProviderReminder,
    /// A host found something that is not as it should be. The provider's alone.
    HostAlarm,
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
            Self::RulesEnded => "rules-ended",
            Self::Inspection => "inspection",
            Self::Probe => "probe",
            Self::ContactsChanged => "contacts-changed",
            Self::Closed => "closed",
            Self::Reminder => "reminder",
            Self::ProviderReminder => "provider-reminder",
            Self::HostAlarm => "host-alarm",
            Self::DutyAlarm => "duty-alarm",
        }
    }

    /// Whether it goes before all others: the five minutes of clause 6.3 depend on it, a planned
    /// cut waits for it, or a host is not as it should be.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(
            self,
            Self::Cut
                | Self::CutCorrection
                | Self::CutAnnounced
                | Self::DutyAlarm
                | Self::HostAlarm
        )
    }

    /// Whether it tells the customer of a cut, or of its end.
    #[must_use]
    pub const fn is_of_cut(self) -> bool {
        matches!(
            self,
            Self::CutAnnounced
                | Self::CutCalledOff
                | Self::Cut
                | Self::CutCorrection
                | Self::CutReminder
                | Self::Restored
        )
    }

    /// Whether it is the provider's alone to read.
    #[must_use]
    pub const fn is_providers(self) -> bool {
        matches!(self, Self::ProviderReminder | Self::HostAlarm | Self::DutyAlarm)
    }
}

/// The channel as a contact designates it.
#[must_use]
pub const fn designation(channel: &Channel) -> Designated {
    match channel {
        Channel::Mail { .. } => Designated::Email,
        Channel::Webhook { .. } => Designated::Webhook,
        Channel::Sms { .. } => Designated::Sms,
        Channel::Bot { .. } => Designated::Bot,
    }
}

/// One try to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it ended; real clock.
    pub at: Timestamp,
    /// Whether it was delivered.
    pub outcome: Outcome,
    /// The peer's words: "250 2.0.0 Ok: queued as …", "HTTP 204", a receipt that came later, or the
    /// error.
    pub evidence: String,
    /// The host that made it, while the controller was silent; nothing if the controller did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ByHost>,
}

/// The host that tried a notice, and its report of it: what comes again is known by these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHost {
    /// Which.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// The report's number among those of this host about this cut.
    pub sequence: u64,
    /// For which cut the host made it, if the notice is about several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutId>,
    /// Those of several cuts over which the host watches: for no other does its word count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<CutId>,
}

impl Try {
    /// Whether it counts for this cut of a joint notice.
    #[must_use]
    pub fn counts_for(&self, cut: CutId) -> bool {
        self.by.as_ref().is_none_or(|by| by.cuts.contains(&cut))
    }
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

/// A short message that was handed over waits so long, seconds, for its receipt before it is sent
/// again.
pub const RECEIPT_S: i64 = 120;

/// So often a short message is handed over at most; after that its receipt alone is waited for.
pub const SHORT_MESSAGES: usize = 5;

/// The first rung of the ladder after `now`, for a notice that became due at `since`; nothing once
/// it is given up.
#[must_use]
pub fn next_rung(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    ladder::rung_after(now.ms_since(since)).map(|rung_ms| since.plus_ms(rung_ms))
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
    /// is not tried again. What the provider's own people are told is taken once anybody took it,
    /// unless they are called to a cut: that ends with the cut's notice. A short message has its
    /// receipt to wait for.
    pub fn record(&mut self, mut attempt: Try) -> Option<Grade> {
        let at = attempt.at;
        let taken = match attempt.outcome {
            Outcome::Accepted { grade } if grade.discharges() => {
                let grade = if self.designated { grade } else { Grade::E1 };
                attempt.outcome = Outcome::Accepted { grade };
                Some(grade)
            }
            Outcome::Accepted { grade } if self.is_enough() => Some(grade),
            Outcome::Accepted { .. } | Outcome::Failed => None,
        };
        self.enter(attempt);
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
            Some(rung) => NoticeState::Due { since, next_at: self.after_receipt(since, at, rung) },
            None => NoticeState::Void { reason: "no channel took it within 7 days".to_owned() },
        };
        None
    }

    /// Whether it is enough that anybody took it: nobody's duty is discharged by its arrival.
    const fn is_enough(&self) -> bool {
        let nobodys = self.kind.is_providers()
            || matches!(self.kind, NoticeKind::Probe | NoticeKind::ContactsChanged);
        nobodys
            && !matches!(self.kind, NoticeKind::DutyAlarm)
            && !matches!(self.channel, Channel::Sms { .. })
    }

    /// Records a try of somebody who did not hold the notice when it ended: of a host, or of a
    /// sender whose lease had run out. A delivery counts whoever made it; nothing else of it moves
    /// the ladder that the holder is on.
    pub fn record_beside(&mut self, attempt: Try) -> Option<Grade> {
        let state = self.state.clone();
        let (at, arrived) = (attempt.at, attempt.outcome);
        if let Some(grade) = self.record(attempt) {
            return Some(grade);
        }
        match (&state, arrived) {
            // It arrived before what was known to have arrived: the first time counts.
            (NoticeState::Delivered { at: known, grade }, Outcome::Accepted { grade: taken })
                if taken.discharges() && grade.discharges() && at < *known =>
            {
                let grade = *grade;
                self.state = NoticeState::Delivered { at, grade };
                Some(grade)
            }
            (_, Outcome::Accepted { .. } | Outcome::Failed) => {
                self.state = state;
                None
            }
        }
    }

    /// Whether a host's report of a try is entered already.
    #[must_use]
    pub fn knows(&self, report: &ByHost) -> bool {
        let of = |by: &ByHost| (by.host, by.cut, by.sequence);
        let same = |by: &ByHost| of(by) == of(report);
        self.tries.iter().any(|attempt| attempt.by.as_ref().is_some_and(same))
    }

    /// Tries stand in the order of their times, whenever they became known.
    fn enter(&mut self, attempt: Try) {
        let place = self.tries.partition_point(|known| known.at <= attempt.at);
        self.tries.insert(place, attempt);
    }

    /// When it is tried next. Each short message is one more on somebody's telephone, so that one
    /// which was handed over is not sent again at every rung.
    fn after_receipt(&self, since: Timestamp, at: Timestamp, rung: Timestamp) -> Timestamp {
        let handed_over = |attempt: &&Try| matches!(attempt.outcome, Outcome::Accepted { .. });
        let times = self.tries.iter().filter(handed_over).count();
        if !matches!(self.channel, Channel::Sms { .. }) {
            rung
        } else if times >= SHORT_MESSAGES {
            since.plus_ms(ladder::GIVE_UP_S * 1000)
        } else if self.tries.last().is_some_and(|last| handed_over(&last)) {
            rung.max(at.plus_ms(RECEIPT_S * 1000))
        } else {
            rung
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(channel: Channel) -> Notice {
        Notice {
            id: NoticeId::from_uuid(uuid::Uuid::nil()),
            tenant: Some(TenantId::from_uuid(uuid::Uuid::nil())),
            cut: None,
            kind: NoticeKind::Cut,
            contact: "值班".to_owned(),
            channel,
            designated: true,
            subject: String::new(),
            body: String::new(),
            payload: String::new(),
            state: NoticeState::Due { since: at(0), next_at: at(0) },
            tries: Vec::new(),
            joint: None,
        }
    }

    const fn at(s: i64) -> Timestamp {
        Timestamp::from_unix_ms(s * 1000)
    }

    fn attempt(s: i64, outcome: Outcome) -> Try {
        Try { at: at(s), outcome, evidence: String::new(), by: None }
    }

    const SENT: Outcome = Outcome::Accepted { grade: Grade::E1 };

    #[test]
    fn a_short_message_waits_for_its_receipt_and_is_not_sent_for_ever() {
        let mut notice = notice(Channel::Sms { number: "+8613800000000".to_owned() });
        assert_eq!(notice.record(attempt(1, SENT)), None);
        assert_eq!(notice.next_at(), Some(at(121)), "not at 5 s");
        assert_eq!(notice.record(attempt(3, Outcome::Failed)), None);
        assert_eq!(notice.next_at(), Some(at(5)), "its receipt says that it failed");
        for time in [5, 125, 245, 545] {
            assert_eq!(notice.record(attempt(time, SENT)), None);
        }
        assert_eq!(notice.next_at(), Some(at(ladder::GIVE_UP_S)), "five times are enough");
        let receipt = Outcome::Accepted { grade: Grade::E2 };
        assert_eq!(notice.record(attempt(3_600, receipt)), Some(Grade::E2), "however late");
        assert_eq!(notice.record(attempt(3_601, receipt)), None, "once");
    }

    #[test]
    fn what_the_providers_people_are_told_is_sent_once_and_a_call_until_it_is_silenced() {
        for (kind, again) in [
            (NoticeKind::HostAlarm, None),
            (NoticeKind::ProviderReminder, None),
            (NoticeKind::DutyAlarm, Some(at(5))),
        ] {
            let channel = Channel::Mail { address: "duty@cloud.example".to_owned() };
            let mut notice = Notice { kind, ..notice(channel) };
            notice.record(attempt(1, SENT));
            assert_eq!(notice.next_at(), again, "{kind:?}");
        }
    }

    #[test]
    fn mail_that_a_relay_took_goes_on_up_the_ladder() {
        let mut notice = notice(Channel::Mail { address: "duty@customer.example".to_owned() });
        assert_eq!(notice.record(attempt(1, SENT)), None);
        assert_eq!(notice.next_at(), Some(at(5)));
    }
}
