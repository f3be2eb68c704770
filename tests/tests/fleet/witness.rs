//! A witness that did not hear that a cut is void tells the customer of it, and is corrected.

use tenure_controller::core::notice::NoticeKind;

use super::{
    local::now,
    standing::{carried, notices},
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_witness_told_of_a_cut_that_was_void_is_corrected_once() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    fleet.join("gamma").await.expect("joined");
    fleet.settle().await.expect("up");
    let ordered = fleet.controller.clock().now();
    fleet.controller.act(provider("sun", Role::Operator), id, cut()).await.expect("cut");
    let gamma = fleet.members.get_mut("gamma").expect("known");
    gamma.watching.meet(gamma.id, &fleet.controller).await.expect("it has the packet");
    gamma.reachable = false;
    for member in fleet.members.values() {
        member.host.fail("cut", "broken");
    }
    fleet.settle().await.expect("answered");
    assert!(matches!(now(&fleet, id).await.isolation, Isolation::Connected), "void");
    let corrections = |all: Vec<Notice>| -> Vec<Notice> {
        all.into_iter().filter(|one| one.kind == NoticeKind::CutCorrection).collect()
    };
    let held = corrections(notices(&fleet, id).await);
    assert!(!held.is_empty() && held.iter().all(|one| one.next_at().is_none()), "{held:?}");

    let later = ordered.plus_ms(125_000);
    fleet.set_time(later).await.expect("time passes");
    fleet.set_time_of_hosts(later);
    let told = carried(&mut fleet, "gamma", true);
    assert_eq!(told.len(), 2, "by mail and webhook");
    fleet.members.get_mut("gamma").expect("known").reachable = true;
    fleet.settle().await.expect("heard");
    let due = || async {
        let all = corrections(notices(&fleet, id).await);
        all.into_iter().filter(|one| one.next_at().is_some()).collect::<Vec<_>>()
    };
    let sent = due().await;
    assert_eq!(sent.len(), 2, "to those that were told: {sent:?}");
    assert!(sent.iter().all(|one| one.body.contains("not carried out")), "{sent:?}");
    fleet.deliver(ARRIVES).await.expect("delivered");
    assert_eq!(due().await.len(), 0, "once");
}
