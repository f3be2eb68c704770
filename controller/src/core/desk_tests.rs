//! The duty desk: what is on it, in what order, and from when.

use super::*;
use crate::core::duty::{HostStanding, Need, Now, OnDesk, needs, since, without_standing};

fn desk(world: &World, tenant: &Tenant, up: bool) -> Vec<OnDesk> {
    let standing = |host: HostId| (host, HostStanding { name: format!("of {host}"), up });
    let hosts = tenant.hosts().into_iter().map(standing).collect();
    let now = Now { legal: world.now, real: world.now };
    needs(tenant, &hosts, &world.rules, now)
}

fn seen(needs: &[OnDesk]) -> Vec<(Need, &'static str)> {
    needs.iter().map(|one| (one.need, one.standing)).collect()
}

/// Whether the tenant is read at all when somebody looks now.
fn is_read(world: &World, tenant: &Tenant) -> bool {
    assert_eq!(tenant.duty_at, since(tenant, &world.rules), "it is kept with the tenant");
    tenant.duty_at.is_some_and(|at| at <= world.now)
}

#[test]
fn a_cut_that_nobody_knows_of_stands_first_with_its_seconds_and_its_telephone() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    tenant.application.contacts[0].mobile = Some(said("13800000000"));
    let cut = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    world.apply(&mut tenant, &cut).expect("cut");
    let ordered = world.now;
    assert_eq!(
        seen(&desk(&world, &tenant, false)),
        [
            (Need::CutUntold, "trying"),
            (Need::CutPending, "unreachable"),
            (Need::CutPending, "unreachable"),
            (Need::CutOpen, "cutting"),
        ]
    );
    world.now = ordered.plus_ms(1_000);
    world.obey(&mut tenant);
    for (after_ms, standing, left_ms) in [
        (2_000, "trying", 299_000),
        (61_000, "second-contacts", 240_000),
        (181_000, "phone", 120_000),
        (301_000, "breached", 0),
    ] {
        world.now = ordered.plus_ms(after_ms);
        let found = desk(&world, &tenant, true);
        assert!(is_read(&world, &tenant));
        assert_eq!(seen(&found), [(Need::CutUntold, standing), (Need::CutOpen, "cut")]);
        assert_eq!(found[0].due.map(|due| due.left_ms), Some(left_ms));
        assert_eq!(found[0].phones[0].number, "13800000000");
    }
    let heard = heard(Some(1), world.now);
    world.apply(&mut tenant, &heard).expect("heard");
    assert_eq!(seen(&desk(&world, &tenant, true)), [(Need::CutOpen, "cut")]);
}

#[test]
fn a_cut_that_was_restored_untold_stays_until_it_is_told() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    world.apply(&mut tenant, &cut).expect("cut");
    world.obey(&mut tenant);
    world.apply(&mut tenant, &Event::Restore { reason: said("over") }).expect("restored");
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Connected));
    assert!(is_read(&world, &tenant));
    assert_eq!(seen(&desk(&world, &tenant, true)), [(Need::CutUntold, "trying")]);
    let heard = heard(Some(1), world.now);
    world.apply(&mut tenant, &heard).expect("heard");
    assert!(desk(&world, &tenant, true).is_empty());
    assert!(!is_read(&world, &tenant), "nothing is left for the desk today");
}

#[test]
fn a_planned_cut_waits_on_the_desk_for_its_notice() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &Event::AnnounceCut { reason: said("a switch") }).expect("announced");
    assert!(is_read(&world, &tenant));
    assert_eq!(seen(&desk(&world, &tenant, true)), [(Need::PlannedCut, "not-notified")]);
    let notice = tenant.announcement.as_ref().expect("announced").notices[0];
    let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
    world.apply(&mut tenant, &delivered).expect("delivered");
    assert_eq!(seen(&desk(&world, &tenant, true)), [(Need::PlannedCut, "notified")]);
}

#[test]
fn what_the_provider_owes_is_there_from_a_day_before_its_end_on_and_what_customers_owe_is_not() {
    let mut world = World::new();
    let tenant = world.submitted();
    let opinion = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O3);
    let due = opinion.and_then(|owed| owed.due.due_at()).expect("five working days");
    for (before_ms, expected) in [
        (86_400_001, &[][..]),
        (86_400_000, &[(Need::Deadline, "due")]),
        (1, &[(Need::Deadline, "due")]),
        (0, &[(Need::Deadline, "overdue")]),
    ] {
        world.now = due.plus_ms(-before_ms);
        assert_eq!(seen(&desk(&world, &tenant, true)), expected, "{before_ms} ms before");
        assert_eq!(is_read(&world, &tenant), !expected.is_empty(), "{before_ms} ms before");
    }
    let mut world = World::new();
    let tenant = world.on_trial();
    let reports = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O7a);
    world.now = reports.and_then(|owed| owed.due.due_at()).expect("a trial's end");
    let found = desk(&world, &tenant, true);
    let about: Vec<_> = found.iter().map(|one| one.about.as_str()).collect();
    assert!(!about.contains(&"O7a") && !about.contains(&"O6a"), "{about:?}");
}

#[test]
fn a_stopped_tenant_waits_for_two_approvals_unless_something_holds_it() {
    let mut world = World::new();
    let mut tenant = world.leaving();
    let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
    world.apply(&mut tenant, &confirm).expect("confirmed");
    world.now = tenant.wake_at.expect("the stop day");
    while tenant.phase != Phase::Stopped {
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
        world.obey(&mut tenant);
        world.now = tenant.wake_at.unwrap_or(world.now).max(world.now.plus_ms(1));
    }
    let wipe = |needs: &[OnDesk]| {
        let mut of = needs.iter().filter(|one| one.need == Need::WipeApproval);
        of.next().map(|one| one.about.clone())
    };
    assert_eq!(wipe(&desk(&world, &tenant, true)).as_deref(), Some("0/2"));
    assert!(is_read(&world, &tenant));
    world.by(&mut tenant, Role::Operator, "sun", &Event::ApproveWipe).expect("approved");
    assert_eq!(wipe(&desk(&world, &tenant, true)).as_deref(), Some("1/2"));
    let (kind, document) = (HoldKind::Dispute, document());
    let hold = Event::PlaceHold { kind, document, reason: said("a claim") };
    world.by(&mut tenant, Role::Security, "han", &hold).expect("held");
    assert_eq!(wipe(&desk(&world, &tenant, true)), None);
}

#[test]
fn a_host_without_standing_packets_is_on_the_desk_after_everything_else() {
    let mut world = World::new();
    let tenant = world.submitted();
    let opinion = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O3);
    world.now = opinion.and_then(|owed| owed.due.due_at()).expect("five working days");
    let mut needs = vec![without_standing("alpha", 3), without_standing("beta", 1)];
    needs.extend(desk(&world, &tenant, true));
    needs.sort_by_key(OnDesk::urgency);
    let lost = (Need::StandingLost, "not-kept");
    assert_eq!(seen(&needs), [(Need::Deadline, "overdue"), lost, lost]);
    let said: Vec<_> = needs[1..].iter().map(|one| one.words.as_deref()).collect();
    let words = ["keeps no standing packet for 3 tenants", "keeps no standing packet for 1 tenant"];
    assert_eq!(said, words.map(Some));
    assert_eq!(needs[1].about, "alpha");
}
