//! The monthly probe of the channels to contacts, and contacts that change.

use tenure_protocol::channel::Secret;

use super::*;
use crate::core::{
    duty::{Need, Now, needs},
    notice::{Notice, NoticeKind, Outcome, Try},
    tenant::{Probe, Webhook, former::FORMER_DAYS},
};

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn armed(effects: &[Effect], kind: NoticeKind) -> Vec<Notice> {
    let of = |effect: &Effect| match effect {
        Effect::Arm(notice) if notice.kind == kind => Some((**notice).clone()),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

/// Lets time pass to each instant that the tenant asks for, until this one; gives what followed.
fn until(world: &mut World, tenant: &mut Tenant, end: &str) -> Vec<Effect> {
    let mut all = Vec::new();
    while let Some(wake) = tenant.wake_at.filter(|wake| *wake <= at(end)) {
        world.now = wake.max(world.now.plus_ms(1));
        all.extend(world.apply(tenant, &Event::Tick).expect("a tick"));
    }
    world.now = at(end);
    all
}

fn probe(tenant: &Tenant) -> &Probe {
    tenant.probe.as_ref().expect("a probe")
}

fn on_desk(world: &World, tenant: &Tenant) -> Vec<(&'static str, Option<String>)> {
    let now = Now { legal: world.now, real: world.now };
    let all = needs(tenant, &std::collections::BTreeMap::new(), &world.rules, now);
    let contacts = all.into_iter().filter(|one| one.need == Need::Contacts);
    contacts.map(|one| (one.standing, one.words)).collect()
}

#[test]
fn each_months_first_working_day_brings_a_probe_and_a_week_later_what_is_missing() {
    let mut world = World::new();
    world.now = at("2026-01-15T02:00:00Z");
    let mut tenant = world.online();
    let webhook =
        Webhook { url: said("https://a.example/hook"), secret: Secret::new("whsec_AAAA") };
    tenant.application.contacts[0].webhook = Some(webhook);
    // The 1st of February is a Sunday, and the 2nd a working day.
    assert_eq!(
        armed(&until(&mut world, &mut tenant, "2026-02-02T00:59:59Z"), NoticeKind::Probe),
        []
    );
    let sent = until(&mut world, &mut tenant, "2026-02-02T01:00:00Z");
    let sent = armed(&sent, NoticeKind::Probe);
    assert_eq!(sent.len(), 2, "over each channel: {sent:?}");
    assert!(sent[0].body.contains("2026-02") && sent[0].subject.contains("Test of emergency"));
    let arrived = |notice: &Notice, grade| Event::NoticeDelivered {
        notice: notice.id,
        grade,
        at: at("2026-02-02T01:00:05Z"),
    };
    world.apply(&mut tenant, &arrived(&sent[0], Grade::E1)).expect("sent");
    assert_eq!(probe(&tenant).silent().count(), 1);
    assert_eq!(on_desk(&world, &tenant), [], "it has a week");
    let told = until(&mut world, &mut tenant, "2026-02-09T01:00:00Z");
    let told = armed(&told, NoticeKind::ProviderReminder);
    let told: Vec<_> = told.iter().filter(|one| one.subject.contains("unanswered")).collect();
    assert_eq!(told.len(), 1, "the duty desk, once");
    assert!(told[0].body.contains("(webhook)") && told[0].body.contains("not acknowledged"));
    let [(standing, words)] = &on_desk(&world, &tenant)[..] else { panic!("on the desk") };
    assert!(*standing == "not-delivered" && words.as_ref().is_some_and(|one| one.contains("hook")));
    world.apply(&mut tenant, &arrived(&sent[1], Grade::E2)).expect("arrived late");
    assert_eq!(on_desk(&world, &tenant), [("unacknowledged", None)]);
    world.by(&mut tenant, Role::Customer, "li", &Event::AcknowledgeProbe).expect("acknowledged");
    assert_eq!(on_desk(&world, &tenant), []);
    let again = world.by(&mut tenant, Role::Customer, "li", &Event::AcknowledgeProbe);
    assert_eq!(again.expect_err("once").code, Code::AlreadyAcknowledged);
    let later = until(&mut world, &mut tenant, "2026-03-02T01:00:00Z");
    assert_eq!(armed(&later, NoticeKind::Probe).len(), 2, "and so each month");
    assert!(probe(&tenant).acknowledged.is_none());
}

#[test]
fn after_a_standstill_of_months_there_is_one_probe_and_after_the_stop_none() {
    let mut world = World::new();
    world.now = at("2026-01-15T02:00:00Z");
    let mut tenant = world.online();
    world.now = at("2026-05-20T02:00:00Z");
    let sent = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(armed(&sent, NoticeKind::Probe).len(), 1);
    assert_eq!(probe(&tenant).month.to_string(), "2026-05-01");
    let again = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(armed(&again, NoticeKind::Probe), []);
    tenant.phase = Phase::Stopped;
    world.now = at("2026-06-10T02:00:00Z");
    let stopped = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(armed(&stopped, NoticeKind::Probe), []);
}

#[test]
fn new_contacts_are_probed_at_once_and_those_before_them_are_told() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let old = tenant.application.contacts.clone();
    let new = Contact {
        name: said("new desk"),
        email: Some(said("new@bureau.example")),
        designated: vec![Designated::Email],
        ..Contact::default()
    };
    let set = |contacts: &[Contact]| Event::SetContacts { contacts: contacts.to_vec() };
    let nobody = world.by(&mut tenant, Role::Customer, "li", &set(&[]));
    assert_eq!(nobody.expect_err("nobody").code, Code::InvalidInput);
    let unreachable = Contact { name: said("nobody"), ..Contact::default() };
    let refused = world.by(&mut tenant, Role::Customer, "li", &set(&[unreachable]));
    assert_eq!(refused.expect_err("no channel").code, Code::InvalidInput);
    let stranger = world.by(&mut tenant, Role::Operator, "sun", &set(std::slice::from_ref(&new)));
    assert_eq!(stranger.expect_err("the customer's own").code, Code::WrongRole);

    let done = world.by(&mut tenant, Role::Customer, "li", &set(std::slice::from_ref(&new)));
    let done = done.expect("changed");
    let to = |kind| -> Vec<String> {
        armed(&done, kind).iter().map(|notice| notice.contact.clone()).collect()
    };
    assert_eq!(to(NoticeKind::Probe), ["new desk"]);
    assert!(to(NoticeKind::ContactsChanged).iter().all(|name| *name == old[0].name));
    assert!(!to(NoticeKind::ContactsChanged).is_empty());
    assert!(armed(&done, NoticeKind::ContactsChanged)[0].body.contains("li"));
    assert_eq!(tenant.application.contacts, std::slice::from_ref(&new));
    let again = world.by(&mut tenant, Role::Customer, "li", &set(std::slice::from_ref(&new)));
    assert_eq!(again.expect_err("at once").code, Code::TooSoon);
    world.now = world.now.plus_ms(10 * 60_000);
    let sms = Contact { mobile: Some(said("13800000000")), ..new.clone() };
    let more = world.by(&mut tenant, Role::Customer, "li", &set(&[sms])).expect("changed");
    assert_eq!(armed(&more, NoticeKind::ContactsChanged), [], "it is reached as before");
    assert_eq!(armed(&more, NoticeKind::Probe).len(), 1);
    let cut = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    let cut = armed(&world.apply(&mut tenant, &cut).expect("cut"), NoticeKind::Cut);
    assert_eq!((cut.len(), cut[0].contact.as_str()), (2, "new desk"), "and the one before it");
}

/// A tenant whose only contact, which is given, somebody has replaced, and when.
fn taken_over(world: &mut World) -> (Tenant, Contact, Timestamp) {
    let mut tenant = world.on_trial();
    let old = Contact {
        mobile: Some(said("13800000001")),
        designated: vec![Designated::Email, Designated::Sms],
        ..tenant.application.contacts[0].clone()
    };
    tenant.application.contacts = vec![old.clone()];
    // Whoever has the account now leaves the telephone, and has it sent nothing.
    let thief = Contact {
        name: said("thief"),
        email: Some(said("thief@elsewhere.example")),
        mobile: old.mobile.clone(),
        designated: vec![Designated::Email],
        ..Contact::default()
    };
    let set = |contact: &Contact| Event::SetContacts { contacts: vec![contact.clone()] };
    world.by(&mut tenant, Role::Customer, "mallory", &set(&thief)).expect("changed");
    let changed = world.now;
    // Again and again, so that what was first might be forgotten.
    for n in 0..3 {
        world.now = world.now.plus_ms(10 * 60_000);
        let next = Contact { email: Some(format!("thief{n}@elsewhere.example")), ..thief.clone() };
        world.by(&mut tenant, Role::Customer, "mallory", &set(&next)).expect("changed");
    }
    (tenant, old, changed)
}

fn flooded() -> Event {
    Event::Cut { kind: CutKind::Emergency, reason: said("flood") }
}

#[test]
fn for_a_week_those_before_are_told_of_cuts_too_and_who_replaced_them_and_prove_no_arrival() {
    let mut world = World::new();
    let (mut tenant, old, changed) = taken_over(&mut world);
    let effects = world.apply(&mut tenant, &flooded()).expect("cut");
    let to_old = |effects: &[Effect], kind| -> Vec<Notice> {
        armed(effects, kind).into_iter().filter(|notice| notice.contact == old.name).collect()
    };
    let told = to_old(&effects, NoticeKind::Cut);
    let channels: Vec<_> = told.iter().map(|notice| notice.channel.as_str()).collect();
    assert_eq!(channels, ["mail", "sms"]);
    let cut_of = tenant.last_cut().expect("a cut").clone();
    for notice in &told {
        let known = cut_of.notices.contains(&notice.id);
        assert!(!notice.designated && !known, "it proves no arrival");
        assert!(cut_of.former.contains(&notice.id));
        for words in ["由 mallory 变更", &crate::core::letter::local(changed)] {
            assert!(notice.body.contains(words), "{words}: {}", notice.body);
        }
        let mut tried = notice.clone();
        let outcome = Outcome::Accepted { grade: Grade::E2 };
        let attempt = Try { at: world.now, outcome, evidence: said("250"), by: None };
        assert_eq!(tried.record(attempt), Some(Grade::E1));
    }
    assert!(told[0].body.contains("by mallory") && told[0].payload.contains("mallory"));
    let arrived = Event::NoticeDelivered { notice: told[0].id, grade: Grade::E2, at: world.now };
    world.apply(&mut tenant, &arrived).expect("delivered");
    assert_eq!(tenant.last_cut().and_then(|cut| cut.notified_at), None);
    world.obey(&mut tenant);
    // The same account says that it knows: those before are told all the same.
    let effects =
        world.by(&mut tenant, Role::Customer, "mallory", &Event::AcknowledgeCut { cut: Some(1) });
    let stopped = effects.expect("acknowledged").into_iter().any(|effect| match effect {
        Effect::Stop { notices, .. } => told.iter().any(|one| notices.contains(&one.id)),
        _ => false,
    });
    assert!(!stopped);
    let restore = Event::Restore { reason: said("mended") };
    let effects = world.apply(&mut tenant, &restore).expect("restored");
    assert_eq!(to_old(&effects, NoticeKind::Restored), [], "not before it is done");
    let effects = world.obey(&mut tenant);
    assert_eq!(to_old(&effects, NoticeKind::Restored).len(), 2);
    world.now = changed.plus_ms(FORMER_DAYS * 86_400_000);
    let effects = world.apply(&mut tenant, &flooded()).expect("cut");
    assert_eq!(to_old(&effects, NoticeKind::Cut), [], "the week is over");
    assert!(tenant.former.iter().all(|former| former.at > changed), "and they are forgotten");
}

#[test]
fn those_before_hear_when_it_was_or_that_it_was_not_as_all_others_do() {
    let mut world = World::new();
    let (mut tenant, ..) = taken_over(&mut world);
    world.apply(&mut tenant, &flooded()).expect("cut");
    let cut = tenant.last_cut().expect("a cut").clone();
    assert!(!cut.former.is_empty());
    // In the armed notice, or in what corrects it.
    let mut void = tenant.clone();
    let effects = world.obey(&mut tenant);
    let released = |id: &NoticeId| {
        let is = |one: &&Effect| matches!(one, Effect::Release { notice, .. } if notice.id == *id);
        effects.iter().filter(is).count()
    };
    assert!(cut.former.iter().chain(&cut.notices).all(|id| released(id) == 1));
    for event in answers(&void, world.now) {
        let Event::OrderReported { host, order, .. } = event else { panic!("{event:?}") };
        let report = Reported::Refused { code: said("stale-generation"), message: said("old") };
        let refused = Event::OrderReported { host, order, report };
        let effects = world.apply(&mut void, &refused).expect("a report");
        let former = |id: &NoticeId| cut.former.contains(id);
        let is = |one: &&Effect| matches!(one, Effect::Void { notice, .. } if former(notice));
        let count = effects.iter().filter(is).count();
        let over = void.isolation == Isolation::Connected;
        assert_eq!(count, if over { cut.former.len() } else { 0 });
    }
}
