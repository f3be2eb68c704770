//! `network-cut`: a tenant's traffic on one host, cut or let pass again.

use serde::{Deserialize, Serialize};

use super::{
    NotMeasured, Origin,
    cut_proof::CutProof,
    local_order::{LocalAct, LocalOrder},
};
use crate::{id::CutId, time::Timestamp};

/// The attestation of a cut or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkCut {
    /// Where it comes from.
    pub origin: Origin,
    /// Which cut.
    pub cut: CutId,
    /// What was ordered.
    pub direction: Direction,
    /// Who ordered it, if it was a person on the host itself: the order of the origin is that one
    /// then, and none of the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalOrder>,
    /// What this process measured.
    pub measured: NetworkCutMeasured,
    /// What nobody measured.
    pub not_measured: Vec<NotMeasured>,
    in_force: bool,
}

/// Which way a tenant's isolation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// All traffic is stopped.
    Cut,
    /// Traffic may pass again.
    Restore,
}

/// What was measured of a change of the packet filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkCutMeasured {
    /// The tenant's mark in the packet filter.
    pub mark: u32,
    /// Read before the request was sent to the kernel.
    pub earliest: Timestamp,
    /// Read after its acknowledgement.
    pub latest: Timestamp,
    /// Between the two by the monotonic clock, ns.
    pub took_ns: u64,
    /// Whether the kernel, asked again afterwards, has the mark among those that are cut; nothing
    /// if it was not asked.
    pub cut_read_back: Option<bool>,
    /// What was measured of the taps' own seal; absent if it was not: then `notMeasured` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealMeasured>,
    /// What was measured to prove that a cut holds; a restore has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<CutProof>,
}

/// What was measured of the second stage of a cut, a moment after the first: the seal drops frames
/// at the tenant's taps themselves, so also those that a bridge's packet filter never sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealMeasured {
    /// Read after the kernel's answer.
    pub at: Timestamp,
    /// Taps of the tenant that were on the host.
    pub taps: u32,
    /// Taps among them at which the kernel, asked again afterwards, drops every frame in both
    /// directions.
    pub sealed_read_back: u32,
}

impl NetworkCut {
    /// Concludes from what was measured.
    #[must_use]
    pub fn new(
        origin: Origin,
        cut: CutId,
        direction: Direction,
        measured: NetworkCutMeasured,
        not_measured: Vec<NotMeasured>,
    ) -> Self {
        let in_force = measured.shows(direction);
        Self { origin, cut, direction, local: None, measured, not_measured, in_force }
    }

    /// The same, as a person ordered it on the host itself.
    #[must_use]
    pub fn ordered_locally(mut self, order: LocalOrder) -> Self {
        self.local = Some(order);
        self
    }

    /// What the digest of a local order is about.
    #[must_use]
    pub const fn act(&self) -> LocalAct {
        let Origin { order, tenant, host, .. } = &self.origin;
        let (tenant, host, cut, direction) = (*tenant, *host, self.cut, self.direction);
        LocalAct { id: order.id, tenant, host, cut, direction }
    }

    /// Whether the kernel was seen to do what was ordered.
    #[must_use]
    pub const fn in_force(&self) -> bool {
        self.in_force
    }

    pub(super) fn dishonesty(&self) -> Option<String> {
        if self.in_force != self.measured.shows(self.direction) {
            return Some("what it states about the cut is not what it measured".to_owned());
        }
        let local = self.local.as_ref()?;
        if let Some(fault) = local.fault() {
            return Some(fault.to_owned());
        }
        (local.digest(&self.act()) != self.origin.order.digest)
            .then(|| "the local order that it states is not the one that its origin names".into())
    }

    /// What a statement on a local order proves, in words.
    pub(super) fn proves(&self) -> Option<String> {
        let local = self.local.as_ref()?;
        let what = match self.direction {
            Direction::Cut => "a cut",
            Direction::Restore => "an end of a cut",
        };
        let done = if self.in_force { "was seen in force" } else { "was not seen in force" };
        let named = local.by.as_ref().map_or_else(String::new, |by| {
            format!(", who gave the name {by:?}, which nobody checked")
        });
        Some(format!(
            "{what} that no controller ordered: by the host's own word, the login {:?} (user \
             {}){named} ordered it on the host at {} with the reason {:?}; it {done}",
            local.login, local.uid, local.at, local.reason
        ))
    }
}

impl NetworkCutMeasured {
    /// A cut is in force by its first stage alone, and is ended when neither stage is left. What
    /// the proof found stands beside it, and is no condition: a proof that goes wrong must not
    /// undo a cut.
    fn shows(&self, direction: Direction) -> bool {
        let seal_fits = self.seal.as_ref().is_none_or(|seal| match direction {
            Direction::Cut => seal.sealed_read_back <= seal.taps,
            Direction::Restore => seal.sealed_read_back == 0,
        });
        self.mark != 0
            && self.earliest <= self.latest
            && self.cut_read_back == Some(direction == Direction::Cut)
            && seal_fits
    }
}
