//! The kernel's part of a cut on a host of 10, 1,000 and 5,000 taps, beside `nft add element`; the
//! same while the policy is replaced; and what a replace, read back and compared, takes and loses.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::ScopedJoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tenure_agent::{
    core::ruleset::{self, CUT_TABLE, PolicyTap, TapName},
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
/// Between two packets of the stream that replaces must not disturb: 10,000 a second.
const GAP: Duration = Duration::from_micros(100);
/// How long a packet may be on its way on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
const PORT: u16 = 5000;
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
    let policy = fill(&mut table, taps)?;
    let mut policies = PolicyTable::open(Changes::default())?;
    policies.replace(&policy)?;
    let (ours, peer) = commits(&mut table)?;
    let (during, replaces, lost) = while_replaced(&mut table, &mut policies, &policy)?;
    let row = |figure: &str, unit, runs: Vec<f64>| {
        Row::new("cut", &format!("{taps:>5} taps: {figure}"), unit, runs)
    };
    let at = |runs: &[f64], percent| percentile(runs, percent).into_iter().collect::<Vec<_>>();
    let replace = row("policy replaced", "ms", replaces);
    let last = TAPS.last() == Some(&taps);
    Ok(vec![
        row("kernel's commit, p50", "ms", at(&ours, 50)).beside(NFT, at(&peer, 50)),
        row("kernel's commit, p99", "ms", at(&ours, 99))
            .beside(NFT, at(&peer, 99))
            .aiming(Goal::AtMost(0.1)),
        row("kernel's commit while the policy is replaced, p50", "ms", at(&during, 50)),
        row("kernel's commit while the policy is replaced, p99", "ms", at(&during, 99)),
        row("kernel's commit while the policy is replaced, max", "ms", at(&during, 100)),
        if last { replace.aiming(Goal::AtMost(800.0)) } else { replace },
        row("packets lost in all replaces", "packets", vec![lost]).aiming(Goal::AtMost(0.0)),
    ])
}

/// Enlists the taps, and renders their policy. The first tap is real, the others are names.
fn fill(table: &mut CutTable, taps: u32) -> anyhow::Result<String> {
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
    Ok(ruleset::policy(&policy))
}

/// Cuts of a tenant, ours and the peer's interleaved; ms each.
fn commits(table: &mut CutTable) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let mark = Mark(0x102);
    let element = format!("element bridge {PEER_TABLE} cut_tenant {{ {:#x} }}", mark.0);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for run in 0..CUTS {
        ours.push(timed(|| Ok(table.cut(mark).map(drop)?))?);
        table.restore(mark)?;
        if run % PEER_EVERY == 0 {
            let add = format!("add {element}");
            peer.push(timed(|| daemon::run(&["nft", &add]).map(drop))?);
            daemon::run(&["nft", &format!("delete {element}")])?;
        }
    }
    Ok((ours, peer))
}

/// Cuts while the policy is replaced again and again under a stream of packets to another tenant:
/// ms of each cut, ms of each replace, and packets of the stream that were lost.
fn while_replaced(
    table: &mut CutTable,
    policies: &mut PolicyTable,
    policy: &str,
) -> anyhow::Result<(Vec<f64>, Vec<f64>, f64)> {
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
        let replacer = scope.spawn(|| {
            let mut took_ms = Vec::new();
            for _ in 0..REPLACES {
                took_ms.push(timed(|| Ok(policies.replace(policy)?))?);
            }
            anyhow::Ok(took_ms)
        });
        let measured = beside(table, replacer);
        // Whatever came of it: the others wait for this.
        done.store(true, Ordering::SeqCst);
        let (cuts_ms, replaces_ms) = measured?;
        let sent = sender.join().ok().context("the sender panicked")??;
        reader.join().ok().context("the reader panicked")??;
        let lost = sent.saturating_sub(came.load(Ordering::SeqCst));
        ensure!(sent > 0 && !cuts_ms.is_empty(), "nothing was measured");
        Ok((cuts_ms, replaces_ms, f64::from(u32::try_from(lost)?)))
    })
}

/// Cuts until the replaces are over: ms of each cut, and of each replace.
fn beside(
    table: &mut CutTable,
    replacer: ScopedJoinHandle<'_, anyhow::Result<Vec<f64>>>,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let mut cuts_ms = Vec::new();
    while !replacer.is_finished() {
        cuts_ms.push(timed(|| Ok(table.cut(Mark(0x102)).map(drop)?))?);
        table.restore(Mark(0x102))?;
        elapse(Duration::from_millis(1));
    }
    Ok((cuts_ms, replacer.join().ok().context("the replacer panicked")??))
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
