//! Hosts that watch over cuts of one act, and speak in the controller's place.

use tenure_agent::engine::watch::Errand;
use tenure_protocol::{
    channel::Channel,
    wire::watch::{Destination, WatchReport, WatchSaid, WatchTry},
};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_word_on_a_joint_notice_counts_for_the_cuts_that_it_watches_over_alone() {
    let (mut fleet, ids) = site().await;
    let own = ids[..3].to_vec();
    for name in ["gamma", "delta", "epsilon"] {
        fleet.join(name).await.expect("joined");
    }
    act(&fleet, Which::Named(own.clone()), cut()).await.expect("cut");
    let mut some = None;
    for member in fleet.members.values() {
        let rows = fleet.controller.watches_to_tell(member.id).await.expect("read");
        if (1..own.len()).contains(&rows.len()) {
            some = Some((member.id, rows));
        }
    }
    let (host, rows) = some.expect("a host that watches over some of the cuts");
    fleet.settle().await.expect("hosts cut");
    let t0 = tenant(&fleet, own[0]).await.last_cut().expect("cut").t0.expect("cut").earliest;
    let notice = notices(&fleet, own[0], NoticeKind::Cut).await;
    let by_mail = |one: &&Notice| matches!(one.channel, Channel::Mail { .. });
    let notice = notice.iter().find(by_mail).expect("by mail").id;
    let now = t0.plus_ms(120_000);
    fleet.set_time(now).await.expect("the controller was silent");
    let (grade, evidence) = (Some(Grade::E2), "250 2.0.0 Ok".to_owned());
    let said = WatchSaid::Tried(WatchTry { notice, at: now, grade, evidence });
    let report = WatchReport { cut: rows[0].cut, sequence: 9, said };
    fleet.controller.watch_reported(host, report).await.expect("heard");
    for id in &own {
        let known = tenant(&fleet, *id).await.last_cut().expect("cut").notified_at;
        let watched = rows.iter().any(|row| row.tenant == *id);
        assert_eq!(known, watched.then_some(now), "{id}: {watched}");
    }
    // The controller goes on, until it has arrived for all.
    fleet.deliver(ARRIVES).await.expect("delivered");
    for id in &own {
        assert!(tenant(&fleet, *id).await.last_cut().expect("cut").notified_at.is_some(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_tell_of_a_cut_of_many_in_the_controllers_place_and_each_system_is_told_of() {
    let (mut fleet, ids) = site().await;
    let own = ids[..3].to_vec();
    act(&fleet, Which::Named(own.clone()), cut()).await.expect("cut");
    fleet.settle().await.expect("hosts cut");
    let t0 = tenant(&fleet, own[0]).await.last_cut().expect("cut").t0.expect("cut").earliest;
    fleet.set_time_of_hosts(t0.plus_ms(120_000));
    let arrives = |errand: &Errand| match errand.notice.to {
        Destination::Mail { .. } => (Some(Grade::E2), "250 2.0.0 Ok"),
        Destination::Webhook { .. } => (None, "connection refused"),
    };
    let mut carried = BTreeSet::new();
    for member in fleet.members.values_mut() {
        let errands = member.watching.look(arrives);
        assert_eq!(errands.len(), 2, "each notice once, and not for each cut");
        for errand in errands {
            let text = &errand.notice.body;
            assert!(own.iter().all(|id| text.contains(&id.to_string())), "{text}");
            carried.insert(errand.notice.id);
        }
    }
    assert_eq!(carried.len(), 2, "the same notice from every host");
    fleet.set_time(t0.plus_ms(130_000)).await.expect("the controller is back");
    fleet.settle().await.expect("heard");
    for id in &own {
        let met = ObligationState::Discharged { at: t0.plus_ms(120_000) };
        assert_eq!(owed(&fleet, *id).await, met);
    }
}
