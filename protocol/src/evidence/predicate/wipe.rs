//! What the three kinds of wipes share: account, passes, read-backs and the attestation itself.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Conclusion, NotMeasured, Origin, Run, Span, Target};
use crate::digest::Digest;

/// What no signature of a host can rule out. It stands in each statement of a wipe.
pub const TRUST_BOUNDARY: &str = "Signed by the host's own key on the host's own measurements. \
    Whoever has root on a host with a genuine key can state what was not so; the statement rules \
    out everybody else, and every later change.";

/// What a pass writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// An incompressible stream, keyed by the order's nonce and stamped with the position.
    Stream,
    /// Zeros.
    Zeros,
}

/// One overwriting of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pass {
    /// What was written.
    pub pattern: Pattern,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes that could not be written.
    pub error_bytes: u64,
    /// When.
    pub span: Span,
}

/// How much a read-back reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadMode {
    /// Every byte.
    Full,
    /// A sample.
    Sampled,
}

/// Where a read-back reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadLayer {
    /// The block device under the file system, at the extents' physical addresses.
    BlockDevice,
    /// The file, through its file system.
    File,
    /// The pages of a memory file.
    Memory,
}

/// One reading back of what a pass wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadBack {
    /// Which pattern it looked for.
    pub pattern: Pattern,
    /// How much.
    pub mode: ReadMode,
    /// Where.
    pub layer: ReadLayer,
    /// Whether it bypassed the page cache (`O_DIRECT`).
    pub direct: bool,
    /// Bytes read.
    pub bytes: u64,
    /// Of these, bytes that were not the pattern.
    pub mismatched_bytes: u64,
    /// Bytes that could not be read.
    pub unreadable_bytes: u64,
    /// When.
    pub span: Span,
}

impl ReadBack {
    /// Whether nothing else than its pattern was found, and nothing was unreadable.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.mismatched_bytes == 0 && self.unreadable_bytes == 0
    }
}

/// Proof that nothing else wrote to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Writers {
    /// Whether the instance's process was proven dead (pidfd), or was never started on this host
    /// since its boot.
    pub vmm_dead: bool,
    /// Descriptors of other processes on the target that were still open.
    pub open_files: u32,
    /// Mappings of the target in other processes.
    pub mappings: u32,
}

impl Writers {
    /// Whether all were gone.
    #[must_use]
    pub const fn are_gone(&self) -> bool {
        self.vmm_dead && self.open_files == 0 && self.mappings == 0
    }
}

/// A part of a device that firmware describes. Its word, not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceReported {
    /// Which device: `major:minor`.
    pub device: String,
    /// Model.
    pub model: Option<String>,
    /// Serial number or WWN.
    pub serial: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// Whether it rotates.
    pub rotational: Option<bool>,
    /// Such as `write back`.
    pub write_cache: Option<String>,
}

/// What the controller's inventory says of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claimed {
    /// Size, bytes.
    pub size_bytes: u64,
}

/// Facts from which a wipe's conclusion follows.
pub trait Measured: Serialize + DeserializeOwned {
    /// What remains possible even after a pass, whatever was measured.
    const RESIDUAL_RISKS: &'static [&'static str];

    /// What these facts amount to. The only source of a conclusion.
    fn conclude(&self) -> Conclusion;
}

/// All that the agent knows about one wipe: what [`Wipe::new`] makes an attestation of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WipeAccount<M> {
    /// Where it comes from.
    pub origin: Origin,
    /// Which run.
    pub run: Run,
    /// Digest of the envelope with this run's intent.
    pub intent: Digest,
    /// What was to be destroyed.
    pub target: Target,
    /// What this process measured in this run.
    pub measured: M,
    /// What firmware said.
    pub device_reported: Vec<DeviceReported>,
    /// What the inventory says.
    pub claimed: Claimed,
    /// What nobody measured.
    pub not_measured: Vec<NotMeasured>,
}

/// The attestation of one wipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound = "M: Measured")]
pub struct Wipe<M> {
    /// Where it comes from.
    pub origin: Origin,
    /// Which run.
    pub run: Run,
    /// Digest of the envelope with this run's intent.
    pub intent: Digest,
    /// What was to be destroyed.
    pub target: Target,
    /// What this process measured in this run.
    pub measured: M,
    /// What firmware said.
    pub device_reported: Vec<DeviceReported>,
    /// What the inventory says.
    pub claimed: Claimed,
    /// What nobody measured.
    pub not_measured: Vec<NotMeasured>,
    conclusion: Conclusion,
    residual_risks: Vec<String>,
    trust_boundary: String,
}

impl<M: Measured> Wipe<M> {
    /// Concludes from what was measured.
    #[must_use]
    pub fn new(account: WipeAccount<M>) -> Self {
        Self {
            conclusion: account.measured.conclude(),
            residual_risks: M::RESIDUAL_RISKS.iter().map(|&risk| risk.to_owned()).collect(),
            trust_boundary: TRUST_BOUNDARY.to_owned(),
            origin: account.origin,
            run: account.run,
            intent: account.intent,
            target: account.target,
            measured: account.measured,
            device_reported: account.device_reported,
            claimed: account.claimed,
            not_measured: account.not_measured,
        }
    }

    pub(super) fn dishonesty(&self) -> Option<String> {
        let computed = self.measured.conclude();
        let lie = self.conclusion.dishonesty(&computed);
        if lie.is_some() {
            return lie;
        }
        if self.residual_risks.is_empty() || self.trust_boundary.is_empty() {
            return Some("it does not state its residual risks and trust boundary".to_owned());
        }
        self.run.dishonesty()
    }
}

impl<M> Wipe<M> {
    /// What it concludes.
    #[must_use]
    pub const fn conclusion(&self) -> &Conclusion {
        &self.conclusion
    }
}
