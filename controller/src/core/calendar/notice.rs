//! One notice of the State Council, and what it has to be.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::digest::Digest;

use super::{Calendar, Day, by_weekday, is_late_december, plus_days};

/// The notices that this build carries.
const SHIPPED: &str = include_str!("../../../data/calendar.toml");

/// Days that a notice may name: the most so far were 41.
const MAX_DAYS: usize = 120;
/// Days that a range of a text may have.
pub(super) const MAX_RANGE: usize = 31;
/// Characters that a title, number, source or note may have.
const MAX_CHARS: usize = 300;
/// Bytes that a notice's text may have.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Days that are off in every year by law: month and day.
const ALWAYS_OFF: [(i8, i8); 5] = [(1, 1), (5, 1), (10, 1), (10, 2), (10, 3)];

/// A notice that cannot be used: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoticeError(pub String);

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarNotice {
    /// The year that it is about.
    pub year: i16,
    /// Whether it changes a year that another notice has settled.
    pub amends: bool,
    /// Its number, such as 国办发明电〔2025〕7号; nothing if it is not confirmed.
    pub number: Option<String>,
    /// Its title.
    pub title: String,
    /// When it was issued; nothing if that is not confirmed.
    pub issued: Option<Date>,
    /// Where it can be read.
    pub source: Option<String>,
    /// What is to be known of it besides.
    pub note: Option<String>,
    /// Days off that it names.
    pub rest: BTreeSet<Date>,
    /// Working days that it names (上班).
    pub work: BTreeSet<Date>,
    /// The paragraphs that settle days, if they are at hand.
    pub text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    notice: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    year: i16,
    #[serde(default)]
    amends: bool,
    number: Option<String>,
    title: String,
    issued: Option<Date>,
    source: Option<String>,
    note: Option<String>,
    rest: Vec<String>,
    work: Vec<String>,
    text: Option<String>,
}

/// The notices that this build carries, in their order.
///
/// # Errors
/// Never for a build that passed its tests.
pub fn shipped() -> Result<Vec<CalendarNotice>, NoticeError> {
    let file: File = toml::from_str(SHIPPED).map_err(|error| NoticeError(error.to_string()))?;
    file.notice.into_iter().map(CalendarNotice::try_from).collect()
}

impl TryFrom<Entry> for CalendarNotice {
    type Error = NoticeError;
    fn try_from(entry: Entry) -> Result<Self, NoticeError> {
        let Entry { year, amends, number, title, issued, source, note, rest, work, text } = entry;
        let (rest, work) = (spans(&rest)?, spans(&work)?);
        Ok(Self { year, amends, number, title, issued, source, note, rest, work, text })
    }
}

/// Days written as `2026-01-04` or `2026-02-15..2026-02-23`.
fn spans(written: &[String]) -> Result<BTreeSet<Date>, NoticeError> {
    let mut days = BTreeSet::new();
    for text in written {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let day = |text: &str| {
            text.parse::<Date>().map_err(|_| NoticeError(format!("{text:?} is no day")))
        };
        days.extend(range(day(from)?, day(to)?)?);
    }
    Ok(days)
}

/// Every day from one to another.
pub(super) fn range(from: Date, to: Date) -> Result<Vec<Date>, NoticeError> {
    let mut days = Vec::new();
    let mut day = from;
    while day <= to {
        days.push(day);
        if days.len() > MAX_RANGE {
            let sentence = format!("{from} to {to} is longer than {MAX_RANGE} days: check it");
            return Err(NoticeError(sentence));
        }
        day = plus_days(day, 1);
    }
    if days.is_empty() {
        return Err(NoticeError(format!("{from} to {to} ends before it begins")));
    }
    Ok(days)
}

impl CalendarNotice {
    /// What people call it by: its number, or its title if that is not known.
    #[must_use]
    pub fn name(&self) -> &str {
        self.number.as_deref().unwrap_or(&self.title)
    }

    /// SHA-256 of its text, if that is at hand.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.text.as_ref().map(|text| Digest::of(text.as_bytes()))
    }

    /// Checks it by itself, and against the notices in force.
    ///
    /// # Errors
    /// [`NoticeError`] says which day or field, and what to do.
    pub fn check(&self, calendar: &Calendar) -> Result<(), NoticeError> {
        self.check_fields()?;
        self.check_days()?;
        let year = self.year;
        let sentence = match (self.amends, calendar.years()) {
            (false, Some((first, last))) if (first..=last).contains(&year) => format!(
                "{year} is settled already: a notice that changes it is to be entered as one that \
                 amends"
            ),
            (false, Some((_, last))) if year != last.saturating_add(1) => {
                format!("the next notice to be entered is the one for {}", last.saturating_add(1))
            }
            (true, years) if years.is_none_or(|(from, to)| !(from..=to).contains(&year)) => {
                format!("{year} is not settled: there is nothing to amend; enter its notice first")
            }
            _ => return Ok(()),
        };
        Err(NoticeError(sentence))
    }

    fn check_fields(&self) -> Result<(), NoticeError> {
        let wrong = |sentence: String| Err(NoticeError(sentence));
        if !(2000..=2200).contains(&self.year) {
            return wrong(format!("{} is no year of a notice", self.year));
        }
        let texts = [
            ("title", Some(&self.title)),
            ("number", self.number.as_ref()),
            ("source", self.source.as_ref()),
            ("note", self.note.as_ref()),
        ];
        for (name, text) in texts {
            if text.is_some_and(|text| text.trim().is_empty() || text.chars().count() > MAX_CHARS) {
                return wrong(format!("{name}: give 1 to {MAX_CHARS} characters"));
            }
        }
        if self.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            return wrong(format!("the text is longer than {MAX_TEXT_BYTES} bytes"));
        }
        Ok(())
    }

    fn check_days(&self) -> Result<(), NoticeError> {
        let wrong = |sentence: String| Err(NoticeError(sentence));
        let named = self.rest.len() + self.work.len();
        if named == 0 || named > MAX_DAYS {
            return wrong(format!("it names {named} days; a notice names 1 to {MAX_DAYS}"));
        }
        if let Some(day) = self.rest.intersection(&self.work).next() {
            return wrong(format!("{day} is said to be off and to be worked on"));
        }
        for day in self.rest.iter().chain(&self.work) {
            let late = day.year() == self.year.saturating_sub(1) && is_late_december(*day);
            if day.year() != self.year && !late {
                return wrong(format!(
                    "{day} is no day of {}, nor one of the three days before it",
                    self.year
                ));
            }
        }
        if self.amends {
            return Ok(());
        }
        let weekday = self.work.iter().find(|day| by_weekday(**day) == Day::Work);
        if let Some(day) = weekday {
            let name = super::chinese_weekday(*day);
            return wrong(format!("{day} is a {name}: it is worked on without being named (上班)"));
        }
        let off = |(month, day)| Date::new(self.year, month, day).ok();
        let lacking = ALWAYS_OFF.into_iter().filter_map(off).find(|day| !self.rest.contains(day));
        lacking.map_or(Ok(()), |day| {
            wrong(format!("{day} is off by law, and this notice does not name it: it is cut short"))
        })
    }
}
