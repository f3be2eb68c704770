//! What random histories have found: each fault with a case of its own.

use super::*;
use crate::core::lifecycle::recount;

#[test]
fn a_notice_that_brings_a_deadline_forward_waits_for_its_signature_once() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let amends = super::deadlines::notice(2026, true, &[], &["2026-09-12", "2026-09-13"]);
    world.calendar.add(amends).expect("a notice");
    let changes = recount::changes(&tenant, &world.calendar, world.now);
    assert!(!changes.is_empty());
    let (notice, reason) = (said("notice"), said("new"));
    let event = Event::Recount { notice, reason, changes };
    world.apply(&mut tenant, &event).expect("counted anew");
    let once = tenant.obligations.clone();
    world.apply(&mut tenant, &event).expect("again");
    assert_eq!(tenant.obligations, once);
}

#[test]
fn a_review_that_goes_on_under_another_calendar_is_not_due_earlier() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let due = |tenant: &Tenant| tenant.obligations[0].due.due_at();
    let before = due(&tenant);
    world.apply(&mut tenant, &Event::SuspendReview { reason: said("x") }).expect("suspended");
    let work = ["2026-09-05", "2026-09-06", "2026-09-12", "2026-09-13"];
    world.calendar.add(super::deadlines::notice(2026, true, &[], &work)).expect("a notice");
    world.apply(&mut tenant, &Event::ResumeReview).expect("resumed");
    assert_eq!(due(&tenant), before);
}

#[test]
fn a_reminder_that_has_passed_wakes_the_tenant_at_once() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    // The first rung of O5 is on the 10th at 9; something else happens before time is looked at.
    world.now = "2026-09-10T02:00:00Z".parse().expect("an instant");
    world.apply(&mut tenant, &Event::FileIcp { filing: filing() }).expect("filed");
    assert!(tenant.wake_at.is_some_and(|at| at <= world.now), "{:?}", tenant.wake_at);
}

#[test]
fn a_host_that_proves_its_wipe_late_ends_a_wipe_that_counted_as_failed() {
    let mut world = World::new();
    let mut tenant = world.leaving();
    let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
    world.apply(&mut tenant, &confirm).expect("confirmed");
    world.now = "2026-12-01T00:00:00Z".parse().expect("an instant");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    world.obey(&mut tenant);
    for name in ["sun", "han"] {
        world.by(&mut tenant, Role::Operator, name, &Event::ApproveWipe).expect("approved");
    }
    let mut late = answers(&tenant, world.now);
    let last = late.pop().expect("a host");
    let Event::OrderReported { host, order, .. } = last else { panic!("{last:?}") };
    let report = Reported::Failed { code: said("eio"), message: said("broken"), findings: vec![] };
    let broken = Event::OrderReported { host, order, report };
    world.apply(&mut tenant, &broken).expect("a failure");
    for event in late {
        world.apply(&mut tenant, &event).expect("a sound report");
    }
    assert_eq!(tenant.phase, Phase::WipeFailed);
    world.by(&mut tenant, Role::Operator, "sun", &Event::ApproveWipe).expect("one of two");
    world.apply(&mut tenant, &last).expect("the host got on after all");
    assert_eq!(tenant.phase, Phase::WipeVerified, "or nothing would be left to order");
}
