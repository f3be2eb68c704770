//! Steps: what a plan is made of, and the one trait that carries them out.
//!
//! A step names its whole effect, and doing it again is harmless: after a crash the plan is made
//! again from what is observed, or the same step is performed again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{
        KeyErasureMeasured, MediaWipeMeasured, MemoryWipeMeasured, NotMeasured,
        cut_proof::CutProof, network_cut::SealMeasured, wipe::DeviceReported,
    },
    id::{InstanceId, TenantId, VolumeId},
    wire::v1::{CommitInterval, InstanceWanted, Mark, Network},
};

use super::{anomaly::Sample, drift::Drift, observed::Observed, ruleset::TapName};

/// One thing to do on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Drop all traffic of a mark at once. Cut lane.
    Cut {
        /// The tenant's mark.
        mark: Mark,
    },
    /// Drop all traffic of several marks at once, in one transaction. Cut lane.
    CutAll {
        /// The tenants' marks.
        marks: BTreeSet<Mark>,
    },
    /// Let the traffic of a mark pass again; its seal goes in the same transaction. Cut lane.
    Restore {
        /// The tenant's mark.
        mark: Mark,
    },
    /// The second stage of a cut: seal the taps of a mark that is cut, and none of one that is not
    /// ([`super::seal`]). Cut lane.
    Seal {
        /// The tenant's mark.
        mark: Mark,
    },
    /// Measure whether a mark's cut holds. Cut lane.
    Prove {
        /// The tenant's mark.
        mark: Mark,
    },
    /// See that the cut table is as it was made, that its taps are in it and that these marks are
    /// cut; mend what is not so. Cut lane.
    Guard {
        /// All marks that are to be cut.
        cut: BTreeSet<Mark>,
    },
    /// See that the policy table and the devices are as they were made, and mend what is not so.
    Patrol,
    /// Enter a tap in the cut table, before it goes up.
    Enlist {
        /// The tap's name.
        tap: TapName,
        /// Its tenant's mark.
        mark: Mark,
    },
    /// Take a tap out of the cut table, after it went away.
    Delist {
        /// The tap's name.
        tap: TapName,
    },
    /// Put a policy in force: by the elements that differ, or whole in one transaction.
    ApplyPolicy {
        /// Text for nft.
        text: String,
    },
    /// Make a tenant's bridge.
    EnsureBridge {
        /// Its name.
        bridge: String,
    },
    /// Make a tap on a bridge, up.
    EnsureTap {
        /// The tap's name.
        tap: TapName,
        /// The bridge's name.
        bridge: String,
    },
    /// Take a tap away.
    RemoveTap {
        /// The tap's name.
        tap: TapName,
    },
    /// Take a bridge away.
    RemoveBridge {
        /// The bridge's name.
        bridge: String,
    },
    /// Make an encrypted volume and its key. What an earlier try left of it is removed first.
    CreateVolume {
        /// Which.
        volume: VolumeId,
        /// Size that the guest sees, bytes.
        size_bytes: u64,
    },
    /// Start an instance: memory file, machine, volumes, network card.
    Start(Box<StartInstance>),
    /// Ask the guest to stop, then stop it; its memory file stays.
    Stop {
        /// Which.
        instance: InstanceId,
        /// How long the guest may take, ms.
        grace_ms: u64,
    },
    /// End an instance's process, and prove that it is dead. Already dead is well.
    Kill {
        /// Which.
        instance: InstanceId,
    },
    /// Destroy every copy of a volume's key, then overwrite the volume and read it back. The file
    /// stays.
    WipeVolume(VolumeWipe),
    /// Overwrite an instance's memory file and read it back. The file stays.
    WipeMemory(MemoryWipe),
    /// Remove a volume's file, once its wipe is on record.
    RemoveVolume {
        /// Which.
        volume: VolumeId,
    },
    /// Remove an instance's memory file and what else its process left, once that is on record.
    RemoveInstance {
        /// Which.
        instance: InstanceId,
    },
}

/// All that is needed to start one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartInstance {
    /// Whose.
    pub tenant: TenantId,
    /// The tenant's network.
    pub network: Network,
    /// The instance as it should be.
    pub wanted: InstanceWanted,
    /// Name of its tap, which is there.
    pub tap: TapName,
    /// The bridge that the tap is on.
    pub bridge: String,
}

/// The wipe of one volume and its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeWipe {
    /// Of which instance.
    pub instance: InstanceId,
    /// Which.
    pub volume: VolumeId,
    /// The order's nonce: seeds the pattern of the first pass.
    pub nonce: [u8; 32],
    /// Where an earlier run of the same attempt stopped, as it told.
    pub resume: Option<Vec<u8>>,
}

/// The wipe of one instance's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryWipe {
    /// Which.
    pub instance: InstanceId,
    /// The order's nonce: seeds the pattern of the first pass.
    pub nonce: [u8; 32],
    /// Where an earlier run of the same attempt stopped, as it told.
    pub resume: Option<Vec<u8>>,
}

impl Step {
    /// A name for logs and progress reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cut { .. } | Self::CutAll { .. } => "cut",
            Self::Restore { .. } => "restore",
            Self::Seal { .. } => "seal",
            Self::Prove { .. } => "prove",
            Self::Guard { .. } => "guard cut table",
            Self::Patrol => "patrol",
            Self::Enlist { .. } => "enlist tap",
            Self::Delist { .. } => "delist tap",
            Self::ApplyPolicy { .. } => "apply policy",
            Self::EnsureBridge { .. } => "make bridge",
            Self::EnsureTap { .. } => "make tap",
            Self::RemoveTap { .. } => "remove tap",
            Self::RemoveBridge { .. } => "remove bridge",
            Self::CreateVolume { .. } => "make volume",
            Self::Start(_) => "start instance",
            Self::Stop { .. } => "stop instance",
            Self::Kill { .. } => "kill instance",
            Self::WipeVolume(_) => "wipe volume",
            Self::WipeMemory(_) => "wipe memory",
            Self::RemoveVolume { .. } => "remove volume",
            Self::RemoveInstance { .. } => "remove instance",
        }
    }

    /// Whether what it does to a tenant's data cannot be undone. None of these is performed before
    /// the intent's receipt.
    #[must_use]
    pub const fn destroys(&self) -> bool {
        match self {
            Self::WipeVolume(_)
            | Self::WipeMemory(_)
            | Self::RemoveVolume { .. }
            | Self::RemoveInstance { .. } => true,
            Self::Cut { .. }
            | Self::CutAll { .. }
            | Self::Restore { .. }
            | Self::Seal { .. }
            | Self::Prove { .. }
            | Self::Guard { .. }
            | Self::Patrol
            | Self::Enlist { .. }
            | Self::Delist { .. }
            | Self::ApplyPolicy { .. }
            | Self::EnsureBridge { .. }
            | Self::EnsureTap { .. }
            | Self::RemoveTap { .. }
            | Self::RemoveBridge { .. }
            | Self::CreateVolume { .. }
            | Self::Start(_)
            | Self::Stop { .. }
            | Self::Kill { .. } => false,
        }
    }
}

/// What a step told when it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Performed {
    /// Nothing to tell.
    Done,
    /// A cut or restore was committed.
    Isolated {
        /// When.
        interval: CommitInterval,
        /// Whether the kernel, asked again, has the mark among those that are cut.
        read_back: Option<bool>,
    },
    /// Cuts of several marks were committed together.
    IsolatedAll {
        /// When.
        interval: CommitInterval,
        /// The marks that the kernel, asked again, has among those that are cut; nothing if it
        /// could not be asked.
        read_back: Option<BTreeSet<Mark>>,
    },
    /// The taps of a mark are sealed, or not, as it is cut or not.
    Sealed(SealMeasured),
    /// What was measured of a cut.
    Proved(CutProof),
    /// What a wipe measured.
    Wiped(Box<WipeFacts>),
    /// What was found not to be as it was made.
    Found(Vec<Drift>),
}

/// What a wipe measured, before the file is unlinked. Kept in the journal as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WipeFacts {
    /// Of a volume.
    Volume {
        /// Its blocks.
        media: Box<MediaWipeMeasured>,
        /// Its keys.
        key: KeyErasureMeasured,
        /// What firmware said of the devices under it.
        device_reported: Vec<DeviceReported>,
        /// What nobody measured.
        not_measured: Vec<NotMeasured>,
    },
    /// Of an instance's memory.
    Memory {
        /// Its memory file.
        memory: MemoryWipeMeasured,
        /// What nobody measured.
        not_measured: Vec<NotMeasured>,
    },
}

/// How far a long step is. `resume` is the step's own note to itself, kept in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProgress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Goes into the `resume` of the same step after a crash.
    pub resume: Vec<u8>,
}

/// A step that was tried and could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct HostFailure {
    /// Stable code, kebab-case.
    pub code: &'static str,
    /// What happened and what to do, with its causes.
    pub sentence: String,
}

impl HostFailure {
    /// A failure with its whole chain of sources in one sentence.
    #[must_use]
    pub fn of(code: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut sentence = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !sentence.contains(&text) {
                sentence = format!("{sentence}: {text}");
            }
            source = cause.source();
        }
        Self { code, sentence }
    }
}

/// What a plan is carried out on: the real host, or the fake one of tests. Called from several
/// threads at once; a cut must not wait for any other step.
pub trait Host: Send + Sync + std::fmt::Debug {
    /// What there is on the host.
    ///
    /// # Errors
    /// [`HostFailure`] if a part of it cannot be seen: nobody plans from half a picture.
    fn observe(&self) -> Result<Observed, HostFailure>;

    /// What is counted on the host. Nothing waits for it.
    ///
    /// # Errors
    /// [`HostFailure`] if nothing can be counted.
    fn sample(&self) -> Result<Sample, HostFailure>;

    /// Carries out one step. Long steps tell how far they are.
    ///
    /// # Errors
    /// [`HostFailure`]; the step may be performed again.
    fn perform(
        &self,
        step: &Step,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure>;
}
