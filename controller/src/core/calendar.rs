//! The working-day calendar of the People's Republic of China. A day is Work, Rest, or Unknown: a
//! year is settled only by the State Council's notice, and its last three days only by the next
//! year's.
//!
//! The facts stand in `data/calendar-*.toml`, one file per notice. Legal time is Asia/Shanghai,
//! which has had no daylight saving since 1991: a fixed +08:00.

use std::collections::BTreeMap;

use jiff::{
    ToSpan as _,
    civil::{Date, Weekday},
    tz::{Offset, TimeZone},
};
use serde::Deserialize;
use tenure_protocol::time::Timestamp;

/// The notices that this build carries.
const SHIPPED: [&str; 2] =
    [include_str!("../../data/calendar-2025.toml"), include_str!("../../data/calendar-2026.toml")];

/// How much later than Monday-to-Friday counting a deadline over unsettled days may become, in
/// calendar days: the worst of 2007–2026 was 8.
const UNSETTLED_DAYS: i32 = 14;

/// No period of the standard comes near this many days; a bound for every loop.
const LONGEST_DAYS: u32 = 4_000;

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// A working day, make-up weekends included.
    Work,
    /// A weekend or statutory holiday.
    Rest,
    /// Not settled yet.
    Unknown,
}

/// A last day, as an interval over what is not settled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The earliest that it may become: the provider plans by it.
    pub earliest: Date,
    /// The latest; the same if every day is settled.
    pub latest: Date,
}

/// The calendar.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    years: BTreeMap<i16, Year>,
}

#[derive(Debug, Clone, Default)]
struct Year {
    exceptions: BTreeMap<Date, Day>,
}

/// A calendar file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not TOML of this shape.
    #[error("a calendar file cannot be read: {0}")]
    Parse(String),
    /// A day that is not of the notice's year.
    #[error("the notice for {year} names {day}, which is not one of its days")]
    Day {
        /// The notice's year.
        year: i16,
        /// The day.
        day: String,
    },
}

/// One State Council notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeFile {
    year: i16,
    #[allow(dead_code, reason = "kept with the facts, for people")]
    number: String,
    #[allow(dead_code, reason = "kept with the facts, for people")]
    title: String,
    #[allow(dead_code, reason = "kept with the facts, for people")]
    issued: String,
    rest: Vec<Date>,
    work: Vec<Date>,
}

/// The civil day of an instant, in legal time.
#[must_use]
pub fn legal_day(at: Timestamp) -> Date {
    legal_zone().to_datetime(instant(at)).date()
}

/// The first instant of a civil day, in legal time.
#[must_use]
pub fn start_of_day(day: Date) -> Timestamp {
    let midnight = day.to_zoned(legal_zone());
    Timestamp::from_unix_ms(midnight.map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond()))
}

/// The first instant after a civil day, in legal time: deadlines are half-open.
#[must_use]
pub fn end_of_day(day: Date) -> Timestamp {
    start_of_day(plus_days(day, 1))
}

/// A day moved by calendar days, clamped to the years that jiff knows.
#[must_use]
pub fn plus_days(day: Date, days: i32) -> Date {
    day.saturating_add(days.days())
}

/// The same day so many months later, clamped to the month's end (R5).
#[must_use]
pub fn plus_months(day: Date, months: u32) -> Date {
    day.saturating_add(i64::from(months.min(LONGEST_DAYS)).months())
}

impl Calendar {
    /// The calendar of the notices that this build carries.
    ///
    /// # Errors
    /// Never for a build that passed its tests.
    pub fn shipped() -> Result<Self, CalendarError> {
        let mut calendar = Self::default();
        for text in SHIPPED {
            calendar.add(text)?;
        }
        Ok(calendar)
    }

    /// Takes in one notice, given as TOML.
    ///
    /// # Errors
    /// [`CalendarError`] if it is no notice or names a day of another year.
    pub fn add(&mut self, text: &str) -> Result<(), CalendarError> {
        let file: NoticeFile =
            toml::from_str(text).map_err(|error| CalendarError::Parse(error.to_string()))?;
        let mut year = Year::default();
        let rest = file.rest.iter().map(|day| (*day, Day::Rest));
        for (day, kind) in rest.chain(file.work.iter().map(|day| (*day, Day::Work))) {
            let last_days_before = day.year() == file.year - 1 && is_late_december(day);
            if day.year() != file.year && !last_days_before {
                return Err(CalendarError::Day { year: file.year, day: day.to_string() });
            }
            year.exceptions.insert(day, kind);
        }
        self.years.insert(file.year, year);
        Ok(())
    }

    /// What a day is. 29 to 31 December are settled by the next year's notice.
    #[must_use]
    pub fn day(&self, day: Date) -> Day {
        let Some(year) = self.years.get(&day.year()) else { return Day::Unknown };
        let next = self.years.get(&(day.year() + 1));
        let exceptions = [Some(year), next];
        if let Some(kind) =
            exceptions.into_iter().flatten().find_map(|year| year.exceptions.get(&day))
        {
            return *kind;
        }
        if is_late_december(day) && next.is_none() { Day::Unknown } else { by_weekday(day) }
    }

    /// The `count`-th Work day after day 0.
    #[must_use]
    pub fn working_days(&self, day_zero: Date, count: u32) -> Span {
        let walk = |unknown: fn(Date) -> Day| {
            let (mut day, mut left, mut unsettled) = (day_zero, count, false);
            for _ in 0..LONGEST_DAYS {
                if left == 0 {
                    break;
                }
                day = plus_days(day, 1);
                let kind = match self.day(day) {
                    Day::Unknown => {
                        unsettled = true;
                        unknown(day)
                    }
                    known @ (Day::Work | Day::Rest) => known,
                };
                left -= u32::from(kind == Day::Work);
            }
            (day, unsettled)
        };
        let (earliest, _) = walk(|_| Day::Work);
        let (latest, unsettled) = walk(by_weekday);
        if unsettled {
            Span { earliest, latest: plus_days(latest, UNSETTLED_DAYS) }
        } else {
            Span { earliest, latest }
        }
    }

    /// This day, or the next Work day if it is a Rest day.
    #[must_use]
    pub fn roll(&self, day: Date) -> Span {
        let mut at = day;
        for _ in 0..LONGEST_DAYS {
            match self.day(at) {
                Day::Work => return Span { earliest: at, latest: at },
                Day::Unknown => {
                    return Span { earliest: at, latest: plus_days(at, UNSETTLED_DAYS) };
                }
                Day::Rest => at = plus_days(at, 1),
            }
        }
        Span { earliest: at, latest: at }
    }

    /// The earliest day before which, and after `applied`, lie at least `count` Work days.
    /// Unsettled days count by their weekday.
    #[must_use]
    pub fn earliest_after(&self, applied: Date, count: u32) -> Date {
        let (mut day, mut left) = (applied, count);
        for _ in 0..LONGEST_DAYS {
            day = plus_days(day, 1);
            if left == 0 {
                break;
            }
            left -= u32::from(self.settled_or_weekday(day) == Day::Work);
        }
        day
    }

    fn settled_or_weekday(&self, day: Date) -> Day {
        match self.day(day) {
            Day::Unknown => by_weekday(day),
            known @ (Day::Work | Day::Rest) => known,
        }
    }
}

fn by_weekday(day: Date) -> Day {
    match day.weekday() {
        Weekday::Saturday | Weekday::Sunday => Day::Rest,
        Weekday::Monday
        | Weekday::Tuesday
        | Weekday::Wednesday
        | Weekday::Thursday
        | Weekday::Friday => Day::Work,
    }
}

fn is_late_december(day: Date) -> bool {
    day.month() == 12 && day.day() >= 29
}

fn legal_zone() -> TimeZone {
    TimeZone::fixed(Offset::constant(8))
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
