//! The frozen frame: `length (u32, big endian) | kind (u16) | version (u16) | body`.
//!
//! `length` counts kind, version and body and is at most [`MAX_FRAME_BYTES`]. Decoding has two
//! stages: the frame first, then its body by kind and version, so that a kind that this build does
//! not know can be answered with a Nack instead of ending the connection.

use serde::{Serialize, de::DeserializeOwned};

/// Most bytes that kind, version and body of one frame may have.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// Bytes of the length prefix.
pub const LENGTH_BYTES: usize = 4;

const HEAD_BYTES: usize = 4;

/// Kinds of frames. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Agent → controller, first on the control stream: [`super::v1::Hello`].
    Hello = 1,
    /// Controller → agent, the answer: [`super::v1::Welcome`].
    Welcome = 2,
    /// Both ways on the control stream: [`super::v1::KeepAlive`].
    KeepAlive = 3,
    /// Controller → agent on a lane: [`super::order::SignedOrder`].
    Order = 4,
    /// Agent → controller on a lane: [`super::v1::Report`].
    Report = 5,
    /// Controller → agent on a lane: [`super::v1::ReportReceipt`].
    ReportReceipt = 6,
    /// Controller → agent on a lane: [`super::v1::IntentReceipt`].
    IntentReceipt = 7,
    /// Both ways: [`super::v1::Nack`].
    Nack = 8,
    /// Agent → controller on the enrolment port: [`super::v1::EnrolRequest`].
    EnrolRequest = 9,
    /// Controller → agent on the enrolment port: [`super::v1::EnrolAnswer`].
    EnrolAnswer = 10,
    /// Controller → agent, first on a lane's stream: [`super::v1::LaneOpen`].
    LaneOpen = 11,
    /// Agent → controller on the control stream: [`super::v1::RenewRequest`].
    RenewRequest = 12,
    /// Controller → agent on the control stream: [`super::v1::RenewAnswer`].
    RenewAnswer = 13,
    /// Agent → controller on the enrolment port: [`super::v1::RejoinRequest`]; the answer is an
    /// [`super::v1::EnrolAnswer`].
    RejoinRequest = 14,
    /// Controller → agent on the work lane: [`super::v1::IntentRefusal`].
    IntentRefusal = 15,
    /// Both ways on the control stream: [`super::v1::AlarmMessage`].
    Alarm = 16,
    /// Controller → agent on the cut lane, before the order: [`super::watch::SignedPacket`].
    Packet = 17,
    /// Agent → controller on the cut lane: [`super::watch::WatchReport`].
    WatchReport = 18,
    /// Controller → agent on the cut lane: [`super::watch::SignedDisarm`].
    Disarm = 19,
    /// Controller → agent on the cut lane: [`super::watch::WatchReceipt`].
    WatchReceipt = 20,
}

/// One frame: raw, its body not decoded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// A [`Kind`] as a number, which this build may not know.
    pub kind: u16,
    /// Version of the body's schema; 1 so far.
    pub version: u16,
    /// postcard bytes.
    pub body: Vec<u8>,
}

/// Why bytes are no frame, or a frame no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is over the limit. The connection cannot go on.
    #[error("frame of {got} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong {
        /// The length that the peer announced, or that was to be sent.
        got: usize,
    },
    /// Shorter than its own head.
    #[error("frame of {got} bytes is shorter than its head")]
    TooShort {
        /// The length that the peer announced.
        got: usize,
    },
    /// Not the kind that is due at this place.
    #[error("frame of kind {got} where kind {want} was due")]
    WrongKind {
        /// What came.
        got: u16,
        /// What was due.
        want: u16,
    },
    /// A version of the body that this build does not know.
    #[error("frame of kind {kind} has version {got}, this build knows version 1: update it")]
    WrongVersion {
        /// The kind of the frame.
        kind: u16,
        /// Its version.
        got: u16,
    },
    /// The body is no message of its kind, or has bytes left over.
    #[error("body of a frame of kind {kind} cannot be decoded: {reason}")]
    Body {
        /// The kind of the frame.
        kind: u16,
        /// What postcard said.
        reason: String,
    },
}

impl Frame {
    /// A frame of `kind`, version 1, with `message` as its body.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] if the message does not fit.
    pub fn new<T: Serialize>(kind: Kind, message: &T) -> Result<Self, FrameError> {
        let body =
            encode(message).map_err(|reason| FrameError::Body { kind: kind as u16, reason })?;
        if body.len() + HEAD_BYTES > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong { got: body.len() + HEAD_BYTES });
        }
        Ok(Self { kind: kind as u16, version: 1, body })
    }

    /// The bytes to send, with the length prefix.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len() + HEAD_BYTES).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + HEAD_BYTES + self.body.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// How many bytes follow a length prefix.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] and [`FrameError::TooShort`]: nothing must be read then.
    pub fn length(prefix: [u8; LENGTH_BYTES]) -> Result<usize, FrameError> {
        let got = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
        if got > MAX_FRAME_BYTES {
            Err(FrameError::TooLong { got })
        } else if got < HEAD_BYTES {
            Err(FrameError::TooShort { got })
        } else {
            Ok(got)
        }
    }

    /// The frame in the bytes that follow a length prefix.
    ///
    /// # Errors
    /// [`FrameError::TooShort`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        let [k0, k1, v0, v1, body @ ..] = bytes else {
            return Err(FrameError::TooShort { got: bytes.len() });
        };
        Ok(Self {
            kind: u16::from_be_bytes([*k0, *k1]),
            version: u16::from_be_bytes([*v0, *v1]),
            body: body.to_vec(),
        })
    }

    /// The message in this frame, which must be of `kind`.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`], [`FrameError::WrongVersion`], [`FrameError::Body`].
    pub fn decode<T: DeserializeOwned>(&self, kind: Kind) -> Result<T, FrameError> {
        if self.kind != kind as u16 {
            return Err(FrameError::WrongKind { got: self.kind, want: kind as u16 });
        }
        if self.version != 1 {
            return Err(FrameError::WrongVersion { kind: self.kind, got: self.version });
        }
        decode(&self.body).map_err(|reason| FrameError::Body { kind: self.kind, reason })
    }
}

/// The postcard bytes of a value.
///
/// # Errors
/// A sentence from postcard; no type of this crate gives one.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    postcard::to_stdvec(value).map_err(|error| error.to_string())
}

/// The value in postcard bytes, all of them: bytes left over are refused.
///
/// # Errors
/// A sentence that says what is wrong with the bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_refuses_what_it_is_not() {
        let frame = Frame::new(Kind::Nack, &("a", 7_u32)).expect("fits");
        let bytes = frame.to_bytes();
        let (prefix, rest) = bytes.split_first_chunk().expect("a prefix");
        assert_eq!(Frame::length(*prefix), Ok(rest.len()));
        assert_eq!(Frame::from_bytes(rest).as_ref(), Ok(&frame));
        assert_eq!(frame.decode::<(String, u32)>(Kind::Nack), Ok(("a".to_owned(), 7)));
        assert!(matches!(
            frame.decode::<(String, u32)>(Kind::Hello),
            Err(FrameError::WrongKind { got: 8, want: 1 })
        ));
        let longer = Frame { body: [frame.body.clone(), vec![0]].concat(), ..frame.clone() };
        assert!(longer.decode::<(String, u32)>(Kind::Nack).is_err(), "bytes left over");
        let newer = Frame { version: 2, ..frame };
        assert!(matches!(
            newer.decode::<(String, u32)>(Kind::Nack),
            Err(FrameError::WrongVersion { .. })
        ));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_read() {
        assert!(matches!(Frame::length([0, 16, 0, 1]), Err(FrameError::TooLong { .. })));
        assert!(matches!(Frame::length([0, 0, 0, 3]), Err(FrameError::TooShort { .. })));
        let body = vec![0_u8; MAX_FRAME_BYTES];
        assert!(matches!(Frame::new(Kind::Report, &body), Err(FrameError::TooLong { .. })));
    }
}
