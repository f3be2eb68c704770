//! SCSI: INQUIRY, READ CAPACITY (16), REPORT SUPPORTED OPERATION CODES, SANITIZE and REQUEST SENSE,
//! as SPC-5 and SBC-4 have them. Bytes in, facts out.

use tenure_protocol::{
    evidence::predicate::{
        device::{Device, Interface, Method, Part},
        device_sanitize::{Sighting, State},
    },
    time::Timestamp,
};

use super::{
    Command, Direction, PageError,
    field::{be, text},
};

/// How long a command may take, ms. SANITIZE goes on by itself (IMMED).
const ASK_MS: u32 = 60_000;
/// Most bytes of an answer.
const ANSWER_BYTES: u8 = 252;

fn ask(cdb: &[u8], bytes: u8) -> Command {
    let data = Direction::Read(u32::from(bytes));
    Command::Scsi { cdb: cdb.to_vec(), data, limit_ms: ASK_MS }
}

/// Asks who the unit is.
#[must_use]
pub fn inquiry() -> Command {
    ask(&[0x12, 0, 0, 0, ANSWER_BYTES, 0], ANSWER_BYTES)
}

/// Asks for its serial number (VPD page 80h).
#[must_use]
pub fn serial_number() -> Command {
    ask(&[0x12, 1, 0x80, 0, ANSWER_BYTES, 0], ANSWER_BYTES)
}

/// Asks for its size.
#[must_use]
pub fn capacity() -> Command {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x9e, 0x10, 32);
    ask(&cdb, 32)
}

/// Asks how it stands.
#[must_use]
pub fn sense() -> Command {
    ask(&[0x03, 0, 0, 0, ANSWER_BYTES, 0], ANSWER_BYTES)
}

/// Service action of SANITIZE; nothing for a method of another interface.
const fn action(method: Method) -> Option<u8> {
    match method {
        Method::ScsiSanitizeOverwrite => Some(1),
        Method::ScsiSanitizeBlock => Some(2),
        Method::ScsiSanitizeCrypto => Some(3),
        Method::NvmeSanitizeBlock
        | Method::NvmeSanitizeCrypto
        | Method::NvmeSanitizeOverwrite
        | Method::NvmeFormatCrypto
        | Method::NvmeFormatUserData
        | Method::AtaSecureEraseEnhanced
        | Method::AtaSecureErase => None,
    }
}

/// Asks whether it has a method.
#[must_use]
pub fn supports(method: Method) -> Option<Command> {
    let action = action(method)?;
    Some(ask(&[0xa3, 0x0c, 2, 0x48, 0, action, 0, 0, 0, ANSWER_BYTES, 0, 0], ANSWER_BYTES))
}

/// Erases; the unit goes on by itself, and is left unusable if it fails.
#[must_use]
pub fn erase(method: Method) -> Option<Command> {
    let action = action(method)?;
    // Overwriting: once, with a pattern of four zero bytes.
    let list = vec![1, 0, 0, 4, 0, 0, 0, 0];
    let overwrites = method == Method::ScsiSanitizeOverwrite;
    let data = if overwrites { Direction::Write(list) } else { Direction::None };
    let length = if overwrites { 8 } else { 0 };
    let cdb = vec![0x48, 0x80 | action, 0, 0, 0, 0, 0, 0, length, 0];
    Some(Command::Scsi { cdb, data, limit_ms: ASK_MS })
}

/// A unit, as INQUIRY gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Who it is, without a serial number.
    pub device: Device,
    /// Whether an ATA disk is behind it.
    pub is_ata: bool,
}

impl Unit {
    /// From what INQUIRY gives.
    ///
    /// # Errors
    /// [`PageError`] if it is too short, or no disk.
    pub fn parse(page: &[u8]) -> Result<Self, PageError> {
        let short = || PageError("the answer to INQUIRY is too short");
        if page.first().ok_or_else(short)? & 0x1f != 0 {
            return Err(PageError("it is no disk (peripheral device type)"));
        }
        let string = |from: usize, to: usize| page.get(from..to).map(text).ok_or_else(short);
        let (vendor, product, firmware) = (string(8, 16)?, string(16, 32)?, string(32, 36)?);
        let is_ata = vendor == "ATA";
        let model = format!("{vendor} {product}").trim().to_owned();
        let device = Device { interface: Interface::Scsi, model, serial: String::new(), firmware };
        Ok(Self { device, is_ata })
    }
}

/// The serial number of VPD page 80h.
///
/// # Errors
/// [`PageError`] if it is another page, or too short.
pub fn serial(page: &[u8]) -> Result<String, PageError> {
    let length = be(page, 2, 2).filter(|_| page.get(1) == Some(&0x80));
    let end = length.and_then(|length| usize::try_from(length).ok()).map(|length| 4 + length);
    let field = end.and_then(|end| page.get(4..end));
    field.map(text).ok_or(PageError("the page of the serial number cannot be read"))
}

/// The unit's size.
///
/// # Errors
/// [`PageError`] if it is too short or makes no sense.
pub fn part(page: &[u8]) -> Result<Part, PageError> {
    let bytes = be(page, 0, 8)
        .and_then(|last| last.checked_add(1))
        .and_then(|blocks| blocks.checked_mul(be(page, 8, 4)?));
    let size_bytes = bytes
        .filter(|bytes| *bytes > 0 && *bytes < 1 << 53)
        .ok_or(PageError("the unit's size makes no sense"))?;
    Ok(Part { unit: 0, size_bytes })
}

/// Whether an answer to [`supports`] says that the command is there, as the standard has it.
#[must_use]
pub fn is_supported(page: &[u8]) -> bool {
    page.get(1).is_some_and(|byte| byte & 7 == 3)
}

/// Sense data: key, additional code and qualifier, and progress in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// The sense key.
    pub key: u8,
    /// ASC and ASCQ.
    pub code: (u8, u8),
    /// How far what is under way is, parts per million.
    pub progress_ppm: Option<u32>,
}

impl Sense {
    /// From fixed or descriptor format.
    ///
    /// # Errors
    /// [`PageError`] if it is neither, or too short.
    pub fn parse(page: &[u8]) -> Result<Self, PageError> {
        let short = PageError("the sense data cannot be read");
        let at = |at: usize| page.get(at).copied().ok_or(short);
        let ppm =
            |part: Option<u64>| part.and_then(|part| u32::try_from(part * 1_000_000 / 65_536).ok());
        match at(0)? & 0x7f {
            0x70 | 0x71 => {
                let code = (at(12)?, at(13)?);
                let valid = page.get(15).is_some_and(|byte| byte & 0x80 != 0);
                let progress_ppm = if valid { ppm(be(page, 16, 2)) } else { None };
                Ok(Self { key: at(2)? & 0xf, code, progress_ppm })
            }
            0x72 | 0x73 => {
                let code = (at(2)?, at(3)?);
                Ok(Self { key: at(1)? & 0xf, code, progress_ppm: ppm(descriptor(page)) })
            }
            _ => Err(short),
        }
    }

    /// What is seen of an erasure.
    #[must_use]
    pub fn sighting(&self, at: Timestamp) -> Sighting {
        let (code, qualifier) = self.code;
        let word = u64::from(self.key) << 16 | u64::from(code) << 8 | u64::from(qualifier);
        let state = match (self.key, self.code) {
            (_, (0x04, 0x1b)) => State::InProgress,
            (_, (0x31, 0x03)) => State::Failed,
            (0, (0, 0)) => State::Completed,
            _ => State::Idle,
        };
        let progress_ppm = self.progress_ppm.filter(|_| state == State::InProgress);
        Sighting { at, state, progress_ppm, word }
    }

    /// In words.
    #[must_use]
    pub fn answer(&self) -> String {
        let name = match (self.key, self.code) {
            (5, (0x20, 0)) => "it does not know the command",
            (5, (0x24, 0)) => "invalid field in the command",
            (_, (0x04, 0x1b)) => "sanitize in progress",
            (_, (0x31, 0x03)) => "sanitize failed",
            _ => "see SPC-5, sense codes",
        };
        let (code, qualifier) = self.code;
        format!("sense {:x}h/{code:02x}h/{qualifier:02x}h: {name}", self.key)
    }
}

/// The progress in the descriptor of type 02h (sense key specific).
fn descriptor(page: &[u8]) -> Option<u64> {
    let mut at = 8;
    loop {
        let kind = *page.get(at)?;
        let length = usize::from(*page.get(at + 1)?);
        if kind == 2 {
            let valid = page.get(at + 4)? & 0x80 != 0;
            return if valid { be(page, at + 5, 2) } else { None };
        }
        at += 2 + length;
    }
}
