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
fn what_a_day_is_has_its_notice() {
    let calendar = calendar();
    let named = |day: &str| match calendar.because(date(day)) {
        (kind, Because::Notice(notice)) => (kind, notice.name().to_owned()),
        (kind, Because::Weekday) => (kind, "weekday".to_owned()),
        (kind, Because::Missing(year)) => (kind, format!("missing {year}")),
    };
    let cases = [
        ("2026-02-16", Day::Rest, "国办发明电〔2025〕7号"),
        ("2026-02-14", Day::Work, "国办发明电〔2025〕7号"),
        ("2026-02-24", Day::Work, "weekday"),
        ("2019-05-01", Day::Rest, "国办发明电〔2019〕3号"),
        ("2020-02-01", Day::Rest, "国办发明电〔2020〕1号"),
        ("2015-09-06", Day::Work, "国发明电〔2015〕1号"),
        ("2018-12-29", Day::Work, "国办发明电〔2018〕15号"),
        ("2026-12-29", Day::Unknown, "missing 2027"),
        ("2027-06-01", Day::Unknown, "missing 2027"),
        ("2006-06-01", Day::Unknown, "missing 2006"),
    ];
    for (day, kind, why) in cases {
        assert_eq!(named(day), (kind, why.to_owned()), "{day}");
    }
    assert_eq!(calendar.years(), Some((2007, 2026)));
    assert_eq!(calendar.unsettled_from(), Some(date("2026-12-29")));
}

#[test]
fn next_years_notice_is_missed_from_1_november_on() {
    let calendar = calendar();
    assert_eq!(calendar.overdue(date("2026-10-31")), None);
    assert_eq!(calendar.overdue(date("2026-11-01")), Some(2027));
    assert_eq!(calendar.overdue(date("2027-03-01")), Some(2027));
}

/// The calendar as it was known before the notice for a year came.
fn known_before(year: i16) -> Calendar {
    let mut calendar = Calendar::default();
    for notice in notice::shipped().expect("sound") {
        if notice.year < year {
            calendar.add(notice).expect("it fits");
        }
    }
    calendar
}

#[test]
fn the_interval_over_unsettled_days_held_the_settled_answer_in_every_year_so_far() {
    let settled = calendar();
    let mut intervals = 0;
    for year in 2008..=2026 {
        let before = known_before(year);
        let mut day = date(&format!("{}-10-20", year - 1));
        while day < date(&format!("{year}-11-01")) {
            let mut spans = vec![(before.roll(day), settled.roll(day))];
            for count in [1, 2, 5, 10, 15, 30] {
                spans.push((before.working_days(day, count), settled.working_days(day, count)));
            }
            for (known, answer) in spans {
                if answer.earliest != answer.latest {
                    continue;
                }
                let held = known.earliest <= answer.earliest && answer.latest <= known.latest;
                assert!(held, "{day}: {answer:?} is not in {known:?}");
                intervals += usize::from(known.earliest != known.latest);
            }
            day = plus_days(day, 3);
        }
    }
    assert!(intervals > 5_000, "{intervals}");
}

fn days() -> impl proptest::strategy::Strategy<Value = Date> {
    use proptest::strategy::Strategy as _;
    (0..8_000_i32).prop_map(|after| plus_days(jiff::civil::date(2007, 1, 1), after))
}

proptest::proptest! {
    #[test]
    fn a_later_start_and_more_days_are_never_earlier(
        day in days(), later in 0..40_i32, count in 0..60_u32, more in 1..10_u32,
    ) {
        let calendar = calendar();
        let (from, to) = (calendar.working_days(day, count),
            calendar.working_days(plus_days(day, later), count));
        proptest::prop_assert!(from.earliest <= to.earliest && from.latest <= to.latest);
        let longer = calendar.working_days(day, count + more);
        proptest::prop_assert!(from.earliest < longer.earliest && from.latest <= longer.latest);
        let (from, to) = (calendar.roll(day), calendar.roll(plus_days(day, later)));
        proptest::prop_assert!(from.earliest <= to.earliest && from.latest <= to.latest);
        proptest::prop_assert!(day <= from.earliest && from.earliest <= from.latest);
        let (from, to) = (calendar.earliest_after(day, count),
            calendar.earliest_after(plus_days(day, later), count));
        proptest::prop_assert!(from <= to);
        let between = (1..).map(|step| plus_days(day, step)).take_while(|at| *at < from);
        let work = between.filter(|at| calendar.settled_or_weekday(*at) == Day::Work).count();
        proptest::prop_assert_eq!(work, usize::try_from(count).expect("small"));
        let months = (plus_months(day, count), plus_months(plus_days(day, later), count));
        proptest::prop_assert!(months.0 <= months.1);
    }

    #[test]
    fn a_new_notice_moves_no_settled_day_and_no_deadline_out_of_its_interval(
        holidays in proptest::collection::vec((0..365_i32, 1..8_i32), 0..5),
        make_up in proptest::collection::vec(0..52_i32, 0..6),
        late in 0..3_i32, day in 7_100..7_700_i32, count in 0..16_u32,
    ) {
        let before = calendar();
        let mut notice = next_notice();
        let new_year = jiff::civil::date(2027, 1, 1);
        for back in 0..late {
            notice.rest.insert(plus_days(new_year, -1 - back));
        }
        for (start, length) in holidays {
            for day in start..(start + length).min(365) {
                notice.rest.insert(plus_days(new_year, day));
            }
        }
        for week in make_up {
            // The first Saturday of 2027 is 2 January.
            let saturday = plus_days(new_year, 1 + 7 * week);
            if !notice.rest.contains(&saturday) && saturday.year() == 2027 {
                notice.work.insert(saturday);
            }
        }
        let mut after = before.clone();
        after.add(notice).expect("it fits");
        let day = plus_days(jiff::civil::date(2007, 1, 1), day);
        if before.day(day) != Day::Unknown {
            proptest::prop_assert_eq!(before.day(day), after.day(day));
        }
        let spans = [
            (before.working_days(day, count), after.working_days(day, count)),
            (before.roll(day), after.roll(day)),
        ];
        for (before, after) in spans {
            proptest::prop_assert!(before.earliest <= after.earliest);
            if before.earliest == before.latest {
                proptest::prop_assert_eq!(before, after, "a settled deadline moved");
            }
        }
    }
}

/// The least that a notice for 2027 can be.
fn next_notice() -> CalendarNotice {
    let off = ["2027-01-01", "2027-05-01", "2027-10-01", "2027-10-02", "2027-10-03"];
    CalendarNotice {
        year: 2027,
        amends: false,
        number: Some("国办发明电〔2026〕0号".to_owned()),
        title: "国务院办公厅关于2027年部分节假日安排的通知".to_owned(),
        issued: Some(date("2026-11-05")),
        source: None,
        note: None,
        rest: off.iter().map(|day| date(day)).collect(),
        work: std::collections::BTreeSet::new(),
        text: None,
    }
}

#[test]
fn a_notice_that_does_not_fit_is_refused_with_what_to_do() {
    type Spoil = fn(&mut CalendarNotice);
    let spoilt: [(Spoil, &str); 11] = [
        (
            |notice| {
                notice.year = 2028;
                let days = ["01-01", "05-01", "10-01", "10-02", "10-03"];
                notice.rest = days.iter().map(|day| date(&format!("2028-{day}"))).collect();
            },
            "the next notice to be entered is the one for 2027",
        ),
        (|notice| notice.year = 2026, "is no day of 2026"),
        (|notice| notice.year = 1999, "1999 is no year"),
        (|notice| notice.title = " ".to_owned(), "title: give 1 to 300"),
        (|notice| notice.text = Some("一".repeat(6_000)), "longer than 16384 bytes"),
        (|notice| assert!(notice.rest.insert(date("2028-01-01"))), "2028-01-01 is no day of 2027"),
        (|notice| assert!(notice.rest.insert(date("2026-12-28"))), "2026-12-28 is no day of 2027"),
        (|notice| assert!(notice.work.insert(date("2027-05-01"))), "off and to be worked on"),
        (|notice| assert!(notice.work.insert(date("2027-03-01"))), "2027-03-01 is a 星期一"),
        (|notice| assert!(notice.rest.remove(&date("2027-10-02"))), "2027-10-02 is off by law"),
        (|notice| notice.amends = true, "2027 is not settled"),
    ];
    for (spoil, says) in spoilt {
        let mut notice = next_notice();
        spoil(&mut notice);
        let error = calendar().add(notice).expect_err("it does not fit").to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut calendar = calendar();
    calendar.add(next_notice()).expect("it fits");
    let again = calendar.add(next_notice()).expect_err("it is in").to_string();
    assert!(again.contains("2027 is settled already"), "{again}");
}

#[test]
fn the_text_of_every_shipped_notice_reads_as_its_days() {
    let mut calendar = Calendar::default();
    for notice in notice::shipped().expect("sound") {
        let body = notice.text.clone().expect("each has its text");
        let whole =
            format!("{}\n{}\n\n{body}", notice.title, notice.number.clone().unwrap_or_default());
        let read = text::read(&whole, Some(notice.year), &calendar).expect("it reads");
        assert_eq!(read.rest, notice.rest, "{}", notice.title);
        assert_eq!(read.work, notice.work, "{}", notice.title);
        assert_eq!((read.year, read.amends), (notice.year, notice.amends), "{}", notice.title);
        assert_eq!((read.number, read.title), (notice.number.clone(), Some(notice.title.clone())));
        calendar.add(notice).expect("it fits");
    }
}

const TEXT_2026: &str = include_str!("calendar/notice-2026.txt");

#[test]
fn a_notice_is_taken_in_from_its_whole_text() {
    let draft = import::Draft {
        form: import::Form::Text,
        body: TEXT_2026.to_owned(),
        number: None,
        title: None,
        issued: None,
        source: None,
    };
    let notice = import::read(&draft, &known_before(2026)).expect("it reads");
    let shipped = calendar().notices().last().expect("a notice").clone();
    assert_eq!((notice.rest, notice.work), (shipped.rest, shipped.work));
    assert_eq!((notice.number, notice.title), (shipped.number, shipped.title));
    assert_eq!((notice.issued, notice.year), (shipped.issued, 2026));
    let other =
        import::Draft { number: Some("国办发明电〔2025〕8号".to_owned()), ..draft.clone() };
    let error = import::read(&other, &known_before(2026)).expect_err("two numbers").to_string();
    assert!(error.contains("〔2025〕8号") && error.contains("〔2025〕7号"), "{error}");
    let error = import::read(&draft, &calendar()).expect_err("it is in").to_string();
    assert!(error.contains("2026 is settled already"), "{error}");
}

#[test]
fn a_text_that_contradicts_itself_is_refused_with_the_contradiction() {
    let cases = [
        ("1月1日（周四）", "1月1日（周五）", "1月1日(周五): 2026-01-01 is a 星期四, not a 星期五"),
        (
            "放假调休，共9天",
            "放假调休，共8天",
            "2026-02-15 to 2026-02-23 are 9 days; the text says 8",
        ),
        ("1月4日（周日）上班", "1月3日（周六）上班", "2026-01-03 off and worked on"),
        ("1月4日（周日）上班", "1月5日（周一）上班", "2026-01-05 is a 星期一: it is worked on"),
        ("2月28日（周六）上班", "2月30日（周六）上班", "2月30日: there is no such day in 2026"),
        ("1月4日（周日）上班", "1月4日（周日）看情况", "what 2026-01-04 is cannot be told"),
        (
            "10月1日（周四）至7日（周三）放假调休，共7天",
            "10月1日（周四）至3日（周六）休假",
            "cannot be told",
        ),
        (
            "至5日（周二）放假调休，共5天",
            "至4日（周一）放假调休，共5天",
            "are 4 days; the text says 5",
        ),
        ("4月4日（周六）至6日（周一）", "4月6日（周一）至4日（周六）", "ends before it begins"),
        ("七、国庆节", "国庆节", "is off by law"),
        ("部分节假日安排的通知", "部分节假日安排", "title is missing"),
        ("2025年11月4日", "", "issued is missing"),
    ];
    for (was, is, says) in cases {
        assert!(TEXT_2026.contains(was), "{was}");
        let draft = import::Draft {
            form: import::Form::Text,
            body: TEXT_2026.replacen(was, is, 1),
            number: None,
            title: None,
            issued: None,
            source: None,
        };
        let error = import::read(&draft, &known_before(2026)).expect_err(was).to_string();
        assert!(error.contains(says), "{was} → {is}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[一二三四0-9年月日至、（）()周六期日放假调休共天上班。;，\\n-]{0,80}") {
        let _ = text::read(&text, Some(2027), &calendar());
    }
}
