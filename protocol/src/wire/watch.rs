//! The watch over a cut: what hosts are given so that the customer is told although the controller
//! is gone.
//!
//! ```text
//! controller                                        host that is ordered, or the witness
//!   | -- Packet, signed, before the order ------------> |  kept, and the clock runs from t0 (of a
//!   | <------------ WatchReport{Kept | NotKept} ------- |  witness: from the order)
//!   | -- Disarm, signed: told, or no cut -------------> |  the packet is destroyed
//!   | <------------------------ WatchReport{Ended} ---- |
//!   :            or no Disarm within `fallback_after`:  |  it sends the notices itself, by the
//!   | <---------- WatchReport{Tried …}, sent again ---- |  ladder, until one arrives
//!   | -- WatchReceipt, when that is durable ----------> |
//! ```
//!
//! A standing packet goes to each host of a tenant while nothing is cut: it waits for a cut that a
//! person orders on the host itself, with no controller, and then counts from that commit.
//!
//! Packet and Disarm are signed by the controller's order key, each with a domain of its own, and
//! bound to one host and one cut: who owns the network side of a host, or another host, can neither
//! have anything sent nor keep it from being sent. What a packet holds is secret (contacts, the
//! keys of webhooks): it travels in the mutually authenticated link alone, is printed nowhere, and
//! its bytes are wiped from memory when they are dropped. Reports are not signed: what they say was
//! seen by the network side alone, whose session the host's certificate authenticates.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::{Zeroize as _, Zeroizing};

use super::frame;
use crate::{
    channel::{Grade, Secret},
    id::{CutId, HostId, NoticeId, TenantId},
    time::Timestamp,
};

/// What may be said under a signature: of the order key besides orders, of a host key besides
/// statements.
pub trait Said: Serialize + DeserializeOwned {
    /// Prefix of the signed bytes, so that no other signature of the same key can pass for one.
    const DOMAIN: &'static [u8];
}

impl Said for Packet {
    const DOMAIN: &'static [u8] = b"tenure/packet/v1\0";
}

impl Said for Disarm {
    const DOMAIN: &'static [u8] = b"tenure/disarm/v1\0";
}

/// A message as it travels and is kept: bytes and the signature over them. It is printed without
/// its bytes, and wipes them when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    body: Vec<u8>,
    signature: Vec<u8>,
    said: PhantomData<T>,
}

/// A packet with its signature.
pub type SignedPacket = Signed<Packet>;
/// A disarm with its signature.
pub type SignedDisarm = Signed<Disarm>;

/// Why a message is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaidError {
    /// The signature is not by this key over these bytes.
    #[error("the message is not signed by the key of whom it should be")]
    Signature,
    /// Signed by this key, but no message of version 1.
    #[error("the message is signed but cannot be decoded: {0}")]
    Body(String),
}

impl<T: Said> Signed<T> {
    /// Signs a message.
    ///
    /// # Errors
    /// [`SaidError::Body`] if it cannot be encoded.
    pub fn sign(said: &T, key: &SigningKey) -> Result<Self, SaidError> {
        let body = frame::encode(said).map_err(SaidError::Body)?;
        let signature = key.sign(&message::<T>(&body)).to_bytes().to_vec();
        Ok(Self { body, signature, said: PhantomData })
    }

    /// How many bytes are said.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.body.len()
    }

    /// Checks the signature over the raw bytes, then parses them.
    ///
    /// # Errors
    /// [`SaidError::Signature`] before anything is parsed, [`SaidError::Body`] after.
    pub fn verify(&self, key: &VerifyingKey) -> Result<T, SaidError> {
        let signature = Signature::from_slice(&self.signature).map_err(|_| SaidError::Signature)?;
        key.verify_strict(&message::<T>(&self.body), &signature)
            .map_err(|_| SaidError::Signature)?;
        frame::decode(&self.body).map_err(SaidError::Body)
    }
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl<T> Drop for Signed<T> {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

fn message<T: Said>(body: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([T::DOMAIN, body].concat())
}

/// The dead-man packet: all that a host needs to tell a customer of one cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// Which cut.
    pub cut: CutId,
    /// Whose.
    pub tenant: TenantId,
    /// The only host that it is for.
    pub host: HostId,
    /// From when that host waits.
    pub watch: Watch,
    /// For how long it waits for a [`Disarm`], ms.
    pub fallback_after_ms: u64,
    /// When the packet was made, by the controller's real clock.
    pub issued_at: Timestamp,
    /// How long after `issued_at` it may be taken, ms; after that it is destroyed wherever it is.
    pub ttl_ms: u64,
    /// By which routes.
    pub routes: Routes,
    /// The notices: one for each designated contact and channel, as the controller sends them.
    pub notices: Vec<PacketNotice>,
}

/// From when a host waits for the controller's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// From its own commit of the cut.
    Ordered,
    /// From the order: a witness commits nothing. Told as an age, so that no two clocks have to
    /// agree.
    Witness {
        /// How long ago the cut was ordered when the packet was made, ms.
        ordered_ms_ago: u64,
    },
    /// From a cut that a person orders on that host itself: the cut then takes this packet's id.
    /// Without one it waits for nothing.
    Standing,
}

/// The routes of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// How mail is handed over, if the site sends any.
    pub mail: Option<MailHandover>,
    /// Where webhooks may go.
    pub webhook: WebhookRules,
}

/// Where mail is handed over, and what its acceptance means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailHandover {
    /// To which server.
    pub to: MailServer,
    /// Sender of all mail: `Name <address>`.
    pub from: String,
    /// How much TLS is asked of it.
    pub tls: MailSecurity,
    /// What its 250 means where no domain says otherwise.
    pub grade: Grade,
    /// What it means for recipients of these domains (lower case).
    pub domains: BTreeMap<String, Grade>,
}

/// The server that mail is handed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailServer {
    /// One for all.
    Site {
        /// Host name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Each recipient's own, by its domain's MX records; it may have the addresses that
    /// [`WebhookRules`] allow.
    Recipients {
        /// The server of DNS to ask, address and port; the sender's own if none is given.
        resolver: Option<std::net::SocketAddr>,
        /// The port of the mail servers.
        port: u16,
    },
}

/// How much TLS is asked of a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailSecurity {
    /// None.
    Off,
    /// STARTTLS where it is offered (RFC 7435).
    Optional,
    /// STARTTLS with a certificate of a public authority.
    Required,
}

/// Where webhooks may go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRules {
    /// Whether private networks are allowed.
    pub private: bool,
    /// Whether the sender's own machine is allowed.
    pub loopback: bool,
    /// Whether HTTP without TLS is allowed.
    pub plain_http: bool,
    /// Authorities that are trusted instead of the public ones, DER.
    pub authorities: Vec<Vec<u8>>,
}

/// One notice in a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketNotice {
    /// The controller's own id of it: whoever sends it, the message id and the webhook id are of
    /// this one, so that duplicates are known as such.
    pub id: NoticeId,
    /// Whether the contact designated the system at its end: else its acceptance proves no arrival.
    pub designated: bool,
    /// Where to.
    pub to: Destination,
    /// Subject line.
    pub subject: String,
    /// Text for people.
    pub body: String,
    /// The same as JSON: the exact bytes for webhooks.
    pub payload: String,
}

/// Where a notice in a packet goes: [`crate::channel::Channel`] in the form of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
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

/// The controller's signed receipt: a host need not watch a cut any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarm {
    /// Which cut.
    pub cut: CutId,
    /// The only host that it is for.
    pub host: HostId,
    /// Why.
    pub reason: DisarmReason,
}

/// Why a host need not watch a cut any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisarmReason {
    /// A notice of it reached the customer (E2 or E3).
    Told,
    /// No host cut: the cut is void, or a standing packet is replaced or needed no more. A host
    /// that did cut does not take it.
    Void,
    /// Another cut of the tenant has overtaken it, and that one's notices are what is to be said.
    Overtaken,
}

/// What a host says of its watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReport {
    /// Which cut.
    pub cut: CutId,
    /// Per host and cut, never used again.
    pub sequence: u64,
    /// What happened.
    pub said: WatchSaid,
}

/// What happened to a host's watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchSaid {
    /// The packet is durable on the host.
    Kept,
    /// It is not, and the host will not speak for the controller; a cut goes on all the same.
    NotKept {
        /// Stable code, kebab-case.
        code: String,
        /// Why, and what to do.
        message: String,
    },
    /// The packet is destroyed, and nothing is sent any more.
    Ended,
    /// A notice was tried by the host itself.
    Tried(WatchTry),
}

/// One try of a host to deliver a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchTry {
    /// Which notice.
    pub notice: NoticeId,
    /// When it ended, by the host's real clock.
    pub at: Timestamp,
    /// What its acceptance proves; nothing if it was not taken.
    pub grade: Option<Grade>,
    /// The other side's words, or what went wrong.
    pub evidence: String,
}

/// The controller has made a [`WatchReport`] durable: it need not be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReceipt {
    /// Which cut.
    pub cut: CutId,
    /// The report.
    pub sequence: u64,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        generation::Generation,
        id::OrderId,
        wire::{
            order::SignedOrder,
            v1::{Action, CutOrder, Mark, Order},
        },
    };

    fn disarm(reason: DisarmReason) -> Disarm {
        let (cut, host) = (Uuid::from_u128(1), Uuid::from_u128(2));
        Disarm { cut: CutId::from_uuid(cut), host: HostId::from_uuid(host), reason }
    }

    #[test]
    fn a_disarm_is_believed_by_the_order_keys_signature_over_its_own_bytes_alone() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (told, void) = (disarm(DisarmReason::Told), disarm(DisarmReason::Void));
        let signed = Signed::sign(&told, &key).expect("signed");
        assert_eq!(signed.verify(&key.verifying_key()), Ok(told));
        let stranger = SigningKey::from_bytes(&[2; 32]).verifying_key();
        assert_eq!(signed.verify(&stranger), Err(SaidError::Signature));
        let other = Signed::sign(&void, &key).expect("signed");
        let swapped = SignedDisarm {
            body: other.body.clone(),
            signature: signed.signature.clone(),
            said: PhantomData,
        };
        assert_eq!(swapped.verify(&key.verifying_key()), Err(SaidError::Signature));
    }

    #[test]
    fn neither_an_orders_signature_nor_a_packets_passes_for_a_disarms() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let Disarm { cut, host, .. } = disarm(DisarmReason::Told);
        let order = Order {
            id: OrderId::from_uuid(Uuid::from_u128(3)),
            host,
            tenant: TenantId::from_uuid(Uuid::from_u128(4)),
            generation: Generation(1),
            issued_at: Timestamp::from_unix_ms(0),
            ttl_ms: 1,
            action: Action::Cut(CutOrder { cut, mark: Mark(1) }),
        };
        let order = SignedOrder::sign(&order, &key).expect("signed");
        let foreign = SignedDisarm {
            body: order.order.clone(),
            signature: order.signature,
            said: PhantomData,
        };
        assert_eq!(foreign.verify(&key.verifying_key()), Err(SaidError::Signature));
        let disarm = SignedDisarm::sign(&disarm(DisarmReason::Told), &key).expect("signed");
        let packet = SignedPacket {
            body: disarm.body.clone(),
            signature: disarm.signature.clone(),
            said: PhantomData,
        };
        assert_eq!(packet.verify(&key.verifying_key()), Err(SaidError::Signature));
    }

    #[test]
    fn a_signed_message_is_printed_without_what_it_says() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let signed = Signed::sign(&disarm(DisarmReason::Told), &key).expect("signed");
        let printed = format!("{signed:?}");
        assert!(printed.starts_with("Signed { bytes: ") && printed.ends_with(".. }"), "{printed}");
    }
}
