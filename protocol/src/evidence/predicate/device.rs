//! A whole disk that leaves service: which it is, how it can be erased, and what a host is about to
//! do to it (`device-sanitize-intent`).

use serde::{Deserialize, Serialize};

use super::{AgentIdentity, Clock, LocalOrder};
use crate::{digest::Digest, id::HostId, time::Timestamp};

/// Most parts of one device that a statement names: more namespaces than any controller here has.
pub const MAX_PARTS: usize = 1024;

/// Which host says it, on whose word, with which build and clock. A disk that leaves service is no
/// tenant's any more, and a person on the host orders it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceOrigin {
    /// Who ordered it, and why.
    pub order: LocalOrder,
    /// The host.
    pub host: HostId,
    /// The process that measured and signed.
    pub agent: AgentIdentity,
    /// The clock that its times are of.
    pub clock: Clock,
}

/// What a disk is spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// NVM Express.
    Nvme,
    /// ATA, through the SCSI layer's pass-through.
    Ata,
    /// SCSI (SAS and others).
    Scsi,
}

/// A disk as its firmware names it: both name and serial number, or it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// How it is spoken to.
    pub interface: Interface,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Its firmware's revision.
    pub firmware: String,
}

impl Device {
    /// Its name as a statement's subject.
    #[must_use]
    pub fn name(&self) -> String {
        format!("tenure:device:{}:{}", self.model, self.serial)
    }
}

/// A part of a disk that is erased with it: a namespace, or the logical unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// The namespace's id; 0 for the one unit of an ATA or SCSI disk.
    pub unit: u32,
    /// Its size, bytes.
    pub size_bytes: u64,
}

/// How a disk erases itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// NVMe Sanitize, block erase.
    NvmeSanitizeBlock,
    /// NVMe Sanitize, crypto erase.
    NvmeSanitizeCrypto,
    /// NVMe Sanitize, overwrite.
    NvmeSanitizeOverwrite,
    /// NVMe Format NVM with cryptographic erase (SES 2), namespace by namespace.
    NvmeFormatCrypto,
    /// NVMe Format NVM with user data erase (SES 1), namespace by namespace.
    NvmeFormatUserData,
    /// ATA SECURITY ERASE UNIT, enhanced.
    AtaSecureEraseEnhanced,
    /// ATA SECURITY ERASE UNIT, normal.
    AtaSecureErase,
    /// SCSI SANITIZE, block erase.
    ScsiSanitizeBlock,
    /// SCSI SANITIZE, cryptographic erase.
    ScsiSanitizeCrypto,
    /// SCSI SANITIZE, overwrite.
    ScsiSanitizeOverwrite,
}

/// What of a device's behaviour shows that a method has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It goes on by itself after the command: its status must have been seen under way, or to
    /// have changed, and then at its end.
    Status,
    /// The command itself ends when the work is done: one for each part.
    Answer,
    /// The command ends when the work is done, and takes back the password that was set before.
    Security,
}

impl Method {
    /// Every method, those to be preferred first.
    pub const ALL: [Self; 10] = [
        Self::NvmeSanitizeBlock,
        Self::NvmeSanitizeCrypto,
        Self::NvmeSanitizeOverwrite,
        Self::NvmeFormatCrypto,
        Self::NvmeFormatUserData,
        Self::AtaSecureEraseEnhanced,
        Self::AtaSecureErase,
        Self::ScsiSanitizeBlock,
        Self::ScsiSanitizeCrypto,
        Self::ScsiSanitizeOverwrite,
    ];

    /// The short name, kebab-case, as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NvmeSanitizeBlock => "nvme-sanitize-block",
            Self::NvmeSanitizeCrypto => "nvme-sanitize-crypto",
            Self::NvmeSanitizeOverwrite => "nvme-sanitize-overwrite",
            Self::NvmeFormatCrypto => "nvme-format-crypto",
            Self::NvmeFormatUserData => "nvme-format-user-data",
            Self::AtaSecureEraseEnhanced => "ata-secure-erase-enhanced",
            Self::AtaSecureErase => "ata-secure-erase",
            Self::ScsiSanitizeBlock => "scsi-sanitize-block",
            Self::ScsiSanitizeCrypto => "scsi-sanitize-crypto",
            Self::ScsiSanitizeOverwrite => "scsi-sanitize-overwrite",
        }
    }

    /// The method of this short name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// What it is sent over.
    #[must_use]
    pub const fn interface(self) -> Interface {
        match self {
            Self::NvmeSanitizeBlock
            | Self::NvmeSanitizeCrypto
            | Self::NvmeSanitizeOverwrite
            | Self::NvmeFormatCrypto
            | Self::NvmeFormatUserData => Interface::Nvme,
            Self::AtaSecureEraseEnhanced | Self::AtaSecureErase => Interface::Ata,
            Self::ScsiSanitizeBlock | Self::ScsiSanitizeCrypto | Self::ScsiSanitizeOverwrite => {
                Interface::Scsi
            }
        }
    }

    /// What shows that it is done.
    #[must_use]
    pub const fn proof(self) -> Proof {
        match self {
            Self::NvmeSanitizeBlock
            | Self::NvmeSanitizeCrypto
            | Self::NvmeSanitizeOverwrite
            | Self::ScsiSanitizeBlock
            | Self::ScsiSanitizeCrypto
            | Self::ScsiSanitizeOverwrite => Proof::Status,
            Self::NvmeFormatCrypto | Self::NvmeFormatUserData => Proof::Answer,
            Self::AtaSecureEraseEnhanced | Self::AtaSecureErase => Proof::Security,
        }
    }

    /// SANACT of an NVMe Sanitize command (NVM Express Base 2.0, figure 310), which the device's
    /// log names as that of its last operation.
    #[must_use]
    pub const fn sanitize_action(self) -> Option<u8> {
        match self {
            Self::NvmeSanitizeBlock => Some(2),
            Self::NvmeSanitizeOverwrite => Some(3),
            Self::NvmeSanitizeCrypto => Some(4),
            Self::NvmeFormatCrypto
            | Self::NvmeFormatUserData
            | Self::AtaSecureEraseEnhanced
            | Self::AtaSecureErase
            | Self::ScsiSanitizeBlock
            | Self::ScsiSanitizeCrypto
            | Self::ScsiSanitizeOverwrite => None,
        }
    }
}

/// Which run on a device this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// 1 for the first on this host, then one more for each.
    pub number: u32,
    /// Digest of the envelope with the intent that this one takes the place of: one whose end was
    /// not seen.
    pub supersedes: Option<Digest>,
}

/// A host says which disk it is about to have erased. It is durable before the first command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceSanitizeIntent {
    /// Where it comes from.
    pub origin: DeviceOrigin,
    /// The disk.
    pub device: Device,
    /// Which run.
    pub attempt: Attempt,
    /// When, by the host's clock.
    pub at: Timestamp,
    /// How.
    pub method: Method,
    /// All that will be destroyed.
    pub parts: Vec<Part>,
}

impl DeviceSanitizeIntent {
    pub(super) fn dishonesty(&self) -> Option<String> {
        fault(&self.origin, &self.device, self.attempt, self.method, &self.parts)
    }
}

/// What is wrong with the parts that an intent and its end have in common.
pub(super) fn fault(
    origin: &DeviceOrigin,
    device: &Device,
    attempt: Attempt,
    method: Method,
    parts: &[Part],
) -> Option<String> {
    let mut units: Vec<u32> = parts.iter().map(|part| part.unit).collect();
    units.sort_unstable();
    units.dedup();
    let sentence = if let Some(fault) = origin.order.fault() {
        fault
    } else if device.serial.trim().is_empty() || device.model.trim().is_empty() {
        "it does not name the disk by model and serial number"
    } else if method.interface() != device.interface {
        "its method is none of the disk's interface"
    } else if attempt.number == 0 {
        "attempts are counted from 1"
    } else if parts.is_empty() || parts.len() > MAX_PARTS {
        "it names no part of the disk, or too many"
    } else if units.len() != parts.len() {
        "it names a part of the disk twice"
    } else {
        return None;
    };
    Some(sentence.to_owned())
}
