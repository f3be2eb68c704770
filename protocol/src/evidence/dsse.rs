//! DSSE envelopes (Dead Simple Signing Envelope 1.0): the bytes of a payload, as they were signed,
//! and Ed25519 signatures over their pre-authentication encoding.

use ed25519_dalek::{Signature, Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use super::{
    key::{KeyId, PublicKey},
    statement::{PAYLOAD_TYPE, Statement, StatementError},
};

/// Most bytes of an envelope's JSON.
pub const MAX_ENVELOPE_BYTES: usize = 768 * 1024;

/// Most signatures of an envelope.
const MAX_SIGNATURES: usize = 8;

/// A DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// What is signed, byte by byte.
    #[serde(with = "base64_bytes")]
    pub payload: Vec<u8>,
    /// What it is.
    pub payload_type: String,
    /// Who signed it.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// The key's name: a hint, never proof.
    pub keyid: KeyId,
    /// The signature over [`pae`].
    #[serde(with = "base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why bytes are no envelope, or not one that the key signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Over a limit.
    #[error("the envelope is over its limit of {MAX_ENVELOPE_BYTES} bytes, 8 signatures")]
    TooLong,
    /// Not JSON of an envelope.
    #[error("the envelope cannot be read: {0}")]
    Shape(String),
    /// Not signed by this key.
    #[error("the envelope has no valid signature by key {0}")]
    Signature(KeyId),
    /// The payload is no statement.
    #[error("the envelope holds {0:?}, not a statement")]
    PayloadType(String),
    /// The statement cannot be written.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl Envelope {
    /// Signs a payload.
    #[must_use]
    pub fn sign(payload_type: &str, payload: Vec<u8>, key: &SigningKey) -> Self {
        let sig = key.sign(&pae(payload_type, &payload)).to_bytes().to_vec();
        let keyid = PublicKey::from(key.verifying_key()).id();
        let signatures = vec![EnvelopeSignature { keyid, sig }];
        Self { payload, payload_type: payload_type.to_owned(), signatures }
    }

    /// The envelope's JSON: what is kept, sent and logged by its digest.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an envelope. Nothing in it is proven yet.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLong`] and [`EnvelopeError::Shape`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLong);
        }
        let envelope: Self = serde_json::from_slice(bytes)
            .map_err(|error| EnvelopeError::Shape(error.to_string()))?;
        if envelope.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::TooLong);
        }
        Ok(envelope)
    }

    /// The payload of a statement, once a signature of `key` over its raw bytes holds.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`] and [`EnvelopeError::PayloadType`].
    pub fn verify(&self, key: &PublicKey) -> Result<&[u8], EnvelopeError> {
        let keyid = key.id();
        let message = pae(&self.payload_type, &self.payload);
        let holds = self
            .signatures
            .iter()
            .filter(|signature| signature.keyid == keyid)
            .filter_map(|signature| Signature::from_slice(&signature.sig).ok())
            .any(|signature| key.verifying_key().verify_strict(&message, &signature).is_ok());
        if !holds {
            return Err(EnvelopeError::Signature(keyid));
        }
        if self.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType(self.payload_type.chars().take(128).collect()));
        }
        Ok(&self.payload)
    }
}

/// The JSON of an envelope with a statement, signed.
///
/// # Errors
/// [`EnvelopeError::Statement`] if the statement may not be signed (it is dishonest or too long).
pub fn sign_statement(statement: &Statement, key: &SigningKey) -> Result<Vec<u8>, EnvelopeError> {
    Ok(Envelope::sign(PAYLOAD_TYPE, statement.to_payload()?, key).to_bytes())
}

/// The statement in an envelope's JSON: signed by `key`, which is checked first, and honest by its
/// own rules.
///
/// # Errors
/// Any of [`EnvelopeError`].
pub fn open_statement(bytes: &[u8], key: &PublicKey) -> Result<Statement, EnvelopeError> {
    let envelope = Envelope::from_bytes(bytes)?;
    let statement = Statement::from_payload(envelope.verify(key)?)?;
    match statement.predicate().dishonesty() {
        Some(sentence) => Err(StatementError::Dishonest(sentence).into()),
        None => Ok(statement),
    }
}

/// The pre-authentication encoding: `DSSEv1 LEN(type) type LEN(payload) payload`.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|error| D::Error::custom(format!("not base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_reads_back_and_opens_with_its_key_alone() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let envelope = Envelope::sign(PAYLOAD_TYPE, b"{}".to_vec(), &key);
        let read = Envelope::from_bytes(&envelope.to_bytes()).expect("an envelope");
        assert_eq!(read, envelope);
        assert_eq!(read.verify(&key.verifying_key().into()), Ok(b"{}".as_slice()));
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().into();
        assert!(matches!(read.verify(&other), Err(EnvelopeError::Signature(_))));
        let renamed = Envelope { payload_type: "text/plain".to_owned(), ..envelope };
        assert!(renamed.verify(&key.verifying_key().into()).is_err(), "the type is signed too");
    }
}
