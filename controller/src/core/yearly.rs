//! The yearly assessments of the platform (clause 8.2): each once per calendar year, and at most
//! twelve months after the last. What is owed is derived from the records and never stored, so that
//! neither a week off nor a late paper loses any of it.
//!
//! ```text
//! last of its kind, or the platform's first day ──12 months, moved to a working day──▶ last day
//!                                               └─ never past the next calendar year
//! ```

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::{
    calendar::{self, Calendar},
    obligation::{Due, Obligation, ObligationId, ObligationState},
    record::content::YearlyAssessment,
    rules::{Rules, Rungs, Start},
};

/// One of the two that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Which.
    pub assessment: YearlyAssessment,
    /// On which day.
    pub day: Date,
}

/// What is owed of one assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Which.
    pub assessment: YearlyAssessment,
    /// The day of the last one; none before the first.
    pub last: Option<Date>,
    /// The obligation that runs since then: open, or breached once its last day is past.
    pub obligation: Obligation,
}

/// What is owed at `now` (legal time) of each assessment, by those that were `done`. Before the
/// first one the platform's first day counts.
#[must_use]
pub fn owed(
    begun: Date,
    done: &[Done],
    now: Timestamp,
    rules: &Rules,
    calendar: &Calendar,
) -> Vec<Owed> {
    let today = calendar::legal_day(now);
    let one = |(assessment, serial)| {
        let of_it = done.iter().filter(|one| one.assessment == assessment && one.day <= today);
        let last = of_it.map(|one| one.day).max();
        let start = Start { day_zero: last.unwrap_or(begun), real: now };
        let (due, counted) = rules.count(ObligationId::O16, start, calendar);
        let mut obligation = Obligation::open(ObligationId::O16, serial, due, counted);
        obligation.expire(now);
        Owed { assessment, last, obligation }
    };
    [(YearlyAssessment::MlpsLevel3, 1), (YearlyAssessment::Risk, 2)].map(one).into()
}

impl Owed {
    /// What is to be said of it on a day: its last reminder that has come, as an offset in days
    /// from the last day, or nothing yet.
    #[must_use]
    pub fn rung(&self, today: Date, rules: &Rules) -> Option<i32> {
        let Due::Day { last_day, .. } = self.obligation.due else { return None };
        let Rungs::CalendarDays(rungs) = &rules.rule(ObligationId::O16).reminders else {
            return None;
        };
        let came = |rung: &&i32| calendar::plus_days(last_day, **rung) <= today;
        rungs.iter().filter(came).max().copied()
    }

    /// Whether what is to be said of it on a day is an alarm, and no reminder any more.
    #[must_use]
    pub fn is_alarming(&self, today: Date, rules: &Rules) -> bool {
        let from = rules.rule(ObligationId::O16).escalate_from;
        let escalated = from.zip(self.rung(today, rules)).is_some_and(|(from, rung)| rung >= from);
        escalated || self.is_missed()
    }

    /// Whether its last day is past.
    #[must_use]
    pub const fn is_missed(&self) -> bool {
        matches!(self.obligation.state, ObligationState::Breached { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    /// The last days of both, at the noon of a day.
    fn last_days(
        begun: &str,
        done: &[(YearlyAssessment, &str)],
        on: &str,
    ) -> Vec<(Option<Date>, bool)> {
        let rules = Rules::shipped().expect("rules");
        let calendar = Calendar::shipped().expect("a calendar");
        let done =
            done.iter().map(|(assessment, day)| Done { assessment: *assessment, day: date(day) });
        let now = calendar::start_of_day(date(on)).plus_ms(12 * 3_600_000);
        owed(date(begun), &done.collect::<Vec<_>>(), now, &rules, &calendar)
            .iter()
            .map(|one| (one.obligation.due.last_day(), one.is_missed()))
            .collect()
    }

    #[test]
    fn a_year_counts_from_the_last_one_of_its_kind_or_from_the_platforms_first_day() {
        let done = [
            (YearlyAssessment::MlpsLevel3, "2024-09-10"),
            (YearlyAssessment::MlpsLevel3, "2025-06-20"),
        ];
        let found = last_days("2024-03-01", &done, "2025-07-01");
        // 2026-06-20 is a Saturday of the Dragon Boat Festival: Monday 22 is the next Work day.
        assert_eq!(found[0], (Some(date("2026-06-22")), false));
        // 2025-03-01 is a Saturday.
        assert_eq!(found[1], (Some(date("2025-03-03")), true));
    }

    #[test]
    fn no_rest_day_moves_it_into_another_calendar_year() {
        // 2023-12-31 is a Sunday, and 2024-01-01 a holiday: 2 January would be the next Work day.
        let found = last_days("2022-12-31", &[], "2023-12-31");
        assert_eq!(found[0], (Some(date("2023-12-31")), false));
        assert!(last_days("2022-12-31", &[], "2024-01-01")[0].1);
    }

    #[test]
    fn the_last_reminder_that_has_come_is_said_however_long_nobody_looked() {
        let rules = Rules::shipped().expect("rules");
        let calendar = Calendar::shipped().expect("a calendar");
        let at = |on: &str| {
            let now = calendar::start_of_day(date(on));
            let all = owed(date("2025-03-10"), &[], now, &rules, &calendar);
            all[0].rung(date(on), &rules)
        };
        assert_eq!(at("2025-12-09"), None);
        assert_eq!(at("2025-12-10"), Some(-90));
        assert_eq!(at("2026-03-05"), Some(-7));
        assert_eq!(at("2026-03-10"), Some(0));
    }

    #[test]
    fn from_the_rung_that_the_rules_name_it_is_an_alarm() {
        let rules = Rules::shipped().expect("rules");
        let calendar = Calendar::shipped().expect("a calendar");
        assert_eq!(rules.rule(ObligationId::O16).escalate_from, Some(-7));
        let at = |on: &str| {
            let now = calendar::start_of_day(date(on));
            let all = owed(date("2025-03-10"), &[], now, &rules, &calendar);
            all[0].is_alarming(date(on), &rules)
        };
        assert!(!at("2026-03-02"));
        assert!(at("2026-03-03"));
        assert!(at("2026-03-11"), "it was missed");
    }
}
