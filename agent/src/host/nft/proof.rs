//! The proof of a cut, measured a moment after its commit: no process is started for it, and what a
//! busy guest sends meanwhile is counted, not waited for.
//!
//! ```text
//!   taps' counts ─ seals' counts ─ taps' counts ─ 3 ARP requests ─ taps' ─ seals' ─ taps' counts
//!                  └──────────────── dropped ────────────────────────────────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use tenure_protocol::{
    evidence::predicate::cut_proof::{
        ConservationMeasured, CutProof, Fact, ProbesMeasured, StructureMeasured,
    },
    wire::v1::Mark,
};

use super::{
    CutTable, NftFailure, arp, namespace,
    raw::{BRIDGE, NETDEV, Reader},
    text,
};
use crate::{
    clock,
    core::{
        ruleset::{self, CUT_TABLE, TapName},
        seal::{self, Way},
    },
};

/// Requests that are sent into a tenant's bridge.
const REQUESTS: u32 = 3;
/// What the kernel counts of each device.
const COUNTS: &str = "/proc/thread-self/net/dev";

/// Where a tenant's frames can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// The tenant's taps that are up and on the bridge.
    pub taps: BTreeSet<TapName>,
    /// The bridge, if they have one.
    pub bridge: Option<String>,
    /// Devices of the tenant that are not: their frames pass by our tables.
    pub past: Vec<String>,
    /// Why taps cannot be sealed on this host, as a sentence.
    pub no_seal: Option<String>,
}

/// Digest of the cut table's structure as this build makes it, from an empty namespace.
pub(super) fn wanted_structure() -> Result<tenure_protocol::digest::Digest, NftFailure> {
    namespace::empty(|| {
        let table = format!("add table bridge {CUT_TABLE}\n{}", ruleset::cut_table());
        text("try the cut table", &table)?;
        Reader::open()?.structure(BRIDGE, CUT_TABLE)
    })
}

impl CutTable {
    /// Measures whether a tenant's cut holds.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`]: the packet filter cannot be read.
    pub fn prove(&mut self, mark: Mark, ways: &Ways) -> Result<CutProof, NftFailure> {
        let mut reader = Reader::open()?;
        let structure = match self.wanted.clone() {
            Ok(wanted) => Fact::Measured(StructureMeasured {
                digest: reader.structure(BRIDGE, CUT_TABLE)?,
                wanted,
                in_force: self.look().is_ok(),
            }),
            Err(reason) => Fact::NotMeasured { reason },
        };
        let (conservation, probes) = if let Some(reason) = unprovable(ways) {
            (Fact::NotProvable { reason: reason.clone() }, Fact::NotProvable { reason })
        } else if ways.taps.is_empty() {
            let reason = "no tap of the tenant is on this host".to_owned();
            (Fact::NotMeasured { reason: reason.clone() }, Fact::NotMeasured { reason })
        } else {
            count(&mut reader, mark, ways)?
        };
        Ok(CutProof { at: clock::now(), structure, conservation, probes })
    }
}

fn unprovable(ways: &Ways) -> Option<String> {
    (!ways.past.is_empty()).then(|| {
        format!(
            "{} is no tap on the tenant's bridge (as SR-IOV, vhost-user and macvtap are none): \
             frames pass by the host's packet filter",
            ways.past.join(", ")
        )
    })
}

/// What guests send, and what is sent to them.
fn count(
    reader: &mut Reader,
    mark: Mark,
    ways: &Ways,
) -> Result<(Fact<ConservationMeasured>, Fact<ProbesMeasured>), NftFailure> {
    let table = seal::table_name(mark);
    let began = clock::monotonic();
    let around = frames(&ways.taps);
    let dropped = reader.rule_counters(NETDEV, &table)?;
    let within = frames(&ways.taps);
    let probes = probe(reader, ways)?;
    let within = difference(&within, &frames(&ways.taps));
    let dropped_after = reader.rule_counters(NETDEV, &table)?;
    let around = difference(&around, &frames(&ways.taps));
    let took = clock::monotonic().saturating_sub(began);
    let (within, around) = match (within, around) {
        (Ok(within), Ok(around)) => (within, around),
        (Err(reason), _) | (_, Err(reason)) => {
            return Ok((
                Fact::NotMeasured { reason: reason.clone() },
                Fact::NotMeasured { reason },
            ));
        }
    };
    let of = |counts: &BTreeMap<String, u64>| -> Option<u64> {
        let chain = |tap: &TapName| counts.get(&seal::chain_name(Way::In, tap.as_str())).copied();
        ways.taps.iter().map(chain).sum()
    };
    let conservation = match (&ways.no_seal, of(&dropped), of(&dropped_after)) {
        (Some(reason), _, _) => Fact::NotMeasured { reason: reason.clone() },
        (None, Some(before), Some(after)) => Fact::Measured(ConservationMeasured {
            taps: number(ways.taps.len()),
            took_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            received_within: within.0,
            dropped: after.saturating_sub(before),
            received_around: around.0,
            sent: around.1,
        }),
        (None, _, _) => {
            Fact::NotMeasured { reason: "not every tap of the tenant is sealed".to_owned() }
        }
    };
    let probes = match probes {
        Ok(dropped) => Fact::Measured(ProbesMeasured {
            requests: REQUESTS,
            taps: number(ways.taps.len()),
            dropped,
            sent: around.1,
        }),
        Err(reason) => Fact::NotMeasured { reason },
    };
    Ok((conservation, probes))
}

/// Sends requests into the bridge; by how much the cut table's drop counter grew, or why none was
/// sent.
fn probe(reader: &mut Reader, ways: &Ways) -> Result<Result<u64, String>, NftFailure> {
    let Some(bridge) = &ways.bridge else {
        return Ok(Err("the tenant's bridge is not known".to_owned()));
    };
    let mut dropped = || -> Result<u64, NftFailure> {
        Ok(reader.counters(BRIDGE, CUT_TABLE)?.get("cut_tx").copied().unwrap_or(0))
    };
    let before = dropped()?;
    if let Err(error) = arp::ask(bridge, REQUESTS) {
        return Ok(Err(format!("no ARP request can be sent into {bridge}: {error}")));
    }
    Ok(Ok(dropped()?.saturating_sub(before)))
}

type Frames = io::Result<BTreeMap<String, (u64, u64)>>;

/// Frames that came in from each guest, and that went out to it.
fn frames(taps: &BTreeSet<TapName>) -> Frames {
    let text = std::fs::read_to_string(COUNTS)?;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((name, counts)) = line.split_once(':') else { continue };
        let counts: Vec<u64> =
            counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
        // bytes, packets, … of what was received, eight of them; then of what was sent.
        if let (Some(received), Some(sent)) = (counts.get(1), counts.get(9)) {
            found.insert(name.trim().to_owned(), (*received, *sent));
        }
    }
    found.retain(|name, _| taps.iter().any(|tap| tap.as_str() == name));
    Ok(found)
}

fn difference(before: &Frames, after: &Frames) -> Result<(u64, u64), String> {
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(error), _) | (_, Err(error)) => return Err(format!("cannot read {COUNTS}: {error}")),
    };
    if !before.keys().eq(after.keys()) {
        return Err("a tap came or went meanwhile".to_owned());
    }
    let grown = before.iter().zip(after.values()).map(|((_, before), after)| {
        (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1))
    });
    Ok(grown.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
