//! What joint notices say, and when they go out.

use tenure_protocol::time::Timestamp;
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

fn letters() -> Letters {
    Letters::shipped().expect("words")
}

fn part(number: u128, said: Said) -> Part {
    Part {
        tenant: TenantId::from_uuid(Uuid::from_u128(number)),
        cut: CutId::from_uuid(Uuid::from_u128(number)),
        number: 1,
        kind: CutKind::Emergency,
        reason: "worm".to_owned(),
        system: format!("system {number}"),
        code: format!("S{number}"),
        designated: true,
        said,
        known: false,
    }
}

fn notice(channel: Channel, parts: Vec<Part>) -> Notice {
    let like = Notice {
        id: NoticeId::from_uuid(Uuid::from_u128(1)),
        tenant: None,
        cut: None,
        kind: NoticeKind::Cut,
        contact: "duty".to_owned(),
        channel,
        designated: true,
        subject: String::new(),
        body: String::new(),
        payload: String::new(),
        state: NoticeState::Due { since: NOW, next_at: NOW },
        tries: Vec::new(),
        joint: None,
    };
    let customer = "bureau".to_owned();
    let joint = Joint { customer, ordered_at: NOW, parts, follows: None };
    Notice::joint(
        NoticeId::from_uuid(Uuid::from_u128(2)),
        NoticeKind::Cut,
        &like,
        joint,
        (&letters(), NOW),
    )
}

fn mail() -> Channel {
    Channel::Mail { address: "duty@bureau.example".to_owned() }
}

fn cut() -> Said {
    let t0 = CommitInterval { earliest: NOW, latest: NOW.plus_ms(1), took_ns: 1_000_000 };
    Said::Cut { t0, notify_by: Some(NOW.plus_ms(300_000)) }
}

fn void() -> Said {
    Said::NotCut { reason: "nft-failed: busy".to_owned() }
}

#[test]
fn it_gathers_what_is_known_within_a_moment_of_the_first_and_waits_for_nothing_then() {
    let ordered = || vec![part(1, Said::CutOrdered), part(2, Said::CutOrdered)];
    let mut notice = notice(mail(), ordered());
    assert_eq!(notice.next_at(), Some(NOW.plus_ms(ARMED_MS)));
    notice.say(part(1, cut()), &letters(), NOW.plus_ms(100));
    assert_eq!(notice.next_at(), Some(NOW.plus_ms(100 + GATHER_MS)));
    assert!(notice.body.contains("system 1（S1）：已于") && notice.body.contains("另行通知"));
    notice.say(part(2, void()), &letters(), NOW.plus_ms(200));
    assert_eq!(notice.next_at(), Some(NOW.plus_ms(200)), "all is known");
    assert!(notice.body.contains("NOT cut, the network is up. Details: nft-failed: busy"));
    assert!(notice.payload.contains("\"state\":\"not-cut\""), "{}", notice.payload);
    assert_eq!(notice.parts().len(), 2);
}

#[test]
fn one_of_which_no_cut_was_made_never_goes_out() {
    let mut notice = notice(mail(), vec![part(1, Said::CutOrdered), part(2, Said::CutOrdered)]);
    notice.say(part(1, void()), &letters(), NOW);
    assert!(notice.next_at().is_some(), "the other may be cut");
    notice.say(part(2, void()), &letters(), NOW);
    assert!(matches!(notice.state, NoticeState::Void { .. }));
}

#[test]
fn a_correction_names_what_it_is_about_and_gathers_more_until_it_goes_out() {
    let sent = notice(mail(), vec![part(1, cut()), part(2, Said::CutOrdered)]);
    let id = NoticeId::from_uuid(Uuid::from_u128(3));
    let kind = NoticeKind::CutCorrection;
    let mut correction =
        sent.correction(id, kind, part(2, void()), (&letters(), NOW)).expect("joint");
    assert_eq!(correction.known_as(), sent.id);
    assert!(correction.subject.contains("was not cut") && !correction.body.contains("system 1"));
    correction.say(part(3, cut()), &letters(), NOW.plus_ms(10));
    assert_eq!((correction.parts().len(), correction.next_at()), (2, Some(NOW.plus_ms(ARMED_MS))));
    assert!(correction.subject.contains("断网续报"), "{}", correction.subject);
}

#[test]
fn a_short_message_names_some_and_says_how_many_there_are() {
    let sms = || Channel::Sms { number: "+8613800000000".to_owned() };
    let few = notice(sms(), vec![part(1, cut()), part(2, void())]);
    let each = "system 1（已断开）、system 2（未断开）";
    assert!(few.body.contains(each) && !few.body.contains('等'), "{}", few.body);
    let many = notice(sms(), (1..=100).map(|number| part(number, cut())).collect());
    assert!(many.body.contains("system 5（已断开） 等 100 个"), "{}", many.body);
    assert!(many.body.chars().count() < 600, "one message carries it: {}", many.body);
}

#[test]
fn it_ends_once_nobody_need_be_told() {
    let mut notice = notice(mail(), vec![part(1, cut()), part(2, cut()), part(3, void())]);
    let tenant = |number| TenantId::from_uuid(Uuid::from_u128(number));
    assert!(!notice.know_for(tenant(1)));
    assert!(notice.know_for(tenant(2)), "the third was not cut");
    let told = notice.parts()[0].grade(Grade::E2);
    assert_eq!(told, Grade::E2);
    assert_eq!(Part { designated: false, ..part(1, cut()) }.grade(Grade::E2), Grade::E1);
}
