//! Many tenants cut by one act: how long it takes to decide on, and to record that all are told.

#![allow(clippy::disallowed_methods, reason = "measures how long it takes, really")]

use tenure_controller::core::{
    lifecycle::{CutKind, Decision, Event, Role},
    obligation::{ObligationId, ObligationState},
    together::{OutcomeKind, Which},
};
use tenure_protocol::id::TenantId;
use tenure_tests::fleet::{ARRIVES, Fleet, application, customer, provider};

/// Sets a customer's site up whose systems are as many as `count`, all on trial.
async fn many(count: usize) -> (Fleet, Vec<TenantId>) {
    let mut fleet = Fleet::start().await.expect("a fleet");
    for name in ["alpha", "beta", "gamma", "delta"] {
        fleet.join(name).await.expect("joined");
    }
    let mut ids = Vec::new();
    for number in 0..count {
        let mut form = application();
        form.system.name = format!("system {number}");
        form.instances[0].count = 1;
        let li = customer("li");
        let id = fleet.controller.submit(li, form).await.expect("submitted").id;
        let approve = Event::Review { decision: Decision::Approve, opinion: "ok".to_owned() };
        let zhao = provider("zhao", Role::Reviewer);
        fleet.controller.act(zhao, id, approve).await.expect("approved");
        ids.push(id);
    }
    fleet.settle().await.expect("configured");
    while !fleet.deliver(ARRIVES).await.expect("delivered").is_empty() {}
    (fleet, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_cut_and_told_of_while_others_wait_for_a_moment_alone() {
    const COUNT: usize = 24;
    let (mut fleet, ids) = many(COUNT).await;
    let began = std::time::Instant::now();
    let outcomes = {
        let sun = provider("sun", Role::Operator);
        let worm = Event::Cut { kind: CutKind::Emergency, reason: "worm".to_owned() };
        let which = Which::Named(ids.clone());
        fleet.controller.act_together(sun.into(), &which, worm).await.expect("cut")
    };
    let ordered = began.elapsed();
    assert!(outcomes.iter().all(|one| one.result == OutcomeKind::Ordered));
    fleet.settle().await.expect("cut");
    let began = std::time::Instant::now();
    let sent = fleet.deliver(ARRIVES).await.expect("sent");
    let told = began.elapsed();
    assert_eq!(sent.len(), 2, "one for each channel");
    for id in ids {
        let tenant = fleet.controller.tenant(id).await.expect("kept");
        let owed = tenant.obligations.iter().find(|one| one.id == ObligationId::O12b);
        assert!(matches!(owed.expect("owed").state, ObligationState::Discharged { .. }));
    }
    eprintln!("{COUNT} tenants: ordered in {ordered:?}, both arrivals recorded in {told:?}");
}
