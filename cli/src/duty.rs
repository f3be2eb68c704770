//! `tenurectl duty`: what needs a person now, most urgent first, with the time that is left; and,
//! for a screen on the wall, the seconds running down.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::Api,
    failure::Failure,
    pause,
    screen::{Column, Format, Screen, column, rows},
};

/// How often the desk is read anew.
const READ_EVERY: Duration = Duration::from_secs(2);
/// How often the seconds are shown running down.
const STEP: Duration = Duration::from_secs(1);

/// What is shown of the desk.
#[derive(Debug, Args)]
pub(crate) struct DutyArgs {
    /// Stay, read it again and again, and show the seconds running down, until interrupted
    #[arg(long)]
    watch: bool,
}

const DESK: &[Column] = &[
    column("NEED", &["/kind"]),
    column("LEFT", &["/left"]),
    column("STATE", &["/standing"]),
    column("ABOUT", &["/about"]),
    column("CUSTOMER", &["/customer"]),
    column("SYSTEM", &["/system"]),
    column("PHONE", &["/phone"]),
    column("REASON", &["/words"]),
    column("TENANT", &["/tenant"]),
];

/// Shows it.
pub(crate) fn run(args: &DutyArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    if !args.watch {
        return show(&api.get("/v1/duty")?, Duration::ZERO, screen);
    }
    loop {
        match api.get("/v1/duty") {
            Ok(desk) => watch(&desk, screen)?,
            Err(Failure::Unreachable(text)) => {
                screen.tell(screen.fill("{}; trying again", &[&text]));
                pause::pause(READ_EVERY);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Shows one reading until the next one, its seconds running down if somebody looks on.
fn watch(desk: &Value, screen: &Screen) -> Result<(), Failure> {
    if screen.format() == Format::Json {
        screen.line_of_json(desk)?;
        pause::pause(READ_EVERY);
        return Ok(());
    }
    let read = pause::now();
    loop {
        let passed = pause::now().duration_since(read);
        if passed >= READ_EVERY {
            return Ok(());
        }
        let runs = screen.begin_anew()?;
        show(desk, passed, screen)?;
        pause::pause(if runs { STEP } else { READ_EVERY });
    }
}

/// Shows a reading that is so old.
fn show(desk: &Value, old: Duration, screen: &Screen) -> Result<(), Failure> {
    if screen.format() == Format::Json {
        return screen.json(desk);
    }
    let passed = i64::try_from(old.as_secs()).unwrap_or(i64::MAX);
    let laid = rows(desk).iter().map(|need| laid_out(need, passed)).collect();
    screen.many(&Value::Array(laid), DESK)?;
    if desk["more"] == true {
        screen.text(&screen.fill("and more, less urgent than these", &[]))?;
    }
    Ok(())
}

/// One need as a row: its time as a clock, its phones in one cell.
fn laid_out(need: &Value, passed: i64) -> Value {
    let mut row = need.clone();
    let left = need["seconds_left"].as_i64().map(|left| clock(left.saturating_sub(passed)));
    let phones = need["phones"].as_array().into_iter().flatten().map(|phone| {
        let available = phone["available"].as_str().map(|when| format!(" ({when})"));
        let name = phone["name"].as_str().unwrap_or_default();
        let number = phone["number"].as_str().unwrap_or_default();
        format!("{name} {number}{}", available.unwrap_or_default())
    });
    let phones: Vec<_> = phones.collect();
    row["left"] = json!(left);
    row["phone"] = json!((!phones.is_empty()).then(|| phones.join(", ")));
    row
}

/// Seconds as `m:ss`, as `h:mm:ss` from an hour on, with a minus once they have passed.
fn clock(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let all = seconds.unsigned_abs();
    let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60);
    if hours > 0 {
        return format!("{sign}{hours}:{minutes:02}:{rest:02}");
    }
    format!("{sign}{minutes}:{rest:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::cell;

    #[test]
    fn what_is_left_is_a_clock_that_runs_past_zero() {
        for (seconds, shown) in [
            (300, "5:00"),
            (59, "0:59"),
            (0, "0:00"),
            (-1, "-0:01"),
            (-300, "-5:00"),
            (86_400, "24:00:00"),
            (-3_661, "-1:01:01"),
        ] {
            assert_eq!(clock(seconds), shown);
        }
    }

    #[test]
    fn a_row_runs_down_and_names_whom_to_phone() {
        let need = json!({"kind": "cut-untold", "seconds_left": 61, "phones": [
            {"name": "Li", "number": "13800000000", "available": "24x7"},
            {"name": "Wu", "number": "13900000000", "available": null}]});
        let row = laid_out(&need, 2);
        assert_eq!(cell(&row, &["/left"]), "0:59");
        assert_eq!(cell(&row, &["/phone"]), "Li 13800000000 (24x7), Wu 13900000000");
        let row = laid_out(&json!({"kind": "cut-open", "phones": []}), 2);
        assert_eq!((cell(&row, &["/left"]), cell(&row, &["/phone"])), ("-".into(), "-".into()));
    }
}
