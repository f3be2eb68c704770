//! The wire of version 1 and the forms of evidence, byte by byte. If this fails, agents and
//! controllers of different builds no longer understand one another, or old evidence no longer
//! verifies: take the change back. Only a *new* file is ever right; TENURE_BLESS=1 writes those
//! that are missing, and never one that exists.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test with a shared fixture, which can write its files"
)]

#[path = "golden/alarm.rs"]
mod alarm;
#[path = "golden/device.rs"]
mod device;
mod fixture;
#[path = "golden/local.rs"]
mod local;
#[path = "golden/watch.rs"]
mod watch;

use std::{fs, path::PathBuf};

use fixture::*;
use serde::{Serialize, de::DeserializeOwned};
use tenure_protocol::{
    digest::Digest,
    evidence::{
        predicate::{
            Configuration, NetworkCut, Notification, Predicate, Wipe,
            configuration::{ConfigurationMeasured, InstanceMeasured},
            network_cut::{Direction, NetworkCutMeasured, SealMeasured},
            notification::{NoticeOutcome, NoticeTry},
        },
        statement::Statement,
    },
    generation::Generation,
    id::{CutId, InstanceId, NoticeId, OrderId, VolumeId},
    wire::{
        frame::{self, Frame, Kind},
        join::JoinToken,
        order::SignedOrder,
        v1::{
            Action, AlarmMessage, Boot, CommitInterval, CutOrder, Egress, EnrolAnswer,
            EnrolRequest, Hello, HostFacts, InstanceObserved, InstanceWanted, IntentReceipt,
            IntentRefusal, KeepAlive, Lane, LaneOpen, Mark, Nack, Network, Nic, Observation, Order,
            OrderState, Outcome, PacketRule, Peers, Power, Progress, RejoinRequest, RenewAnswer,
            RenewRequest, Report, ReportReceipt, TenantWanted, Thresholds, Traffic, Transport,
            VolumeWanted, Welcome, WipeOrder, WipeSubject, unmade_message,
        },
    },
};

/// Compares with the committed file, or writes it if there is none and that is wanted.
fn assert_golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.hex"));
    let lines: Vec<String> = bytes.chunks(48).map(hex::encode).collect();
    let text = format!("{}\n", lines.join("\n"));
    match fs::read_to_string(&path) {
        Ok(golden) => assert_eq!(text, golden, "{name}: these bytes must not change"),
        Err(_) if std::env::var_os("TENURE_BLESS").is_some() => {
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(&path, text).expect("written");
        }
        Err(error) => panic!("{}: {error}: TENURE_BLESS=1 writes it", path.display()),
    }
}

/// The bytes are golden, and read back.
fn assert_wire<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    name: &str,
    value: &T,
) {
    let bytes = frame::encode(value).expect("encoded");
    assert_golden(name, &bytes);
    assert_eq!(frame::decode::<T>(&bytes).as_ref(), Ok(value), "{name} does not read back");
}

fn instance() -> InstanceId {
    InstanceId::from_uuid(uuid(3))
}

fn order_id() -> OrderId {
    OrderId::from_uuid(uuid(5))
}

fn order(action: Action) -> Order {
    Order {
        id: order_id(),
        host: host(),
        tenant: tenant(),
        generation: Generation(300),
        issued_at: at(0),
        ttl_ms: 60_000,
        action,
    }
}

fn cut_order() -> CutOrder {
    CutOrder { cut: CutId::from_uuid(uuid(9)), mark: Mark(0x101) }
}

fn wanted() -> TenantWanted {
    TenantWanted {
        mark: Mark(0x101),
        network: Network { address: [10, 64, 1, 0], prefix: 24, gateway: [10, 64, 1, 1] },
        instances: vec![InstanceWanted {
            instance: instance(),
            name: "web-1".to_owned(),
            vcpus: 2,
            memory_mib: 512,
            power: Power::Running,
            boot: Boot {
                kernel: Digest::of(b"kernel"),
                initrd: Digest::of(b"initrd"),
                cmdline: "console=ttyS0".to_owned(),
            },
            nic: Nic {
                mac: [2, 0, 0, 0, 0, 1],
                ip4: [10, 64, 1, 10],
                ingress: vec![
                    PacketRule::open(Transport::Tcp, 443),
                    PacketRule { traffic: Traffic::Echo, peers: Peers::EVERYBODY },
                ],
                egress: Egress::Only(vec![
                    PacketRule {
                        traffic: Traffic::Ports { transport: Transport::Udp, first: 53, last: 54 },
                        peers: Peers { first: [10, 64, 1, 0], last: [10, 64, 1, 255] },
                    },
                    PacketRule { traffic: Traffic::All, peers: Peers::EVERYBODY },
                ]),
            },
            volumes: vec![VolumeWanted {
                volume: VolumeId::from_uuid(uuid(4)),
                size_bytes: 16 << 20,
            }],
        }],
        thresholds: Thresholds {
            packets_per_s: 200_000,
            connections_per_s: 2_000,
            disk_bytes_per_s: 500 << 20,
            steal_permille: 100,
        },
    }
}

fn wipe_order() -> WipeOrder {
    WipeOrder {
        attempt: 1,
        nonce: [7; 32],
        subjects: vec![
            WipeSubject::Volume { instance: instance(), volume: VolumeId::from_uuid(uuid(4)) },
            WipeSubject::Memory { instance: instance() },
        ],
        approvals: vec![Digest::of(b"approval 1"), Digest::of(b"approval 2")],
    }
}

fn observed() -> InstanceObserved {
    InstanceObserved { instance: instance(), tenant: tenant(), power: Power::Stopped }
}

fn interval() -> CommitInterval {
    CommitInterval { earliest: at(1), latest: at(2), took_ns: 123_456 }
}

#[test]
fn orders_keep_their_bytes() {
    assert_wire("order-configure", &order(Action::Configure(wanted())));
    assert_wire("order-cut", &order(Action::Cut(cut_order())));
    assert_wire("order-restore", &order(Action::Restore(cut_order())));
    assert_wire("order-wipe", &order(Action::Wipe(wipe_order())));
    let signed = SignedOrder::sign(&order(Action::Cut(cut_order())), &key(4)).expect("signed");
    assert_wire("order-signed", &signed);
    assert!(signed.verify(&key(4).verifying_key()).is_ok());
}

#[test]
fn reports_keep_their_bytes() {
    let failed = |code: &str| (code.to_owned(), "what happened".to_owned());
    let (code, message) = failed("device-error");
    let envelopes = vec![b"{}".to_vec()];
    let done = |outcome| OrderState::Done { outcome, envelopes: envelopes.clone() };
    let progress =
        Progress { step: "overwriting".to_owned(), done_bytes: 1 << 20, total_bytes: 1 << 30 };
    for (name, state) in [
        ("journalled", OrderState::Journalled),
        ("started", OrderState::Started),
        ("progress", OrderState::Progress(progress)),
        ("intent", OrderState::Intent { envelope: b"{}".to_vec() }),
        ("configured", done(Outcome::Configured { instances: vec![observed()] })),
        ("cut", done(Outcome::Cut(interval()))),
        ("restored", done(Outcome::Restored(interval()))),
        ("wiped", done(Outcome::Wiped)),
        (
            "failed",
            OrderState::Failed {
                code: code.clone(),
                message: message.clone(),
                envelopes: envelopes.clone(),
            },
        ),
        ("refused", OrderState::Refused { code, message }),
    ] {
        let report = Report { order: order_id(), sequence: 70_000, at: at(3), state };
        assert_wire(&format!("report-{name}"), &report);
    }
}

#[test]
fn session_messages_keep_their_bytes() {
    let facts = HostFacts {
        cpus: 64,
        memory_bytes: 1 << 38,
        volume_bytes: 1 << 42,
        accelerator: "kvm".to_owned(),
        kernel: "6.1.0".to_owned(),
    };
    let hello = Hello { agent_version: "0.1.0".to_owned(), boot_id: uuid(6).to_string(), facts };
    let now = at(4);
    let observation = Observation {
        instances: vec![observed()],
        cut: vec![Mark(0x101)],
        cpu_load_permille: 250,
        memory_used_bytes: 1 << 30,
    };
    assert_wire("hello", &hello);
    let controller_version = "0.1.0".to_owned();
    assert_wire("welcome", &Welcome { host: host(), controller_version, now });
    let keep_alive =
        KeepAlive { sent_at: now, answers: Some(at(3)), observation: Some(observation) };
    assert_wire("keep-alive", &keep_alive);
    assert_wire("lane-open-cut", &LaneOpen { lane: Lane::Cut });
    assert_wire("lane-open-work", &LaneOpen { lane: Lane::Work });
    assert_wire("report-receipt", &ReportReceipt { order: order_id(), sequence: 70_000 });
    let receipt = IntentReceipt {
        order: order_id(),
        entry: b"{}".to_vec(),
        index: 1000,
        proof: vec![Digest::of(b"sibling")],
        checkpoint: "ledger.test\n".to_owned(),
    };
    assert_wire("intent-receipt", &receipt);
    let refusal = IntentRefusal {
        order: order_id(),
        sequence: 70_000,
        code: "evidence-bad".to_owned(),
        message: "why".to_owned(),
    };
    assert_wire("intent-refusal", &refusal);
    assert_wire("nack", &Nack { kind: 99, message: "unknown kind".to_owned() });
}

#[test]
fn enrolment_messages_keep_their_bytes() {
    let request = EnrolRequest {
        secret: [1; 32],
        host_name: "h1".to_owned(),
        csr: vec![0x30, 0],
        host_key: [2; 32],
        signature: vec![3; 64],
    };
    assert_wire("enrol-request", &request);
    let chain = vec![vec![0x30, 1], vec![0x30, 2]];
    assert_wire("enrol-accepted", &EnrolAnswer::Accepted { host: host(), chain: chain.clone() });
    let (code, message) = ("token-used".to_owned(), "used".to_owned());
    assert_wire("enrol-refused", &EnrolAnswer::Refused { code, message });
    assert_wire("renew-request", &RenewRequest { csr: vec![0x30, 0], signature: vec![3; 64] });
    assert_wire("renew-accepted", &RenewAnswer::Accepted { chain });
    assert_wire("renew-refused", &RenewAnswer::Refused { message: "blocked".to_owned() });
    let rejoin = RejoinRequest { host: host(), csr: vec![0x30], signature: vec![9; 64] };
    assert_wire("rejoin-request", &rejoin);
    let token = JoinToken {
        secret: [1; 32],
        host_name: "h1".to_owned(),
        enrol_address: "192.0.2.1:7001".to_owned(),
        command_address: "192.0.2.1:7000".to_owned(),
        server_name: "controller.test".to_owned(),
        ca: Digest::of(b"ca"),
        ca_der: b"ca".to_vec(),
        order_key: [4; 32],
        ledger_key: anchors().ledger_key.to_string(),
        expires_at: at(900),
    };
    assert_golden("join-token", token.reveal().as_bytes());
    assert_eq!(token.reveal().parse(), Ok(token));
}

#[test]
fn frames_of_alarms_keep_their_bytes() {
    let received = AlarmMessage::Received { sequence: 70_000 };
    assert_golden("frame-alarm", &Frame::new(Kind::Alarm, &received).expect("fits").to_bytes());
}

#[test]
fn a_frame_of_each_kind_keeps_its_bytes() {
    let kinds = [
        Kind::Hello,
        Kind::Welcome,
        Kind::KeepAlive,
        Kind::Order,
        Kind::Report,
        Kind::ReportReceipt,
        Kind::IntentReceipt,
        Kind::Nack,
        Kind::EnrolRequest,
        Kind::EnrolAnswer,
        Kind::LaneOpen,
        Kind::RenewRequest,
        Kind::RenewAnswer,
        Kind::RejoinRequest,
        Kind::IntentRefusal,
    ];
    let nack = Nack { kind: 99, message: "unknown kind".to_owned() };
    let frames = kinds.map(|kind| Frame::new(kind, &nack).expect("fits").to_bytes());
    assert_golden("frames", &frames.concat());
}

fn network_cut(direction: Direction, cut: bool) -> Predicate {
    let measured = NetworkCutMeasured {
        mark: 0x101,
        earliest: at(1),
        latest: at(2),
        took_ns: 123_456,
        cut_read_back: Some(cut),
        seal: None,
        proof: None,
    };
    let id = CutId::from_uuid(uuid(9));
    Predicate::NetworkCut(NetworkCut::new(origin(), id, direction, measured, Vec::new()))
}

fn sealed(direction: Direction, cut: bool, seal: Option<(u32, u32)>) -> NetworkCut {
    let Predicate::NetworkCut(mut one) = network_cut(direction, cut) else { unreachable!() };
    let seal =
        seal.map(|(taps, sealed)| SealMeasured { at: at(3), taps, sealed_read_back: sealed });
    one.measured.seal = seal;
    let NetworkCut { origin, cut, measured, not_measured, .. } = one;
    NetworkCut::new(origin, cut, direction, measured, not_measured)
}

#[test]
fn a_cut_is_in_force_by_its_first_stage_and_ended_when_neither_is_left() {
    let in_force = |direction, cut, seal| sealed(direction, cut, seal).in_force();
    for (direction, cut, seal, expected) in [
        (Direction::Cut, true, Some((2, 2)), true),
        (Direction::Cut, true, Some((2, 1)), true),
        (Direction::Cut, true, None, true),
        (Direction::Cut, true, Some((2, 3)), false),
        (Direction::Cut, false, Some((2, 2)), false),
        (Direction::Restore, false, Some((2, 0)), true),
        (Direction::Restore, false, None, true),
        (Direction::Restore, false, Some((2, 1)), false),
    ] {
        assert_eq!(in_force(direction, cut, seal), expected, "{direction:?} {cut} {seal:?}");
    }
}

#[test]
fn statements_keep_their_bytes() {
    let said = Digest::of(b"intent");
    let notification = Notification {
        tenant: tenant(),
        notice: NoticeId::from_uuid(uuid(10)),
        subject: "network-cut".to_owned(),
        channel: "mail".to_owned(),
        contact: Digest::of(b"salt and contact"),
        due_at: Some(at(10)),
        tries: vec![NoticeTry {
            at: at(5),
            host: None,
            outcome: NoticeOutcome::Accepted,
            answer: "250 queued".to_owned(),
        }],
    };
    let configuration = Configuration {
        origin: origin(),
        generation: Generation(300),
        measured: ConfigurationMeasured {
            at: at(5),
            instances: vec![InstanceMeasured {
                instance: instance(),
                running: true,
                vcpus: 2,
                memory_bytes: 512 << 20,
                volume_bytes: 16 << 20,
            }],
            ruleset: Digest::of(b"rules"),
        },
        not_measured: Vec::new(),
    };
    let media = Wipe::new(account(said, volume(), media_measured()));
    let memory_wipe = Wipe::new(account(said, memory(), memory_measured()));
    let erasure = Wipe::new(account(said, volume(), key_measured()));
    for (name, predicate) in [
        ("wipe-intent", intent()),
        ("media-wipe", Predicate::MediaWipe(media)),
        ("memory-wipe", Predicate::MemoryWipe(memory_wipe)),
        ("key-erasure", Predicate::KeyErasure(erasure)),
        ("network-cut", network_cut(Direction::Cut, true)),
        ("network-restore", network_cut(Direction::Restore, false)),
        ("network-cut-sealed", Predicate::NetworkCut(sealed(Direction::Cut, true, Some((2, 2))))),
        ("notification", Predicate::Notification(notification)),
        ("configuration", Predicate::Configuration(configuration)),
    ] {
        let statement = Statement::new(predicate);
        let payload = statement.to_payload().expect("honest");
        assert_golden(&format!("statement-{name}"), &payload);
        assert_eq!(Statement::from_payload(&payload), Ok(statement), "{name}");
    }
}

#[test]
fn envelope_entry_checkpoint_anchors_and_bundle_keep_their_bytes() {
    assert_golden("envelope", &envelope(intent(), &host_key()));
    let exit = Exit::good();
    assert_golden("ledger-entry", &exit.entries()[1]);
    assert_golden("checkpoint", exit.parts().checkpoint.as_bytes());
    assert_golden("anchors", anchors().to_json().as_bytes());
    assert_golden("bundle-sha256", &Digest::of(&exit.bundle()).0);
}
