use uuid::Uuid;

use super::*;

fn tap(name: &str, mark: u32, last: u8, ingress: &[PacketRule], egress: Egress) -> PolicyTap {
    PolicyTap {
        tap: TapName::parse(name).expect("a tap's name"),
        mark: Mark(mark),
        mac: [0x52, 0x54, 0, 0, 0, last],
        ip4: [10, 64, 1, last],
        ingress: ingress.to_vec(),
        egress,
    }
}

const OFFICE: Peers = Peers { first: [10, 1, 0, 0], last: [10, 1, 255, 255] };

const fn ports(transport: Transport, first: u16, last: u16, peers: Peers) -> PacketRule {
    PacketRule { traffic: Traffic::Ports { transport, first, last }, peers }
}

#[test]
fn the_policy_of_three_taps_is_the_golden_text() {
    let echo = PacketRule { traffic: Traffic::Echo, peers: OFFICE };
    let all = PacketRule { traffic: Traffic::All, peers: Peers { last: [10, 1, 0, 0], ..OFFICE } };
    let web = [
        ports(Transport::Tcp, 443, 443, Peers::EVERYBODY),
        ports(Transport::Tcp, 8000, 8010, OFFICE),
        ports(Transport::Udp, 53, 53, OFFICE),
        echo,
        all,
    ];
    let mut shuffled = web;
    shuffled.reverse();
    let wanted = [
        tap("tap-b1", 0x102, 12, &shuffled, Egress::Only(vec![])),
        tap("tap-a2", 0x101, 11, &[], Egress::Only(web.to_vec())),
        tap("tap-a1", 0x101, 10, &web, Egress::Everything),
    ];
    let text = policy(&wanted, &ListKey::default());
    let elements = text.split_once("\n}\nadd element").map(|(_, elements)| elements);
    assert_eq!(
        elements,
        Some(
            include_str!("../../tests/golden/policy_elements.nft")
                .trim_start_matches("add element")
        )
    );
    assert!(text.starts_with(&policy(&[], &ListKey::default())), "the structure never changes");
}

#[test]
fn no_taps_means_a_table_without_elements_that_replaces_itself_in_place() {
    assert_eq!(
        policy(&[], &ListKey::default()),
        include_str!("../../tests/golden/policy_empty.nft")
    );
}

#[test]
fn the_cut_table_is_the_golden_text() {
    assert_eq!(cut_table(), include_str!("../../tests/golden/cut.nft"));
}

#[test]
fn the_order_of_taps_and_rules_changes_nothing() {
    let (tcp, udp) = (PacketRule::open(Transport::Tcp, 1), PacketRule::open(Transport::Udp, 1));
    let a = tap("tap-a1", 1, 1, &[tcp, udp], Egress::Everything);
    let b = tap("tap-b1", 2, 2, &[udp, tcp, tcp], Egress::Everything);
    let key = ListKey::default();
    assert_eq!(policy(&[a.clone(), b.clone()], &key), policy(&[b, a], &key));
}

#[test]
fn a_lists_number_is_of_its_rules_and_the_key_and_never_anothers() {
    let one = |port| BTreeSet::from([PacketRule::open(Transport::Tcp, port)]);
    let lists = BTreeSet::from([one(1), one(2), one(3), BTreeSet::new()]);
    let numbers =
        |number: u32| numbered(lists.clone(), |_| number).into_values().collect::<BTreeSet<_>>();
    assert_eq!(numbers(7), BTreeSet::from([7, 8, 9, 10]));
    assert_eq!(numbers(0), BTreeSet::from([1, 2, 3, 4]), "0 is no list");
    assert_eq!(numbers(u32::MAX - 1), BTreeSet::from([u32::MAX - 1, u32::MAX, 1, 2]));
    let (key, other) = (ListKey([1; 32]), ListKey([2; 32]));
    assert_eq!(number_of(&one(1), &key), number_of(&one(1), &key));
    assert_ne!(number_of(&one(1), &key), number_of(&one(1), &other));
    assert_ne!(number_of(&one(1), &key), number_of(&one(2), &key));
    assert!(!format!("{key:?}").contains('1'));
}

#[test]
fn a_probe_names_neither_of_the_two_tables() {
    let text = probe();
    assert!(!text.contains("bridge tenure_cut "), "{text}");
    assert!(!text.contains("bridge tenure "), "{text}");
}

#[test]
fn names_fit_the_kernel_and_cannot_carry_anything_else() {
    let id = InstanceId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057));
    assert_eq!(tap_name(id).as_str(), "tap-099a8057");
    assert_eq!(TapName::parse("tap-099a8057"), Ok(tap_name(id)));
    assert_eq!(bridge_name(Mark(u32::MAX)), "tb-ffffffff");
    for bad in ["", "tap-", "eth0", "tap-a\"", "tap-a b", "tap-*", "tap-0123456789ab", "tap-é"] {
        assert!(TapName::parse(bad).is_err(), "{bad:?}");
    }
}
