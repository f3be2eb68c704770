//! `key-erasure`: every copy of one volume's key and its encryption header, destroyed.

use serde::{Deserialize, Serialize};

use super::{
    Span,
    conclusion::{Conclusion, Ending, Findings},
    wipe::{Measured, Pattern, ReadBack, ReadLayer, ReadMode, Wipe},
};

/// The attestation of one volume's key erasure.
pub type KeyErasure = Wipe<KeyErasureMeasured>;

/// What was measured while a volume's keys were destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyErasureMeasured {
    /// How the run ended.
    pub ending: Ending,
    /// The whole run.
    pub span: Span,
    /// Such as `luks1/aes-256-xts-plain64`.
    pub encryption: String,
    /// Whether the volume was encrypted from its first byte on.
    pub encrypted_from_first_byte: bool,
    /// Every copy of the key that this host made.
    pub copies: Vec<KeyCopy>,
    /// The encryption header, with the wrapped volume key; nothing if the run did not come so far.
    pub header: Option<HeaderErasure>,
    /// Whether a copy was ever given to anybody.
    pub escrow: Escrow,
}

/// One copy of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyCopy {
    /// Where.
    pub place: KeyPlace,
    /// Whether it is destroyed.
    pub destroyed: bool,
    /// How, and how that is known.
    pub detail: String,
}

/// Where a copy of a key can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPlace {
    /// The agent's key directory.
    KeyFile,
    /// Memory of the instance's process.
    ProcessMemory,
    /// The kernel's key ring or device mapper.
    Kernel,
}

/// What was done to an encryption header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderErasure {
    /// Bytes from the volume's start that hold header and key slots.
    pub bytes: u64,
    /// What was read back there.
    pub read_back: ReadBack,
}

/// Whether anybody else has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Escrow {
    /// Nobody: it was made on this host and never left it.
    None,
    /// Somebody.
    Exists,
    /// Not known.
    Unknown,
}

impl Measured for KeyErasureMeasured {
    const RESIDUAL_RISKS: &'static [&'static str] = &[
        "Older copies of a key file's blocks can remain in spare blocks of a flash device.",
        "The cipher is trusted; its implementation is not a validated cryptographic module.",
    ];

    fn conclude(&self) -> Conclusion {
        let header_bytes = self.header.map_or(0, |header| header.bytes);
        let mut found = Findings::new(self.ending, header_bytes);
        found.require(self.encrypted_from_first_byte, || {
            "the volume was not encrypted from its first byte on".to_owned()
        });
        found.require(self.copies.iter().any(|copy| copy.place == KeyPlace::KeyFile), || {
            "the key file is not among the copies".to_owned()
        });
        found.require(self.copies.iter().all(|copy| copy.destroyed), || {
            "a copy of the key is not destroyed".to_owned()
        });
        found.require(self.escrow == Escrow::None, || {
            "somebody else may have a copy of the key".to_owned()
        });
        let erased = self.header.is_some_and(|HeaderErasure { bytes, read_back }| {
            read_back.pattern == Pattern::Zeros
                && read_back.mode == ReadMode::Full
                && read_back.layer == ReadLayer::BlockDevice
                && read_back.direct
                && read_back.bytes == bytes
                && read_back.is_clean()
        });
        found.require(erased, || {
            "the encryption header was not read back as zeros from the block device".to_owned()
        });
        found.conclude("all copies of the key and the encryption header destroyed (clear)")
    }
}
