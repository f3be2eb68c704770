//! What a customer may set: a group by itself ([`form`]), and a group beside what the tenant has
//! and the site says ([`beside`]).

use std::collections::BTreeSet;

use garde::Validate as _;
use jiff::civil::Date;
use tenure_protocol::wire::v1::MAX_RULES;

use super::{
    ALL_RULES_LIMIT, Direction, GROUPS_LIMIT, Group, GroupRequest, Peer, Protocol, RULES_LIMIT,
    RuleRequest, Zones,
    passing::Rulebook,
    range::{ParsePrefixError, Prefix},
};
use crate::core::{
    admission::{self, ROLE_LIMIT},
    refusal::{Code, Fault, Refusal},
    tenant::{Tenant, Zone},
};

/// Checks a group by itself.
///
/// # Errors
/// `too-many-rules`, `ipv6-not-carried`, `invalid-group` with every fault by its place, or
/// `overlapping-rules`.
pub fn form(group: &GroupRequest) -> Result<(), Refusal> {
    // Before anything is looked at one by one.
    if group.rules.len() > RULES_LIMIT {
        return Err(Refusal::new(
            Code::TooManyRules,
            format!(
                "{} rules: a group has at most {RULES_LIMIT}; say it in ranges, prefixes and \
                     zones, or in several groups",
                group.rules.len()
            ),
        ));
    }
    let ipv6 = |rule: &RuleRequest| match &rule.peer {
        Peer::Prefix(text) => text.parse::<Prefix>() == Err(ParsePrefixError::Ipv6),
        Peer::Zone(_) | Peer::Group(_) => false,
    };
    let faults = at(group, ipv6, "/peer", &ParsePrefixError::Ipv6.to_string());
    if !faults.is_empty() {
        return Err(Refusal::faulty(Code::Ipv6NotCarried, faults));
    }
    if let Err(report) = group.validate() {
        return Err(Refusal::faulty(Code::InvalidGroup, admission::faults(&report)));
    }
    for (number, rule) in group.rules.iter().enumerate() {
        let mut before = group.rules[..number].iter().enumerate();
        if let Some((other, _)) = before.find(|(_, other)| overlap(rule, other)) {
            let message = format!(
                "it lets pass what rule {other} (counted from 0) lets pass \
                                   already: put the two together, or take one away"
            );
            let faults = vec![Fault { pointer: format!("/rules/{number}"), message }];
            return Err(Refusal::faulty(Code::OverlappingRules, faults));
        }
    }
    Ok(())
}

/// Checks a group beside all else: `after` is the tenant with the group in it.
///
/// # Errors
/// `invalid-group` for a term that is over, `unknown-role`, `unknown-group`, `reserved-prefix`,
/// `not-internet-facing`, or `too-many-rules`.
pub fn beside(
    group: &GroupRequest,
    before: &Tenant,
    after: &Tenant,
    zones: &Zones,
    today: Date,
) -> Result<(), Refusal> {
    refuse(
        Code::InvalidGroup,
        at(
            group,
            |rule| rule.until.is_some_and(|until| until < today),
            "/until",
            &format!("the term is over, today is {today}: give a later day, or leave the rule out"),
        ),
    )?;
    let roles: Vec<&str> =
        after.application.instances.iter().map(|request| request.role.as_str()).collect();
    if let Some(role) = group.roles.iter().find(|role| !roles.contains(&role.as_str())) {
        return Err(Refusal::new(
            Code::UnknownRole,
            format!("no instances have the role {role:?}; there are: {}", roles.join(", ")),
        ));
    }
    let groups = after.groups();
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    let unknown = |rule: &RuleRequest| match &rule.peer {
        Peer::Group(name) => !names.contains(&name.as_str()),
        Peer::Prefix(_) | Peer::Zone(_) => false,
    };
    let sentence = format!("there is no such group: set it first; there are: {}", names.join(", "));
    refuse(Code::UnknownGroup, at(group, unknown, "/peer", &sentence))?;
    reserved(group, zones)?;
    let public = |rule: &RuleRequest| {
        rule.direction == Direction::Ingress && rule.peer == Peer::Zone(Zone::Internet)
    };
    if !after.application.system.internet_facing {
        let sentence = "the application says that the system does not serve the Internet: nothing \
                        of it can be opened to it";
        refuse(Code::NotInternetFacing, at(group, public, "/peer", sentence))?;
    }
    few(before, after, &groups, zones)
}

/// Checks that the hosts can bear it.
fn few(before: &Tenant, after: &Tenant, groups: &[Group], zones: &Zones) -> Result<(), Refusal> {
    let many = |sentence: String| Err(Refusal::new(Code::TooManyRules, sentence));
    if groups.len() > GROUPS_LIMIT {
        return many(format!("a tenant has at most {GROUPS_LIMIT} groups: remove one first"));
    }
    let all = |groups: &[Group]| groups.iter().map(|group| group.rules.len()).sum::<usize>();
    let (had, has) = (all(&before.groups()), all(groups));
    if has > ALL_RULES_LIMIT && has > had {
        return many(format!(
            "{has} rules: the groups of a tenant have at most {ALL_RULES_LIMIT} together"
        ));
    }
    let book = Rulebook::of(after, zones);
    for request in &after.application.instances {
        let role = &request.role;
        let weight = book.weight(role);
        if weight > MAX_RULES {
            return many(format!(
                "the groups of role {role} speak of {weight} ranges of addresses: {MAX_RULES} are \
                 what one network card takes; say it in fewer rules"
            ));
        }
    }
    for request in &after.application.instances {
        let role = &request.role;
        let passing = book.of_role(role);
        let rules = passing.count();
        if rules > MAX_RULES {
            return many(format!(
                "the groups of role {role} make {rules} rules where their ports and addresses \
                 meet: {MAX_RULES} are what one network card takes; say it in fewer rules"
            ));
        }
    }
    Ok(())
}

fn reserved(group: &GroupRequest, zones: &Zones) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    for (number, rule) in group.rules.iter().enumerate() {
        let Peer::Prefix(text) = &rule.peer else { continue };
        let range = text.parse::<Prefix>().ok().map(Prefix::range);
        if let Some(reserved) = range.and_then(|range| zones.reserved_in(range)) {
            let pointer = format!("/rules/{number}/peer");
            let message = format!(
                "it overlaps {reserved}, which is the platform's own: give \
                                   prefixes beside it, or a zone"
            );
            faults.push(Fault { pointer, message });
        }
    }
    refuse(Code::ReservedPrefix, faults)
}

fn refuse(code: Code, faults: Vec<Fault>) -> Result<(), Refusal> {
    if faults.is_empty() { Ok(()) } else { Err(Refusal::faulty(code, faults)) }
}

/// A fault at each rule that is so.
fn at(
    group: &GroupRequest,
    is_wrong: impl Fn(&RuleRequest) -> bool,
    member: &str,
    message: &str,
) -> Vec<Fault> {
    let wrong = group.rules.iter().enumerate().filter(|(_, rule)| is_wrong(rule));
    let fault =
        |number| Fault { pointer: format!("/rules/{number}{member}"), message: message.to_owned() };
    wrong.map(|(number, _)| fault(number)).collect()
}

/// Whether two rules of one group say the same of some packet. Zones lie in one another, and their
/// gates differ: rules for two of them do not overlap.
fn overlap(one: &RuleRequest, other: &RuleRequest) -> bool {
    let protocols = one.protocol == other.protocol
        || one.protocol == Protocol::Any
        || other.protocol == Protocol::Any;
    let ports = match (span(one), span(other)) {
        (Some((first, last)), Some((from, to))) => first <= to && from <= last,
        (None, _) | (_, None) => true,
    };
    let peers = match (&one.peer, &other.peer) {
        (Peer::Prefix(one), Peer::Prefix(other)) => {
            match (one.parse::<Prefix>(), other.parse::<Prefix>()) {
                (Ok(one), Ok(other)) => {
                    let ((first, last), (from, to)) = (one.range(), other.range());
                    first <= to && from <= last
                }
                (Err(_), _) | (_, Err(_)) => false,
            }
        }
        (one, other) => one == other,
    };
    one.direction == other.direction && protocols && ports && peers
}

fn span(rule: &RuleRequest) -> Option<(u16, u16)> {
    let port = rule.port?;
    Some((port, rule.last_port.unwrap_or(port)))
}

fn wrong(sentence: impl Into<String>) -> garde::Result {
    Err(garde::Error::new(sentence.into()))
}

/// A prefix that is carried, or a name of the length of one.
pub(super) fn peer(peer: &Peer, (): &()) -> garde::Result {
    match peer {
        Peer::Prefix(text) => {
            text.parse::<Prefix>().map(drop).map_err(|error| garde::Error::new(error.to_string()))
        }
        Peer::Group(name) => admission::role(name, &()).and_then(|()| short(name)),
        Peer::Zone(_) => Ok(()),
    }
}

/// Roles of the length of one: whether there are such instances is asked later.
pub(super) fn roles(roles: &BTreeSet<String>, (): &()) -> garde::Result {
    roles.iter().try_for_each(|role| short(role))
}

fn short(name: &str) -> garde::Result {
    if name.len() <= ROLE_LIMIT {
        return Ok(());
    }
    wrong(format!("a name has at most {ROLE_LIMIT} characters"))
}

/// A port where the protocol has some, and only there.
pub(super) fn port(protocol: Protocol) -> impl FnOnce(&Option<u16>, &()) -> garde::Result {
    move |port, (): &()| match (protocol.transport(), port) {
        (Some(_), Some(_)) | (None, None) => Ok(()),
        (Some(_), None) => wrong("tcp and udp have ports: give port, and last_port for a range"),
        (None, Some(_)) => wrong("icmp and any have no ports: leave port out"),
    }
}

/// The end of a range that has a beginning.
pub(super) fn last_port(
    protocol: Protocol,
    port: Option<u16>,
) -> impl FnOnce(&Option<u16>, &()) -> garde::Result {
    move |last, (): &()| match (protocol.transport(), port, last) {
        (_, _, None) => Ok(()),
        (None, _, Some(_)) => wrong("icmp and any have no ports: leave last_port out"),
        (Some(_), Some(port), Some(last)) if *last < port => {
            wrong(format!("the range ends before it begins: give {last} as port, {port} as this"))
        }
        (Some(_), _, Some(_)) => Ok(()),
    }
}
