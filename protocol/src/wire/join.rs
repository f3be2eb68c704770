//! Join tokens: what an operator carries from the controller to a new host. Self-contained: where
//! the controller is, which certificate authority and which order key to pin, and a secret that
//! works once.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::frame;
use crate::{digest::Digest, time::Timestamp};

const PREFIX: &str = "tenure-join-1.";

/// A join token. Its text form is `tenure-join-1.` and base64url of its postcard bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Works once.
    pub secret: [u8; 32],
    /// Name of the host that it is for.
    pub host_name: String,
    /// `address:port` (UDP) of the enrolment port.
    pub enrol_address: String,
    /// `address:port` (UDP) of the command port.
    pub command_address: String,
    /// DNS name in the controller's certificate.
    pub server_name: String,
    /// Digest of the certificate authority's root certificate, DER.
    pub ca: Digest,
    /// The root certificate itself, DER.
    pub ca_der: Vec<u8>,
    /// The controller's order key (Ed25519), which the host pins.
    pub order_key: [u8; 32],
    /// The ledger's verifier key (C2SP signed-note vkey), which the host pins.
    pub ledger_key: String,
    /// After this it no longer works.
    pub expires_at: Timestamp,
}

/// Text that is no join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a join token: {0}; ask an administrator for a new one (tenurectl host token)")]
pub struct ParseJoinTokenError(String);

impl JoinToken {
    /// The text form: a secret.
    #[must_use]
    pub fn reveal(&self) -> String {
        let bytes = frame::encode(self).unwrap_or_default();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("host_name", &self.host_name).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = ParseJoinTokenError;
    fn from_str(text: &str) -> Result<Self, ParseJoinTokenError> {
        let error = |reason: &str| ParseJoinTokenError(reason.to_owned());
        let body = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or_else(|| error("it does not start with tenure-join-1."))?;
        if body.len() > 16 * 1024 {
            return Err(error("it is too long"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| error("it is cut or mistyped"))?;
        let token: Self = frame::decode(&bytes).map_err(|_| error("it is cut or mistyped"))?;
        if Digest::of(&token.ca_der) != token.ca {
            return Err(error("its certificate does not have its digest"));
        }
        Ok(token)
    }
}
