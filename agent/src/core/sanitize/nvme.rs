//! NVM Express: Identify, the sanitize status log, Format NVM and Sanitize, as NVM Express Base
//! Specification 2.0 has them. Bytes in, facts out.

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

/// Bytes of every structure that Identify gives.
pub const IDENTIFY_BYTES: u32 = 4096;
/// Bytes of the sanitize status log.
pub const LOG_BYTES: u32 = 512;
/// How long a command that only asks may take, ms.
const ASK_MS: u32 = 30_000;
/// How long a Format NVM command may take, ms: a day.
const FORMAT_MS: u32 = 24 * 3600 * 1000;
/// How long the device may take to *begin* a sanitize operation, ms.
const BEGIN_MS: u32 = 120_000;
/// Estimates of this value are none.
const NO_ESTIMATE: u64 = 0xffff_ffff;

/// Opcodes of admin commands.
const GET_LOG_PAGE: u8 = 0x02;
const IDENTIFY: u8 = 0x06;
const FORMAT: u8 = 0x80;
const SANITIZE: u8 = 0x84;

fn ask(opcode: u8, unit: u32, cdw10: u32, bytes: u32) -> Command {
    let data = Direction::Read(bytes);
    Command::Nvme { opcode, unit, cdw10, cdw11: 0, data, limit_ms: ASK_MS }
}

/// Asks who the controller is.
#[must_use]
pub fn identify_controller() -> Command {
    ask(IDENTIFY, 0, 1, IDENTIFY_BYTES)
}

/// Asks for the ids of the namespaces that are attached.
#[must_use]
pub fn identify_namespaces() -> Command {
    ask(IDENTIFY, 0, 2, IDENTIFY_BYTES)
}

/// Asks for the ids of all namespaces that there are, attached or not.
#[must_use]
pub fn identify_allocated() -> Command {
    ask(IDENTIFY, 0, 0x10, IDENTIFY_BYTES)
}

/// Asks for a namespace's sizes and formats.
#[must_use]
pub fn identify_namespace(unit: u32) -> Command {
    ask(IDENTIFY, unit, 0, IDENTIFY_BYTES)
}

/// Asks for the sanitize status (log page 81h), of the whole subsystem.
#[must_use]
pub fn sanitize_status() -> Command {
    ask(GET_LOG_PAGE, u32::MAX, (LOG_BYTES / 4 - 1) << 16 | 0x81, LOG_BYTES)
}

/// A controller, as it identifies itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Who it is.
    pub device: Device,
    /// What it can be erased with.
    pub methods: Vec<Method>,
    /// All of its flash, bytes (TNVMCAP); nothing if it does not say.
    pub capacity_bytes: Option<u64>,
    /// Of these, bytes that no namespace has (UNVMCAP).
    pub unallocated_bytes: u64,
    /// Whether other controllers may reach the same flash (CMIC).
    pub is_shared: bool,
    /// Whether namespaces can be detached from it (OACS), and it lists those that are.
    pub has_detached: bool,
}

impl Controller {
    /// From what Identify gives.
    ///
    /// # Errors
    /// [`PageError`] if it is too short.
    pub fn parse(page: &[u8]) -> Result<Self, PageError> {
        let short = || PageError("the controller's identification is too short");
        let field = |at, bytes| le(page, at, bytes).ok_or_else(short);
        let string = |from: usize, to: usize| page.get(from..to).map(text).ok_or_else(short);
        let device = Device {
            interface: Interface::Nvme,
            serial: string(4, 24)?,
            model: string(24, 64)?,
            firmware: string(64, 72)?,
        };
        let (attributes, format, sanitize) = (field(524, 1)?, field(256, 2)?, field(328, 4)?);
        let has = |method: Method| match method {
            Method::NvmeSanitizeCrypto => sanitize & 1 != 0,
            Method::NvmeSanitizeBlock => sanitize & 2 != 0,
            Method::NvmeSanitizeOverwrite => sanitize & 4 != 0,
            Method::NvmeFormatUserData => format & 2 != 0,
            Method::NvmeFormatCrypto => format & 2 != 0 && attributes & 4 != 0,
            Method::AtaSecureEraseEnhanced
            | Method::AtaSecureErase
            | Method::ScsiSanitizeBlock
            | Method::ScsiSanitizeCrypto
            | Method::ScsiSanitizeOverwrite => false,
        };
        // Both are of 16 bytes; no device has more than the lower 8 can say.
        let (capacity, unallocated) = (field(280, 8)?, field(296, 8)?);
        Ok(Self {
            device,
            methods: Method::ALL.into_iter().filter(|method| has(*method)).collect(),
            capacity_bytes: (capacity > 0).then_some(capacity),
            unallocated_bytes: unallocated,
            is_shared: field(76, 1)? & 0b10 != 0,
            has_detached: format & 8 != 0,
        })
    }
}

/// The ids in a list of namespaces: it ends with the first 0.
///
/// # Errors
/// [`PageError`] if it is too short.
pub fn namespaces(page: &[u8]) -> Result<Vec<u32>, PageError> {
    let list = page
        .get(..IDENTIFY_BYTES as usize)
        .ok_or(PageError("the list of namespaces is too short"))?;
    let ids = list.chunks_exact(4).filter_map(|id| u32::try_from(le(id, 0, 4)?).ok());
    Ok(ids.take_while(|id| *id != 0).collect())
}

/// A namespace, as it identifies itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    /// Which, and how large.
    pub part: Part,
    /// Command dword 10 of a Format NVM that leaves it in the format it has, without erasing.
    pub format: u32,
}

impl Namespace {
    /// From what Identify gives.
    ///
    /// # Errors
    /// [`PageError`] if it is too short, or its sizes make no sense.
    pub fn parse(unit: u32, page: &[u8]) -> Result<Self, PageError> {
        let field = |at, bytes| {
            le(page, at, bytes).ok_or(PageError("the namespace's identification is too short"))
        };
        let (blocks, formatted, protection) = (field(0, 8)?, field(26, 1)?, field(29, 1)?);
        let (low, high) = (formatted & 0xf, formatted >> 5 & 3);
        let at = usize::try_from(128 + 4 * (high << 4 | low)).unwrap_or(128);
        let shift = u32::try_from(field(at + 2, 1)?).unwrap_or(u32::MAX);
        let bytes = if (9..32).contains(&shift) { blocks.checked_mul(1 << shift) } else { None };
        let size_bytes = bytes
            .filter(|bytes| *bytes > 0 && *bytes < 1 << 53)
            .ok_or(PageError("the namespace's size makes no sense"))?;
        let metadata = formatted >> 4 & 1;
        let word = low | metadata << 4 | (protection & 0b1111) << 5 | high << 12;
        Ok(Self { part: Part { unit, size_bytes }, format: u32::try_from(word).unwrap_or(0) })
    }
}

/// The command that erases a namespace in its present format, or all of the subsystem; nothing if
/// the method is none of NVMe's.
#[must_use]
pub fn erase(method: Method, unit: u32, format: u32) -> Option<Command> {
    let command = |opcode, unit, cdw10, limit_ms| {
        let data = Direction::None;
        Some(Command::Nvme { opcode, unit, cdw10, cdw11: 0, data, limit_ms })
    };
    match (method, method.sanitize_action()) {
        // Restricted: a drive whose erasure fails gives nothing out until it is sanitized.
        (Method::NvmeSanitizeOverwrite, Some(action)) => {
            command(SANITIZE, 0, u32::from(action) | 1 << 4, BEGIN_MS)
        }
        (_, Some(action)) => command(SANITIZE, 0, u32::from(action), BEGIN_MS),
        (Method::NvmeFormatUserData, None) => command(FORMAT, unit, format | 1 << 9, FORMAT_MS),
        (Method::NvmeFormatCrypto, None) => command(FORMAT, unit, format | 2 << 9, FORMAT_MS),
        (_, None) => None,
    }
}

/// The sanitize status: what is seen, and how long the method is said to take, s.
///
/// # Errors
/// [`PageError`] if it is too short.
pub fn status(
    page: &[u8],
    method: Method,
    at: Timestamp,
) -> Result<(Sighting, Option<u64>), PageError> {
    let field = |from, bytes| {
        le(page, from, bytes).ok_or(PageError("the sanitize status log is too short"))
    };
    let (progress, status, last) = (field(0, 2)?, field(2, 2)?, field(4, 4)?);
    let state = match status & 7 {
        1 | 4 => State::Completed,
        2 => State::InProgress,
        3 => State::Failed,
        // Never sanitized; values that are reserved say nothing that could be relied on.
        _ => State::Idle,
    };
    let ppm = u32::try_from(progress * 1_000_000 / 65_536).unwrap_or(0);
    let progress_ppm = (state == State::InProgress).then_some(ppm);
    let estimate = match method {
        Method::NvmeSanitizeOverwrite => field(8, 4)?,
        Method::NvmeSanitizeBlock => field(12, 4)?,
        Method::NvmeSanitizeCrypto => field(16, 4)?,
        Method::NvmeFormatCrypto
        | Method::NvmeFormatUserData
        | Method::AtaSecureEraseEnhanced
        | Method::AtaSecureErase
        | Method::ScsiSanitizeBlock
        | Method::ScsiSanitizeCrypto
        | Method::ScsiSanitizeOverwrite => NO_ESTIMATE,
    };
    let sighting = Sighting { at, state, progress_ppm, word: status << 32 | last };
    Ok((sighting, (estimate != NO_ESTIMATE).then_some(estimate)))
}

/// A status of a command, in words: its type, its code, and the usual ones' names.
#[must_use]
pub fn answer(status: u16) -> String {
    let (kind, code) = (status >> 8 & 7, status & 0xff);
    let name = match (kind, code) {
        (0, 0) => "success",
        (0, 0x01) => "invalid command opcode",
        (0, 0x02) => "invalid field in command",
        (0, 0x06) => "internal error",
        (0, 0x0b) => "invalid namespace or format",
        (0, 0x1c) => "sanitize failed",
        (0, 0x1d) => "sanitize in progress",
        (0, 0x20) => "namespace is write protected",
        (0, 0x84) => "format in progress",
        (1, 0x0a) => "invalid format",
        (1, 0x0b) => "a firmware activation waits for a reset",
        (1, 0x23) => "sanitize is prohibited while the persistent memory region is enabled",
        _ => "see NVM Express Base Specification, status codes",
    };
    format!("status type {kind:x}h, code {code:02x}h: {name}")
}
