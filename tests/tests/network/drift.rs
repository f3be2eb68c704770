//! What others do to the packet filter and the devices is found at once, mended, and told.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use tenure_agent::{
    alarm::Alarms,
    clock::{self, Clock},
    core::{
        drift::Drift,
        ruleset::{self, ListKey, PolicyTap, TapName, tap_name},
        step::{Host as _, Performed, Step},
    },
    engine::{Engine, Identity, Parts},
    file,
    host::{nft, observe, tap},
    journal::Journal,
    sign::HostKey,
};
use tenure_protocol::{
    digest::Digest,
    evidence::note::LedgerKey,
    id::{HostId, InstanceId},
    wire::v1::{AlarmKind, Egress, Mark},
};
use tenure_tests::lab::daemon::{run, wait_for};

use super::{A, BRIDGE, Tested, on_a_host, sealing::Site};

const LIMIT: Duration = Duration::from_secs(10);

fn tap_of(number: u128) -> TapName {
    tap_name(InstanceId::from_uuid(uuid::Uuid::from_u128(number)))
}

fn policy(taps: &[&TapName]) -> String {
    let of = |tap: &&TapName| PolicyTap {
        tap: (*tap).clone(),
        mark: A,
        mac: [0x52, 0x54, 0, 0, 1, 1],
        ip4: [10, 64, 1, 1],
        ingress: Vec::new(),
        egress: Egress::Everything,
    };
    ruleset::policy(&taps.iter().map(of).collect::<Vec<_>>(), &ListKey::default())
}

impl Site {
    fn found(&self, step: &Step) -> anyhow::Result<Vec<Drift>> {
        match self.perform(step)? {
            Performed::Found(drifts) => Ok(drifts),
            other => anyhow::bail!("{other:?}"),
        }
    }

    /// A tap of the first tenant on its bridge, with its policy.
    fn furnish(&self) -> anyhow::Result<TapName> {
        let tap = tap_of(1);
        self.perform(&Step::ApplyPolicy { text: policy(&[&tap]) })?;
        self.perform(&Step::EnsureBridge { bridge: BRIDGE.to_owned() })?;
        self.plug(&tap, A)?;
        Ok(tap)
    }
}

/// Reads the kernel's notifications, and nudges; each on a thread that ends with the namespace's
/// last socket, at the latest with this process.
fn listen(site: &Site, nudge: impl Fn() + Clone + Send + 'static) -> Tested {
    let mut filter = nft::Monitor::open(site.host.changes())?;
    let mut devices = tap::Monitor::open()?;
    let again = nudge.clone();
    std::thread::spawn(move || {
        while let Ok(ours) = filter.wait() {
            if ours {
                nudge();
            }
        }
    });
    std::thread::spawn(move || {
        while let Ok(ours) = devices.wait() {
            if ours {
                again();
            }
        }
    });
    Ok(())
}

#[test]
fn a_host_says_what_is_in_force_and_mends_what_others_changed() -> Tested {
    on_a_host("drift", |_| {
        let dir = tempfile::tempdir()?;
        file::directory(&dir.path().join("instances"), 0o700, None)?;
        let site = Site::open(dir.path())?;
        listen(&site, || ())?;
        assert_eq!(site.found(&Step::Patrol)?, [], "nothing was made yet");
        let tap = site.furnish()?;
        assert_eq!(site.found(&Step::Patrol)?, []);
        let wanted = Some(Digest::of(policy(&[&tap]).as_bytes()));
        let in_force = || -> anyhow::Result<_> {
            Ok(site.host.observe().map_err(|error| anyhow::anyhow!("{error}"))?.policy)
        };
        assert_eq!(in_force()?, wanted);
        for harm in ["flush ruleset", "insert rule bridge tenure forward accept"] {
            run(&["nft", harm])?;
            assert_eq!(in_force()?, None, "{harm}");
            let [drift] = &site.found(&Step::Patrol)?[..] else { anyhow::bail!("{harm}: not one") };
            assert_eq!((drift.kind, drift.repaired), (AlarmKind::PacketFilter, true), "{harm}");
            let culprit = drift.culprit.as_ref().map(|culprit| culprit.command.as_str());
            assert_eq!(culprit, Some("nft"), "{harm}");
            assert_eq!(in_force()?, wanted, "{harm}");
        }
        // A replacement does not hide what was there before it.
        run(&["nft", "flush", "ruleset"])?;
        site.perform(&Step::ApplyPolicy { text: policy(&[]) })?;
        assert!(matches!(&site.found(&Step::Patrol)?[..], [Drift { repaired: true, .. }]));

        for harm in ["nomaster", "down"] {
            run(&["ip", "link", "set", tap.as_str(), harm])?;
            let [drift] = &site.found(&Step::Patrol)?[..] else { anyhow::bail!("{harm}: not one") };
            assert_eq!((drift.kind, drift.repaired), (AlarmKind::DeviceMissing, true), "{harm}");
            assert_eq!((drift.mark, drift.subject.as_str()), (Some(A), tap.as_str()));
            assert_eq!(site.found(&Step::Patrol)?, [], "{harm}");
        }
        run(&["ip", "link", "del", BRIDGE])?;
        assert!(matches!(&site.found(&Step::Patrol)?[..], [Drift { repaired: true, .. }]));
        run(&["ip", "link", "del", tap.as_str()])?;
        assert!(matches!(&site.found(&Step::Patrol)?[..], [Drift { repaired: false, .. }]));
        assert_eq!(site.found(&Step::Patrol)?, [], "told once");
        site.perform(&Step::EnsureTap { tap: tap.clone(), bridge: BRIDGE.to_owned() })?;
        site.perform(&Step::RemoveTap { tap })?;
        assert_eq!(site.found(&Step::Patrol)?, [], "what we take away is not missing");
        Ok(())
    })
}

#[test]
fn a_cut_that_somebody_took_away_is_back_and_told_but_not_after_a_restart_of_the_host() -> Tested {
    on_a_host("guard", |_| {
        // As older kernels have it: anybody can edit it.
        run(&["nft", "add table bridge tenure_cut"])?;
        let dir = tempfile::tempdir()?;
        let site = Site::open(dir.path())?;
        listen(&site, || ())?;
        site.furnish()?;
        let cut = BTreeSet::from([A, Mark(0x102)]);
        let guard = Step::Guard { cut: cut.clone() };
        let kinds = |drifts: &[Drift]| drifts.iter().map(|one| one.kind).collect::<Vec<_>>();
        // The table was there before this process, so the cuts should have been in it.
        assert_eq!(kinds(&site.found(&guard)?), [AlarmKind::CutNotInForce; 2]);
        assert_eq!(site.found(&guard)?, []);
        run(&["nft", "delete element bridge tenure_cut cut_tenant { 0x101 }"])?;
        let [drift] = &site.found(&guard)?[..] else { anyhow::bail!("not one") };
        assert_eq!((drift.mark, drift.repaired), (Some(A), true));
        run(&["nft", "flush", "ruleset"])?;
        let drifts = site.found(&guard)?;
        let flushed = [AlarmKind::PacketFilter, AlarmKind::CutNotInForce, AlarmKind::CutNotInForce];
        assert_eq!(kinds(&drifts), flushed);
        assert_eq!(drifts[0].culprit.as_ref().map(|one| one.command.as_str()), Some("nft"));
        assert_eq!(site.found(&guard)?, []);
        // Made anew it is owned, and nobody can do it again.
        run(&["nft", "flush", "ruleset"])?;
        assert_eq!(site.found(&guard)?, []);
        Ok(())
    })?;
    on_a_host("guard after a restart", |_| {
        let dir = tempfile::tempdir()?;
        let site = Site::open(dir.path())?;
        assert_eq!(site.found(&Step::Guard { cut: BTreeSet::from([A]) })?, [], "a new kernel");
        Ok(())
    })
}

#[test]
fn the_kernels_word_alone_brings_a_flushed_policy_back_within_a_moment() -> Tested {
    on_a_host("notified", |_| {
        let dir = tempfile::tempdir()?;
        let site = Site::open(dir.path())?;
        let tap = site.furnish()?;
        let Site { host, config } = site;
        let host = Arc::new(host);
        let journal = |name: &str| Journal::open(&dir.path().join(name));
        let alarms = Arc::new(Alarms::open(&dir.path().join("alarms")));
        let key = SigningKey::from_bytes(&[2; 32]).verifying_key();
        let engine = Engine::start(Parts {
            host: Arc::clone(&host),
            cut_journal: journal("cut.redb")?,
            work_journal: journal("work.redb")?,
            watch: std::sync::mpsc::sync_channel(1).0,
            reserve: Arc::default(),
            identity: Arc::new(Identity {
                host: OnceLock::from(HostId::from_uuid(uuid::Uuid::from_u128(1))),
                key: HostKey::from_secret(&[3; 32]),
                order_key: key,
                ledger_key: LedgerKey::new("ledger.test", key).map_err(anyhow::Error::msg)?,
                agent: observe::agent_identity().map_err(|error| anyhow::anyhow!("{error}"))?,
            }),
            // Time stands still: no tick looks for anybody.
            clock: Clock::simulated(clock::now()),
            alarms: Arc::clone(&alarms),
        })?;
        let mut filter = nft::Monitor::open(host.changes())?;
        let nudge = engine.nudge();
        std::thread::spawn(move || {
            while let Ok(ours) = filter.wait() {
                if ours {
                    let _ = nudge.try_send(());
                }
            }
        });
        let mut longest = Duration::ZERO;
        for round in 1..=10 {
            let began = clock::monotonic();
            run(&["nft", "flush", "ruleset"])?;
            wait_for("the policy", LIMIT, || {
                Ok(run(&["nft", "list", "set", "bridge", "tenure", "src_mac"])
                    .is_ok_and(|listed| listed.contains(tap.as_str()))
                    .then_some(()))
            })?;
            longest = longest.max(clock::monotonic().saturating_sub(began));
            wait_for("the alarm", LIMIT, || Ok((alarms.oldest(99).len() >= round).then_some(())))?;
        }
        println!("a flushed policy is back after {} ms at the latest", longest.as_millis());
        for alarm in alarms.oldest(99) {
            assert!(alarm.repaired && alarm.kind == AlarmKind::PacketFilter, "{alarm:?}");
            assert_eq!(alarm.culprit.map(|culprit| culprit.command).as_deref(), Some("nft"));
        }
        drop(engine);
        drop(config);
        Ok(())
    })
}
