//! Reminders of deadlines, derived from state and time: which rungs have passed, and which was the
//! last that went out. After a standstill only the latest passed rung goes out, and each goes out
//! once.

use tenure_protocol::time::Timestamp;

use super::step::Step;
use crate::core::{
    calendar::{Calendar, legal_day, plus_days, start_of_day},
    letter::{Letter, Reminder},
    notice::NoticeKind,
    obligation::{Due, Obligation, Party},
    rules::{OnBreach, Rule, Rules, Rungs},
    tenant::Contact,
};

/// When a reminder goes out: its rung, and the legal instant.
type Rung = (i32, Timestamp);

/// The rungs of an obligation that is still owed, earliest first.
fn rungs(owed: &Obligation, rules: &Rules, calendar: &Calendar) -> Vec<Rung> {
    let Due::Day { last_day, breach_at, .. } = owed.due else { return Vec::new() };
    if !owed.is_owed() || owed.is_suspended() {
        return Vec::new();
    }
    // What comes after the last day waits for the latest that it may become.
    let latest = legal_day(breach_at.plus_ms(-1));
    let days = |count: i32| count.unsigned_abs();
    let day = |offset: i32| match &rules.rule(owed.id).reminders {
        Rungs::WorkingDays(_) if offset <= 0 => {
            calendar.working_days_before(last_day, days(offset))
        }
        Rungs::WorkingDays(_) => calendar.working_days(latest, days(offset)).earliest,
        Rungs::CalendarDays(_) | Rungs::None | Rungs::EveryDays(_) if offset <= 0 => {
            plus_days(last_day, offset)
        }
        Rungs::CalendarDays(_) | Rungs::None | Rungs::EveryDays(_) => plus_days(latest, offset),
    };
    let hour_ms = i64::from(rules.reminder_hour()) * 3_600_000;
    let offsets = match &rules.rule(owed.id).reminders {
        Rungs::WorkingDays(offsets) | Rungs::CalendarDays(offsets) => offsets.as_slice(),
        Rungs::None | Rungs::EveryDays(_) => &[],
    };
    offsets.iter().map(|rung| (*rung, start_of_day(day(*rung)).plus_ms(hour_ms))).collect()
}

/// The next legal instant at which a reminder goes out.
pub(super) fn next_at(step: &Step<'_>) -> Option<Timestamp> {
    let super::Context { rules, calendar, now, .. } = step.context;
    let owed = step.tenant.obligations.iter();
    owed.flat_map(|owed| rungs(owed, rules, calendar)).map(|(_, at)| at).filter(|at| at > now).min()
}

/// Sends the latest rung that has passed, if it did not go out yet.
pub(super) fn remind(step: &mut Step<'_>) {
    let super::Context { rules, calendar, now, .. } = *step.context;
    for place in 0..step.tenant.obligations.len() {
        let owed = &mut step.tenant.obligations[place];
        let passed = rungs(owed, rules, calendar).into_iter().rfind(|(_, at)| *at <= now);
        let Some((rung, _)) = passed else { continue };
        if owed.reminded.is_some_and(|last| last >= rung) {
            continue;
        }
        owed.reminded = Some(rung);
        let owed = owed.clone();
        let rule = rules.rule(owed.id);
        send(step, &owed, rule, rule.escalate_from.is_some_and(|from| rung >= from));
    }
}

/// A breach that no later rung would tell of is told to the provider's second contacts at once.
pub(super) fn escalate(step: &mut Step<'_>, owed: &Obligation) {
    let rule = step.context.rules.rule(owed.id);
    let told_later = match &rule.reminders {
        Rungs::WorkingDays(offsets) | Rungs::CalendarDays(offsets) => {
            offsets.last().is_some_and(|last| *last > 0)
        }
        Rungs::None | Rungs::EveryDays(_) => false,
    };
    if rule.on_breach == OnBreach::Escalate && !told_later {
        let second = &step.context.provider.second;
        arm(step, NoticeKind::ProviderReminder, second, owed, rule);
    }
}

fn send(step: &mut Step<'_>, owed: &Obligation, rule: &Rule, escalated: bool) {
    let provider = step.context.provider;
    match rule.party {
        Party::Customer => {
            let contacts = step.tenant.application.contacts.clone();
            arm(step, NoticeKind::Reminder, &contacts, owed, rule);
        }
        Party::Provider => {
            arm(step, NoticeKind::ProviderReminder, &provider.contacts, owed, rule);
        }
    }
    if escalated {
        arm(step, NoticeKind::ProviderReminder, &provider.second, owed, rule);
    }
}

fn arm(
    step: &mut Step<'_>,
    kind: NoticeKind,
    contacts: &[Contact],
    owed: &Obligation,
    rule: &Rule,
) {
    let letter = Letter::Reminder(Box::new(Reminder {
        id: owed.id,
        clause: rule.clause.clone(),
        quote: rule.quote.clone(),
        party: rule.party,
        due: owed.due,
        today: step.today(),
    }));
    let due = step.due();
    step.arm_for(kind, &letter, &due, contacts);
}
