//! Several tenants cut, and connected again, by one act: real engines on both sides.

#[path = "together/watching.rs"]
mod watching;

use std::collections::BTreeSet;

use tenure_controller::{
    core::{
        joint::Said,
        lifecycle::{Actor, CutKind, Decision, Event, Role},
        notice::{Notice, NoticeKind, NoticeState, Outcome},
        obligation::{ObligationId, ObligationState},
        refusal::Code,
        tenant::{Contact, Designated, Isolation, Tenant},
        together::{MOST_TOGETHER, OutcomeKind, Which},
    },
    engine::{Call, ChangeKey, EngineError, Page},
};
use tenure_protocol::{
    channel::Grade,
    digest::Digest,
    evidence::{dsse, predicate::Predicate},
    id::TenantId,
};
use tenure_tests::fleet::{ARRIVES, Fleet, SENT, application, provider};

const CUSTOMERS: [&str; 2] = ["data bureau", "land bureau"];

fn operator() -> Actor {
    provider("sun", Role::Operator)
}

fn cut() -> Event {
    Event::Cut { kind: CutKind::Emergency, reason: "worm".to_owned() }
}

fn restore() -> Event {
    Event::Restore { reason: "clean".to_owned() }
}

/// Two customers with three systems each on two hosts, one instance a system, all on trial. Of the
/// first customer, the last system designates the mail address alone.
async fn site() -> (Fleet, Vec<TenantId>) {
    let mut fleet = Fleet::start().await.expect("a fleet");
    for name in ["alpha", "beta"] {
        fleet.join(name).await.expect("joined");
    }
    let mut ids = Vec::new();
    for customer in CUSTOMERS {
        for number in 1..=3 {
            let mut form = application();
            form.customer = customer.to_owned();
            form.system.name = format!("{customer} {number}");
            form.instances[0].count = 1;
            if customer == CUSTOMERS[0] && number == 3 {
                form.contacts[0].webhook = form.contacts[1].webhook.take();
                form.contacts[1].email = form.contacts[0].email.clone();
                form.contacts[1].designated = vec![Designated::Email];
            }
            let role = Role::Customer;
            let li = Actor { name: "li".to_owned(), role, customer: Some(customer.to_owned()) };
            let id = fleet.controller.submit(li, form).await.expect("submitted").id;
            let approve = Event::Review { decision: Decision::Approve, opinion: "ok".to_owned() };
            let zhao = provider("zhao", Role::Reviewer);
            fleet.controller.act(zhao, id, approve).await.expect("approved");
            ids.push(id);
        }
    }
    fleet.settle().await.expect("configured");
    fleet.deliver(ARRIVES).await.expect("delivered");
    (fleet, ids)
}

async fn act(
    fleet: &Fleet,
    which: Which,
    event: Event,
) -> Result<Vec<tenure_controller::core::together::Outcome>, EngineError> {
    fleet.controller.act_together(operator().into(), &which, event).await
}

async fn tenant(fleet: &Fleet, id: TenantId) -> Tenant {
    fleet.controller.tenant(id).await.expect("kept")
}

async fn owed(fleet: &Fleet, id: TenantId) -> ObligationState {
    let tenant = tenant(fleet, id).await;
    tenant.obligations.iter().find(|one| one.id == ObligationId::O12b).expect("owed").state
}

/// The notices of this kind that a tenant can see.
async fn notices(fleet: &Fleet, id: TenantId, kind: NoticeKind) -> Vec<Notice> {
    let all = fleet.controller.notices(id, &Page::default()).await.expect("read").items;
    all.into_iter().filter(|notice| notice.kind == kind).collect()
}

fn customers(notice: &Notice) -> BTreeSet<&str> {
    let joint = notice.joint.as_ref().expect("a joint notice");
    BTreeSet::from([joint.customer.as_str()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_many_is_one_notice_for_each_customer_and_channel_and_one_arrival_tells_all() {
    let (mut fleet, ids) = site().await;
    let t0 = fleet.controller.clock().now();
    let outcomes = act(&fleet, Which::Named(ids.clone()), cut()).await.expect("cut");
    let asked: Vec<_> = outcomes.iter().map(|one| one.tenant).collect();
    assert_eq!(asked, ids, "in the order in which they were named");
    assert!(outcomes.iter().all(|one| one.result == OutcomeKind::Ordered && one.orders.len() == 1));
    for id in &ids {
        let armed = notices(&fleet, *id, NoticeKind::Cut).await;
        assert_eq!(armed.len(), 2, "mail and webhook");
        assert!(armed.iter().all(|one| matches!(one.state, NoticeState::Armed { .. })));
        let known: BTreeSet<_> = tenant(&fleet, *id)
            .await
            .last_cut()
            .expect("cut")
            .notices
            .clone()
            .into_iter()
            .collect();
        assert_eq!(known, armed.iter().map(|one| one.id).collect());
    }
    fleet.settle().await.expect("hosts cut");
    // All is known at once, so that nothing need be corrected.
    let sent = fleet.deliver(SENT).await.expect("sent");
    assert_eq!(sent.len(), 4, "two customers over two channels: {sent:#?}");
    for notice in &sent {
        assert_eq!(customers(notice).len(), 1);
        assert_eq!(notice.parts().len(), 3);
        let own = |customer: &str| notice.body.contains(&format!("{customer} 1"));
        assert_ne!(own(CUSTOMERS[0]), own(CUSTOMERS[1]), "nobody sees another's systems");
        assert!(notice.subject.contains("3 个系统"), "{}", notice.subject);
        for part in notice.parts() {
            assert!(matches!(part.said, Said::Cut { .. }), "{part:?}");
            assert!(notice.payload.contains(&part.tenant.to_string()));
        }
    }
    for id in &ids {
        assert_eq!(owed(&fleet, *id).await, ObligationState::Open, "E1 is not enough");
    }

    // The first customer's webhook takes it: two systems designated that, the third did not.
    fleet.set_time(t0.plus_ms(20_000)).await.expect("later");
    let leased = fleet.controller.due_notices(t0.plus_ms(20_000)).await.expect("leased");
    for row in leased {
        let first = customers(&row.notice).contains(CUSTOMERS[0]);
        let outcome = match row.notice.channel.as_str() {
            "webhook" if first => ARRIVES,
            _ => Outcome::Failed,
        };
        let (at, evidence) = (t0.plus_ms(20_000), "HTTP 204".to_owned());
        let attempt = tenure_controller::core::notice::Try { at, outcome, evidence, by: None };
        fleet.controller.notice_tried(row.notice.id, row.fence, attempt).await.expect("recorded");
    }
    let met = ObligationState::Discharged { at: t0.plus_ms(20_000) };
    assert_eq!(owed(&fleet, ids[0]).await, met);
    assert_eq!(owed(&fleet, ids[1]).await, met);
    assert_eq!(owed(&fleet, ids[2]).await, ObligationState::Open, "it did not designate this");
    assert_eq!(owed(&fleet, ids[3]).await, ObligationState::Open, "another customer's");
    for (id, signed) in [(ids[0], 1), (ids[1], 1), (ids[2], 1), (ids[3], 0)] {
        assert_eq!(statements(&fleet, id).await, signed, "each has it in its own evidence");
    }
    fleet.set_time(t0.plus_ms(60_000)).await.expect("later");
    fleet.deliver(ARRIVES).await.expect("delivered");
    for id in &ids[2..] {
        assert!(matches!(owed(&fleet, *id).await, ObligationState::Discharged { .. }));
    }
    fleet.settle().await.expect("disarmed");
    for member in fleet.members.values() {
        let left = fleet.controller.watches_to_tell(member.id).await.expect("read");
        assert!(left.is_empty(), "every packet is disarmed: {left:?}");
    }
}

/// Signed accounts of notices of the cut among a tenant's evidence.
async fn statements(fleet: &Fleet, id: TenantId) -> usize {
    let evidence = fleet.controller.evidence(id, &Page::default()).await.expect("read").items;
    let key = fleet.controller.attestation_key();
    let is_it = |one: &&tenure_controller::engine::row::EvidenceRecord| {
        let Ok(statement) = dsse::open_statement(&one.envelope, &key) else { return false };
        let Predicate::Notification(said) = statement.predicate() else { return false };
        assert_eq!(said.tenant, id);
        said.subject == "cut"
    };
    evidence.iter().filter(is_it).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_later_and_a_cut_that_came_to_nothing_are_said_in_one_correction() {
    let (mut fleet, ids) = site().await;
    let t0 = fleet.controller.clock().now();
    let own = ids[..3].to_vec();
    let mut on_beta = BTreeSet::new();
    let beta = fleet.members["beta"].id;
    for id in &own {
        if tenant(&fleet, *id).await.hosts().contains(&beta) {
            on_beta.insert(*id);
        }
    }
    assert!(!on_beta.is_empty() && on_beta.len() < 3, "on both hosts: {on_beta:?}");
    fleet.members.get_mut("beta").expect("beta").reachable = false;
    act(&fleet, Which::Named(own.clone()), cut()).await.expect("cut");
    fleet.settle().await.expect("alpha cuts");
    let first = notices(&fleet, own[0], NoticeKind::Cut).await;
    for notice in &first {
        let NoticeState::Armed { release_at } = notice.state else { panic!("{notice:?}") };
        assert_eq!(release_at, t0.plus_ms(500), "soon after the first t0");
    }
    fleet.deliver(SENT).await.expect("sent");
    let beta = fleet.members.get_mut("beta").expect("beta");
    beta.host.fail("cut", "nft-failed");
    beta.reachable = true;
    fleet.settle().await.expect("beta fails");
    for id in &own {
        let isolation = tenant(&fleet, *id).await.isolation;
        let wanted = if on_beta.contains(id) { "connected" } else { "cut" };
        assert_eq!(isolation.as_str(), wanted);
    }
    let corrections = notices(&fleet, own[0], NoticeKind::CutCorrection).await;
    let of_beta = notices(&fleet, *on_beta.first().expect("one"), NoticeKind::CutCorrection).await;
    assert_eq!(
        (corrections.len(), of_beta.len()),
        (if on_beta.contains(&own[0]) { 2 } else { 0 }, 2)
    );
    for notice in &of_beta {
        assert_eq!(notice.parts().iter().map(|part| part.tenant).collect::<BTreeSet<_>>(), on_beta);
        assert!(notice.parts().iter().all(|part| matches!(part.said, Said::NotCut { .. })));
        assert!(notice.subject.contains("was not cut"), "{}", notice.subject);
    }
    fleet.set_time(t0.plus_ms(4_000)).await.expect("later");
    fleet.deliver(ARRIVES).await.expect("delivered");
    for id in own.iter().filter(|id| !on_beta.contains(id)) {
        assert!(matches!(owed(&fleet, *id).await, ObligationState::Discharged { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_cut_whole_who_is_cut_already_is_said_to_be_and_all_are_restored_by_one_act() {
    let (mut fleet, ids) = site().await;
    let alpha = fleet.members["alpha"].id;
    let mut on_alpha = BTreeSet::new();
    for id in &ids {
        if tenant(&fleet, *id).await.hosts().contains(&alpha) {
            on_alpha.insert(*id);
        }
    }
    let one = *on_alpha.first().expect("a tenant");
    fleet.controller.act(operator(), one, cut()).await.expect("cut alone");
    fleet.settle().await.expect("cut");
    let key = ChangeKey {
        identity: Digest::of(b"sun"),
        name: "k".to_owned(),
        request: Digest::of(b"alpha"),
    };
    let call = || Call { key: Some(key.clone()), ..operator().into() };
    let which = Which::OnHost("alpha".to_owned());
    let outcomes = fleet.controller.act_together(call(), &which, cut()).await.expect("cut");
    assert_eq!(outcomes.iter().map(|one| one.tenant).collect::<BTreeSet<_>>(), on_alpha);
    for outcome in &outcomes {
        let wanted =
            if outcome.tenant == one { OutcomeKind::Already } else { OutcomeKind::Ordered };
        assert_eq!(outcome.result, wanted, "{outcome:?}");
    }
    let again = fleet.controller.act_together(call(), &which, cut()).await.expect("the same");
    assert_eq!(again, outcomes);
    fleet.settle().await.expect("cut");
    for id in &ids {
        let tenant = tenant(&fleet, *id).await;
        assert_eq!(matches!(tenant.isolation, Isolation::Cut { .. }), on_alpha.contains(id));
        assert!(tenant.cuts.len() <= 1, "once");
    }
    fleet.deliver(ARRIVES).await.expect("delivered");

    let all: Vec<_> = on_alpha.iter().copied().collect();
    act(&fleet, Which::Named(all.clone()), restore()).await.expect("restored");
    fleet.settle().await.expect("restored");
    let sent = fleet.deliver(ARRIVES).await.expect("delivered");
    assert!(sent.iter().any(|notice| notice.joint.is_some()), "{sent:?}");
    for notice in sent.iter().filter(|notice| notice.joint.is_some()) {
        assert_eq!(notice.kind, NoticeKind::Restored);
        assert!(notice.parts().iter().all(|part| matches!(part.said, Said::Restored { .. })));
    }
    for id in &all {
        assert_eq!(tenant(&fleet, *id).await.isolation, Isolation::Connected);
        assert_eq!(notices(&fleet, *id, NoticeKind::Restored).await.len(), 2, "one each channel");
    }
    let outcomes = act(&fleet, Which::Named(all), restore()).await.expect("nothing to do");
    assert!(outcomes.iter().all(|one| one.result == OutcomeKind::Already));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_for_all_is_done_for_none_and_each_is_named() {
    let (fleet, ids) = site().await;
    let refused = async |which, event| match act(&fleet, which, event).await {
        Err(EngineError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let named = |more: &[TenantId]| Which::Named([&ids[..2], more].concat());
    let stranger = TenantId::from_uuid(uuid::Uuid::from_u128(7));
    let refusal = refused(named(&[stranger]), cut()).await;
    assert_eq!(refusal.code, Code::UnknownTenant);
    assert_eq!(refusal.faults[0].pointer, "/tenants/2");
    let refusal = refused(named(&[ids[1]]), cut()).await;
    assert!(refusal.sentence.contains("twice"), "{refusal}");
    let refusal = refused(Which::Named(Vec::new()), cut()).await;
    assert!(refusal.sentence.contains("at least one"), "{refusal}");
    let many = (0..=MOST_TOGETHER as u128).map(uuid::Uuid::from_u128).map(TenantId::from_uuid);
    let refusal = refused(Which::Named(many.collect()), cut()).await;
    assert!(refusal.sentence.contains("at most"), "{refusal}");
    let planned = Event::Cut { kind: CutKind::Planned, reason: "switch".to_owned() };
    let refusal = refused(named(&[]), planned).await;
    assert_eq!((refusal.code, refusal.faults.len()), (Code::NotForAll, 2), "nobody was told");
    let other = act(&fleet, Which::OnHost("gamma".to_owned()), cut()).await;
    assert!(matches!(other, Err(EngineError::NotFound("host"))), "{other:?}");
    let reviewer = provider("zhao", Role::Reviewer);
    let other = fleet.controller.act_together(reviewer.into(), &named(&[]), cut()).await;
    assert!(matches!(other, Err(EngineError::Refused(_))), "{other:?}");
    for id in &ids {
        assert!(tenant(&fleet, *id).await.cuts.is_empty(), "nothing was done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_acknowledges_one_cut_of_several_is_still_told_of_the_others() {
    let (mut fleet, ids) = site().await;
    act(&fleet, Which::Named(ids[..2].to_vec()), cut()).await.expect("cut");
    fleet.settle().await.expect("hosts cut");
    let customer = Some(CUSTOMERS[0].to_owned());
    let li = Actor { name: "li".to_owned(), role: Role::Customer, customer };
    let known = Event::AcknowledgeCut { cut: Some(1) };
    fleet.controller.act(li.clone(), ids[0], known.clone()).await.expect("acknowledged");
    let open = |notices: &[Notice]| notices.iter().filter(|one| one.next_at().is_some()).count();
    assert_eq!(open(&notices(&fleet, ids[1], NoticeKind::Cut).await), 2, "the other is not told");
    fleet.controller.act(li, ids[1], known).await.expect("acknowledged");
    assert_eq!(open(&notices(&fleet, ids[1], NoticeKind::Cut).await), 0, "nobody need be told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_one_tenant_gets_the_notice_of_a_cut_of_one() {
    let (mut fleet, ids) = site().await;
    let both = vec![ids[0], ids[3]];
    act(&fleet, Which::Named(both.clone()), cut()).await.expect("cut");
    fleet.settle().await.expect("hosts cut");
    for id in both {
        let all = notices(&fleet, id, NoticeKind::Cut).await;
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|one| one.joint.is_none() && one.tenant == Some(id)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contacts_with_one_address_are_one_channel() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    fleet.join("alpha").await.expect("joined");
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let mut form = application();
        form.system.name = name.to_owned();
        form.contacts = vec![
            Contact { designated: vec![Designated::Email], ..mail("day") },
            Contact {
                webhook: application().contacts[1].webhook.clone(),
                designated: vec![Designated::Webhook],
                ..mail("night")
            },
        ];
        let li = tenure_tests::fleet::customer("li");
        let id = fleet.controller.submit(li, form).await.expect("submitted").id;
        let approve = Event::Review { decision: Decision::Approve, opinion: "ok".to_owned() };
        fleet
            .controller
            .act(provider("zhao", Role::Reviewer), id, approve)
            .await
            .expect("approved");
        ids.push(id);
    }
    fleet.settle().await.expect("configured");
    fleet.deliver(ARRIVES).await.expect("delivered");
    act(&fleet, Which::Named(ids.clone()), cut()).await.expect("cut");
    fleet.settle().await.expect("cut");
    let sent = fleet.deliver(ARRIVES).await.expect("sent");
    assert_eq!(sent.len(), 2, "mail and webhook: {sent:#?}");
    assert!(sent.iter().all(|one| one.designated && one.parts().len() == 2));
    for id in ids {
        assert!(matches!(owed(&fleet, id).await, ObligationState::Discharged { .. }));
    }
}

fn mail(name: &str) -> Contact {
    let mobile = application().contacts[0].mobile.clone();
    Contact {
        name: name.to_owned(),
        email: Some("duty@data.example".to_owned()),
        mobile,
        available: Some("24x7".to_owned()),
        ..Contact::default()
    }
}
