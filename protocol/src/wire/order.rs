//! Signed orders. The controller's order key signs the exact bytes of an order; the privileged side
//! of the agent checks them against the key that was pinned at enrolment, before it parses them.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::{frame, v1::Order};
use crate::digest::Digest;

/// Prefix of the signed bytes, so that no other signature of the same key can pass for an order's.
const DOMAIN: &[u8] = b"tenure/order/v1\0";

/// An order as it travels and is kept: bytes and the signature over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOrder {
    /// postcard bytes of an [`Order`], exactly as signed.
    pub order: Vec<u8>,
    /// Ed25519 signature over the domain tag and `order`: 64 bytes.
    pub signature: Vec<u8>,
}

/// Why an order is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The signature is not by the pinned key over these bytes.
    #[error("the order is not signed by the pinned order key")]
    Signature,
    /// Signed by the pinned key, but no order of version 1.
    #[error("the order is signed but cannot be decoded: {0}")]
    Body(String),
}

impl SignedOrder {
    /// Signs an order.
    ///
    /// # Errors
    /// [`OrderError::Body`] if the order cannot be encoded.
    pub fn sign(order: &Order, key: &SigningKey) -> Result<Self, OrderError> {
        let order = frame::encode(order).map_err(OrderError::Body)?;
        let signature = key.sign(&message(&order)).to_bytes().to_vec();
        Ok(Self { order, signature })
    }

    /// Checks the signature over the raw bytes, then parses them.
    ///
    /// # Errors
    /// [`OrderError::Signature`] before anything is parsed, [`OrderError::Body`] after.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Order, OrderError> {
        let signature =
            Signature::from_slice(&self.signature).map_err(|_| OrderError::Signature)?;
        key.verify_strict(&message(&self.order), &signature).map_err(|_| OrderError::Signature)?;
        frame::decode(&self.order).map_err(OrderError::Body)
    }

    /// Digest of the order's bytes: what approvals and statements refer to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.order)
    }
}

fn message(order: &[u8]) -> Vec<u8> {
    [DOMAIN, order].concat()
}
