use tenure_protocol::{channel::Channel, wire::v1::Culprit};
use uuid::Uuid;

use super::*;
use crate::core::tenant::Contact;

const HOST: HostId = HostId::from_uuid(Uuid::from_u128(7));

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_788_220_800_000 + ms)
}

fn alarm(repaired: bool) -> Alarm {
    Alarm {
        sequence: 9,
        at: at(0),
        kind: AlarmKind::PacketFilter,
        subject: "bridge tenure".to_owned(),
        tenant: None,
        what: "the table is gone".to_owned(),
        culprit: Some(Culprit { pid: 4711, command: "nft".to_owned() }),
        repaired,
        dropped: 0,
    }
}

#[test]
fn the_first_is_told_then_none_for_a_while_and_then_how_many_there_were() {
    let (mut told, notice) = Told::after_one(None, at(0));
    assert_eq!(notice, Some(0));
    for number in 1..=500 {
        let (next, notice) = Told::after_one(Some(told), at(number));
        assert_eq!(notice, None, "{number}");
        told = Told::parse(&next.text()).expect("as it was kept");
    }
    assert_eq!(
        Told::after_one(Some(told), at(PAUSE_MS)),
        (Told { at: at(PAUSE_MS), since: 0 }, Some(500))
    );
    // A clock that was set back holds nothing back.
    assert_eq!(Told::after_one(Some(told), at(-1)).1, Some(500));
    assert_eq!(Told::parse("12"), None);
    let names = [true, false].map(|repaired| Told::name(HOST, &alarm(repaired)));
    assert_ne!(names[0], names[1], "what stands is told apart from what was repaired");
}

#[test]
fn the_desk_is_told_of_all_and_the_second_contacts_of_what_stands() {
    let contact = |name: &str, email: &str| Contact {
        name: name.to_owned(),
        email: Some(email.to_owned()),
        ..Contact::default()
    };
    let provider = Provider {
        contacts: vec![contact("duty", "duty@cloud.example")],
        second: vec![contact("head", "head@cloud.example")],
    };
    let told = |alarm: &Alarm| {
        let mut draw = Draw::new([1; 32], at(0));
        notices((HOST, "h1"), alarm, 3, &provider, at(5), &mut draw)
    };
    let repaired = told(&alarm(true));
    assert_eq!(repaired.len(), 1);
    let one = &repaired[0];
    assert_eq!((one.tenant, one.contact.as_str()), (None, "duty"));
    assert!(matches!(&one.channel, Channel::Mail { address } if address == "duty@cloud.example"));
    assert_eq!(one.state, NoticeState::Due { since: at(5), next_at: at(5) });
    for fact in ["h1", "bridge tenure", "the table is gone", "nft (pid 4711)", "before: 3"] {
        assert!(one.body.contains(fact), "{fact}: {}", one.body);
    }
    assert!(one.kind.is_providers() && one.payload.contains("\"command\":\"nft\""));
    let standing = told(&alarm(false));
    assert_eq!(standing.len(), 2);
    assert!(standing[1].subject.contains("NOT repaired"), "{}", standing[1].subject);
}
