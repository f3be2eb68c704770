//! What the customer asks for: the part of an application that Tenure acts on, and with it the rest
//! of the form as it was submitted. The whole has to satisfy the site's form,
//! [`super::super::form`].

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenure_protocol::{
    channel::{BotKind, Secret},
    wire::v1::Transport,
};

use crate::core::admission::{
    self, CHANNELS_LIMIT, CONTACTS_LIMIT, INGRESS_LIMIT, INSTANCES_LIMIT, MEMORY_LEAST_MIB,
    MEMORY_LIMIT_MIB, NAME_LIMIT, ROLE_LIMIT, VCPUS_LIMIT, VOLUME_LIMIT_GIB, VOLUME_LIMIT_MIB,
    VOLUMES_LIMIT,
};

/// An application for resources on the government cloud (clause 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The organisation that applies (云服务客户).
    #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
    pub customer: String,
    /// The system that it wants to run.
    #[garde(dive)]
    pub system: System,
    /// Whom to notify, at least one.
    #[garde(length(min = 1, max = CONTACTS_LIMIT), custom(admission::reachable), dive)]
    pub contacts: Vec<Contact>,
    /// What it needs, at least one.
    #[garde(
        length(min = 1, max = INSTANCES_LIMIT as usize),
        custom(admission::instances),
        custom(admission::zones(self.system.internet_facing)),
        dive
    )]
    pub instances: Vec<InstanceRequest>,
    /// The rest of the form, as submitted; nothing in applications of before there was one.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[garde(skip)]
    pub form: Value,
}

/// The application system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Its name.
    #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
    pub name: String,
    /// Its short code.
    #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
    pub code: String,
    /// Whether it is a major one (重大应用系统).
    #[serde(default)]
    #[garde(skip)]
    pub major: bool,
    /// Whether it serves the Internet.
    #[serde(default)]
    #[garde(skip)]
    pub internet_facing: bool,
}

/// A person or desk to notify, over every channel given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Who.
    #[garde(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name))]
    pub name: String,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(admission::mail)), custom(admission::channel(self.has_another())))]
    pub email: Option<String>,
    /// Webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub webhook: Option<Webhook>,
    /// Bot in a group's chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub bot: Option<Bot>,
    /// Mobile telephone, for people to call; for short messages too if `sms` is designated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(admission::mobile)))]
    pub mobile: Option<String>,
    /// When it can be reached: `24x7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, min = 1, max = NAME_LIMIT), custom(admission::name)))]
    pub available: Option<String>,
    /// Which of the channels are the systems that it designates (Civil Code, article 137): a notice
    /// has arrived once it is in one of them, and in no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(
        length(max = CHANNELS_LIMIT),
        custom(admission::designated(self))
    )]
    pub designated: Vec<Designated>,
}

/// A channel, as a contact designates it for notices to arrive in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Designated {
    /// The mail system behind its address.
    Email,
    /// The system behind its webhook.
    Webhook,
    /// Its mobile telephone, by short messages.
    Sms,
    /// The chat that its bot is in.
    Bot,
}

impl Contact {
    /// The contact with those of its channels alone that lead to none of the others; nothing if all
    /// do. Secrets are sealed differently each time, so that a bot is known by its contact's name.
    #[must_use]
    pub fn gone_from(&self, others: &[Self]) -> Option<Self> {
        let none = |is: &dyn Fn(&Self) -> bool| !others.iter().any(is);
        let url = |one: &Self| one.webhook.as_ref().map(|webhook| webhook.url.clone());
        let bot = |one: &Self| one.bot.as_ref().map(|bot| (one.name.clone(), bot.kind));
        let email = self.email.clone().filter(|_| none(&|other| other.email == self.email));
        let webhook = self.webhook.clone().filter(|_| none(&|other| url(other) == url(self)));
        let sms = |one: &Self| one.mobile.is_some() && one.designated.contains(&Designated::Sms);
        let same = |other: &Self| other.mobile == self.mobile && (sms(other) || !sms(self));
        let mobile = self.mobile.clone().filter(|_| none(&same));
        let kept = self.bot.clone().filter(|_| none(&|other| bot(other) == bot(self)));
        let gone = Self { email, webhook, mobile, bot: kept, ..self.clone() };
        (gone.email.is_some() || gone.has_another()).then_some(gone)
    }

    /// The contact without its secrets, for records that are kept or shown.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut copy = self.clone();
        for (_, secret) in copy.secrets_mut() {
            *secret = Secret::default();
        }
        copy
    }

    /// Whether anything but mail leads to it.
    fn has_another(&self) -> bool {
        let sms = self.mobile.is_some() && self.designated.contains(&Designated::Sms);
        self.webhook.is_some() || self.bot.is_some() || sms
    }

    /// Its secrets, each with what it belongs to: they are of no use elsewhere.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = (SecretOf, &mut Secret)> {
        let webhook =
            self.webhook.iter_mut().map(|webhook| (SecretOf::Webhook, &mut webhook.secret));
        let bot = self.bot.iter_mut().flat_map(|Bot { kind: _, url, secret }| {
            [(SecretOf::BotUrl, url), (SecretOf::BotSecret, secret)]
        });
        webhook.chain(bot)
    }
}

/// What a contact's secret belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOf {
    /// It signs a webhook's messages.
    Webhook,
    /// It is where a bot's messages go.
    BotUrl,
    /// It signs a bot's messages.
    BotSecret,
}

impl SecretOf {
    /// The stable text, under which it is sealed, too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook/secret",
            Self::BotUrl => "bot/url",
            Self::BotSecret => "bot/secret",
        }
    }
}

/// A webhook of the Standard Webhooks kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to post.
    #[garde(custom(admission::url))]
    pub url: String,
    /// `whsec_` and the base64 of 24 to 64 bytes: the signing secret that both sides know. Left out
    /// of what is kept in the journal or shown.
    #[garde(custom(admission::webhook_secret))]
    #[serde(default, skip_serializing_if = "Secret::is_empty")]
    pub secret: Secret,
}

/// A bot in a group's chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Bot {
    /// Whose product the chat is.
    #[garde(skip)]
    pub kind: BotKind,
    /// Where to post, with the token in it, which makes it a secret. Left out of what is kept in
    /// the journal or shown.
    #[garde(custom(admission::bot_url(self.kind)))]
    #[serde(default, skip_serializing_if = "Secret::is_empty")]
    pub url: Secret,
    /// The signature secret (加签, 签名校验) of `dingtalk` and `feishu`. Left out likewise.
    #[garde(custom(admission::bot_secret(self.kind)))]
    #[serde(default, skip_serializing_if = "Secret::is_empty")]
    pub secret: Secret,
}

/// A number of like instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct InstanceRequest {
    /// What they do; their names are `<role>-<n>`.
    #[garde(length(chars, min = 1, max = ROLE_LIMIT), custom(admission::role))]
    pub role: String,
    /// How many.
    #[garde(range(min = 1, max = INSTANCES_LIMIT))]
    pub count: u16,
    /// Virtual processors of each.
    #[garde(range(min = 1, max = VCPUS_LIMIT))]
    pub vcpus: u16,
    /// Memory of each, MiB.
    #[garde(range(min = MEMORY_LEAST_MIB, max = MEMORY_LIMIT_MIB))]
    pub memory_mib: u32,
    /// Name of an image of the catalogue.
    #[garde(length(chars, min = 1, max = NAME_LIMIT))]
    pub image: String,
    /// Volumes of each, GiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = VOLUMES_LIMIT), inner(range(min = 1, max = VOLUME_LIMIT_GIB)))]
    pub volumes_gib: Vec<u32>,
    /// Volumes of each, MiB: instead of `volumes_gib`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(
        length(max = VOLUMES_LIMIT),
        inner(range(min = 1, max = VOLUME_LIMIT_MIB)),
        custom(admission::volumes(self.volumes_gib.len()))
    )]
    pub volumes_mib: Vec<u32>,
    /// What may come in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = INGRESS_LIMIT), dive)]
    pub ingress: Vec<IngressRequest>,
}

impl InstanceRequest {
    /// Sizes of the volumes of each instance, bytes.
    #[must_use]
    pub fn volumes_bytes(&self) -> Vec<u64> {
        let gib = self.volumes_gib.iter().map(|size| u64::from(*size) << 30);
        gib.chain(self.volumes_mib.iter().map(|size| u64::from(*size) << 20)).collect()
    }
}

/// One port to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct IngressRequest {
    /// `tcp` or `udp`.
    #[garde(skip)]
    pub protocol: Transport,
    /// The port, not 0.
    #[garde(range(min = 1))]
    pub port: u16,
    /// Who is to reach it; the government extranet if nothing is said.
    #[serde(default)]
    #[garde(skip)]
    pub zone: Zone,
}

/// From where a port is to be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zone {
    /// The public Internet: closed before formal operation, and until a reviewer has found the
    /// ICP filing in the register.
    Internet,
    /// The government extranet (政务外网), which the platform is built on.
    #[default]
    Extranet,
    /// The tenant's own network alone: never opened at its edge.
    Isolated,
}

impl Application {
    /// The application without the contacts' secrets, for records that are kept or shown.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let contacts = self.contacts.iter().map(Contact::without_secrets).collect();
        Self { contacts, ..self.clone() }
    }
}
