//! Each invariant, broken by hand: `apply` would never come to such a state, and the check says so.

use super::*;
use crate::core::tenant::{Approval, Chase, HoldAct, OtherDelivery, Served, Waiver, Wipe};

/// A check of a tenant that somebody spoilt after a tick.
fn spoilt(tenant: &Tenant, spoil: impl FnOnce(&mut Transition)) -> Result<(), Refusal> {
    let mut transition =
        Transition { tenant: tenant.clone(), effects: Vec::new(), object: None, changed: true };
    spoil(&mut transition);
    invariant::check(tenant, &Event::Tick, &transition, &Zones::default())
}

fn breaks(rule: &str, outcome: Result<(), Refusal>) {
    let refusal = outcome.expect_err(rule);
    assert_eq!(refusal.code, Code::Invariant);
    assert!(refusal.sentence.contains(rule), "{refusal}");
}

fn approval(name: &str) -> Approval {
    let (at, digest) = (Timestamp::default(), Digest::of(b"x"));
    Approval { name: said(name), at, record: String::new(), digest }
}

fn wipe(names: &[&str]) -> Wipe {
    Wipe {
        attempt: 1,
        approvals: names.iter().map(|name| approval(name)).collect(),
        intents: BTreeMap::new(),
        proven: Vec::new(),
    }
}

fn wipe_order(host: HostId) -> Effect {
    Effect::Order(OrderDraft {
        id: tenure_protocol::id::OrderId::from_uuid(Uuid::from_u128(1)),
        host,
        generation: tenure_protocol::generation::Generation::default(),
        ttl_ms: 1,
        action: v1::Action::Wipe(v1::WipeOrder {
            attempt: 1,
            nonce: [0; 32],
            subjects: Vec::new(),
            approvals: Vec::new(),
        }),
    })
}

#[test]
fn who_applied_and_who_decided_are_never_the_same() {
    let tenant = World::new().on_trial();
    spoilt(&tenant, |_| {}).expect("it is sound");
    let both = |broken: &mut Transition| {
        broken.tenant.applicants.insert(said("zhao"));
    };
    breaks("nobody both applies and decides", spoilt(&tenant, both));
}

#[test]
fn two_persons_are_two() {
    let tenant = World::new().online();
    let rule = "where two persons are asked for, they are two";
    breaks(rule, spoilt(&tenant, |broken| broken.tenant.wipe = Some(wipe(&["sun", "sun"]))));
    let act = HoldAct {
        document: document(),
        reason: said("x"),
        by: said("sun"),
        at: Timestamp::default(),
        countersigned_by: Some(said("sun")),
    };
    let (number, kind, placed, released) = (1, HoldKind::Dispute, act, None);
    let hold = crate::core::tenant::Hold { number, kind, placed, released };
    breaks(rule, spoilt(&tenant, |broken| broken.tenant.holds.push(hold)));
    let mut world = World::new();
    let mut leaving = world.online();
    let ask = leave(world.now, 3, true);
    world.apply(&mut leaving, &ask).expect("asked");
    let waiver = Waiver { by: said("sun"), reason: said("x"), at: Timestamp::default() };
    let twice = |broken: &mut Transition| {
        let offboarding = broken.tenant.offboarding.as_mut().expect("asked");
        offboarding.waivers = vec![waiver.clone(), waiver];
    };
    breaks(rule, spoilt(&leaving, twice));
    for second in [None, Some("sun")] {
        let served_on = "2026-09-02".parse().expect("a date");
        let record = OtherDelivery {
            by: said("sun"),
            at: Timestamp::default(),
            served_on,
            document: document(),
            countersigned_by: second.map(said),
        };
        let alone = |broken: &mut Transition| {
            let offboarding = broken.tenant.offboarding.as_mut().expect("asked");
            let (at, notices, claimed) = (Timestamp::default(), Vec::new(), None);
            let served = Some(Served { on: served_on, record: Some(record) });
            offboarding.chase = Chase::Second { at, notices, claimed, served };
        };
        breaks(rule, spoilt(&leaving, alone));
    }
}

#[test]
fn no_timer_wipes_and_nothing_is_wiped_by_one_person_or_under_a_hold() {
    let rule = "a wipe starts with the second person's approval";
    let tenant = World::new().online();
    let host = *tenant.hosts().first().expect("a host");
    let ordered = |names: &'static [&'static str]| {
        move |broken: &mut Transition| {
            broken.tenant.wipe = Some(wipe(names));
            broken.effects.push(wipe_order(host));
        }
    };
    breaks(rule, spoilt(&tenant, ordered(&["sun", "qian"])));
    let approved = |names, held: bool| {
        let mut transition =
            Transition { tenant: tenant.clone(), effects: Vec::new(), object: None, changed: true };
        ordered(names)(&mut transition);
        if held {
            let mut world = World::new();
            let event = Event::PlaceHold {
                kind: HoldKind::LegalHold,
                document: document(),
                reason: said("a court"),
            };
            world.by(&mut transition.tenant, Role::Security, "han", &event).expect("held");
        }
        invariant::check(&tenant, &Event::ApproveWipe, &transition, &Zones::default())
    };
    approved(&["sun", "qian"], false).expect("two persons");
    breaks(rule, approved(&["sun"], false));
    breaks(rule, approved(&["sun", "qian"], true));
}

#[test]
fn nobody_goes_online_without_a_passed_review_of_just_these_reports() {
    let rule = "a passed review that names both reports";
    let mut world = World::new();
    let trial = world.on_trial();
    let jump = |broken: &mut Transition| {
        broken.tenant.phase = Phase::Online;
        broken.tenant.online_at = Some(Timestamp::default());
    };
    breaks(rule, spoilt(&trial, jump));
    let mut reviewed = trial.clone();
    world.apply(&mut reviewed, &reports()).expect("reports");
    let before = reviewed.clone();
    world.apply(&mut reviewed, &pass()).expect("passed");
    let mut passed =
        Transition { tenant: reviewed, effects: Vec::new(), object: None, changed: true };
    invariant::check(&before, &pass(), &passed, &Zones::default()).expect("it is sound");
    let other = passed.tenant.reports.as_mut().expect("reports");
    other.security_report.sha256 = Digest::of(b"another report");
    breaks(rule, invariant::check(&before, &pass(), &passed, &Zones::default()));
}

#[test]
fn nothing_is_closed_without_every_attestation() {
    let tenant = World::new().online();
    for phase in [Phase::WipeVerified, Phase::Closed] {
        let close = |broken: &mut Transition| broken.tenant.phase = phase;
        breaks("an attestation for everything ever allocated", spoilt(&tenant, close));
    }
}

#[test]
fn no_order_opens_a_port_to_the_internet_too_early() {
    let mut world = World::new();
    let tenant = world.online();
    let mut filed = tenant.clone();
    world.apply(&mut filed, &Event::FileIcp { filing: filing() }).expect("filed");
    let waits = filed.clone();
    let effects = world.apply(&mut filed, &confirm_icp(true)).expect("confirmed");
    assert!(!effects.is_empty(), "the ports open once the filing is confirmed");
    let early = |broken: &mut Transition| broken.effects.clone_from(&effects);
    breaks("nothing comes in from the Internet", spoilt(&tenant, early));
    breaks("nothing comes in from the Internet", spoilt(&waits, early));
    spoilt(&filed, early).expect("filed, they may be open");
}
