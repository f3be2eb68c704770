//! A cut: no frame passes, no neighbour suffers, nobody ends it but the agent.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::ruleset::{self, TapName},
    host::nft::{CutTable, Mended, NftFailure, Protection},
};
use tenure_tests::lab::{
    daemon::{run, wait_for},
    frames::{self, Mac, station},
};

use super::{A, A1, A2, B1, GATEWAY, QUIET, Rig, Tested, arrives, kinds, on_a_host};

#[test]
fn a_cut_tenant_exchanges_no_frame_its_neighbour_loses_none_and_a_restore_ends_it() -> Tested {
    on_a_host("cut", |customer| {
        let mut rig = Rig::new(customer)?;
        ensure!(*rig.cut.protection() == Protection::Owned, "{:?}", rig.cut.protection());
        assert!(passes_both_ways(&rig)?, "before the cut");
        let commit = rig.cut.cut(A)?;
        assert!(commit.earliest <= commit.latest && commit.took_ns > 0, "{commit:?}");
        assert_eq!(rig.cut.read_back()?.cut, BTreeSet::from([A]));
        let dropped = (counter("cut_rx")?, counter("cut_tx")?);
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        assert!(counter("cut_rx")? > dropped.0 && counter("cut_tx")? > dropped.1);

        let (gateway, flow) = (station(2, 1), (9, 5000));
        let numbered = |frame: &[u8]| frames::number(frame, 5000).is_some();
        // As many at once as a receiver's buffer holds.
        for _ in 0..5 {
            for number in 0..100 {
                rig.uplink.send(&frames::udp(gateway, B1, flow, number))?;
                rig.b1.send(&frames::udp(B1, gateway, flow, number))?;
            }
            assert_eq!(rig.b1.collect(QUIET, numbered)?.len(), 100, "to the neighbour");
            assert_eq!(rig.uplink.collect(QUIET, numbered)?.len(), 100, "from the neighbour");
        }

        rig.cut.cut(A)?;
        rig.cut.restore(A)?;
        rig.cut.restore(A)?;
        assert_eq!(rig.cut.read_back()?.cut, BTreeSet::new());
        assert!(passes_both_ways(&rig)?, "after the restore");
        rig.cut.inspect()?;
        Ok(())
    })
}

/// How many frames from or to the first tenant arrive anywhere, of all kinds.
fn frames_of_the_cut_tenant(rig: &Rig) -> anyhow::Result<usize> {
    for wire in rig.wires() {
        wire.collect(Duration::ZERO, |_| false)?;
    }
    for to in [A1, A2] {
        for (_, frame) in kinds(GATEWAY, to) {
            rig.uplink.send(&frame)?;
        }
    }
    for (at, from, to) in [(&rig.a1, A1, A2), (&rig.a1, A1, GATEWAY), (&rig.a2, A2, A1)] {
        for (_, frame) in kinds(from, to) {
            at.send(&frame)?;
        }
    }
    let of = |frame: &[u8], at: [Mac; 2]| at.iter().any(|mac| frame[6..12] == *mac);
    let mut leaked = 0;
    for wire in [&rig.a1, &rig.a2] {
        leaked += wire.collect(QUIET, |_| true)?.len();
    }
    for wire in [&rig.b1, &rig.uplink] {
        leaked += wire.collect(QUIET, |frame| of(frame, [A1.mac, A2.mac]))?.len();
    }
    Ok(leaked)
}

fn passes_both_ways(rig: &Rig) -> anyhow::Result<bool> {
    let (inward, outward) =
        (frames::udp(GATEWAY, A1, (9, 5000), 1), frames::udp(A1, GATEWAY, (9, 5000), 2));
    rig.uplink.send(&inward)?;
    rig.a1.send(&outward)?;
    Ok(arrives(&inward, &rig.a1)? && arrives(&outward, &rig.uplink)?)
}

fn counter(name: &str) -> anyhow::Result<u64> {
    let text = run(&["nft", "list", "counter", "bridge", ruleset::CUT_TABLE, name])?;
    let number = text.split_whitespace().skip_while(|word| *word != "packets").nth(1);
    Ok(number.context("no count")?.parse()?)
}

#[test]
fn nobody_else_can_end_a_cut_and_nft_lists_it_as_it_is_meant() -> Tested {
    on_a_host("ownership", |customer| {
        let mut rig = Rig::new(customer)?;
        rig.cut.cut(A)?;
        let listed = run(&["nft", "list", "table", "bridge", ruleset::CUT_TABLE])?;
        assert!(listed.contains("elements = { 0x00000101 }"), "{listed}");
        assert!(listed.contains("\"tap-b1\" : 0x00000102"), "{listed}");
        run(&["nft", "flush", "ruleset"])?;
        for edit in [
            "delete table bridge tenure_cut",
            "delete element bridge tenure_cut cut_tenant { 0x101 }",
            "flush set bridge tenure_cut cut_tenant",
            "flush chain bridge tenure_cut postrouting",
            "add table bridge tenure_cut { flags dormant; }",
        ] {
            assert!(run(&["nft", edit]).is_err(), "{edit}");
        }
        assert!(matches!(CutTable::open(), Err(NftFailure::Owned { .. })), "a second agent");
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        rig.cut.inspect()?;
        Ok(())
    })
}

#[test]
fn a_cut_outlives_its_process_and_the_next_one_adopts_it_and_mends_what_was_done_to_it() -> Tested {
    on_a_host("adoption", |customer| {
        let mut rig = Rig::new(customer)?;
        rig.cut.cut(A)?;
        let before = rig.cut.read_back()?;
        // What the agent's end leaves, without the rest of the rig.
        let Rig { a1, a2, b1, uplink, cut } = rig;
        drop(cut);
        let edit = "insert rule bridge tenure_cut postrouting accept";
        wait_for("an edit", Duration::from_secs(5), || Ok(run(&["nft", edit]).ok()))?;
        // A process that another thread starts right now has a copy of the socket for a moment.
        let adopted = || Ok(CutTable::open().ok());
        let cut = wait_for("the table to be free", Duration::from_secs(5), adopted)?;
        rig = Rig { a1, a2, b1, uplink, cut };
        assert_eq!(rig.cut.read_back()?, before);
        assert_eq!(*rig.cut.protection(), Protection::Owned);
        rig.cut.inspect()?;
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        rig.cut.restore(A)?;
        assert!(passes_both_ways(&rig)?);
        Ok(())
    })
}

#[test]
fn a_cut_needs_no_policy() -> Tested {
    on_a_host("cut alone", |customer| {
        let mut rig = Rig::new(customer)?;
        run(&["nft", "delete table bridge tenure"])?;
        assert!(frames_of_the_cut_tenant(&rig)? > 50, "everything passes without a policy");
        rig.cut.cut(A)?;
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        Ok(())
    })
}

#[test]
fn a_table_that_cannot_be_owned_is_reported_and_mended_after_a_flush() -> Tested {
    on_a_host("unowned", |customer| {
        // As a restored rule set of an operator's leaves it, and as older kernels make it.
        run(&["nft", "add table bridge tenure_cut"])?;
        let mut rig = Rig::new(customer)?;
        let Protection::Unowned { reason } = rig.cut.protection() else {
            anyhow::bail!("a table without the flag persist was owned")
        };
        assert!(reason.contains("made without the flag persist"), "{reason}");
        rig.cut.cut(A)?;
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        assert_eq!(rig.cut.mend()?, Mended::Intact);
        for harm in [
            "insert rule bridge tenure_cut postrouting accept",
            "flush chain bridge tenure_cut prerouting",
            "add table bridge tenure_cut { flags dormant; }",
        ] {
            run(&["nft", harm])?;
            assert!(matches!(rig.cut.inspect(), Err(NftFailure::Altered { .. })), "{harm}");
            assert!(matches!(rig.cut.mend()?, Mended::Anew { .. }), "{harm}");
            assert_eq!(frames_of_the_cut_tenant(&rig)?, 0, "{harm}");
        }
        run(&["nft", "flush", "ruleset"])?;
        assert!(matches!(rig.cut.mend()?, Mended::Anew { .. }));
        assert_eq!(*rig.cut.protection(), Protection::Owned, "made anew, it can be owned");
        rig.cut.enlist(&TapName::parse("tap-a1")?, A)?;
        rig.cut.enlist(&TapName::parse("tap-a2")?, A)?;
        rig.cut.cut(A)?;
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        assert_eq!(rig.cut.mend()?, Mended::Intact);
        Ok(())
    })
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test kills a process of its own")]
fn a_cut_outlives_kill_9_and_the_next_process_adopts_it() -> Tested {
    on_a_host("kill -9", |customer| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tenure-cut-probe"))
            .args(["tap-a1", &A.0.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let held = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line == "HELD");
        let refused = matches!(CutTable::open(), Err(NftFailure::Owned { .. }));
        child.kill()?;
        child.wait()?;
        ensure!(held && refused, "held: {held}, a second one refused: {refused}");
        assert_eq!(counter("cut_rx")?, 0, "the table is still there");
        let mut rig = Rig::new(customer)?;
        assert_eq!(rig.cut.read_back()?.cut, BTreeSet::from([A]));
        assert_eq!(frames_of_the_cut_tenant(&rig)?, 0);
        rig.cut.restore(A)?;
        assert!(passes_both_ways(&rig)?);
        Ok(())
    })
}
