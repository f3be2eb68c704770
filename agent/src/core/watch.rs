//! The watch over a cut: whether this host speaks for a controller that is silent, and when.
//!
//! ```text
//! waiting ─t0 (of a witness: the order)→ counting ─fallback_after→ sending, by the ladder
//!    └──────────────┴─ the signed receipt, its time is over ──┴─ one notice arrived ─→ ended
//! ```
//! A standing packet waits for a cut that a person orders on this host: its t0 is that of this cut.
//! The packet is destroyed with the end; the record stays as long as a packet may come again, so
//! that an old one arms nothing, and while a report of it is without a receipt.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    id::{CutId, HostId, NoticeId},
    ladder::{GIVE_UP_S, rung_after},
    time::Timestamp,
    wire::watch::{Packet, Watch, WatchReport, WatchSaid, WatchTry},
};

/// Most packets of cuts that a host keeps at once.
pub const MAX_PACKETS: usize = 1024;

/// Most standing packets that a host keeps beside them: one for each tenant.
pub const MAX_STANDING: usize = 1024;

/// Most reports of one watch that wait for a receipt; beyond it failed tries are not kept.
pub const MAX_REPORTS: usize = 16_384;

/// Longest answer of a peer that is kept, characters.
const ANSWER_LIMIT: usize = 500;

/// A moment by both clocks of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Which start of the machine.
    pub boot_id: String,
    /// Since that start, suspends included, ms: never jumps.
    pub boot_ms: i64,
    /// The wall clock.
    pub real: Timestamp,
}

impl Moment {
    /// How long ago `earlier` was, ms; by the wall clock only if the machine was started since.
    #[must_use]
    pub fn ms_since(&self, earlier: &Self) -> i64 {
        if self.boot_id == earlier.boot_id {
            self.boot_ms - earlier.boot_ms
        } else {
            self.real.ms_since(earlier.real).max(0)
        }
    }

    /// The moment so long before, ms.
    #[must_use]
    pub fn before(&self, ms: i64) -> Self {
        let (boot_ms, real) = (self.boot_ms.saturating_sub(ms), self.real.plus_ms(-ms));
        Self { boot_id: self.boot_id.clone(), boot_ms, real }
    }
}

/// Whether a host still watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It does.
    Armed,
    /// It does not any more.
    Ended,
}

/// What a host remembers of a watch besides the packet; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRecord {
    /// Which cut.
    pub cut: CutId,
    /// Until when a packet of it may come.
    pub until: Timestamp,
    /// Whether the host still watches.
    pub stage: Stage,
    /// From when it waits: its own commit, or the order; nothing before.
    pub since: Option<Moment>,
    /// The last try of each notice, ms after the fall-back began.
    pub tried_ms: BTreeMap<NoticeId, i64>,
    /// Notices that were taken for good, and are not tried again.
    pub taken: BTreeSet<NoticeId>,
    /// Number of the next report.
    pub next_sequence: u64,
    /// Reports without a receipt.
    pub queue: BTreeMap<u64, WatchReport>,
}

/// Why a packet is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names another host.
    #[error("the packet is for host {0}")]
    NotForThisHost(HostId),
    /// It came too late.
    #[error("the packet expired at {0} by this host's clock: compare the clocks")]
    Expired(Timestamp),
    /// The host has all that it can keep.
    #[error(
        "the host keeps {0} packets of this kind already: end cuts, or have fewer tenants on it"
    )]
    Full(usize),
    /// Nothing could be sent with it.
    #[error("the packet has no notice: designate a contact with an address")]
    Empty,
}

impl Refusal {
    /// Stable code, kebab-case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotForThisHost(_) => "not-for-this-host",
            Self::Expired(_) => "expired",
            Self::Full(_) => "full",
            Self::Empty => "empty",
        }
    }
}

/// When a packet may be taken no more.
#[must_use]
pub fn until(packet: &Packet) -> Timestamp {
    packet.issued_at.plus_ms(i64::try_from(packet.ttl_ms).unwrap_or(i64::MAX))
}

/// Whether a packet of a cut that is not known is taken by this host, which keeps so many of its
/// kind.
///
/// # Errors
/// [`Refusal`].
pub fn admit(packet: &Packet, host: HostId, now: Timestamp, kept: usize) -> Result<(), Refusal> {
    let most = if packet.watch == Watch::Standing { MAX_STANDING } else { MAX_PACKETS };
    if packet.host != host {
        Err(Refusal::NotForThisHost(packet.host))
    } else if now >= until(packet) {
        Err(Refusal::Expired(until(packet)))
    } else if kept >= most {
        Err(Refusal::Full(most))
    } else if packet.notices.is_empty() {
        Err(Refusal::Empty)
    } else {
        Ok(())
    }
}

impl WatchRecord {
    /// The watch that begins with a packet.
    #[must_use]
    pub fn armed(packet: &Packet, now: &Moment) -> Self {
        let since = match packet.watch {
            Watch::Ordered | Watch::Standing => None,
            Watch::Witness { ordered_ms_ago } => {
                Some(now.before(i64::try_from(ordered_ms_ago).unwrap_or(0)))
            }
        };
        Self { stage: Stage::Armed, since, ..Self::ended(packet.cut, until(packet)) }
    }

    /// A watch that is over before its packet came: should it come, it arms nothing.
    #[must_use]
    pub const fn ended(cut: CutId, until: Timestamp) -> Self {
        Self {
            cut,
            until,
            stage: Stage::Ended,
            since: None,
            tried_ms: BTreeMap::new(),
            taken: BTreeSet::new(),
            next_sequence: 0,
            queue: BTreeMap::new(),
        }
    }

    /// This host has committed the cut. Gives whether that was news. A packet that is old by then
    /// is kept as long as notices are tried.
    pub fn begin(&mut self, at: Moment) -> bool {
        let news = self.stage == Stage::Armed && self.since.is_none();
        if news {
            self.until = self.until.max(at.real.plus_ms(GIVE_UP_S * 1000));
            self.since = Some(at);
        }
        news
    }

    /// A report of this watch, numbered, to be sent until it has a receipt.
    pub fn say(&mut self, said: WatchSaid) -> WatchReport {
        let report = WatchReport { cut: self.cut, sequence: self.next_sequence, said };
        self.next_sequence += 1;
        self.queue.insert(report.sequence, report.clone());
        report
    }

    /// For how long the host has been speaking for the controller, ms; negative before.
    fn sending_ms(&self, packet: &Packet, now: &Moment) -> Option<i64> {
        let since = self.since.as_ref().filter(|_| self.stage == Stage::Armed)?;
        let after = i64::try_from(packet.fallback_after_ms).unwrap_or(i64::MAX);
        Some(now.ms_since(since).saturating_sub(after))
    }

    /// The notices that are to be tried now.
    #[must_use]
    pub fn due(&self, packet: &Packet, now: &Moment) -> Vec<NoticeId> {
        let Some(passed) = self.sending_ms(packet, now).filter(|passed| *passed >= 0) else {
            return Vec::new();
        };
        let due = |id: &NoticeId| {
            let last = self.tried_ms.get(id);
            let rung = last.map_or(Some(0), |last| rung_after(*last));
            !self.taken.contains(id) && rung.is_some_and(|rung| rung <= passed)
        };
        packet.notices.iter().map(|notice| notice.id).filter(due).collect()
    }

    /// A try that began at `began` is over. Gives its report, and whether the customer is told by
    /// it: a system that the contact did not designate proves no arrival, whatever it answers.
    pub fn tried(
        &mut self,
        packet: &Packet,
        began: &Moment,
        mut tried: WatchTry,
    ) -> (Option<WatchReport>, bool) {
        tried.evidence = tried.evidence.chars().take(ANSWER_LIMIT).collect();
        let told = self.shared(packet, began, &tried);
        let room = self.taken.contains(&tried.notice) || self.queue.len() < MAX_REPORTS;
        (room.then(|| self.say(WatchSaid::Tried(tried))), told)
    }

    /// A notice of this packet was tried, by this watch or by another one of this host that has it,
    /// too. Gives whether the customer is told by it.
    pub fn shared(&mut self, packet: &Packet, began: &Moment, tried: &WatchTry) -> bool {
        let notice = packet.notices.iter().find(|notice| notice.id == tried.notice);
        let discharges = tried.grade.is_some_and(tenure_protocol::channel::Grade::discharges);
        let passed = self.sending_ms(packet, began).unwrap_or(0).max(0);
        self.tried_ms.insert(tried.notice, passed);
        if discharges {
            self.taken.insert(tried.notice);
        }
        discharges && notice.is_some_and(|notice| notice.designated)
    }

    /// A report is durable at the controller. Gives whether it was waited for.
    pub fn receipted(&mut self, sequence: u64) -> bool {
        self.queue.remove(&sequence).is_some()
    }

    /// Whether the packet has to be destroyed for its age.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.stage == Stage::Armed && now >= self.until
    }

    /// Whether nothing of it need be remembered: no packet of it can come, and all is said.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.stage == Stage::Ended && now >= self.until && self.queue.is_empty()
    }
}
