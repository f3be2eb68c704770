//! ATA: IDENTIFY DEVICE and the Security feature set (ACS-4), as they travel in SCSI's ATA
//! PASS-THROUGH (16) (SAT-4). Bytes in, facts out.

use tenure_protocol::{
    evidence::predicate::{
        device::{Device, Interface, Method, Part},
        device_sanitize::{Sighting, State},
    },
    time::Timestamp,
};

use super::{
    Command, Direction, PageError,
    field::{le, text},
};

/// Bytes of IDENTIFY DEVICE, and of a password's block.
pub const PAGE_BYTES: usize = 512;
/// Bytes of a password.
pub const PASSWORD_BYTES: usize = 32;
/// How long a command that only asks may take, ms.
const ASK_MS: u32 = 30_000;
/// How long an erasure may take if the disk does not say, s.
const UNKNOWN_S: u64 = 24 * 3600;

/// ATA commands.
const IDENTIFY: u8 = 0xec;
const SET_PASSWORD: u8 = 0xf1;
const ERASE_PREPARE: u8 = 0xf3;
const ERASE_UNIT: u8 = 0xf4;
const DISABLE_PASSWORD: u8 = 0xf6;

fn through(command: u8, data: Direction, limit_ms: u32) -> Command {
    // Protocol and flags: PIO in (4), PIO out (5) of one block, or none (3).
    let (protocol, flags, count) = match data {
        Direction::Read(_) => (4, 0x0e, 1),
        Direction::Write(_) => (5, 0x06, 1),
        Direction::None => (3, 0x00, 0),
    };
    let mut cdb = vec![0; 16];
    cdb[0] = 0x85;
    cdb[1] = protocol << 1;
    cdb[2] = flags;
    cdb[6] = count;
    cdb[14] = command;
    Command::Scsi { cdb, data, limit_ms }
}

/// Asks who the disk is, and how its security stands.
#[must_use]
pub fn identify() -> Command {
    through(IDENTIFY, Direction::Read(512), ASK_MS)
}

/// Sets the user password, without which the disk erases nothing.
#[must_use]
pub fn arm(password: [u8; PASSWORD_BYTES]) -> Command {
    through(SET_PASSWORD, Direction::Write(block(0, password)), ASK_MS)
}

/// Takes the password back, without erasing.
#[must_use]
pub fn disarm(password: [u8; PASSWORD_BYTES]) -> Command {
    through(DISABLE_PASSWORD, Direction::Write(block(0, password)), ASK_MS)
}

/// Announces the erasure.
#[must_use]
pub fn prepare() -> Command {
    through(ERASE_PREPARE, Direction::None, ASK_MS)
}

/// Erases, and takes the password back.
#[must_use]
pub fn erase(method: Method, password: [u8; PASSWORD_BYTES], estimate_s: Option<u64>) -> Command {
    let enhanced = u16::from(method == Method::AtaSecureEraseEnhanced) << 1;
    let seconds = estimate_s.map_or(UNKNOWN_S, |seconds| seconds.saturating_mul(3) + 3600);
    let limit_ms = u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX);
    through(ERASE_UNIT, Direction::Write(block(enhanced, password)), limit_ms)
}

/// A password's block: word 0 says which password (0, the user's) and how to erase.
fn block(word: u16, password: [u8; PASSWORD_BYTES]) -> Vec<u8> {
    let mut block = word.to_le_bytes().to_vec();
    block.extend(password);
    block.resize(PAGE_BYTES, 0);
    block
}

/// A disk, as it identifies itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Who it is.
    pub device: Device,
    /// What it can be erased with.
    pub methods: Vec<Method>,
    /// All of it.
    pub part: Part,
    /// How its security stands.
    pub security: Security,
    /// Time for a normal and for an enhanced erasure, s, if it says.
    pub estimates: [Option<u64>; 2],
}

/// Word 128 of IDENTIFY DEVICE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security(pub u16);

impl Security {
    /// Whether a password is set.
    #[must_use]
    pub const fn is_armed(self) -> bool {
        self.0 & 2 != 0
    }

    /// Why the disk takes no password now, as a sentence.
    #[must_use]
    pub const fn obstacle(self) -> Option<&'static str> {
        if self.0 & 8 != 0 {
            Some(
                "its security is frozen, mostly by the host's firmware at boot: suspend the host \
                 to RAM and wake it, or plug the disk in while the host runs",
            )
        } else if self.0 & 16 != 0 {
            Some("too many wrong passwords were tried: switch the disk off and on")
        } else {
            None
        }
    }
}

impl Disk {
    /// From what IDENTIFY DEVICE gives.
    ///
    /// # Errors
    /// [`PageError`] if it is too short, its checksum is wrong or its size makes no sense.
    pub fn parse(page: &[u8]) -> Result<Self, PageError> {
        let page =
            page.get(..PAGE_BYTES).ok_or(PageError("the disk's identification is too short"))?;
        let sum = page.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if page[510] == 0xa5 && sum != 0 {
            return Err(PageError("the checksum of the disk's identification is wrong"));
        }
        let word = |number: usize| le(page, number * 2, 2).unwrap_or(0);
        let string = |first: usize, last: usize| {
            let words = page[first * 2..last * 2 + 2].chunks_exact(2);
            text(&words.flat_map(|pair| [pair[1], pair[0]]).collect::<Vec<u8>>())
        };
        let device = Device {
            interface: Interface::Ata,
            serial: string(10, 19),
            firmware: string(23, 26),
            model: string(27, 46),
        };
        let security = Security(u16::try_from(word(128)).unwrap_or(0));
        // Word 82 is only valid if bits 14 and 15 of word 83 are 1 and 0.
        let supported = word(83) >> 14 == 1 && word(82) & 2 != 0 && security.0 & 1 != 0;
        let mut methods = Vec::new();
        if supported && security.0 & 32 != 0 {
            methods.push(Method::AtaSecureEraseEnhanced);
        }
        if supported {
            methods.push(Method::AtaSecureErase);
        }
        let sectors = le(page, 200, 8).filter(|long| word(83) & 1 << 10 != 0 && *long > 0);
        let sectors = sectors.unwrap_or_else(|| le(page, 120, 4).unwrap_or(0));
        let large = word(106) >> 14 == 1 && word(106) & 1 << 12 != 0;
        let sector = if large { le(page, 234, 4).unwrap_or(0) * 2 } else { 512 };
        let size_bytes = sectors
            .checked_mul(sector)
            .filter(|bytes| *bytes > 0 && *bytes < 1 << 53)
            .ok_or(PageError("the disk's size makes no sense"))?;
        let part = Part { unit: 0, size_bytes };
        let estimates = [minutes(word(89)), minutes(word(90))];
        Ok(Self { device, methods, part, security, estimates })
    }

    /// What is seen of its security.
    #[must_use]
    pub fn sighting(&self, at: Timestamp) -> Sighting {
        let state = if self.security.is_armed() { State::Armed } else { State::Disarmed };
        Sighting { at, state, progress_ppm: None, word: u64::from(self.security.0) }
    }

    /// How long a method is said to take, s.
    #[must_use]
    pub fn estimate_s(&self, method: Method) -> Option<u64> {
        let [normal, enhanced] = self.estimates;
        if method == Method::AtaSecureEraseEnhanced { enhanced } else { normal }
    }
}

/// Words 89 and 90, in seconds: units of two minutes; 255 and 32767 mean "more than".
fn minutes(word: u64) -> Option<u64> {
    let units = if word >> 15 == 1 { word & 0x7fff } else { word & 0xff };
    (units > 0).then_some(units * 120)
}
