//! Public keys of those who sign evidence: Ed25519 (RFC 8032), as PEM (RFC 8410) where tools of
//! others read them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::digest::Digest;

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

const PEM_HEAD: &str = "-----BEGIN PUBLIC KEY-----\n";
const PEM_FOOT: &str = "\n-----END PUBLIC KEY-----\n";

/// Name of a key: SHA-256 of its SubjectPublicKeyInfo, DER; lower-case hexadecimal in text.
pub type KeyId = Digest;

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key: give PEM as `openssl pkey -pubout` prints it")]
pub struct ParseKeyError;

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`ParseKeyError`] if they are no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ParseKeyError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| ParseKeyError)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key for checking signatures.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }

    /// SubjectPublicKeyInfo, DER (RFC 8410).
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.0.as_bytes()].concat()
    }

    /// SubjectPublicKeyInfo, PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        format!("{PEM_HEAD}{}{PEM_FOOT}", STANDARD.encode(self.to_spki_der()))
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        Digest::of(&self.to_spki_der())
    }
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", self.id())
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let body = text
            .strip_prefix(PEM_HEAD)
            .and_then(|rest| rest.strip_suffix(PEM_FOOT.trim_end()))
            .ok_or(ParseKeyError)?;
        let der = STANDARD.decode(body.trim_end()).map_err(|_| ParseKeyError)?;
        let raw = der.strip_prefix(&SPKI_PREFIX).ok_or(ParseKeyError)?;
        Self::from_bytes(raw.try_into().map_err(|_| ParseKeyError)?)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_pem())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
