//! The host key: Ed25519, made on the host, never leaves it, signs attestations and enrolments.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use tenure_protocol::{
    evidence::{
        dsse::{EnvelopeError, sign_statement},
        statement::Statement,
    },
    wire::watch::{Said, SaidError, Signed},
};
use zeroize::Zeroizing;

/// A host key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFailure {
    /// Not there.
    #[error("there is no host key at {0}: run `tenure-hostd join --token-file FILE` first")]
    Missing(PathBuf),
    /// Readable by others, or of the wrong length.
    #[error(
        "the host key {path} is {reason}: if it was exposed, join the host again with a new key"
    )]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It cannot be read or written.
    #[error("cannot read or write the host key {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The kernel gave no randomness.
    #[error("the kernel gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// The host key. Prints nothing, and is wiped from memory when it is dropped.
pub struct HostKey(SigningKey);

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey")
    }
}

impl HostKey {
    /// A key from its 32 secret bytes.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// Reads the key, or makes one (mode 0600, synced) if there is none.
    ///
    /// # Errors
    /// [`KeyFailure`].
    pub fn load_or_make(path: &Path) -> Result<Self, KeyFailure> {
        match Self::load(path) {
            Err(KeyFailure::Missing(_)) => {}
            other => return other,
        }
        let mut secret = Zeroizing::new([0_u8; 32]);
        getrandom::fill(secret.as_mut()).map_err(KeyFailure::Randomness)?;
        let io = |source| KeyFailure::Io { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(secret.as_ref()).and_then(|()| file.sync_all()).map_err(io)?;
        if let Some(parent) = path.parent() {
            File::open(parent).and_then(|dir| dir.sync_all()).map_err(io)?;
        }
        Ok(Self::from_secret(&secret))
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`KeyFailure`].
    pub fn load(path: &Path) -> Result<Self, KeyFailure> {
        let io = |source| KeyFailure::Io { path: path.to_owned(), source };
        let unfit = |reason| KeyFailure::Unfit { path: path.to_owned(), reason };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(KeyFailure::Missing(path.to_owned()));
            }
            Err(error) => return Err(io(error)),
        };
        if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
            return Err(unfit("readable by others"));
        }
        let mut secret = Zeroizing::new([0_u8; 32]);
        file.read_exact(secret.as_mut()).map_err(|_| unfit("too short"))?;
        if file.read(&mut [0]).map_err(io)? != 0 {
            return Err(unfit("too long"));
        }
        Ok(Self::from_secret(&secret))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    /// A statement in an envelope, signed: its JSON.
    ///
    /// # Errors
    /// [`EnvelopeError`] for a statement that must not be signed.
    pub fn seal(&self, statement: &Statement) -> Result<Vec<u8>, EnvelopeError> {
        sign_statement(statement, &self.0)
    }

    /// Something that the controller believes of this host alone, signed.
    ///
    /// # Errors
    /// [`SaidError::Body`] if it cannot be encoded.
    pub fn say<T: Said>(&self, said: &T) -> Result<Signed<T>, SaidError> {
        Signed::sign(said, &self.0)
    }

    /// Signature over `message`: 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}
