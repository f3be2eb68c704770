use tenure_protocol::{
    channel::Channel,
    wire::v1::{Culprit, Figures, Measure},
};
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
        figures: None,
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
    let names = [true, false].map(|repaired| Told::name(HOST, &alarm(repaired), None));
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
        notices((HOST, "h1"), alarm, (3, false), &provider, at(5), &mut draw)
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

#[test]
fn an_anomaly_is_told_with_its_figures_and_each_tenants_by_itself() {
    let contact = Contact {
        name: "duty".to_owned(),
        email: Some("duty@cloud.example".to_owned()),
        ..Contact::default()
    };
    let provider = Provider { contacts: vec![contact], second: Vec::new() };
    let figures = Figures {
        measure: Measure::PacketsSent,
        rate: 81_234,
        threshold: 50_000,
        window_ms: 6_000,
    };
    let tenants = [1, 2].map(|id| TenantId::from_uuid(Uuid::from_u128(id)));
    let flood = |repaired| Alarm {
        kind: AlarmKind::PacketFlood,
        subject: "tap-00000001".to_owned(),
        tenant: Some(tenants[0]),
        culprit: None,
        figures: Some(figures),
        ..alarm(repaired)
    };
    let told = |alarm: &Alarm, cut| {
        let mut draw = Draw::new([1; 32], at(0));
        let mut notices = notices((HOST, "h1"), alarm, (0, cut), &provider, at(5), &mut draw);
        notices.pop().expect("a notice")
    };
    let begun = told(&flood(false), false);
    for words in [
        "数据包洪泛，仍在持续",
        "每秒发出数据包 81234（阈值 50000，6 秒均值）",
        "81234 packets sent a second (threshold 50000, mean of 6 s)",
        "going on: act now",
    ] {
        assert!(begun.body.contains(words), "{words}: {}", begun.body);
    }
    assert!(begun.payload.contains("\"rate\":81234"), "{}", begun.payload);
    let cut = told(&flood(false), true);
    assert!(cut.subject.contains("CUT") && cut.body.contains("已按规则自动断网"), "{cut:?}");
    assert!(told(&flood(true), false).body.contains("已结束"));
    let name = |tenant| Told::name(HOST, &flood(false), tenant);
    let names = [name(None), name(Some(tenants[0])), name(Some(tenants[1]))];
    assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
}
