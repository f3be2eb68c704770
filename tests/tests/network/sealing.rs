//! The second stage of a cut: what the first lets pass, the seal does not; and it is there whenever
//! a tenant is cut, and never else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    config::HostdConfig,
    core::{
        ruleset::{TapName, tap_name},
        seal,
        step::{Host as _, Performed, Step},
    },
    host::{
        nft::{CutTable, NftFailure},
        real::RealHost,
        tap,
    },
};
use tenure_protocol::{
    evidence::predicate::network_cut::SealMeasured, id::InstanceId, wire::v1::Mark,
};
use tenure_tests::lab::{
    classes,
    daemon::{run, wait_for},
    frames::{self, LLDP_GROUP, Station, Wire, station},
    net::Netns,
};

use super::{A, A1, A2, B, B1, BRIDGE, GATEWAY, QUIET, Rig, Tested, arrives, on_a_host};

const LIMIT: Duration = Duration::from_secs(5);

/// Kinds of frames that passed, by the way that they took.
type Passed = BTreeMap<&'static str, BTreeSet<String>>;

/// A way for frames from or to the first tenant's first guest.
struct Way<'a> {
    name: &'static str,
    at: &'a Wire,
    from: Station,
    to: Station,
    arrive: Vec<&'a Wire>,
}

/// Every kind of frame on every way; what arrives, and where.
fn matrix(rig: &Rig) -> anyhow::Result<Passed> {
    let types = [
        0x0800, 0x0806, 0x86dd, 0x88cc, 0x8809, 0x888e, 0x88b5, 0x88f7, 0x8100, 0x88a8, 0x8902,
        0x8914, 0x8847, 4,
    ];
    let daemons: Vec<Wire> =
        types.iter().map(|&kind| Wire::daemon("tap-a1", kind)).collect::<anyhow::Result<_>>()?;
    let (stack, injected) = (Wire::device(BRIDGE)?, Wire::device("tap-a1")?);
    let host = station(1, 2);
    let way = |name, at, from, to, arrive| Way { name, at, from, to, arrive };
    let ways = [
        way("guest to guest", &rig.a1, A1, A2, vec![&rig.a2]),
        way("guest to neighbour", &rig.a1, A1, B1, vec![&rig.b1]),
        way("guest to uplink", &rig.a1, A1, GATEWAY, vec![&rig.uplink]),
        way("guest to the host's stack", &rig.a1, A1, host, vec![&stack]),
        way("guest to a daemon of the host", &rig.a1, A1, GATEWAY, daemons.iter().collect()),
        way("uplink to guest", &rig.uplink, GATEWAY, A1, vec![&rig.a1]),
        way("neighbour to guest", &rig.b1, B1, A1, vec![&rig.a1]),
        way("the host's stack to guest", &stack, host, A1, vec![&rig.a1]),
        way("injected on the tap", &injected, host, A1, vec![&rig.a1]),
    ];
    let mut passed = Passed::new();
    for Way { name, at, from, to, arrive } in ways {
        for wire in rig.wires().into_iter().chain(arrive.iter().copied()) {
            wire.collect(Duration::ZERO, |_| false)?;
        }
        let sent = classes::all(from, to);
        for (_, frame) in &sent {
            match at.send(frame) {
                // What a seal answers a packet socket.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                sent => sent?,
            }
        }
        for wire in arrive {
            for seen in wire.collect(QUIET, |_| true)? {
                let class = sent.iter().find(|(_, frame)| same(frame, &seen));
                passed.entry(name).or_default().extend(class.map(|(class, _)| class.clone()));
            }
        }
    }
    passed.retain(|_, kinds| !kinds.is_empty());
    Ok(passed)
}

/// Whether one frame is the other: packet sockets take the tag off, br_netfilter the padding.
fn same(sent: &[u8], seen: &[u8]) -> bool {
    let untagged = [&sent[..12], &sent[16..]].concat();
    let tagged = [[0x81, 0], [0x88, 0xa8]].iter().any(|tag| sent[12..14] == *tag);
    seen.len() >= 22 && (sent.starts_with(seen) || (tagged && untagged.starts_with(seen)))
}

#[test]
fn what_the_first_stage_lets_pass_the_seal_stops_and_a_restore_lets_all_pass_again() -> Tested {
    on_a_host("leak matrix", |customer| {
        let mut rig = Rig::new(customer)?;
        // The cut alone: a policy would hide what it leaks.
        run(&["nft", "delete table bridge tenure"])?;
        let open = matrix(&rig)?;
        let count = |passed: &Passed| passed.values().map(BTreeSet::len).sum::<usize>();
        let of = |passed: &Passed, way| passed.get(way).cloned().unwrap_or_default();
        let (daemon, tap) = ("guest to a daemon of the host", "injected on the tap");
        // The host has no use for most of what guests send; no bridge passes on what is for the
        // next station alone, and br_netfilter drops what is no sound packet.
        let least =
            |way: &str| if way.starts_with("guest to") && way.contains("host") { 3 } else { 140 };
        ensure!(open.len() == 9, "nothing passes on some ways without a cut: {open:?}");
        let whole = open.iter().all(|(way, kinds)| kinds.len() >= least(way));
        ensure!(whole, "the lab loses frames: {open:#?}");

        rig.cut.cut(A)?;
        let first = matrix(&rig)?;
        let nearest = |class: &String| {
            let mut sent = classes::all(A1, GATEWAY).into_iter();
            sent.any(|(name, frame)| name == *class && frame[..6] == LLDP_GROUP)
        };
        let nearest = of(&open, daemon).into_iter().filter(nearest).collect();
        ensure!(of(&first, daemon).contains("LLDP"), "{first:?}");
        let leaks = Passed::from([(daemon, nearest), (tap, of(&open, tap))]);
        assert_eq!(first, leaks, "the first stage alone leaks just this");

        let taps = BTreeSet::from([TapName::parse("tap-a1")?, TapName::parse("tap-a2")?]);
        let commit = rig.cut.seal(A, &taps)?.context("nothing was committed")?;
        ensure!(commit.earliest <= commit.latest && commit.took_ns > 0, "{commit:?}");
        let both = matrix(&rig)?;
        println!(
            "classes that pass: {} open, {} with the first stage, {} with both, of {}",
            count(&open),
            count(&first),
            count(&both),
            9 * classes::all(A1, A2).len()
        );
        assert_eq!(both, Passed::new(), "nothing passes with both");
        assert_eq!(rig.cut.seal(A, &taps)?, None, "sealing again changes nothing");
        undisturbed(&rig)?;

        rig.cut.restore(A)?;
        assert_eq!(rig.cut.sealed(A)?, BTreeSet::new());
        assert!(!run(&["nft", "list", "tables"])?.contains("netdev"), "nothing is left over");
        assert_eq!(matrix(&rig)?, open, "everything passes again");
        Ok(())
    })
}

/// The neighbour's frames pass in both directions.
fn undisturbed(rig: &Rig) -> Tested {
    let gateway = station(2, 1);
    let numbered = |frame: &[u8]| frames::number(frame, 5000).is_some();
    for number in 0..100 {
        rig.uplink.send(&frames::udp(gateway, B1, (9, 5000), number))?;
        rig.b1.send(&frames::udp(B1, gateway, (9, 5000), number))?;
    }
    assert_eq!(rig.b1.collect(QUIET, numbered)?.len(), 100, "to the neighbour");
    assert_eq!(rig.uplink.collect(QUIET, numbered)?.len(), 100, "from the neighbour");
    Ok(())
}

#[test]
fn nobody_else_can_take_a_seal_away_and_nft_lists_it_as_it_is_meant() -> Tested {
    on_a_host("sealed", |customer| {
        let mut rig = Rig::new(customer)?;
        let taps = BTreeSet::from([TapName::parse("tap-a1")?, TapName::parse("tap-a2")?]);
        rig.cut.cut(A)?;
        rig.cut.seal(A, &taps)?;
        let listed = run(&["nft", "list", "table", "netdev", "tenure_cut_101"])?;
        for (chain, hook, tap) in
            [("rx_tap-a1", "ingress", "tap-a1"), ("tx_tap-a2", "egress", "tap-a2")]
        {
            let body =
                format!("type filter hook {hook} device \"{tap}\" priority -500; policy drop;");
            assert!(listed.contains(&format!("chain {chain} {{\n\t\t{body}")), "{listed}");
        }
        let json = run(&["nft", "-j", "list", "table", "netdev", "tenure_cut_101"])?;
        assert!(seal::is_sealed(A, &taps, json.as_bytes())?, "{json}");
        run(&["nft", "flush", "ruleset"])?;
        for edit in [
            "delete table netdev tenure_cut_101",
            "flush table netdev tenure_cut_101",
            "insert rule netdev tenure_cut_101 rx_tap-a1 accept",
            "delete chain netdev tenure_cut_101 tx_tap-a1",
            "add table netdev tenure_cut_101 { flags dormant; }",
        ] {
            assert!(run(&["nft", edit]).is_err(), "{edit}");
        }
        assert!(matches!(CutTable::open(), Err(NftFailure::Owned { .. })), "a second agent");
        assert_eq!(matrix(&rig)?, Passed::new());

        // Its process ends; somebody opens what it left; the next one makes it anew.
        let Rig { a1, a2, b1, uplink, cut } = rig;
        drop(cut);
        let edit = "insert rule netdev tenure_cut_101 rx_tap-a1 accept";
        wait_for("an edit", LIMIT, || Ok(run(&["nft", edit]).ok()))?;
        run(&["nft", "delete chain netdev tenure_cut_101 tx_tap-a2"])?;
        let cut = wait_for("the table to be free", LIMIT, || Ok(CutTable::open().ok()))?;
        let mut rig = Rig { a1, a2, b1, uplink, cut };
        assert_ne!(matrix(&rig)?, Passed::new(), "the harm shows");
        rig.cut.seal(A, &taps)?;
        assert_eq!(matrix(&rig)?, Passed::new(), "and is mended");
        assert!(run(&["nft", "delete table netdev tenure_cut_101"]).is_err(), "owned again");
        rig.cut.seal(A, &BTreeSet::new())?;
        assert!(!run(&["nft", "list", "tables"])?.contains("netdev"), "without taps, no table");
        Ok(())
    })
}

/// The agent's real host on two taps, in a directory of its own.
pub(crate) struct Site {
    pub(crate) host: RealHost,
    pub(crate) config: HostdConfig,
}

impl Site {
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let config = toml::from_str(&format!(
            "agent_uid = 1\nagent_gid = 1\nvmm_uid = 2\nvmm_gid = 2\nstate_dir = {0:?}\n\
             run_dir = {0:?}\nram_dir = {0:?}\nvolume_dir = {0:?}\nkey_dir = {0:?}\n\
             image_dir = {0:?}\n",
            dir.display().to_string()
        ))?;
        Ok(Self { host: RealHost::open(&config)?, config })
    }

    pub(crate) fn perform(&self, step: &Step) -> anyhow::Result<Performed> {
        self.host
            .perform(step, &mut |_| {})
            .map_err(|failure| anyhow::anyhow!("{}: {failure}", step.name()))
    }

    pub(crate) fn plug(&self, tap: &TapName, mark: Mark) -> Tested {
        self.perform(&Step::Enlist { tap: tap.clone(), mark })?;
        self.perform(&Step::EnsureTap { tap: tap.clone(), bridge: BRIDGE.to_owned() })?;
        Ok(())
    }

    fn seal(&self, mark: Mark) -> anyhow::Result<(u32, u32)> {
        match self.perform(&Step::Seal { mark })? {
            Performed::Sealed(SealMeasured { taps, sealed_read_back, .. }) => {
                Ok((taps, sealed_read_back))
            }
            other => anyhow::bail!("{other:?}"),
        }
    }

    /// As a restart of the process.
    fn restarted(self) -> anyhow::Result<Self> {
        let Self { host, config } = self;
        drop(host);
        let host = wait_for("the table to be free", LIMIT, || Ok(RealHost::open(&config).ok()))?;
        Ok(Self { host, config })
    }
}

/// Whether an LLDP frame of a guest reaches a daemon of the host.
fn lldp_arrives(tap: &TapName) -> anyhow::Result<bool> {
    let guest =
        wait_for("the tap to be free", LIMIT, || Ok(tap::ensure_tap(tap, BRIDGE, || ()).ok()))?;
    let (guest, daemon) = (Wire::tap(guest)?, Wire::daemon(tap.as_str(), 0x88cc)?);
    let frame = frames::ethernet(LLDP_GROUP, A1.mac, 0x88cc, &[2, 7, 4]);
    guest.send(&frame)?;
    arrives(&frame, &daemon)
}

fn seals() -> anyhow::Result<String> {
    run(&["nft", "list", "tables", "netdev"])
}

#[test]
fn taps_come_and_go_while_a_tenant_is_cut_and_agents_restart_and_each_tap_is_sealed() -> Tested {
    on_a_host("plugging", |_: &Netns| {
        let dir = tempfile::tempdir()?;
        let mut site = Site::open(dir.path())?;
        let id = |number| InstanceId::from_uuid(uuid::Uuid::from_u128(number));
        let (first, second, other) = (tap_name(id(1)), tap_name(id(2)), tap_name(id(3)));
        site.perform(&Step::EnsureBridge { bridge: BRIDGE.to_owned() })?;
        site.plug(&first, A)?;
        site.plug(&other, B)?;
        assert_eq!(site.seal(A)?, (1, 0), "connected");
        assert_eq!(seals()?, "");
        assert!(lldp_arrives(&first)?, "connected");

        let cut = Step::Cut { mark: A };
        site.perform(&cut)?;
        assert_eq!(site.seal(A)?, (1, 1));
        assert!(!lldp_arrives(&first)? && lldp_arrives(&other)?);
        // Plugged in while it is cut: sealed without a tick.
        site.plug(&second, A)?;
        assert!(!lldp_arrives(&second)?);
        assert_eq!(site.seal(A)?, (2, 2));

        // Gone and back, without anybody having been told.
        run(&["ip", "link", "del", first.as_str()])?;
        assert_eq!(site.seal(A)?, (1, 1));
        assert!(!lldp_arrives(&second)?, "the rest of the table is whole");
        run(&["ip", "tuntap", "add", first.as_str(), "mode", "tap", "vnet_hdr"])?;
        run(&["ip", "link", "set", first.as_str(), "master", BRIDGE, "up"])?;
        assert_eq!(site.seal(A)?, (2, 2));
        assert!(!lldp_arrives(&first)?);

        run(&["nft", "flush", "ruleset"])?;
        site = site.restarted()?;
        assert!(!lldp_arrives(&first)?, "the seal outlives its process");
        site.perform(&cut)?;
        assert_eq!(site.seal(A)?, (2, 2));
        assert!(run(&["nft", "delete table netdev tenure_cut_101"]).is_err(), "owned again");

        site.perform(&Step::RemoveTap { tap: second.clone() })?;
        site.perform(&Step::Delist { tap: second.clone() })?;
        assert_eq!(site.seal(A)?, (1, 1));
        let listed = run(&["nft", "list", "table", "netdev", "tenure_cut_101"])?;
        assert!(!listed.contains(second.as_str()), "{listed}");

        let Performed::Isolated { read_back, .. } = site.perform(&Step::Restore { mark: A })?
        else {
            anyhow::bail!("no restore");
        };
        assert_eq!(read_back, Some(false));
        assert_eq!(seals()?, "", "the seal went in the restore's own transaction");
        assert_eq!(site.seal(A)?, (1, 0));
        assert!(lldp_arrives(&first)?, "after the restore");
        Ok(())
    })
}
