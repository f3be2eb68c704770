//! The shipped calendar, day by day, beside two that we did not make: the files of holiday-cn, and
//! the Python package chinesecalendar.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test that starts the other calendar and reads its files"
)]

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, ensure};
use jiff::civil::{Date, Weekday};
use tenure_controller::core::calendar::{Calendar, CalendarNotice, Day, import, notice, plus_days};
use tenure_tests::third_party;

const YEARS: std::ops::RangeInclusive<i16> = 2007..=2026;
const DAYS: usize = 7_305;

/// Every day of the years, and whether it is worked on.
fn compare(other: &BTreeMap<Date, bool>) -> anyhow::Result<()> {
    let calendar = Calendar::shipped()?;
    let mut day = jiff::civil::date(*YEARS.start(), 1, 1);
    let (mut days, mut wrong) = (0, Vec::new());
    while day.year() <= *YEARS.end() {
        let theirs = *other.get(&day).with_context(|| format!("the other one lacks {day}"))?;
        // The last days of the last year wait for the next year's notice.
        let unsettled = day >= jiff::civil::date(2026, 12, 29);
        let expected = match theirs {
            _ if unsettled => Day::Unknown,
            true => Day::Work,
            false => Day::Rest,
        };
        if calendar.day(day) != expected {
            wrong.push(format!("{day}: {:?}, theirs {expected:?}", calendar.day(day)));
        }
        days += 1;
        day = plus_days(day, 1);
    }
    ensure!(days == DAYS, "{days} days were compared");
    ensure!(wrong.is_empty(), "{} days differ: {wrong:?}", wrong.len());
    Ok(())
}

fn file(year: i16) -> anyhow::Result<String> {
    let path = format!("{}/data/holiday-cn/{year}.json", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).context(path)
}

#[test]
fn every_day_of_20_years_is_as_holiday_cn_has_it() -> anyhow::Result<()> {
    let mut days = BTreeMap::new();
    let mut day = jiff::civil::date(*YEARS.start(), 1, 1);
    while day.year() <= *YEARS.end() {
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        days.insert(day, !weekend);
        day = plus_days(day, 1);
    }
    for year in YEARS {
        let file: serde_json::Value = serde_json::from_str(&file(year)?)?;
        for named in file["days"].as_array().context("days")? {
            let day: Date = named["date"].as_str().context("a date")?.parse()?;
            if YEARS.contains(&day.year()) {
                days.insert(day, !named["isOffDay"].as_bool().context("off or not")?);
            }
        }
    }
    compare(&days)
}

const SCRIPT: &str = "\
import datetime
import chinese_calendar
day = datetime.date(2007, 1, 1)
while day.year <= 2026:
    print(day.isoformat(), int(chinese_calendar.is_workday(day)))
    day += datetime.timedelta(1)
";

#[test]
fn every_day_of_20_years_is_as_chinesecalendar_has_it() -> anyhow::Result<()> {
    let Some(venv) = third_party::venv() else { return Ok(()) };
    let output = Command::new(venv.join("bin/python")).args(["-c", SCRIPT]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut days = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let (day, work) = line.split_once(' ').context("a day and a figure")?;
        days.insert(day.parse()?, work == "1");
    }
    compare(&days)
}

#[test]
fn a_year_of_holiday_cn_is_taken_in_as_the_notice_of_that_year() -> anyhow::Result<()> {
    let mut calendar = Calendar::default();
    for shipped in notice::shipped()? {
        let amended = [2015, 2019, 2020].contains(&shipped.year);
        if !shipped.amends && !amended {
            let draft = import::Draft {
                form: import::Form::HolidayCn,
                body: file(shipped.year)?,
                number: Some("国办发明电〔0〕0号".to_owned()),
                title: Some(shipped.title.clone()),
                issued: shipped.issued.or(Some(jiff::civil::date(2000, 1, 1))),
                source: None,
            };
            let CalendarNotice { rest, work, source, .. } = import::read(&draft, &calendar)?;
            ensure!(rest == shipped.rest && work == shipped.work, "{}", shipped.year);
            ensure!(source == shipped.source, "{}", shipped.year);
        }
        calendar.add(shipped)?;
    }
    Ok(())
}
