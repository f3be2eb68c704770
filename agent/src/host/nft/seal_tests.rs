use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs a test on a thread in a network namespace of its own.
fn alone(test: fn()) {
    let thread = std::thread::spawn(move || {
        if !nix::unistd::geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("SKIPPED: seals: needs root");
            return;
        }
        test();
    });
    assert!(thread.join().is_ok(), "the test panicked");
}

fn make(taps: &BTreeSet<TapName>) {
    let lines: String = taps.iter().map(|tap| format!("tuntap add {tap} mode tap\n")).collect();
    process::run(&["ip", "-batch", "-"], lines.as_bytes(), &[]).expect("taps");
}

fn run(nft: &str) {
    process::run(&["nft", nft], &[], &[]).expect("nft");
}

#[test]
fn a_seal_that_others_can_edit_is_made_anew_whatever_they_did_to_it() {
    alone(|| {
        let (mark, mut cut) = (Mark(0x101), CutTable::open().expect("a cut table"));
        // As on a kernel before 6.9, which cannot keep an owned table after its owner's end.
        cut.seals_are_owned = false;
        let names = ["tap-a1", "tap-a2"].map(|name| TapName::parse(name).expect("a name"));
        let taps = BTreeSet::from(names.clone());
        make(&taps);
        let all: BTreeSet<String> = taps.iter().map(|tap| tap.as_str().to_owned()).collect();
        assert!(cut.seal(mark, &taps).expect("sealed").is_some());
        assert_eq!(cut.sealed(mark).expect("seen"), all);
        assert_eq!(cut.seal(mark, &taps).expect("sealed"), None, "nothing is to be done");
        for harm in [
            "insert rule netdev tenure_cut_101 rx_tap-a1 accept",
            "flush chain netdev tenure_cut_101 tx_tap-a1",
            "add chain netdev tenure_cut_101 rx_tap-a1 { policy accept; }",
            "delete chain netdev tenure_cut_101 rx_tap-a2",
            "add chain netdev tenure_cut_101 mine",
            "add table netdev tenure_cut_101 { flags dormant; }",
            "delete table netdev tenure_cut_101",
            "flush ruleset",
        ] {
            run(harm);
            assert!(cut.seal(mark, &taps).expect(harm).is_some(), "{harm}");
            assert_eq!(cut.sealed(mark).expect(harm), all, "{harm}");
            assert!(cut.lists_as_sealed(mark, &taps).expect(harm), "{harm}");
        }
        // A tap less, a tap more.
        let one = BTreeSet::from([names[0].clone()]);
        for wanted in [&one, &taps] {
            assert!(cut.seal(mark, wanted).expect("sealed").is_some());
            assert!(cut.lists_as_sealed(mark, wanted).expect("listed"));
        }
        assert!(cut.seal(mark, &BTreeSet::new()).expect("unsealed").is_some());
        assert_eq!(cut.seal(mark, &BTreeSet::new()).expect("unsealed"), None);
        assert_eq!(cut.sealed(mark).expect("seen"), BTreeSet::new());
    });
}

#[test]
fn many_taps_are_sealed_in_a_few_transactions_and_a_restore_ends_all_in_one() {
    alone(|| {
        let (mark, mut cut) = (Mark(7), CutTable::open().expect("a cut table"));
        let name = |number| TapName::parse(&format!("tap-{number}")).expect("a name");
        let taps: BTreeSet<TapName> = (0..300).map(name).collect();
        make(&taps);
        cut.cut(mark).expect("cut");
        cut.seal(mark, &taps).expect("sealed");
        assert_eq!(cut.sealed(mark).expect("seen").len(), 300);
        assert!(cut.lists_as_sealed(mark, &taps).expect("listed"));
        cut.restore(mark).expect("restored");
        assert!(cut.sealed(mark).expect("seen").is_empty() && !cut.is_cut(mark).expect("seen"));
        // One of the two was gone already.
        cut.cut(mark).expect("cut");
        cut.seal(mark, &taps).expect("sealed");
        let delete = message::delete_element(CUT_SET, &Key::Mark(mark));
        cut.commit("uncut", delete, None).expect("uncut");
        cut.restore(mark).expect("restored");
        assert!(cut.sealed(mark).expect("seen").is_empty());
    });
}
