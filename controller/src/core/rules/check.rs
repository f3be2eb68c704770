//! What a text of rules has to be, beyond its shape.

use std::collections::BTreeSet;

use super::{Law, OnBreach, Period, Policy, Roll, Rule, Rules, RulesError, Rungs};
use crate::core::obligation::ObligationId;

/// Characters that an edition may have.
const EDITION_CHARS: usize = 64;
/// Characters that any other text may have.
const TEXT_CHARS: usize = 1_000;
/// Days that a period may have: beyond it a slip is likelier than a rule.
const MAX_DAYS: u32 = 1_000;
/// Months that a period may have.
const MAX_MONTHS: u32 = 60;
/// Seconds that a period may have: beyond a day it is counted in days.
const MAX_SECONDS: u32 = 86_400;
/// How often a month may ask for something.
const MAX_TIMES: u32 = 31;
/// Days that a reminder may be away from the last day.
const MAX_RUNG: i32 = 366;
/// Reminders that an obligation may have.
const MAX_RUNGS: usize = 16;

pub(super) fn all(rules: &Rules) -> Result<(), RulesError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let edition = &rules.edition;
    if edition.is_empty() || edition.len() > EDITION_CHARS || !edition.chars().all(plain) {
        let reason = "give 1 to 64 of a–z, A–Z, 0–9, '-', '.', '_'";
        return Err(wrong("edition".to_owned(), reason));
    }
    if rules.reminder_hour > 23 {
        return Err(wrong("reminder_hour".to_owned(), "give 0 to 23"));
    }
    words("title", "it", &rules.title)?;
    words("issuer", "it", &rules.issuer)?;
    let Policy { icp_gate: _, second_notice_working_days, grace_working_days } = rules.policy;
    for (name, days) in [
        ("second_notice_working_days", second_notice_working_days),
        ("grace_working_days", grace_working_days),
    ] {
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(wrong(
                "policy".to_owned(),
                format!("{name} is {days}: give 1 to {MAX_DAYS}"),
            ));
        }
    }
    let mut keys = BTreeSet::new();
    for Law { key, title, article, about } in &rules.laws {
        let at = format!("law {key}");
        for (name, text) in [("key", key), ("title", title), ("article", article), ("about", about)]
        {
            words(&at, name, text)?;
        }
        if !keys.insert(key.as_str()) {
            return Err(wrong(at, "it stands there twice"));
        }
    }
    rules.rules.iter().try_for_each(|rule| one(rules, rule, &keys))
}

fn one(rules: &Rules, rule: &Rule, keys: &BTreeSet<&str>) -> Result<(), RulesError> {
    let at = format!("rule {}", rule.id.as_str());
    let texts = [
        ("clause", &rule.clause),
        ("quote", &rule.quote),
        ("starts", &rule.starts),
        ("evidence", &rule.evidence),
    ];
    for (name, text) in texts {
        words(&at, name, text)?;
    }
    if let Some(key) = rule.law.iter().find(|key| !keys.contains(key.as_str())) {
        return Err(wrong(at, format!("law names {key:?}, which no [[law]] has as its key")));
    }
    period(rules, rule).map_err(|reason| wrong(at.clone(), reason))?;
    rungs(rule).map_err(|reason| wrong(at.clone(), reason))?;
    breach(rules, rule).map_err(|reason| wrong(at, reason))
}

fn period(rules: &Rules, rule: &Rule) -> Result<(), String> {
    let most = match rule.period {
        Period::WorkingDays(_) | Period::CalendarDays(_) | Period::WorkingDaysBefore(_) => MAX_DAYS,
        Period::Months(_) => MAX_MONTHS,
        Period::Seconds(_) => MAX_SECONDS,
        Period::EachMonth(_) => MAX_TIMES,
        Period::EachYear(_) => 1,
        Period::SameAs(_) | Period::None => 0,
    };
    let number = rule.period.number();
    if number > most || most > 0 && number == 0 {
        return Err(format!("the number of its period is {number}: give 1 to {most}"));
    }
    let rolls = match rule.period {
        Period::CalendarDays(_) | Period::Months(_) | Period::EachYear(_) => true,
        Period::WorkingDays(_)
        | Period::Seconds(_)
        | Period::WorkingDaysBefore(_)
        | Period::SameAs(_)
        | Period::EachMonth(_)
        | Period::None => false,
    };
    if rule.roll == Roll::NextWorkDay && !rolls {
        return Err("roll is for calendar-days, months and each-year alone".to_owned());
    }
    if let Period::SameAs(other) = rule.period
        && !is_counted(rules.rule(other).period)
    {
        let other = other.as_str();
        return Err(format!("it ends with {other}, which has no deadline of days of its own"));
    }
    fits(rule)
}

/// Whether a period gives a last day by itself.
const fn is_counted(period: Period) -> bool {
    matches!(period, Period::WorkingDays(_) | Period::CalendarDays(_) | Period::Months(_))
}

/// What the lifecycle needs of single obligations, whatever the number.
fn fits(rule: &Rule) -> Result<(), String> {
    use ObligationId as Id;
    let (fits, needs) = match rule.id {
        Id::O6a | Id::O6b => {
            let days = matches!(rule.period, Period::CalendarDays(_));
            (days, "calendar-days: an extension counts on from a trial's calendar days")
        }
        Id::O7a | Id::O7c => (
            rule.period == Period::SameAs(Id::O6a),
            "{ same-as = \"O6a\" }: it ends with the trial",
        ),
        Id::O10 => {
            let before = matches!(rule.period, Period::WorkingDaysBefore(_));
            (before, "working-days-before: it is counted back from the stop day")
        }
        Id::O12b => (matches!(rule.period, Period::Seconds(_)), "seconds"),
        Id::O16 => (matches!(rule.period, Period::EachYear(_)), "each-year"),
        Id::O17 => (matches!(rule.period, Period::EachMonth(_)), "each-month"),
        Id::O1 | Id::O2 | Id::O12a | Id::O12c | Id::O13 | Id::O14 | Id::O15 | Id::O18 => {
            (rule.period == Period::None, "\"none\": it has no deadline")
        }
        Id::O3 | Id::O4 | Id::O5 | Id::O7b | Id::O8 | Id::O9 | Id::O11a | Id::O11b => {
            (is_counted(rule.period), "working-days, calendar-days or months")
        }
    };
    if fits { Ok(()) } else { Err(format!("its period has to be {needs}")) }
}

fn rungs(rule: &Rule) -> Result<(), String> {
    let offsets = match &rule.reminders {
        Rungs::None => &[][..],
        Rungs::EveryDays(_) if rule.id != ObligationId::O12c => {
            return Err("reminders every so many days are for O12c, an open cut, alone".to_owned());
        }
        Rungs::EveryDays(days @ (0 | 32..)) => {
            return Err(format!("reminders every {days} days: give 1 to 31"));
        }
        Rungs::EveryDays(_) if rule.escalate_from.is_some() => {
            return Err("escalate_from has no effect on reminders every so many days".to_owned());
        }
        Rungs::EveryDays(_) => return Ok(()),
        Rungs::WorkingDays(_) if rule.id == ObligationId::O16 => {
            return Err("reminders of yearly assessments are counted in calendar-days".to_owned());
        }
        Rungs::CalendarDays(offsets)
            if rule.id == ObligationId::O16 && offsets.iter().any(|offset| *offset > 0) =>
        {
            return Err("reminders of yearly assessments end with the last day: a missed one is \
                        told as missed"
                .to_owned());
        }
        Rungs::WorkingDays(offsets) | Rungs::CalendarDays(offsets) => offsets,
    };
    if rule.escalate_from.is_some_and(|from| !offsets.contains(&from)) {
        return Err("escalate_from is none of its reminders".to_owned());
    }
    if rule.reminders != Rungs::None && matches!(rule.period, Period::None | Period::Seconds(_)) {
        return Err("it has no last day that reminders could be counted from".to_owned());
    }
    if offsets.len() > MAX_RUNGS || offsets.iter().any(|offset| offset.abs() > MAX_RUNG) {
        return Err(format!(
            "reminders: give at most {MAX_RUNGS}, each within {MAX_RUNG} days of the last day"
        ));
    }
    if offsets.array_windows().any(|[earlier, later]| earlier >= later) {
        return Err("reminders: give the earliest first, and each once".to_owned());
    }
    Ok(())
}

/// What a breach does has to be what the lifecycle does with it: a word that nothing reads would
/// promise something.
fn breach(rules: &Rules, rule: &Rule) -> Result<(), String> {
    use ObligationId as Id;
    let holds = |id| rules.rule(id).on_breach == OnBreach::Hold;
    let has_to_be = match rule.id {
        Id::O1 | Id::O2 | Id::O6b | Id::O12a | Id::O14 => {
            Some((OnBreach::Refuse, "\"refuse\": the act itself is refused"))
        }
        Id::O6a => Some((OnBreach::Elapse, "\"elapse\": it is met by passing")),
        Id::O16 => Some((OnBreach::Alarm, "\"alarm\": it is the platform's own")),
        Id::O12c | Id::O13 | Id::O15 | Id::O18 => {
            Some((OnBreach::None, "\"none\": it has no deadline that could be missed"))
        }
        Id::O7c if holds(Id::O7a) != holds(Id::O7c) => {
            return Err("on_breach has to be \"hold\" if O7a's is, and only then: both end with \
                        the trial"
                .to_owned());
        }
        Id::O3
        | Id::O4
        | Id::O5
        | Id::O7a
        | Id::O7b
        | Id::O7c
        | Id::O8
        | Id::O9
        | Id::O10
        | Id::O11a
        | Id::O11b
        | Id::O12b
        | Id::O17 => None,
    };
    if let Some((wanted, says)) = has_to_be {
        let fits = rule.on_breach == wanted;
        return if fits { Ok(()) } else { Err(format!("on_breach has to be {says}")) };
    }
    match (rule.on_breach, rule.id) {
        (OnBreach::Flag | OnBreach::Escalate, _) | (OnBreach::Hold, Id::O7a | Id::O7c) => Ok(()),
        (OnBreach::Hold, _) => {
            Err("on_breach = \"hold\" is for the trial's end alone: O7a and O7c".to_owned())
        }
        (OnBreach::Elapse, _) => Err("on_breach = \"elapse\" is for O6a alone".to_owned()),
        (OnBreach::None | OnBreach::Refuse | OnBreach::Alarm, _) => {
            Err("on_breach has no such effect here: a missed deadline is recorded (\"flag\"), or \
                 told to the second contacts too (\"escalate\")"
                .to_owned())
        }
    }
}

fn words(at: &str, name: &str, text: &str) -> Result<(), RulesError> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS {
        let reason = format!("{name} has to have 1 to {TEXT_CHARS} characters");
        return Err(wrong(at.to_owned(), reason));
    }
    Ok(())
}

fn wrong(at: String, reason: impl Into<String>) -> RulesError {
    RulesError::Value { at, reason: reason.into() }
}
