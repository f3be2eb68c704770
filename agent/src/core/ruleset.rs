//! Texts for nft: the static cut table and the policy table.
//!
//! ```text
//!             frame from a tap                         frame to a tap
//!   −500  tenure_cut_… at the tap itself, of a cut tenant: drop (core::seal)
//!   −450  tenure_cut  tap → mark, cut? drop      −450  tenure_cut  tap → mark, cut? drop
//!   −400  tenure      known tap? its own          −400  tenure      same tenant? ARP, answer,
//!                     MAC, ARP and IPv4? may                        open to this peer? else drop
//!                     it speak to this peer?
//! ```
//!
//! What goes out is everything that a tap sends as itself, until its customer restricts it. Family
//! bridge has no connection tracking, so answers are told from requests without state:
//!
//! - TCP: everything but a pure SYN is an answer, whoever may be asked: everybody, from a tap whose
//!   egress is not restricted; else the peers and ports of its rules. A closed port therefore still
//!   sees a stray ACK, and answers RST; nobody can open a connection to it.
//! - UDP: answers to a rule of egress come from its peers and ports, to ports from 1024 on. A tap
//!   without such a rule, which may send to everybody, opens the port that it sends from.
//! - ICMP: echo replies, and errors (unreachable, time exceeded), pass in both directions. Echo
//!   requests need a rule, and no other kind passes without a rule for all traffic.
//! - A rule for all traffic with a peer brings answers of TCP alone: what UDP and other protocols
//!   answer needs such a rule of the other direction.
//! - Fragments: only the first carries a port; later ones pass by a rule for all traffic alone.
//! - IPv6, VLAN tags and every other kind of frame: dropped in both directions.
//!
//! New TCP connections are counted at each tap, in elements of two sets, before it is asked whether
//! they may pass: what a tap begins once it is known to send as itself, and what it is asked for at
//! its own address, lest frames that a bridge floods count at every port.
//!
//! The structure never changes, only elements do: all of them where the table is replaced whole,
//! those that differ where a policy of ours is in force ([`change`]). Lists of rules are numbers in
//! sets, shared by all taps and directions with the same list, so that no chain is left over when a
//! list goes. Where all are replaced, sets with intervals are flushed and filled, never made anew:
//! a new one is empty to frames until the end of the commit, and they would be lost. The kernel
//! takes such elements out slowly: 1,000 taps with 2,500 rules that differ take a second to
//! replace, with the same ten 40 ms.

mod change;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use change::{Change, change};
use tenure_protocol::{
    digest::Digest,
    id::InstanceId,
    wire::v1::{Egress, Mark, PacketRule, Peers, Traffic, Transport},
};

/// Name of the cut table, family bridge.
pub const CUT_TABLE: &str = "tenure_cut";
/// Name of the policy table, family bridge.
pub const POLICY_TABLE: &str = "tenure";
/// Set of the marks of cut tenants, in [`CUT_TABLE`].
pub const CUT_SET: &str = "cut_tenant";
/// Map from tap to mark, in [`CUT_TABLE`].
pub const PORT_MAP: &str = "port_tenant";
/// Set of taps, in [`POLICY_TABLE`], that counts the TCP connections which each begins.
pub const SYN_SENT: &str = "syn_sent";
/// Set of taps, in [`POLICY_TABLE`], that counts the TCP connections which each is asked for.
pub const SYN_RECEIVED: &str = "syn_received";
/// Longest name of a network device, bytes (IFNAMSIZ − 1).
const MAX_NAME_BYTES: usize = 15;

/// Name of a tap: `tap-` and letters, digits or hyphens, 15 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TapName(String);

/// Text that is no tap's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a tap's name: give `tap-`, then letters, digits or hyphens, 15 bytes at most"
)]
pub struct ParseTapNameError(String);

impl TapName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`ParseTapNameError`] for anything that nft or the kernel could read otherwise.
    pub fn parse(text: &str) -> Result<Self, ParseTapNameError> {
        let rest = text.strip_prefix("tap-").unwrap_or_default();
        let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if rest.is_empty() || text.len() > MAX_NAME_BYTES || !plain {
            return Err(ParseTapNameError(text.chars().take(64).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as the kernel has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of an instance's tap: `tap-` and the last 8 hexadecimal digits of its id.
#[must_use]
pub fn tap_name(instance: InstanceId) -> TapName {
    TapName(format!("tap-{}", instance.short()))
}

/// Name of a tenant's bridge on a host: `tb-` and its mark in hexadecimal.
#[must_use]
pub fn bridge_name(mark: Mark) -> String {
    format!("tb-{:x}", mark.0)
}

/// What one tap may do: one network card of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTap {
    /// The tap, unique on its host.
    pub tap: TapName,
    /// Mark of its tenant.
    pub mark: Mark,
    /// The only MAC address that may send from it.
    pub mac: [u8; 6],
    /// The only IPv4 address that may send from it.
    pub ip4: [u8; 4],
    /// What may come in, in any order; no two overlap.
    pub ingress: Vec<PacketRule>,
    /// What may go out; no two overlap.
    pub egress: Egress,
}

/// The cut table's contents, as statements that build it up or change nothing. The table itself is
/// made by netlink before (nft older than 1.1 cannot write its flags).
#[must_use]
pub fn cut_table() -> String {
    cut_contents(CUT_TABLE)
}

/// Everything that the two tables need from nft and the kernel, under another name: for `nft -c`,
/// which then neither meets a table that is owned nor changes anything.
#[must_use]
pub fn probe() -> String {
    let (cut, policy) = ("tenure_probe_cut", "tenure_probe");
    format!("add table bridge {cut}\n{}{}", cut_contents(cut), policy_structure(policy))
}

/// From what a host numbers its lists of rules: 32 random bytes that no tenant knows, lest it finds
/// rules whose list has the number of another's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ListKey(pub [u8; 32]);

impl fmt::Debug for ListKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListKey(..)")
    }
}

/// The policy table, whole: every tap of every tenant on the host. Replaces what was there in one
/// transaction, so that no frame meets a half-made table.
#[must_use]
pub fn policy(wanted: &[PolicyTap], key: &ListKey) -> String {
    let mut taps: Vec<&PolicyTap> = wanted.iter().collect();
    taps.sort_by(|a, b| a.tap.cmp(&b.tap));
    let lists = numbered(lists(&taps), |rules| number_of(rules, key));
    let mut text = policy_structure(POLICY_TABLE);
    let mut elements = |set: &str, elements: Vec<String>| {
        text.push_str(&change::statement("add", set, &elements));
    };
    let each = |line: &dyn Fn(&PolicyTap) -> String| taps.iter().map(|tap| line(tap)).collect();
    elements("port_tenant", each(&|t| format!("{:?} : {:#x}", t.tap.0, t.mark.0)));
    elements("tenant_port", each(&|t| format!("{:#x} . {:?}", t.mark.0, t.tap.0)));
    let names = || taps.iter().map(|tap| format!("{:?}", tap.tap.0)).collect();
    elements(SYN_SENT, names());
    elements(SYN_RECEIVED, names());
    elements("src_mac", each(&|t| format!("{:?} . {}", t.tap.0, mac(t.mac))));
    elements("src_ip4", each(&|t| format!("{:?} . {}", t.tap.0, ip4(t.ip4))));
    let number = |rules: Option<&[PacketRule]>| {
        rules.and_then(|rules| lists.get(&list(rules)).copied()).unwrap_or(EVERYTHING)
    };
    elements("in_list", each(&|t| format!("{:?} : {:#x}", t.tap.0, number(Some(&t.ingress)))));
    elements("out_list", each(&|t| format!("{:?} : {:#x}", t.tap.0, number(only(&t.egress)))));
    let [mut ports, mut echo, mut all] = [const { Vec::new() }; 3];
    for (list, rule) in lists.iter().flat_map(|(rules, list)| rules.iter().map(|one| (*list, one)))
    {
        let peers = peers(rule.peers);
        match rule.traffic {
            Traffic::Ports { transport, first, last } => {
                let transport = transport_name(transport);
                let span = range(first, last);
                ports.push(format!("{list:#x} . {transport} . {span} . {peers}"));
            }
            Traffic::Echo => echo.push(format!("{list:#x} . {peers}")),
            Traffic::All => all.push(format!("{list:#x} . {peers}")),
        }
    }
    elements("open_port", ports);
    elements("open_echo", echo);
    elements("open_all", all);
    text
}

/// The number of no list: what goes out is not restricted.
const EVERYTHING: u32 = 0;

/// All lists of rules, each once. The empty one is a list, too: nothing passes.
fn lists(taps: &[&PolicyTap]) -> BTreeSet<BTreeSet<PacketRule>> {
    let both = |tap: &&PolicyTap| [Some(list(&tap.ingress)), only(&tap.egress).map(list)];
    taps.iter().flat_map(both).flatten().collect()
}

/// Lists with their numbers, which come of the rules: so no list that comes or goes changes
/// another's, but where two have the same, and the later of the two gets the next that is free.
fn numbered(
    lists: BTreeSet<BTreeSet<PacketRule>>,
    number_of: impl Fn(&BTreeSet<PacketRule>) -> u32,
) -> BTreeMap<BTreeSet<PacketRule>, u32> {
    let mut taken = BTreeSet::from([EVERYTHING]);
    let number = |rules: BTreeSet<PacketRule>| {
        let mut number = number_of(&rules);
        while !taken.insert(number) {
            number = number.wrapping_add(1);
        }
        (rules, number)
    };
    lists.into_iter().map(number).collect()
}

/// The number that a list has if no other has it: SHA-256 of the key and the rules.
fn number_of(rules: &BTreeSet<PacketRule>, key: &ListKey) -> u32 {
    let mut bytes = key.0.to_vec();
    for PacketRule { traffic, peers: Peers { first, last } } in rules {
        let words = match traffic {
            Traffic::Ports { transport, first, last } => {
                format!("{} {first} {last}", transport_name(*transport))
            }
            Traffic::Echo => "echo".to_owned(),
            Traffic::All => "all".to_owned(),
        };
        bytes.extend(format!("{words} {} {}\n", ip4(*first), ip4(*last)).bytes());
    }
    let [a, b, c, d, ..] = Digest::of(&bytes).0;
    u32::from_be_bytes([a, b, c, d])
}

fn list(rules: &[PacketRule]) -> BTreeSet<PacketRule> {
    rules.iter().copied().collect()
}

/// The rules of what goes out; none if it is not restricted.
fn only(egress: &Egress) -> Option<&[PacketRule]> {
    match egress {
        Egress::Everything => None,
        Egress::Only(rules) => Some(rules),
    }
}

const fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

/// A range even of one address: nft 1.0.6 cannot delete an element of a set with intervals that has
/// none itself.
fn peers(Peers { first, last }: Peers) -> String {
    format!("{}-{}", ip4(first), ip4(last))
}

fn range(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn mac(bytes: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = bytes;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn ip4([a, b, c, d]: [u8; 4]) -> String {
    format!("{a}.{b}.{c}.{d}")
}

fn cut_contents(table: &str) -> String {
    CUT.replace("TABLE", table)
}

fn policy_structure(table: &str) -> String {
    let port = "type mark . inet_proto . inet_service . ipv4_addr; flags interval; size 262144;";
    let peer = "type mark . ipv4_addr; flags interval; size 262144;";
    POLICY.replace("TABLE", table).replace("OPEN_PORT", port).replace("OPEN_PEER", peer)
}

/// The input chain clears the mark as well, so that the host's routing never sees a tenant's. What
/// goes past all hooks of this family, the seal stops at the tap ([`super::seal`]).
const CUT: &str = "\
add map bridge TABLE port_tenant { type ifname : mark; size 65536; }
add set bridge TABLE cut_tenant { type mark; size 65536; }
add set bridge TABLE cut_port { type ifname; size 65536; counter; }
add counter bridge TABLE cut_rx
add counter bridge TABLE cut_tx
add chain bridge TABLE prerouting { type filter hook prerouting priority -450; policy accept; }
add chain bridge TABLE input { type filter hook input priority -450; policy accept; }
add chain bridge TABLE postrouting { type filter hook postrouting priority -450; policy accept; }
flush chain bridge TABLE prerouting
flush chain bridge TABLE input
flush chain bridge TABLE postrouting
add rule bridge TABLE prerouting iifname @cut_port counter name cut_rx drop
add rule bridge TABLE prerouting meta mark set iifname map @port_tenant
add rule bridge TABLE prerouting meta mark @cut_tenant counter name cut_rx drop
add rule bridge TABLE input iifname @cut_port counter name cut_rx drop
add rule bridge TABLE input meta mark set iifname map @port_tenant
add rule bridge TABLE input meta mark @cut_tenant counter name cut_rx drop
add rule bridge TABLE input meta mark set 0
add rule bridge TABLE postrouting oifname @cut_port counter name cut_tx drop
add rule bridge TABLE postrouting meta mark set oifname map @port_tenant
add rule bridge TABLE postrouting meta mark @cut_tenant counter name cut_tx drop
";

/// `flush table` empties the chains, and leaves the elements to the `flush map` and `flush set`
/// after it. VLAN tags are looked for first: the other matches look through them. A match on a
/// field that a short frame lacks is no match, not even a negated one: so what is good returns and
/// the rest drops. A tenant has no business with its host: nothing from a tap reaches its stack.
const POLICY: &str = r#"add table bridge TABLE
add map bridge TABLE port_tenant { type ifname : mark; size 65536; }
add set bridge TABLE tenant_port { type mark . ifname; size 65536; }
add set bridge TABLE src_mac { type ifname . ether_addr; size 65536; }
add set bridge TABLE src_ip4 { type ifname . ipv4_addr; size 65536; }
add map bridge TABLE in_list { type ifname : mark; size 65536; }
add map bridge TABLE out_list { type ifname : mark; size 65536; }
add set bridge TABLE open_port { OPEN_PORT }
add set bridge TABLE open_echo { OPEN_PEER }
add set bridge TABLE open_all { OPEN_PEER }
add set bridge TABLE syn_sent { type ifname; size 65536; counter; }
add set bridge TABLE syn_received { type ifname; size 65536; counter; }
add counter bridge TABLE stray
add counter bridge TABLE spoofed
add counter bridge TABLE closed
add counter bridge TABLE refused
flush table bridge TABLE
flush map bridge TABLE port_tenant
flush set bridge TABLE tenant_port
flush set bridge TABLE src_mac
flush set bridge TABLE src_ip4
flush map bridge TABLE in_list
flush map bridge TABLE out_list
flush set bridge TABLE open_port
flush set bridge TABLE open_echo
flush set bridge TABLE open_all
flush set bridge TABLE syn_sent
flush set bridge TABLE syn_received
table bridge TABLE {
  chain spoof {
    counter name spoofed drop
  }
  chain from_tap {
    ether type != { arp, ip } goto spoof
    iifname . ether saddr != @src_mac goto spoof
    ether type ip iifname . ip saddr @src_ip4 return
    ether type ip goto spoof
    arp htype != 1 goto spoof
    arp ptype != ip goto spoof
    arp hlen != 6 goto spoof
    arp plen != 4 goto spoof
    iifname . arp saddr ether != @src_mac goto spoof
    arp operation request arp saddr ip 0.0.0.0 return
    iifname . arp saddr ip @src_ip4 return
    goto spoof
  }
  chain to_peer {
    icmp type { echo-reply, destination-unreachable, time-exceeded } return
    meta mark set iifname map @out_list
    meta mark 0 return
    meta mark . ip daddr @open_all return
    icmp type echo-request meta mark . ip daddr @open_echo return
    meta mark . meta l4proto . th dport . ip daddr @open_port return
    meta mark set iifname map @in_list
    tcp flags & (syn | ack) != syn meta mark . ip daddr @open_all return
    tcp flags & (syn | ack) != syn meta mark . meta l4proto . th sport . ip daddr @open_port return
    meta l4proto udp meta mark . meta l4proto . th sport . ip daddr @open_port return
    counter name refused drop
  }
  chain to_tap {
    oifname != @port_tenant counter name stray drop
    iifname "tap-*" meta mark . oifname != @tenant_port counter name stray drop
    ether type != { arp, ip } counter name closed drop
    ether type arp accept
    tcp flags & (syn | ack) == syn oifname . ether daddr @src_mac oifname @syn_received
    icmp type { echo-reply, destination-unreachable, time-exceeded } accept
    meta mark set oifname map @in_list
    meta mark . ip saddr @open_all accept
    icmp type echo-request meta mark . ip saddr @open_echo accept
    meta mark . meta l4proto . th dport . ip saddr @open_port accept
    meta mark set oifname map @out_list
    meta mark 0 tcp flags & (syn | ack) != syn accept
    tcp flags & (syn | ack) != syn meta mark . ip saddr @open_all accept
    tcp flags & (syn | ack) != syn meta mark . meta l4proto . th sport . ip saddr @open_port accept
    udp dport >= 1024 meta mark . meta l4proto . th sport . ip saddr @open_port accept
    counter name closed drop
  }
  chain prerouting {
    type filter hook prerouting priority -400; policy accept;
    iifname != "tap-*" accept
    iifname != @port_tenant counter name stray drop
    jump from_tap
    tcp flags & (syn | ack) == syn iifname @syn_sent
    ether type ip jump to_peer
    meta mark set iifname map @port_tenant
  }
  chain input {
    type filter hook input priority -400; policy accept;
    iifname "tap-*" drop
  }
  chain forward {
    type filter hook forward priority -400; policy accept;
    oifname "tap-*" goto to_tap
  }
  chain output {
    type filter hook output priority -400; policy accept;
    oifname "tap-*" goto to_tap
  }
}
"#;

#[cfg(test)]
#[path = "ruleset_tests.rs"]
mod tests;
