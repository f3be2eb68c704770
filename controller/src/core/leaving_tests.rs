//! Leaving, clause by clause: whose word counts, and what stops the way to the wipe.

use super::{clauses::at, *};
use crate::core::tenant::Chase;

#[test]
fn a_late_leaving_keeps_its_day_by_two_waivers_and_else_gets_the_lawful_one() {
    let (sign, grant) = (
        Event::WaivePeriod { reason: said("the office is dissolved") },
        Event::ReviewOffboarding { decision: Decision::Approve, opinion: said("sound") },
    );
    for waived in [false, true] {
        let mut world = World::new();
        let mut tenant = world.online();
        let ask = leave(world.now, 3, true);
        world.apply(&mut tenant, &ask).expect("asked");
        let judge = world.by(&mut tenant, Role::Reviewer, "zhao", &sign).expect_err("a reviewer");
        assert_eq!(judge.code, Code::WrongRole);
        world.by(&mut tenant, Role::Security, "zhou", &sign).expect("one person");
        let again = world.by(&mut tenant, Role::Operator, "zhou", &sign).expect_err("the same");
        assert_eq!(again.code, Code::SeparationOfDuties);
        if waived {
            world.by(&mut tenant, Role::Security, "han", &sign).expect("the second person");
            let third = world.by(&mut tenant, Role::Security, "jiang", &sign).expect_err("enough");
            assert_eq!(third.code, Code::NothingToWaive);
        }
        world.apply(&mut tenant, &grant).expect("granted");
        let stop = tenant.offboarding.as_ref().expect("leaving").stop_day.to_string();
        // Sunday 09-20 is a Work day: fifteen lie between 09-01 and 09-22.
        assert_eq!(stop, if waived { "2026-09-04" } else { "2026-09-22" });
    }
}

#[test]
fn who_never_confirms_is_told_twice_and_only_two_persons_wipe() {
    let mut world = World::new();
    let mut tenant = world.leaving();
    for early in [served(world.now), Event::CountersignService] {
        assert_eq!(world.apply(&mut tenant, &early).expect_err("early").code, Code::NotNotified);
    }
    // The stop day (10-31), the first notice; five Work days on (11-06), the second.
    at(&mut world, "2026-10-30T16:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert!(matches!(chase(&tenant), Chase::First { .. }));
    at(&mut world, "2026-11-06T16:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    let Chase::Second { notices, served: None, .. } = chase(&tenant).clone() else {
        panic!("{:?}", chase(&tenant))
    };
    assert_eq!(tenant.wake_at.filter(|at| *at < world.now.plus_ms(86_400_000)), None);
    let event = Event::NoticeDelivered { notice: notices[0], grade: Grade::E2, at: world.now };
    world.apply(&mut tenant, &event).expect("delivered");
    // Ten Work days of grace after 11-07 end with 11-20.
    at(&mut world, "2026-11-20T15:59:59Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::OffboardingApproved);
    at(&mut world, "2026-11-20T16:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::Draining);
    world.obey(&mut tenant);
    at(&mut world, "2027-11-20T16:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::Stopped, "time alone destroys nothing");
}

fn chase(tenant: &Tenant) -> &Chase {
    &tenant.offboarding.as_ref().expect("leaving").chase
}

#[test]
fn a_hold_stops_every_step_to_the_wipe_until_two_persons_end_it() {
    let mut world = World::new();
    let mut tenant = world.leaving();
    let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
    world.apply(&mut tenant, &confirm).expect("confirmed");
    let place = |kind| Event::PlaceHold { kind, document: document(), reason: said("a court") };
    let release =
        |hold| Event::ReleaseHold { hold, document: document(), reason: said("it is over") };
    let sign = |hold| Event::CountersignHold { hold };
    world.by(&mut tenant, Role::Security, "han", &place(HoldKind::Dispute)).expect("placed");
    world.by(&mut tenant, Role::Security, "han", &place(HoldKind::LegalHold)).expect("placed");
    assert_eq!(tenant.hold_region(), HoldRegion::LegalHold);
    at(&mut world, "2026-12-01T00:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::OffboardingApproved, "held before the stop");
    for hold in [1, 2] {
        world.by(&mut tenant, Role::Security, "han", &release(hold)).expect("asked");
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
        assert_eq!(tenant.phase, Phase::OffboardingApproved, "one person ends nothing");
        let alone = world.by(&mut tenant, Role::Security, "han", &sign(hold)).expect_err("alone");
        assert_eq!(alone.code, Code::SeparationOfDuties);
        world.by(&mut tenant, Role::Reviewer, "zhao", &sign(hold)).expect("two persons");
    }
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    world.obey(&mut tenant);
    assert_eq!(tenant.phase, Phase::Stopped);
    world.by(&mut tenant, Role::Operator, "sun", &Event::ApproveWipe).expect("one person");
    world.by(&mut tenant, Role::Security, "han", &place(HoldKind::LegalHold)).expect("placed");
    let held = world.by(&mut tenant, Role::Security, "han", &Event::ApproveWipe);
    assert_eq!(held.expect_err("held before the wipe").code, Code::OnHold);
}

fn second_notice_sent(world: &mut World) -> Tenant {
    let mut tenant = world.leaving();
    for instant in ["2026-10-30T16:00:00Z", "2026-11-06T16:00:00Z"] {
        at(world, instant);
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
    }
    tenant
}

#[test]
fn a_letter_begins_the_grace_once_a_second_person_has_seen_its_receipt() {
    let mut world = World::new();
    let mut tenant = second_notice_sent(&mut world);
    let sign = Event::CountersignService;
    let record = |day: &str| Event::RecordService {
        served_on: day.parse().expect("a date"),
        document: document(),
    };
    at(&mut world, "2026-11-12T02:00:00Z");
    for day in ["2026-11-06", "2026-11-13"] {
        let odd = world.apply(&mut tenant, &record(day)).expect_err("before it was sent, or later");
        assert_eq!(odd.code, Code::InvalidInput, "{day}");
    }
    world.by(&mut tenant, Role::Operator, "sun", &record("2026-11-09")).expect("mistyped");
    world.by(&mut tenant, Role::Operator, "sun", &record("2026-11-10")).expect("recorded");
    at(&mut world, "2027-03-01T02:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::OffboardingApproved, "one person stops nothing");
    let alone = world.by(&mut tenant, Role::Security, "sun", &sign).expect_err("the same person");
    assert_eq!(alone.code, Code::SeparationOfDuties);
    let theirs = world.by(&mut tenant, Role::Reviewer, "li", &sign).expect_err("the customer's");
    assert_eq!(theirs.code, Code::SeparationOfDuties);

    // Ten Work days after 11-10 end with 11-24, whenever the second person signs.
    let mut world = World::new();
    let mut tenant = second_notice_sent(&mut world);
    at(&mut world, "2026-11-12T02:00:00Z");
    world.by(&mut tenant, Role::Operator, "sun", &record("2026-11-10")).expect("recorded");
    at(&mut world, "2026-11-13T02:00:00Z");
    world.by(&mut tenant, Role::Security, "han", &sign).expect("the second person");
    let Chase::Second { served: Some(served), claimed: None, .. } = chase(&tenant) else {
        panic!("{:?}", chase(&tenant))
    };
    assert_eq!(served.on.to_string(), "2026-11-10");
    at(&mut world, "2026-11-24T15:59:59Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::OffboardingApproved);
    at(&mut world, "2026-11-24T16:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::Draining);
}
