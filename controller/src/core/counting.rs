//! Counting: from a period and day 0 to a deadline, and day by day how it was counted.

use jiff::civil::Date;
use tenure_protocol::time::Timestamp;

use super::{
    calendar::{self, Because, Calendar, CalendarNotice, Day, Span, plus_days},
    obligation::{Counted, Due, Obligation},
    rules::{Period, Roll},
};

/// Days that an explanation lists at most.
const MAX_ROWS: usize = 400;
/// At most this long after the last of what is due each year.
const MONTHS_OF_A_YEAR: u32 = 12;

/// One day of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedDay<'a> {
    /// The day.
    pub day: Date,
    /// Work, Rest or Unknown.
    pub kind: Day,
    /// Why it is that.
    pub because: Because<'a>,
    /// Its part in the count.
    pub part: Part,
}

/// What a day is in a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Day 0: it does not count.
    Zero,
    /// The so-manieth day that counts.
    Counts(u32),
    /// It does not count.
    Skipped,
    /// The raw end of a period of months.
    RawEnd,
    /// A last day that is a Rest day has moved past it.
    Moved,
    /// Where a last day that was moved has come to.
    MovedTo,
}

/// How a deadline is counted by a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The days, in order; none for a period without days.
    pub days: Vec<CountedDay<'a>>,
    /// Whether days were left out because there are too many.
    pub cut_off: bool,
    /// The notices that name one of the days, in the order of the days.
    pub notices: Vec<&'a CalendarNotice>,
    /// The deadline as it is counted by this calendar; `Never` for a period that has none of its
    /// own.
    pub counted_now: Due,
}

/// Counts a deadline. One that ends with another, or before a day that somebody chooses, has none
/// of its own: [`Due::Never`]. `real` is the event's instant, for periods of seconds.
#[must_use]
pub fn due(counted: &Counted, real: Timestamp, calendar: &Calendar) -> Due {
    let day_zero = counted.day_zero;
    match counted.period {
        Period::WorkingDays(days) => Due::end_of(calendar.working_days(day_zero, days)),
        Period::CalendarDays(_) | Period::Months(_) | Period::EachYear(_) => {
            rolled(raw_end(counted).unwrap_or(day_zero), counted, calendar)
        }
        Period::Seconds(seconds) => {
            Due::Instant { due_at: real.plus_ms(i64::from(seconds) * 1000) }
        }
        Period::WorkingDaysBefore(_) | Period::SameAs(_) | Period::EachMonth(_) | Period::None => {
            Due::Never
        }
    }
}

/// Counts a stored deadline, by what is stored of how it was counted, and without the days on which
/// its clock stood still.
#[must_use]
pub fn anew(owed: &Obligation, calendar: &Calendar) -> Due {
    let stood_still: Vec<_> = owed.stood_still().filter(|(from, to)| from < to).collect();
    let counted = &owed.counted;
    match counted.period {
        Period::WorkingDays(days) => {
            let (mut zero, mut left) = (counted.day_zero, days);
            for (from, to) in stood_still {
                let used = (0..left)
                    .take_while(|count| calendar.working_days(zero, count + 1).earliest <= from);
                left -= u32::try_from(used.count()).unwrap_or(left);
                zero = to;
            }
            Due::end_of(calendar.working_days(zero, left))
        }
        Period::CalendarDays(_) | Period::Months(_) => {
            let days = stood_still.iter().filter_map(|(from, to)| from.until(*to).ok());
            let days = days.fold(0_i32, |sum, span| sum.saturating_add(span.get_days()));
            rolled(plus_days(raw_end(counted).unwrap_or(counted.day_zero), days), counted, calendar)
        }
        Period::Seconds(_)
        | Period::WorkingDaysBefore(_)
        | Period::SameAs(_)
        | Period::EachMonth(_)
        | Period::EachYear(_)
        | Period::None => due(counted, Timestamp::default(), calendar),
    }
}

fn rolled(raw: Date, counted: &Counted, calendar: &Calendar) -> Due {
    let rolled = match counted.roll {
        Roll::NextWorkDay => calendar.roll(raw),
        Roll::None => Span { earliest: raw, latest: raw },
    };
    let most = latest_end(counted);
    Due::end_of(Span { earliest: rolled.earliest.min(most), latest: rolled.latest.min(most) })
}

/// The day past which no Rest day moves the end: one of each calendar year stays in that year.
fn latest_end(counted: &Counted) -> Date {
    match counted.period {
        Period::EachYear(_) => {
            let year = counted.day_zero.year().saturating_add(1);
            Date::new(year, 12, 31).unwrap_or(Date::MAX)
        }
        Period::WorkingDays(_)
        | Period::CalendarDays(_)
        | Period::Months(_)
        | Period::Seconds(_)
        | Period::WorkingDaysBefore(_)
        | Period::SameAs(_)
        | Period::EachMonth(_)
        | Period::None => Date::MAX,
    }
}

/// The last day of a period of calendar days, months or a year before it is moved off Rest days.
#[must_use]
pub fn raw_end(counted: &Counted) -> Option<Date> {
    match counted.period {
        Period::CalendarDays(days) => {
            Some(plus_days(counted.day_zero, i32::try_from(days).unwrap_or(i32::MAX)))
        }
        Period::Months(months) => Some(calendar::plus_months(counted.day_zero, months)),
        Period::EachYear(_) => Some(calendar::plus_months(counted.day_zero, MONTHS_OF_A_YEAR)),
        Period::WorkingDays(_)
        | Period::Seconds(_)
        | Period::WorkingDaysBefore(_)
        | Period::SameAs(_)
        | Period::EachMonth(_)
        | Period::None => None,
    }
}

/// Explains a stored deadline by a calendar, day by day, up to its last day.
#[must_use]
pub fn explain<'a>(owed: &Obligation, calendar: &'a Calendar) -> Explanation<'a> {
    let counted = &owed.counted;
    let mut rows = Rows { calendar, days: Vec::new(), cut_off: false };
    rows.push(counted.day_zero, |_| Part::Zero);
    match counted.period {
        Period::WorkingDays(_) | Period::WorkingDaysBefore(_) => {
            let stood_still: Vec<_> = owed.stood_still().collect();
            rows.working_days(counted.day_zero, owed.due.last_day(), &stood_still);
        }
        Period::CalendarDays(days) => {
            for number in 1..=days {
                let after = i32::try_from(number).unwrap_or(i32::MAX);
                rows.push(plus_days(counted.day_zero, after), |_| Part::Counts(number));
            }
            rows.rolled(counted);
        }
        Period::Months(_) | Period::EachYear(_) => {
            if let Some(raw) = raw_end(counted) {
                rows.push(raw, |_| Part::RawEnd);
            }
            rows.rolled(counted);
        }
        Period::Seconds(_) | Period::SameAs(_) | Period::EachMonth(_) | Period::None => {
            rows.days.clear();
        }
    }
    let Rows { days, cut_off, .. } = rows;
    let mut notices: Vec<&CalendarNotice> = Vec::new();
    for row in &days {
        if let Because::Notice(notice) = row.because
            && !notices.contains(&notice)
        {
            notices.push(notice);
        }
    }
    let counted_now = anew(owed, calendar);
    Explanation { days, cut_off, notices, counted_now }
}

struct Rows<'a> {
    calendar: &'a Calendar,
    days: Vec<CountedDay<'a>>,
    cut_off: bool,
}

impl Rows<'_> {
    fn push(&mut self, day: Date, part: impl FnOnce(Day) -> Part) {
        if self.days.len() >= MAX_ROWS {
            self.cut_off = true;
            return;
        }
        let (kind, because) = self.calendar.because(day);
        self.days.push(CountedDay { day, kind, because, part: part(kind) });
    }

    /// Work days count, and so do days that may become ones: the provider plans by the earliest.
    /// Days on which the clock stood still do not.
    fn working_days(
        &mut self,
        day_zero: Date,
        last_day: Option<Date>,
        stood_still: &[(Date, Date)],
    ) {
        let (mut day, mut number) = (day_zero, 0);
        while last_day.is_some_and(|last| day < last) && !self.cut_off {
            day = plus_days(day, 1);
            let counts = self.calendar.day(day) != Day::Rest
                && !stood_still.iter().any(|(from, to)| *from < day && day <= *to);
            number += u32::from(counts);
            self.push(day, |_| if counts { Part::Counts(number) } else { Part::Skipped });
        }
    }

    /// The way of a last day off Rest days; nothing if it does not move.
    fn rolled(&mut self, counted: &Counted) {
        let (Roll::NextWorkDay, Some(raw)) = (counted.roll, raw_end(counted)) else { return };
        let end = self.calendar.roll(raw).earliest.min(latest_end(counted));
        let mut day = raw;
        while day < end && !self.cut_off {
            day = plus_days(day, 1);
            self.push(day, |_| if day == end { Part::MovedTo } else { Part::Moved });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rules::Basis;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    fn counted(period: Period, roll: Roll, day_zero: &str) -> Counted {
        let (basis, edition) = (Basis::Standard, "jiangxi-1".to_owned());
        Counted { period, roll, basis, day_zero: date(day_zero), edition }
    }

    fn owed(counted: Counted, due: Due) -> Obligation {
        Obligation::open(crate::core::obligation::ObligationId::O3, 1, due, counted)
    }

    #[test]
    fn a_trial_over_the_spring_festival_is_explained_day_by_day() {
        let calendar = Calendar::shipped().expect("a calendar");
        let trial = counted(Period::CalendarDays(30), Roll::NextWorkDay, "2026-01-16");
        let stored = due(&trial, Timestamp::default(), &calendar);
        assert_eq!(stored.last_day(), Some(date("2026-02-24")));
        let explained = explain(&owed(trial, stored), &calendar);
        assert_eq!(explained.days.len(), 1 + 30 + 9);
        let of = |day: &str| {
            *explained.days.iter().find(|row| row.day == date(day)).expect("it is listed")
        };
        assert_eq!((of("2026-01-16").part, of("2026-01-17").part), (Part::Zero, Part::Counts(1)));
        assert_eq!((of("2026-02-14").kind, of("2026-02-14").part), (Day::Work, Part::Counts(29)));
        assert_eq!((of("2026-02-15").kind, of("2026-02-15").part), (Day::Rest, Part::Counts(30)));
        assert_eq!((of("2026-02-23").kind, of("2026-02-23").part), (Day::Rest, Part::Moved));
        assert_eq!((of("2026-02-24").kind, of("2026-02-24").part), (Day::Work, Part::MovedTo));
        let names: Vec<_> = explained.notices.iter().map(|notice| notice.name()).collect();
        assert_eq!(names, ["国办发明电〔2025〕7号"]);
        assert_eq!(explained.counted_now, stored);
    }

    #[test]
    fn working_days_are_numbered_and_rest_days_are_not() {
        let calendar = Calendar::shipped().expect("a calendar");
        let opinion = counted(Period::WorkingDays(5), Roll::None, "2026-09-30");
        let stored = due(&opinion, Timestamp::default(), &calendar);
        let explained = explain(&owed(opinion, stored), &calendar);
        let last = explained.days.last().expect("days");
        assert_eq!((last.day, last.part), (date("2026-10-13"), Part::Counts(5)));
        let skipped = explained.days.iter().filter(|row| row.part == Part::Skipped).count();
        assert_eq!(skipped, 8, "1 to 7 October, and Sunday 11 October");
        let saturday = explained.days.iter().find(|row| row.day == date("2026-10-10"));
        assert_eq!(saturday.expect("a day").part, Part::Counts(3));
    }

    #[test]
    fn an_explanation_has_an_end_however_far_the_day_is() {
        let calendar = Calendar::shipped().expect("a calendar");
        let leaving = counted(Period::WorkingDaysBefore(15), Roll::None, "2026-01-01");
        let far = date("2028-12-31");
        let stored = Due::end_of(Span { earliest: far, latest: far });
        let explained = explain(&owed(leaving, stored), &calendar);
        assert!(explained.cut_off && explained.days.len() == MAX_ROWS);
        assert_eq!(explained.counted_now, Due::Never);
    }
}
