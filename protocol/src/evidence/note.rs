//! Signed notes (C2SP signed-note) and checkpoints (C2SP tlog-checkpoint): the signed head of the
//! ledger.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Most bytes of a note.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;

/// Signature type of Ed25519 in a verifier key.
const ED25519: u8 = 1;

/// A verifier key (`name+hash+key`): who signs notes.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerKey {
    name: String,
    key: VerifyingKey,
}

/// Why a note or a verifier key is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is no verifier key.
    #[error("not a verifier key: give one such as ledger.example+1a2b3c4d+ATk…")]
    Key,
    /// The name cannot stand in a note.
    #[error("{0:?} is no ledger name: it must not be empty, or have spaces or plus signs")]
    Name(String),
    /// The text is no signed note.
    #[error("not a signed note")]
    Shape,
    /// No valid signature by the key.
    #[error("the note is not signed by {0}")]
    Signature(String),
    /// Signed, but no checkpoint of this ledger.
    #[error("the note is signed, but is no checkpoint of ledger {0}")]
    NotACheckpoint(String),
}

impl LedgerKey {
    /// A verifier key of a ledger.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if name.is_empty() || name.len() > 256 || !name.chars().all(fits) {
            return Err(NoteError::Name(name.chars().take(64).collect()));
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// The ledger's name: origin of its checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    fn id(&self) -> [u8; 4] {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LedgerKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (name, hash, key) = match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(hash), Some(key)) if text.len() <= 1024 => (name, hash, key),
            _ => return Err(NoteError::Key),
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let Some((&ED25519, raw)) = bytes.split_first() else { return Err(NoteError::Key) };
        let raw: &[u8; 32] = raw.try_into().map_err(|_| NoteError::Key)?;
        let key = VerifyingKey::from_bytes(raw).map_err(|_| NoteError::Key)?;
        let parsed = Self::new(name, key)?;
        if hex::encode(parsed.id()) == hash { Ok(parsed) } else { Err(NoteError::Key) }
    }
}

/// The head of a ledger: its name, size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the Merkle tree over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The signed note of this checkpoint. The key must be the ledger's own.
    ///
    /// # Errors
    /// [`NoteError::Name`] if the origin cannot stand in a note.
    pub fn sign(&self, key: &SigningKey) -> Result<String, NoteError> {
        let ledger = LedgerKey::new(&self.origin, key.verifying_key())?;
        let text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0));
        let signature = key.sign(text.as_bytes()).to_bytes();
        let blob = STANDARD.encode([ledger.id().as_slice(), &signature].concat());
        Ok(format!("{text}\n\u{2014} {} {blob}\n", self.origin))
    }

    /// The checkpoint in a note that the ledger's key has signed. The signature is checked before
    /// the text is parsed; signatures of others (witnesses) are passed over.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &[u8], key: &LedgerKey) -> Result<Self, NoteError> {
        let text = verified_text(note, key)?;
        let not_one = || NoteError::NotACheckpoint(key.name.clone());
        let mut lines = text.split('\n');
        let (origin, size, root) = match (lines.next(), lines.next(), lines.next()) {
            (Some(origin), Some(size), Some(root)) => (origin, size, root),
            _ => return Err(not_one()),
        };
        let number: u64 = size.parse().map_err(|_| not_one())?;
        let root = STANDARD.decode(root).ok().and_then(|root| <[u8; 32]>::try_from(root).ok());
        if origin != key.name || number.to_string() != size {
            return Err(not_one());
        }
        let root = Digest(root.ok_or_else(not_one)?);
        Ok(Self { origin: origin.to_owned(), size: number, root })
    }
}

/// The text of a note, once a signature of `key` over it holds.
fn verified_text<'a>(note: &'a [u8], key: &LedgerKey) -> Result<&'a str, NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Shape);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Shape)?;
    if note.chars().any(|c| c.is_control() && c != '\n') || !note.ends_with('\n') {
        return Err(NoteError::Shape);
    }
    let split = note.rfind("\n\n").ok_or(NoteError::Shape)?;
    let (text, signatures) = (&note[..=split], &note[split + 2..]);
    let mut holds = false;
    for line in signatures.lines() {
        let (name, blob) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or(NoteError::Shape)?;
        let blob = STANDARD.decode(blob).map_err(|_| NoteError::Shape)?;
        let (id, signature) = blob.split_at_checked(4).ok_or(NoteError::Shape)?;
        if name != key.name || id != key.id() {
            continue;
        }
        let signature =
            Signature::from_slice(signature).map_err(|_| NoteError::Signature(key.name.clone()))?;
        key.key
            .verify_strict(text.as_bytes(), &signature)
            .map_err(|_| NoteError::Signature(key.name.clone()))?;
        holds = true;
    }
    if holds { Ok(text) } else { Err(NoteError::Signature(key.name.clone())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_key_of_the_specification_reads_and_prints() {
        // From the documentation of golang.org/x/mod/sumdb/note.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: LedgerKey = text.parse().expect("a verifier key");
        assert_eq!(key.to_string(), text);
        assert_eq!(key.name(), "PeterNeumann");
        assert!(text.replace("c74f", "c74e").parse::<LedgerKey>().is_err(), "a wrong hash");
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FF\
            YC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(verified_text(note.as_bytes(), &key).is_ok());
        assert!(verified_text(note.replace("If", "if").as_bytes(), &key).is_err());
    }

    #[test]
    fn a_checkpoint_opens_with_its_ledgers_key_and_name_alone() {
        let signing = SigningKey::from_bytes(&[3; 32]);
        let key = LedgerKey::new("ledger.test", signing.verifying_key()).expect("a name");
        let checkpoint =
            Checkpoint { origin: "ledger.test".to_owned(), size: 7, root: Digest::of(b"r") };
        let note = checkpoint.sign(&signing).expect("a name");
        assert_eq!(Checkpoint::open(note.as_bytes(), &key).as_ref(), Ok(&checkpoint));
        let other = LedgerKey::new("other.test", signing.verifying_key()).expect("a name");
        assert!(Checkpoint::open(note.as_bytes(), &other).is_err());
        for (place, _) in note.char_indices() {
            let mut bytes = note.clone().into_bytes();
            bytes[place] ^= 1;
            assert!(Checkpoint::open(&bytes, &key).is_err(), "byte {place}");
        }
    }
}
