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
    /// A short message.
    Sms {
        /// The mobile telephone, as [`destination::mobile`] writes it: `+8613800000000`.
        number: String,
    },
    /// A bot in a group's chat.
    Bot {
        /// Whose product the chat is.
        kind: BotKind,
        /// Where to post. Whoever knows it may post, so it is a secret, too.
        url: Secret,
        /// The signing secret; empty where the product has none.
        secret: Secret,
    },
}

/// Whose product a group's chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BotKind {
    /// 企业微信, and 政务微信 at a site of its own.
    Wecom,
    /// 钉钉.
    Dingtalk,
    /// 飞书.
    Feishu,
}

impl BotKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Wecom, Self::Dingtalk, Self::Feishu];

    /// The stable kebab-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wecom => "wecom",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
        }
    }

    /// Where the vendor's own bots are.
    #[must_use]
    pub const fn host(self) -> &'static str {
        match self {
            Self::Wecom => "qyapi.weixin.qq.com",
            Self::Dingtalk => "oapi.dingtalk.com",
            Self::Feishu => "open.feishu.cn",
        }
    }

    /// Whether its messages are signed with a secret. `WeCom` has its URL alone.
    #[must_use]
    pub const fn signs(self) -> bool {
        match self {
            Self::Wecom => false,
            Self::Dingtalk | Self::Feishu => true,
        }
    }
}

impl Channel {
    /// The stable kebab-case name of its kind.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Mail { .. } => "mail",
            Self::Webhook { .. } => "webhook",
            Self::Sms { .. } => "sms",
            Self::Bot { kind, .. } => kind.as_str(),
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

/// What the text of a sealed secret begins with.
const SEALED: &str = "sealed:";

/// A secret text: printed nowhere, wiped from memory when dropped. It is plain as its owner gave it
/// and as it is used, and sealed (encrypted, by whoever keeps it) in between.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// One that is sealed already: `text` is what the seal made of it.
    #[must_use]
    pub fn sealed(text: &str) -> Self {
        Self(format!("{SEALED}{text}"))
    }

    /// What the seal made of it; nothing of a plain one.
    #[must_use]
    pub fn seal(&self) -> Option<&str> {
        self.0.strip_prefix(SEALED)
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
