//! The state directory: keys, certificates and anchors, made once by `init` and only read after.
//! The database and the ledger lie in it too. Private files have mode 0600, and are refused if
//! others may read them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use nix::fcntl::{Flock, FlockArg};
use tenure_protocol::{evidence::note::LedgerKey, time::Timestamp};
use zeroize::Zeroizing;

use crate::{
    keys::Keys,
    link::{
        authority::{self, Authority, AuthorityError},
        listener::ResetKeys,
    },
};

/// The root certificate, which clients of the API pin.
pub const CA: &str = "ca.pem";
/// The first administrator's token.
pub const ADMINISTRATOR_TOKEN: &str = "admin.token";
/// The token of the person who confirms what the first administrator makes.
pub const SECURITY_TOKEN: &str = "security.token";
/// The public keys that verifiers of evidence need.
pub const ANCHORS: &str = "anchors.json";
const CA_KEY: &str = "ca.key";
const INTERMEDIATE: &str = "intermediate.pem";
const INTERMEDIATE_KEY: &str = "intermediate.key";
const ORDER_KEY: &str = "order.key";
const ATTESTATION_KEY: &str = "attestation.key";
const LEDGER_KEY: &str = "ledger.key";
const LEDGER_VERIFIER: &str = "ledger.vkey";
const RESET_KEY: &str = "link-reset.key";
const ACCESS_KEY: &str = "access.key";
const LOCK: &str = "lock";
/// Bytes that a file of the state directory may have.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What is wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It has keys already: they are never overwritten.
    #[error("{} has {name} already: give an empty directory, or run with this one", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
        /// What it has.
        name: &'static str,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error(
        "cannot read {}: run `tenure-controller init --state-dir …` first, as the same user",
        path.display()
    )]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read a private file.
    #[error("{} may be read by others: chmod 600 it, and ask who has read it", path.display())]
    Mode {
        /// Which.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: restore it from the backup", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// Another controller runs on it.
    #[error("another controller runs on {}: stop it first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The certificate authority.
    #[error("cannot set up the certificate authority")]
    Authority(#[from] AuthorityError),
    /// The name of the ledger.
    #[error("cannot name the ledger")]
    LedgerName(#[from] tenure_protocol::evidence::note::NoteError),
    /// A key could not be made.
    #[error("cannot make the key {name}")]
    MakeKey {
        /// Which.
        name: &'static str,
    },
}

/// All that `init` has made, read again.
pub struct State {
    /// The directory.
    pub path: PathBuf,
    /// Issues certificates.
    pub authority: Arc<Authority>,
    /// What the engine signs with.
    pub keys: Keys,
    /// What the ledger signs with.
    pub ledger_key: SigningKey,
    /// The ledger's name and verifier key.
    pub ledger: LedgerKey,
    /// Seals second factors.
    pub access_key: Zeroizing<[u8; 32]>,
    /// The link's.
    pub reset: ResetKeys,
    /// Keeps other controllers from running on it.
    pub lock: Flock<File>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes keys and certificates in an empty directory (made if it is not there). What was written is
/// removed again if anything fails.
///
/// # Errors
/// [`StateError`].
pub fn create(path: &Path, ledger_name: &str, now: Timestamp) -> Result<(), StateError> {
    let failed = |source| StateError::Write { path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let files = make(ledger_name, now)?;
    for name in
        files.iter().map(|(name, ..)| *name).chain([ANCHORS, ADMINISTRATOR_TOKEN, SECURITY_TOKEN])
    {
        if path.join(name).symlink_metadata().is_ok() {
            return Err(StateError::Exists { path: path.to_owned(), name });
        }
    }
    for (name, mode, text) in &files {
        if let Err(error) = write_new(path, name, *mode, text.as_bytes()) {
            for (name, ..) in &files {
                let _ = fs::remove_file(path.join(name));
            }
            return Err(error);
        }
    }
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed)
}

type NewFile = (&'static str, u32, Zeroizing<String>);

fn make(ledger_name: &str, now: Timestamp) -> Result<Vec<NewFile>, StateError> {
    let authority = authority::create(now)?;
    let ledger = new_key(LEDGER_KEY)?;
    let verifier = LedgerKey::new(ledger_name, ledger.verifying_key())?;
    let mut reset = Zeroizing::new([0; 72]);
    getrandom::fill(reset.as_mut_slice()).map_err(|_| StateError::MakeKey { name: RESET_KEY })?;
    let mut access = Zeroizing::new([0; 32]);
    getrandom::fill(access.as_mut_slice()).map_err(|_| StateError::MakeKey { name: ACCESS_KEY })?;
    Ok(vec![
        (CA, 0o644, Zeroizing::new(authority.root)),
        (CA_KEY, 0o600, authority.root_key),
        (INTERMEDIATE, 0o644, Zeroizing::new(authority.intermediate)),
        (INTERMEDIATE_KEY, 0o600, authority.intermediate_key),
        (ORDER_KEY, 0o600, pem(&new_key(ORDER_KEY)?, ORDER_KEY)?),
        (ATTESTATION_KEY, 0o600, pem(&new_key(ATTESTATION_KEY)?, ATTESTATION_KEY)?),
        (LEDGER_KEY, 0o600, pem(&ledger, LEDGER_KEY)?),
        (LEDGER_VERIFIER, 0o644, Zeroizing::new(format!("{verifier}\n"))),
        (RESET_KEY, 0o600, Zeroizing::new(hex::encode(reset.as_slice()))),
        (ACCESS_KEY, 0o600, Zeroizing::new(hex::encode(access.as_slice()))),
    ])
}

/// Reads all that `create` has made, and keeps others from running on it.
///
/// # Errors
/// [`StateError`].
pub fn open(path: &Path) -> Result<State, StateError> {
    let ca = read(path, CA)?;
    let authority =
        Authority::load(&ca, &read(path, INTERMEDIATE)?, &read_private(path, INTERMEDIATE_KEY)?)?;
    let damaged = |name| StateError::Damaged { path: path.join(name) };
    let ledger: LedgerKey =
        read(path, LEDGER_VERIFIER)?.trim().parse().map_err(|_| damaged(LEDGER_VERIFIER))?;
    let ledger_key = read_key(path, LEDGER_KEY)?;
    if *ledger.key() != ledger_key.verifying_key() {
        return Err(damaged(LEDGER_VERIFIER));
    }
    let mut bytes = Zeroizing::new([0; 72]);
    hex::decode_to_slice(read_private(path, RESET_KEY)?.trim(), bytes.as_mut_slice())
        .map_err(|_| damaged(RESET_KEY))?;
    let mut access_key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(read_private(path, ACCESS_KEY)?.trim(), access_key.as_mut_slice())
        .map_err(|_| damaged(ACCESS_KEY))?;
    let (ids, reset) = bytes.split_first_chunk().ok_or_else(|| damaged(RESET_KEY))?;
    let reset = <[u8; 64]>::try_from(reset).map_err(|_| damaged(RESET_KEY))?;
    Ok(State {
        path: path.to_owned(),
        authority: Arc::new(authority),
        keys: Keys {
            order: read_key(path, ORDER_KEY)?,
            attestation: read_key(path, ATTESTATION_KEY)?,
        },
        ledger_key,
        ledger,
        access_key,
        reset: ResetKeys { reset: Zeroizing::new(reset), connection_ids: u64::from_be_bytes(*ids) },
        lock: lock(path)?,
    })
}

/// Writes a new file, synced, with the mode from its first moment on. An existing one is left
/// alone.
///
/// # Errors
/// [`StateError::Write`].
pub fn write_new(dir: &Path, name: &str, mode: u32, bytes: &[u8]) -> Result<(), StateError> {
    let path = dir.join(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).and_then(
        |mut file| {
            // The umask may have taken away what others are to read.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all(bytes)?;
            file.sync_all()
        },
    );
    written.map_err(|source| StateError::Write { path, source })
}

fn lock(path: &Path) -> Result<Flock<File>, StateError> {
    let name = path.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(|source| StateError::Write { path: name, source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| StateError::Locked { path: path.to_owned() })
}

fn read(dir: &Path, name: &str) -> Result<Zeroizing<String>, StateError> {
    let path = dir.join(name);
    let failed = |source| StateError::Read { path: path.clone(), source };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(&path).map_err(failed)?;
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn read_private(dir: &Path, name: &str) -> Result<Zeroizing<String>, StateError> {
    let path = dir.join(name);
    let metadata =
        fs::metadata(&path).map_err(|source| StateError::Read { path: path.clone(), source })?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(StateError::Mode { path });
    }
    read(dir, name)
}

fn read_key(dir: &Path, name: &'static str) -> Result<SigningKey, StateError> {
    let text = read_private(dir, name)?;
    SigningKey::from_pkcs8_pem(&text).map_err(|_| StateError::Damaged { path: dir.join(name) })
}

fn new_key(name: &'static str) -> Result<SigningKey, StateError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| StateError::MakeKey { name })?;
    Ok(SigningKey::from_bytes(&seed))
}

fn pem(key: &SigningKey, name: &'static str) -> Result<Zeroizing<String>, StateError> {
    key.to_pkcs8_pem(LineEnding::LF).map_err(|_| StateError::MakeKey { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_788_220_800_000);

    #[test]
    fn what_is_made_is_read_again_and_never_made_twice() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state");
        create(&path, "ledger.example", NOW).expect("made");
        let state = open(&path).expect("read");
        assert_eq!(state.ledger.name(), "ledger.example");
        assert!(matches!(open(&path), Err(StateError::Locked { .. })), "one controller alone");
        let again = create(&path, "ledger.example", NOW);
        assert!(matches!(again, Err(StateError::Exists { name: CA, .. })), "{again:?}");
        for name in [
            CA_KEY,
            INTERMEDIATE_KEY,
            ORDER_KEY,
            ATTESTATION_KEY,
            LEDGER_KEY,
            RESET_KEY,
            ACCESS_KEY,
        ] {
            let mode = fs::metadata(path.join(name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        create(dir.path(), "ledger.example", NOW).expect("made");
        let key = dir.path().join(ORDER_KEY);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(matches!(open(dir.path()), Err(StateError::Mode { path }) if path == key));
    }

    #[test]
    fn a_directory_that_was_never_set_up_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = open(dir.path()).expect_err("empty");
        assert!(error.to_string().contains("tenure-controller init"), "{error}");
    }
}
