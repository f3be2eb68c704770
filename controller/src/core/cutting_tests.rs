//! Cuts: their notices, a cut that no host made, and the five minutes.

use super::*;

#[test]
fn an_emergency_cut_arms_its_notices_in_the_transition_that_orders_it() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
    let effects = world.apply(&mut tenant, &cut).expect("cut");
    let orders = effects.iter().filter(|effect| matches!(effect, Effect::Order(_))).count();
    let armed: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Arm(notice) => Some(&notice.state),
            _ => None,
        })
        .collect();
    assert_eq!((orders, armed.len()), (2, 1));
    let release_at = world.now.plus_ms(3_000);
    assert_eq!(armed[0], &NoticeState::Armed { release_at });
    assert!(tenant.last_cut().expect("a cut").t0.is_none());
}

#[test]
fn a_cut_that_every_host_failed_is_void_and_taken_back_on_each() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
    world.apply(&mut tenant, &cut).expect("cut");
    let cuts = tenant.orders.iter().filter(|order| order.kind == OrderKind::Cut);
    let cuts: Vec<_> = cuts.map(|order| (order.host, order.id)).collect();
    let mut effects = Vec::new();
    for (host, order) in cuts {
        let (code, message) = ("not-attested".to_owned(), "no proof".to_owned());
        let report = Reported::Failed { code, message, findings: Vec::new() };
        let failed = Event::OrderReported { host, order, report };
        effects = world.apply(&mut tenant, &failed).expect("a report");
    }
    assert!(matches!(tenant.isolation, Isolation::Connected));
    let restores = effects.iter().filter(|effect| {
        matches!(effect, Effect::Order(draft) if matches!(draft.action, v1::Action::Restore(_)))
    });
    assert_eq!(restores.count(), tenant.hosts().len());
    let restores = tenant.orders.iter().filter(|order| order.kind == OrderKind::Restore);
    let (host, order) = restores.map(|order| (order.host, order.id)).next().expect("a restore");
    let (code, message) = ("nft-failed".to_owned(), "busy".to_owned());
    let report = Reported::Failed { code, message, findings: Vec::new() };
    let failed = Event::OrderReported { host, order, report };
    world.apply(&mut tenant, &failed).expect("a report");
    assert_eq!(tenant.wake_at, Some(world.now.plus_ms(5_000)), "and again until it has");
    world.now = world.now.plus_ms(5_000);
    let again = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    let [Effect::Order(draft)] = again.as_slice() else { panic!("{again:?}") };
    assert!(matches!(draft.action, v1::Action::Restore(_)) && draft.host == host, "{draft:?}");
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Connected));
    world.now = world.now.plus_ms(5_000);
    assert!(world.apply(&mut tenant, &Event::Tick).expect("a tick").is_empty(), "then it is over");
}

#[test]
fn three_hundred_seconds_after_the_first_dropped_packet_the_duty_to_notify_is_breached_for_good() {
    for (late_ms, met_in_time) in [(299_999, true), (300_000, false)] {
        let mut world = World::new();
        let mut tenant = world.on_trial();
        let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
        world.apply(&mut tenant, &cut).expect("cut");
        let t0 = world.now;
        world.obey(&mut tenant);
        assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
        let notice = tenant.last_cut().expect("a cut").notices[0];
        let sent = Event::NoticeDelivered { notice, grade: Grade::E1, at: t0 };
        world.apply(&mut tenant, &sent).expect("sent");
        assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Open, "E1 is not enough");
        world.now = t0.plus_ms(late_ms);
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
        let at = world.now;
        let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at };
        world.apply(&mut tenant, &delivered).expect("delivered");
        let expected = if met_in_time {
            ObligationState::Discharged { at }
        } else {
            ObligationState::Breached { at, met_at: Some(at) }
        };
        assert_eq!(owed(&tenant, ObligationId::O12b), expected);
    }
}

#[test]
fn the_ladder_is_climbed_as_the_design_says() {
    use crate::core::notice::next_rung;
    let since = Timestamp::from_unix_ms(1_000_000);
    let mut at = since;
    let mut rungs = BTreeMap::new();
    for number in 0..9 {
        at = next_rung(since, at).expect("a rung");
        rungs.insert(number, at.ms_since(since) / 1000);
    }
    let seconds: Vec<i64> = rungs.into_values().collect();
    assert_eq!(seconds, [5, 15, 30, 60, 90, 120, 180, 240, 540]);
}
