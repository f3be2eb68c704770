//! The upper rungs of the ladder, and the acknowledgement that ends it.

use super::*;
use crate::core::{
    notice::{Notice, NoticeKind},
    tenant::Rung,
};

fn emergency() -> Event {
    Event::Cut { kind: CutKind::Emergency, reason: said("flood") }
}

fn alarms(effects: &[Effect]) -> Vec<&Notice> {
    let of = |effect: &'_ Effect| matches!(effect, Effect::Arm(one) if one.kind.is_providers());
    let notices = effects.iter().filter(|effect| of(effect));
    notices
        .filter_map(|effect| match effect {
            Effect::Arm(notice) if notice.kind == NoticeKind::DutyAlarm => Some(&**notice),
            _ => None,
        })
        .collect()
}

fn stopped(effects: &[Effect]) -> Vec<NoticeId> {
    let notices = effects.iter().filter_map(|effect| match effect {
        Effect::Stop { notices, .. } => Some(notices.clone()),
        _ => None,
    });
    notices.flatten().collect()
}

/// A tenant on trial whose contact can be phoned, cut at the world's instant.
fn cut(world: &mut World) -> Tenant {
    let mut tenant = world.on_trial();
    tenant.application.contacts[0].mobile = Some(said("13800000000"));
    world.apply(&mut tenant, &emergency()).expect("cut");
    tenant
}

fn tick(world: &mut World, tenant: &mut Tenant, at: Timestamp) -> Vec<Effect> {
    world.now = at;
    world.apply(tenant, &Event::Tick).expect("a tick")
}

#[test]
fn the_desk_is_called_after_a_minute_and_told_to_phone_after_three() {
    let mut world = World::new();
    let mut tenant = cut(&mut world);
    let t0 = world.now;
    world.obey(&mut tenant);
    assert_eq!(tenant.wake_at, Some(t0.plus_ms(60_000)));
    assert!(alarms(&tick(&mut world, &mut tenant, t0.plus_ms(59_999))).is_empty());
    let called = tick(&mut world, &mut tenant, t0.plus_ms(60_000));
    let called = alarms(&called);
    let to: Vec<_> = called.iter().map(|notice| notice.contact.as_str()).collect();
    assert_eq!(to, ["duty", "head"], "the duty desk and the second contacts, each once");
    assert!(called[0].body.contains("13800000000") && called[0].cut.is_some());
    assert!(alarms(&tick(&mut world, &mut tenant, t0.plus_ms(61_000))).is_empty(), "once");
    assert_eq!(tenant.wake_at, Some(t0.plus_ms(180_000)));
    let called = tick(&mut world, &mut tenant, t0.plus_ms(180_000));
    assert!(alarms(&called)[0].subject.contains("Phone now"));
    let over = tick(&mut world, &mut tenant, t0.plus_ms(300_000));
    assert!(alarms(&over).is_empty(), "from here on the breach speaks");
    let reminder = NoticeKind::ProviderReminder;
    let breach = |effect: &Effect| matches!(effect, Effect::Arm(one) if one.kind == reminder);
    assert!(over.iter().any(breach));
    assert!(matches!(owed(&tenant, ObligationId::O12b), ObligationState::Breached { .. }));
}

#[test]
fn after_a_standstill_the_last_alarm_goes_out_alone() {
    let mut world = World::new();
    let mut tenant = cut(&mut world);
    let t0 = world.now;
    world.obey(&mut tenant);
    let called = tick(&mut world, &mut tenant, t0.plus_ms(3_600_000));
    let called = alarms(&called);
    assert_eq!(called.len(), 2, "one for each desk, not one for each rung");
    assert!(called[0].subject.contains("Phone now"));
    assert_eq!(tenant.last_cut().and_then(|cut| cut.alarm), Some(Rung::Phone));
    assert!(alarms(&tick(&mut world, &mut tenant, t0.plus_ms(3_600_001))).is_empty());
}

#[test]
fn while_no_host_answers_the_ladder_counts_from_the_order_and_then_from_t0() {
    let mut world = World::new();
    let mut tenant = cut(&mut world);
    let ordered = world.now;
    let called = tick(&mut world, &mut tenant, ordered.plus_ms(60_000));
    assert!(alarms(&called)[0].body.contains("its instant is not known"));
    world.now = ordered.plus_ms(170_000);
    world.obey(&mut tenant);
    assert!(alarms(&tick(&mut world, &mut tenant, ordered.plus_ms(180_000))).is_empty());
    let called = tick(&mut world, &mut tenant, ordered.plus_ms(170_000 + 180_000));
    assert!(alarms(&called)[0].subject.contains("Phone now"), "three minutes after t0");
}

#[test]
fn a_notice_that_arrives_silences_the_desk() {
    let mut world = World::new();
    let mut tenant = cut(&mut world);
    let t0 = world.now;
    world.obey(&mut tenant);
    tick(&mut world, &mut tenant, t0.plus_ms(60_000));
    let called = tenant.last_cut().expect("a cut").alarms.clone();
    let notice = tenant.last_cut().expect("a cut").notices[0];
    let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
    let effects = world.apply(&mut tenant, &delivered).expect("delivered");
    assert_eq!((stopped(&effects), called.len()), (called, 2));
    assert!(alarms(&tick(&mut world, &mut tenant, t0.plus_ms(180_000))).is_empty());
}

#[test]
fn no_desk_is_called_about_a_planned_cut_or_one_that_came_to_nothing() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &Event::AnnounceCut { reason: said("a switch") }).expect("announced");
    let notice = tenant.announcement.as_ref().expect("announced").notices[0];
    let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
    world.apply(&mut tenant, &delivered).expect("delivered");
    let planned = Event::Cut { kind: CutKind::Planned, reason: said("a switch") };
    world.apply(&mut tenant, &planned).expect("cut");
    world.obey(&mut tenant);
    let at = world.now.plus_ms(600_000);
    assert!(alarms(&tick(&mut world, &mut tenant, at)).is_empty());

    let mut tenant = cut(&mut world);
    let at = world.now.plus_ms(60_000);
    tick(&mut world, &mut tenant, at);
    let cuts = tenant.orders.iter().filter(|order| order.kind == OrderKind::Cut);
    let cuts: Vec<_> = cuts.map(|order| (order.host, order.id)).collect();
    let mut effects = Vec::new();
    for (host, order) in cuts {
        let (code, message) = (said("not-attested"), said("no proof"));
        let report = Reported::Failed { code, message, findings: Vec::new() };
        let failed = Event::OrderReported { host, order, report };
        effects = world.apply(&mut tenant, &failed).expect("a report");
    }
    assert_eq!(stopped(&effects), tenant.last_cut().expect("a cut").alarms);
    let at = world.now.plus_ms(600_000);
    assert!(alarms(&tick(&mut world, &mut tenant, at)).is_empty());
}

#[test]
fn what_a_person_acknowledges_in_time_discharges_the_duty_at_that_instant() {
    for (said_after_ms, recorded_after_ms) in [(100_000, 110_000), (299_998, 299_999)] {
        let mut world = World::new();
        let mut tenant = cut(&mut world);
        let t0 = world.now;
        world.obey(&mut tenant);
        world.now = t0.plus_ms(recorded_after_ms);
        let at = t0.plus_ms(said_after_ms);
        let effects = world.apply(&mut tenant, &heard(Some(1), at)).expect("heard");
        assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Discharged { at });
        let cut = tenant.last_cut().expect("a cut");
        assert_eq!(cut.notified_at, Some(at));
        assert_eq!(stopped(&effects), [], "what an operator heard ends no notice");
        let signed = effects.iter().filter_map(|effect| match effect {
            Effect::Acknowledge(signed) => Some((signed.notice, signed.due_at, signed.given.at)),
            _ => None,
        });
        let wanted = (cut.notices[0], Some(t0.plus_ms(300_000)), at);
        assert_eq!(signed.collect::<Vec<_>>(), [wanted]);
        assert!(alarms(&tick(&mut world, &mut tenant, t0.plus_ms(900_000))).is_empty());
    }
}

#[test]
fn an_acknowledgement_recorded_after_the_deadline_prevents_no_breach_even_if_no_tick_came() {
    for ticked in [true, false] {
        let mut world = World::new();
        let mut tenant = cut(&mut world);
        let t0 = world.now;
        world.obey(&mut tenant);
        let late = t0.plus_ms(300_000);
        if ticked {
            tick(&mut world, &mut tenant, late);
        }
        world.now = late;
        let at = t0.plus_ms(200_000);
        world.apply(&mut tenant, &heard(Some(1), at)).expect("heard");
        let state = ObligationState::Breached { at: late, met_at: Some(at) };
        assert_eq!(owed(&tenant, ObligationId::O12b), state);
    }
}

#[test]
fn what_is_acknowledged_before_t0_is_known_counts_once_it_is() {
    let mut world = World::new();
    let mut tenant = cut(&mut world);
    let at = world.now.plus_ms(1_000);
    world.now = at;
    let own = Event::AcknowledgeCut { cut: Some(1) };
    let effects = world.apply(&mut tenant, &own).expect("the customer knows");
    assert_eq!(stopped(&effects), tenant.last_cut().expect("a cut").notices);
    world.now = at.plus_ms(1_000);
    world.obey(&mut tenant);
    assert!(matches!(owed(&tenant, ObligationId::O12b), ObligationState::Discharged { .. }));
    assert!(tenant.applicants.contains("li"), "it acted for the customer");
}

#[test]
fn an_acknowledgement_is_of_a_cut_that_was_made_and_of_an_instant_that_has_been() {
    let mut world = World::new();
    let mut tenant = cut(&mut world);
    let ordered = world.now;
    world.obey(&mut tenant);
    world.now = ordered.plus_ms(10_000);
    let code = |world: &mut World, event: &Event| {
        world.apply(&mut tenant.clone(), event).expect_err("not lawful").code
    };
    assert_eq!(code(&mut world, &heard(Some(2), ordered)), Code::UnknownCut);
    assert_eq!(code(&mut world, &heard(None, ordered)), Code::NotNotified);
    let (early, future) = (ordered.plus_ms(-1), ordered.plus_ms(10_001));
    assert_eq!(code(&mut world, &heard(Some(1), early)), Code::InvalidInput);
    assert_eq!(code(&mut world, &heard(Some(1), future)), Code::InvalidInput);
    world.apply(&mut tenant, &heard(Some(1), ordered)).expect("heard");
    let again = world.apply(&mut tenant, &heard(Some(1), ordered)).expect_err("once");
    assert_eq!(again.code, Code::AlreadyAcknowledged);
}

#[test]
fn a_planned_cut_may_be_made_once_a_person_has_acknowledged_it() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &Event::AnnounceCut { reason: said("a switch") }).expect("announced");
    let planned = Event::Cut { kind: CutKind::Planned, reason: said("a switch") };
    let refusal = world.apply(&mut tenant, &planned).expect_err("nobody knows of it");
    assert_eq!(refusal.code, Code::NotNotified);
    let at = world.now;
    let heard = heard(None, at);
    let refusal = world.apply(&mut tenant, &heard).expect_err("by whoever announced it");
    assert_eq!(refusal.code, Code::SeparationOfDuties);
    let another = actor_for(&heard, "sun");
    tenant = apply(&tenant, &heard, &another, &world.context()).expect("heard").tenant;
    assert_eq!(owed(&tenant, ObligationId::O12a), ObligationState::Discharged { at });
    world.apply(&mut tenant, &planned).expect("grade E3 is enough (R13)");
}
