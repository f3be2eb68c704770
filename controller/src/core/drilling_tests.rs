//! Drills: who is drilled, what a drill owes, how it ends, and what its report says.

use tenure_protocol::wire::watch::DisarmReason;

use super::*;
use crate::core::{
    drill::{self, Verdict},
    duty::{Need, Now, needs, since},
    notice::NoticeKind,
    tenant::CutEnd,
};

fn drill() -> Event {
    Event::Cut { kind: CutKind::Drill, reason: said("the monthly drill") }
}

/// What persons do about canaries and drills.
pub(super) fn events() -> [Event; 4] {
    let reason = || said("a reason");
    [
        Event::ProposeCanary { reason: reason() },
        Event::ConfirmCanary,
        Event::WithdrawCanary { reason: reason() },
        drill(),
    ]
}

/// A tenant on trial that two persons called a canary.
fn canary(world: &mut World) -> Tenant {
    let mut tenant = world.on_trial();
    let propose = Event::ProposeCanary { reason: said("it is our own") };
    world.by(&mut tenant, Role::Operator, "sun", &propose).expect("proposed");
    world.by(&mut tenant, Role::Security, "han", &Event::ConfirmCanary).expect("confirmed");
    tenant
}

fn arrives(world: &mut World, tenant: &mut Tenant) {
    let notice = tenant.last_cut().expect("a cut").notices[0];
    let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
    world.apply(tenant, &event).expect("delivered");
}

fn measured(world: &mut World, tenant: &mut Tenant) {
    let (cut, at) = (tenant.last_cut().expect("a cut").id, world.now);
    let event = Event::DrillMeasured { cut, received_at: at, durable_at: at.plus_ms(20) };
    world.apply(tenant, &event).expect("measured");
}

fn verdict(world: &World, tenant: &Tenant) -> drill::DrillReport {
    let (cut, drill) = tenant.last_drill().expect("a drill");
    drill::report(cut, drill, &world.rules, world.now)
}

fn on_desk(world: &World, tenant: &Tenant) -> Vec<(Need, &'static str)> {
    let now = Now { legal: world.now, real: world.now };
    assert_eq!(tenant.duty_at, since(tenant, &world.rules), "it is kept with the tenant");
    let needs = needs(tenant, &BTreeMap::new(), &world.rules, now);
    let of = needs.iter().filter(|one| one.need != Need::CutPending);
    of.map(|one| (one.need, one.standing)).collect()
}

#[test]
fn only_what_two_persons_called_a_canary_is_drilled_and_only_while_it_runs_and_is_connected() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let mut no = |tenant: &mut Tenant, name: &str, event: &Event| {
        let role = if name == "han" { Role::Security } else { Role::Operator };
        world.by(tenant, role, name, event).map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(no(&mut tenant, "sun", &drill()), Err(Code::NotACanary));
    assert_eq!(no(&mut tenant, "han", &Event::ConfirmCanary), Err(Code::NothingToConfirm));
    let propose = Event::ProposeCanary { reason: said("it is our own") };
    assert_eq!(no(&mut tenant, "sun", &propose), Ok(()));
    assert_eq!(no(&mut tenant, "sun", &drill()), Err(Code::NotACanary), "one person's word");
    assert_eq!(no(&mut tenant, "sun", &Event::ConfirmCanary), Err(Code::SeparationOfDuties));
    assert_eq!(no(&mut tenant, "han", &Event::ConfirmCanary), Ok(()));
    let running = tenant.clone();
    for instance in &mut tenant.allotment.as_mut().expect("granted").instances {
        instance.power = Some(Power::Stopped);
    }
    assert_eq!(no(&mut tenant, "sun", &drill()), Err(Code::NothingRuns));
    let mut tenant = running;
    assert_eq!(no(&mut tenant, "sun", &drill()), Ok(()));
    assert_eq!(no(&mut tenant, "sun", &drill()), Err(Code::WrongIsolation), "it is cut");
    let mut tenant = canary(&mut world);
    let withdraw = Event::WithdrawCanary { reason: said("it is sold") };
    world.by(&mut tenant, Role::Operator, "sun", &withdraw).expect("withdrawn");
    let refusal = world.apply(&mut tenant, &drill()).expect_err("no canary any more");
    assert!(refusal.sentence.contains("no canary"), "{refusal}");
    let twice = world.by(&mut tenant, Role::Operator, "sun", &withdraw).expect_err("nothing");
    assert_eq!(twice.code, Code::AlreadyDecided);
}

#[test]
fn a_drill_is_an_emergency_cut_that_says_so_first_and_owes_the_law_nothing() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    let effects = world.apply(&mut tenant, &drill()).expect("drilled");
    let orders = effects.iter().filter(|effect| matches!(effect, Effect::Order(_))).count();
    let watches = effects.iter().filter(|effect| matches!(effect, Effect::Watch { .. })).count();
    assert_eq!((orders, watches), (2, 2));
    let armed: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Arm(notice) => Some(notice),
            _ => None,
        })
        .collect();
    assert!(armed[0].subject.starts_with("【演练 DRILL】"), "{}", armed[0].subject);
    assert!(armed[0].body.contains("应急断网演练") && armed[0].body.contains("DRILL:"));
    let payload: serde_json::Value = serde_json::from_str(&armed[0].payload).expect("JSON");
    assert_eq!(payload["data"]["drill"], true);
    let before = tenant.obligations.clone();
    world.obey(&mut tenant);
    // The ladder is climbed as in an emergency, and nothing is breached.
    world.now = world.now.plus_ms(61_000);
    let effects = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    let called = effects.iter().find_map(|effect| match effect {
        Effect::Arm(notice) if notice.kind == NoticeKind::DutyAlarm => Some(notice),
        _ => None,
    });
    assert!(called.expect("the desk is called").subject.starts_with("【演练 DRILL】"));
    world.now = world.now.plus_ms(300_000);
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.obligations, before, "neither O12b nor O12c");
}

#[test]
fn a_drill_that_is_proven_and_told_is_restored_by_itself_and_its_report_has_every_time() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    measured(&mut world, &mut tenant);
    assert_eq!(on_desk(&world, &tenant), [(Need::Drill, "under-way")]);
    world.now = world.now.plus_ms(200);
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }), "proven, and nobody is told");
    assert_eq!(verdict(&world, &tenant).verdict, Verdict::UnderWay);
    world.now = world.now.plus_ms(900);
    arrives(&mut world, &mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Restoring { .. }));
    world.now = world.now.plus_ms(50);
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Connected));
    let report = verdict(&world, &tenant);
    let steps: Vec<_> = report.steps.iter().map(|step| (step.step, step.after_ms)).collect();
    let wanted = [
        ("durable", Some(20)),
        ("t0", Some(181)),
        ("proven", Some(-1)),
        ("told", Some(900)),
        ("restored", Some(51)),
    ];
    assert_eq!(steps, wanted);
    assert_eq!((report.verdict, report.silent.len()), (Verdict::Passed, 0));
    assert_eq!(on_desk(&world, &tenant), []);
    // A month later it is due again.
    world.now = world.now.plus_ms(32 * 86_400_000);
    let due = drill::due_at(&tenant).expect("a canary");
    assert!(due <= world.now);
    let found = on_desk(&world, &tenant);
    assert!(found.contains(&(Need::Drill, "overdue")), "{found:?}");
}

#[test]
fn a_drill_that_nobody_hears_of_ends_after_its_limit_fails_and_stays_on_the_desk() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    measured(&mut world, &mut tenant);
    world.obey(&mut tenant);
    let ends_at = tenant.last_cut().expect("a cut").counts_from().plus_ms(drill::LONGEST_MS);
    while world.now < ends_at {
        assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
        world.now = tenant.wake_at.expect("it is waited for").min(ends_at);
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
    }
    assert!(matches!(tenant.isolation, Isolation::Restoring { .. }));
    world.obey(&mut tenant);
    let report = verdict(&world, &tenant);
    assert_eq!((report.verdict, report.silent.len()), (Verdict::Failed, 1));
    assert_eq!(on_desk(&world, &tenant), [(Need::Drill, "failed")]);
    // What arrives late does not mend it.
    world.now = world.now.plus_ms(1);
    arrives(&mut world, &mut tenant);
    assert_eq!(verdict(&world, &tenant).verdict, Verdict::Failed);
}

#[test]
fn a_drill_that_no_host_carries_out_has_failed() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    let cuts = tenant.orders.iter().filter(|order| order.kind == OrderKind::Cut);
    let cuts: Vec<_> = cuts.map(|order| (order.host, order.id)).collect();
    for (host, order) in cuts {
        let report = Reported::Refused { code: said("stale-generation"), message: said("old") };
        let refused = Event::OrderReported { host, order, report };
        world.apply(&mut tenant, &refused).expect("a report");
    }
    assert!(matches!(tenant.isolation, Isolation::Connected));
    world.now = world.now.plus_ms(drill::LONGEST_MS);
    assert_eq!(verdict(&world, &tenant).verdict, Verdict::Failed);
}

#[test]
fn a_cut_in_earnest_overtakes_a_drill_and_nothing_restores_it() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    world.obey(&mut tenant);
    let flood = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    let by_host = cut_by_host(world.now, 13, false);
    for earnest in [flood, by_host] {
        let mut tenant = tenant.clone();
        world.apply(&mut tenant, &earnest).expect("cut");
        world.obey(&mut tenant);
        let cut = tenant.last_cut().expect("a cut");
        assert_eq!((cut.number, cut.kind), (2, CutKind::Emergency));
        assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Open);
        assert!(on_desk(&world, &tenant).contains(&(Need::CutUntold, "trying")));
        arrives(&mut world, &mut tenant);
        let later = world.now.plus_ms(drill::LONGEST_MS);
        let now = std::mem::replace(&mut world.now, later);
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
        assert!(matches!(tenant.isolation, Isolation::Cut { .. }), "by a person alone");
        world.now = now;
    }
}

#[test]
fn nothing_of_a_drill_that_is_overtaken_goes_out_and_hosts_forget_it() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    world.obey(&mut tenant);
    arrives(&mut world, &mut tenant);
    let drilled = tenant.last_cut().expect("a cut").clone();
    let CutEnd::Restored { notices, .. } = &drilled.end else { panic!("{drilled:?}") };
    let flood = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    let effects = world.apply(&mut tenant, &flood).expect("cut");
    let stopped = |id: &NoticeId| {
        let is = |one: &Effect| matches!(one, Effect::Stop { notices, .. } if notices.contains(id));
        effects.iter().any(is)
    };
    assert!(!notices.is_empty() && notices.iter().chain(&drilled.notices).all(stopped));
    let forgotten = |one: &Effect| {
        let reason = DisarmReason::Overtaken;
        matches!(one, Effect::Disarm { cut, reason: why } if *cut == drilled.id && *why == reason)
    };
    assert!(effects.iter().any(forgotten), "{effects:?}");
}

#[test]
fn a_cut_of_a_host_that_was_over_during_a_drill_is_told_in_earnest_and_the_drill_goes_on() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    world.obey(&mut tenant);
    let drilled = tenant.last_cut().expect("a cut").id;
    world.apply(&mut tenant, &cut_by_host(world.now, 13, true)).expect("adopted");
    let [own, last] = &tenant.cuts[..] else { panic!("{:?}", tenant.cuts) };
    assert_eq!((own.kind, last.id), (CutKind::Emergency, drilled));
    assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Open);
    assert!(tenant.isolation.cut() == Some(drilled));
}

#[test]
fn one_drill_does_not_follow_another_at_once() {
    let mut world = World::new();
    let mut tenant = canary(&mut world);
    world.apply(&mut tenant, &drill()).expect("drilled");
    world.obey(&mut tenant);
    arrives(&mut world, &mut tenant);
    world.obey(&mut tenant);
    assert_eq!(tenant.isolation, Isolation::Connected);
    let refused = world.apply(&mut tenant, &drill());
    assert_eq!(refused.expect_err("a canary is not cut all the time").code, Code::TooSoon);
    world.now = world.now.plus_ms(3_700_000);
    world.apply(&mut tenant, &drill()).expect("an hour later");
}
