//! Alarms of hosts: believed by their signature, kept once, told without a flood, standing until
//! they are repaired.

use super::*;

fn alarm(sequence: u64, repaired: bool) -> Alarm {
    Alarm {
        sequence,
        at: Timestamp::from_unix_ms(1),
        kind: AlarmKind::PacketFilter,
        subject: "bridge tenure".to_owned(),
        tenant: None,
        what: "the table is gone".to_owned(),
        culprit: Some(Culprit { pid: 7, command: "nft".to_owned() }),
        repaired,
        dropped: 0,
        figures: None,
    }
}

/// Alpha says this.
async fn raise(fleet: &Fleet, alarm: Alarm) -> Result<u64, EngineError> {
    let alpha = &fleet.members["alpha"];
    fleet.controller.alarm(alpha.id, &alpha.signs(alarm).expect("signed")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_kept_once_entered_once_and_told_without_a_flood() {
    let contact = |name: &str| Contact {
        name: name.to_owned(),
        email: Some(format!("{name}@cloud.example")),
        ..Contact::default()
    };
    let told = Provider { contacts: vec![contact("duty")], second: vec![contact("head")] };
    let rules = Rules::shipped().expect("the law");
    let mut fleet = Fleet::start_as(rules, told).await.expect("a fleet");
    fleet.join("alpha").await.expect("joined");
    let (controller, host) = (fleet.controller.clone(), fleet.members["alpha"].id);
    // The host did not hear the answer.
    for _ in 0..3 {
        raise(&fleet, alarm(9, true)).await.expect("taken");
    }
    for sequence in 10..=20 {
        raise(&fleet, alarm(sequence, true)).await.expect("taken");
    }
    let page = |after| Page { after, limit: 5 };
    let first = controller.alarms(host, &page(None)).await.expect("read");
    let sequences: Vec<u64> = first.items.iter().map(|one| one.alarm.sequence).collect();
    assert_eq!((sequences, first.next.is_some()), (vec![9, 10, 11, 12, 13], true));
    let rest = controller.alarms(host, &Page { after: first.next, limit: 99 }).await.expect("read");
    assert_eq!((rest.items.len(), rest.next), (7, None), "twelve, each once");
    let acts = controller.platform_acts().await.expect("read");
    assert_eq!(acts.iter().filter(|act| act.kind == "host-alarm").count(), 12);

    let taken = Outcome::Accepted { grade: Grade::E2 };
    let to = |notices: &[Notice]| -> Vec<String> {
        notices.iter().map(|notice| notice.contact.clone()).collect()
    };
    let notices = fleet.deliver(taken).await.expect("tried");
    assert_eq!(to(&notices), ["duty"], "one for all of them");
    assert!(notices[0].tenant.is_none() && notices[0].body.contains("nft (pid 7)"));
    assert_eq!(fleet.deliver(taken).await.expect("tried"), [], "it has arrived");
    // What is not repaired is told besides, and to those above the desk.
    raise(&fleet, alarm(21, false)).await.expect("taken");
    assert_eq!(to(&fleet.deliver(taken).await.expect("tried")), ["duty", "head"]);
    let later = controller.clock().now().plus_ms(PAUSE_MS);
    fleet.set_time(later).await.expect("later");
    raise(&fleet, alarm(22, true)).await.expect("taken");
    let notices = fleet.deliver(taken).await.expect("tried");
    assert!(notices.len() == 1 && notices[0].body.contains("before: 11"), "{notices:?}");

    let security = provider("hu", Role::Security);
    controller.block_host(security, host, "stolen".to_owned()).await.expect("blocked");
    let blocked = raise(&fleet, alarm(23, false)).await;
    assert!(matches!(blocked, Err(EngineError::Blocked)), "{blocked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_stands_on_the_desk_until_it_is_repaired_or_a_person_ends_it() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    fleet.join("alpha").await.expect("joined");
    let (controller, host) = (fleet.controller.clone(), fleet.members["alpha"].id);
    let desk = || async {
        let needs = controller.duty().await.expect("read").needs;
        let alarms = needs.into_iter().filter(|one| one.need == Need::HostAlarm);
        alarms.map(|one| (one.about, one.standing)).collect::<Vec<_>>()
    };
    let of = |number: u64| (format!("alpha #{number}"), "packet-filter");
    for (sequence, repaired, expected) in [
        (1, false, vec![of(1)]),
        // About the same: one stands.
        (3, false, vec![of(3)]),
        // It was on its way for longer.
        (2, true, vec![of(3)]),
        (4, true, vec![]),
        (6, false, vec![of(6)]),
        // Held back: whoever carries alarms brings none back that was followed by another.
        (5, false, vec![of(6)]),
    ] {
        raise(&fleet, alarm(sequence, repaired)).await.expect("taken");
        assert_eq!(desk().await, expected, "after {sequence}");
    }
    let end = |role, reason: &str, sequence| {
        controller.end_alarm(provider("sun", role), host, sequence, reason.to_owned())
    };
    let refused = end(Role::Administrator, "seen", 6).await;
    assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    let refused = end(Role::Operator, " ", 6).await;
    assert!(matches!(refused, Err(EngineError::Refused(_))), "a reason is missing: {refused:?}");
    let unknown = end(Role::Operator, "mended", 4).await;
    assert!(matches!(unknown, Err(EngineError::NotFound(_))), "{unknown:?}");
    assert!(!end(Role::Operator, "mended", 6).await.expect("ended").standing);
    assert_eq!(desk().await, []);
    let acts = controller.platform_acts().await.expect("read");
    let ended = acts.iter().find(|act| act.kind == "host-alarm-ended").expect("in the journal");
    assert_eq!((ended.actor.name.as_str(), &ended.body["reason"]), ("sun", &json!("mended")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_the_host_did_not_sign_as_its_own_changes_nothing() {
    let mut fleet = Fleet::start().await.expect("a fleet");
    for name in ["alpha", "beta"] {
        fleet.join(name).await.expect("joined");
    }
    let [alpha, beta] = ["alpha", "beta"].map(|name| &fleet.members[name]);
    raise(&fleet, alarm(1, false)).await.expect("taken");
    let repaired = alarm(2, true);
    // With beta's key, as beta's own, and what alpha signed with other words.
    let named = HostAlarm { host: alpha.id, alarm: repaired.clone() };
    let foreign = HostKey::from_secret(&[9; 32]).say(&named).expect("signed");
    let others = beta.signs(repaired.clone()).expect("signed");
    let mut bytes = frame::encode(&alpha.signs(alarm(2, false)).expect("signed")).expect("bytes");
    let place = bytes.windows(4).position(|word| word == b"gone").expect("its words");
    bytes[place] = b'd';
    let changed = frame::decode(&bytes).expect("a message");
    for forged in [foreign, others, changed] {
        let refused = fleet.controller.alarm(alpha.id, &forged).await;
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    }
    let kept = fleet.controller.alarms(alpha.id, &Page::default()).await.expect("read");
    let standing: Vec<_> =
        kept.items.iter().map(|one| (one.alarm.sequence, one.standing)).collect();
    assert_eq!(standing, [(1, true)], "it still stands, and nothing else is kept");
    let signed = alpha.signs(repaired).expect("signed");
    let elsewhere = fleet.controller.alarm(beta.id, &signed).await;
    assert!(matches!(elsewhere, Err(EngineError::Invalid(_))), "{elsewhere:?}");
    assert_eq!(fleet.controller.alarm(alpha.id, &signed).await.expect("taken"), 2);
}
