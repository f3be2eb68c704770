//! Cuts that a person ordered on a host while the controller was gone: what becomes of them when it
//! is back.

use tenure_agent::engine::local::{LocalAnswer, LocalAsk};
use tenure_controller::core::tenant::{CutEnd, Tenant};
use tenure_protocol::{
    evidence::predicate::network_cut::Direction,
    id::{CutId, TenantId},
};

use super::*;

/// A person on a host asks its agent.
pub(super) async fn ask(
    fleet: &Fleet,
    id: TenantId,
    host: &str,
    direction: Direction,
    reason: &str,
) -> LocalAnswer {
    let tenant = fleet.controller.tenant(id).await.expect("kept");
    let mark = tenant.allotment.as_ref().map(|allotment| allotment.mark);
    let (login, by) = (("root".to_owned(), 0), Some("wang.lei".to_owned()));
    let reason = reason.to_owned();
    let ask = LocalAsk::Act { tenant: id, mark, direction, login, by, reason };
    fleet.members[host].ask_locally(ask).expect("answered")
}

pub(super) fn cut_of(answer: &LocalAnswer) -> CutId {
    match answer {
        LocalAnswer::Done { cut, .. } => *cut,
        other => panic!("{other:?}"),
    }
}

pub(super) fn reach(fleet: &mut Fleet, reachable: bool) {
    fleet.members.values_mut().for_each(|member| member.reachable = reachable);
}

/// What was reported makes orders, which are answered in turn.
pub(super) async fn back(fleet: &mut Fleet) {
    reach(fleet, true);
    for member in fleet.members.values_mut() {
        member.reconnect().expect("reconnected");
    }
    for _ in 0..3 {
        fleet.settle().await.expect("settled");
    }
}

pub(super) async fn now(fleet: &Fleet, id: TenantId) -> Tenant {
    fleet.controller.tenant(id).await.expect("kept")
}

pub(super) fn told(tenant: &Tenant) -> ObligationState {
    let owed = tenant.obligations.iter().rfind(|owed| owed.id == ObligationId::O12b);
    owed.expect("owed").state
}

fn is_cut(fleet: &Fleet, host: &str) -> bool {
    !fleet.members[host].host.state().cut.is_empty()
}

async fn journal(fleet: &Fleet, id: TenantId) -> String {
    let rows = fleet.controller.journal(id, &Page::default()).await.expect("kept").items;
    serde_json::to_string(&rows).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tenant_is_cut_and_its_customer_told_once_the_controller_is_back() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let t0 = fleet.controller.clock().now();
    let cut = cut_of(&ask(&fleet, id, "alpha", Direction::Cut, "flood").await);
    assert!(is_cut(&fleet, "alpha") && !is_cut(&fleet, "beta"));
    fleet.set_time(t0.plus_ms(100_000)).await.expect("time passes");
    assert!(now(&fleet, id).await.cuts.is_empty(), "nobody told the controller");
    back(&mut fleet).await;
    let tenant = now(&fleet, id).await;
    let [known] = &tenant.cuts[..] else { panic!("{:?}", tenant.cuts) };
    assert_eq!((known.id, known.number, known.reason.as_str()), (cut, 1, "flood"));
    assert_eq!(known.ordered_by, "wang.lei (login root) on host alpha");
    assert_eq!(known.t0.map(|one| one.earliest), Some(t0));
    assert!(matches!(tenant.isolation, Isolation::Cut { cut: open } if open == cut));
    assert!(is_cut(&fleet, "beta"), "the whole tenant");
    assert_eq!(told(&tenant), ObligationState::Open);
    let sent = fleet.deliver(ARRIVES).await.expect("delivered");
    let body = &sent.first().expect("a notice").body;
    assert!(body.contains("flood") && body.contains(&cut.to_string()), "{body}");
    let tenant = now(&fleet, id).await;
    assert!(matches!(told(&tenant), ObligationState::Discharged { .. }), "within 300 s of t0");
    let journal = journal(&fleet, id).await;
    assert_eq!(journal.matches("\"kind\":\"cut-by-host\"").count(), 1, "{journal}");
    // From now on it is the controller's: restored by it, and by nobody on the host.
    let refused = ask(&fleet, id, "alpha", Direction::Restore, "over").await;
    assert!(matches!(refused, LocalAnswer::Refused { ref code, .. }
        if code == "restore-by-controller"));
    let restore = Event::Restore { reason: "over".to_owned() };
    fleet.controller.act(provider("sun", Role::Operator), id, restore).await.expect("restored");
    fleet.settle().await.expect("restored");
    assert!(matches!(now(&fleet, id).await.isolation, Isolation::Connected));
    assert!(!is_cut(&fleet, "alpha") && !is_cut(&fleet, "beta"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_the_controller_hears_of_too_late_is_a_breach_on_record() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let t0 = fleet.controller.clock().now();
    ask(&fleet, id, "beta", Direction::Cut, "flood").await;
    fleet.set_time(t0.plus_ms(400_000)).await.expect("time passes");
    back(&mut fleet).await;
    let at = fleet.controller.clock().now();
    fleet.set_time(at.plus_ms(39_000)).await.expect("time passes");
    assert_eq!(told(&now(&fleet, id).await), ObligationState::Open, "the host may have told it");
    fleet.set_time(at.plus_ms(40_000)).await.expect("time passes");
    assert!(matches!(told(&now(&fleet, id).await), ObligationState::Breached { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_ended_on_its_host_cuts_nobody_and_both_are_told() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    cut_of(&ask(&fleet, id, "alpha", Direction::Cut, "drill").await);
    cut_of(&ask(&fleet, id, "alpha", Direction::Restore, "the drill is over").await);
    assert!(!is_cut(&fleet, "alpha"));
    back(&mut fleet).await;
    let tenant = now(&fleet, id).await;
    assert!(matches!(tenant.isolation, Isolation::Connected));
    assert!(!is_cut(&fleet, "alpha") && !is_cut(&fleet, "beta"));
    let [known] = &tenant.cuts[..] else { panic!("{:?}", tenant.cuts) };
    let CutEnd::Restored { by, at: Some(_), notices, .. } = &known.end else { panic!("{known:?}") };
    assert!(by.contains("on host alpha") && !notices.is_empty() && !known.notices.is_empty());
    let evidence = fleet.controller.evidence(id, &Page::default()).await.expect("kept").items;
    let cuts = evidence.iter().filter(|one| one.kind == "network-cut").count();
    assert_eq!(cuts, 2, "both statements are evidence");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_from_another_host_or_changed_makes_no_second_cut() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let answer = ask(&fleet, id, "alpha", Direction::Cut, "flood").await;
    let LocalAnswer::Done { order, envelope: Some(envelope), .. } = answer else {
        panic!("{answer:?}")
    };
    let (alpha, beta) = (fleet.members["alpha"].id, fleet.members["beta"].id);
    let at = fleet.controller.clock().now();
    let report = |envelopes: Vec<Vec<u8>>| Report {
        order,
        sequence: 1,
        at,
        state: OrderState::Local { envelopes },
    };
    let mut changed = envelope.clone();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    for (host, envelopes) in [
        (beta, vec![envelope.clone()]),
        (alpha, vec![changed]),
        (alpha, vec![]),
        (alpha, vec![envelope.clone(), envelope.clone()]),
    ] {
        let error = fleet.controller.report(host, report(envelopes)).await.expect_err("no cut");
        assert!(matches!(error, EngineError::Invalid(_)), "{error:?}");
    }
    assert!(now(&fleet, id).await.cuts.is_empty());
    for _ in 0..2 {
        let said = report(vec![envelope.clone()]);
        let reply = fleet.controller.report(alpha, said).await.expect("taken");
        assert!(reply.receipt.is_some());
    }
    back(&mut fleet).await;
    let tenant = now(&fleet, id).await;
    assert_eq!(tenant.cuts.len(), 1);
    assert_eq!(journal(&fleet, id).await.matches("\"kind\":\"cut-by-host\"").count(), 1);
    // An old report that comes after the end does not cut again, either.
    let restore = Event::Restore { reason: "over".to_owned() };
    fleet.controller.act(provider("sun", Role::Operator), id, restore).await.expect("restored");
    fleet.settle().await.expect("restored");
    fleet.controller.report(alpha, report(vec![envelope])).await.expect("taken");
    assert!(matches!(now(&fleet, id).await.isolation, Isolation::Connected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_the_controller_that_waits_for_the_same_host_is_the_one_cut() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let t0 = fleet.controller.clock().now();
    ask(&fleet, id, "alpha", Direction::Cut, "flood").await;
    fleet.set_time(t0.plus_ms(20_000)).await.expect("time passes");
    fleet.controller.act(provider("sun", Role::Operator), id, super::cut()).await.expect("cut");
    back(&mut fleet).await;
    let tenant = now(&fleet, id).await;
    assert_eq!(tenant.cuts.len(), 1, "exactly one");
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
    assert_eq!(tenant.cuts[0].t0.map(|one| one.earliest), Some(t0), "from the first frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_a_cut_that_the_hosts_key_did_not_sign_leaves_the_order_open() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    fleet.controller.act(provider("sun", Role::Operator), id, super::cut()).await.expect("cut");
    let alpha = fleet.members["alpha"].id;
    let key = fleet.controller.keys().order.verifying_key();
    let open = fleet.controller.open_orders(alpha, Lane::Cut).await.expect("open");
    let order = open[0].verify(&key).expect("signed").id;
    let (code, message) = ("broken".to_owned(), "it broke".to_owned());
    let envelopes = Vec::new;
    let interval = tenure_protocol::wire::v1::CommitInterval {
        earliest: Timestamp::from_unix_ms(1),
        latest: Timestamp::from_unix_ms(2),
        took_ns: 1,
    };
    let outcome = tenure_protocol::wire::v1::Outcome::Cut(interval);
    for state in [
        OrderState::Failed { code: code.clone(), message: message.clone(), envelopes: envelopes() },
        OrderState::Refused { code: code.clone(), message: message.clone() },
        OrderState::Done { outcome, envelopes: envelopes() },
        OrderState::Intent { envelope: b"{}".to_vec() },
        OrderState::Unmade {
            refused: false,
            code: code.clone(),
            message: message.clone(),
            envelopes: envelopes(),
            signature: vec![7; 64],
        },
    ] {
        let report = Report { order, sequence: 1, at: Timestamp::from_unix_ms(1), state };
        let error = fleet.controller.report(alpha, report).await.expect_err("not believed");
        assert!(matches!(error, EngineError::Invalid(_)), "{error:?}");
    }
    assert_eq!(fleet.controller.order(order).await.expect("kept").state, "open");
    assert!(matches!(now(&fleet, id).await.isolation, Isolation::Cutting { .. }), "not void");
    // The hosts' own word, which they sign, is taken: here, that none of them could.
    for member in fleet.members.values() {
        member.host.fail("cut", "broken");
    }
    fleet.settle().await.expect("answered");
    assert_eq!(fleet.controller.order(order).await.expect("kept").state, "failed");
    assert!(matches!(now(&fleet, id).await.isolation, Isolation::Connected), "void");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_clock_that_is_wrong_neither_puts_the_five_minutes_off_nor_makes_a_breach_of_years()
{
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    let configured = fleet.controller.clock().now();
    // Ahead and behind, of a cut that the controller orders.
    for wrong_ms in [3_600_000, -3_600_000] {
        let ordered = fleet.controller.clock().now().plus_ms(60_000);
        fleet.set_time(ordered).await.expect("time passes");
        fleet.controller.act(provider("sun", Role::Operator), id, super::cut()).await.expect("cut");
        fleet.set_time_of_hosts(ordered.plus_ms(wrong_ms));
        fleet.settle().await.expect("hosts cut");
        let tenant = now(&fleet, id).await;
        let t0 = tenant.last_cut().expect("cut").t0.expect("cut");
        assert_eq!((t0.earliest, t0.latest), (ordered, ordered), "{wrong_ms}");
        let orders = fleet.controller.orders(id, &Page::default()).await.expect("read").items;
        let said = orders.iter().rfind(|order| order.action == "cut");
        let said = said.and_then(|order| order.interval).expect("the host's own word");
        assert_eq!(said.earliest, ordered.plus_ms(wrong_ms), "it is kept");
        let restore = Event::Restore { reason: "over".to_owned() };
        fleet.controller.act(provider("sun", Role::Operator), id, restore).await.expect("restored");
        fleet.settle().await.expect("restored");
        let ended = now(&fleet, id).await.last_cut().map(|cut| cut.end.clone());
        assert!(matches!(ended, Some(CutEnd::Restored { at: Some(at), .. }) if at == ordered));
    }
    // Of one that was ordered on the host: in 1970.
    fleet.set_time_of_hosts(Timestamp::from_unix_ms(5_000));
    reach(&mut fleet, false);
    ask(&fleet, id, "alpha", Direction::Cut, "flood").await;
    back(&mut fleet).await;
    let tenant = now(&fleet, id).await;
    let cut = tenant.last_cut().expect("cut");
    assert_eq!(cut.t0.map(|t0| t0.earliest), Some(configured), "not before the tenant was there");
    assert_eq!(cut.ordered_at, configured);
}
