//! The operator's side: one question, one answer. Nothing is decided here.

use std::{
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{ANSWER, LocalAnswer, OperatorAsk, ask_frame};
use crate::socket::{self, SocketFailure};

/// How long an answer may take: the proof of a cut is measured before it comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientFailure {
    /// Nobody is there, or this user may not.
    #[error(
        "cannot reach tenure-hostd on {path}: is it running, and are you root or a member of its \
         operators' group (operators_gid)?"
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It went away, or did not answer in time: what was asked may have been done.
    #[error(
        "tenure-hostd did not answer: what you asked for may have been done; ask `tenure-agent \
         status`, and read its log"
    )]
    Broken(#[from] SocketFailure),
}

/// Asks tenure-hostd.
///
/// # Errors
/// [`ClientFailure`].
pub fn ask(path: &Path, ask: &OperatorAsk) -> Result<LocalAnswer, ClientFailure> {
    let failed = |source| ClientFailure::Connect { path: path.to_owned(), source };
    let stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let frame = ask_frame(ask).map_err(SocketFailure::from)?;
    socket::write(&stream, &frame)?;
    let answer = socket::read(&stream)?;
    Ok(socket::decode(&answer, ANSWER).map_err(SocketFailure::from)?)
}
