//! Channels: where a notice goes, and how certainly it got there. The controller sends notices, and
//! so does a host whose controller is silent.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub mod destination;

/// Where a notice goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "kebab-case")]
pub enum Channel {
    /// E-mail.
    Mail {
        /// The address.
        address: String,
    },
    /// A webhook.
    Webhook {
        /// Where to post.
        url: String,
        /// The signing secret.
        secret: Secret,
    },
}

impl Channel {
    /// The stable kebab-case name of its kind.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Mail { .. } => "mail",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// How certainly the customer has a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    /// Accepted by our own relay, or by a system that nobody designated: sent, no more.
    E1,
    /// In the system that the customer designated.
    E2,
    /// A person of the customer acknowledged it.
    E3,
}

impl Grade {
    /// Whether this discharges a duty to notify.
    #[must_use]
    pub const fn discharges(self) -> bool {
        match self {
            Self::E1 => false,
            Self::E2 | Self::E3 => true,
        }
    }
}

/// A secret text: printed nowhere, wiped from memory when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
