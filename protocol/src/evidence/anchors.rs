//! Trust anchors: what a verifier must have from somewhere else than the bundle.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{key::PublicKey, note::LedgerKey};

/// Most bytes of a file of anchors.
pub const MAX_ANCHORS_BYTES: usize = 16 * 1024;

/// The keys that everything else follows from. Keep them where the controller cannot change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anchors {
    /// Version of the format: 1.
    pub v: u32,
    /// Who signs the ledger's checkpoints (C2SP signed-note verifier key).
    pub ledger_key: LedgerKey,
    /// Who signs the controller's statements, PEM.
    pub attestation_key: PublicKey,
}

/// Bytes that are no anchors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a file of trust anchors: {0}; fetch one with `tenurectl anchors`, and compare it")]
pub struct ParseAnchorsError(String);

impl Anchors {
    /// Anchors of a controller.
    #[must_use]
    pub const fn new(ledger_key: LedgerKey, attestation_key: PublicKey) -> Self {
        Self { v: 1, ledger_key, attestation_key }
    }

    /// From JSON.
    ///
    /// # Errors
    /// [`ParseAnchorsError`] says what is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseAnchorsError> {
        if bytes.len() > MAX_ANCHORS_BYTES {
            return Err(ParseAnchorsError("it is too long".to_owned()));
        }
        let anchors: Self =
            serde_json::from_slice(bytes).map_err(|error| ParseAnchorsError(error.to_string()))?;
        if anchors.v == 1 {
            Ok(anchors)
        } else {
            Err(ParseAnchorsError(format!("version {} is not known", anchors.v)))
        }
    }

    /// As JSON for people.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Serialize for LedgerKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LedgerKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
