//! `device-sanitize`: a whole disk that leaves service, erased by its own firmware.
//!
//! Nothing outside a disk can see what its firmware erases. What a host can see is what the disk
//! *does* once it is told to: that is measured, and the conclusion rests on it. What the disk says
//! of itself (capabilities, sizes, the raw status pages) stands apart, as reported.
//!
//! ```text
//! Proof::Status    before ── command ──▶ in progress … or a changed word ──▶ completed
//! Proof::Answer    command sent ──▶ the same command's own answer, one for each part
//! Proof::Security  disarmed ──▶ armed (password set) ── command ──▶ disarmed
//! ```
//!
//! A status of "completed" alone is no proof: it may be of last year.

use serde::{Deserialize, Serialize};

use super::{
    Conclusion, Ending, NotMeasured, Span,
    conclusion::{Category, Findings},
    device::{self, Attempt, Device, DeviceOrigin, Method, Part, Proof},
    wipe::TRUST_BOUNDARY,
};
use crate::{digest::Digest, time::Timestamp};

/// Most sightings that a statement holds: the first of each state, and the last.
pub const MAX_SIGHTINGS: usize = 64;

/// What remains possible even after a pass.
const RESIDUAL_RISKS: &[&str] = &[
    "The erasure is the work of the disk's firmware, which nobody outside it can examine; a \
     firmware with a fault can report an erasure that it did not do.",
    "Areas that no command of the interface reaches (spare blocks of a method that is no sanitize \
     operation, protected areas of the firmware) are the firmware's own affair.",
];

/// How a run on a device ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// The device said that it is done.
    Done,
    /// It refused a command.
    Refused,
    /// It said that the erasure failed.
    Failed,
    /// It did not end within the limit.
    TimedOut,
    /// It does not answer any more.
    Lost,
}

/// What a device's status was seen to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No erasure is under way, none has ended, or nobody can tell which.
    Idle,
    /// An erasure is under way.
    InProgress,
    /// The last one completed: this one's, or last year's.
    Completed,
    /// The last one failed.
    Failed,
    /// An ATA disk has a password set.
    Armed,
    /// An ATA disk has none.
    Disarmed,
}

/// One look at a device's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// What it said.
    pub state: State,
    /// How far it was, parts per million, if it said so.
    pub progress_ppm: Option<u32>,
    /// The words that the state is read from. NVMe: SSTAT × 2^32 + SCDW10 of log page 81h; ATA:
    /// word 128 of IDENTIFY DEVICE; SCSI: sense key × 2^16 + ASC × 2^8 + ASCQ.
    pub word: u64,
}

/// Global Data Erased in [`Sighting::word`] of NVMe (bit 8 of SSTAT): nothing was written since the
/// last operation.
const DATA_ERASED: u64 = 1 << 40;

impl Sighting {
    /// Whether it shows an erasure that ended since `before`. That the device's data are not all
    /// erased any more is no such thing: it says that somebody wrote.
    #[must_use]
    pub const fn is_new_after(&self, before: &Self) -> bool {
        let wrote = before.word & DATA_ERASED != 0 && self.word & DATA_ERASED == 0;
        let mask = if wrote { !DATA_ERASED } else { u64::MAX };
        before.word & mask != self.word & mask
    }

    /// Whether, by an NVMe device's word, nothing was written since the erasure that it names.
    #[must_use]
    pub const fn is_unwritten_since(&self) -> bool {
        self.word & DATA_ERASED != 0
    }
}

/// A command that erases, and its own answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Commanded {
    /// The part that it was sent to.
    pub unit: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was answered, or given up.
    pub answered_at: Timestamp,
    /// Between the two by the monotonic clock, ns.
    pub took_ns: u64,
    /// Whether it was answered with success.
    pub accepted: bool,
    /// The answer, in words.
    pub answer: String,
}

/// The same places, read before and after. No content of a disk is told, and no digest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    /// Places read, all over the disk.
    pub places: u32,
    /// Bytes of each.
    pub place_bytes: u32,
    /// Places that held more than one value before, and hold the same bytes after.
    pub unchanged: u32,
    /// Places that hold one value alone after.
    pub uniform: u32,
    /// Places that could not be read after; a sanitized disk may refuse reads.
    pub unreadable: u32,
}

/// What was measured while a disk was told to erase itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceSanitizeMeasured {
    /// How the run ended.
    pub stop: Stop,
    /// From the intent to the end.
    pub span: Span,
    /// Times that the process or the host ended meanwhile, and the run was taken up again.
    pub interruptions: u32,
    /// Its status before the first command of this run; nothing where a method needs none.
    pub before: Option<Sighting>,
    /// The commands that erase, in their order. Without those whose answers nobody saw, because the
    /// process ended.
    pub commands: Vec<Commanded>,
    /// Its status since the first command.
    pub sightings: Vec<Sighting>,
    /// Whether the same disk, by model and serial number, answered at the end.
    pub same_device: bool,
    /// Bytes of the device that belong to no part, and that a method by parts does not reach.
    pub outside_bytes: u64,
    /// What reading it showed, if it was read before and after.
    pub sample: Option<Sample>,
}

/// What a disk says of itself: its word, not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceWord {
    /// Methods that it says it has.
    pub methods: Vec<Method>,
    /// Its capacity, bytes, if it says.
    pub capacity_bytes: Option<u64>,
    /// How long it says that the method takes, s, if it says.
    pub estimate_s: Option<u64>,
    /// The raw status page before the command, hex.
    pub status_before: Option<String>,
    /// The last raw status page, hex.
    pub status_after: Option<String>,
}

/// All that a host knows about one run on a disk: what [`DeviceSanitize::new`] states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SanitizeAccount {
    /// Where it comes from.
    pub origin: DeviceOrigin,
    /// The disk.
    pub device: Device,
    /// Which run.
    pub attempt: Attempt,
    /// Digest of the envelope with this run's intent.
    pub intent: Digest,
    /// How.
    pub method: Method,
    /// All that was to be destroyed.
    pub parts: Vec<Part>,
    /// What this process measured.
    pub measured: DeviceSanitizeMeasured,
    /// What the disk said of itself.
    pub device_reported: DeviceWord,
    /// What nobody measured.
    pub not_measured: Vec<NotMeasured>,
}

/// The attestation of one run on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceSanitize {
    /// Where it comes from.
    pub origin: DeviceOrigin,
    /// The disk.
    pub device: Device,
    /// Which run.
    pub attempt: Attempt,
    /// Digest of the envelope with this run's intent.
    pub intent: Digest,
    /// How.
    pub method: Method,
    /// All that was to be destroyed.
    pub parts: Vec<Part>,
    /// What this process measured.
    pub measured: DeviceSanitizeMeasured,
    /// What the disk said of itself.
    pub device_reported: DeviceWord,
    /// What nobody measured.
    pub not_measured: Vec<NotMeasured>,
    conclusion: Conclusion,
    residual_risks: Vec<String>,
    trust_boundary: String,
}

impl DeviceSanitize {
    /// Concludes from what was measured.
    #[must_use]
    pub fn new(account: SanitizeAccount) -> Self {
        Self {
            conclusion: account.measured.conclude(account.method, &account.parts),
            residual_risks: RESIDUAL_RISKS.iter().map(|&risk| risk.to_owned()).collect(),
            trust_boundary: TRUST_BOUNDARY.to_owned(),
            origin: account.origin,
            device: account.device,
            attempt: account.attempt,
            intent: account.intent,
            method: account.method,
            parts: account.parts,
            measured: account.measured,
            device_reported: account.device_reported,
            not_measured: account.not_measured,
        }
    }

    /// What it concludes.
    #[must_use]
    pub const fn conclusion(&self) -> &Conclusion {
        &self.conclusion
    }

    pub(super) fn dishonesty(&self) -> Option<String> {
        let computed = self.measured.conclude(self.method, &self.parts);
        let lie = self.conclusion.dishonesty(&computed);
        if lie.is_some() {
            return lie;
        }
        if self.residual_risks.is_empty() || self.trust_boundary.is_empty() {
            return Some("it does not state its residual risks and trust boundary".to_owned());
        }
        if self.measured.sightings.len() > MAX_SIGHTINGS {
            return Some("it tells of more looks at the status than a statement holds".to_owned());
        }
        device::fault(&self.origin, &self.device, self.attempt, self.method, &self.parts)
    }
}

impl DeviceSanitizeMeasured {
    /// What these facts amount to. The only source of a conclusion.
    #[must_use]
    pub fn conclude(&self, method: Method, parts: &[Part]) -> Conclusion {
        let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.size_bytes));
        let mut found = Findings::new(Ending::Completed, total);
        let stopped = match self.stop {
            Stop::Done => None,
            Stop::Refused => Some("the device refused a command"),
            Stop::Failed => Some("the device said that the erasure failed"),
            Stop::TimedOut => Some("the device did not end within the limit"),
            Stop::Lost => Some("the device does not answer any more"),
        };
        found.require(stopped.is_none(), || stopped.unwrap_or_default().to_owned());
        found.require(self.same_device, || {
            "the same device, by model and serial number, did not answer at the end".to_owned()
        });
        found.require(self.commands.iter().all(|command| command.accepted), || {
            "a command was not answered with success".to_owned()
        });
        let (category, basis) = match method.proof() {
            Proof::Status => {
                self.require_transition(method, &mut found);
                (Category::Purge, "the device's sanitize operation, seen under way and at its end")
            }
            Proof::Answer => {
                self.require_answers(parts, &mut found);
                (Category::Clear, "each part's own erasing command, answered as done (clear)")
            }
            Proof::Security => {
                self.require_security(&mut found);
                (Category::Clear, "the erasing command, seen to take back the password (clear)")
            }
        };
        if let Some(sample) = &self.sample {
            found.require(sample.unchanged == 0, || {
                format!("{} places hold after it what they held before", sample.unchanged)
            });
        }
        found.conclude_as(category, basis)
    }

    /// What the firmware did after the command: under way or changed, then at its end.
    fn require_transition(&self, method: Method, found: &mut Findings) {
        let last = self.sightings.last();
        let under_way = self.sightings.iter().any(|seen| seen.state == State::InProgress);
        let changed = match (&self.before, last) {
            (Some(before), Some(last)) => last.is_new_after(before),
            (None, _) | (_, None) => false,
        };
        found.require(under_way || changed, || {
            "the device reported nothing new after the command: neither an erasure under way, nor \
             another status than before"
                .to_owned()
        });
        // A run that was cut short may be taken up long after its erasure.
        let unwritten = last.is_some_and(Sighting::is_unwritten_since);
        found.require(under_way || unwritten, || {
            "the erasure was not seen under way, and the device says that it was written to since, \
             or does not say that it was not"
                .to_owned()
        });
        let ended = match method.sanitize_action() {
            // A SCSI unit only says that nothing is under way any more: that must have been seen.
            None => last.is_some_and(|seen| seen.state == State::Completed) && under_way,
            Some(action) => last.is_some_and(|seen| {
                seen.state == State::Completed && seen.word & 7 == u64::from(action)
            }),
        };
        found.require(ended, || {
            "the device was not seen to complete an erasure by this method".to_owned()
        });
        found.require(!self.commands.is_empty() || self.interruptions > 0, || {
            "no command was sent".to_owned()
        });
    }

    fn require_answers(&self, parts: &[Part], found: &mut Findings) {
        let done = |part: &&Part| {
            self.commands.iter().any(|command| command.unit == part.unit && command.accepted)
        };
        let covered = parts.iter().filter(done);
        found.cover(covered.fold(0, |sum, part| sum.saturating_add(part.size_bytes)));
        found.require(parts.iter().all(|part| done(&part)), || {
            "not every part has a command that the device answered as done".to_owned()
        });
        found.expect(self.outside_bytes == 0, || {
            format!("{} bytes of the device belong to no part", self.outside_bytes)
        });
    }

    fn require_security(&self, found: &mut Findings) {
        let armed = self.sightings.iter().position(|seen| seen.state == State::Armed);
        found.require(armed.is_some(), || "the password was not seen to be set".to_owned());
        let last = self.sightings.last().map(|seen| seen.state);
        found.require(last == Some(State::Disarmed), || {
            "the erasure was not seen to take back the password".to_owned()
        });
        found.require(!self.commands.is_empty(), || {
            "no command's own answer says that it is done".to_owned()
        });
    }
}
