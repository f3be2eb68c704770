//! From what a disk says of itself to what is done to it.

use serde::{Deserialize, Serialize};
use tenure_protocol::evidence::predicate::{
    NotMeasured,
    device::{Device, MAX_PARTS, Method, Part, Proof},
    device_sanitize::{DeviceWord, Sighting, State},
};

use super::{Command, Refusal, ata, nvme, scsi};

/// What an ATA disk's password is while it is erased. It keeps nobody out, and must not: whoever
/// finds the disk after a loss of power has to be able to go on.
pub const PASSWORD: [u8; ata::PASSWORD_BYTES] =
    *b"tenure\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// How long an erasure may take that no estimate is known of, ms: two days.
const UNKNOWN_MS: u64 = 48 * 3600 * 1000;

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The best that the disk has.
    Auto,
    /// This one.
    Method(Method),
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        Method::from_name(text).map(Self::Method).ok_or_else(|| {
            let names: Vec<&str> = Method::ALL.iter().map(|method| method.name()).collect();
            format!("give auto or one of {}", names.join(", "))
        })
    }
}

/// What a disk says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Who it is.
    pub device: Device,
    /// What it can be erased with.
    pub methods: Vec<Method>,
    /// Its parts, and of each the format that it keeps (NVMe).
    pub parts: Vec<(Part, u32)>,
    /// Its capacity, bytes, if it says.
    pub capacity_bytes: Option<u64>,
    /// Of that, bytes that no part has.
    pub unallocated_bytes: u64,
    /// Whether other controllers may reach the same flash.
    pub is_shared: bool,
    /// How an ATA disk's security stands, and its estimates.
    pub ata: Option<ata::Disk>,
}

/// What is done to a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Who it is.
    pub device: Device,
    /// How.
    pub method: Method,
    /// Its parts, and of each the format that it keeps (NVMe).
    pub parts: Vec<(Part, u32)>,
    /// How long the disk says that it takes, s.
    pub estimate_s: Option<u64>,
    /// Bytes that the method does not reach.
    pub outside_bytes: u64,
}

/// Decides how the disk that was surveyed is erased. Its serial number has been compared before.
///
/// # Errors
/// [`Refusal`].
pub fn plan(survey: &Survey, wanted: Wanted) -> Result<Plan, Refusal> {
    if survey.methods.is_empty() || survey.parts.is_empty() || survey.parts.len() > MAX_PARTS {
        return Err(Refusal::NoMethod(survey.device.model.clone()));
    }
    let method = match wanted {
        Wanted::Auto => Method::ALL.into_iter().find(|method| survey.methods.contains(method)),
        Wanted::Method(wanted) if survey.methods.contains(&wanted) => Some(wanted),
        Wanted::Method(wanted) => {
            return Err(Refusal::NotThisMethod { wanted, has: survey.methods.clone() });
        }
    };
    let method = method.ok_or_else(|| Refusal::NoMethod(survey.device.model.clone()))?;
    if let Some(obstacle) = survey.ata.as_ref().and_then(|disk| disk.security.obstacle()) {
        return Err(Refusal::Obstacle(obstacle.to_owned()));
    }
    let by_parts = method.proof() == Proof::Answer;
    Ok(Plan {
        device: survey.device.clone(),
        method,
        parts: survey.parts.clone(),
        estimate_s: survey.ata.as_ref().and_then(|disk| disk.estimate_s(method)),
        // What a statement can hold: a device that says more is still not all reached.
        outside_bytes: if by_parts { survey.unallocated_bytes.min((1 << 53) - 1) } else { 0 },
    })
}

/// Whether a disk's status lets a new run begin.
///
/// # Errors
/// [`Refusal`].
pub fn may_begin(status: Option<&Sighting>) -> Result<(), Refusal> {
    match status.map(|seen| seen.state) {
        Some(State::InProgress) => Err(Refusal::UnderWay),
        Some(State::Armed) => Err(Refusal::Obstacle(
            "a password is set. If a run of this command was broken off, it is the user password \
             `tenure` (hdparm --security-unlock, then --security-disable); else ask who set it"
                .to_owned(),
        )),
        Some(State::Idle | State::Completed | State::Failed | State::Disarmed) | None => Ok(()),
    }
}

impl Plan {
    /// What asks how the disk stands; nothing where the erasing command's answer says all.
    #[must_use]
    pub fn look(&self) -> Option<Command> {
        match self.method {
            Method::NvmeSanitizeBlock
            | Method::NvmeSanitizeCrypto
            | Method::NvmeSanitizeOverwrite => Some(nvme::sanitize_status()),
            Method::AtaSecureEraseEnhanced | Method::AtaSecureErase => Some(ata::identify()),
            Method::ScsiSanitizeBlock
            | Method::ScsiSanitizeCrypto
            | Method::ScsiSanitizeOverwrite => Some(scsi::sense()),
            Method::NvmeFormatCrypto | Method::NvmeFormatUserData => None,
        }
    }

    /// What is seen in the answer to [`Plan::look`], and the time that is said to be needed, s.
    ///
    /// # Errors
    /// The page makes no sense.
    pub fn see(
        &self,
        page: &[u8],
        at: tenure_protocol::time::Timestamp,
    ) -> Result<(Sighting, Option<u64>), super::PageError> {
        match self.method {
            Method::NvmeSanitizeBlock
            | Method::NvmeSanitizeCrypto
            | Method::NvmeSanitizeOverwrite
            | Method::NvmeFormatCrypto
            | Method::NvmeFormatUserData => nvme::status(page, self.method, at),
            Method::AtaSecureEraseEnhanced | Method::AtaSecureErase => {
                Ok((ata::Disk::parse(page)?.sighting(at), self.estimate_s))
            }
            Method::ScsiSanitizeBlock
            | Method::ScsiSanitizeCrypto
            | Method::ScsiSanitizeOverwrite => {
                Ok((scsi::Sense::parse(page)?.sighting(at), self.estimate_s))
            }
        }
    }

    /// The command that erases a part.
    #[must_use]
    pub fn erase(&self, unit: u32, format: u32) -> Option<Command> {
        match self.method {
            Method::NvmeSanitizeBlock
            | Method::NvmeSanitizeCrypto
            | Method::NvmeSanitizeOverwrite
            | Method::NvmeFormatCrypto
            | Method::NvmeFormatUserData => nvme::erase(self.method, unit, format),
            Method::AtaSecureEraseEnhanced | Method::AtaSecureErase => {
                Some(ata::erase(self.method, PASSWORD, self.estimate_s))
            }
            Method::ScsiSanitizeBlock
            | Method::ScsiSanitizeCrypto
            | Method::ScsiSanitizeOverwrite => scsi::erase(self.method),
        }
    }

    /// How long the disk may take, ms.
    #[must_use]
    pub fn limit_ms(&self) -> u64 {
        let generous = |seconds: u64| seconds.saturating_mul(3_000).saturating_add(3_600_000);
        self.estimate_s.map_or(UNKNOWN_MS, generous)
    }

    /// The parts as statements have them.
    #[must_use]
    pub fn stated_parts(&self) -> Vec<Part> {
        self.parts.iter().map(|(part, _)| *part).collect()
    }

    /// The disk's word of itself, its raw status pages in hex.
    #[must_use]
    pub fn device_word(
        &self,
        survey: &Survey,
        before: Option<String>,
        after: Option<String>,
    ) -> DeviceWord {
        DeviceWord {
            methods: survey.methods.clone(),
            capacity_bytes: survey.capacity_bytes.filter(|bytes| *bytes < 1 << 53),
            estimate_s: self.estimate_s,
            status_before: before,
            status_after: after,
        }
    }

    /// What nobody measured.
    #[must_use]
    pub fn not_measured(&self, survey: &Survey, sampled: bool) -> Vec<NotMeasured> {
        let mut list = Vec::new();
        let mut add = |what: &str, reason: &str| {
            list.push(NotMeasured { what: what.to_owned(), reason: reason.to_owned() });
        };
        add(
            "whether the firmware erased what it said it did",
            "nothing outside the device can see its flash or platters",
        );
        if survey.is_shared {
            add(
                "other hosts at other controllers of the same flash",
                "the controller says that it may share it (CMIC); this host sees its own alone",
            );
        }
        if self.method.interface() == tenure_protocol::evidence::predicate::device::Interface::Scsi
        {
            add(
                "other hosts that reach the same unit",
                "reservations and other initiators are not asked for",
            );
        }
        if self.method.interface() == tenure_protocol::evidence::predicate::device::Interface::Ata {
            add(
                "areas hidden from the host (HPA, device configuration overlay)",
                "they are not looked for; whether it erases them is left to the firmware",
            );
        }
        if !sampled {
            add(
                "the same places before and after",
                "what was read before was lost with the process, or could not be read",
            );
        }
        list
    }
}
