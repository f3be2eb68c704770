use super::*;

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

fn calendar() -> Calendar {
    Calendar::shipped().expect("the shipped calendar is sound")
}

fn settled(text: &str) -> Span {
    Span { earliest: date(text), latest: date(text) }
}

#[test]
fn every_day_of_2025_and_2026_is_as_the_independent_package_has_it() {
    let calendar = calendar();
    let mut days = 0;
    for line in include_str!("../../data/calendar-check.txt").lines() {
        let Some((month, letters)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        for (number, letter) in (1..).zip(letters.chars()) {
            let day = date(&format!("{month}-{number:02}"));
            let expected = if letter == 'w' { Day::Work } else { Day::Rest };
            let unsettled = day >= date("2026-12-29");
            assert_eq!(calendar.day(day), if unsettled { Day::Unknown } else { expected }, "{day}");
            days += 1;
        }
    }
    assert_eq!(days, 730);
}

#[test]
fn working_days_are_counted_as_the_golden_vectors_say() {
    let calendar = calendar();
    let vectors = [
        (
            "2026-09-30",
            [(2, "2026-10-09"), (5, "2026-10-13"), (10, "2026-10-20"), (15, "2026-10-27")],
        ),
        (
            "2026-02-13",
            [(2, "2026-02-24"), (5, "2026-02-27"), (10, "2026-03-05"), (15, "2026-03-12")],
        ),
    ];
    for (from, ends) in vectors {
        for (count, end) in ends {
            assert_eq!(calendar.working_days(date(from), count), settled(end), "{from} + {count}");
        }
    }
    assert_eq!(calendar.working_days(date("2026-05-08"), 2), settled("2026-05-11"));
    assert_eq!(calendar.working_days(date("2025-09-30"), 2), settled("2025-10-10"));
}

#[test]
fn trials_and_months_end_on_working_days_as_the_golden_vectors_say() {
    let calendar = calendar();
    assert_eq!(calendar.roll(plus_days(date("2026-09-01"), 30)), settled("2026-10-08"));
    assert_eq!(calendar.roll(plus_days(date("2026-09-01"), 60)), settled("2026-11-02"));
    assert_eq!(calendar.roll(plus_days(date("2026-01-16"), 30)), settled("2026-02-24"));
    assert_eq!(calendar.roll(plus_days(date("2025-12-02"), 30)), settled("2026-01-04"));
    assert_eq!(calendar.roll(plus_months(date("2025-04-04"), 6)), settled("2025-10-09"));
    assert_eq!(calendar.roll(plus_months(date("2025-04-04"), 1)), settled("2025-05-06"));
    assert_eq!(calendar.roll(plus_months(date("2026-08-31"), 6)).earliest, date("2027-02-28"));
}

#[test]
fn fifteen_working_days_before_the_stop_day_are_those_strictly_between() {
    let calendar = calendar();
    for (by, stop) in
        [("2026-09-21", "2026-10-20"), ("2026-01-29", "2026-02-27"), ("2026-04-15", "2026-05-11")]
    {
        assert!(calendar.earliest_after(date(by), 15) <= date(stop), "{by} is in time for {stop}");
        let next = plus_days(date(by), 1);
        assert!(calendar.earliest_after(next, 15) > date(stop), "{next} is late for {stop}");
    }
}

#[test]
fn over_unsettled_days_a_deadline_is_an_interval() {
    let calendar = calendar();
    let span = calendar.working_days(date("2026-12-28"), 5);
    assert_eq!(span.earliest, date("2027-01-02"));
    assert_eq!(span.latest, date("2027-01-18"));
    assert_eq!(calendar.day(date("2026-12-29")), Day::Unknown);
    assert_eq!(calendar.day(date("2025-12-31")), Day::Work);
    let beyond = calendar.roll(plus_days(date("2026-12-10"), 30));
    assert!(beyond.earliest < beyond.latest);
}

#[test]
fn a_day_of_legal_time_begins_at_16_00_utc_of_the_day_before() {
    let last = date("2026-10-08");
    assert_eq!(end_of_day(last).to_string(), "2026-10-08T16:00:00.000Z");
    assert_eq!(legal_day(end_of_day(last)), date("2026-10-09"));
    assert_eq!(legal_day(end_of_day(last).plus_ms(-1)), last);
}

#[test]
fn a_notice_for_another_year_is_refused() {
    let text = "year = 2027\nnumber = \"\"\ntitle = \"\"\nissued = \"\"\n\
                rest = [\"2028-01-01\"]\nwork = []";
    assert!(matches!(Calendar::default().add(text), Err(CalendarError::Day { year: 2027, .. })));
}
