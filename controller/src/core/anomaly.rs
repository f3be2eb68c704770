//! Anomalies that hosts tell of: from when on there is one, and what is done about it.
//!
//! ```text
//!   alert (default) ◀─────────── withdraw ───────────┐
//!     │ propose, one person                          │
//!     ▼                                              │
//!   proposed ──confirm, another person──▶ rule in force: a cut, once, for these kinds
//! ```
//!
//! A rule cuts for what the tenant's instances *do*: for packets that they send beyond those that
//! they are sent, for connections that they begin, for the work of their volumes. What they are
//! sent, and what they answer to it, raises the same alarm and cuts nobody: else anybody on the
//! Internet could have a system cut. Nor is a tenant cut for the processors of its host. A tenant
//! that is cut or was restored a moment ago is not cut by a rule ([`COOL_DOWN_MS`]), and no alarm
//! that comes late does it ([`FRESH_MS`]).

use std::{collections::BTreeSet, num::NonZeroU64};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    id::HostId,
    time::Timestamp,
    wire::v1::{Alarm, AlarmKind, Figures, Measure, Thresholds, WHOLE_PERMILLE},
};

use super::{
    lifecycle::CutKind,
    tenant::{Cut, CutEnd, Isolation, Tenant},
};

/// How long after a cut's end a rule does not cut the tenant again, ms.
pub const COOL_DOWN_MS: i64 = 15 * 60 * 1000;
/// How old an alarm may be to cut, by the host's clock against ours, ms.
pub const FRESH_MS: i64 = 5 * 60 * 1000;
/// Kinds for which a rule can cut.
pub const CUTTING: [AlarmKind; 3] =
    [AlarmKind::PacketFlood, AlarmKind::ConnectionFlood, AlarmKind::DiskSaturation];
/// The highest threshold of what is counted in a second.
pub const RATE_LIMIT: u64 = 1_000_000_000_000;

/// The site's thresholds: of every tenant that has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteThresholds {
    /// Packets of one network card in one direction, in a second.
    pub packets_per_s: NonZeroU64,
    /// TCP connections that one network card begins, or is asked for, in a second.
    pub connections_per_s: NonZeroU64,
    /// Bytes that one instance reads from its volumes and writes to them, in a second.
    pub disk_bytes_per_s: NonZeroU64,
    /// Thousandths of its processors' time that a host does not get.
    pub steal_permille: NonZeroU64,
}

impl Default for SiteThresholds {
    fn default() -> Self {
        let number = |number| NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN);
        Self {
            packets_per_s: number(200_000),
            connections_per_s: number(2_000),
            disk_bytes_per_s: number(500 << 20),
            steal_permille: number(200),
        }
    }
}

impl SiteThresholds {
    /// Checks what no type does.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<(), String> {
        at_most(RATE_LIMIT, [self.packets_per_s, self.connections_per_s, self.disk_bytes_per_s])?;
        at_most(WHOLE_PERMILLE, [self.steal_permille])
    }
}

fn at_most(limit: u64, thresholds: impl IntoIterator<Item = NonZeroU64>) -> Result<(), String> {
    match thresholds.into_iter().find(|threshold| threshold.get() > limit) {
        None => Ok(()),
        Some(threshold) => {
            Err(format!("{threshold} is never reached: give {limit} at most, as a threshold"))
        }
    }
}

/// A tenant's own thresholds, in place of the site's; each that is left out is the site's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnThresholds {
    /// As [`SiteThresholds::packets_per_s`].
    #[serde(default)]
    pub packets_per_s: Option<NonZeroU64>,
    /// As [`SiteThresholds::connections_per_s`].
    #[serde(default)]
    pub connections_per_s: Option<NonZeroU64>,
    /// As [`SiteThresholds::disk_bytes_per_s`].
    #[serde(default)]
    pub disk_bytes_per_s: Option<NonZeroU64>,
    /// As [`SiteThresholds::steal_permille`].
    #[serde(default)]
    pub steal_permille: Option<NonZeroU64>,
}

impl OwnThresholds {
    /// Checks what no type does.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let rates = [self.packets_per_s, self.connections_per_s, self.disk_bytes_per_s];
        at_most(RATE_LIMIT, rates.into_iter().flatten())?;
        at_most(WHOLE_PERMILLE, self.steal_permille)
    }

    /// What hosts watch.
    #[must_use]
    pub fn over(&self, site: &SiteThresholds) -> Thresholds {
        Thresholds {
            packets_per_s: self.packets_per_s.unwrap_or(site.packets_per_s).get(),
            connections_per_s: self.connections_per_s.unwrap_or(site.connections_per_s).get(),
            disk_bytes_per_s: self.disk_bytes_per_s.unwrap_or(site.disk_bytes_per_s).get(),
            steal_permille: self.steal_permille.unwrap_or(site.steal_permille).get(),
        }
    }
}

/// What a tenant has of its own about anomalies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomalies {
    /// Thresholds in place of the site's.
    #[serde(default)]
    pub thresholds: OwnThresholds,
    /// A rule that waits for a second person.
    #[serde(default)]
    pub proposed: Option<Proposal>,
    /// The rule by which the tenant is cut; without one, people are told alone.
    #[serde(default)]
    pub in_force: Option<CutRule>,
}

/// A rule that one person proposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// For which kinds of alarm the tenant is to be cut.
    pub kinds: BTreeSet<AlarmKind>,
    /// Why.
    pub reason: String,
    /// Who proposes it.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// A rule that two persons answer for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutRule {
    /// What was proposed, and by whom.
    pub proposal: Proposal,
    /// Who confirmed it.
    pub confirmed_by: String,
    /// When; legal time.
    pub confirmed_at: Timestamp,
}

/// Why a tenant is cut for an alarm, for the customer to read; nothing if it is not cut. `now` is
/// real time.
#[must_use]
pub fn answer(
    tenant: &Tenant,
    host: HostId,
    alarm: &Alarm,
    site: &SiteThresholds,
    now: Timestamp,
) -> Option<String> {
    let rule = tenant.anomalies.in_force.as_ref()?;
    let figures = alarm.figures?;
    let applies = rule.proposal.kinds.contains(&alarm.kind)
        && figures.measure.kind() == alarm.kind
        && is_own_doing(figures.measure);
    // The host says how much it was; how much is too much, we say.
    let threshold = tenant.anomalies.thresholds.over(site).of(figures.measure);
    let begins = !alarm.repaired && figures.rate > threshold;
    let fresh = now.ms_since(alarm.at).abs() <= FRESH_MS;
    let here = alarm.tenant == Some(tenant.id) && tenant.hosts().contains(&host);
    // A drill protects nobody, and keeps no cut in earnest waiting.
    let drilled = tenant.last_cut().is_some_and(|cut| cut.kind == CutKind::Drill);
    let last = tenant.cuts.iter().rfind(|cut| cut.kind != CutKind::Drill);
    let free = (drilled || tenant.isolation == Isolation::Connected) && !is_cooling(last, now);
    if !(applies && begins && fresh && here && free) {
        return None;
    }
    let [chinese, english] = in_words(&Figures { threshold, ..figures });
    let (one, other) = (&rule.proposal.by, &rule.confirmed_by);
    Some(format!(
        "{chinese}，按规则自动断网（规则由 {one} 提出、{other} 确认）。\nCut by rule: {english}; the \
         rule was proposed by {one} and confirmed by {other}."
    ))
}

/// Whether an alarm may be one for which somebody is cut.
#[must_use]
pub fn may_cut(alarm: &Alarm) -> bool {
    !alarm.repaired && alarm.figures.is_some_and(|figures| is_own_doing(figures.measure))
}

const fn is_own_doing(measure: Measure) -> bool {
    match measure {
        Measure::PacketsUnasked | Measure::ConnectionsSent | Measure::DiskBytes => true,
        Measure::PacketsSent
        | Measure::PacketsReceived
        | Measure::ConnectionsReceived
        | Measure::StealPermille => false,
    }
}

fn is_cooling(last: Option<&Cut>, now: Timestamp) -> bool {
    let ended = last.and_then(|cut| match &cut.end {
        CutEnd::Restored { at, .. } => at.or(cut.began_at),
        CutEnd::Void { .. } | CutEnd::Open => cut.began_at,
    });
    ended.is_some_and(|at| now.ms_since(at) < COOL_DOWN_MS)
}

/// What was counted: in Chinese, in English.
#[must_use]
pub fn in_words(Figures { measure, rate, threshold, window_ms }: &Figures) -> [String; 2] {
    let chinese = match measure {
        Measure::PacketsSent => "每秒发出数据包",
        Measure::PacketsReceived => "每秒收到数据包",
        Measure::ConnectionsSent => "每秒发起新连接",
        Measure::ConnectionsReceived => "每秒收到新连接请求",
        Measure::DiskBytes => "每秒磁盘读写字节",
        Measure::StealPermille => "宿主机 CPU 被占用千分比",
        Measure::PacketsUnasked => "每秒发出超过收到的数据包",
    };
    let english = measure.in_english();
    let seconds = window_ms / 1_000;
    [
        format!("{chinese} {rate}（阈值 {threshold}，{seconds} 秒均值）"),
        format!("{rate} {english} (threshold {threshold}, mean of {seconds} s)"),
    ]
}
