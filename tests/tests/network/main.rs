//! The agent's packet filter and devices in namespaces of their own, with real taps: the tests hold
//! their other ends, as guests' network cards do, and an uplink's outer end.
#![allow(missing_docs, reason = "a test's name says what it proves")]

mod anomalies;
mod cutting;
mod devices;
mod drift;
mod groups;
mod local;
mod policy;
mod proving;
mod sealing;

use std::time::Duration;

use tenure_agent::{
    core::ruleset::{self, ListKey, PolicyTap, TapName},
    host::{
        nft::{Changes, CutTable, PolicyTable},
        tap as device,
    },
};
use tenure_protocol::wire::v1::{Egress, Mark, PacketRule, Peers, Traffic, Transport};
use tenure_tests::lab::{
    daemon::{run, wait_for},
    frames::{self, BROADCAST, LLDP_GROUP, Station, Wire, link_group, station},
    net::{Netns, can_run},
};

pub(crate) const A: Mark = Mark(0x101);
pub(crate) const B: Mark = Mark(0x102);
pub(crate) const A1: Station = station(1, 10);
pub(crate) const A2: Station = station(1, 11);
pub(crate) const B1: Station = station(2, 12);
pub(crate) const GATEWAY: Station = station(1, 1);
pub(crate) const BRIDGE: &str = "tb-lab";
/// Long enough for a frame to come through on a busy machine: it is handed on while it is sent.
pub(crate) const QUIET: Duration = Duration::from_millis(40);

pub(crate) type Tested = anyhow::Result<()>;

/// Puts the policy of these taps in force.
pub(crate) fn put(taps: &[PolicyTap]) -> anyhow::Result<()> {
    let mut table = PolicyTable::open(Changes::default())?;
    Ok(table.replace(&ruleset::policy(taps, &ListKey::default()))?)
}

/// Two tenants on one bridge, which is worse than what the agent makes, and an uplink.
pub(crate) struct Rig {
    pub(crate) a1: Wire,
    pub(crate) a2: Wire,
    pub(crate) b1: Wire,
    pub(crate) uplink: Wire,
    pub(crate) cut: CutTable,
}

impl Rig {
    /// To be called inside the host's namespace.
    pub(crate) fn new(customer: &Netns) -> anyhow::Result<Self> {
        let mut cut = CutTable::open()?;
        put(&taps()?)?;
        device::ensure_bridge(BRIDGE)?;
        for wanted in taps()? {
            cut.enlist(&wanted.tap, wanted.mark)?;
        }
        let wire = |name: &str| -> anyhow::Result<Wire> {
            Wire::tap(device::ensure_tap(&TapName::parse(name)?, BRIDGE, || ())?)
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

    pub(crate) fn wires(&self) -> [&Wire; 4] {
        [&self.a1, &self.a2, &self.b1, &self.uplink]
    }
}

pub(crate) fn taps() -> anyhow::Result<Vec<PolicyTap>> {
    let udp = PacketRule::open(Transport::Udp, 5000);
    let echo = PacketRule { traffic: Traffic::Echo, peers: Peers::EVERYBODY };
    Ok(vec![
        tap("tap-a1", A, A1, &[udp, echo, PacketRule::open(Transport::Tcp, 80)])?,
        tap("tap-a2", A, A2, &[udp, echo])?,
        tap("tap-b1", B, B1, &[udp])?,
    ])
}

/// A tap that may speak to everybody.
pub(crate) fn tap(
    name: &str,
    mark: Mark,
    at: Station,
    ingress: &[PacketRule],
) -> anyhow::Result<PolicyTap> {
    let (tap, ingress) = (TapName::parse(name)?, ingress.to_vec());
    let egress = Egress::Everything;
    Ok(PolicyTap { tap, mark, mac: at.mac, ip4: at.ip4.octets(), ingress, egress })
}

/// Runs a test inside a host's namespace, with a customer's beside it.
pub(crate) fn on_a_host(test: &str, body: impl FnOnce(&Netns) -> Tested + Send) -> Tested {
    if !can_run(test) {
        return Ok(());
    }
    let (host, customer) = (Netns::unique("host")?, Netns::unique("cust")?);
    host.within(|| body(&customer))?
}

/// Whether a frame arrives. Kernels with br_netfilter take the padding off IPv4.
pub(crate) fn arrives(frame: &[u8], at: &Wire) -> anyhow::Result<bool> {
    let same = |seen: &[u8]| seen.len() >= 22 && frame.starts_with(seen);
    Ok(!at.collect(QUIET, same)?.is_empty())
}

/// One frame of each kind that a filter may forget.
pub(crate) fn kinds(from: Station, to: Station) -> Vec<(&'static str, Vec<u8>)> {
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
        ("LLDP to the nearest bridge", frames::ethernet(link_group(0), from.mac, 0x88cc, &[2, 7])),
        ("STP", frames::ethernet(link_group(0), from.mac, 38, &[0x42, 0x42, 3])),
        ("LACP", frames::ethernet(link_group(2), from.mac, 0x8809, &[1, 1])),
        ("802.1X", frames::ethernet(link_group(3), from.mac, 0x888e, &[2, 1])),
        ("raw broadcast", frames::ethernet(BROADCAST, from.mac, 0x88b5, &[1])),
        ("raw unicast", frames::ethernet(to.mac, from.mac, 0x88b5, &[2])),
    ]
}
