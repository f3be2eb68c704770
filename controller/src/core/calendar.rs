//! The working-day calendar of the People's Republic of China. A day is Work, Rest, or Unknown: a
//! year is settled only by the State Council's notice, and its last three days only by the next
//! year's.
//!
//! ```text
//! Unknown ──the year's notice──→ Work or Rest ──an amending notice──→ Work or Rest
//! ```
//! [`notice`] is one notice and what it has to be; the shipped ones stand in `data/calendar.toml`.
//! [`text`] reads a notice's Chinese text, [`import`] takes it in from text or JSON. Legal time is
//! Asia/Shanghai, which has had no daylight saving since 1991: a fixed +08:00.

pub mod import;
pub mod notice;
pub mod text;

use std::collections::BTreeMap;

use jiff::{
    ToSpan as _,
    civil::{Date, Weekday},
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

pub use notice::{CalendarNotice, NoticeError};

/// How much later than Monday-to-Friday counting a deadline over unsettled days may become, in
/// calendar days: the worst of 2007–2026 was 8.
const UNSETTLED_DAYS: i32 = 14;

/// No period of the standard comes near this many days; a bound for every loop.
const LONGEST_DAYS: u32 = 4_000;

/// The next year's notice is due by this month; it has come between October and December.
const DUE_MONTH: i8 = 11;

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Day {
    /// A working day, make-up weekends included.
    Work,
    /// A weekend or statutory holiday.
    Rest,
    /// Not settled yet.
    Unknown,
}

/// Why a day is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because<'a> {
    /// A notice names it.
    Notice(&'a CalendarNotice),
    /// No notice names it: its weekday says it.
    Weekday,
    /// The notice of this year is not in.
    Missing(i16),
}

/// A last day, as an interval over what is not settled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The earliest that it may become: the provider plans by it.
    pub earliest: Date,
    /// The latest; the same if every day is settled.
    pub latest: Date,
}

/// The calendar: the notices in force, in the order in which they were put in force.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    notices: Vec<CalendarNotice>,
    /// Days that a notice names, and the last notice that does, by its place.
    days: BTreeMap<Date, (Day, usize)>,
    /// Settled years, and the place of the notice that settled each.
    settled: BTreeMap<i16, usize>,
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
    pub fn shipped() -> Result<Self, NoticeError> {
        let mut calendar = Self::default();
        for notice in notice::shipped()? {
            calendar.add(notice)?;
        }
        Ok(calendar)
    }

    /// Puts a notice in force.
    ///
    /// # Errors
    /// [`NoticeError`] if it is not what a notice has to be, or does not fit the ones in force.
    pub fn add(&mut self, notice: CalendarNotice) -> Result<(), NoticeError> {
        notice.check(self)?;
        let place = self.notices.len();
        let rest = notice.rest.iter().map(|day| (*day, Day::Rest));
        for (day, kind) in rest.chain(notice.work.iter().map(|day| (*day, Day::Work))) {
            self.days.insert(day, (kind, place));
        }
        if !notice.amends {
            self.settled.insert(notice.year, place);
        }
        self.notices.push(notice);
        Ok(())
    }

    /// The notices in force, in the order in which they were put in force.
    #[must_use]
    pub fn notices(&self) -> &[CalendarNotice] {
        &self.notices
    }

    /// The first and the last settled year; nothing for an empty calendar.
    #[must_use]
    pub fn years(&self) -> Option<(i16, i16)> {
        let first = self.settled.first_key_value()?.0;
        Some((*first, *self.settled.last_key_value()?.0))
    }

    /// The first day that no notice has settled: every later one is Unknown, too, unless a notice
    /// names it.
    #[must_use]
    pub fn unsettled_from(&self) -> Option<Date> {
        let (_, last) = self.years()?;
        Date::new(last, 12, 29).ok()
    }

    /// The year whose notice is overdue on this day: the running year's, or from 1 November on the
    /// next one's.
    #[must_use]
    pub fn overdue(&self, today: Date) -> Option<i16> {
        let missing = |year: &i16| !self.settled.contains_key(year);
        let next = (today.month() >= DUE_MONTH).then(|| today.year().saturating_add(1));
        [Some(today.year()), next].into_iter().flatten().find(missing)
    }

    /// What a day is. 29 to 31 December are settled by the next year's notice.
    #[must_use]
    pub fn day(&self, day: Date) -> Day {
        if let Some((kind, _)) = self.days.get(&day) {
            return *kind;
        }
        if self.missing(day).is_some() { Day::Unknown } else { by_weekday(day) }
    }

    /// What a day is, and why.
    #[must_use]
    pub fn because(&self, day: Date) -> (Day, Because<'_>) {
        let named = self
            .days
            .get(&day)
            .and_then(|(kind, place)| Some((*kind, Because::Notice(self.notices.get(*place)?))));
        named.unwrap_or_else(|| match self.missing(day) {
            Some(year) => (Day::Unknown, Because::Missing(year)),
            None => (by_weekday(day), Because::Weekday),
        })
    }

    /// The year whose notice is needed to say what a day is that no notice names.
    fn missing(&self, day: Date) -> Option<i16> {
        let year = day.year();
        let needed = [Some(year), is_late_december(day).then_some(year.saturating_add(1))];
        needed.into_iter().flatten().find(|year| !self.settled.contains_key(year))
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

    /// The `count`-th Work day before a day; the day itself for 0. Unsettled days count by their
    /// weekday: for reminders, not for deadlines.
    #[must_use]
    pub fn working_days_before(&self, day: Date, count: u32) -> Date {
        let (mut day, mut left) = (day, count);
        for _ in 0..LONGEST_DAYS {
            if left == 0 {
                break;
            }
            day = plus_days(day, -1);
            left -= u32::from(self.settled_or_weekday(day) == Day::Work);
        }
        day
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

/// The weekday in Chinese: 星期一 to 星期日.
#[must_use]
pub fn chinese_weekday(day: Date) -> &'static str {
    match day.weekday() {
        Weekday::Monday => "星期一",
        Weekday::Tuesday => "星期二",
        Weekday::Wednesday => "星期三",
        Weekday::Thursday => "星期四",
        Weekday::Friday => "星期五",
        Weekday::Saturday => "星期六",
        Weekday::Sunday => "星期日",
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
