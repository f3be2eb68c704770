//! Frames on QUIC streams and on the local socket.

use serde::Serialize;
use tenure_protocol::wire::frame::{Frame, FrameError, Kind, LENGTH_BYTES};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamFailure {
    /// The peer broke the framing.
    #[error("the peer sent no frame of ours")]
    Frame(#[from] FrameError),
    /// The stream ended.
    #[error("the stream ended")]
    Io(#[from] std::io::Error),
}

/// Reads the next frame. The length is checked before anything of that length is allocated. Not to
/// be cancelled: half a frame would be lost.
///
/// # Errors
/// [`StreamFailure`].
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Frame, StreamFailure> {
    let mut prefix = [0; LENGTH_BYTES];
    stream.read_exact(&mut prefix).await?;
    let mut bytes = vec![0; Frame::length(prefix)?];
    stream.read_exact(&mut bytes).await?;
    Ok(Frame::from_bytes(&bytes)?)
}

/// Writes one frame.
///
/// # Errors
/// [`StreamFailure::Io`].
pub async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    frame: &Frame,
) -> Result<(), StreamFailure> {
    stream.write_all(&frame.to_bytes()).await?;
    Ok(stream.flush().await?)
}

/// Writes one message.
///
/// # Errors
/// [`StreamFailure`].
pub async fn send<S: AsyncWrite + Unpin, T: Serialize>(
    stream: &mut S,
    kind: Kind,
    message: &T,
) -> Result<(), StreamFailure> {
    write(stream, &Frame::new(kind, message)?).await
}
