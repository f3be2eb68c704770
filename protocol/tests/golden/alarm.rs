//! The same of alarms.

use tenure_protocol::wire::v1::{
    Alarm, AlarmKind, Culprit, Figures, HostAlarm, Measure, SignedAlarm,
};

use super::*;

/// As its host signs it.
fn raised(alarm: Alarm) -> AlarmMessage {
    let said = HostAlarm { host: host(), alarm };
    AlarmMessage::Raised(SignedAlarm::sign(&said, &host_key()).expect("signed"))
}

#[test]
fn alarms_keep_their_bytes() {
    let alarm = Alarm {
        sequence: 70_000,
        at: at(0),
        kind: AlarmKind::PacketFilter,
        subject: "bridge tenure".to_owned(),
        tenant: Some(tenant()),
        what: "the table is gone".to_owned(),
        culprit: Some(Culprit { pid: 4711, command: "nft".to_owned() }),
        repaired: true,
        dropped: 2,
        figures: None,
    };
    assert_wire("alarm-raised", &raised(alarm.clone()));
    let figures = Figures {
        measure: Measure::ConnectionsReceived,
        rate: 70_000,
        threshold: 2_000,
        window_ms: 6_000,
    };
    let flood = Alarm { kind: AlarmKind::CpuSteal, figures: Some(figures), ..alarm };
    assert_wire("alarm-flood", &raised(flood));
    assert_wire("alarm-received", &AlarmMessage::Received { sequence: 70_000 });
}
