//! Security groups: what a customer may set, what of it hosts are told, what the law keeps shut.

use serde_json::{Value, json};
use tenure_protocol::wire::v1::{Action, Egress, Nic, PacketRule, Peers, Traffic};

use super::*;
use crate::core::group::{
    Direction, GroupRequest, Peer, Protocol, Rule, RuleRequest,
    passing::{Force, Rulebook},
};

/// Rules of a group, as they are handed in: for everybody, for itself alone, none.
pub(super) const PUBLIC: &str = r#"[
    {"direction": "ingress", "protocol": "any", "peer": {"prefix": "8.0.0.0/6"}, "purpose": "a"},
    {"direction": "ingress", "protocol": "udp", "port": 8000, "last_port": 8010,
     "peer": {"zone": "internet"}, "purpose": "b", "until": "2026-09-15"},
    {"direction": "egress", "protocol": "icmp", "peer": {"zone": "internet"}, "purpose": "c"}
]"#;
pub(super) const OWN: &str = r#"[
    {"direction": "ingress", "protocol": "tcp", "port": 22, "peer": {"group": "audit"},
     "purpose": "d"},
    {"direction": "egress", "protocol": "any", "peer": {"zone": "isolated"}, "purpose": "e"}
]"#;
pub(super) const NOTHING: &str = "[]";

pub(super) fn set_group(name: &str, rules: &str) -> Event {
    let rules = serde_json::from_str(rules).expect("rules");
    Event::SetGroup { group: GroupRequest { name: said(name), roles: [said("web")].into(), rules } }
}

fn rule(change: &[(&str, Value)]) -> Value {
    let mut rule = json!({"direction": "ingress", "protocol": "tcp", "port": 80,
        "peer": {"zone": "extranet"}, "purpose": "p"});
    for (name, value) in change {
        rule[*name] = value.clone();
    }
    rule
}

fn nics(effects: &[Effect]) -> Vec<Nic> {
    let wanted = effects.iter().filter_map(|effect| match effect {
        Effect::Order(OrderDraft { action: Action::Configure(wanted), .. }) => Some(wanted),
        _ => None,
    });
    wanted.flat_map(|wanted| &wanted.instances).map(|one| one.nic.clone()).collect()
}

fn has(rules: &[PacketRule], traffic: Traffic, ip4: [u8; 4]) -> bool {
    let peers = Peers { first: ip4, last: ip4 };
    rules.iter().any(|rule| rule.overlaps(&PacketRule { traffic, peers }))
}

fn port(port: u16) -> Traffic {
    Traffic::Ports { transport: Transport::Tcp, first: port, last: port }
}

const OFFICE: [u8; 4] = [10, 1, 2, 3];
const ABROAD: [u8; 4] = [8, 8, 8, 8];

#[test]
fn the_groups_of_an_application_open_what_was_asked_for_to_who_may_reach_it() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let effects = world.apply(&mut tenant, &approve()).expect("approved");
    let nics = nics(&effects);
    assert_eq!(nics.len(), 2);
    for nic in &nics {
        let open = |number, ip4| has(&nic.ingress, port(number), ip4);
        assert!(open(80, OFFICE) && !open(80, ABROAD), "the extranet's");
        assert!(!open(443, OFFICE) && !open(443, ABROAD), "the Internet's, before its time");
        assert!(open(5432, nics[0].ip4) && open(5432, nics[1].ip4), "its own instances'");
        assert!(!open(5432, OFFICE) && !open(5432, [10, 64, 0, 1]), "and nobody else's");
        assert!(has(&nic.ingress, Traffic::Echo, OFFICE));
        assert!(!has(&nic.ingress, Traffic::Echo, ABROAD));
        assert_eq!(nic.egress, Egress::Everything);
    }
    assert!(tenant.groups.is_none() && tenant.groups().len() == 1);
}

#[test]
fn a_customer_sets_its_groups_and_hosts_get_them_by_a_new_generation() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let before = tenant.generations.clone();
    let effects = world.apply(&mut tenant, &set_group("audit", OWN)).expect("set");
    let nics = nics(&effects);
    assert_eq!(nics.len(), 2);
    for (host, generations) in &tenant.generations {
        assert!(generations.wanted > before[host].wanted);
    }
    for nic in &nics {
        assert!(has(&nic.ingress, port(22), nics[1].ip4) && !has(&nic.ingress, port(22), OFFICE));
        assert!(has(&nic.ingress, port(80), OFFICE), "the application's group stands");
        let Egress::Only(egress) = &nic.egress else { panic!("it is restricted") };
        assert!(has(egress, port(1), nics[0].ip4) && !has(egress, port(1), OFFICE));
    }
    world.obey(&mut tenant);
    let remove = |name: &str| Event::RemoveGroup { name: said(name) };
    let effects = world.apply(&mut tenant, &remove("web")).expect("removed");
    assert!(self::nics(&effects).iter().all(|nic| !has(&nic.ingress, port(80), OFFICE)));
    let gone = world.apply(&mut tenant, &remove("web")).expect_err("gone");
    assert_eq!(gone.code, Code::UnknownGroup);
    let names = r#"[{"direction": "ingress", "protocol": "any", "peer": {"group": "audit"},
        "purpose": "x"}]"#;
    world.apply(&mut tenant, &set_group("web", names)).expect("set");
    let used = world.apply(&mut tenant, &remove("audit")).expect_err("it is named");
    assert_eq!(used.code, Code::GroupInUse);
    let (same, before) = (set_group("web", names), tenant.clone());
    let effects = world.apply(&mut tenant, &same).expect("the same again");
    assert!(effects.is_empty() && tenant.version == before.version);
}

#[test]
fn nothing_comes_in_from_the_internet_before_its_time_whatever_the_groups_say() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let effects = world.apply(&mut tenant, &set_group("open", PUBLIC)).expect("set");
    let udp = Traffic::Ports { transport: Transport::Udp, first: 8005, last: 8005 };
    let abroad = |effects: &[Effect]| {
        nics(effects).iter().any(|nic| has(&nic.ingress, Traffic::All, ABROAD))
    };
    assert!(!abroad(&effects), "on trial");
    let nic = &nics(&effects)[0];
    assert!(has(&nic.ingress, Traffic::All, OFFICE), "what of the prefix is the extranet's");
    assert!(!has(&nic.ingress, udp, [11, 0, 0, 1]));
    let force = |tenant: &Tenant, world: &World| {
        let book = Rulebook::of(tenant, &world.fleet.zones);
        let groups = tenant.groups();
        let open = groups.iter().find(|group| group.name == "open").expect("set");
        open.rules.iter().map(|rule| book.force(rule)).collect::<Vec<_>>()
    };
    assert_eq!(force(&tenant, &world), [Force::Part, Force::Closed, Force::Whole]);
    world.obey(&mut tenant);
    let mut expired = tenant.clone();
    world.apply(&mut tenant, &reports()).expect("reports");
    let effects = world.apply(&mut tenant, &pass()).expect("passed");
    assert!(!abroad(&effects) && tenant.phase == Phase::Online, "nothing is filed");
    world.obey(&mut tenant);
    world.apply(&mut tenant, &Event::FileIcp { filing: filing() }).expect("filed");
    let looked_up = world.apply(&mut tenant, &confirm_icp(true)).expect("found");
    assert!(abroad(&looked_up) && has(&nics(&looked_up)[0].ingress, udp, [11, 0, 0, 1]));
    assert_eq!(force(&tenant, &world), [Force::Whole; 3]);

    world.now = "2026-10-09T16:00:00Z".parse().expect("an instant");
    let effects = world.apply(&mut expired, &Event::Tick).expect("a tick");
    assert_eq!(expired.phase, Phase::TrialExpired);
    assert!(nics(&effects).iter().all(|nic| nic.ingress.is_empty()), "the trial is over");
    let effects = world.apply(&mut expired, &set_group("more", NOTHING)).expect("set");
    assert!(!effects.is_empty() && nics(&effects).iter().all(|nic| nic.ingress.is_empty()));
}

#[test]
fn udp_goes_out_to_high_ports_abroad_only_once_its_answers_may_come_in() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let out = r#"[{"direction": "egress", "protocol": "udp", "port": 1, "last_port": 65535,
        "peer": {"prefix": "0.0.0.0/0"}, "purpose": "x"},
        {"direction": "egress", "protocol": "udp", "port": 53, "peer": {"zone": "internet"},
        "purpose": "names"}]"#;
    let effects = world.apply(&mut tenant, &set_group("out", out)).expect("set");
    for nic in nics(&effects) {
        let Egress::Only(egress) = &nic.egress else { panic!("it is restricted") };
        let to = |port| Traffic::Ports { transport: Transport::Udp, first: port, last: port };
        let goes = |port, ip4| has(egress, to(port), ip4);
        assert!(goes(53, ABROAD) && goes(4433, OFFICE), "a well-known service; the extranet");
        assert!(!goes(4433, ABROAD), "whoever answers from there could come in first");
    }
}

#[test]
fn a_prefix_of_the_internet_opens_with_its_gate_though_no_rule_names_the_zone() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    tenant.application.instances[0].ingress.clear();
    let rules = json!([rule(&[("peer", json!({"prefix": "8.8.8.0/24"}))])]).to_string();
    let effects = world.apply(&mut tenant, &set_group("web", &rules)).expect("set");
    assert!(nics(&effects).iter().all(|nic| !has(&nic.ingress, port(80), ABROAD)));
    world.obey(&mut tenant);
    world.apply(&mut tenant, &Event::FileIcp { filing: filing() }).expect("filed");
    world.apply(&mut tenant, &confirm_icp(true)).expect("found");
    world.apply(&mut tenant, &reports()).expect("reports");
    let effects = world.apply(&mut tenant, &pass()).expect("passed");
    assert!(nics(&effects).iter().any(|nic| has(&nic.ingress, port(80), ABROAD)));
}

#[test]
fn a_rule_whose_term_is_over_lets_nothing_pass_and_the_customer_is_told() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let until = |day: &str| {
        let rules = [
            rule(&[("port", json!(81)), ("until", json!(day))]),
            rule(&[("direction", json!("egress")), ("until", json!(day)), ("purpose", json!("q"))]),
        ];
        set_group("term", &json!(rules).to_string())
    };
    let past = world.apply(&mut tenant, &until("2026-08-31")).expect_err("it is over");
    assert_eq!(
        (past.code, past.faults[0].pointer.as_str()),
        (Code::InvalidGroup, "/rules/0/until")
    );
    world.apply(&mut tenant, &until("2026-09-01")).expect("its last day is today");
    world.obey(&mut tenant);
    let midnight: Timestamp = "2026-09-01T16:00:00Z".parse().expect("an instant");
    assert_eq!(tenant.wake_at, Some(midnight));
    world.now = "2026-09-01T15:59:59Z".parse().expect("an instant");
    assert!(world.apply(&mut tenant, &Event::Tick).expect("a tick").is_empty());
    world.now = midnight;
    let effects = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    for nic in nics(&effects) {
        assert!(!has(&nic.ingress, port(81), OFFICE) && has(&nic.ingress, port(80), OFFICE));
        assert_eq!(nic.egress, Egress::Only(vec![]), "restricted all the more");
    }
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Arm(notice) => Some(notice),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].kind.as_str(), "rules-ended");
    assert!(told[0].body.contains("term: p; term: q"), "{}", told[0].body);
    assert!(world.apply(&mut tenant, &Event::Tick).expect("a tick").is_empty(), "told once");
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let mut world = World::new();
    world.fleet.zones.reserved = vec!["10.255.0.0/16".parse().expect("a prefix")];
    let mut tenant = world.on_trial();
    let prefix = |text: &str| ("peer", json!({"prefix": text}));
    let plain = || rule(&[]);
    for (rules, code, place) in [
        (vec![rule(&[("port", json!(0))])], Code::InvalidGroup, "/rules/0/port"),
        (vec![rule(&[("last_port", json!(79))])], Code::InvalidGroup, "/rules/0/last_port"),
        (vec![rule(&[("port", Value::Null)])], Code::InvalidGroup, "/rules/0/port"),
        (vec![rule(&[("protocol", json!("icmp"))])], Code::InvalidGroup, "/rules/0/port"),
        (vec![rule(&[("protocol", json!("any"))])], Code::InvalidGroup, "/rules/0/port"),
        (vec![rule(&[prefix("10.1.0.1/16")])], Code::InvalidGroup, "/rules/0/peer"),
        (vec![rule(&[prefix("10.1.0.0")])], Code::InvalidGroup, "/rules/0/peer"),
        (vec![rule(&[("purpose", json!(" "))])], Code::InvalidGroup, "/rules/0/purpose"),
        (vec![rule(&[prefix("2001:db8::/32")])], Code::Ipv6NotCarried, "/rules/0/peer"),
        (vec![plain(), plain()], Code::OverlappingRules, "/rules/1"),
        (
            vec![
                rule(&[("last_port", json!(90)), prefix("10.0.0.0/8")]),
                rule(&[("port", json!(90)), prefix("10.1.0.0/16")]),
            ],
            Code::OverlappingRules,
            "/rules/1",
        ),
        (
            vec![plain(), rule(&[("protocol", json!("any")), ("port", Value::Null)])],
            Code::OverlappingRules,
            "/rules/1",
        ),
        (vec![rule(&[prefix("10.255.1.0/24")])], Code::ReservedPrefix, "/rules/0/peer"),
        (vec![rule(&[prefix("0.0.0.0/0")])], Code::ReservedPrefix, "/rules/0/peer"),
        (vec![rule(&[("peer", json!({"group": "none"}))])], Code::UnknownGroup, "/rules/0/peer"),
    ] {
        let event = set_group("web", &json!(rules).to_string());
        let refusal = world.apply(&mut tenant, &event).expect_err("refused");
        assert_eq!((refusal.code, refusal.faults[0].pointer.as_str()), (code, place), "{refusal}");
    }
    let differ = [
        rule(&[("peer", json!({"zone": "internet"}))]),
        rule(&[("peer", json!({"zone": "extranet"}))]),
        rule(&[("direction", json!("egress"))]),
    ];
    world.apply(&mut tenant, &set_group("web", &json!(differ).to_string())).expect("they differ");
    let Event::SetGroup { mut group } = set_group("web", NOTHING) else { return };
    group.roles = [said("db")].into();
    let refusal = world.apply(&mut tenant, &Event::SetGroup { group: group.clone() });
    assert_eq!(refusal.expect_err("no such role").code, Code::UnknownRole);
    group.name = said("Web 1");
    let refusal = world.apply(&mut tenant, &Event::SetGroup { group });
    assert_eq!(refusal.expect_err("no name").code, Code::InvalidGroup);
    tenant.application.system.internet_facing = false;
    let public = json!([rule(&[("peer", json!({"zone": "internet"}))])]).to_string();
    let refusal = world.apply(&mut tenant, &set_group("web", &public)).expect_err("not served");
    assert_eq!(refusal.code, Code::NotInternetFacing);
}

#[test]
fn there_are_as_many_rules_as_hosts_can_bear() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let many = |count: u32, length: u32| {
        let rule = |n: u32| {
            let prefix = format!("10.{}.{}.0/{length}", n / 256, n % 256);
            rule(&[("port", json!(n + 1)), ("peer", json!({"prefix": prefix}))])
        };
        json!((0..count).map(rule).collect::<Vec<_>>()).to_string()
    };
    let refusal = world.apply(&mut tenant, &set_group("web", &many(10_000, 24)));
    assert_eq!(refusal.expect_err("ten thousand").code, Code::TooManyRules);
    for number in 0..5 {
        let name = format!("g-{number}");
        world.apply(&mut tenant, &set_group(&name, &many(100, 24))).expect("within the limits");
    }
    let refusal = world.apply(&mut tenant, &set_group("g-6", &many(100, 24)));
    let refusal = refusal.expect_err("more than a network card takes");
    assert_eq!(refusal.code, Code::TooManyRules);
    assert!(refusal.sentence.contains("role web"), "{refusal}");
}

#[test]
fn the_rules_of_a_card_never_overlap_and_pass_what_the_groups_say_packet_by_packet() {
    let mut world = World::new();
    let mut tenant = world.online();
    world.apply(&mut tenant, &Event::FileIcp { filing: filing() }).expect("filed");
    world.apply(&mut tenant, &confirm_icp(true)).expect("found");
    let mut turn = 1_u32;
    let mut draw = |limit: u32| {
        turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (turn >> 8) % limit
    };
    for _ in 0..60 {
        let mut rules = Vec::new();
        for _ in 0..12 {
            let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Any];
            let protocol = protocol[draw(13) as usize % 4 * usize::from(draw(4) < 3)];
            let first = u16::try_from(1 + draw(12)).expect("small");
            let ports = protocol.transport().is_some();
            let last = first + u16::try_from(draw(6)).expect("small");
            let (length, address) = (24 + draw(9), draw(32));
            let address = address & !(u32::MAX.checked_shr(length).unwrap_or(0));
            let asked = RuleRequest {
                direction: Direction::Ingress,
                protocol,
                port: Some(first).filter(|_| ports),
                last_port: Some(last).filter(|_| ports),
                peer: Peer::Prefix(format!("8.8.8.{address}/{length}")),
                purpose: said("p"),
                until: None,
            };
            rules.push(Rule { asked, ended_at: None });
        }
        let name = said("web");
        let roles = [said("web")].into();
        tenant.groups = Some(vec![crate::core::group::Group { name, roles, rules: rules.clone() }]);
        let passing = Rulebook::of(&tenant, &world.fleet.zones).of_role("web");
        for (at, one) in passing.ingress.iter().enumerate() {
            let overlap = passing.ingress[..at].iter().any(|other| one.overlaps(other));
            assert!(!overlap, "{:?}", passing.ingress);
        }
        for address in 0..40 {
            let ip4 = [8, 8, 8, address];
            for transport in [Transport::Tcp, Transport::Udp] {
                for number in 1..20 {
                    let traffic = Traffic::Ports { transport, first: number, last: number };
                    let said = rules.iter().any(|rule| says(rule, Some((transport, number)), ip4));
                    assert_eq!(has(&passing.ingress, traffic, ip4), said, "{number} {ip4:?}");
                }
            }
            let said = rules.iter().any(|rule| says(rule, None, ip4));
            assert_eq!(has(&passing.ingress, Traffic::Echo, ip4), said, "{ip4:?}");
        }
    }
}

/// Whether a rule says that a packet to a port, or an echo request, passes.
fn says(rule: &Rule, to: Option<(Transport, u16)>, ip4: [u8; 4]) -> bool {
    let asked = &rule.asked;
    let Peer::Prefix(text) = &asked.peer else { return false };
    let prefix: crate::core::group::range::Prefix = text.parse().expect("a prefix");
    let (first, last) = prefix.range();
    let (Some(from), to_port) = (asked.port.or(Some(0)), asked.last_port) else { return false };
    let traffic = match (asked.protocol, to) {
        (Protocol::Any, _) | (Protocol::Icmp, None) => true,
        (Protocol::Tcp, Some((Transport::Tcp, port)))
        | (Protocol::Udp, Some((Transport::Udp, port))) => {
            from <= port && port <= to_port.unwrap_or(from)
        }
        _ => false,
    };
    traffic && (first..=last).contains(&u32::from_be_bytes(ip4))
}
