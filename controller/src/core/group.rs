//! Security groups: what may come in and go out of a tenant's instances, in its customer's own hand
//! (GB/T 22239, cloud extension: the customer can set its own policy).
//!
//! A group is a name, the roles of instances that it is attached to, and rules. What an instance
//! may be reached by is all that its groups let in; what it may reach is everything, until one of
//! its groups has a rule for egress: from then on only what such rules say, also once their terms
//! are over. The groups of a tenant whose customer has changed none are those of its application:
//! one for each role, with the ports that were asked for, and echo requests (ping) from the
//! government extranet.
//!
//! The law stands above the groups: [`Tenant::opens`] says what is open in a zone at all, and
//! [`passing`] applies it to every rule, by its addresses. [`range`] is arithmetic on addresses,
//! [`zone`] which of them the site calls its extranet, [`check`] what a customer may set.

pub mod check;
pub mod passing;
pub mod range;
pub mod zone;

use std::collections::BTreeSet;

use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{time::Timestamp, wire::v1::Transport};

pub use zone::Zones;

use super::{
    admission::{self, NAME_LIMIT, ROLE_LIMIT},
    tenant::{Application, InstanceRequest, Tenant, Zone},
};

/// Most groups of a tenant.
pub const GROUPS_LIMIT: usize = 256;
/// Most rules of a group.
pub const RULES_LIMIT: usize = 100;
/// Most rules of all groups of a tenant that a change may leave, unless it makes them fewer.
pub const ALL_RULES_LIMIT: usize = 2_000;
/// Most roles that a group is attached to: as many as an application has.
pub const ROLES_LIMIT: usize = admission::INSTANCES_LIMIT as usize;
/// Longest prefix, characters: `255.255.255.255/32`, or an IPv6 one, to be told that it is one.
pub const PREFIX_LIMIT: usize = 49;

/// A group as its customer sets it: whole, in place of one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct GroupRequest {
    /// Its name within the tenant: of letters, digits and hyphens, as roles are.
    #[garde(length(chars, min = 1, max = ROLE_LIMIT), custom(admission::role))]
    pub name: String,
    /// Roles of the instances that it is attached to; none, and it is a name to refer to.
    #[serde(default)]
    #[garde(length(max = ROLES_LIMIT), custom(check::roles))]
    pub roles: BTreeSet<String>,
    /// Its rules.
    #[serde(default)]
    #[garde(length(max = RULES_LIMIT), dive)]
    pub rules: Vec<RuleRequest>,
}

/// A rule as its customer sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct RuleRequest {
    /// Which way the first packet goes.
    #[garde(skip)]
    pub direction: Direction,
    /// The protocol.
    #[garde(skip)]
    pub protocol: Protocol,
    /// The port, or the first of a range: the instance's of ingress, the peer's of egress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)), custom(check::port(self.protocol)))]
    pub port: Option<u16>,
    /// The last port of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(check::last_port(self.protocol, self.port)))]
    pub last_port: Option<u16>,
    /// With whom.
    #[garde(custom(check::peer))]
    pub peer: Peer,
    /// What it is for.
    #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
    pub purpose: String,
    /// Its last day, in legal time; nothing without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub until: Option<Date>,
}

/// Which way the first packet of a connection goes; answers pass the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the instance.
    Ingress,
    /// From it.
    Egress,
}

/// Protocols that rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo requests (ping); its errors and answers always pass.
    Icmp,
    /// Every IPv4 packet.
    Any,
}

impl Protocol {
    /// The transport, of those that have ports.
    #[must_use]
    pub const fn transport(self) -> Option<Transport> {
        match self {
            Self::Tcp => Some(Transport::Tcp),
            Self::Udp => Some(Transport::Udp),
            Self::Icmp | Self::Any => None,
        }
    }
}

/// With whom: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// An IPv4 prefix, such as `10.1.0.0/16`. What of it is no extranet address follows the gate of
    /// the Internet.
    Prefix(String),
    /// A zone of the site.
    Zone(Zone),
    /// The instances of a group of the same tenant.
    Group(String),
}

/// A group of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Roles of the instances that it is attached to.
    pub roles: BTreeSet<String>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// As it was set.
    #[serde(flatten)]
    pub asked: RuleRequest,
    /// When its term was found to be over, legal time: it has let nothing pass since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl From<GroupRequest> for Group {
    fn from(request: GroupRequest) -> Self {
        let rules = request.rules.into_iter().map(|asked| Rule { asked, ended_at: None });
        Self { name: request.name, roles: request.roles, rules: rules.collect() }
    }
}

impl Tenant {
    /// Its security groups, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        self.groups.clone().unwrap_or_else(|| first(&self.application))
    }

    /// Whether anything of it is to be reached from the Internet, by the zone that rules name.
    #[must_use]
    pub fn asks_for_internet(&self) -> bool {
        self.lets_in(|peer| *peer == Peer::Zone(Zone::Internet))
    }

    /// Whether the gate of the Internet may change what passes: rules name it, or prefixes, which
    /// may lie in it.
    #[must_use]
    pub fn waits_for_the_gate(&self) -> bool {
        self.lets_in(|peer| match peer {
            Peer::Zone(Zone::Internet) | Peer::Prefix(_) => true,
            Peer::Zone(Zone::Extranet | Zone::Isolated) | Peer::Group(_) => false,
        })
    }

    fn lets_in(&self, is_meant: impl Fn(&Peer) -> bool) -> bool {
        let meant = |rule: &Rule| {
            rule.asked.direction == Direction::Ingress
                && rule.ended_at.is_none()
                && is_meant(&rule.asked.peer)
        };
        let groups = self.groups();
        let mut attached = groups.iter().filter(|group| !group.roles.is_empty());
        attached.any(|group| group.rules.iter().any(meant))
    }
}

/// The groups of an application: one for each of its roles, by name.
fn first(application: &Application) -> Vec<Group> {
    let mut groups: Vec<Group> = application.instances.iter().map(of_role).collect();
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    groups
}

fn of_role(request: &InstanceRequest) -> Group {
    let rule = |protocol, port, zone, purpose: &str| Rule {
        asked: RuleRequest {
            direction: Direction::Ingress,
            protocol,
            port,
            last_port: None,
            peer: Peer::Zone(zone),
            purpose: purpose.to_owned(),
            until: None,
        },
        ended_at: None,
    };
    let mut asked = request.ingress.clone();
    asked.sort();
    asked.dedup();
    let ports = asked.into_iter().map(|asked| {
        let protocol = match asked.protocol {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        };
        rule(protocol, Some(asked.port), asked.zone, "as applied for")
    });
    let ping = rule(Protocol::Icmp, None, Zone::Extranet, "ping");
    Group {
        name: request.role.clone(),
        roles: BTreeSet::from([request.role.clone()]),
        rules: ports.chain([ping]).collect(),
    }
}
