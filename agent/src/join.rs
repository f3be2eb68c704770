//! Joining: what root gives a host before it first dials. The join token is split: what is pinned
//! stays with the privileged side; the network side gets what it needs to enrol, the secret among
//! it, and nothing that signs.

use std::{
    io,
    path::{Path, PathBuf},
};

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::note::{LedgerKey, NoteError},
    id::HostId,
    time::Timestamp,
    wire::join::{JoinToken, ParseJoinTokenError},
};

use crate::{
    config::HostdConfig,
    file::{self, FileFailure},
    sign::{HostKey, KeyFailure},
};

/// Most bytes of a token, or of what a join keeps.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A join that failed, or pins that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// No token where it was said to be.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a token.
    #[error(transparent)]
    Token(#[from] ParseJoinTokenError),
    /// Too late.
    #[error("the join token expired at {0}: ask an administrator for a new one")]
    Expired(Timestamp),
    /// Not joined yet.
    #[error(
        "this host has not joined: run `tenure-hostd join --token-file FILE` with a token of the \
         controller's (tenurectl host token)"
    )]
    NotJoined,
    /// The stored pins cannot be used.
    #[error("the pins in {path} cannot be used ({reason}): join the host again")]
    Pins {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another controller's token.
    #[error(
        "this host belongs to another controller (its order or ledger key differs): remove {0} \
         and its journals only if nothing of that controller's is left on the host"
    )]
    AnotherController(PathBuf),
    /// The token's ledger key is none.
    #[error("the token's ledger key cannot be used")]
    Ledger(#[from] NoteError),
    /// The host key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFailure),
    /// Something cannot be stored.
    #[error(transparent)]
    File(#[from] FileFailure),
}

/// What the privileged side believes from then on. Nothing of it comes over the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// The host's name.
    pub host_name: String,
    /// The controller's order key, hexadecimal.
    #[serde(with = "hex_key")]
    pub order_key: [u8; 32],
    /// The ledger's verifier key.
    pub ledger_key: String,
    /// The certificate authority's root, DER, hexadecimal.
    #[serde(with = "hex_bytes")]
    pub ca_der: Vec<u8>,
}

/// What the network side needs to enrol.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The host's name.
    pub host_name: String,
    /// `address:port` of the enrolment port.
    pub enrol_address: String,
    /// `address:port` of the command port.
    pub command_address: String,
    /// Name in the controller's certificate.
    pub server_name: String,
    /// The certificate authority's root, DER, hexadecimal.
    #[serde(with = "hex_bytes")]
    pub ca_der: Vec<u8>,
    /// The token's secret: works once.
    #[serde(with = "hex_key")]
    pub secret: [u8; 32],
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation").field("host_name", &self.host_name).finish_non_exhaustive()
    }
}

impl Pins {
    /// The controller's order key.
    ///
    /// # Errors
    /// [`JoinFailure::Pins`].
    pub fn order_key(&self, path: &Path) -> Result<VerifyingKey, JoinFailure> {
        VerifyingKey::from_bytes(&self.order_key).map_err(|_| JoinFailure::Pins {
            path: path.to_owned(),
            reason: "the order key is none".to_owned(),
        })
    }
}

/// Where the pins are.
#[must_use]
pub fn pins_path(state_dir: &Path) -> PathBuf {
    state_dir.join("pins.toml")
}

/// Where the host key is.
#[must_use]
pub fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("host.key")
}

/// Where the invitation is, in the network side's state directory.
#[must_use]
pub fn invitation_path(agent_state_dir: &Path) -> PathBuf {
    agent_state_dir.join("join.toml")
}

fn host_id_path(state_dir: &Path) -> PathBuf {
    state_dir.join("host-id")
}

/// Joins this host: makes its key if it has none, pins what the token says, and leaves the
/// invitation for tenure-agent. A host that has joined before keeps its key and its pins, and
/// enrols once more.
///
/// # Errors
/// [`JoinFailure`].
pub fn join(config: &HostdConfig, token_file: &Path, now: Timestamp) -> Result<Pins, JoinFailure> {
    let token: JoinToken = read(token_file)?.parse()?;
    if now > token.expires_at {
        return Err(JoinFailure::Expired(token.expires_at));
    }
    let _: LedgerKey = token.ledger_key.parse()?;
    file::directory(&config.state_dir, 0o700, None)?;
    let pins = Pins {
        host_name: token.host_name.clone(),
        order_key: token.order_key,
        ledger_key: token.ledger_key.clone(),
        ca_der: token.ca_der.clone(),
    };
    pins.order_key(token_file)?;
    let path = pins_path(&config.state_dir);
    match load(&config.state_dir) {
        Ok(known) if known.order_key != pins.order_key || known.ledger_key != pins.ledger_key => {
            return Err(JoinFailure::AnotherController(path));
        }
        Ok(_) | Err(JoinFailure::NotJoined) => {}
        Err(error) => return Err(error),
    }
    HostKey::load_or_make(&key_path(&config.state_dir))?;
    file::replace(&path, &toml_of(&pins), None)?;
    // A new enrolment may give another id: the old one is believed no more.
    let _ = std::fs::remove_file(host_id_path(&config.state_dir));
    let owner = Some((config.agent_uid, config.agent_gid));
    file::directory(&config.agent_state_dir, 0o700, owner)?;
    let invitation = Invitation {
        host_name: token.host_name,
        enrol_address: token.enrol_address,
        command_address: token.command_address,
        server_name: token.server_name,
        ca_der: token.ca_der,
        secret: token.secret,
    };
    file::replace(&invitation_path(&config.agent_state_dir), &toml_of(&invitation), owner)?;
    Ok(pins)
}

/// The pins of a host that has joined.
///
/// # Errors
/// [`JoinFailure::NotJoined`], [`JoinFailure::Pins`].
pub fn load(state_dir: &Path) -> Result<Pins, JoinFailure> {
    let path = pins_path(state_dir);
    if !path.exists() {
        return Err(JoinFailure::NotJoined);
    }
    toml::from_str(&read(&path)?)
        .map_err(|error| JoinFailure::Pins { path, reason: error.message().to_owned() })
}

/// The host's id, if it is enrolled.
///
/// # Errors
/// [`JoinFailure::Pins`].
pub fn load_host_id(state_dir: &Path) -> Result<Option<HostId>, JoinFailure> {
    let path = host_id_path(state_dir);
    if !path.exists() {
        return Ok(None);
    }
    let text = read(&path)?;
    let id = text
        .trim()
        .parse()
        .map_err(|_| JoinFailure::Pins { path, reason: "the host id is none".to_owned() })?;
    Ok(Some(id))
}

/// Keeps the host's id.
///
/// # Errors
/// [`JoinFailure::File`].
pub fn save_host_id(state_dir: &Path, host: HostId) -> Result<(), JoinFailure> {
    Ok(file::replace(&host_id_path(state_dir), format!("{host}\n").as_bytes(), None)?)
}

fn read(path: &Path) -> Result<String, JoinFailure> {
    let failed = |source| JoinFailure::Read { path: path.to_owned(), source };
    let bytes = file::read_limited(path, MAX_FILE_BYTES).map_err(failed)?;
    String::from_utf8(bytes)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}

fn toml_of<T: Serialize>(value: &T) -> Vec<u8> {
    toml::to_string(value).unwrap_or_default().into_bytes()
}

mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(d)?).map_err(D::Error::custom)
    }
}

mod hex_key {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        key: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(key))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let mut key = [0; 32];
        hex::decode_to_slice(String::deserialize(d)?, &mut key).map_err(D::Error::custom)?;
        Ok(key)
    }
}
