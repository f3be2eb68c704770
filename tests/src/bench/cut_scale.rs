//! The kernel's part of a cut on a host of 10, 1,000 and 5,000 taps, beside `nft add element`; the
//! same while a tenant's rules change, and while the whole policy is replaced, as at an agent's
//! start; and what both of these, read back and compared, take and lose.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::ruleset::{self, CUT_TABLE, ListKey, PolicyTap, TapName},
    host::nft::{Changes, CutTable, PolicyTable},
};
use tenure_protocol::wire::v1::{Egress, Mark, PacketRule, Transport};

use super::{
    Goal, Row,
    cut::{NFT, PEER_TABLE, feed, plugged},
    percentile,
};
use crate::lab::{
    daemon::{self, elapse},
    frames::{self, Station, Wire, station},
    net::Netns,
};

/// Taps on the host.
const TAPS: [u32; 3] = [10, 1_000, 5_000];
/// Taps of one tenant.
const OF_TENANT: u32 = 4;
/// How often a tenant is cut by netlink.
const CUTS: usize = 400;
/// Each so many of them a peer's cut is measured.
const PEER_EVERY: usize = 10;
/// How often the policy is replaced.
const REPLACES: usize = 12;
/// How often a tenant is cut while policies are put in place.
const CUTS_BESIDE: usize = 200;
/// Between two of these cuts.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two packets of the stream that replaces must not disturb: 10,000 a second.
const GAP: Duration = Duration::from_micros(100);
/// How long a packet may be on its way on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
const PORT: u16 = 5000;
/// The tenant that is cut.
const CUT: Mark = Mark(0x102);
const GUEST: Station = station(1, 10);
const GATEWAY: Station = station(1, 1);

/// Runs it.
///
/// # Errors
/// If the lab cannot be set up, or a cut fails.
pub fn run() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for taps in TAPS {
        rows.extend(Netns::unique("scale")?.within(|| measure(taps))??);
    }
    Ok(rows)
}

fn measure(taps: u32) -> anyhow::Result<Vec<Row>> {
    let mut table = CutTable::open()?;
    let policies = fill(&mut table, taps)?;
    PolicyTable::open(Changes::default())?.replace(&policies[0])?;
    let (ours, peer) = commits(&mut table)?;
    let (replaced, lost) = while_streaming(&mut table, &policies)?;
    let row = |figure: &str, unit, runs: Vec<f64>| {
        Row::new("cut", &format!("{taps:>5} taps: {figure}"), unit, runs)
    };
    let at = |runs: &[f64], percent| percentile(runs, percent).into_iter().collect::<Vec<_>>();
    let last = TAPS.last() == Some(&taps);
    let aimed = |row: Row| if last { row.aiming(Goal::AtMost(800.0)) } else { row };
    let mut rows = vec![
        row("kernel's commit, p50", "ms", at(&ours, 50)).beside(NFT, at(&peer, 50)),
        row("kernel's commit, p99", "ms", at(&ours, 99))
            .beside(NFT, at(&peer, 99))
            .aiming(Goal::AtMost(0.1)),
    ];
    for (what, cuts) in [
        ("a tenant's rules change", &replaced.beside_changes),
        ("the policy is replaced", &replaced.beside_whole),
    ] {
        for (name, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
            let figure = format!("kernel's commit while {what}, {name}");
            rows.push(row(&figure, "ms", at(cuts, percent)));
        }
    }
    rows.extend([
        aimed(row("a tenant's rules changed", "ms", replaced.changes)),
        aimed(row("policy replaced", "ms", replaced.whole)),
        row("packets lost in all changes and replaces", "packets", vec![lost])
            .aiming(Goal::AtMost(0.0)),
    ]);
    Ok(rows)
}

/// Enlists the taps, and renders two policies, of which one tenant's rules differ. The first tap is
/// real, the others are names.
fn fill(table: &mut CutTable, taps: u32) -> anyhow::Result<[String; 2]> {
    let mut policy = Vec::new();
    let mut peer = format!(
        "add table bridge {PEER_TABLE}\n{}",
        ruleset::cut_table().replace(CUT_TABLE, PEER_TABLE)
    );
    for number in 0..taps {
        let tap = TapName::parse(&format!("tap-{number:x}"))?;
        let mark = Mark(0x101 + number / OF_TENANT);
        table.enlist(&tap, mark)?;
        let port = format!("port_tenant {{ \"{tap}\" : {:#x} }}", mark.0);
        peer.push_str(&format!("add element bridge {PEER_TABLE} {port}\n"));
        let [_, high, middle, low] = number.to_be_bytes();
        let (mac, ip4) = match number {
            0 => (GUEST.mac, GUEST.ip4.octets()),
            _ => ([2, 0, high, middle, low, 1], [10, 64 + high, middle, low]),
        };
        let ingress = vec![
            PacketRule::open(Transport::Udp, PORT),
            PacketRule::open(Transport::Tcp, 443),
            PacketRule::open(Transport::Tcp, u16::try_from(1000 + number / OF_TENANT)?),
        ];
        policy.push(PolicyTap { tap, mark, mac, ip4, ingress, egress: Egress::Everything });
    }
    feed(&peer)?;
    let first = ruleset::policy(&policy, &ListKey::default());
    for tap in policy.iter_mut().filter(|tap| tap.mark == CUT) {
        tap.ingress.push(PacketRule::open(Transport::Tcp, 22));
    }
    Ok([first, ruleset::policy(&policy, &ListKey::default())])
}

/// Cuts of a tenant, ours and the peer's interleaved; ms each.
fn commits(table: &mut CutTable) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let element = format!("element bridge {PEER_TABLE} cut_tenant {{ {:#x} }}", CUT.0);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for run in 0..CUTS {
        ours.push(timed(|| Ok(table.cut(CUT).map(drop)?))?);
        table.restore(CUT)?;
        if run % PEER_EVERY == 0 {
            let add = format!("add {element}");
            peer.push(timed(|| daemon::run(&["nft", &add]).map(drop))?);
            daemon::run(&["nft", &format!("delete {element}")])?;
        }
    }
    Ok((ours, peer))
}

/// What was measured, ms.
struct Replaced {
    /// Each change of one tenant's rules, read back and compared.
    changes: Vec<f64>,
    /// Each replace of the whole policy, read back and compared.
    whole: Vec<f64>,
    /// Each cut while the kernel takes one change after the other.
    beside_changes: Vec<f64>,
    /// Each cut while the kernel takes one whole policy after the other.
    beside_whole: Vec<f64>,
}

/// Measures under a stream of packets to another tenant: what, and how many of them were lost.
fn while_streaming(
    table: &mut CutTable,
    policies: &[String; 2],
) -> anyhow::Result<(Replaced, f64)> {
    let name = TapName::parse("tap-0")?;
    let (guest, outer) = plugged(&name)?;
    let (done, came) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let ends = |_| !done.load(Ordering::SeqCst);
            frames::stream(&outer, (GATEWAY, GUEST, (9, PORT)), GAP, ends)
        });
        let (ended, came) = (&done, &came);
        let reader = scope.spawn(move || hear(&guest, ended, came));
        let measured = changed_and_replaced(table, policies);
        // Whatever came of it: the others wait for this.
        done.store(true, Ordering::SeqCst);
        let measured = measured?;
        let sent = sender.join().ok().context("the sender panicked")??;
        reader.join().ok().context("the reader panicked")??;
        ensure!(sent > 0, "nothing was sent");
        let lost = sent.saturating_sub(came.load(Ordering::SeqCst));
        Ok((measured, f64::from(u32::try_from(lost)?)))
    })
}

/// Changes and replaces the policy again and again, and cuts while the kernel takes these.
fn changed_and_replaced(table: &mut CutTable, policies: &[String; 2]) -> anyhow::Result<Replaced> {
    let open = || PolicyTable::open(Changes::default());
    // Who opens it anew knows nothing of what is there.
    let whole = |_| timed(|| Ok(open()?.replace(&policies[0])?));
    let whole: Vec<f64> = (0..REPLACES).map(whole).collect::<anyhow::Result<_>>()?;
    let mut kept = open()?;
    kept.replace(&policies[0])?;
    let mut other = policies.iter().rev().cycle();
    let change = |_| timed(|| Ok(kept.replace(other.next().context("no policy")?)?));
    let changes: Vec<f64> = (0..REPLACES).map(change).collect::<anyhow::Result<_>>()?;
    // Whatever the last one was.
    kept.replace(&policies[0])?;
    let steps = |old: &str, new: &str| {
        anyhow::Ok(ruleset::change(old, new).context("no change of elements")?.steps)
    };
    let [one, two] = policies;
    let beside_changes = beside(table, &[steps(one, two)?, steps(two, one)?].concat())?;
    let beside_whole = beside(table, policies)?;
    Ok(Replaced { changes, whole, beside_changes, beside_whole })
}

/// Cuts while nft puts these texts in place in turn; ms of each cut. Nothing is listed meanwhile:
/// nft begins a listing anew at each change, and cuts without a pause let it never end.
fn beside(table: &mut CutTable, texts: &[String]) -> anyhow::Result<Vec<f64>> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let replacer = scope.spawn(|| {
            for text in texts.iter().cycle() {
                feed(text)?;
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
            anyhow::Ok(())
        });
        let cuts_ms = (0..CUTS_BESIDE).map(|_| {
            elapse(PAUSE);
            let took = timed(|| Ok(table.cut(CUT).map(drop)?))?;
            table.restore(CUT)?;
            Ok(took)
        });
        let cuts_ms: anyhow::Result<Vec<_>> = cuts_ms.collect();
        done.store(true, Ordering::SeqCst);
        replacer.join().ok().context("the replacer panicked")??;
        cuts_ms
    })
}

/// Counts the stream's packets until it has ended and none is on its way any more.
fn hear(guest: &Wire, done: &AtomicBool, came: &AtomicU64) -> anyhow::Result<()> {
    loop {
        let ended = done.load(Ordering::SeqCst);
        while let Some(frame) = guest.next()? {
            if frames::number(&frame, PORT).is_some() {
                came.fetch_add(1, Ordering::SeqCst);
            }
        }
        if !guest.wait(ON_ITS_WAY)? && ended {
            return Ok(());
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}
