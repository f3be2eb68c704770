//! The same of the watch over cuts.

use tenure_protocol::{
    channel::{Grade, Secret},
    wire::watch::{
        Destination, Disarm, DisarmReason, MailHandover, MailSecurity, MailServer, Packet,
        PacketNotice, Routes, SignedDisarm, SignedPacket, Watch, WatchReceipt, WatchReport,
        WatchSaid, WatchTry, WebhookRules,
    },
};

use super::*;

fn cut_id() -> CutId {
    CutId::from_uuid(uuid(9))
}

fn packet(watch: Watch) -> Packet {
    let notice = |n, to| PacketNotice {
        id: NoticeId::from_uuid(uuid(n)),
        designated: true,
        to,
        subject: "紧急断网通知".to_owned(),
        body: "text".to_owned(),
        payload: "{}".to_owned(),
    };
    let (url, secret) = ("https://a.example/hook".to_owned(), Secret::new("whsec_AAAA"));
    Packet {
        cut: cut_id(),
        tenant: tenant(),
        host: host(),
        watch,
        fallback_after_ms: 120_000,
        issued_at: at(0),
        ttl_ms: 60_000,
        routes: Routes {
            mail: Some(MailHandover {
                to: MailServer::Site { host: "mx.example".to_owned(), port: 25 },
                from: "Tenure <tenure@a.example>".to_owned(),
                tls: MailSecurity::Optional,
                grade: Grade::E1,
                domains: [("b.example".to_owned(), Grade::E2)].into(),
            }),
            webhook: WebhookRules {
                private: true,
                loopback: false,
                plain_http: false,
                authorities: vec![vec![0x30, 0]],
            },
        },
        notices: vec![
            notice(10, Destination::Mail { address: "duty@b.example".to_owned() }),
            notice(11, Destination::Webhook { url, secret }),
        ],
    }
}

#[test]
fn watches_keep_their_bytes() {
    assert_wire("packet-ordered", &packet(Watch::Ordered));
    assert_wire("packet-witness", &packet(Watch::Witness { ordered_ms_ago: 1500 }));
    assert_wire("packet-standing", &packet(Watch::Standing));
    for (name, resolver) in [("own", None), ("given", Some(([10, 0, 0, 53], 53).into()))] {
        assert_wire(&format!("mail-{name}"), &MailServer::Recipients { resolver, port: 25 });
    }
    let signed = SignedPacket::sign(&packet(Watch::Ordered), &key(4)).expect("signed");
    assert_wire("packet-signed", &signed);
    assert!(signed.verify(&key(4).verifying_key()).is_ok());
    for (name, reason) in [("told", DisarmReason::Told), ("void", DisarmReason::Void)] {
        let disarm = Disarm { cut: cut_id(), host: host(), reason };
        let signed = SignedDisarm::sign(&disarm, &key(4)).expect("signed");
        assert_wire(&format!("disarm-{name}"), &signed);
    }
    let notice = NoticeId::from_uuid(uuid(10));
    let tried = |grade| WatchTry { notice, at: at(3), grade, evidence: "250 Ok".to_owned() };
    let not_kept = WatchSaid::NotKept { code: "storage".to_owned(), message: "why".to_owned() };
    for (name, said) in [
        ("kept", WatchSaid::Kept),
        ("not-kept", not_kept),
        ("ended", WatchSaid::Ended),
        ("arrived", WatchSaid::Tried(tried(Some(Grade::E2)))),
        ("failed", WatchSaid::Tried(tried(None))),
    ] {
        let report = WatchReport { cut: cut_id(), sequence: 70_000, said };
        assert_wire(&format!("watch-report-{name}"), &report);
    }
    assert_wire("watch-receipt", &WatchReceipt { cut: cut_id(), sequence: 70_000 });
    let kinds = [Kind::Packet, Kind::WatchReport, Kind::Disarm, Kind::WatchReceipt];
    let nack = Nack { kind: 99, message: "unknown kind".to_owned() };
    let frames = kinds.map(|kind| Frame::new(kind, &nack).expect("fits").to_bytes());
    assert_golden("frames-watch", &frames.concat());
}
