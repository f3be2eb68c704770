//! Frames on QUIC streams.

use quinn::{ReadExactError, RecvStream, SendStream, WriteError};
use serde::Serialize;
use tenure_protocol::wire::frame::{Frame, FrameError, Kind, LENGTH_BYTES};

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer broke the framing.
    #[error("the peer sent no frame of ours")]
    Frame(#[from] FrameError),
    /// The stream ended within a frame, or the connection did.
    #[error("the stream ended")]
    Read(#[from] ReadExactError),
    /// The connection ended while something was sent.
    #[error("the stream cannot be written")]
    Write(#[from] WriteError),
}

/// Reads the next frame. The length is checked before anything of that length is allocated. Not to
/// be cancelled: half a frame would be lost.
///
/// # Errors
/// [`StreamError`].
pub async fn read(stream: &mut RecvStream) -> Result<Frame, StreamError> {
    let mut prefix = [0; LENGTH_BYTES];
    stream.read_exact(&mut prefix).await?;
    let mut bytes = vec![0; Frame::length(prefix)?];
    stream.read_exact(&mut bytes).await?;
    Ok(Frame::from_bytes(&bytes)?)
}

/// Writes one message.
///
/// # Errors
/// [`StreamError`].
pub async fn write<T: Serialize>(
    stream: &mut SendStream,
    kind: Kind,
    message: &T,
) -> Result<(), StreamError> {
    let frame = Frame::new(kind, message)?;
    Ok(stream.write_all(&frame.to_bytes()).await?)
}
