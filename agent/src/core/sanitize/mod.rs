//! A whole disk that leaves service, erased by its own firmware: which method it has, what is sent
//! to it, and what of its behaviour shows that it has done it. Bytes in, commands and facts out.
//!
//! ```text
//!          survey: who is it, what can it do, is it this serial number?
//!             │ refused: another disk, no method, in use, frozen …      (nothing was sent)
//!             ▼
//!          plan ──▶ intent, signed and durable ──▶ Course
//!
//! NVMe, SCSI sanitize   Erase ──▶ Observe ─┬─ under way ──▶ … ──▶ completed      Done
//!                                          ├─ failed                             Failed
//!                                          ├─ nothing new within PATIENCE_MS     Done, and no pass
//!                                          ├─ the limit has passed               TimedOut
//!                                          └─ no answer, MAX_MISSES times        Lost
//! NVMe format           Erase, for each namespace: its own answer                Done, Refused
//! ATA                   Arm ─▶ Look: armed ─▶ Prepare ─▶ Erase ─▶ Look: disarmed Done
//!                         a refusal after Arm, or no answer ─▶ Disarm   Refused, Lost
//!
//! the process or the host ends in between; the same command again, [`Course::resume`]:
//!   under way                                           Observe
//!   another word than before the intent: failed, or     Observe
//!     completed with nothing written since
//!   ATA: armed                                          Prepare, Erase, Look
//!   anything else                                       a new intent, which supersedes the first
//! ```
//!
//! Which of these ends is a pass, the statement's own `conclude` says, and nothing here.

pub mod ata;
pub mod course;
#[cfg(test)]
mod disks;
mod field;
pub mod nvme;
pub mod plan;
pub mod refusal;
pub mod scsi;
#[cfg(test)]
mod tests;

pub use self::{
    course::{Course, Moment, Next},
    plan::{Plan, Survey, Wanted, plan},
    refusal::Refusal,
};

/// What goes along with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// Nothing.
    None,
    /// So many bytes come back.
    Read(u32),
    /// These go out.
    Write(Vec<u8>),
}

/// A command to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// An NVMe admin command.
    Nvme {
        /// Its opcode.
        opcode: u8,
        /// The namespace's id.
        unit: u32,
        /// Command dword 10.
        cdw10: u32,
        /// Command dword 11.
        cdw11: u32,
        /// What goes along: never [`Direction::Write`].
        data: Direction,
        /// How long it may take, ms.
        limit_ms: u32,
    },
    /// A SCSI command, or one of ATA in it.
    Scsi {
        /// Its descriptor block, at most 16 bytes.
        cdb: Vec<u8>,
        /// What goes along.
        data: Direction,
        /// How long it may take, ms.
        limit_ms: u32,
    },
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Success, with the bytes that came back.
    Done(Vec<u8>),
    /// The device answered, and not with success: its answer, in words.
    Refused(String),
    /// The device did not answer: why, in words.
    Lost(String),
}

/// A page that a device gave and that makes no sense, as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PageError(pub &'static str);
