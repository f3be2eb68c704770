//! The agent's packet filter and devices in namespaces of their own, with real taps: the test holds
//! their other ends, as a guest's network card does, and an uplink's outer end.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::ruleset::{self, PolicyTap, TapName},
    host::{
        nft::{self, CutTable, NftFailure, Protection},
        tap::{self, DeviceKind, TapFailure},
    },
};
use tenure_protocol::wire::v1::{IngressRule, Mark, Transport};
use tenure_tests::lab::{
    daemon::{run, wait_for},
    frames::{self, BROADCAST, LLDP_GROUP, Mac, Station, Wire, station},
    net::{Netns, Switch, can_run},
};

const A: Mark = Mark(0x101);
const B: Mark = Mark(0x102);
const A1: Station = station(1, 10);
const A2: Station = station(1, 11);
const B1: Station = station(2, 12);
const GATEWAY: Station = station(1, 1);
const BRIDGE: &str = "tb-lab";
/// Long enough for a frame to come through on a busy machine: it is handed on while it is sent.
const QUIET: Duration = Duration::from_millis(40);

type Tested = anyhow::Result<()>;

/// Two tenants on one bridge, which is worse than what the agent makes, and an uplink.
struct Rig {
    a1: Wire,
    a2: Wire,
    b1: Wire,
    uplink: Wire,
    cut: CutTable,
}

impl Rig {
    /// To be called inside the host's namespace.
    fn new(customer: &Netns) -> anyhow::Result<Self> {
        let mut cut = CutTable::open()?;
        nft::apply_policy(&ruleset::policy(&taps()?))?;
        tap::ensure_bridge(BRIDGE)?;
        for wanted in taps()? {
            cut.enlist(&wanted.tap, wanted.mark)?;
        }
        let wire = |name: &str| -> anyhow::Result<Wire> {
            Wire::tap(tap::ensure_tap(&TapName::parse(name)?, BRIDGE)?)
        };
        let (a1, a2, b1) = (wire("tap-a1")?, wire("tap-a2")?, wire("tap-b1")?);
        let mut cable = vec!["ip", "link", "add", "up-lab", "type", "veth", "peer", "name"];
        cable.extend(["out", "netns", &customer.name]);
        run(&cable)?;
        run(&["ip", "link", "set", "up-lab", "master", BRIDGE, "up"])?;
        customer.run(&["ip", "link", "set", "out", "up"])?;
        let uplink = customer.within(|| Wire::device("out"))??;
        // The kernel takes up to a second to see that a cable is plugged in at both ends.
        let hello = frames::arp_request(B1, B1.ip4);
        wait_for("the uplink", Duration::from_secs(5), || {
            b1.send(&hello)?;
            Ok(arrives(&hello, &uplink)?.then_some(()))
        })?;
        Ok(Self { a1, a2, b1, uplink, cut })
    }

    fn wires(&self) -> [&Wire; 4] {
        [&self.a1, &self.a2, &self.b1, &self.uplink]
    }
}

fn taps() -> anyhow::Result<Vec<PolicyTap>> {
    let open = |protocol, port| IngressRule { protocol, port };
    let of = |name: &str, mark, at: Station, ingress| -> anyhow::Result<PolicyTap> {
        let (mac, ip4) = (at.mac, at.ip4.octets());
        Ok(PolicyTap { tap: TapName::parse(name)?, mark, mac, ip4, ingress })
    };
    let udp = open(Transport::Udp, 5000);
    Ok(vec![
        of("tap-a1", A, A1, vec![udp, open(Transport::Tcp, 80)])?,
        of("tap-a2", A, A2, vec![udp])?,
        of("tap-b1", B, B1, vec![udp])?,
    ])
}

/// Runs a test inside a host's namespace, with a customer's beside it.
fn on_a_host(test: &str, body: impl FnOnce(&Netns) -> Tested + Send) -> Tested {
    if !can_run(test) {
        return Ok(());
    }
    let (host, customer) = (Netns::unique("host")?, Netns::unique("cust")?);
    host.within(|| body(&customer))?
}

/// Whether a frame arrives. Kernels with br_netfilter take the padding off IPv4.
fn arrives(frame: &[u8], at: &Wire) -> anyhow::Result<bool> {
    let same = |seen: &[u8]| seen.len() >= 22 && frame.starts_with(seen);
    Ok(!at.collect(QUIET, same)?.is_empty())
}

/// One frame of each kind that a filter may forget.
fn kinds(from: Station, to: Station) -> Vec<(&'static str, Vec<u8>)> {
    let ip6 = [&[0x60, 0, 0, 0, 0, 0, 59, 64][..], &[0xfe; 32]].concat();
    vec![
        ("ARP request", frames::arp_request(from, to.ip4)),
        ("ARP reply", frames::arp_reply(from, to)),
        ("UDP to an open port", frames::udp(from, to, (9, 5000), 1)),
        ("UDP to a closed port", frames::udp(from, to, (9, 5001), 2)),
        ("UDP broadcast", frames::udp(from, Station { mac: BROADCAST, ..to }, (9, 5000), 3)),
        ("TCP SYN to an open port", frames::tcp(from, to, (9, 80), 0x02)),
        ("TCP SYN to a closed port", frames::tcp(from, to, (9, 81), 0x02)),
        ("TCP SYN+ACK", frames::tcp(from, to, (80, 9), 0x12)),
        ("TCP ACK", frames::tcp(from, to, (80, 9), 0x10)),
        ("ICMP echo request", frames::icmp(from, to, 8)),
        ("ICMP echo reply", frames::icmp(from, to, 0)),
        ("ICMP redirect", frames::icmp(from, to, 5)),
        ("a later fragment", frames::ip4(from, to, 17, 3, &[0; 16])),
        ("IPv6", frames::ethernet(to.mac, from.mac, 0x86dd, &ip6)),
        ("VLAN tag", frames::tagged(&frames::udp(from, to, (9, 5000), 4), 7)),
        ("LLDP", frames::ethernet(LLDP_GROUP, from.mac, 0x88cc, &[2, 7, 4])),
        ("raw broadcast", frames::ethernet(BROADCAST, from.mac, 0x88b5, &[1])),
        ("raw unicast", frames::ethernet(to.mac, from.mac, 0x88b5, &[2])),
    ]
}

#[test]
fn the_policy_lets_in_arp_icmp_answers_and_open_ports_and_nothing_else() -> Tested {
    on_a_host("policy", |customer| {
        let rig = Rig::new(customer)?;
        let expected = BTreeSet::from([
            "ARP request",
            "ARP reply",
            "UDP to an open port",
            "UDP broadcast",
            "TCP SYN to an open port",
            "TCP SYN+ACK",
            "TCP ACK",
            "ICMP echo request",
            "ICMP echo reply",
        ]);
        let without_tcp: BTreeSet<_> =
            expected.iter().copied().filter(|kind| !kind.contains("SYN to")).collect();
        for (from, at, to, wire, pass) in [
            (GATEWAY, &rig.uplink, A1, &rig.a1, &expected),
            (A2, &rig.a2, A1, &rig.a1, &expected),
            (A1, &rig.a1, A2, &rig.a2, &without_tcp),
        ] {
            let mut passed = BTreeSet::new();
            for (kind, frame) in kinds(from, to) {
                at.send(&frame)?;
                if arrives(&frame, wire)? {
                    passed.insert(kind);
                }
            }
            assert_eq!(&passed, pass, "{from:?} to {to:?}");
        }
        Ok(())
    })
}

#[test]
fn another_tenant_on_the_same_bridge_is_out_of_reach() -> Tested {
    on_a_host("tenants", |customer| {
        let rig = Rig::new(customer)?;
        for (from, at, to, wire) in [(A1, &rig.a1, B1, &rig.b1), (B1, &rig.b1, A1, &rig.a1)] {
            for (kind, frame) in kinds(from, to) {
                at.send(&frame)?;
                assert!(!arrives(&frame, wire)?, "{kind} reached the other tenant");
            }
        }
        Ok(())
    })
}

#[test]
fn a_guest_cannot_send_as_somebody_else_nor_what_is_neither_arp_nor_ipv4() -> Tested {
    on_a_host("spoofing", |customer| {
        let rig = Rig::new(customer)?;
        let (other_mac, other_ip) = (Station { mac: A2.mac, ..A1 }, Station { ip4: A2.ip4, ..A1 });
        let mut lying = frames::arp_reply(A1, GATEWAY);
        lying[22..28].copy_from_slice(&A2.mac);
        let mut short = frames::arp_reply(other_ip, GATEWAY);
        short.truncate(30);
        for (what, frame) in [
            ("another MAC", frames::udp(other_mac, GATEWAY, (9, 9), 1)),
            ("another address", frames::udp(other_ip, GATEWAY, (9, 9), 1)),
            ("ARP for another address", frames::arp_reply(other_ip, GATEWAY)),
            ("ARP with another MAC inside", lying),
            ("ARP too short to hold an address", short),
            ("a tag", frames::tagged(&frames::udp(A1, GATEWAY, (9, 9), 1), 7)),
            ("raw", frames::ethernet(GATEWAY.mac, A1.mac, 0x88b5, &[2])),
            ("IPv6", frames::ethernet(GATEWAY.mac, A1.mac, 0x86dd, &[0x60; 40])),
        ] {
            rig.a1.send(&frame)?;
            assert!(!arrives(&frame, &rig.uplink)?, "{what}");
            assert!(!arrives(&frame, &rig.a2)?, "{what}");
        }
        let honest = frames::udp(A1, GATEWAY, (9, 9), 1);
        rig.a1.send(&honest)?;
        assert!(arrives(&honest, &rig.uplink)?, "its own frames pass");
        Ok(())
    })
}

#[test]
fn a_tap_that_is_in_no_policy_passes_nothing() -> Tested {
    on_a_host("stray", |customer| {
        let rig = Rig::new(customer)?;
        let stray = Wire::tap(tap::ensure_tap(&TapName::parse("tap-zz")?, BRIDGE)?)?;
        let own = station(1, 99);
        for ((kind, to_it), (_, from_it)) in kinds(GATEWAY, own).iter().zip(kinds(own, GATEWAY)) {
            rig.uplink.send(to_it)?;
            assert!(!arrives(to_it, &stray)?, "{kind} to it");
            stray.send(&from_it)?;
            assert!(!arrives(&from_it, &rig.uplink)?, "{kind} from it");
        }
        Ok(())
    })
}

#[test]
fn a_cut_tenant_exchanges_no_frame_its_neighbour_loses_none_and_a_restore_ends_it() -> Tested {
    on_a_host("cut", |customer| {
        let mut rig = Rig::new(customer)?;
        ensure!(*rig.cut.protection() == Protection::Owned, "{:?}", rig.cut.protection());
        assert!(passes_both_ways(&rig)?, "before the cut");
        let commit = rig.cut.cut(A)?;
        assert!(commit.earliest <= commit.latest && commit.took_ns > 0, "{commit:?}");
        assert_eq!(rig.cut.read_back()?.cut, BTreeSet::from([A]));
        let dropped = (counter("cut_rx")?, counter("cut_tx")?);
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        assert!(counter("cut_rx")? > dropped.0 && counter("cut_tx")? > dropped.1);

        let (gateway, flow) = (station(2, 1), (9, 5000));
        let numbered = |frame: &[u8]| frames::number(frame, 5000).is_some();
        // As many at once as a receiver's buffer holds.
        for _ in 0..5 {
            for number in 0..100 {
                rig.uplink.send(&frames::udp(gateway, B1, flow, number))?;
                rig.b1.send(&frames::udp(B1, gateway, flow, number))?;
            }
            assert_eq!(rig.b1.collect(QUIET, numbered)?.len(), 100, "to the neighbour");
            assert_eq!(rig.uplink.collect(QUIET, numbered)?.len(), 100, "from the neighbour");
        }

        rig.cut.cut(A)?;
        rig.cut.restore(A)?;
        rig.cut.restore(A)?;
        assert_eq!(rig.cut.read_back()?.cut, BTreeSet::new());
        assert!(passes_both_ways(&rig)?, "after the restore");
        rig.cut.inspect()?;
        Ok(())
    })
}

/// How many frames from or to the first tenant arrive anywhere, of all kinds.
fn frames_of_the_cut_tenant(rig: &Rig) -> anyhow::Result<usize> {
    for wire in rig.wires() {
        wire.collect(Duration::ZERO, |_| false)?;
    }
    for to in [A1, A2] {
        for (_, frame) in kinds(GATEWAY, to) {
            rig.uplink.send(&frame)?;
        }
    }
    for (at, from, to) in [(&rig.a1, A1, A2), (&rig.a1, A1, GATEWAY), (&rig.a2, A2, A1)] {
        for (_, frame) in kinds(from, to) {
            at.send(&frame)?;
        }
    }
    let of = |frame: &[u8], at: [Mac; 2]| at.iter().any(|mac| frame[6..12] == *mac);
    let mut leaked = 0;
    for wire in [&rig.a1, &rig.a2] {
        leaked += wire.collect(QUIET, |_| true)?.len();
    }
    for wire in [&rig.b1, &rig.uplink] {
        leaked += wire.collect(QUIET, |frame| of(frame, [A1.mac, A2.mac]))?.len();
    }
    Ok(leaked)
}

fn passes_both_ways(rig: &Rig) -> anyhow::Result<bool> {
    let (inward, outward) =
        (frames::udp(GATEWAY, A1, (9, 5000), 1), frames::udp(A1, GATEWAY, (9, 5000), 2));
    rig.uplink.send(&inward)?;
    rig.a1.send(&outward)?;
    Ok(arrives(&inward, &rig.a1)? && arrives(&outward, &rig.uplink)?)
}

fn counter(name: &str) -> anyhow::Result<u64> {
    let text = run(&["nft", "list", "counter", "bridge", ruleset::CUT_TABLE, name])?;
    let number = text.split_whitespace().skip_while(|word| *word != "packets").nth(1);
    Ok(number.context("no count")?.parse()?)
}

#[test]
fn nobody_else_can_end_a_cut_and_nft_lists_it_as_it_is_meant() -> Tested {
    on_a_host("ownership", |customer| {
        let mut rig = Rig::new(customer)?;
        rig.cut.cut(A)?;
        let listed = run(&["nft", "list", "table", "bridge", ruleset::CUT_TABLE])?;
        assert!(listed.contains("elements = { 0x00000101 }"), "{listed}");
        assert!(listed.contains("\"tap-b1\" : 0x00000102"), "{listed}");
        run(&["nft", "flush", "ruleset"])?;
        for edit in [
            "delete table bridge tenure_cut",
            "delete element bridge tenure_cut cut_tenant { 0x101 }",
            "flush set bridge tenure_cut cut_tenant",
            "flush chain bridge tenure_cut postrouting",
            "add table bridge tenure_cut { flags dormant; }",
        ] {
            assert!(run(&["nft", edit]).is_err(), "{edit}");
        }
        assert!(matches!(CutTable::open(), Err(NftFailure::Owned { .. })), "a second agent");
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        rig.cut.inspect()?;
        Ok(())
    })
}

#[test]
fn a_cut_outlives_its_process_and_the_next_one_adopts_it_and_mends_what_was_done_to_it() -> Tested {
    on_a_host("adoption", |customer| {
        let mut rig = Rig::new(customer)?;
        rig.cut.cut(A)?;
        let before = rig.cut.read_back()?;
        // What the agent's end leaves, without the rest of the rig.
        let Rig { a1, a2, b1, uplink, cut } = rig;
        drop(cut);
        run(&["nft", "insert rule bridge tenure_cut postrouting accept"])?;
        let cut = CutTable::open()?;
        rig = Rig { a1, a2, b1, uplink, cut };
        assert_eq!(rig.cut.read_back()?, before);
        assert_eq!(*rig.cut.protection(), Protection::Owned);
        rig.cut.inspect()?;
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        rig.cut.restore(A)?;
        assert!(passes_both_ways(&rig)?);
        Ok(())
    })
}

/// Says to this program that it is the child of the next test.
const HOLD: &str = "TENURE_TEST_HOLDS_THE_CUT";

#[test]
#[allow(clippy::disallowed_methods, reason = "how a test's child knows that it is one")]
fn holds_a_cut_until_it_is_killed() -> Tested {
    if std::env::var(HOLD).is_err() {
        return Ok(());
    }
    let mut cut = CutTable::open()?;
    cut.enlist(&TapName::parse("tap-a1")?, A)?;
    cut.cut(A)?;
    println!("\nHELD");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test kills a process of its own")]
fn a_cut_outlives_kill_9_and_the_next_process_adopts_it() -> Tested {
    on_a_host("kill -9", |customer| {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["holds_a_cut_until_it_is_killed", "--exact", "--nocapture"])
            .env(HOLD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let held = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line == "HELD");
        let refused = matches!(CutTable::open(), Err(NftFailure::Owned { .. }));
        child.kill()?;
        child.wait()?;
        ensure!(held && refused, "held: {held}, a second one refused: {refused}");
        assert_eq!(counter("cut_rx")?, 0, "the table is still there");
        let mut rig = Rig::new(customer)?;
        assert_eq!(rig.cut.read_back()?.cut, BTreeSet::from([A]));
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        rig.cut.restore(A)?;
        assert!(passes_both_ways(&rig)?);
        Ok(())
    })
}

#[test]
fn replacing_the_policy_under_a_stream_and_beside_cuts_loses_no_frame() -> Tested {
    on_a_host("replace", |customer| {
        let rig = Rig::new(customer)?;
        run(&["ip", "link", "set", "tap-a1", "txqueuelen", "20000"])?;
        let (done, quiet, open) = (AtomicBool::new(false), Duration::from_millis(500), 5000);
        let Rig { a1, uplink, mut cut, .. } = rig;
        let (sent, received, cuts) = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let gap = Duration::from_micros(300);
                let go_on = |_| !done.load(Ordering::Relaxed);
                frames::stream(&uplink, (GATEWAY, A1, (9, open)), gap, go_on)
            });
            let receiver =
                scope.spawn(|| a1.collect(quiet, |frame| frames::number(frame, open).is_some()));
            let cutter = scope.spawn(|| {
                let mut cuts = 0;
                while !done.load(Ordering::Relaxed) {
                    cut.cut(B)?;
                    cut.restore(B)?;
                    cuts += 1;
                }
                anyhow::Ok(cuts)
            });
            let replaced = replace_often();
            done.store(true, Ordering::Relaxed);
            let joined = (sender.join(), receiver.join(), cutter.join());
            replaced?;
            let panicked = || anyhow::anyhow!("a thread panicked");
            let sent = joined.0.map_err(|_| panicked())??;
            let received = joined.1.map_err(|_| panicked())??;
            anyhow::Ok((sent, received, joined.2.map_err(|_| panicked())??))
        })?;
        println!("{sent} frames sent, {} received, beside {cuts} cuts", received.len());
        assert_eq!(u64::try_from(received.len())?, sent);
        Ok(())
    })
}

fn replace_often() -> Tested {
    let all = taps()?;
    for round in 0..40 {
        // The receiver's tap stays; its neighbours and their rules come and go.
        let wanted = if round % 2 == 0 { &all[..1] } else { &all[..] };
        nft::apply_policy(&ruleset::policy(wanted))?;
    }
    Ok(())
}

#[test]
fn bridges_and_taps_can_be_made_and_removed_again_and_again() -> Tested {
    on_a_host("devices", |_| {
        let (name, bridge) = (TapName::parse("tap-01234567")?, ruleset::bridge_name(A));
        tap::ensure_bridge(&bridge)?;
        tap::ensure_bridge(&bridge)?;
        let open = tap::ensure_tap(&name, &bridge)?;
        assert!(matches!(tap::ensure_tap(&name, &bridge), Err(TapFailure::Busy { .. })));
        drop(open);
        drop(tap::ensure_tap(&name, &bridge)?);
        let devices = tap::list()?;
        assert_eq!(devices.len(), 2, "{devices:?}");
        assert_eq!(devices[0].kind, DeviceKind::Tap { bridge: Some(bridge.clone()) });
        assert_eq!(devices[1].name, bridge);
        assert!(devices.iter().all(|device| device.up), "{devices:?}");
        let quiet = run(&["ip", "-d", "link", "show", &bridge])?;
        assert!(quiet.contains("addrgenmode none"), "{quiet}");

        let missing = tap::ensure_tap(&TapName::parse("tap-x")?, "tb-none");
        assert!(matches!(missing, Err(TapFailure::Absent { .. })), "{missing:?}");
        run(&["ip", "tuntap", "add", "tb-tap", "mode", "tap"])?;
        let foreign = tap::ensure_bridge("tb-tap");
        assert!(matches!(foreign, Err(TapFailure::Foreign { .. })), "{foreign:?}");
        for _ in 0..2 {
            tap::remove_tap(&name)?;
            tap::remove_bridge(&bridge)?;
        }
        assert_eq!(tap::list()?, []);
        Ok(())
    })
}

#[test]
fn the_probe_changes_nothing_and_a_tap_changes_its_tenant_in_one_step() -> Tested {
    on_a_host("elements", |_| {
        nft::probe()?;
        assert_eq!(run(&["nft", "list", "ruleset"])?, "");
        let (mut cut, tap) = (CutTable::open()?, TapName::parse("tap-a1")?);
        nft::probe()?;
        cut.enlist(&tap, A)?;
        cut.enlist(&tap, A)?;
        cut.enlist(&tap, B)?;
        cut.cut_all(&BTreeSet::from([A, B, Mark(u32::MAX)]))?;
        let state = cut.read_back()?;
        assert_eq!(state.ports, [("tap-a1".to_owned(), B)].into());
        assert_eq!(state.cut, BTreeSet::from([A, B, Mark(u32::MAX)]));
        cut.delist(&tap)?;
        cut.delist(&tap)?;
        assert!(cut.read_back()?.ports.is_empty());
        for number in 0..3000 {
            cut.enlist(&TapName::parse(&format!("tap-{number}"))?, Mark(number))?;
        }
        assert_eq!(cut.read_back()?.ports.len(), 3000, "a list longer than one datagram");
        Ok(())
    })
}

#[test]
fn the_lab_joins_hosts_by_a_switch_and_a_tenants_bridges_by_the_customers_gateway() -> Tested {
    if !can_run("the lab's networks") {
        return Ok(());
    }
    let (office, management) = (Netns::unique("cust")?, Netns::unique("mgmt")?);
    let switch = Switch::create(&management, "mgmt")?;
    switch.address([10, 80, 0, 1].into(), 24)?;
    let gateway = Switch::create(&office, "gw-101")?;
    gateway.address(GATEWAY.ip4, 24)?;
    let mut hosts = Vec::new();
    for number in 1..=3 {
        let host = Netns::unique(&format!("h{number}"))?;
        switch.join(&host, "mgmt", [10, 80, 0, 10 + number].into(), 24)?;
        host.within(|| tap::ensure_bridge("tb-101"))??;
        gateway.plug(&host, "tb-101")?;
        hosts.push(host);
    }
    let bind = |netns: &Netns, address: &str| -> anyhow::Result<std::net::UdpSocket> {
        let socket = netns.within(|| std::net::UdpSocket::bind(address))??;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(socket)
    };
    let (first, third) = (bind(&hosts[0], "10.80.0.11:7")?, bind(&hosts[2], "10.80.0.13:7")?);
    first.send_to(b"over the switch", "10.80.0.13:7")?;
    assert_eq!(third.recv_from(&mut [0; 64])?.0, 15);

    // The customer's kernel asks for a guest on the second host.
    let name = TapName::parse("tap-a1")?;
    let tap = Wire::tap(hosts[1].within(|| tap::ensure_tap(&name, "tb-101"))??)?;
    let client = bind(&office, "10.64.1.1:9")?;
    client.send_to(b"hello", "10.64.1.10:5000")?;
    // The kernel asks again after a second if the uplink was not quite there.
    let asked = tap.collect(Duration::from_millis(1500), |frame| frame[12..14] == [8, 6])?;
    assert!(!asked.is_empty(), "an ARP request over the uplink");
    Ok(())
}
