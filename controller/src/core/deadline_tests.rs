//! Reminders and recounts of a tenant's deadlines.

use super::*;
use crate::core::{
    calendar::{CalendarNotice, legal_day},
    lifecycle::recount,
    notice::NoticeKind,
};

fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// The reminders of one obligation that a tick sends: whom, by kind.
fn reminded(world: &mut World, tenant: &mut Tenant, id: &str) -> Vec<(NoticeKind, String)> {
    let effects = world.apply(tenant, &Event::Tick).expect("a tick");
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Arm(notice) if notice.subject.contains(&format!(" {id},")) => {
                Some((notice.kind, notice.contact.clone()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_customer_is_reminded_once_at_each_rung_and_a_standstill_is_no_flood() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let desk = vec![(NoticeKind::Reminder, "desk".to_owned())];
    // Ten working days after 1 September end on the 15th: rungs on the 10th, 14th and 15th at 9.
    world.now = instant("2026-09-10T00:59:59Z");
    assert_eq!(reminded(&mut world, &mut tenant, "O5"), []);
    assert_eq!(tenant.wake_at, Some(instant("2026-09-10T01:00:00Z")));
    world.now = instant("2026-09-10T01:00:00Z");
    assert_eq!(reminded(&mut world, &mut tenant, "O5"), desk);
    assert_eq!(reminded(&mut world, &mut tenant, "O5"), []);
    // Nothing ran on the 14th: one reminder goes out, not two.
    world.now = instant("2026-09-15T02:00:00Z");
    assert_eq!(reminded(&mut world, &mut tenant, "O5"), desk);
    assert_eq!(reminded(&mut world, &mut tenant, "O5"), []);
}

#[test]
fn what_is_met_is_not_reminded_of() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &Event::DeclareDeployment).expect("declared");
    world.now = instant("2026-09-15T02:00:00Z");
    assert_eq!(reminded(&mut world, &mut tenant, "O5"), []);
}

#[test]
fn the_provider_is_reminded_and_its_second_contacts_are_told() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let both = vec![
        (NoticeKind::ProviderReminder, "duty".to_owned()),
        (NoticeKind::ProviderReminder, "head".to_owned()),
    ];
    // Five working days after 1 September end on the 8th: rungs on the 7th, 8th and 9th.
    world.now = instant("2026-09-07T01:00:00Z");
    assert_eq!(reminded(&mut world, &mut tenant, "O3"), both);
    world.now = instant("2026-09-20T01:00:00Z");
    assert_eq!(reminded(&mut world, &mut tenant, "O3"), both);
    assert!(matches!(owed(&tenant, ObligationId::O3), ObligationState::Breached { .. }));
    assert_eq!(reminded(&mut world, &mut tenant, "O3"), []);
}

#[test]
fn a_missed_notification_is_told_to_the_second_contacts_at_once() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
    world.apply(&mut tenant, &cut).expect("cut");
    world.obey(&mut tenant);
    world.now = world.now.plus_ms(300_000);
    let told = reminded(&mut world, &mut tenant, "O12b");
    assert_eq!(told, [(NoticeKind::ProviderReminder, "head".to_owned())]);
}

pub(super) fn notice(year: i16, amends: bool, rest: &[&str], work: &[&str]) -> CalendarNotice {
    let days = |days: &[&str]| days.iter().map(|day| day.parse().expect("a date")).collect();
    CalendarNotice {
        year,
        amends,
        number: Some(format!("国办发明电〔2026〕{}号", rest.len())),
        title: "国务院办公厅的通知".to_owned(),
        issued: None,
        source: None,
        note: None,
        rest: days(rest),
        work: days(work),
        text: None,
    }
}

/// Lets the calendar in force count a tenant's deadlines anew.
fn count_anew(world: &mut World, tenant: &mut Tenant) -> usize {
    let changes = recount::changes(tenant, &world.calendar, world.now);
    let count = changes.len();
    if count > 0 {
        let (notice, reason) = ("notice".to_owned(), "new".to_owned());
        let event = Event::Recount { notice, reason, changes };
        world.apply(tenant, &event).expect("counted anew");
    }
    count
}

#[test]
fn a_new_notice_moves_a_deadline_later_and_an_earlier_one_waits_for_an_administrator() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &reports()).expect("reports");
    world.now = instant("2026-09-15T02:00:00Z");
    world.apply(&mut tenant, &pass()).expect("pass");
    let due = |tenant: &Tenant| {
        let o8 = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O8);
        let o8 = o8.expect("owed");
        let last = o8.breach_at().expect("a day").plus_ms(-1);
        (o8.due.last_day().expect("a day").to_string(), legal_day(last).to_string())
    };
    assert_eq!(due(&tenant), ("2027-03-15".to_owned(), "2027-03-29".to_owned()), "provisional");

    let off = ["2027-01-01", "2027-03-15", "2027-05-01", "2027-10-01", "2027-10-02", "2027-10-03"];
    world.calendar.add(notice(2027, false, &off, &[])).expect("it fits");
    assert_eq!(count_anew(&mut world, &mut tenant), 1);
    assert_eq!(due(&tenant), ("2027-03-16".to_owned(), "2027-03-16".to_owned()));
    assert_eq!(count_anew(&mut world, &mut tenant), 0, "once");

    world.calendar.add(notice(2027, true, &[], &["2027-03-15"])).expect("it fits");
    assert_eq!(count_anew(&mut world, &mut tenant), 1);
    assert_eq!(due(&tenant).0, "2027-03-16", "not earlier by itself");
    assert_eq!(count_anew(&mut world, &mut tenant), 0, "it waits");
    let sign = |id| Event::SignRecount { id, serial: 1, reason: "agreed".to_owned() };
    let refusal = world.apply(&mut tenant, &sign(ObligationId::O9)).expect_err("nothing waits");
    assert_eq!(refusal.code, Code::NothingToSign);
    world.apply(&mut tenant, &sign(ObligationId::O8)).expect("signed");
    assert_eq!(due(&tenant), ("2027-03-15".to_owned(), "2027-03-15".to_owned()));
    let refusal = world.apply(&mut tenant, &sign(ObligationId::O8)).expect_err("signed already");
    assert_eq!(refusal.code, Code::NothingToSign);
    let moves = &tenant.obligations.iter().find(|owed| owed.id == ObligationId::O8);
    let moves = &moves.expect("owed").moves;
    let told: Vec<_> = moves.iter().map(|one| (one.applied, one.signed_by.as_deref())).collect();
    assert_eq!(told, [(true, None), (false, None), (true, Some("zhao"))]);
}

#[test]
fn a_deadline_that_is_missed_stays_so_under_a_newer_notice() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let missed = tenant.obligations[0].breach_at().expect("a day");
    let last = tenant.obligations[0].due.last_day().expect("a day").to_string();
    // Nobody has recorded the breach yet: the controller was down.
    world.now = missed;
    world.calendar.add(notice(2026, true, &[&last], &[])).expect("it fits");
    assert_eq!(count_anew(&mut world, &mut tenant), 0, "it is not open any more");
    world.now = missed.plus_ms(-1);
    assert_eq!(count_anew(&mut world, &mut tenant), 1, "it moves as long as it is");
}

#[test]
fn newer_rules_move_no_open_deadline() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let text = crate::core::rules::SHIPPED
        .replacen("jiangxi-1", "jiangxi-2", 1)
        .replace("period = { working-days = 5 }", "period = { working-days = 9 }");
    world.rules = Rules::parse(&text).expect("usable");
    assert_eq!(recount::changes(&tenant, &world.calendar, world.now), []);
    let before = tenant.obligations.clone();
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.obligations, before);
    let counted = &tenant.obligations[0].counted;
    assert_eq!((counted.edition.as_str(), counted.period.number()), ("jiangxi-1", 5));
    let other = world.submitted();
    assert_eq!(other.obligations[0].counted.edition, "jiangxi-2");
}
