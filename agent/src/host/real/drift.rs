//! What others did to the packet filter and the devices: found, mended, and told.
//!
//! ```text
//!   cut lane   Guard   the cut table, its taps, its cuts
//!   patrol     Patrol  the policy table, bridges and taps
//! ```
//!
//! The two share no lock but for a moment: a cut never waits for a policy that is being replaced.

use std::{collections::BTreeSet, io::ErrorKind, path::Path};

use tenure_protocol::{
    digest::Digest,
    evidence::predicate::cut_proof::CutProof,
    wire::v1::{AlarmKind, Culprit, Mark},
};

use super::{RealHost, RealHostFailure, nft};
use crate::{
    core::{
        drift::Drift,
        ruleset::{CUT_TABLE, ListKey, POLICY_TABLE, TapName},
        step::HostFailure,
    },
    file,
    host::{
        nft::{Altered, Mended, NftFailure, PolicyTable, Ways},
        tap::{self, Device, DeviceKind},
    },
};

/// The policy table, and what was found on it and is not told yet.
#[derive(Debug)]
pub(super) struct Policy {
    table: PolicyTable,
    found: Option<Drift>,
}

impl Policy {
    pub(super) const fn new(table: PolicyTable) -> Self {
        Self { table, found: None }
    }

    /// Replaces the table. What others did to it before is told by the next [`Self::mend`].
    pub(super) fn replace(&mut self, text: &str) -> Result<(), NftFailure> {
        // The replacement would hide it.
        if let Err(error) = self.look() {
            tracing::warn!(%error, "the policy table cannot be looked at before it is replaced");
        }
        self.table.replace(text)
    }

    /// Digest of the text that the kernel has in force, if it is the one that was put there.
    pub(super) fn in_force(&mut self) -> Result<Option<Digest>, NftFailure> {
        self.look()?;
        Ok(self.table.in_force())
    }

    /// Puts what others changed in order again, and says what it was.
    pub(super) fn mend(&mut self) -> Result<Option<Drift>, NftFailure> {
        self.look()?;
        let Some(found) = self.found.take() else { return Ok(None) };
        if self.table.in_force().is_none()
            && let Err(error) = self.table.repair()
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the policy table cannot be put in order");
        }
        let repaired = self.table.in_force().is_some();
        Ok(Some(Drift { repaired, ..found }))
    }

    fn look(&mut self) -> Result<(), NftFailure> {
        if let Some(Altered { what, culprit }) = self.table.check()? {
            // The first sight of it knows best who it was.
            self.found.get_or_insert(changed(POLICY_TABLE, what, culprit));
        }
        Ok(())
    }
}

/// From what this host numbers lists of rules: kept, so that a start of the agent gives each list
/// the number that it has in the kernel, and no frame finds it missing meanwhile.
pub(super) fn list_key(path: &Path) -> Result<ListKey, RealHostFailure> {
    let mut key = ListKey::default();
    match file::read_limited(path, key.0.len() as u64).map(<[u8; 32]>::try_from) {
        Ok(Ok(kept)) => return Ok(ListKey(kept)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Ok(Err(_)) | Err(_) => {
            let path = path.display();
            tracing::warn!(%path, "no key of lists can be read: a new one gives them new numbers");
        }
    }
    getrandom::fill(&mut key.0).map_err(RealHostFailure::Random)?;
    file::replace(path, &key.0, None)?;
    Ok(key)
}

fn changed(table: &str, what: String, culprit: Option<Culprit>) -> Drift {
    Drift {
        kind: AlarmKind::PacketFilter,
        subject: format!("bridge {table}"),
        mark: None,
        what,
        culprit,
        repaired: false,
    }
}

impl RealHost {
    /// The cut table: made anew if it was changed, with these cuts and its taps in it. A table that
    /// is new with the host's start has lost nothing. Where the table cannot be looked at, the cuts
    /// are asserted all the same.
    pub(super) fn guard(&self, wanted: &BTreeSet<Mark>) -> Result<Vec<Drift>, HostFailure> {
        let mut cuts = self.cuts();
        let mut drifts = Vec::new();
        let mended = match cuts.table.mend() {
            Ok(Mended::Anew { what, culprit }) => {
                drifts.push(Drift { repaired: true, ..changed(CUT_TABLE, what, culprit) });
                Ok(())
            }
            Ok(Mended::Intact) => Ok(()),
            Err(failure) => Err(failure),
        };
        let seen = cuts.table.read_back();
        let has = |mark: &Mark| seen.as_ref().is_ok_and(|state| state.cut.contains(mark));
        let lost: BTreeSet<Mark> = wanted.iter().filter(|mark| !has(mark)).copied().collect();
        let asserted = if lost.is_empty() { Ok(()) } else { cuts.table.cut_all(&lost).map(drop) };
        if seen.is_ok() && (!cuts.fresh || asserted.is_err()) {
            drifts.extend(lost.iter().map(|mark| Drift::not_cut(*mark, asserted.is_ok())));
        }
        cuts.fresh = false;
        let state = seen.map_err(nft)?;
        let missing = |tap: &TapName, mark: &Mark| state.ports.get(tap.as_str()) != Some(mark);
        let taps: Vec<(TapName, Mark)> = cuts
            .taps
            .iter()
            .filter(|(tap, mark)| missing(tap, mark))
            .map(|(tap, mark)| (tap.clone(), *mark))
            .collect();
        for (tap, mark) in &taps {
            cuts.table.enlist(tap, *mark).map_err(nft)?;
        }
        if !taps.is_empty() && drifts.is_empty() {
            let what = format!("{} taps were not in it, or not as their tenant's", taps.len());
            drifts.push(Drift { repaired: true, ..changed(CUT_TABLE, what, None) });
        }
        for failure in mended.err().into_iter().chain(asserted.err()) {
            let error = &failure as &dyn std::error::Error;
            tracing::error!(error, "the cut table is not as it should be");
        }
        Ok(drifts)
    }

    /// The policy table and the devices.
    pub(super) fn patrol(&self) -> Result<Vec<Drift>, HostFailure> {
        let policy = self.policy().mend().map_err(nft)?;
        let mut drifts: Vec<Drift> = policy.into_iter().collect();
        drifts.extend(self.missing_devices()?);
        Ok(drifts)
    }

    /// Taps that were made and are not as they were. What is there is plugged in again; what is
    /// gone, the instance's process has lost, and only a new start gives it another.
    fn missing_devices(&self) -> Result<Vec<Drift>, HostFailure> {
        let marks = self.cuts().taps.clone();
        // Held until the end, so that nobody takes a tap away meanwhile that is then missed.
        let mut devices = self.devices();
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let there = tap::list().map_err(|error| HostFailure::of("links", &error))?;
        let up = |bridge: &String| {
            there.iter().any(|one| one.kind == DeviceKind::Bridge && one.name == *bridge && one.up)
        };
        let mut drifts = Vec::new();
        let mut gone = Vec::new();
        for (tap, bridge) in devices.iter() {
            let device = there.iter().find(|device| device.name == tap.as_str());
            let what =
                match device {
                    None => "the tap is gone: stop and start its instance, which has no network",
                    Some(Device {
                        kind: DeviceKind::Tap { bridge: Some(of) }, up: true, ..
                    }) if of == bridge && up(bridge) => continue,
                    Some(Device { up: false, .. }) => "the tap was down",
                    Some(_) => "the tap was not plugged into its tenant's bridge, or that was down",
                };
            let repaired = device.is_some()
                && tap::plug(tap, bridge)
                    .inspect_err(|error| tracing::error!(%tap, %error, "a tap stays as it is"))
                    .is_ok();
            if device.is_none() {
                gone.push(tap.clone());
            }
            drifts.push(Drift {
                kind: AlarmKind::DeviceMissing,
                subject: tap.as_str().to_owned(),
                mark: marks.get(tap).copied(),
                what: what.to_owned(),
                culprit: None,
                repaired,
            });
        }
        // Told once: it is made again with its instance's next start.
        devices.retain(|tap, _| !gone.contains(tap));
        Ok(drifts)
    }

    /// Whether a tenant's cut holds.
    pub(super) fn prove(&self, mark: Mark) -> Result<CutProof, HostFailure> {
        let bridges = self.devices().clone();
        let mut cuts = self.cuts();
        let mut ways = Ways {
            taps: BTreeSet::new(),
            bridge: None,
            past: Vec::new(),
            no_seal: cuts.no_seal.clone(),
        };
        let of_mark = cuts.taps.iter().filter(|(tap, of)| **of == mark && tap::exists(tap));
        for (tap, _) in of_mark {
            match tap::find(tap).map_err(|error| HostFailure::of("links", &error))? {
                Some(Device {
                    kind: DeviceKind::Tap { bridge: Some(bridge) }, up: true, ..
                }) => {
                    ways.taps.insert(tap.clone());
                    ways.bridge.get_or_insert(bridge);
                }
                // It is being made, and not up yet: nothing passes it.
                Some(Device { up: false, .. }) if !bridges.contains_key(tap) => {}
                Some(_) | None => ways.past.push(tap.as_str().to_owned()),
            }
        }
        cuts.table.prove(mark, &ways).map_err(nft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_lists_stays_the_same_and_one_that_is_damaged_is_made_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lists.key");
        let key = || list_key(&path).expect("a key");
        let first = key();
        assert_ne!(first, ListKey::default());
        assert_eq!(key(), first);
        for damaged in [&[7; 31][..], &[7; 33]] {
            file::replace(&path, damaged, None).expect("written");
            let other = key();
            assert_ne!(other, first);
            assert_eq!(key(), other);
        }
    }
}
