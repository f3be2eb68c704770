//! The proof of a cut: that no frame passes, by three ways that fail for different reasons.
//!
//! An element in a set says what was asked for. What is measured here says what the kernel does:
//! the rules are those that were made, what guests send is dropped frame by frame, and frames that
//! are sent to them do not arrive. A fact that was not measured says so, and why.

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, time::Timestamp};

/// What was measured to prove that a cut holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CutProof {
    /// Read after the last measurement.
    pub at: Timestamp,
    /// The rules.
    pub structure: Fact<StructureMeasured>,
    /// What guests send.
    pub conservation: Fact<ConservationMeasured>,
    /// What is sent to guests.
    pub probes: Fact<ProbesMeasured>,
}

/// Something measured, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// What was measured.
    Measured(T),
    /// Nobody measured it.
    NotMeasured {
        /// Why.
        reason: String,
    },
    /// Nobody can: frames have a way that the host's packet filter does not see.
    NotProvable {
        /// Which.
        reason: String,
    },
}

impl<T> Fact<T> {
    /// What was measured, if it was.
    pub const fn measured(&self) -> Option<&T> {
        match self {
            Self::Measured(measured) => Some(measured),
            Self::NotMeasured { .. } | Self::NotProvable { .. } => None,
        }
    }
}

/// Chains, rules and sets of the cut table, read back from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StructureMeasured {
    /// SHA-256 over what the kernel says of them, without handles and elements.
    pub digest: Digest,
    /// The same over what this build makes in an empty network namespace.
    pub wanted: Digest,
    /// Whether the table is there, not dormant, and nobody else's.
    pub in_force: bool,
}

/// Frames of guests between two moments: each that came in at a tap was dropped there. Counters are
/// read one after the other, so each count is between two others: of what came in for certain
/// before and after the drops were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConservationMeasured {
    /// Taps that were counted.
    pub taps: u32,
    /// From the first to the last reading by the monotonic clock, ns.
    pub took_ns: u64,
    /// Frames that came in at the taps, counted within the time of `dropped`.
    pub received_within: u64,
    /// Frames that the taps' seals dropped on their way in.
    pub dropped: u64,
    /// Frames that came in at the taps, counted around the time of `dropped`.
    pub received_around: u64,
    /// Frames that the guests took from their taps: the kernel counts a frame when it is taken.
    pub sent: u64,
}

/// ARP requests that the host itself sent into the tenant's bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbesMeasured {
    /// Requests that were sent.
    pub requests: u32,
    /// Taps on the bridge, to each of which each request was going.
    pub taps: u32,
    /// By how much the drop counter of the cut table grew meanwhile; other cut tenants' frames are
    /// in it as well.
    pub dropped: u64,
    /// Frames that the guests took from their taps meanwhile.
    pub sent: u64,
}

/// Frames that a tap holds for its guest: those were on their way before the cut, and the guest may
/// still take them.
const TAP_QUEUE: u64 = 1_000;

/// Frames that guests may take from so many taps although nothing passes to them any more.
const fn queued(taps: u32) -> u64 {
    TAP_QUEUE.saturating_mul(taps as u64)
}

impl StructureMeasured {
    fn holds(&self) -> bool {
        self.in_force && self.digest == self.wanted
    }
}

impl ConservationMeasured {
    /// A frame is dropped before its tap counts it: one of each tap may be between the two.
    const fn holds(&self) -> bool {
        let between = self.taps as u64;
        self.sent <= queued(self.taps)
            && self.received_within <= self.dropped.saturating_add(between)
            && self.dropped <= self.received_around.saturating_add(between)
    }
}

impl ProbesMeasured {
    const fn holds(&self) -> bool {
        let wanted = (self.requests as u64).saturating_mul(self.taps as u64);
        self.sent <= queued(self.taps) && self.dropped >= wanted
    }
}

impl CutProof {
    /// Whether nothing that was measured speaks against the cut.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.structure.measured().is_none_or(StructureMeasured::holds)
            && self.conservation.measured().is_none_or(ConservationMeasured::holds)
            && self.probes.measured().is_none_or(ProbesMeasured::holds)
    }

    /// Whether the cut is proved by all three ways.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.holds()
            && self.structure.measured().is_some()
            && self.conservation.measured().is_some()
            && self.probes.measured().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_alone_speaks_against_a_cut_and_none_for_it_that_was_not_measured() {
        let digest = Digest::of(b"rules");
        let structure = StructureMeasured { digest, wanted: digest, in_force: true };
        let conservation = ConservationMeasured {
            taps: 2,
            took_ns: 1,
            received_within: 80,
            dropped: 81,
            received_around: 82,
            sent: 0,
        };
        let probes = ProbesMeasured { requests: 3, taps: 2, dropped: 6, sent: 0 };
        let good = CutProof {
            at: Timestamp::from_unix_ms(0),
            structure: Fact::Measured(structure),
            conservation: Fact::Measured(conservation),
            probes: Fact::Measured(probes),
        };
        assert!(good.is_whole());
        let dormant = Fact::Measured(StructureMeasured { in_force: false, ..structure });
        let other = StructureMeasured { digest: Digest::of(b"accept"), ..structure };
        let leaks = |received_within, received_around, sent| {
            let measured =
                ConservationMeasured { received_within, received_around, sent, ..conservation };
            CutProof { conservation: Fact::Measured(measured), ..good.clone() }
        };
        let probed = |dropped, sent| {
            let measured = ProbesMeasured { dropped, sent, ..probes };
            CutProof { probes: Fact::Measured(measured), ..good.clone() }
        };
        for bad in [
            CutProof { structure: dormant, ..good.clone() },
            CutProof { structure: Fact::Measured(other), ..good.clone() },
            leaks(84, 90, 0),
            leaks(10, 78, 0),
            leaks(80, 82, 2_001),
            probed(5, 0),
            probed(6, 2_001),
        ] {
            assert!(!bad.holds(), "{bad:?}");
        }
        assert!(leaks(80, 82, 2_000).holds() && probed(6, 2_000).holds(), "queued before the cut");
        assert!(leaks(83, 90, 0).holds() && leaks(70, 79, 0).holds(), "one of each tap");
        let reason = "why".to_owned();
        let part = CutProof { probes: Fact::NotProvable { reason }, ..good };
        assert!(part.holds() && !part.is_whole());
    }
}
