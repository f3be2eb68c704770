//! What groups let pass at the instances of one role: by addresses and ports, each packet by one
//! rule at most, as hosts take it. Here the law meets every rule: what comes in comes in as far as
//! [`Tenant::opens`] has opened the zone of the address that it comes from.

use std::collections::BTreeSet;

use tenure_protocol::wire::v1::{Egress, PacketRule, Peers, Traffic, Transport};

use super::{
    Direction, Group, Peer, Protocol, Rule, RuleRequest,
    range::{self, EVERYBODY, Prefix, Range},
    zone::Zones,
};
use crate::core::tenant::{Tenant, Zone};

/// The first port that is no well-known service's.
const WELL_KNOWN_PORTS: u16 = 1_024;

/// What passes at an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    /// What comes in.
    pub ingress: Vec<PacketRule>,
    /// What goes out.
    pub egress: Egress,
}

impl Passing {
    /// Rules in both directions.
    #[must_use]
    pub fn count(&self) -> usize {
        let egress = match &self.egress {
            Egress::Everything => 0,
            Egress::Only(rules) => rules.len(),
        };
        self.ingress.len().saturating_add(egress)
    }
}

/// A tenant's groups with the addresses that they speak of.
#[derive(Debug)]
pub struct Rulebook<'a> {
    tenant: &'a Tenant,
    groups: Vec<Group>,
    /// All that is not the Internet for this tenant.
    extranet: Vec<Range>,
}

/// How far a rule is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Force {
    /// As it was set.
    Whole,
    /// For a part of its addresses: the rest waits for the gate of the Internet.
    Part,
    /// Not at all: its zone is closed, or it names nobody.
    Closed,
    /// No more: its term is over.
    Ended,
}

impl Force {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Whole, Self::Part, Self::Closed, Self::Ended];

    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "in-force",
            Self::Part => "in-part",
            Self::Closed => "not-in-force",
            Self::Ended => "ended",
        }
    }
}

impl<'a> Rulebook<'a> {
    /// The rules of a tenant on a site; none without an allotment.
    #[must_use]
    pub fn of(tenant: &'a Tenant, zones: &Zones) -> Self {
        let network = tenant.allotment.as_ref().map(|allotment| &allotment.network);
        let extranet = network.map(|network| zones.extranet_of(network)).unwrap_or_default();
        Self { tenant, groups: tenant.groups(), extranet }
    }

    /// What passes at instances of a role.
    #[must_use]
    pub fn of_role(&self, role: &str) -> Passing {
        let attached = self.groups.iter().filter(|group| group.roles.contains(role));
        let rules: Vec<&Rule> = attached.flat_map(|group| &group.rules).collect();
        let of = |direction| {
            let these = rules.iter().filter(move |rule| rule.asked.direction == direction);
            disjoint(&these.map(|rule| (*rule, self.admitted(rule))).collect::<Vec<_>>())
        };
        // A restriction whose term is over restricts all the more.
        let restricts = |rule: &&Rule| rule.asked.direction == Direction::Egress;
        let egress = if rules.iter().any(restricts) {
            Egress::Only(of(Direction::Egress))
        } else {
            Egress::Everything
        };
        Passing { ingress: of(Direction::Ingress), egress }
    }

    /// Ranges of addresses that the rules of a role speak of, before they are put together.
    #[must_use]
    pub fn weight(&self, role: &str) -> usize {
        let attached = self.groups.iter().filter(|group| group.roles.contains(role));
        attached.flat_map(|group| &group.rules).map(|rule| self.named(&rule.asked.peer).len()).sum()
    }

    /// How far a rule is in force now.
    #[must_use]
    pub fn force(&self, rule: &Rule) -> Force {
        let (named, admitted) = (self.named(&rule.asked.peer), self.admitted(rule));
        if rule.ended_at.is_some() {
            Force::Ended
        } else if admitted.is_empty() {
            Force::Closed
        } else if admitted == named {
            Force::Whole
        } else {
            Force::Part
        }
    }

    /// The addresses with which a rule lets packets pass now.
    fn admitted(&self, rule: &Rule) -> Vec<Range> {
        if rule.ended_at.is_some() {
            return Vec::new();
        }
        let named = self.named(&rule.asked.peer);
        match rule.asked.direction {
            Direction::Egress if self.answers_from_afar(&rule.asked) => {
                range::intersection(&named, &self.extranet)
            }
            Direction::Egress => named,
            Direction::Ingress => {
                let zone = match rule.asked.peer {
                    Peer::Zone(zone) => zone,
                    Peer::Prefix(_) => Zone::Extranet,
                    Peer::Group(_) => Zone::Isolated,
                };
                if !self.tenant.opens(zone) {
                    Vec::new()
                } else if self.tenant.opens(Zone::Internet) {
                    named
                } else {
                    range::intersection(&named, &self.extranet)
                }
            }
        }
    }

    /// Whether answers to what a rule lets go out could be anybody's on the Internet while that is
    /// closed: those to UDP are known by the peer's port alone, so that only ports of well-known
    /// services (below 1024) are asked there.
    fn answers_from_afar(&self, asked: &RuleRequest) -> bool {
        let outside = match asked.peer {
            Peer::Prefix(_) | Peer::Zone(Zone::Internet) => true,
            Peer::Zone(Zone::Extranet | Zone::Isolated) | Peer::Group(_) => false,
        };
        let last = asked.last_port.or(asked.port).unwrap_or(u16::MAX);
        let udp = asked.protocol == Protocol::Udp;
        udp && outside && last >= WELL_KNOWN_PORTS && !self.tenant.opens(Zone::Internet)
    }

    /// The addresses that a rule speaks of.
    fn named(&self, peer: &Peer) -> Vec<Range> {
        match peer {
            Peer::Prefix(text) => {
                text.parse::<Prefix>().map(|prefix| vec![prefix.range()]).unwrap_or_default()
            }
            // Who may be reached from the Internet may be reached from the extranet.
            Peer::Zone(Zone::Internet) => vec![EVERYBODY],
            Peer::Zone(Zone::Extranet) => self.extranet.clone(),
            Peer::Zone(Zone::Isolated) => self.instances(|_| true),
            Peer::Group(name) => {
                let known = self.groups.iter().find(|group| group.name == *name);
                known
                    .map(|group| self.instances(|role| group.roles.contains(role)))
                    .unwrap_or_default()
            }
        }
    }

    fn instances(&self, has: impl Fn(&str) -> bool) -> Vec<Range> {
        let all = self.tenant.instances().iter().filter(|instance| has(instance.role()));
        let address = |ip4: [u8; 4]| (u32::from_be_bytes(ip4), u32::from_be_bytes(ip4));
        range::union(all.map(|instance| address(instance.ip4)).collect())
    }
}

/// The same traffic with the same addresses, so that no packet is of two rules.
fn disjoint(rules: &[(&Rule, Vec<Range>)]) -> Vec<PacketRule> {
    let of = |protocol| {
        let these = rules.iter().filter(move |(rule, _)| rule.asked.protocol == protocol);
        range::union(these.flat_map(|(_, ranges)| ranges.iter().copied()).collect())
    };
    let all = of(Protocol::Any);
    let echo = range::difference(&of(Protocol::Icmp), &all);
    let mut packets = Vec::new();
    packets.extend(with(Traffic::All, &all));
    packets.extend(with(Traffic::Echo, &echo));
    for transport in [Transport::Tcp, Transport::Udp] {
        ports(transport, rules, &all, &mut packets);
    }
    packets
}

/// Goes from port to port, at each of which some rule begins or ends.
fn ports(
    transport: Transport,
    rules: &[(&Rule, Vec<Range>)],
    all: &[Range],
    packets: &mut Vec<PacketRule>,
) {
    let mut spans: Vec<(u32, u32, &[Range])> = Vec::new();
    for (rule, ranges) in rules {
        let asked = &rule.asked;
        if let (Some(port), true) = (asked.port, asked.protocol.transport() == Some(transport)) {
            let after = u32::from(asked.last_port.unwrap_or(port)) + 1;
            spans.push((u32::from(port), after, ranges));
        }
    }
    let edges: BTreeSet<u32> = spans.iter().flat_map(|&(from, to, _)| [from, to]).collect();
    let edges: Vec<u32> = edges.into_iter().collect();
    let mut open: Option<(u32, u32, Vec<Range>)> = None;
    for &[from, to] in edges.array_windows() {
        let here = spans.iter().filter(|&&(first, after, _)| first <= from && to <= after);
        let named = here.flat_map(|(_, _, ranges)| ranges.iter().copied()).collect();
        let addresses = range::difference(&range::union(named), all);
        match &mut open {
            Some((_, after, same)) if *after == from && *same == addresses => *after = to,
            Some(_) | None => {
                let before = open.replace((from, to, addresses));
                packets.extend(before.iter().flat_map(|span| opened(transport, span)));
            }
        }
    }
    packets.extend(open.iter().flat_map(|span| opened(transport, span)));
}

fn opened(
    transport: Transport,
    (from, to, addresses): &(u32, u32, Vec<Range>),
) -> impl Iterator<Item = PacketRule> {
    let port = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let (first, last) = (port(*from), port(to.saturating_sub(1)));
    with(Traffic::Ports { transport, first, last }, addresses)
}

fn with(traffic: Traffic, addresses: &[Range]) -> impl Iterator<Item = PacketRule> {
    addresses.iter().map(move |&(first, last)| PacketRule {
        traffic,
        peers: Peers { first: first.to_be_bytes(), last: last.to_be_bytes() },
    })
}
