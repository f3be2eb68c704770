//! What the lawful dates are if something happens on a day: nothing is stored of it.

use jiff::civil::Date;
use tenure_protocol::time::Timestamp;

use super::{
    calendar::{Calendar, Span, plus_days},
    counting,
    obligation::{Due, ObligationId},
    rules::{Period, Rules, Start},
};

/// What an obligation's deadline is if its period starts on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// Which obligation.
    pub id: ObligationId,
    /// Day 0. For the extension of a trial it is the trial's raw end.
    pub day_zero: Date,
    /// The last day before it is moved off Rest days, if that is another rule's matter.
    pub raw_end: Option<Date>,
    /// The deadline; for off-boarding the eve of the earliest stop day.
    pub due: Due,
    /// The earliest lawful stop day, for off-boarding alone.
    pub stop_day: Option<Date>,
}

/// The deadlines of all obligations whose period starts with a day, if it were this one.
#[must_use]
pub fn preview(on: Date, rules: &Rules, calendar: &Calendar) -> Vec<Preview> {
    rules.all().iter().filter_map(|rule| one(rule.id, on, rules, calendar)).collect()
}

fn one(id: ObligationId, on: Date, rules: &Rules, calendar: &Calendar) -> Option<Preview> {
    // The extension counts from the raw end of the trial, so that rolls do not stack (R7).
    let trial = rules.counted(ObligationId::O6a, on);
    let day_zero = match id {
        ObligationId::O6b => counting::raw_end(&trial)?,
        _ => on,
    };
    let rule = rules.rule(id);
    match rule.period {
        Period::WorkingDays(_) | Period::CalendarDays(_) | Period::Months(_) => {
            let start = Start { day_zero, real: Timestamp::default() };
            let (due, counted) = rules.count(id, start, calendar);
            Some(Preview {
                id,
                day_zero,
                raw_end: counting::raw_end(&counted),
                due,
                stop_day: None,
            })
        }
        Period::SameAs(other) => {
            let with = one(other, on, rules, calendar)?;
            Some(Preview { id, ..with })
        }
        Period::WorkingDaysBefore(days) => {
            let stop_day = calendar.earliest_after(on, days);
            let eve = plus_days(stop_day, -1);
            let due = Due::end_of(Span { earliest: eve, latest: eve });
            Some(Preview { id, day_zero, raw_end: None, due, stop_day: Some(stop_day) })
        }
        Period::Seconds(_) | Period::EachMonth(_) | Period::EachYear(_) | Period::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lawful_dates_are_those_of_the_golden_vectors() {
        use ObligationId as Id;
        let date = |text: &str| text.parse::<Date>().expect("a date");
        let rules = Rules::shipped().expect("rules");
        let calendar = Calendar::shipped().expect("a calendar");
        let of = |id, on: &str| {
            let all = preview(date(on), &rules, &calendar);
            *all.iter().find(|preview| preview.id == id).expect("it has a deadline")
        };
        let last = |id, on: &str| of(id, on).due.last_day().expect("a day");
        assert_eq!(last(Id::O4, "2026-09-30"), date("2026-10-09"));
        assert_eq!(last(Id::O3, "2026-02-13"), date("2026-02-27"));
        assert_eq!(last(Id::O5, "2026-02-13"), date("2026-03-05"));
        assert_eq!(of(Id::O6a, "2026-09-01").raw_end, Some(date("2026-10-01")));
        assert_eq!(last(Id::O6a, "2026-09-01"), date("2026-10-08"));
        assert_eq!(last(Id::O7a, "2026-09-01"), date("2026-10-08"));
        assert_eq!(of(Id::O6b, "2026-09-01").raw_end, Some(date("2026-10-31")));
        assert_eq!(last(Id::O6b, "2026-09-01"), date("2026-11-02"));
        assert_eq!(last(Id::O6a, "2026-01-16"), date("2026-02-24"));
        assert_eq!(last(Id::O8, "2025-04-04"), date("2025-10-09"));
        assert_eq!(last(Id::O9, "2025-04-04"), date("2025-05-06"));
        for (by, stop) in [
            ("2026-09-21", "2026-10-20"),
            ("2026-01-29", "2026-02-27"),
            // Saturday 9 May is a Work day, so that Sunday the 10th is lawful, too.
            ("2026-04-15", "2026-05-10"),
        ] {
            assert_eq!(of(Id::O10, by).stop_day, Some(date(stop)));
        }
    }
}
