//! The simulated fleet under faults: a controller that restarts on its files, hosts that cannot be
//! reached, join tokens that are used twice.

#[path = "fleet/alarms.rs"]
mod alarms;
#[path = "fleet/local.rs"]
mod local;
#[path = "fleet/standing.rs"]
mod standing;
#[path = "fleet/witness.rs"]
mod witness;

use ed25519_dalek::SigningKey;
use serde_json::json;
use tenure_agent::sign::HostKey;
use tenure_controller::{
    core::{
        alarm::PAUSE_MS,
        duty::Need,
        lifecycle::{Actor, CutKind, Decision, Event, Provider, Role},
        notice::{Notice, NoticeState, Outcome},
        obligation::{ObligationId, ObligationState},
        rules::Rules,
        tenant::{Contact, Isolation, Phase},
    },
    engine::{Call, ChangeKey, EngineError, Page},
};
use tenure_protocol::{
    channel::Grade,
    digest::Digest,
    evidence::{
        dsse,
        predicate::{Predicate, notification::NoticeOutcome},
    },
    time::Timestamp,
    wire::{
        frame,
        v1::{Alarm, AlarmKind, Culprit, HostAlarm, Lane, Observation, OrderState, Report},
    },
};
use tenure_tests::{
    fleet::{ARRIVES, Fleet, application, customer, provider},
    lab::in_process::hello,
};

async fn on_trial(fleet: &mut Fleet) -> tenure_protocol::id::TenantId {
    for name in ["alpha", "beta"] {
        fleet.join(name).await.expect("joined");
    }
    let tenant = fleet.controller.submit(customer("li"), application()).await.expect("submitted");
    let approve = Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() };
    let reviewer = provider("zhao", Role::Reviewer);
    fleet.controller.act(reviewer, tenant.id, approve).await.expect("approved");
    fleet.settle().await.expect("configured");
    fleet.deliver(ARRIVES).await.expect("delivered");
    tenant.id
}

fn cut() -> Event {
    Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_controller_goes_on_where_its_files_say() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    let sun = provider("sun", Role::Operator);
    fleet.controller.act(sun, id, cut()).await.expect("cut");
    let mut fleet = fleet.restart_controller().await.expect("restarted");
    fleet.settle().await.expect("hosts cut");
    let tenant = fleet.controller.tenant(id).await.expect("kept");
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
    let notices = fleet.controller.notices(id, &Page::default()).await.expect("kept").items;
    let due = notices.iter().filter(|one| matches!(one.state, NoticeState::Due { .. })).count();
    assert_eq!(due, 2, "both channels");
    let journal = fleet.controller.journal(id, &Page::default()).await.expect("kept").items;
    assert!(journal.iter().all(|row| row.ledger_index == Some(row.seq - 1)));
    assert!(journal.windows(2).all(|pair| pair[1].previous == pair[0].digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_follows_the_journal_and_is_up_to_it_when_it_stops() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(fleet.controller.clone().follow_journal(stopping));
    let places = async |id| {
        let journal = fleet.controller.journal(id, &Page::default()).await.expect("kept").items;
        journal.iter().map(|row| (row.seq - 1, row.ledger_index)).collect::<Vec<_>>()
    };
    let stands = |(seq, index): &(u64, Option<u64>)| *index == Some(*seq);
    fleet.controller.act(provider("sun", Role::Operator), id, cut()).await.expect("cut");
    let followed = async {
        while !places(id).await.iter().all(stands) {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, followed).await.expect("nobody asked for it");

    let mut last = id;
    for _ in 0..20 {
        last = fleet.controller.submit(customer("li"), application()).await.expect("taken in").id;
    }
    stop.send_replace(true);
    following.await.expect("it stops");
    assert!(places(last).await.iter().all(stands), "the last of all is in the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_counts_from_the_first_host_and_is_complete_with_the_last() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    fleet.members.get_mut("beta").expect("beta").reachable = false;
    let sun = provider("sun", Role::Operator);
    fleet.controller.act(sun, id, cut()).await.expect("cut");
    fleet.settle().await.expect("alpha cuts");
    let tenant = fleet.controller.tenant(id).await.expect("kept");
    assert!(matches!(tenant.isolation, Isolation::Cutting { .. }));
    assert!(tenant.last_cut().expect("a cut").t0.is_some());
    fleet.members.get_mut("beta").expect("beta").reachable = true;
    fleet.settle().await.expect("beta cuts");
    let tenant = fleet.controller.tenant(id).await.expect("kept");
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
    assert_eq!(tenant.phase, Phase::Trial, "isolation is orthogonal to the phase");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_heard_is_signed_leaves_the_desk_and_ends_no_notice() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    let desk = async |fleet: &Fleet| {
        let desk = fleet.controller.duty().await.expect("read");
        desk.needs.iter().map(|one| (one.need, one.standing)).collect::<Vec<_>>()
    };
    assert_eq!(desk(&fleet).await, [], "nothing is due within a day");
    fleet.controller.act(provider("sun", Role::Operator), id, cut()).await.expect("cut");
    fleet.settle().await.expect("hosts cut");
    let t0 = fleet.controller.clock().now();
    fleet.set_time(t0.plus_ms(181_000)).await.expect("three minutes later");
    let fleet = fleet.restart_controller().await.expect("restarted");
    let untold = [(Need::CutUntold, "phone"), (Need::CutOpen, "cut")];
    assert_eq!(desk(&fleet).await, untold, "it is in the files");

    let heard = Event::RecordAcknowledgement {
        cut: Some(1),
        person: "wei".to_owned(),
        over: "13800000000".to_owned(),
        words: "we know".to_owned(),
        at: t0.plus_ms(180_000),
    };
    let sun = || provider("sun", Role::Operator);
    fleet.controller.act(sun(), id, heard.clone()).await.expect("heard");
    fleet.controller.act(sun(), id, heard).await.expect_err("once");
    assert_eq!(desk(&fleet).await, [(Need::CutOpen, "cut")]);
    let tenant = fleet.controller.tenant(id).await.expect("kept");
    let owed = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O12b);
    let met = ObligationState::Discharged { at: t0.plus_ms(180_000) };
    assert_eq!(owed.map(|owed| owed.state), Some(met));
    let notices = fleet.controller.notices(id, &Page::default()).await.expect("kept").items;
    let void = |one: &&_| matches!(one, NoticeState::Void { .. });
    let of_the_cut = notices.iter().filter(|one| one.cut.is_some()).map(|one| &one.state);
    assert_eq!(of_the_cut.filter(void).count(), 0, "an operator's word ends no notice");
    let evidence = fleet.controller.evidence(id, &Page::default()).await.expect("kept").items;
    let signed = evidence.iter().filter(|one| one.kind == "notification").filter(|one| {
        let key = fleet.controller.attestation_key();
        let statement = dsse::open_statement(&one.envelope, &key).expect("the controller's");
        let Predicate::Notification(said) = statement.predicate() else { return false };
        said.tries.iter().any(|one| one.outcome == NoticeOutcome::Acknowledged)
            && said.channel == "spoken"
    });
    assert_eq!(signed.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_that_two_hosts_use_blocks_both() {
    let fleet = Fleet::start().await.expect("a fleet");
    let controller = &fleet.controller;
    let grant = controller.create_join_token(Actor::controller(), "alpha".to_owned()).await;
    let secret = grant.expect("granted").secret;
    let key = |seed: u8| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let join = |seed: u8| controller.redeem_join_token(secret, "alpha".to_owned(), key(seed));
    let id = join(1).await.expect("the first joins");
    assert_eq!(join(1).await.expect("the same host asks again"), id);
    join(2).await.expect_err("another host");
    let host = controller.host(id).await.expect("known");
    assert!(host.block().is_some_and(|block| block.reason.contains("used twice")), "{host:?}");
    join(1).await.expect_err("both are blocked");

    // Unblocked again, no old token that somebody finds takes the host out.
    controller
        .unblock_host(provider("sun", Role::Security), id, "found".to_owned())
        .await
        .expect("unblocked");
    let later = controller.clock().now().plus_ms(16 * 60_000);
    fleet.set_time(later).await.expect("later");
    let old = join(2).await.expect_err("expired");
    assert!(old.to_string().contains("expired"), "{old}");
    assert!(controller.host(id).await.expect("known").block().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_host_gets_no_orders_and_is_believed_in_nothing() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    let (controller, host) = (&fleet.controller, fleet.members["alpha"].id);
    let security = || provider("sun", Role::Security);
    let reason = || "stolen".to_owned();
    controller.act(provider("wu", Role::Operator), id, cut()).await.expect("ordered");
    let open = controller.open_orders(host, Lane::Cut).await.expect("admitted");
    let order = open[0].verify(&controller.keys().order.verifying_key()).expect("signed").id;
    let operator = controller.block_host(provider("wu", Role::Operator), host, reason()).await;
    assert!(matches!(operator, Err(EngineError::Refused(_))), "{operator:?}");
    controller.block_host(security(), host, reason()).await.expect("blocked");

    let blocked = |said: Result<(), EngineError>| match said {
        Err(EngineError::Blocked) => {}
        other => panic!("{other:?}"),
    };
    blocked(controller.open_orders(host, Lane::Cut).await.map(|_| ()));
    blocked(controller.observed(host, Observation::default()).await);
    let at = Timestamp::from_unix_ms(1);
    let report = Report { order, sequence: 9, at, state: OrderState::Journalled };
    blocked(controller.report(host, report).await.map(|_| ()));
    blocked(controller.host_up(host, hello()).await);
    assert_eq!(controller.order(order).await.expect("kept").state, "open", "nothing was believed");

    controller.unblock_host(security(), host, "found".to_owned()).await.expect("unblocked");
    assert_eq!(controller.open_orders(host, Lane::Cut).await.expect("admitted").len(), 1);
    let acts = controller.platform_acts().await.expect("read");
    let kinds: Vec<&str> = acts.iter().map(|act| act.kind.as_str()).collect();
    assert_eq!(kinds[..3], ["host-unblocked", "host-blocked", "host-joined"], "newest first");
    assert!(acts.iter().all(|act| act.ledger_index == Some(act.seq - 1)), "all are in the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_does_not_hold_ends_its_order_and_the_host_is_told() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    fleet.join("alpha").await.expect("joined");
    let controller = &fleet.controller;
    let host = fleet.members["alpha"].id;
    let id = controller.submit(customer("li"), application()).await.expect("submitted").id;
    let approve = Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() };
    controller.act(provider("zhao", Role::Reviewer), id, approve).await.expect("approved");
    let open = controller.open_orders(host, Lane::Work).await.expect("admitted");
    let order = open[0].verify(&controller.keys().order.verifying_key()).expect("signed").id;
    let state = OrderState::Intent { envelope: b"no envelope".to_vec() };
    let report = Report { order, sequence: 7, at: Timestamp::from_unix_ms(1), state };
    for _ in 0..2 {
        let reply = controller.report(host, report.clone()).await.expect("taken");
        assert!(reply.receipt.is_some() && reply.intent.is_none(), "{reply:?}");
        let refusal = reply.refusal.expect("a refusal");
        assert_eq!((refusal.order, refusal.sequence), (order, 7));
        assert_eq!(refusal.code, "evidence-bad");
    }
    let record = controller.order(order).await.expect("kept");
    assert_eq!(record.state, "failed");
    assert!(record.message.is_some_and(|message| message.starts_with("evidence-bad")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_not_made_again_after_a_crash() {
    let fleet = Fleet::start().await.expect("a fleet");
    let key = ChangeKey {
        identity: Digest::of(b"li"),
        name: "k-1".to_owned(),
        request: Digest::of(b"the application"),
    };
    let call = || Call { key: Some(key.clone()), ..customer("li").into() };
    // Committed, and the controller is gone before it has answered.
    let first = fleet.controller.submit(call(), application()).await.expect("submitted");
    let fleet = fleet.restart_controller().await.expect("restarted");
    let again = fleet.controller.submit(call(), application()).await.expect("the same outcome");
    assert_eq!(again, first);
    let journal = fleet.controller.journal(first.id, &Page::default()).await.expect("kept");
    assert_eq!(journal.items.len(), 1, "it was made once");
    let another = ChangeKey { request: Digest::of(b"another application"), ..key.clone() };
    let call = Call { key: Some(another), ..customer("li").into() };
    let taken = fleet.controller.submit(call, application()).await.expect_err("taken");
    assert!(matches!(taken, EngineError::KeyTaken), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_application_is_placed_as_time_passes_once_another_has_left_room() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    for name in ["alpha", "beta"] {
        fleet.join(name).await.expect("joined");
    }
    let mut large = application();
    large.instances[0].memory_mib = 40 << 10;
    let opinion = || "sound".to_owned();
    let approve = || Event::Review { decision: Decision::Approve, opinion: opinion() };
    let (li, zhao) = (customer("li"), provider("zhao", Role::Reviewer));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let tenant = fleet.controller.submit(li.clone(), large.clone()).await.expect("submitted");
        fleet.controller.act(zhao.clone(), tenant.id, approve()).await.expect("approved");
        ids.push(tenant.id);
    }
    fleet.settle().await.expect("configured");
    fleet.deliver(ARRIVES).await.expect("delivered");
    let phase = async |fleet: &Fleet, id| fleet.controller.tenant(id).await.expect("known").phase;
    assert_eq!(phase(&fleet, ids[0]).await, Phase::Trial);
    assert_eq!(phase(&fleet, ids[1]).await, Phase::Approved, "no room");

    let (stop_day, reason) = ("2026-02-10".parse().expect("a day"), "merged".to_owned());
    let leave = Event::RequestOffboarding { stop_day, reason, ask_waiver: false };
    let grant = Event::ReviewOffboarding { decision: Decision::Approve, opinion: opinion() };
    let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
    fleet.controller.act(li.clone(), ids[0], leave).await.expect("asked");
    fleet.controller.act(zhao, ids[0], grant).await.expect("granted");
    fleet.controller.act(li, ids[0], confirm).await.expect("confirmed");
    fleet.set_time("2026-02-09T16:00:00Z".parse().expect("a time")).await.expect("the stop day");
    fleet.settle().await.expect("stopped");
    for approver in [provider("sun", Role::Operator), provider("qian", Role::Security)] {
        fleet.controller.act(approver, ids[0], Event::ApproveWipe).await.expect("approved");
    }
    fleet.settle().await.expect("wiped");
    assert_eq!(phase(&fleet, ids[0]).await, Phase::WipeVerified);

    fleet.set_time("2026-02-09T16:05:00Z".parse().expect("a time")).await.expect("time passes");
    assert_eq!(phase(&fleet, ids[1]).await, Phase::Configuring);
}
