//! How fast a tenant is cut: the agent's element on its kept netlink socket beside
//! `nft add element` as a process, one after the other, both under the same stream of packets; and
//! what the cut's second stage costs after it, which nft's element has no like of.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::ruleset::{self, CUT_TABLE, ListKey, PolicyTap, TapName},
    host::{
        nft::{Changes, CutTable, PolicyTable, Protection},
        tap,
    },
};
use tenure_protocol::wire::v1::{Egress, Mark, PacketRule, Transport};

use super::{Goal, Row, cut_api, cut_scale};
use crate::lab::{
    daemon::{self, output},
    frames::{self, Station, Wire, station},
    net::{Netns, can_run},
};

/// How often each of the two cuts.
const RUNS: usize = 100;
/// Between two packets: 10,000 a second.
const GAP: Duration = Duration::from_micros(100);
/// How many packets are sent at the closed door after an acknowledgement.
const AFTER: u64 = 100;
/// How long a packet may be on its way on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_millis(5);
/// How long the stream may pause on a busy machine.
const PAUSE: Duration = Duration::from_secs(5);
const MARK: Mark = Mark(0x101);
const GUEST: Station = station(1, 10);
const GATEWAY: Station = station(1, 1);
const PORT: u16 = 5000;
/// The peer's table: the same contents, owned by nobody.
pub(super) const PEER_TABLE: &str = "peer_cut";

/// The peer.
pub(super) const NFT: &str = "nft add element (process)";

/// What one cut took.
struct Cut {
    /// From the request to the kernel's acknowledgement, ms.
    acknowledged_ms: f64,
    /// Packets that came through after the request, before the acknowledgement.
    before: f64,
    /// Packets sent after the acknowledgement that still came through.
    after: f64,
}

/// What was measured of all.
#[derive(Default)]
struct Measured {
    ours: Vec<Cut>,
    peer: Vec<Cut>,
    /// What each of our cuts' second stages took, right after the first.
    sealed_ms: Vec<f64>,
}

/// Runs the benchmark.
///
/// # Errors
/// If the lab cannot be set up, or a cut fails.
pub fn run() -> anyhow::Result<Vec<Row>> {
    ensure!(can_run("the cut's speed"), "nothing was measured");
    let host = Netns::unique("bench")?;
    let Measured { ours, peer, sealed_ms } = host.within(measure)??;
    let column = |runs: &[Cut], value: fn(&Cut) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let row = |figure, unit, value: fn(&Cut) -> f64| {
        Row::new("cut", figure, unit, column(&ours, value)).beside(NFT, column(&peer, value))
    };
    let mut rows = vec![
        row("request to acknowledgement", "ms", |cut| cut.acknowledged_ms)
            .aiming(Goal::RatioAtMost(0.1)),
        row("packets through between request and acknowledgement", "packets", |cut| cut.before),
        Row::new(
            "cut",
            "packets through after the acknowledgement, worst run",
            "packets",
            worst(&ours),
        )
        .beside(NFT, worst(&peer))
        .aiming(Goal::AtMost(0.0)),
        Row::new(
            "cut",
            "second stage: one tap sealed, request to acknowledgement",
            "ms",
            sealed_ms,
        ),
    ];
    rows.extend(cut_scale::run()?);
    rows.extend(cut_api::run()?);
    Ok(rows)
}

/// Packets through after the acknowledgement in the worst run, if there was any.
fn worst(runs: &[Cut]) -> Vec<f64> {
    runs.iter().map(|cut| cut.after).max_by(f64::total_cmp).into_iter().collect()
}

fn measure() -> anyhow::Result<Measured> {
    let name = TapName::parse("tap-a1")?;
    let mut table = CutTable::open()?;
    ensure!(*table.protection() == Protection::Owned, "{:?}", table.protection());
    table.enlist(&name, MARK)?;
    let peer = ruleset::cut_table().replace(CUT_TABLE, PEER_TABLE);
    let port =
        format!("add element bridge {PEER_TABLE} port_tenant {{ \"{name}\" : {:#x} }}", MARK.0);
    feed(&format!("add table bridge {PEER_TABLE}\n{peer}{port}\n"))?;
    let egress = Egress::Everything;
    let ingress = vec![PacketRule::open(Transport::Udp, PORT)];
    let (mac, ip4) = (GUEST.mac, GUEST.ip4.octets());
    let policy = PolicyTap { tap: name.clone(), mark: MARK, mac, ip4, ingress, egress };
    PolicyTable::open(Changes::default())?
        .replace(&ruleset::policy(&[policy], &ListKey::default()))?;
    let (guest, outer) = plugged(&name)?;

    let (sent, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            frames::stream(&outer, (GATEWAY, GUEST, (9, PORT)), GAP, |number| {
                sent.store(number, Ordering::SeqCst);
                !done.load(Ordering::SeqCst)
            })
        });
        let result = interleaved(&guest, &sent, &mut table, &name);
        done.store(true, Ordering::SeqCst);
        sender.join().ok().context("the sender panicked")??;
        result
    })
}

/// The guest's end of a tap on its bridge, and the outer end of the bridge's uplink.
pub(super) fn plugged(name: &TapName) -> anyhow::Result<(Wire, Wire)> {
    tap::ensure_bridge("tb-101")?;
    let guest = Wire::tap(tap::ensure_tap(name, "tb-101", || ())?)?;
    daemon::run(&["ip", "link", "set", name.as_str(), "txqueuelen", "20000"])?;
    daemon::run(&["ip", "link", "add", "up-101", "type", "veth", "peer", "name", "outer"])?;
    daemon::run(&["ip", "link", "set", "up-101", "master", "tb-101", "up"])?;
    daemon::run(&["ip", "link", "set", "outer", "up"])?;
    Ok((guest, Wire::device("outer")?))
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn interleaved(
    guest: &Wire,
    sent: &AtomicU64,
    table: &mut CutTable,
    tap: &TapName,
) -> anyhow::Result<Measured> {
    let element = format!("element bridge {PEER_TABLE} cut_tenant {{ {:#x} }}", MARK.0);
    let (add, delete) = (format!("add {element}"), format!("delete {element}"));
    let (mut measured, taps) = (Measured::default(), BTreeSet::from([tap.clone()]));
    for _ in 0..RUNS {
        measured.ours.push(one(guest, sent, || Ok(table.cut(MARK).map(drop)?))?);
        let start = Instant::now();
        table.seal(MARK, &taps)?.context("nothing was sealed")?;
        measured.sealed_ms.push(start.elapsed().as_secs_f64() * 1000.0);
        table.restore(MARK)?;
        measured.peer.push(one(guest, sent, || daemon::run(&["nft", &add]).map(drop))?);
        daemon::run(&["nft", &delete])?;
    }
    Ok(measured)
}

/// Waits until packets flow, cuts, and looks for packets afterwards.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn one(
    guest: &Wire,
    sent: &AtomicU64,
    cut: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Cut> {
    while guest.next()?.is_some() {}
    let mut flowing = 0;
    while flowing < 20 {
        ensure!(guest.wait(PAUSE)?, "no packet comes through before the cut");
        while guest.next()?.is_some() {
            flowing += 1;
        }
    }
    let (requested, start) = (sent.load(Ordering::SeqCst), Instant::now());
    cut()?;
    let acknowledged_ms = start.elapsed().as_secs_f64() * 1000.0;
    // The one with this number may have been on its way when the kernel committed.
    let acknowledged = sent.load(Ordering::SeqCst);
    let asked = Instant::now();
    while sent.load(Ordering::SeqCst) < acknowledged + AFTER {
        ensure!(asked.elapsed() < PAUSE, "the stream stands still: nothing can be measured");
        std::thread::yield_now();
    }
    let through = guest.collect(ON_ITS_WAY, |frame| frames::number(frame, PORT).is_some())?;
    let numbers = || through.iter().filter_map(|frame| frames::number(frame, PORT));
    let before = numbers().filter(|number| (requested..=acknowledged).contains(number)).count();
    let after = numbers().filter(|number| *number > acknowledged).count();
    Ok(Cut { acknowledged_ms, before: count(before), after: count(after) })
}

fn count(packets: usize) -> f64 {
    u32::try_from(packets).map_or(f64::INFINITY, f64::from)
}

pub(super) fn feed(text: &str) -> anyhow::Result<()> {
    let output = output(&["nft", "-f", "-"], text.as_bytes())?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
