//! Entries of the ledger, and receipts for them.
//!
//! An entry names no person and holds no tenant's data: who acted and what was acted on stand in it
//! as digests. Entries of a tenant are numbered and chained, so that an omission is seen.
//!
//! What is its customer's alone, such as a draft, stands in the ledger *withheld*: the time, and
//! the digest of the entry, of which only who has the entry can make anything. Nothing in it says
//! which tenant, what happened or who acted, nor that two of them belong together. The entry
//! itself is handed over with the tenant's other evidence, and proven by its withheld form.

use serde::{Deserialize, Serialize};

use super::{
    merkle::{self, ProofError},
    note::{Checkpoint, LedgerKey, NoteError},
    predicate::Kind,
};
use crate::{
    digest::Digest,
    id::{HostId, TenantId},
    time::Timestamp,
    wire::v1::IntentReceipt,
};

/// Most bytes of an entry (C2SP tlog-tiles).
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// Type of the entry of one person's approval of a wipe; its object is its salted digest.
pub const WIPE_APPROVAL: &str = "approve-wipe";

/// Type of the entry of a host's joining, which is about no tenant; its object is [`host_joined`].
pub const HOST_JOINED: &str = "host-joined";

/// Type of the withheld form of an entry.
pub const WITHHELD: &str = "withheld";

/// Types of entries that can be withheld, before an application is handed in: what its customer
/// does with a draft, and what is counted meanwhile. No statement and no approval is among them.
pub const WITHHOLDABLE: [&str; 7] = [
    "save-draft",
    "withdraw",
    "attachment-filed",
    "record-added",
    "record-counts",
    "recount",
    "sign-recount",
];

/// Most bytes of an entry's type.
const MAX_TYPE_BYTES: usize = 64;

/// One entry. Its bytes are its JSON with the fields in this order and no white space; no others
/// are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Version of the format: 1.
    pub v: u32,
    /// Number of the record in the controller's journal; grows through the ledger.
    pub seq: u64,
    /// The tenant that it is about, if it is about one.
    pub tenant: Option<TenantId>,
    /// Number of the entry among the tenant's, from 1; 0 if it is about none.
    pub tenant_seq: u64,
    /// Digest of the bytes of the tenant's entry before; nothing for its first.
    pub prev_tenant_event: Option<Digest>,
    /// What happened, kebab-case; for an envelope the short name of its predicate.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// Who: a key's name, or a salted digest of a person's.
    pub actor_keyid: Digest,
    /// Of what: digest of an envelope, of an order, or of the event's record.
    pub object_digest: Digest,
}

/// The object of a host's joining: it binds the host to the key that it signs with. Hosts' keys are
/// public and no person's, so it has no salt, and everybody can compute it: SHA-256 of
/// `tenure/host-joined/v1`, a zero byte, the host's id, a zero byte, and the key's name.
#[must_use]
pub fn host_joined(host: HostId, keyid: &Digest) -> Digest {
    Digest::of(format!("tenure/host-joined/v1\0{host}\0{keyid}").as_bytes())
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Over the limit.
    #[error("a ledger entry has at most {MAX_ENTRY_BYTES} bytes")]
    TooLong,
    /// Not an entry.
    #[error("the ledger entry cannot be read: {0}")]
    Shape(String),
    /// An entry, but written in another way.
    #[error("the ledger entry is not in its canonical form")]
    NotCanonical,
}

impl Entry {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The form in which it stands in the ledger while it is its customer's alone. Its object is
    /// the entry's digest: the entry's own object is a salted digest, so that nobody can guess it.
    #[must_use]
    pub fn withheld(&self) -> Self {
        Self {
            v: self.v,
            seq: self.seq,
            tenant: None,
            tenant_seq: 0,
            prev_tenant_event: None,
            kind: WITHHELD.to_owned(),
            at: self.at,
            actor_keyid: Digest([0; 32]),
            object_digest: Digest::of(&self.to_bytes()),
        }
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong);
        }
        let entry: Self =
            serde_json::from_slice(bytes).map_err(|error| EntryError::Shape(error.to_string()))?;
        if entry.v != 1 {
            return Err(EntryError::Shape(format!("version {} is not known", entry.v)));
        }
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if entry.kind.len() > MAX_TYPE_BYTES || !entry.kind.bytes().all(fits) {
            return Err(EntryError::Shape("its type is no kebab-case name".to_owned()));
        }
        if entry.to_bytes() == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }
}

/// Why a receipt does not prove that an intent is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The entry is none.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The entry is about something else.
    #[error("the receipt is for another object, not for this intent")]
    Object,
    /// The checkpoint is not the ledger's.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// The entry is not in the tree.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Checks that the intent whose envelope has this digest is in the ledger: nothing may be destroyed
/// before this holds. Trusts nobody but the pinned key.
///
/// # Errors
/// [`ReceiptError`].
pub fn verify_intent_receipt(
    receipt: &IntentReceipt,
    envelope: &Digest,
    ledger: &LedgerKey,
) -> Result<Entry, ReceiptError> {
    let checkpoint = Checkpoint::open(receipt.checkpoint.as_bytes(), ledger)?;
    let leaf = merkle::leaf_hash(&receipt.entry);
    let IntentReceipt { index, proof, .. } = receipt;
    merkle::verify_inclusion(&leaf, *index, checkpoint.size, proof, &checkpoint.root)?;
    let entry = Entry::from_bytes(&receipt.entry)?;
    if entry.object_digest != *envelope || entry.kind != Kind::WipeIntent.name() {
        return Err(ReceiptError::Object);
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use uuid::Uuid;

    use super::*;
    use crate::id::OrderId;

    fn entry(object: Digest) -> Entry {
        Entry {
            v: 1,
            seq: 9,
            tenant: Some(TenantId::from_uuid(Uuid::from_u128(1))),
            tenant_seq: 1,
            prev_tenant_event: None,
            kind: "wipe-intent".to_owned(),
            at: Timestamp::from_unix_ms(0),
            actor_keyid: Digest::of(b"host"),
            object_digest: object,
        }
    }

    #[test]
    fn an_entry_has_one_form_alone() {
        let bytes = entry(Digest::of(b"envelope")).to_bytes();
        let text = String::from_utf8(bytes.clone()).expect("JSON");
        assert!(text.starts_with(r#"{"v":1,"seq":9,"tenant":"00000000-"#), "{text}");
        assert_eq!(Entry::from_bytes(&bytes), Ok(entry(Digest::of(b"envelope"))));
        let spaced = text.replace(":1,", ": 1,");
        assert_eq!(Entry::from_bytes(spaced.as_bytes()), Err(EntryError::NotCanonical));
        let more = text.replace("\"v\":1", "\"v\":1,\"w\":1");
        assert!(matches!(Entry::from_bytes(more.as_bytes()), Err(EntryError::Shape(_))));
    }

    #[test]
    fn a_receipt_proves_its_own_intent_under_its_own_ledger_alone() {
        let signing = SigningKey::from_bytes(&[5; 32]);
        let key = LedgerKey::new("ledger.test", signing.verifying_key()).expect("a name");
        let object = Digest::of(b"envelope");
        let bytes = entry(object).to_bytes();
        let before = merkle::leaf_hash(b"before");
        let root = merkle::node_hash(&before, &merkle::leaf_hash(&bytes));
        let checkpoint = Checkpoint { origin: "ledger.test".to_owned(), size: 2, root };
        let receipt = IntentReceipt {
            order: OrderId::from_uuid(Uuid::from_u128(2)),
            entry: bytes,
            index: 1,
            proof: vec![before],
            checkpoint: checkpoint.sign(&signing).expect("a name"),
        };
        assert!(verify_intent_receipt(&receipt, &object, &key).is_ok());
        let other = Digest::of(b"another");
        assert_eq!(verify_intent_receipt(&receipt, &other, &key), Err(ReceiptError::Object));
        let stranger = SigningKey::from_bytes(&[6; 32]).verifying_key();
        let stranger = LedgerKey::new("ledger.test", stranger).expect("a name");
        assert!(verify_intent_receipt(&receipt, &object, &stranger).is_err());
        let moved = IntentReceipt { index: 0, ..receipt };
        assert!(verify_intent_receipt(&moved, &object, &key).is_err());
    }
}
