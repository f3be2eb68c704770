use super::*;
use crate::core::calendar::Span;

fn shipped() -> Rules {
    Rules::shipped().expect("the shipped rules are sound")
}

/// What is said of the shipped rules once the first `was` in them, comments left out, is an `is`.
fn refused(was: &str, is: &str) -> String {
    let lines = SHIPPED.lines().filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(text.contains(was), "{was} does not stand in the shipped rules");
    match Rules::parse(&text.replacen(was, is, 1)) {
        Ok(_) => format!("{was} → {is} was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_obligation_has_its_rule_at_its_place() {
    let rules = shipped();
    assert_eq!(rules.all().len(), ObligationId::ALL.len());
    for id in ObligationId::ALL {
        assert_eq!(rules.rule(id).id, id);
        assert!(!rules.rule(id).quote.is_empty());
    }
}

#[test]
fn the_shipped_numbers_are_those_of_the_standard() {
    use ObligationId as Id;
    let rules = shipped();
    let found = |id| rules.rule(id).period;
    assert_eq!(found(Id::O3), Period::WorkingDays(5));
    assert_eq!(found(Id::O4), Period::WorkingDays(2));
    assert_eq!(found(Id::O5), Period::WorkingDays(10));
    assert_eq!(found(Id::O6a), Period::CalendarDays(30));
    assert_eq!(found(Id::O6b), Period::CalendarDays(30));
    assert_eq!(found(Id::O7a), Period::SameAs(Id::O6a));
    assert_eq!(found(Id::O7b), Period::WorkingDays(5));
    assert_eq!(found(Id::O8), Period::Months(6));
    assert_eq!(found(Id::O9), Period::Months(1));
    assert_eq!(found(Id::O10), Period::WorkingDaysBefore(15));
    assert_eq!(found(Id::O11a), Period::WorkingDays(2));
    assert_eq!(found(Id::O11b), Period::WorkingDays(2));
    assert_eq!(found(Id::O12b), Period::Seconds(300));
    let policy = rules.all().iter().filter(|rule| rule.basis == Basis::Policy);
    assert_eq!(policy.map(|rule| rule.id).collect::<Vec<_>>(), [Id::O7b, Id::O11b]);
}

#[test]
fn another_province_may_have_other_numbers() {
    let text = SHIPPED.replacen("jiangxi-1", "elsewhere-3", 1).replacen(
        "{ working-days = 5 }",
        "{ calendar-days = 7 }",
        1,
    );
    let rules = Rules::parse(&text).expect("usable");
    let day_zero = "2026-09-01".parse().expect("a date");
    let start = Start { day_zero, real: Timestamp::default() };
    let (due, counted) = rules.count(ObligationId::O3, start, &Calendar::default());
    let last_day: Date = "2026-09-08".parse().expect("a date");
    assert_eq!(due, Due::end_of(Span { earliest: last_day, latest: last_day }));
    assert_eq!((counted.edition.as_str(), counted.period.number()), ("elsewhere-3", 7));
}

#[test]
fn what_is_wrong_with_a_text_of_rules_is_said_with_its_rule() {
    let spoilt = [
        ("edition = \"jiangxi-1\"", "edition = \"\"", "edition: give 1 to 64"),
        ("edition = \"jiangxi-1\"", "edition = \"a b\"", "edition: give 1 to 64"),
        ("reminder_hour = 9", "reminder_hour = 24", "reminder_hour: give 0 to 23"),
        ("id = \"O3\"", "id = \"O99\"", "O99"),
        ("id = \"O3\"", "id = \"O4\"", "the rules have O3 0 times"),
        ("{ working-days = 5 }", "{ working-days = 0 }", "rule O3: the number of its period is 0"),
        ("{ working-days = 5 }", "{ working-days = 1001 }", "give 1 to 1000"),
        ("{ working-days = 5 }", "{ working-days = -5 }", "-5"),
        ("{ working-days = 5 }", "\"none\"", "rule O3: its period has to be working-days"),
        ("{ working-days = 5 }", "{ fortnights = 1 }", "fortnights"),
        (
            "{ calendar-days = 30 }",
            "{ months = 1 }",
            "rule O6a: its period has to be calendar-days",
        ),
        (
            "{ seconds = 300 }",
            "{ seconds = 86401 }",
            "rule O12b: the number of its period is 86401",
        ),
        ("{ same-as = \"O6a\" }", "{ same-as = \"O7a\" }", "rule O7a: it ends with O7a"),
        ("[-1, 0, 1]", "[0, -1, 1]", "rule O3: reminders: give the earliest first"),
        ("[-1, 0, 1]", "[0, 1]", "rule O3: escalate_from is none of its reminders"),
        ("[-1, 0, 1]", "[-367, -1, 0]", "rule O3: reminders: give at most 16"),
        ("{ every-days = 1 }", "{ every-days = 0 }", "rule O12c: reminders every 0 days"),
        ("on_breach = \"elapse\"", "on_breach = \"hold\"", "rule O6a: on_breach has to be"),
        ("on_breach = \"escalate\"", "on_breach = \"hold\"", "rule O3: on_breach = \"hold\""),
        ("on_breach = \"escalate\"", "on_breach = \"wipe\"", "wipe"),
        ("on_breach = \"escalate\"", "on_breach = \"none\"", "rule O3: on_breach has no such"),
        ("on_breach = \"escalate\"", "on_breach = \"refuse\"", "rule O3: on_breach has no such"),
        ("on_breach = \"escalate\"", "on_breach = \"alarm\"", "rule O3: on_breach has no such"),
        ("on_breach = \"refuse\"", "on_breach = \"flag\"", "rule O1: on_breach has to be"),
        ("on_breach = \"alarm\"", "on_breach = \"escalate\"", "rule O16: on_breach has to be"),
        ("on_breach = \"none\"", "on_breach = \"flag\"", "rule O12c: on_breach has to be"),
        ("on_breach = \"hold\"", "on_breach = \"flag\"", "rule O7c: on_breach has to be"),
        ("{ working-days = [-1, 0, 1] }", "{ every-days = 1 }", "rule O3: reminders every so"),
        (
            "{ every-days = 1 }",
            "{ every-days = 1 }\nescalate_from = 0",
            "rule O12c: escalate_from has no effect",
        ),
        ("{ calendar-days = [-90, -30, -7, 0] }", "{ working-days = [-7] }", "rule O16: reminders"),
        ("[-90, -30, -7, 0]", "[-7, 1]", "rule O16: reminders"),
        ("\"licensing-82\"]", "\"no\"]", "rule O3: law names \"no\""),
        ("key = \"civil-code-200\"", "key = \"civil-code-137\"", "law civil-code-137: it stands"),
        ("clause = \"4.2\"", "clause = \" \"", "rule O2: clause has to have 1 to 1000"),
        ("basis = \"standard\"", "basics = \"standard\"", "basics"),
    ];
    for (was, is, says) in spoilt {
        let error = refused(was, is);
        assert!(error.contains(says), "{was} → {is}: {error}");
    }
    let long = format!("{SHIPPED}{}", "#".repeat(MAX_BYTES));
    assert_eq!(Rules::parse(&long), Err(RulesError::TooLong));
}
