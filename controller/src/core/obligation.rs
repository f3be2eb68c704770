//! Obligations: who owes what until when, by which clause, and how that was counted.
//!
//! ```text
//! open ──met in time──→ discharged
//!   └──now ≥ breach_at──→ breached ──met late──→ breached, with the time it was met
//! ```
//! While its clock is suspended (the provider waits for a third party) no breach is declared; then
//! the deadline moves on by the suspended days, and the one without them is kept beside it.
//! A breach is recorded once and never rewritten. A missed deadline destroys nothing.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::{
    calendar::Span,
    rules::{Basis, Period, Roll},
};

/// One thing that one party owes the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// Which of the standard's.
    pub id: ObligationId,
    /// Distinguishes repetitions within a tenant (a resubmission, a second cut): from 1.
    pub serial: u32,
    /// Until when.
    pub due: Due,
    /// How that was counted.
    pub counted: Counted,
    /// Suspensions of the provider's clock, oldest first; the last may go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspensions: Vec<Suspension>,
    /// What became of it.
    pub state: ObligationState,
    /// The last reminder that went out, by its offset from the last day.
    pub reminded: Option<i32>,
    /// Every recount by a new notice, oldest first.
    pub moves: Vec<Move>,
}

/// A deadline counted anew by a new notice of the State Council (R16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// When; legal time.
    pub at: Timestamp,
    /// As it stood.
    pub old: Due,
    /// As it is counted now.
    pub new: Due,
    /// The notice's number or title.
    pub notice: String,
    /// Why.
    pub reason: String,
    /// Whether it holds. An earlier deadline waits for an administrator's signature.
    pub applied: bool,
    /// Who signed an earlier one.
    pub signed_by: Option<String>,
}

/// Days on which a provider's clock stood still: it waited for a third party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// For whom and for what.
    pub reason: String,
    /// Who recorded it.
    pub by: String,
    /// Since when; legal time. This day still counts.
    pub from: Timestamp,
    /// Until when; legal time. The day after it counts again. Nothing while it goes on.
    pub until: Option<Timestamp>,
    /// The deadline before it: of the first one, the gross deadline.
    pub due_before: Due,
}

/// The standard's obligations, in its order. [`super::rules`] says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObligationId {
    /// The conditions for applying are met.
    O1,
    /// The application is complete.
    O2,
    /// Opinion on the application.
    O3,
    /// Resources configured.
    O4,
    /// Deployment started.
    O5,
    /// The trial.
    O6a,
    /// Extension of the trial.
    O6b,
    /// Both reports before the trial ends.
    O7a,
    /// Opinion on the reports.
    O7b,
    /// What a review found is rectified.
    O7c,
    /// Third-party MLPS assessment filed.
    O8,
    /// ICP filing filed.
    O9,
    /// Migration and backup before the stop day.
    O10,
    /// Opinion on the off-boarding application.
    O11a,
    /// Reclaimed, terminated, wiped.
    O11b,
    /// Customer notified before a planned cut.
    O12a,
    /// Customer notified of an emergency cut.
    O12b,
    /// Traffic restored: a cut is temporary.
    O12c,
    /// The customer answers for its system's security.
    O13,
    /// Secrecy; lawful access on the record.
    O14,
    /// Security controls of the platform.
    O15,
    /// Yearly assessment of the platform.
    O16,
    /// Monthly check of each system.
    O17,
    /// Help with migration, consulting, training.
    O18,
}

/// Who owes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// 云服务客户.
    Customer,
    /// 云服务方.
    Provider,
}

/// A deadline. Over days that no State Council notice has settled yet it is an interval: the
/// provider plans by `last_day`, and a breach is declared only at `breach_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Due {
    /// The end of a civil day of Asia/Shanghai.
    Day {
        /// The last day on which it is met.
        last_day: Date,
        /// The instant after it: met when `t < due_at`.
        due_at: Timestamp,
        /// The latest that `due_at` may become; the same if every day is settled.
        breach_at: Timestamp,
    },
    /// An instant of the real clock: met when `t < due_at`.
    Instant {
        /// The instant.
        due_at: Timestamp,
    },
    /// The standard gives none.
    Never,
}

/// How a deadline was counted: kept with it, whatever the rules say later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The period, with its number.
    pub period: Period,
    /// Whether its last day was moved off Rest days.
    pub roll: Roll,
    /// Whose number it is.
    pub basis: Basis,
    /// The day that does not count; for a period of seconds the day of the event.
    pub day_zero: Date,
    /// Edition of the rules.
    pub edition: String,
}

/// What became of an obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ObligationState {
    /// Owed.
    Open,
    /// Met in time.
    Discharged {
        /// When.
        at: Timestamp,
    },
    /// Missed.
    Breached {
        /// When that was recorded.
        at: Timestamp,
        /// When it was met after all.
        met_at: Option<Timestamp>,
    },
    /// No longer owed: what it was about went away (the cut was void, the tenant left).
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

impl ObligationId {
    /// All, in the standard's order: the order of the declaration.
    pub const ALL: [Self; 24] = [
        Self::O1,
        Self::O2,
        Self::O3,
        Self::O4,
        Self::O5,
        Self::O6a,
        Self::O6b,
        Self::O7a,
        Self::O7b,
        Self::O7c,
        Self::O8,
        Self::O9,
        Self::O10,
        Self::O11a,
        Self::O11b,
        Self::O12a,
        Self::O12b,
        Self::O12c,
        Self::O13,
        Self::O14,
        Self::O15,
        Self::O16,
        Self::O17,
        Self::O18,
    ];

    /// Its number, as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::O1 => "O1",
            Self::O2 => "O2",
            Self::O3 => "O3",
            Self::O4 => "O4",
            Self::O5 => "O5",
            Self::O6a => "O6a",
            Self::O6b => "O6b",
            Self::O7a => "O7a",
            Self::O7b => "O7b",
            Self::O7c => "O7c",
            Self::O8 => "O8",
            Self::O9 => "O9",
            Self::O10 => "O10",
            Self::O11a => "O11a",
            Self::O11b => "O11b",
            Self::O12a => "O12a",
            Self::O12b => "O12b",
            Self::O12c => "O12c",
            Self::O13 => "O13",
            Self::O14 => "O14",
            Self::O15 => "O15",
            Self::O16 => "O16",
            Self::O17 => "O17",
            Self::O18 => "O18",
        }
    }
}

impl Due {
    /// The end of a span of civil days.
    #[must_use]
    pub fn end_of(span: Span) -> Self {
        Self::Day {
            last_day: span.earliest,
            due_at: super::calendar::end_of_day(span.earliest),
            breach_at: super::calendar::end_of_day(span.latest),
        }
    }

    /// The last day on which it is met, if it ends with a day.
    #[must_use]
    pub const fn last_day(&self) -> Option<Date> {
        match self {
            Self::Day { last_day, .. } => Some(*last_day),
            Self::Instant { .. } | Self::Never => None,
        }
    }

    /// The instant by which it has to be met.
    #[must_use]
    pub const fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Day { due_at, .. } | Self::Instant { due_at } => Some(*due_at),
            Self::Never => None,
        }
    }
}

impl Obligation {
    /// A new, open obligation.
    #[must_use]
    pub const fn open(id: ObligationId, serial: u32, due: Due, counted: Counted) -> Self {
        Self {
            id,
            serial,
            due,
            counted,
            suspensions: Vec::new(),
            state: ObligationState::Open,
            reminded: None,
            moves: Vec::new(),
        }
    }

    /// Whether real time counts for it, and not legal time.
    #[must_use]
    pub const fn is_real_time(&self) -> bool {
        matches!(self.due, Due::Instant { .. })
    }

    /// Whether it is still owed: open, or breached and not met.
    #[must_use]
    pub const fn is_owed(&self) -> bool {
        match self.state {
            ObligationState::Open | ObligationState::Breached { met_at: None, .. } => true,
            ObligationState::Discharged { .. }
            | ObligationState::Breached { met_at: Some(_), .. }
            | ObligationState::Lapsed { .. } => false,
        }
    }

    /// Whether it was met, in time or late.
    #[must_use]
    pub const fn is_met(&self) -> bool {
        match self.state {
            ObligationState::Discharged { .. }
            | ObligationState::Breached { met_at: Some(_), .. } => true,
            ObligationState::Open
            | ObligationState::Breached { met_at: None, .. }
            | ObligationState::Lapsed { .. } => false,
        }
    }

    /// Whether its clock is suspended now.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspensions.last().is_some_and(|last| last.until.is_none())
    }

    /// The deadline without any suspension: gross time is always reported too.
    #[must_use]
    pub fn gross(&self) -> Due {
        self.suspensions.first().map_or(self.due, |first| first.due_before)
    }

    /// The days on which its clock stood still and goes on again: each from the day on which it
    /// stopped (which still counted) to the one on which it went on (day 0 again, R2).
    pub fn stood_still(&self) -> impl Iterator<Item = (Date, Date)> {
        let day = super::calendar::legal_day;
        self.suspensions.iter().filter_map(move |one| Some((day(one.from), day(one.until?))))
    }

    /// Another deadline takes the place of this one; it is reminded of anew.
    pub const fn count_anew(&mut self, due: Due) {
        self.due = due;
        self.reminded = None;
    }

    /// The instant at which a breach is to be declared, on the clock that counts for it; none while
    /// that is suspended.
    #[must_use]
    pub fn breach_at(&self) -> Option<Timestamp> {
        if self.is_suspended() {
            return None;
        }
        match self.due {
            Due::Day { breach_at, .. } => Some(breach_at),
            Due::Instant { due_at } => Some(due_at),
            Due::Never => None,
        }
    }

    /// Met at `at`: in time or, when the breach instant has passed, late. A breach stays one.
    pub fn meet(&mut self, at: Timestamp) {
        let limit = self.breach_at();
        self.end_suspension(at);
        match self.state {
            ObligationState::Open => {
                self.state = if limit.is_some_and(|limit| at >= limit) {
                    ObligationState::Breached { at, met_at: Some(at) }
                } else {
                    ObligationState::Discharged { at }
                };
            }
            ObligationState::Breached { at: breached_at, met_at: None } => {
                self.state = ObligationState::Breached { at: breached_at, met_at: Some(at) };
            }
            ObligationState::Discharged { .. }
            | ObligationState::Breached { met_at: Some(_), .. }
            | ObligationState::Lapsed { .. } => {}
        }
    }

    /// Declares the breach if `now` (of the clock that counts) has reached it. Says whether it did.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        match (self.state, self.breach_at()) {
            (ObligationState::Open, Some(limit)) if now >= limit => {
                self.state = ObligationState::Breached { at: now, met_at: None };
                true
            }
            (
                ObligationState::Open
                | ObligationState::Discharged { .. }
                | ObligationState::Breached { .. }
                | ObligationState::Lapsed { .. },
                _,
            ) => false,
        }
    }

    /// No longer owed. A breach stays one.
    pub fn lapse(&mut self, at: Timestamp) {
        self.end_suspension(at);
        if self.state == ObligationState::Open {
            self.state = ObligationState::Lapsed { at };
        }
    }

    fn end_suspension(&mut self, at: Timestamp) {
        if let Some(last) = self.suspensions.last_mut() {
            last.until = last.until.or(Some(at));
        }
    }

    /// Period, day 0 and edition in a sentence.
    #[must_use]
    pub fn explanation(&self) -> String {
        let Counted { period, roll, basis, day_zero, edition } = &self.counted;
        let rolled = match roll {
            Roll::NextWorkDay => ", moved to a working day,",
            Roll::None => "",
        };
        let counted = match (period, self.due) {
            (Period::WorkingDaysBefore(days), Due::Day { due_at, .. }) => format!(
                "before {} begins; at least {days} working days lie between it and the \
                 application on",
                super::calendar::legal_day(due_at)
            ),
            (Period::EachYear(_), _) => {
                format!("{period}, at most 12 months{rolled} and one calendar year after")
            }
            (Period::Seconds(_), _) => format!("{period}, exclusive, after the event on"),
            (Period::None, _) => "no number in the standard; since".to_owned(),
            (
                Period::WorkingDays(_)
                | Period::CalendarDays(_)
                | Period::Months(_)
                | Period::WorkingDaysBefore(_)
                | Period::SameAs(_)
                | Period::EachMonth(_),
                _,
            ) => format!("{period}{rolled} after"),
        };
        let policy = match basis {
            Basis::Policy => " (provider's policy)",
            Basis::Standard => "",
        };
        let provisional = match self.due {
            Due::Day { due_at, breach_at, .. } if due_at != breach_at => {
                "; provisional until the State Council's notice for those days"
            }
            Due::Day { .. } | Due::Instant { .. } | Due::Never => "",
        };
        format!("{counted} {day_zero}, which is day 0{policy}; rules {edition}{provisional}")
    }
}
