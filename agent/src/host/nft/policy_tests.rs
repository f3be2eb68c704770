use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tenure_protocol::wire::v1::{Egress, Mark, PacketRule, Peers, Traffic, Transport};

use super::*;
use crate::{
    core::ruleset::{self, ListKey, PolicyTap, TapName},
    host::{nft::Monitor, process},
};

/// Runs a test on a thread in a network namespace of its own.
fn alone(test: fn()) {
    let thread = std::thread::spawn(move || {
        if !nix::unistd::geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("SKIPPED: the policy table: needs root");
            return;
        }
        test();
    });
    assert!(thread.join().is_ok(), "the test panicked");
}

fn ports(transport: Transport, first: u16, last: u16) -> Traffic {
    Traffic::Ports { transport, first, last }
}

fn rule(traffic: Traffic, first: [u8; 4], last: [u8; 4]) -> PacketRule {
    PacketRule { traffic, peers: Peers { first, last } }
}

/// Of taps with rules of every kind, in every form in which nft lists them.
fn policy(count: u8) -> String {
    ruleset::policy(&(1..=count).map(tap).collect::<Vec<_>>(), &ListKey::default())
}

fn tap(number: u8) -> PolicyTap {
    PolicyTap {
        tap: TapName::parse(&format!("tap-{number}")).expect("a name"),
        mark: Mark(0x100 + u32::from(number)),
        mac: [0x52, 0x54, 0, 0, 1, number],
        ip4: [10, 64, 1, number],
        ingress: vec![
            PacketRule::open(Transport::Tcp, 80 + u16::from(number / 4)),
            rule(
                ports(Transport::Udp, 1000 + u16::from(number), 2047),
                [10, 8, 0, 0],
                [10, 8, 3, 255],
            ),
            rule(Traffic::Echo, [10, number, 0, 0], [10, number, 0, 77]),
            rule(Traffic::All, [10, 9, number, 1], [10, 9, number, 1]),
        ],
        egress: match number % 2 {
            0 => Egress::Everything,
            _ => Egress::Only(vec![rule(Traffic::All, [10, 7, 0, 0], [10, 7, 255, 255])]),
        },
    }
}

fn run(argv: &[&str]) {
    process::run(argv, &[], &[]).expect("it runs");
}

#[test]
fn whatever_others_do_to_the_table_is_seen_with_who_did_it_and_mended() {
    alone(|| {
        let changes = Changes::default();
        let mut monitor = Monitor::open(changes.clone()).expect("a monitor");
        // Ends with the process: its socket is the namespace's.
        std::thread::spawn(move || while monitor.wait().is_ok() {});
        let mut table = PolicyTable::open(changes).expect("a table");
        assert_eq!(table.check().expect("seen"), None, "nothing is wanted yet");
        for count in [3, 0, 2] {
            let text = policy(count);
            table.replace(&text).expect("replaced");
            assert_eq!(table.check().expect("seen"), None);
            assert_eq!(table.in_force(), Some(Digest::of(text.as_bytes())));
        }
        for (harm, told) in [
            ("flush ruleset", "gone"),
            ("insert rule bridge tenure prerouting accept", "accept"),
            ("flush chain bridge tenure input", "0 more than was made, 1 less"),
            ("add table bridge tenure { flags dormant; }", "dormant"),
            ("delete element bridge tenure src_mac { tap-1 . 52:54:00:00:01:01 }", "src_mac"),
            (
                "add element bridge tenure open_port { 0x1 . tcp . 22 . 10.0.0.1 }",
                "element of open_port",
            ),
            ("add chain bridge tenure mine", "mine"),
            ("add set bridge tenure old { type mark; }", "old"),
            ("delete table bridge tenure", "gone"),
        ] {
            run(&["nft", harm]);
            let altered = table.check().expect(harm).expect(harm);
            assert!(altered.what.contains(told), "{harm}: {}", altered.what);
            let culprit = altered.culprit.expect(harm);
            assert_eq!(culprit.command, "nft", "{harm}");
            assert_eq!(table.in_force(), None, "{harm}");
            table.repair().expect(harm);
            assert_eq!(table.check().expect(harm), None, "{harm}");
        }
        // What others do elsewhere is nobody's concern.
        run(&["nft", "add table inet others"]);
        assert_eq!(table.check().expect("seen"), None);
        assert!(table.in_force().is_some());
        assert!(table.replace("add nonsense").is_err(), "refused by nft");
        assert!(table.in_force().is_some(), "and the old one stays");
    });
}

#[test]
fn another_policy_changes_elements_alone_and_all_of_it_if_others_were_there() {
    alone(|| {
        let chain = || {
            let argv = ["nft", "-a", "list", "chain", "bridge", "tenure", "to_tap"];
            process::run(&argv, &[], &[]).expect("listed").stdout
        };
        let mut table = PolicyTable::open(Changes::default()).expect("a table");
        table.replace(&policy(3)).expect("replaced");
        let made = chain();
        for count in [5, 5, 0, 4] {
            table.replace(&policy(count)).expect("changed");
            assert_eq!(table.check().expect("seen"), None);
            assert_eq!(table.in_force(), Some(Digest::of(policy(count).as_bytes())));
            assert_eq!(chain(), made, "the same rules, by their handles");
        }
        // Of one address, and alone in its set and its statement.
        for peer in [[10, 9, 0, 1], [10, 9, 0, 2]] {
            let one = PolicyTap { ingress: vec![rule(Traffic::All, peer, peer)], ..tap(1) };
            let text = ruleset::policy(
                &[PolicyTap { egress: Egress::Everything, ..one }],
                &ListKey::default(),
            );
            table.replace(&text).expect("changed");
            assert_eq!(chain(), made, "the same rules, by their handles");
        }
        table.replace(&policy(4)).expect("changed");
        // One element that goes is gone already, and one that stays went unseen.
        for (gone, count) in [("tap-4 . 52:54:00:00:01:04", 3), ("tap-1 . 52:54:00:00:01:01", 2)] {
            let before = chain();
            run(&["nft", &format!("delete element bridge tenure src_mac {{ {gone} }}")]);
            table.replace(&policy(count)).expect("replaced");
            assert_eq!(table.check().expect("seen"), None);
            assert_eq!(table.in_force(), Some(Digest::of(policy(count).as_bytes())));
            assert_ne!(chain(), before, "made anew");
        }
    });
}

#[test]
fn a_table_that_an_older_build_left_is_made_whole_whatever_is_in_it() {
    alone(|| {
        run(&["nft", "add table bridge tenure; add set bridge tenure old { type mark; }"]);
        let mut table = PolicyTable::open(Changes::default()).expect("a table");
        table.replace(&policy(1)).expect("replaced");
        assert_eq!(table.check().expect("seen"), None);
    });
}

#[test]
fn the_culprit_is_waited_for_no_longer_than_a_moment_when_nobody_listens() {
    alone(|| {
        let mut table = PolicyTable::open(Changes::default()).expect("a table");
        table.replace(&policy(1)).expect("replaced");
        run(&["nft", "flush ruleset"]);
        let began = crate::clock::monotonic();
        let altered = table.check().expect("seen").expect("gone");
        assert_eq!(altered.culprit, None);
        assert!(crate::clock::monotonic().saturating_sub(began) < Duration::from_secs(5));
    });
}
