//! Anomalies: what is counted at taps, of instances' disks and of the host's processors, and from
//! when on it is too much.
//!
//! ```text
//!   sample ─┐                        over its threshold in BEGIN samples in a row
//!           ├─ difference ─ rate ─► quiet ──────────────────────────────► standing
//!   sample ─┘                            ◄──────────────────────────────
//!                                    not over it in END samples in a row
//! ```
//!
//! Each of the two transitions is told once. Counters begin anew when a tap, a process or the
//! policy is made anew: a counter that is lower than before has no rate in that sample, and one
//! that is missing counts as nothing.
//!
//! What an instance sends beyond what it is given is judged by itself
//! ([`Measure::PacketsUnasked`]), since anybody can have it answer a flood.
//!
//! New connections are TCP's, told by a SYN without an ACK. UDP has none that could be told without
//! state, which the family bridge does not keep: a flood of it is one of packets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use tenure_protocol::{
    id::{InstanceId, TenantId},
    time::Timestamp,
    wire::v1::{Alarm, Figures, Measure, Thresholds, WHOLE_PERMILLE},
};

use super::ruleset::{TapName, tap_name};

/// Samples in a row that are over a threshold before it is told.
pub const BEGIN: u32 = 3;
/// Samples in a row that are not over it before the end is told.
pub const END: u32 = 5;

/// All counters of the host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, by a clock that never jumps, ms.
    pub at_ms: u64,
    /// What the kernel has counted at taps.
    pub taps: BTreeMap<TapName, TapCounters>,
    /// New TCP connections, as far as the policy table could be read.
    pub connections: BTreeMap<TapName, Connections>,
    /// Bytes that instances' processes had read from storage or written to it.
    pub disks: BTreeMap<InstanceId, u64>,
    /// The processors, all of them together.
    pub processors: Option<Processors>,
}

/// Counters of a tap, in its instance's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TapCounters {
    /// Frames from the instance.
    pub packets_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Frames to the instance.
    pub packets_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

/// New TCP connections of a tap, in its instance's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Those that it begins.
    pub sent: u64,
    /// Those that it is asked for.
    pub received: u64,
}

/// Processors' time, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processors {
    /// All of it.
    pub total: u64,
    /// In which there was nothing to do.
    pub idle: u64,
    /// In which the host would have worked, and what is under it let it not.
    pub steal: u64,
}

/// Reads `/proc/net/dev`: the counters of all taps. Other lines are others' devices.
#[must_use]
pub fn taps(text: &str) -> BTreeMap<TapName, TapCounters> {
    text.lines().filter_map(tap).collect()
}

fn tap(line: &str) -> Option<(TapName, TapCounters)> {
    let (name, counters) = line.split_once(':')?;
    let name = TapName::parse(name.trim()).ok()?;
    let counters: Vec<u64> =
        counters.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    // What the host receives from a tap, its instance has sent.
    let [bytes_sent, packets_sent, _, _, _, _, _, _, bytes_received, packets_received, ..] =
        counters[..]
    else {
        return None;
    };
    Some((name, TapCounters { packets_sent, bytes_sent, packets_received, bytes_received }))
}

/// Reads the first line of `/proc/stat`.
#[must_use]
pub fn processors(text: &str) -> Option<Processors> {
    let numbers = text.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> =
        numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    // Guests' time, which comes after it, is a part of the first two.
    let all = numbers.get(..8)?;
    let [_, _, _, idle, wait, _, _, steal] = *all else { return None };
    Some(Processors { total: all.iter().sum(), idle: idle.saturating_add(wait), steal })
}

/// Reads `/proc/<pid>/io`: bytes that really went to storage or came from it.
#[must_use]
pub fn storage_bytes(text: &str) -> Option<u64> {
    let of = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    Some(of("read_bytes:")?.saturating_add(of("write_bytes:")?))
}

/// Whom the counters are of, and from when on they are too much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    instances: BTreeMap<InstanceId, (TenantId, Thresholds)>,
    taps: BTreeMap<TapName, (TenantId, Thresholds)>,
    /// The host is all tenants': the strictest of them counts.
    steal_permille: Option<u64>,
}

impl Watched {
    /// Of the host's instances.
    pub fn of(instances: impl IntoIterator<Item = (InstanceId, TenantId, Thresholds)>) -> Self {
        let mut watched = Self::default();
        for (instance, tenant, thresholds) in instances {
            watched.instances.insert(instance, (tenant, thresholds));
            watched.taps.insert(tap_name(instance), (tenant, thresholds));
            let least = watched.steal_permille.unwrap_or(u64::MAX);
            watched.steal_permille = Some(least.min(thresholds.steal_permille));
        }
        watched
    }

    /// The tenant, and the threshold; nothing of what is not, or no longer, watched.
    fn threshold(&self, subject: &Subject, measure: Measure) -> Option<(Option<TenantId>, u64)> {
        let (tenant, thresholds) = match subject {
            Subject::Tap(tap) => self.taps.get(tap)?,
            Subject::Disks(instance) => self.instances.get(instance)?,
            Subject::Host => return Some((None, self.steal_permille?)),
        };
        Some((Some(*tenant), thresholds.of(measure)))
    }
}

/// What is counted at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Tap(TapName),
    Disks(InstanceId),
    Host,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap(tap) => tap.fmt(f),
            Self::Disks(instance) => instance.fmt(f),
            Self::Host => f.write_str("host"),
        }
    }
}

type Key = (Subject, Measure);

fn of_tap(tap: &TapName, measure: Measure) -> Key {
    (Subject::Tap(tap.clone()), measure)
}

/// A counter, and what it is a part of: time, or processors' time. Thousandths of the one by the
/// other are a rate in a second, or a share.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    count: u64,
    of: u64,
}

impl Reading {
    fn since(self, before: Self) -> Option<Self> {
        let count = self.count.checked_sub(before.count)?;
        let of = self.of.checked_sub(before.of).filter(|of| *of > 0)?;
        Some(Self { count, of })
    }

    fn plus(self, more: Self) -> Self {
        let count = self.count.saturating_add(more.count);
        Self { count, of: self.of.saturating_add(more.of) }
    }

    fn rate(self) -> u64 {
        let whole = u128::from(WHOLE_PERMILLE);
        let thousandths = u128::from(self.count) * whole / u128::from(self.of.max(1));
        u64::try_from(thousandths).unwrap_or(u64::MAX)
    }
}

fn readings(sample: &Sample) -> BTreeMap<Key, Reading> {
    let Sample { at_ms: of, taps, connections, disks, processors } = sample;
    let timed = |count| Reading { count, of: *of };
    let mut all = BTreeMap::new();
    for (tap, counters) in taps {
        all.insert(of_tap(tap, Measure::PacketsSent), timed(counters.packets_sent));
        all.insert(of_tap(tap, Measure::PacketsReceived), timed(counters.packets_received));
    }
    for (tap, counters) in connections {
        all.insert(of_tap(tap, Measure::ConnectionsSent), timed(counters.sent));
        all.insert(of_tap(tap, Measure::ConnectionsReceived), timed(counters.received));
    }
    for (instance, bytes) in disks {
        all.insert((Subject::Disks(*instance), Measure::DiskBytes), timed(*bytes));
    }
    if let Some(Processors { total, steal, .. }) = *processors {
        let share = Reading { count: steal, of: total };
        all.insert((Subject::Host, Measure::StealPermille), share);
    }
    all
}

/// Something that began to be too much, or is so no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// A tap, an instance (its disks) or the host.
    pub subject: String,
    /// Whose, if it is one tenant's.
    pub tenant: Option<TenantId>,
    /// What was counted.
    pub figures: Figures,
    /// Whether it is over.
    pub over: bool,
    /// In words.
    pub what: String,
}

impl Anomaly {
    /// The alarm that the controller is told.
    #[must_use]
    pub fn alarm(self, sequence: u64, at: Timestamp) -> Alarm {
        Alarm {
            sequence,
            at,
            kind: self.figures.measure.kind(),
            subject: self.subject,
            tenant: self.tenant,
            what: self.what,
            culprit: None,
            repaired: self.over,
            dropped: 0,
            figures: Some(self.figures),
        }
    }
}

/// How long something has been otherwise than it was told.
#[derive(Debug, Clone, Copy, Default)]
struct Streak {
    /// Whose it is, and the threshold that counts.
    of: (Option<TenantId>, u64),
    standing: bool,
    /// Samples in a row that say the contrary of `standing`.
    contrary: u32,
    /// What was counted in them, and in how long.
    counted: Reading,
    window_ms: u64,
}

/// Watches one sample after another.
#[derive(Debug, Default)]
pub struct Watch {
    last: Option<Sample>,
    streaks: BTreeMap<Key, Streak>,
}

impl Watch {
    /// What began or ended with this sample.
    pub fn judge(&mut self, sample: Sample, watched: &Watched) -> Vec<Anomaly> {
        let Some(last) = self.last.replace(sample.clone()) else { return Vec::new() };
        let elapsed_ms = sample.at_ms.saturating_sub(last.at_ms);
        if elapsed_ms == 0 {
            return Vec::new();
        }
        let (before, now) = (readings(&last), readings(&sample));
        let standing = self.streaks.iter().filter(|(_, streak)| streak.standing);
        let mut keys: BTreeSet<Key> =
            standing.map(|(key, _)| key).chain(now.keys()).cloned().collect();
        keys.extend(sample.taps.keys().map(|tap| of_tap(tap, Measure::PacketsUnasked)));
        let mut anomalies = Vec::new();
        for key in keys {
            let Some(counted) = counted(&key, &before, &now, elapsed_ms) else { continue };
            let known = watched.threshold(&key.0, key.1);
            let streak = self.streaks.entry(key.clone()).or_default();
            streak.of = known.unwrap_or(streak.of);
            // What nobody watches any more is over, too.
            let over = known.is_some_and(|(_, threshold)| counted.rate() > threshold);
            if let Some(figures) = streak.count(over, counted, elapsed_ms, key.1) {
                let more = more(&key, &last, &sample);
                let (tenant, over) = (streak.of.0, !streak.standing);
                anomalies.push(anomaly(&key.0, tenant, figures, over, &more));
            }
            if !streak.standing && streak.contrary == 0 {
                self.streaks.remove(&key);
            }
        }
        anomalies
    }
}

/// What was counted between two samples, if both have it; nothing of what is there no more.
fn counted(
    (subject, measure): &Key,
    before: &BTreeMap<Key, Reading>,
    now: &BTreeMap<Key, Reading>,
    elapsed_ms: u64,
) -> Option<Reading> {
    let of = |measure| {
        let key = (subject.clone(), measure);
        match (now.get(&key), before.get(&key)) {
            (Some(now), Some(before)) => now.since(*before),
            (Some(_), None) => None,
            (None, _) => Some(Reading { count: 0, of: elapsed_ms }),
        }
    };
    if *measure != Measure::PacketsUnasked {
        return of(*measure);
    }
    let (sent, received) = (of(Measure::PacketsSent)?, of(Measure::PacketsReceived)?);
    Some(Reading { count: sent.count.saturating_sub(received.count), ..sent })
}

impl Streak {
    /// One more sample; the figures of the transition, if this one brings it.
    fn count(
        &mut self,
        over: bool,
        counted: Reading,
        elapsed_ms: u64,
        measure: Measure,
    ) -> Option<Figures> {
        let &mut Self { of, standing, .. } = self;
        if over == standing {
            *self = Self { of, standing, ..Self::default() };
            return None;
        }
        self.contrary = self.contrary.saturating_add(1);
        self.counted = self.counted.plus(counted);
        self.window_ms = self.window_ms.saturating_add(elapsed_ms);
        let needed = if standing { END } else { BEGIN };
        if self.contrary < needed {
            return None;
        }
        let (rate, window_ms, threshold) = (self.counted.rate(), self.window_ms, of.1);
        *self = Self { of, standing: over, ..Self::default() };
        Some(Figures { measure, rate, threshold, window_ms })
    }
}

fn anomaly(
    subject: &Subject,
    tenant: Option<TenantId>,
    figures: Figures,
    over: bool,
    more: &str,
) -> Anomaly {
    let Figures { measure, rate, threshold, window_ms } = figures;
    let counted = measure.in_english();
    let seconds = window_ms / 1000;
    let ends = if over { "over: " } else { "" };
    let what =
        format!("{ends}{rate} {counted}, over {seconds} s{more}; the threshold is {threshold}");
    Anomaly { subject: subject.to_string(), tenant, figures, over, what }
}

/// What helps to judge it, of the last sample: the bytes of a flood, the load beside the steal.
fn more((subject, measure): &Key, before: &Sample, now: &Sample) -> String {
    let bytes = |of: fn(&TapCounters) -> u64| {
        let Subject::Tap(tap) = subject else { return None };
        let at =
            |sample: &Sample| Some(Reading { count: of(sample.taps.get(tap)?), of: sample.at_ms });
        Some(format!(" ({} bytes a second)", at(now)?.since(at(before)?)?.rate()))
    };
    let found = match measure {
        Measure::PacketsSent | Measure::PacketsUnasked => bytes(|tap| tap.bytes_sent),
        Measure::PacketsReceived => bytes(|tap| tap.bytes_received),
        Measure::StealPermille => load_permille(before, now)
            .map(|load| format!(" (with {load} thousandths in use or taken)")),
        Measure::ConnectionsSent | Measure::ConnectionsReceived | Measure::DiskBytes => None,
    };
    found.unwrap_or_default()
}

fn load_permille(before: &Sample, now: &Sample) -> Option<u64> {
    let idle = |Processors { idle, total, .. }| Reading { count: idle, of: total };
    let idle = idle(now.processors?).since(idle(before.processors?))?;
    Some(WHOLE_PERMILLE.saturating_sub(idle.rate()))
}

#[cfg(test)]
#[path = "anomaly_tests.rs"]
mod tests;
