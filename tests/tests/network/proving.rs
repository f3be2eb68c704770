//! The proof of a cut: it holds while nothing passes, whatever guests send meanwhile, and does not
//! when anything does.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::{
        ruleset::TapName,
        step::{Performed, Step},
    },
    host::tap,
};
use tenure_protocol::evidence::predicate::cut_proof::{CutProof, Fact};
use tenure_tests::lab::{
    daemon::{elapse, run, wait_for},
    frames::{self, Wire, station},
};

use super::{A, A1, B1, BRIDGE, GATEWAY, Rig, Tested, on_a_host, sealing::Site};

impl Site {
    fn prove(&self) -> anyhow::Result<CutProof> {
        match self.perform(&Step::Prove { mark: A })? {
            Performed::Proved(proof) => Ok(proof),
            other => anyhow::bail!("{other:?}"),
        }
    }

    fn cut(&self) -> Tested {
        self.perform(&Step::Cut { mark: A })?;
        self.perform(&Step::Seal { mark: A })?;
        Ok(())
    }
}

#[test]
fn a_cut_is_proved_by_three_ways_under_traffic_and_what_passes_is_found_by_each() -> Tested {
    on_a_host("proof", |_| {
        let dir = tempfile::tempdir()?;
        let site = Site::open(dir.path())?;
        site.perform(&Step::EnsureBridge { bridge: BRIDGE.to_owned() })?;
        let tap = TapName::parse("tap-a1")?;
        site.cut()?;
        let without = site.prove()?;
        ensure!(without.holds() && !without.is_whole(), "no tap: {without:?}");
        site.plug(&tap, A)?;
        site.cut()?;
        let guest = wait_for("the tap to be free", Duration::from_secs(5), || {
            Ok(tap::ensure_tap(&tap, BRIDGE, || ()).ok())
        })?;
        let (guest, done) = (Wire::tap(guest)?, AtomicBool::new(false));
        std::thread::scope(|scope| -> Tested {
            let sender = scope.spawn(|| {
                let go_on = |_| !done.load(Ordering::Relaxed);
                frames::stream(&guest, (A1, GATEWAY, (9, 9)), Duration::from_micros(20), go_on)
            });
            let mut counted = 0;
            let proved = (0..20).try_for_each(|round| -> Tested {
                let proof = site.prove()?;
                ensure!(proof.is_whole(), "round {round}: {proof:?}");
                let probes = proof.probes.measured().context("no probes")?;
                ensure!(
                    (probes.requests, probes.taps) == (3, 1) && probes.dropped >= 3,
                    "{proof:?}"
                );
                counted += proof.conservation.measured().context("no counts")?.dropped;
                Ok(())
            });
            done.store(true, Ordering::Relaxed);
            let sent = sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
            proved?;
            println!("of {sent} frames of a guest {counted} were counted in 20 proofs");
            ensure!(counted > 0, "the guest's frames were never counted");
            Ok(())
        })?;

        site.perform(&Step::Restore { mark: A })?;
        let open = site.prove()?;
        ensure!(!open.holds(), "nothing is cut: {open:?}");
        let dropped = open.probes.measured().context("no probes")?.dropped;
        ensure!(dropped == 0, "the requests were on their way to the guest: {open:?}");

        site.cut()?;
        run(&["ip", "link", "set", tap.as_str(), "nomaster"])?;
        let past = site.prove()?;
        ensure!(matches!(&past.probes, Fact::NotProvable { reason } if reason.contains("tap-a1")));
        ensure!(past.holds() && !past.is_whole(), "{past:?}");
        Ok(())
    })
}

#[test]
fn a_rule_that_somebody_put_before_ours_is_no_proof() -> Tested {
    on_a_host("proof of rules", |_| {
        // As older kernels have it: anybody can edit it.
        run(&["nft", "add table bridge tenure_cut"])?;
        let dir = tempfile::tempdir()?;
        let site = Site::open(dir.path())?;
        site.cut()?;
        ensure!(site.prove()?.holds(), "as it was made");
        for harm in [
            "insert rule bridge tenure_cut postrouting accept",
            "add table bridge tenure_cut { flags dormant; }",
        ] {
            run(&["nft", harm])?;
            let proof = site.prove()?;
            ensure!(!proof.holds(), "{harm}: {proof:?}");
            site.perform(&Step::Guard { cut: BTreeSet::from([A]) })?;
            ensure!(site.prove()?.holds(), "{harm}, repaired");
        }
        Ok(())
    })
}

#[test]
fn ten_flushes_of_the_rule_set_leak_no_frame_of_a_cut_and_cost_a_neighbour_none() -> Tested {
    on_a_host("flushes", |customer| {
        let mut rig = Rig::new(customer)?;
        run(&["ip", "link", "set", "tap-b1", "txqueuelen", "20000"])?;
        rig.cut.cut(A)?;
        rig.cut.seal(A, &BTreeSet::from([TapName::parse("tap-a1")?, TapName::parse("tap-a2")?]))?;
        let beside = customer.within(|| Wire::device("out"))??;
        let (done, quiet, neighbour) = (AtomicBool::new(false), Duration::from_millis(500), 5000);
        let gateway = station(2, 1);
        let Rig { a1, b1, uplink, cut, .. } = rig;
        let go_on = |_| !done.load(Ordering::Relaxed);
        let gap = Duration::from_micros(400);
        let (sent, kept, leaked) = std::thread::scope(|scope| {
            let to_cut =
                scope.spawn(|| frames::stream(&beside, (GATEWAY, A1, (9, 5000)), gap, go_on));
            let to_other =
                scope.spawn(|| frames::stream(&uplink, (gateway, B1, (9, 5000)), gap, go_on));
            let its_own =
                |frame: &[u8]| frame[..6] == B1.mac && frames::number(frame, neighbour).is_some();
            let other = scope.spawn(move || b1.collect(quiet, its_own));
            let flushed = (0..10).try_for_each(|_| {
                elapse(Duration::from_millis(20));
                run(&["nft", "flush", "ruleset"]).map(drop)
            });
            elapse(Duration::from_millis(20));
            done.store(true, Ordering::Relaxed);
            let panicked = || anyhow::anyhow!("a thread panicked");
            let sent = to_cut.join().map_err(|_| panicked())??;
            let beside = to_other.join().map_err(|_| panicked())??;
            let other = other.join().map_err(|_| panicked())??;
            flushed?;
            anyhow::Ok((sent, (beside, other.len()), a1.collect(quiet, |_| true)?.len()))
        })?;
        println!("{sent} frames to the cut tenant, {leaked} arrived; {kept:?} to its neighbour");
        ensure!(sent > 100 && leaked == 0, "{leaked} of {sent} arrived");
        ensure!(kept.0 == u64::try_from(kept.1)? && kept.0 > 100, "{kept:?}");
        drop(cut);
        Ok(())
    })
}
