//! Texts for nft: the static cut table and the policy table.
//!
//! ```text
//!             frame from a tap                         frame to a tap
//!   −500  tenure_cut_… at the tap itself, of a cut tenant: drop (core::seal)
//!   −450  tenure_cut  tap → mark, cut? drop      −450  tenure_cut  tap → mark, cut? drop
//!   −400  tenure      known tap? its own          −400  tenure      same tenant? ARP, ICMP, TCP
//!                     MAC, ARP and IPv4?                            answers, open port? else drop
//! ```
//!
//! Family bridge has no connection tracking, so answers are told from requests without state:
//!
//! - TCP: everything but a pure SYN is let in. A closed port therefore still sees a stray ACK, and
//!   answers RST; nobody can open a connection to it.
//! - UDP: only to open ports. A guest that needs UDP answers opens the port that it sends from.
//! - Fragments: only the first carries a port, so later ones are dropped.
//! - IPv6, VLAN tags and every other kind of frame: dropped in both directions.
//!
//! The structure never changes, only elements do: groups of open ports are numbers in a set, shared
//! by all taps with the same rules, so that no chain is left over when a group goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use tenure_protocol::{
    id::InstanceId,
    wire::v1::{IngressRule, Mark, Transport},
};

/// Name of the cut table, family bridge.
pub const CUT_TABLE: &str = "tenure_cut";
/// Name of the policy table, family bridge.
pub const POLICY_TABLE: &str = "tenure";
/// Set of the marks of cut tenants, in [`CUT_TABLE`].
pub const CUT_SET: &str = "cut_tenant";
/// Map from tap to mark, in [`CUT_TABLE`].
pub const PORT_MAP: &str = "port_tenant";
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
    /// Ports that are open to it, in any order.
    pub ingress: Vec<IngressRule>,
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

/// The policy table, whole: every tap of every tenant on the host. Replaces what was there in one
/// transaction, so that no frame meets a half-made table.
#[must_use]
pub fn policy(wanted: &[PolicyTap]) -> String {
    let mut taps: Vec<&PolicyTap> = wanted.iter().collect();
    taps.sort_by(|a, b| a.tap.cmp(&b.tap));
    let groups = groups(&taps);
    let mut text = policy_structure(POLICY_TABLE);
    let mut elements = |set: &str, elements: Vec<String>| {
        if !elements.is_empty() {
            let _ = writeln!(text, "add element bridge {POLICY_TABLE} {set} {{");
            let _ = writeln!(text, "  {}", elements.join(",\n  "));
            let _ = writeln!(text, "}}");
        }
    };
    let each = |line: &dyn Fn(&PolicyTap) -> String| taps.iter().map(|tap| line(tap)).collect();
    elements("port_tenant", each(&|t| format!("{:?} : {:#x}", t.tap.0, t.mark.0)));
    elements("tenant_port", each(&|t| format!("{:#x} . {:?}", t.mark.0, t.tap.0)));
    elements("src_mac", each(&|t| format!("{:?} . {}", t.tap.0, mac(t.mac))));
    elements("src_ip4", each(&|t| format!("{:?} . {}", t.tap.0, ip4(t.ip4))));
    let group = |tap: &PolicyTap| groups.get(&rules(tap)).copied().unwrap_or(0);
    elements("port_group", each(&|t| format!("{:?} : {:#x}", t.tap.0, group(t))));
    elements("open", groups.iter().flat_map(|(rules, number)| open(*number, rules)).collect());
    text
}

/// Groups are numbered by their sorted rules; 0 is the group without rules.
fn groups(taps: &[&PolicyTap]) -> BTreeMap<BTreeSet<IngressRule>, u32> {
    let distinct: BTreeSet<BTreeSet<IngressRule>> = taps.iter().map(|tap| rules(tap)).collect();
    distinct.into_iter().filter(|rules| !rules.is_empty()).zip(1..).collect()
}

fn rules(tap: &PolicyTap) -> BTreeSet<IngressRule> {
    tap.ingress.iter().copied().collect()
}

fn open(group: u32, rules: &BTreeSet<IngressRule>) -> Vec<String> {
    let line = |rule: &IngressRule| {
        let protocol = match rule.protocol {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        format!("{group:#x} . {protocol} . {}", rule.port)
    };
    rules.iter().map(line).collect()
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
    POLICY.replace("TABLE", table)
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
add map bridge TABLE port_group { type ifname : mark; size 65536; }
add set bridge TABLE open { type mark . inet_proto . inet_service; size 262144; }
add counter bridge TABLE stray
add counter bridge TABLE spoofed
add counter bridge TABLE closed
flush table bridge TABLE
flush map bridge TABLE port_tenant
flush set bridge TABLE tenant_port
flush set bridge TABLE src_mac
flush set bridge TABLE src_ip4
flush map bridge TABLE port_group
flush set bridge TABLE open
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
  chain to_tap {
    oifname != @port_tenant counter name stray drop
    iifname "tap-*" meta mark . oifname != @tenant_port counter name stray drop
    ether type != { arp, ip } counter name closed drop
    ether type arp accept
    icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded } accept
    tcp flags & (syn | ack) != syn accept
    meta mark set oifname map @port_group
    meta mark . meta l4proto . th dport @open accept
    counter name closed drop
  }
  chain prerouting {
    type filter hook prerouting priority -400; policy accept;
    iifname != "tap-*" accept
    iifname != @port_tenant counter name stray drop
    meta mark set iifname map @port_tenant
    jump from_tap
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
