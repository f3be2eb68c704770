//! What a policy lets pass, and what its replacement loses: nothing.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tenure_agent::{core::ruleset::TapName, host::tap};
use tenure_protocol::wire::v1::{PacketRule, Transport};
use tenure_tests::lab::{
    daemon::run,
    frames::{self, Station, Wire, station},
};

use super::{A1, A2, B, B1, BRIDGE, GATEWAY, Rig, Tested, arrives, kinds, on_a_host, put, taps};

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
        let stray = Wire::tap(tap::ensure_tap(&TapName::parse("tap-zz")?, BRIDGE, || ())?)?;
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
fn a_replaced_policy_forgets_everything_that_it_no_longer_says() -> Tested {
    on_a_host("forgetting", |customer| {
        let rig = Rig::new(customer)?;
        let mut wanted = taps()?;
        let moved = station(1, 77);
        // A new MAC and address, a port less, and the second guest is gone.
        (wanted[0].mac, wanted[0].ip4) = (moved.mac, moved.ip4.octets());
        wanted[0].ingress.retain(|rule| *rule == PacketRule::open(Transport::Tcp, 80));
        wanted.remove(1);
        put(&wanted)?;
        let (mac, address) = (Station { mac: A1.mac, ..moved }, Station { ip4: A1.ip4, ..moved });
        for (what, from, pass) in
            [("old MAC", mac, false), ("old address", address, false), ("new", moved, true)]
        {
            let frame = frames::udp(from, GATEWAY, (9, 9), 1);
            rig.a1.send(&frame)?;
            assert_eq!(arrives(&frame, &rig.uplink)?, pass, "{what}");
        }
        let closed = frames::udp(GATEWAY, moved, (9, 5000), 1);
        rig.uplink.send(&closed)?;
        assert!(!arrives(&closed, &rig.a1)?, "a port that is open no more");
        let gone = frames::udp(A2, GATEWAY, (9, 9), 1);
        rig.a2.send(&gone)?;
        assert!(!arrives(&gone, &rig.uplink)?, "from a tap that is in the policy no more");
        let echo = frames::icmp(GATEWAY, A2, 8);
        rig.uplink.send(&echo)?;
        assert!(!arrives(&echo, &rig.a2)?, "to a tap that is in the policy no more");
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
        put(wanted)?;
    }
    Ok(())
}
