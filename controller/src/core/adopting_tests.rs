//! Cuts that a person ordered on a host itself become the controller's own, once each.

use super::*;
use crate::core::{notice::NoticeKind, tenant::CutEnd};

fn made(event: Event, change: impl FnOnce(&mut HostCut)) -> Event {
    let Event::CutByHost { mut made } = event else { panic!("{event:?}") };
    change(&mut made);
    Event::CutByHost { made }
}

fn orders(effects: &[Effect], kind: fn(&v1::Action) -> bool) -> usize {
    let is = |effect: &&Effect| matches!(effect, Effect::Order(draft) if kind(&draft.action));
    effects.iter().filter(is).count()
}

fn sent(effects: &[Effect], kind: NoticeKind) -> usize {
    let is = |effect: &&Effect| {
        matches!(effect, Effect::Arm(notice) if notice.kind == kind
            && matches!(notice.state, NoticeState::Due { .. }))
    };
    effects.iter().filter(is).count()
}

#[test]
fn a_cut_of_a_host_is_told_ordered_everywhere_and_counted_from_the_hosts_commit() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let t0 = world.now.plus_ms(-120_000);
    let event = cut_by_host(t0, 13, false);
    let effects = world.apply(&mut tenant, &event).expect("adopted");
    let cut = tenant.last_cut().expect("a cut").clone();
    assert_eq!((cut.number, cut.kind, cut.reason.as_str()), (1, CutKind::Emergency, "flood"));
    assert_eq!(cut.ordered_by, "wang.lei (login root) on host alpha");
    assert_eq!(cut.t0.map(|t0| t0.earliest), Some(t0));
    assert!(matches!(tenant.isolation, Isolation::Cutting { cut: id } if id == cut.id));
    assert_eq!(orders(&effects, |one| matches!(one, v1::Action::Cut(_))), tenant.hosts().len());
    assert_eq!(sent(&effects, NoticeKind::Cut), cut.notices.len());
    assert!(!cut.notices.is_empty());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Watch { .. })), "armed again");
    let again = world.apply(&mut tenant, &event).expect("known");
    assert!(again.is_empty() && tenant.cuts.len() == 1, "once");
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
    let known = tenant.last_cut().expect("a cut");
    assert_eq!(known.t0.map(|t0| t0.earliest), Some(t0), "the host's first commit counts");
    let limit = t0.plus_ms(300_000);
    world.now = limit;
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert!(matches!(owed(&tenant, ObligationId::O12b), ObligationState::Breached { .. }));
    world.apply(&mut tenant, &Event::Restore { reason: said("over") }).expect("restored");
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Connected), "the ordinary way");
}

#[test]
fn a_cut_that_ended_on_the_host_orders_nothing_and_the_customer_is_told_of_both() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let event = cut_by_host(world.now.plus_ms(-60_000), 17, true);
    let effects = world.apply(&mut tenant, &event).expect("adopted");
    assert!(matches!(tenant.isolation, Isolation::Connected));
    assert_eq!(orders(&effects, |_| true), 0);
    assert!(sent(&effects, NoticeKind::Cut) > 0 && sent(&effects, NoticeKind::Restored) > 0);
    let cut = tenant.last_cut().expect("a cut");
    assert!(
        matches!(&cut.end, CutEnd::Restored { at: Some(_), notices, .. } if !notices.is_empty())
    );
    assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Open);
    assert!(matches!(owed(&tenant, ObligationId::O12c), ObligationState::Discharged { .. }));
    let notice = cut.notices[0];
    let at = world.now;
    let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at };
    world.apply(&mut tenant, &delivered).expect("delivered");
    assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Discharged { at });
    assert!(world.apply(&mut tenant, &event).expect("known").is_empty());
}

#[test]
fn a_host_that_cut_before_an_open_cut_moves_its_five_minutes_and_makes_no_second_one() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    world.apply(&mut tenant, &cut).expect("cut");
    let t0 = world.now.plus_ms(-90_000);
    let effects = world.apply(&mut tenant, &cut_by_host(t0, 13, false)).expect("adopted");
    assert_eq!(tenant.cuts.len(), 1);
    assert!(
        effects.iter().any(|one| matches!(one, Effect::Release { .. })),
        "its instant is known"
    );
    assert_eq!(tenant.last_cut().and_then(|cut| cut.t0).map(|t0| t0.earliest), Some(t0));
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
}

#[test]
fn a_host_cuts_no_tenant_that_it_does_not_have() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let strange = HostId::from_uuid(Uuid::from_u128(77));
    let lie = made(cut_by_host(world.now, 13, false), |made| made.host = strange);
    let refusal = world.apply(&mut tenant, &lie).expect_err("a lie");
    assert_eq!(refusal.code, Code::ReportMismatch);
    assert!(tenant.cuts.is_empty() && matches!(tenant.isolation, Isolation::Connected));
}

#[test]
fn a_cut_that_was_over_before_the_one_that_is_there_is_a_cut_of_its_own_and_moves_nothing() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let past = cut_by_host(world.now.plus_ms(-3_600_000), 17, true);
    let cut = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    world.apply(&mut tenant, &cut).expect("cut");
    world.obey(&mut tenant);
    let there = tenant.last_cut().expect("a cut").clone();
    let due = tenant.notify_by(&there);
    let effects = world.apply(&mut tenant, &past).expect("adopted");
    assert_eq!(tenant.cuts.len(), 2);
    assert_eq!(tenant.last_cut(), Some(&there), "the one that is there is as it was");
    assert_eq!(tenant.notify_by(&there), due, "and its five minutes");
    let own = &tenant.cuts[0];
    assert_eq!(own.number, 2, "numbers that people quote stay");
    assert!(matches!(&own.end, CutEnd::Restored { notices, .. } if !notices.is_empty()));
    assert!(sent(&effects, NoticeKind::Cut) > 0 && sent(&effects, NoticeKind::Restored) > 0);
    let told = |effect: &Effect| match effect {
        Effect::Arm(notice) => notice.cut == Some(own.id),
        _ => true,
    };
    assert!(effects.iter().all(told), "each notice is about it");
    assert_eq!(orders(&effects, |_| true), 0);
    let o12c = |serial| {
        let is = |owed: &&crate::core::obligation::Obligation| {
            owed.id == ObligationId::O12c && owed.serial == serial
        };
        tenant.obligations.iter().find(is).expect("owed").state
    };
    assert_eq!(o12c(1), ObligationState::Open, "the other one is still cut");
    assert!(matches!(o12c(2), ObligationState::Discharged { .. }));
    assert!(world.apply(&mut tenant, &past).expect("known").is_empty());
    world.apply(&mut tenant, &Event::Restore { reason: said("over") }).expect("restored");
    world.obey(&mut tenant);
    world.apply(&mut tenant, &cut).expect("cut again");
    assert_eq!(tenant.last_cut().map(|cut| cut.number), Some(3));
}

#[test]
fn what_the_host_may_have_told_by_words_written_ahead_is_followed_by_why_and_when() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let foretold = made(cut_by_host(world.now, 13, false), |made| made.foretold = true);
    let effects = world.apply(&mut tenant, &foretold).expect("adopted");
    let first = sent(&effects, NoticeKind::Cut);
    assert_eq!(first, sent(&effects, NoticeKind::CutCorrection));
    let cut = tenant.last_cut().expect("a cut");
    assert_eq!(cut.notices.len(), 2 * first);
    let reserved =
        crate::core::watch::standing(&world.letters, &tenant, cut.id, (world.now, world.now));
    assert!(!reserved.is_empty());
    assert!(reserved.iter().all(|notice| cut.notices.contains(&notice.id)), "the same ids");
}
