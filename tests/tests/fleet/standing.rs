//! Hosts that tell the customer themselves of a cut that a person ordered there while the
//! controller was gone: by the standing packet that each keeps for each tenant.

use tenure_agent::engine::{local::LocalAnswer, watch::Errand};
use tenure_controller::core::notice::NoticeKind;
use tenure_protocol::{evidence::predicate::network_cut::Direction, id::TenantId};

use super::{
    local::{ask, back, cut_of, now, reach, told},
    *,
};

/// What a host is asked to carry by now, with everything arriving or nothing.
pub(super) fn carried(fleet: &mut Fleet, host: &str, arrives: bool) -> Vec<Errand> {
    let answer = |_: &Errand| {
        if arrives { (Some(Grade::E2), "204 No Content") } else { (None, "connection refused") }
    };
    fleet.members.get_mut(host).expect("known").watching.look(answer)
}

fn told_after(answer: &LocalAnswer) -> Option<u64> {
    match answer {
        LocalAnswer::Done { told_after_ms, .. } => *told_after_ms,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn notices(fleet: &Fleet, id: TenantId) -> Vec<Notice> {
    let page = Page { after: None, limit: 99 };
    fleet.controller.notices(id, &page).await.expect("read").items
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_itself_tells_the_customer_and_the_controller_takes_that_over() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let t0 = fleet.controller.clock().now();
    let answer = ask(&fleet, id, "alpha", Direction::Cut, "flood").await;
    let cut = cut_of(&answer);
    assert_eq!(told_after(&answer), Some(120_000), "the person is told so");
    fleet.set_time_of_hosts(t0.plus_ms(119_000));
    assert_eq!(carried(&mut fleet, "alpha", true).len(), 0, "not before its time");
    // The process ends and comes back meanwhile.
    fleet.members.get_mut("alpha").expect("known").watching.restart();
    fleet.set_time_of_hosts(t0.plus_ms(120_000));
    let sent = carried(&mut fleet, "alpha", true);
    assert_eq!(sent.len(), 2, "by mail and webhook");
    for errand in &sent {
        let notice = &errand.notice;
        assert!(notice.body.contains(&cut.to_string()), "{}", notice.body);
        assert!(notice.payload.contains(&notice.id.to_string()), "{}", notice.payload);
    }
    assert_eq!(carried(&mut fleet, "beta", true).len(), 0, "where nobody cut nothing is told");

    fleet.set_time_of_hosts(t0.plus_ms(390_000));
    let mut fleet = fleet.restart_controller().await.expect("restarted");
    back(&mut fleet).await;
    fleet.set_time(t0.plus_ms(400_000)).await.expect("time passes");
    assert_eq!(told(&now(&fleet, id).await), ObligationState::Open, "the host is heard first");
    fleet.members.get_mut("alpha").expect("known").watching.restart();
    carried(&mut fleet, "alpha", true);
    fleet.settle().await.expect("heard");
    let tenant = now(&fleet, id).await;
    assert_eq!(told(&tenant), ObligationState::Discharged { at: t0.plus_ms(120_000) });
    let [known] = &tenant.cuts[..] else { panic!("{:?}", tenant.cuts) };
    assert_eq!(known.id, cut, "no second one");
    let o12b =
        |owed: &&tenure_controller::core::obligation::Obligation| owed.id == ObligationId::O12b;
    assert_eq!(tenant.obligations.iter().filter(o12b).count(), 1, "no second obligation");
    let all = notices(&fleet, id).await;
    for errand in &sent {
        let same = all.iter().find(|one| one.id == errand.notice.id).expect("the same id");
        assert!(same.tries.iter().any(|one| one.by.is_some()), "{same:?}");
    }
    let more = |one: &&Notice| one.kind == NoticeKind::CutCorrection && one.body.contains("flood");
    assert_eq!(all.iter().filter(more).count(), 2, "why and when follows");
    let alpha = fleet.members["alpha"].id;
    fleet.settle().await.expect("disarmed");
    assert!(fleet.controller.watches_to_tell(alpha).await.expect("read").is_empty());
    let restore = Event::Restore { reason: "over".to_owned() };
    fleet.controller.act(provider("sun", Role::Operator), id, restore).await.expect("restored");
    fleet.settle().await.expect("restored");
    reach(&mut fleet, false);
    let again = ask(&fleet, id, "alpha", Direction::Cut, "flood").await;
    assert!(cut_of(&again) != cut && told_after(&again).is_some(), "another one stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_was_ended_on_the_host_before_anything_was_sent_is_told_all_the_same() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let t0 = fleet.controller.clock().now();
    ask(&fleet, id, "alpha", Direction::Cut, "drill").await;
    ask(&fleet, id, "alpha", Direction::Restore, "the drill is over").await;
    fleet.set_time_of_hosts(t0.plus_ms(121_000));
    assert_eq!(carried(&mut fleet, "alpha", false).len(), 2, "it did happen");
    back(&mut fleet).await;
    let tenant = now(&fleet, id).await;
    assert!(matches!(tenant.isolation, Isolation::Connected));
    fleet.deliver(ARRIVES).await.expect("delivered");
    fleet.settle().await.expect("disarmed");
    fleet.set_time_of_hosts(t0.plus_ms(600_000));
    assert_eq!(carried(&mut fleet, "alpha", false).len(), 0, "disarmed: the customer is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hosts_on_which_it_is_cut_what_either_told_counts_and_both_are_disarmed() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    reach(&mut fleet, false);
    let t0 = fleet.controller.clock().now();
    let first = cut_of(&ask(&fleet, id, "alpha", Direction::Cut, "flood").await);
    let second = cut_of(&ask(&fleet, id, "beta", Direction::Cut, "flood").await);
    assert_ne!(first, second, "each has its own");
    fleet.set_time_of_hosts(t0.plus_ms(120_000));
    assert_eq!(carried(&mut fleet, "alpha", false).len(), 2);
    assert_eq!(carried(&mut fleet, "beta", true).len(), 2, "beta gets through");
    fleet.set_time(t0.plus_ms(200_000)).await.expect("time passes");
    back(&mut fleet).await;
    fleet.set_time(t0.plus_ms(231_000)).await.expect("time passes");
    for host in ["alpha", "beta"] {
        carried(&mut fleet, host, false);
    }
    fleet.settle().await.expect("heard");
    let tenant = now(&fleet, id).await;
    assert_eq!(tenant.cuts.len(), 1, "one cut");
    assert_eq!(told(&tenant), ObligationState::Discharged { at: t0.plus_ms(120_000) });
    fleet.settle().await.expect("disarmed");
    fleet.set_time_of_hosts(t0.plus_ms(900_000));
    for host in ["alpha", "beta"] {
        assert_eq!(carried(&mut fleet, host, false).len(), 0, "{host} is disarmed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_packet_is_replaced_with_the_contacts_and_before_it_is_too_old() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let id = on_trial(&mut fleet).await;
    let count = |fleet: &Fleet| {
        let files = std::fs::read_dir(fleet.packets_of("alpha")).expect("listed");
        let name = |file: std::io::Result<std::fs::DirEntry>| file.expect("read").file_name();
        let names = files.map(|file| name(file).to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".packet")).collect::<Vec<_>>()
    };
    let before = count(&fleet);
    assert_eq!(before.len(), 1, "{before:?}");
    let mut contacts = application().contacts;
    contacts[0].email = Some("other@data.example".to_owned());
    let set = Event::SetContacts { contacts };
    fleet.controller.act(customer("li"), id, set).await.expect("set");
    fleet.settle().await.expect("told");
    let after = count(&fleet);
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    fleet.settle().await.expect("nothing more");
    assert_eq!(count(&fleet), after);
    let later = fleet.controller.clock().now().plus_ms(31 * 86_400_000);
    fleet.set_time(later).await.expect("time passes");
    fleet.settle().await.expect("told");
    let renewed = count(&fleet);
    assert!(renewed.len() == 1 && renewed != after, "long before it is too old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_cannot_use_up_the_packets_of_another_tenant() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    let one = on_trial(&mut fleet).await;
    let other = fleet.controller.submit(customer("li"), application()).await.expect("submitted").id;
    let approve = Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() };
    fleet.controller.act(provider("zhao", Role::Reviewer), other, approve).await.expect("approved");
    fleet.settle().await.expect("configured");
    fleet.deliver(ARRIVES).await.expect("delivered");
    reach(&mut fleet, false);
    let alpha = fleet.members.get_mut("alpha").expect("known");
    let foreign = alpha.watching.reserved(one).expect("a packet stands");
    alpha.watching.claim(other, foreign);
    assert_eq!(cut_of(&ask(&fleet, other, "alpha", Direction::Cut, "flood").await), foreign);
    reach(&mut fleet, true);
    let alpha = fleet.members.get_mut("alpha").expect("known");
    alpha.reconnect().expect("reconnected");
    let refused = fleet.settle().await.expect_err("it lies").to_string();
    assert!(refused.contains("another tenant's"), "{refused}");
    assert!(now(&fleet, other).await.cuts.is_empty());
    assert!(now(&fleet, one).await.cuts.is_empty());
    for host in ["alpha", "beta"] {
        let told = fleet.controller.watches_to_tell(fleet.members[host].id).await.expect("read");
        assert!(told.is_empty(), "nothing is called off: {told:?}");
    }
}
