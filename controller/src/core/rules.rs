//! The legal rules as data: numbers, kinds of days, rolls, who owes, reminders, what a breach does.
//!
//! The text is TOML ([`SHIPPED`], or a site's own); its head explains every field. [`Rules::parse`]
//! checks it as a whole, so that what it gives has each obligation once and every period in a form
//! that the lifecycle can count. [`super::counting`] turns its periods into
//! deadlines.

mod check;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::{
    calendar::Calendar,
    counting,
    obligation::{Counted, Due, ObligationId, Party},
};

/// The rules that this build carries: the provincial standard of Jiangxi.
pub const SHIPPED: &str = include_str!("../../data/rules.toml");

/// Bytes that a text of rules may have.
pub const MAX_BYTES: usize = 256 * 1024;

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    edition: String,
    digest: Digest,
    title: String,
    issuer: String,
    reminder_hour: u8,
    policy: Policy,
    laws: Vec<Law>,
    rules: Vec<Rule>,
}

/// What the provider decides for itself, where the standard leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whether Internet ingress may be opened before the ICP filing.
    pub icp_gate: IcpGate,
    /// Work days after the first notice to a customer that has not confirmed migration and backup
    /// by its stop day, before the second goes out.
    pub second_notice_working_days: u32,
    /// Work days after the second notice reached the customer, before its instances are stopped.
    pub grace_working_days: u32,
}

/// When ports for the Internet are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcpGate {
    /// Once a filing number is recorded (MIIT order 33, article 5).
    Strict,
    /// Also before, by a named person with a reason: the standard allows a month.
    Standard,
}

/// A text of rules that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Longer than [`MAX_BYTES`].
    #[error("the rules are longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not TOML of this shape.
    #[error("the rules cannot be read: {0}")]
    Parse(String),
    /// A rule that is missing, or stands twice.
    #[error("the rules have {id} {found} times: each obligation stands there once")]
    Count {
        /// Which.
        id: &'static str,
        /// How often.
        found: usize,
    },
    /// A value that cannot be.
    #[error("{at}: {reason}")]
    Value {
        /// Where: `rule O3`, `law civil-code-201`, or a key of the head.
        at: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// An article of law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// What rules name it by.
    pub key: String,
    /// The law's name.
    pub title: String,
    /// The article.
    pub article: String,
    /// What it says, in a few words.
    pub about: String,
}

/// What the text says of one obligation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which.
    pub id: ObligationId,
    /// Clause of the standard: its headings and paragraphs in order.
    pub clause: String,
    /// The standard's words.
    pub quote: String,
    /// Keys of the articles of law that ground it.
    #[serde(default)]
    pub law: Vec<String>,
    /// Who owes it.
    pub party: Party,
    /// Whose number it is.
    pub basis: Basis,
    /// What day 0 is.
    pub starts: String,
    /// How long.
    pub period: Period,
    /// What becomes of a last day that is a Rest day.
    #[serde(default)]
    pub roll: Roll,
    /// When who owes it is reminded.
    #[serde(default)]
    pub reminders: Rungs,
    /// From this rung on the provider's second contacts are told too.
    pub escalate_from: Option<i32>,
    /// What a breach does.
    pub on_breach: OnBreach,
    /// What proves that it was met.
    pub evidence: String,
}

/// A period, as the text gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// Ends with the so-manieth Work day after day 0.
    WorkingDays(u32),
    /// So many calendar days after day 0.
    CalendarDays(u32),
    /// The same day so many months later, clamped to the month's end.
    Months(u32),
    /// So many seconds of the real clock after the event, exclusive.
    Seconds(u32),
    /// At least so many Work days lie strictly between day 0 and the day that is meant.
    WorkingDaysBefore(u32),
    /// Ends when that one ends.
    SameAs(ObligationId),
    /// At least so often in each calendar month.
    EachMonth(u32),
    /// At least so often in each calendar year, and within 12 months of the last time.
    EachYear(u32),
    /// No number.
    None,
}

/// What becomes of a last day that is a Rest day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Roll {
    /// It stays.
    #[default]
    None,
    /// It moves to the next Work day.
    NextWorkDay,
}

/// Whose number a period has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The standard's.
    Standard,
    /// The provider's policy: the standard names none.
    Policy,
}

/// When who owes an obligation is reminded of it: offsets from the last day, earliest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rungs {
    /// Never.
    #[default]
    None,
    /// So many Work days from the last day.
    WorkingDays(Vec<i32>),
    /// So many calendar days from the last day.
    CalendarDays(Vec<i32>),
    /// Every so many days while it is open.
    EveryDays(u32),
}

/// What a breach does. It never destroys anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBreach {
    /// There is no breach.
    None,
    /// It is recorded.
    Flag,
    /// It is recorded, and the provider's second contacts are told.
    Escalate,
    /// It is recorded, and ingress is closed until it is met.
    Hold,
    /// The act itself is refused.
    Refuse,
    /// The last day's passing is how it is met.
    Elapse,
    /// It is the platform's alarm.
    Alarm,
}

/// Where a period starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Day 0.
    pub day_zero: Date,
    /// The event's instant on the real clock: periods of seconds run from it.
    pub real: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    edition: String,
    title: String,
    issuer: String,
    reminder_hour: u8,
    policy: Policy,
    #[serde(default, rename = "law")]
    laws: Vec<Law>,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

impl Rules {
    /// The rules that this build carries.
    ///
    /// # Errors
    /// Never for a build that passed its tests.
    pub fn shipped() -> Result<Self, RulesError> {
        Self::parse(SHIPPED)
    }

    /// Reads and checks a text of rules.
    ///
    /// # Errors
    /// [`RulesError`], which names the rule and says what to do.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        if text.len() > MAX_BYTES {
            return Err(RulesError::TooLong);
        }
        let Text { edition, title, issuer, reminder_hour, policy, laws, mut rules } =
            toml::from_str(text).map_err(|error| RulesError::Parse(error.to_string()))?;
        for id in ObligationId::ALL {
            let found = rules.iter().filter(|rule| rule.id == id).count();
            if found != 1 {
                return Err(RulesError::Count { id: id.as_str(), found });
            }
        }
        rules.sort_by_key(|rule| rule.id);
        let digest = Digest::of(text.as_bytes());
        let rules = Self { edition, digest, title, issuer, reminder_hour, policy, laws, rules };
        check::all(&rules)?;
        Ok(rules)
    }

    /// The name of this text: deadlines keep it.
    #[must_use]
    pub fn edition(&self) -> &str {
        &self.edition
    }

    /// SHA-256 of the text.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The hour of legal time at which reminders go out.
    #[must_use]
    pub const fn reminder_hour(&self) -> u8 {
        self.reminder_hour
    }

    /// The standard's name.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Who issued it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the provider decides for itself.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// All of them, in the standard's order.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// What the text says of an obligation: each has its place by [`Rules::parse`].
    #[must_use]
    pub fn rule(&self, id: ObligationId) -> &Rule {
        &self.rules[id as usize]
    }

    /// The articles of law that ground an obligation.
    pub fn laws(&self, id: ObligationId) -> impl Iterator<Item = &Law> {
        let keys = &self.rule(id).law;
        keys.iter().filter_map(|key| self.laws.iter().find(|law| law.key == *key))
    }

    /// The number of an obligation's period; 0 if it has none.
    #[must_use]
    pub fn number(&self, id: ObligationId) -> u32 {
        self.rule(id).period.number()
    }

    /// Counts an obligation's deadline: [`counting::due`].
    #[must_use]
    pub fn count(&self, id: ObligationId, start: Start, calendar: &Calendar) -> (Due, Counted) {
        let counted = self.counted(id, start.day_zero);
        (counting::due(&counted, start.real, calendar), counted)
    }

    /// How an obligation is counted from a day, without the deadline.
    #[must_use]
    pub fn counted(&self, id: ObligationId, day_zero: Date) -> Counted {
        let Rule { period, roll, basis, .. } = *self.rule(id);
        Counted { period, roll, basis, day_zero, edition: self.edition.clone() }
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WorkingDays(days) => write!(f, "{days} working days"),
            Self::CalendarDays(days) => write!(f, "{days} calendar days"),
            Self::Months(months) => write!(f, "{months} months"),
            Self::Seconds(seconds) => write!(f, "{seconds} s"),
            Self::WorkingDaysBefore(days) => write!(f, "{days} working days before"),
            Self::SameAs(other) => write!(f, "until the end of {}", other.as_str()),
            Self::EachMonth(times) => write!(f, "{times} in each calendar month"),
            Self::EachYear(times) => write!(f, "{times} in each calendar year"),
            Self::None => f.write_str("no number"),
        }
    }
}

impl Period {
    /// Its number; 0 if it has none.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::WorkingDays(number)
            | Self::CalendarDays(number)
            | Self::Months(number)
            | Self::Seconds(number)
            | Self::WorkingDaysBefore(number)
            | Self::EachMonth(number)
            | Self::EachYear(number) => number,
            Self::SameAs(_) | Self::None => 0,
        }
    }
}

#[cfg(test)]
mod tests;
