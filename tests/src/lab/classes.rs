//! Classes of frames: one of each that a packet filter may forget. No two are alike, so that a
//! frame that arrives says which it is.

use std::net::Ipv4Addr;

use super::frames::{
    self, BROADCAST, LLDP_GROUP, Mac, Station, arp_reply, arp_request, ethernet, icmp, ip4,
    link_group, tagged, tcp, udp,
};

/// A class and its frame.
pub type Class = (String, Vec<u8>);

/// Every class, from one station to another.
#[must_use]
pub fn all(from: Station, to: Station) -> Vec<Class> {
    let mut classes = arp(from, to);
    classes.extend(ipv4(from, to));
    classes.extend(ipv4_numbered(from, to));
    classes.extend(ipv4_odd(from, to));
    classes.extend(ipv6(from, to));
    classes.extend(ether_types(from, to));
    classes.extend(groups(from));
    classes.extend(tags(from, to));
    classes
}

fn class(name: impl Into<String>, frame: Vec<u8>) -> Class {
    (name.into(), frame)
}

fn arp(from: Station, to: Station) -> Vec<Class> {
    let altered = |at: usize, byte: u8| {
        let mut frame = arp_request(from, to.ip4);
        frame[at] = byte;
        frame
    };
    let nobody = Station { ip4: Ipv4Addr::UNSPECIFIED, ..from };
    let mut unicast = arp_request(from, Ipv4Addr::new(10, 64, 9, 1));
    unicast[..6].copy_from_slice(&to.mac);
    let mut truncated = arp_reply(from, to);
    truncated.truncate(30);
    let mut reverse = altered(21, 3);
    reverse[12..14].copy_from_slice(&[0x80, 0x35]);
    vec![
        class("ARP request", arp_request(from, to.ip4)),
        class("ARP reply", arp_reply(from, to)),
        class("ARP announcement", arp_request(from, from.ip4)),
        class("ARP gratuitous reply", arp_reply(from, Station { mac: BROADCAST, ..from })),
        class("ARP probe", arp_request(nobody, to.ip4)),
        class("ARP unicast request", unicast),
        class("ARP for another address", arp_reply(Station { ip4: to.ip4, ..from }, to)),
        class("ARP of another hardware", altered(15, 6)),
        class("ARP of another protocol", altered(16, 0x86)),
        class("ARP with long addresses", altered(18, 8)),
        class("inverse ARP", altered(21, 8)),
        class("DRARP", altered(21, 5)),
        class("reverse ARP", reverse),
        class("ARP cut short", truncated),
    ]
}

fn at(ip4: [u8; 4], mac: Mac) -> Station {
    Station { mac, ip4: ip4.into() }
}

fn ipv4(from: Station, to: Station) -> Vec<Class> {
    let any = at([255; 4], BROADCAST);
    let group = |last: u8| at([224, 0, 0, last], [1, 0, 0x5e, 0, 0, last]);
    let nobody = Station { ip4: Ipv4Addr::UNSPECIFIED, ..from };
    vec![
        class("UDP to an open port", udp(from, to, (9, 5000), 1)),
        class("UDP to a closed port", udp(from, to, (9, 5001), 2)),
        class("UDP broadcast", udp(from, Station { mac: BROADCAST, ..to }, (9, 5000), 3)),
        class("DHCP discover", udp(nobody, any, (68, 67), 4)),
        class("DHCP offer", udp(from, any, (67, 68), 5)),
        class("mDNS", udp(from, group(251), (5353, 5353), 6)),
        class("LLMNR", udp(from, group(252), (5355, 5355), 7)),
        class(
            "SSDP",
            udp(from, at([239, 255, 255, 250], [1, 0, 0x5e, 127, 255, 250]), (9, 1900), 8),
        ),
        class("to the subnet's broadcast", {
            let [a, b, c, _] = to.ip4.octets();
            udp(from, at([a, b, c, 255], BROADCAST), (9, 5000), 9)
        }),
        class("to all hosts", icmp(from, group(1), 8)),
        class("to all routers", icmp(from, group(2), 8)),
        class("from nobody", udp(nobody, to, (9, 5000), 10)),
        class("from a group", udp(at([224, 0, 0, 9], from.mac), to, (9, 5000), 11)),
        class("from loopback", udp(at([127, 0, 0, 1], from.mac), to, (9, 5000), 12)),
    ]
}

/// By ports, flags, types, protocols and groups.
fn ipv4_numbered(from: Station, to: Station) -> Vec<Class> {
    let group = |last: u8| at([224, 0, 0, last], [1, 0, 0x5e, 0, 0, last]);
    let mut classes = Vec::new();
    for (name, port) in [
        ("DNS", 53),
        ("TFTP", 69),
        ("NTP", 123),
        ("NetBIOS", 137),
        ("SNMP", 161),
        ("QUIC", 443),
        ("syslog", 514),
        ("RIP", 520),
        ("IKE", 500),
        ("L2TP", 1701),
        ("BFD", 3784),
        ("VXLAN", 4789),
        ("GENEVE", 6081),
        ("port 0", 0),
    ] {
        classes.push(class(format!("UDP {name}"), udp(from, to, (99, port), u64::from(port))));
    }
    for (name, flags) in [
        ("nothing", 0),
        ("FIN", 1),
        ("SYN", 2),
        ("SYN+FIN", 3),
        ("RST", 4),
        ("PSH", 8),
        ("ACK", 16),
        ("FIN+ACK", 17),
        ("SYN+ACK", 18),
        ("RST+ACK", 20),
        ("URG", 32),
        ("everything", 0x3f),
        ("ECE+CWR+SYN", 0xc2),
    ] {
        classes.push(class(format!("TCP {name}"), tcp(from, to, (9, 80), flags)));
    }
    for kind in [0, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 17] {
        classes.push(class(format!("ICMP {kind}"), icmp(from, to, kind)));
    }
    for (name, protocol) in [
        ("IGMP", 2),
        ("IPIP", 4),
        ("EGP", 8),
        ("DCCP", 33),
        ("6in4", 41),
        ("RSVP", 46),
        ("GRE", 47),
        ("ESP", 50),
        ("AH", 51),
        ("EIGRP", 88),
        ("OSPF", 89),
        ("PIM", 103),
        ("VRRP", 112),
        ("L2TPv3", 115),
        ("SCTP", 132),
        ("UDP-Lite", 136),
        ("for trials", 253),
        ("reserved", 255),
    ] {
        classes.push(class(format!("IPv4 {name}"), ip4(from, to, protocol, 0, &[protocol; 24])));
    }
    for last in [5, 13, 18, 22] {
        classes.push(class(
            format!("to the group 224.0.0.{last}"),
            ip4(from, group(last), 2, 0, &[last; 16]),
        ));
    }
    classes
}

/// Fragments, options, and headers that are wrong.
fn ipv4_odd(from: Station, to: Station) -> Vec<Class> {
    const MORE: u16 = 0x2000;
    let altered = |position: usize, byte: u8| {
        let mut frame = udp(from, to, (77, 5000), u64::from(byte));
        frame[position] = byte;
        frame
    };
    let mut classes = vec![
        class("the first fragment", ip4(from, to, 17, MORE, &[1; 24])),
        class("a middle fragment", ip4(from, to, 17, MORE | 3, &[2; 24])),
        class("the last fragment", ip4(from, to, 17, 6, &[3; 24])),
        class("a tiny fragment", ip4(from, to, 6, MORE, &[4; 8])),
        class("a fragment over its header", ip4(from, to, 6, 1, &[5; 24])),
        class("a fragment past the end", ip4(from, to, 1, 0x1fff, &[6; 24])),
        class("not to be fragmented", ip4(from, to, 17, 0x4000, &[7; 24])),
        class("the evil bit", ip4(from, to, 17, 0x8000, &[8; 24])),
        class("at its last hop", altered(22, 1)),
        class("past its last hop", altered(22, 0)),
        class("of another version", altered(14, 0x65)),
        class("with a short header", altered(14, 0x44)),
        class("longer than it is", altered(16, 0xff)),
        class("with a wrong sum", altered(24, 0xaa)),
        class("of another service class", altered(15, 0xb8)),
    ];
    for (name, option) in [
        ("record route", 7),
        ("a timestamp", 68),
        ("security", 130),
        ("loose source routing", 131),
        ("a stream", 136),
        ("strict source routing", 137),
        ("a router's alert", 148),
        ("no end", 1),
    ] {
        let plain = ip4(from, to, 17, 0, &[option; 24]);
        let mut frame = [&plain[..34], &[option, 4, 4, 0], &plain[34..]].concat();
        frame[14] = 0x46;
        frame[17] += 4;
        classes.push(class(format!("an option with {name}"), frame));
    }
    classes
}

type Ip6 = [u8; 16];

const fn group6(last: u8) -> Ip6 {
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

const fn local6(station: Station) -> Ip6 {
    let mac = station.mac;
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]
}

fn packet6(macs: (Mac, Mac), addresses: (Ip6, Ip6), next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 255];
    packet.extend(addresses.0);
    packet.extend(addresses.1);
    packet.extend(payload);
    ethernet(macs.1, macs.0, 0x86dd, &packet)
}

fn ipv6(from: Station, to: Station) -> Vec<Class> {
    let (source, target) = (local6(from), local6(to));
    let one = |next, payload: &[u8]| packet6((from.mac, to.mac), (source, target), next, payload);
    let all = |last: u8, next, payload: &[u8]| {
        packet6((from.mac, [0x33, 0x33, 0, 0, 0, last]), (source, group6(last)), next, payload)
    };
    let mut classes = Vec::new();
    for (name, kind) in [
        ("destination unreachable", 1),
        ("packet too big", 2),
        ("time exceeded", 3),
        ("parameter problem", 4),
        ("echo request", 128),
        ("echo reply", 129),
        ("MLD query", 130),
        ("MLD report", 131),
        ("MLD done", 132),
        ("router solicitation", 133),
        ("router advertisement", 134),
        ("neighbour solicitation", 135),
        ("neighbour advertisement", 136),
        ("redirect", 137),
        ("MLDv2 report", 143),
    ] {
        let message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target].concat();
        classes.push(class(format!("ICMPv6 {name}"), one(58, &message)));
        if (130..=136).contains(&kind) || kind == 143 {
            classes.push(class(format!("ICMPv6 {name} to all"), all(1, 58, &message)));
        }
    }
    let datagram = |ports: (u16, u16)| {
        let ports = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
        [ports.as_slice(), &[0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]].concat()
    };
    classes.push(class("DHCPv6 solicit", all(2, 17, &datagram((546, 547)))));
    classes.push(class("DHCPv6 advertise", one(17, &datagram((547, 546)))));
    classes.push(class("mDNS over IPv6", all(0xfb, 17, &datagram((5353, 5353)))));
    classes.push(class("UDP over IPv6", one(17, &datagram((9, 5000)))));
    classes.push(class(
        "TCP over IPv6",
        one(6, &[0, 9, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0]),
    ));
    let nobody = packet6(
        (from.mac, [0x33, 0x33, 0xff, 0, 0, 1]),
        ([0; 16], group6(1)),
        58,
        &[&[135, 0, 9, 9, 0, 0, 0, 0][..], &target].concat(),
    );
    classes.push(class("duplicate address detection", nobody));
    for (name, next) in [
        ("hop-by-hop options", 0),
        ("IPv6 inside", 41),
        ("routing", 43),
        ("a fragment", 44),
        ("ESP", 50),
        ("AH", 51),
        ("nothing", 59),
        ("destination options", 60),
        ("mobility", 135),
        ("HIP", 139),
        ("Shim6", 140),
        ("trials", 253),
    ] {
        let inner = [&[17, 0, 1, 4, 0, 0, 0, next][..], &datagram((9, 5000))].concat();
        classes.push(class(format!("IPv6 with {name}"), one(next, &inner)));
    }
    classes
}

fn ether_types(from: Station, to: Station) -> Vec<Class> {
    let mut classes = Vec::new();
    for (name, kind) in [
        ("wake on LAN", 0x0842),
        ("SRP", 0x22ea),
        ("TRILL", 0x22f3),
        ("DECnet", 0x6003),
        ("AppleTalk", 0x809b),
        ("AARP", 0x80f3),
        ("IPX", 0x8137),
        ("QNX", 0x8204),
        ("a pause", 0x8808),
        ("LACP", 0x8809),
        ("MPLS", 0x8847),
        ("MPLS multicast", 0x8848),
        ("PPPoE discovery", 0x8863),
        ("PPPoE session", 0x8864),
        ("HomePlug", 0x887b),
        ("802.1X", 0x888e),
        ("PROFINET", 0x8892),
        ("AoE", 0x88a2),
        ("EtherCAT", 0x88a4),
        ("a trial", 0x88b5),
        ("another trial", 0x88b6),
        ("GOOSE", 0x88b8),
        ("LLDP", 0x88cc),
        ("SERCOS", 0x88cd),
        ("MACsec", 0x88e5),
        ("a backbone's bridge", 0x88e7),
        ("PTP", 0x88f7),
        ("CFM", 0x8902),
        ("FCoE", 0x8906),
        ("FIP", 0x8914),
        ("RoCE", 0x8915),
        ("a loop", 0x9000),
        ("redundancy", 0xf1c1),
        ("nothing known", 0xfffe),
    ] {
        classes.push(class(format!("raw {name}"), ethernet(to.mac, from.mac, kind, &[1; 20])));
    }
    for (name, kind) in [("raw broadcast", 0x88b5), ("MPLS broadcast", 0x8847)] {
        classes.push(class(name, ethernet(BROADCAST, from.mac, kind, &[2; 20])));
    }
    for (name, llc) in [("SNAP", 0xaa), ("IS-IS", 0xfe), ("NetBEUI", 0xf0), ("Novell", 0xff)] {
        classes.push(class(format!("LLC {name}"), ethernet(to.mac, from.mac, 40, &[llc, llc, 3])));
    }
    let unknown = [0x52, 0x54, 0, 0xde, 0xad, 1];
    classes
        .push(class("to a station that is nowhere", ethernet(unknown, from.mac, 0x88b5, &[3; 9])));
    classes
}

/// Groups that bridges keep to themselves, and others that daemons listen to.
fn groups(from: Station) -> Vec<Class> {
    let mut classes = vec![
        class("LLDP", ethernet(LLDP_GROUP, from.mac, 0x88cc, &[2, 7, 4])),
        class("LLDP to the nearest bridge", ethernet(link_group(0), from.mac, 0x88cc, &[2, 7])),
        class("LLDP to the nearest other bridge", ethernet(link_group(3), from.mac, 0x88cc, &[2])),
        class("STP", ethernet(link_group(0), from.mac, 38, &[0x42, 0x42, 3])),
        class("a pause to its group", ethernet(link_group(1), from.mac, 0x8808, &[0, 1])),
        class("LACP to its group", ethernet(link_group(2), from.mac, 0x8809, &[1, 1])),
        class("802.1X to its group", ethernet(link_group(3), from.mac, 0x888e, &[2, 1])),
        class("PTP to the nearest", ethernet(LLDP_GROUP, from.mac, 0x88f7, &[2, 8])),
    ];
    for last in 0..16 {
        let frame = ethernet(link_group(last), from.mac, 0x88b5, &[9, last]);
        classes.push(class(format!("to the link group {last:02x}"), frame));
    }
    for (name, group, kind) in [
        ("GMRP", link_group(0x20), 39),
        ("GVRP", link_group(0x21), 39),
        ("CFM to its group", link_group(0x30), 0x8902),
        ("CDP", [1, 0, 0x0c, 0xcc, 0xcc, 0xcc], 40),
        ("PVST", [1, 0, 0x0c, 0xcc, 0xcc, 0xcd], 50),
        ("PTP to all", [1, 0x1b, 0x19, 0, 0, 0], 0x88f7),
        ("IS-IS to all", link_group(0x14), 41),
        ("FIP to all", [1, 0x10, 0x18, 1, 0, 1], 0x8914),
        ("AppleTalk to all", [9, 0, 7, 0xff, 0xff, 0xff], 0x809b),
        ("GOOSE to all", [1, 0x0c, 0xcd, 1, 0, 0], 0x88b8),
    ] {
        classes.push(class(name, ethernet(group, from.mac, kind, &[0xaa, 0xaa, 3, 7])));
    }
    classes
}

fn tags(from: Station, to: Station) -> Vec<Class> {
    let inner = |number: u64| udp(from, to, (9, 5000), 100 + number);
    let outer = |mut frame: Vec<u8>, kind: u16| {
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        frame
    };
    vec![
        class("VLAN 7", tagged(&inner(1), 7)),
        class("a priority's tag", tagged(&inner(2), 0xe000)),
        class("VLAN 4095", tagged(&inner(3), 4095)),
        class("a service's tag", outer(tagged(&inner(4), 7), 0x88a8)),
        class("an old service's tag", outer(tagged(&inner(5), 7), 0x9100)),
        class("two tags", tagged(&tagged(&inner(6), 8), 7)),
        class("QinQ", outer(tagged(&tagged(&inner(7), 8), 7), 0x88a8)),
        class("three tags", tagged(&tagged(&tagged(&inner(8), 9), 8), 7)),
        class("tagged ARP", tagged(&frames::arp_request(from, to.ip4), 7)),
        class("tagged LLDP", tagged(&ethernet(LLDP_GROUP, from.mac, 0x88cc, &[2, 7, 5]), 7)),
        class("tagged broadcast", tagged(&ethernet(BROADCAST, from.mac, 0x88b5, &[4; 20]), 7)),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::frames::station, *};

    #[test]
    fn there_are_many_classes_and_no_two_are_alike() {
        let classes = all(station(1, 10), station(1, 11));
        assert!(classes.len() >= 140, "{}", classes.len());
        for (at, (name, frame)) in classes.iter().enumerate() {
            for (other, second) in &classes[at + 1..] {
                assert_ne!(name, other);
                assert_ne!(frame, second, "{name} and {other}");
            }
        }
    }
}
