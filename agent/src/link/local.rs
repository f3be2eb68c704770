//! The way to tenure-hostd.

use std::path::{Path, PathBuf};

use tenure_protocol::wire::{
    frame::FrameError,
    v1::{Hello, Lane, Observation, SignedAlarm},
};
use tokio::net::UnixStream;

use super::stream::{self, StreamFailure};
use crate::socket::{self, Ask, Channel, Tell};

/// Why tenure-hostd did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalFailure {
    /// It is not there.
    #[error("cannot reach tenure-hostd on {path}: is it running, and is this its agent_uid?")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection ended.
    #[error("the connection to tenure-hostd ended")]
    Stream(#[from] StreamFailure),
    /// It answered something else.
    #[error("tenure-hostd answered something else: are both processes of one build?")]
    Answer,
    /// It said no.
    #[error("tenure-hostd refused: {0}")]
    Refused(String),
}

impl From<FrameError> for LocalFailure {
    fn from(error: FrameError) -> Self {
        Self::Stream(error.into())
    }
}

/// The connection for questions.
#[derive(Debug)]
pub struct Base(UnixStream);

impl Base {
    /// Connects.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn connect(path: &Path) -> Result<Self, LocalFailure> {
        Ok(Self(connect(path, Channel::Base).await?))
    }

    /// What the host says of itself.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn hello(&mut self) -> Result<Hello, LocalFailure> {
        match self.ask(Ask::Hello).await? {
            Tell::Hello(hello) => Ok(hello),
            other => Err(unfit(other)),
        }
    }

    /// The host key, and its signature that binds a certificate request to a TLS session.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn sign(
        &mut self,
        exporter: [u8; 32],
        csr: Vec<u8>,
    ) -> Result<([u8; 32], Vec<u8>), LocalFailure> {
        match self.ask(Ask::Sign { exporter, csr }).await? {
            Tell::Signature { host_key, signature } => Ok((host_key, signature)),
            other => Err(unfit(other)),
        }
    }

    /// What is seen on the host.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn observe(&mut self) -> Result<Observation, LocalFailure> {
        match self.ask(Ask::Observe).await? {
            Tell::Observation(observation) => Ok(observation),
            other => Err(unfit(other)),
        }
    }

    /// The oldest alarms that the controller has not received, signed.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn alarms(&mut self) -> Result<Vec<SignedAlarm>, LocalFailure> {
        match self.ask(Ask::Alarms).await? {
            Tell::Alarms(alarms) => Ok(alarms),
            other => Err(unfit(other)),
        }
    }

    /// The controller has received an alarm.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn alarm_received(&mut self, sequence: u64) -> Result<(), LocalFailure> {
        match self.ask(Ask::AlarmReceived { sequence }).await? {
            Tell::Known => Ok(()),
            other => Err(unfit(other)),
        }
    }

    /// Shows the certificate, from which tenure-hostd learns who it is.
    ///
    /// # Errors
    /// [`LocalFailure`].
    pub async fn enrolled(&mut self, chain: &[Vec<u8>]) -> Result<(), LocalFailure> {
        match self.ask(Ask::Enrolled { chain: chain.to_vec() }).await? {
            Tell::Known => Ok(()),
            other => Err(unfit(other)),
        }
    }

    async fn ask(&mut self, ask: Ask) -> Result<Tell, LocalFailure> {
        stream::write(&mut self.0, &socket::ask_frame(&ask)?).await?;
        Ok(socket::tell_of(&stream::read(&mut self.0).await?)?)
    }
}

/// A lane's own connection.
///
/// # Errors
/// [`LocalFailure`].
pub async fn lane(path: &Path, lane: Lane) -> Result<UnixStream, LocalFailure> {
    connect(path, Channel::Lane(lane)).await
}

/// The connection for notices that are to be carried.
///
/// # Errors
/// [`LocalFailure`].
pub async fn courier(path: &Path) -> Result<UnixStream, LocalFailure> {
    connect(path, Channel::Courier).await
}

async fn connect(path: &Path, channel: Channel) -> Result<UnixStream, LocalFailure> {
    let mut stream = UnixStream::connect(path)
        .await
        .map_err(|source| LocalFailure::Connect { path: path.to_owned(), source })?;
    stream::write(&mut stream, &socket::channel_frame(channel)?).await?;
    Ok(stream)
}

fn unfit(tell: Tell) -> LocalFailure {
    match tell {
        Tell::Refused(sentence) => LocalFailure::Refused(sentence),
        Tell::Hello(_)
        | Tell::Signature { .. }
        | Tell::Observation(_)
        | Tell::Known
        | Tell::Alarms(_) => LocalFailure::Answer,
    }
}
