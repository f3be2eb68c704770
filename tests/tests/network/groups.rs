//! Security groups at the tap: each rule passes what it says, in its direction, and nothing else.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::ruleset::{self, ListKey, PolicyTap},
    host::nft::{Changes, PolicyTable},
};
use tenure_protocol::wire::v1::{Egress, Mark, PacketRule, Peers, Traffic, Transport};
use tenure_tests::lab::{
    daemon::run,
    frames::{self, Station, Wire, station},
    net::{Netns, cable},
};

use super::{A, A1, A2, B, B1, BRIDGE, GATEWAY, Rig, Tested, arrives, on_a_host, put, tap, taps};

fn peers(first: [u8; 4], last: [u8; 4]) -> Peers {
    Peers { first, last }
}

fn net(second: u8) -> Peers {
    peers([10, second, 0, 0], [10, second, 255, 255])
}

fn ports(transport: Transport, first: u16, last: u16, peers: Peers) -> PacketRule {
    PacketRule { traffic: Traffic::Ports { transport, first, last }, peers }
}

fn echo(peers: Peers) -> PacketRule {
    PacketRule { traffic: Traffic::Echo, peers }
}

fn all(address: [u8; 4]) -> PacketRule {
    PacketRule { traffic: Traffic::All, peers: peers(address, address) }
}

/// Somebody beyond the gateway.
fn beyond(ip4: [u8; 4]) -> Station {
    Station { mac: GATEWAY.mac, ip4: Ipv4Addr::from(ip4) }
}

/// A1 with a rule of every kind in both directions.
fn every_kind() -> anyhow::Result<Vec<PolicyTap>> {
    let ingress = [
        ports(Transport::Tcp, 8000, 8010, net(1)),
        ports(Transport::Udp, 53, 53, net(2)),
        echo(net(3)),
        all([10, 4, 0, 1]),
    ];
    let egress = Egress::Only(vec![
        ports(Transport::Tcp, 443, 443, net(5)),
        ports(Transport::Udp, 53, 53, peers([10, 6, 0, 53], [10, 6, 0, 53])),
        echo(net(7)),
        all([10, 8, 0, 1]),
    ]);
    Ok(vec![PolicyTap { egress, ..tap("tap-a1", A, A1, &ingress)? }])
}

/// Frames between the guest (`to`, or `from` if they go out) and somebody, with `near` and `far`
/// ports of the two.
fn talk(from: Station, to: Station, out: bool) -> Vec<(&'static str, Vec<u8>)> {
    let tcp = |near, far, flags| {
        frames::tcp(from, to, if out { (near, far) } else { (far, near) }, flags)
    };
    let udp = |near, far| {
        frames::udp(from, to, if out { (near, far) } else { (far, near) }, u64::from(near))
    };
    vec![
        ("SYN before 8000", tcp(7999, 9, 0x02)),
        ("SYN at 8000", tcp(8000, 9, 0x02)),
        ("SYN at 8010", tcp(8010, 9, 0x02)),
        ("SYN after 8010", tcp(8011, 9, 0x02)),
        ("ACK at 8005", tcp(8005, 9, 0x10)),
        ("SYN with 443", tcp(40000, 443, 0x02)),
        ("SYN with 444", tcp(40000, 444, 0x02)),
        ("SYN+ACK with 443", tcp(40000, 443, 0x12)),
        ("UDP at 53", udp(53, 9)),
        ("UDP at 54", udp(54, 9)),
        ("UDP with 53", udp(40000, 53)),
        ("UDP with 53 at 1023", udp(1023, 53)),
        ("echo request", frames::icmp(from, to, 8)),
        ("echo reply", frames::icmp(from, to, 0)),
        ("redirect", frames::icmp(from, to, 5)),
        ("fragment", frames::ip4(from, to, 17, 3, &[0; 16])),
        ("GRE", frames::ip4(from, to, 47, 0, &[0; 16])),
    ]
}

#[test]
fn each_rule_passes_what_it_says_in_its_direction_and_nothing_else() -> Tested {
    on_a_host("groups", |customer| {
        let rig = Rig::new(customer)?;
        put(&every_kind()?)?;
        let tcp = &["ACK at 8005", "SYN+ACK with 443"][..];
        for (peer, comes_in, goes_out) in [
            ([10, 1, 0, 0], &["SYN at 8000", "SYN at 8010", "ACK at 8005"][..], &tcp[..1]),
            ([10, 1, 255, 255], &["SYN at 8000", "SYN at 8010", "ACK at 8005"], &tcp[..1]),
            ([10, 0, 255, 255], &[], &[]),
            ([10, 2, 0, 0], &["UDP at 53"], &["UDP at 53"]),
            ([10, 3, 0, 9], &["echo request"], &[]),
            ([10, 4, 0, 1], &["*"], tcp),
            ([10, 4, 0, 2], &[], &[]),
            ([10, 5, 0, 9], &["SYN+ACK with 443"], &["SYN with 443", "SYN+ACK with 443"]),
            ([10, 6, 0, 53], &["UDP with 53"], &["UDP with 53", "UDP with 53 at 1023"]),
            ([10, 6, 0, 54], &[], &[]),
            ([10, 7, 0, 9], &[], &["echo request"]),
            ([10, 8, 0, 1], tcp, &["*"]),
        ] {
            let (other, wires) = (beyond(peer), (&rig.uplink, &rig.a1));
            for (from, to, (at, seen_at), out, pass) in [
                (other, A1, wires, false, comes_in),
                (A1, other, (wires.1, wires.0), true, goes_out),
            ] {
                let expected = |kind: &str| {
                    kind == "echo reply" || pass.contains(&"*") || pass.contains(&kind)
                };
                for (kind, frame) in talk(from, to, out) {
                    at.send(&frame)?;
                    let passes = arrives(&frame, seen_at)?;
                    assert_eq!(passes, expected(kind), "{kind}, {from:?} to {to:?}");
                }
            }
        }
        Ok(())
    })
}

#[test]
fn what_is_restricted_to_nothing_sends_answers_alone_and_arp() -> Tested {
    on_a_host("nothing", |customer| {
        let rig = Rig::new(customer)?;
        let mut wanted = taps()?;
        wanted[0].egress = Egress::Only(vec![]);
        put(&wanted)?;
        for (what, frame, passes) in [
            ("ARP", frames::arp_request(A1, GATEWAY.ip4), true),
            ("an answer of the open port", frames::tcp(A1, GATEWAY, (80, 9), 0x12), true),
            ("a datagram from the open port", frames::udp(A1, GATEWAY, (5000, 9), 1), true),
            ("a connection", frames::tcp(A1, GATEWAY, (40000, 80), 0x02), false),
            ("a connection from the open port", frames::tcp(A1, GATEWAY, (80, 9), 0x02), false),
            ("half of a connection", frames::tcp(A1, GATEWAY, (40000, 80), 0x10), false),
            ("a datagram", frames::udp(A1, GATEWAY, (40000, 53), 2), false),
            ("an echo request", frames::icmp(A1, GATEWAY, 8), false),
        ] {
            rig.a1.send(&frame)?;
            assert_eq!(arrives(&frame, &rig.uplink)?, passes, "{what}");
        }
        let stray = frames::tcp(GATEWAY, A1, (80, 40000), 0x10);
        rig.uplink.send(&stray)?;
        assert!(!arrives(&stray, &rig.a1)?, "an answer that nothing can have asked for");
        Ok(())
    })
}

#[test]
fn tenants_with_the_same_prefixes_do_not_mix() -> Tested {
    on_a_host("same", |customer| {
        let rig = Rig::new(customer)?;
        let only = |port| ports(Transport::Tcp, port, port, net(1));
        // Two with the same list, which they share, and one with another for the same prefix.
        let wanted = [
            tap("tap-a1", A, A1, &[only(80)])?,
            tap("tap-a2", A, A2, &[only(81)])?,
            tap("tap-b1", B, B1, &[only(80)])?,
        ];
        put(&wanted)?;
        let peer = beyond([10, 1, 2, 3]);
        let opens = |to: Station, wire: &Wire, port| -> anyhow::Result<bool> {
            let frame = frames::tcp(peer, to, (9, port), 0x02);
            rig.uplink.send(&frame)?;
            arrives(&frame, wire)
        };
        for (to, wire, open) in [(A1, &rig.a1, 80), (A2, &rig.a2, 81), (B1, &rig.b1, 80)] {
            for port in [80, 81] {
                assert_eq!(opens(to, wire, port)?, port == open, "{to:?} {port}");
            }
        }
        // The neighbour has the peer's address in no rule, whatever its tenant may say of it.
        let inside = frames::tcp(A1, B1, (9, 80), 0x02);
        rig.a1.send(&inside)?;
        assert!(!arrives(&inside, &rig.b1)?, "another tenant's guest");
        Ok(())
    })
}

/// A guest with a kernel of its own: a namespace at a device that is named as a tap is.
fn guest(host: &Netns) -> anyhow::Result<Netns> {
    let guest = Netns::unique("guest")?;
    for netns in [host, &guest] {
        netns.run(&["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])?;
    }
    cable(host, "tap-g1", &guest, "eth0")?;
    host.ip(&["link", "set", "tap-g1", "master", BRIDGE])?;
    let [a, b, c, d, e, f] = A2.mac;
    let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    guest.ip(&["link", "set", "eth0", "address", &mac])?;
    guest.address("eth0", A2.ip4, 24)?;
    Ok(guest)
}

/// Frames that the policy has dropped at all.
fn dropped() -> anyhow::Result<u64> {
    let listed = run(&["nft", "-j", "list", "counters", "table", "bridge", "tenure"])?;
    let json: serde_json::Value = serde_json::from_str(&listed)?;
    let counters = json["nftables"].as_array().context("no counters")?;
    Ok(counters.iter().filter_map(|one| one["counter"]["packets"].as_u64()).sum())
}

/// Bytes of the stream: the numbers to 250 again and again.
const BYTES: usize = 64 << 20;

fn write_pattern(mut stream: TcpStream) -> anyhow::Result<()> {
    let block: Vec<u8> = (0..=250_u8).cycle().take(251 * 256).collect();
    let mut left = BYTES;
    while left > 0 {
        let part = left.min(block.len());
        stream.write_all(&block[..part])?;
        left -= part;
    }
    Ok(())
}

/// Reads to the end; says how many bytes came, each the right one.
fn read_pattern(mut stream: TcpStream) -> anyhow::Result<usize> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (mut buffer, mut read) = (vec![0; 1 << 16], 0_usize);
    loop {
        let got = stream.read(&mut buffer)?;
        if got == 0 {
            return Ok(read);
        }
        let mut whole = buffer[..got].iter().enumerate();
        let right = |(at, byte): (usize, &u8)| usize::from(*byte) == (read + at) % 251;
        ensure!(whole.all(right), "other bytes came than were sent");
        read += got;
    }
}

#[test]
fn a_tcp_stream_through_changes_of_rules_loses_nothing() -> Tested {
    stream_through(false)
}

#[test]
fn a_tcp_stream_past_a_policy_that_is_made_anew_loses_nothing() -> Tested {
    stream_through(true)
}

/// A stream to a guest while policies come: of which its own rules differ, by their elements; or of
/// which a neighbour's differ, each put whole by an agent that knows nothing of the last.
fn stream_through(anew: bool) -> Tested {
    if !tenure_tests::lab::net::can_run("a stream through changes") {
        return Ok(());
    }
    let (host, customer) = (Netns::unique("host")?, Netns::unique("cust")?);
    let rig = host.within(|| Rig::new(&customer))??;
    let guest = guest(&host)?;
    customer.run(&["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])?;
    customer.address("out", GATEWAY.ip4, 24)?;
    // The guest may be reached at one port, and reach another: everything else of it changes.
    let here = peers([10, 64, 1, 0], [10, 64, 1, 255]);
    let changed = |round: u16| -> anyhow::Result<Vec<PolicyTap>> {
        let more = ports(Transport::Tcp, 10_000 + round, 10_000 + round, net(9));
        let ingress = [ports(Transport::Tcp, 7000, 7000, here), more, echo(net(3))];
        let egress = match round % 3 {
            0 => Egress::Everything,
            1 => Egress::Only(vec![all([10, 8, 0, 1])]),
            _ => Egress::Only(vec![more]),
        };
        let mut wanted = taps()?;
        if anew {
            wanted[0].ingress = vec![more];
            wanted.push(tap("tap-g1", A, A2, &[ports(Transport::Tcp, 7000, 7000, here)])?);
            return Ok(wanted);
        }
        wanted.push(PolicyTap { egress, ..tap("tap-g1", A, A2, &ingress)? });
        Ok(wanted)
    };
    let mut kept = host.within(|| PolicyTable::open(Changes::default()))??;
    let mut apply = |round| {
        host.within(|| match anew {
            true => put(&changed(round)?),
            false => Ok(kept.replace(&ruleset::policy(&changed(round)?, &ListKey::default()))?),
        })
    };
    apply(0)??;
    let handles =
        || host.within(|| run(&["nft", "-a", "list", "chain", "bridge", "tenure", "to_tap"]));
    let made = handles()??;
    let before = host.within(dropped)??;
    let listener = guest.within(|| TcpListener::bind((A2.ip4, 7000)))??;
    let (rounds, read) = std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let (stream, _) = listener.accept()?;
            write_pattern(stream)
        });
        let reader = scope.spawn(|| {
            let stream = customer.within(|| TcpStream::connect((A2.ip4, 7000)))??;
            read_pattern(stream)
        });
        let mut rounds = 0;
        while !reader.is_finished() {
            rounds += 1;
            apply(rounds)??;
        }
        let joined = (sender.join(), reader.join());
        joined.0.map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        anyhow::Ok((rounds, joined.1.map_err(|_| anyhow::anyhow!("the reader panicked"))??))
    })?;
    let lost = host.within(dropped)?? - before;
    println!("{read} bytes through {rounds} changes, {lost} frames dropped");
    ensure!(rounds > 3, "the rules changed {rounds} times only");
    assert_eq!((read, lost), (BYTES, 0));
    assert_eq!(handles()?? == made, !anew, "whether rules were made anew");
    drop(rig);
    Ok(())
}

#[test]
fn a_thousand_taps_with_lists_of_their_own_fit_and_can_be_replaced() -> Tested {
    on_a_host("thousand", |_| {
        let mut wanted = Vec::new();
        for number in 0..1000_u16 {
            let [high, low] = number.to_be_bytes();
            let at = Station { ip4: Ipv4Addr::new(10, 64, high, low), ..station(high, low) };
            // Four taps a tenant; four rules each, other ones than any other tenant's.
            let tenant = number / 4;
            let rule = |n: u16| {
                let of = u8::try_from(n).unwrap_or_default();
                ports(Transport::Tcp, 1000 + tenant, 1000 + tenant + n, net(of))
            };
            let rules: Vec<PacketRule> = (0..4).map(rule).collect();
            let name = format!("tap-{number}");
            wanted.push(tap(&name, Mark(0x100 + u32::from(tenant)), at, &rules)?);
        }
        for _ in 0..2 {
            put(&wanted)?;
            let listed = run(&["nft", "list", "set", "bridge", "tenure", "open_port"])?;
            ensure!(listed.matches(" . tcp . ").count() == 1000, "rules are missing");
        }
        Ok(())
    })
}
