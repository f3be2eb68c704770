//! Attachments: the reports, proofs and scans that acts and records refer to, each known by the
//! digest of its bytes. Here is what may be filed, by whom, and how much of it; the bytes
//! themselves are [`crate::files`]'.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tenure_protocol::{digest::Digest, id::TenantId, time::Timestamp};

use super::{
    admission::NAME_LIMIT,
    lifecycle::{Actor, Role, admit},
    quota::Quotas,
    refusal::{Code, Refusal},
    tenant::Tenant,
};

/// Most bytes of one attachment: 512 MiB.
pub const FILE_LIMIT_BYTES: u64 = 512 << 20;
/// Most bytes of all attachments of one owner: 8 GiB.
pub const OWNER_LIMIT_BYTES: u64 = 8 << 30;
/// Most attachments of one owner.
pub const OWNER_LIMIT_FILES: u64 = 10_000;
/// Longest media type, bytes.
const MEDIA_TYPE_LIMIT: usize = 127;

/// A file that was handed in, as it is known ever after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// SHA-256 of its bytes: its name within its owner's attachments.
    pub sha256: Digest,
    /// SM3 of its bytes (GB/T 32905).
    pub sm3: Sm3,
    /// How many bytes it has.
    pub bytes: u64,
    /// What it was called, by whoever handed it in.
    pub name: String,
    /// What it is, by the word of whoever handed it in: never guessed from the bytes.
    pub media_type: String,
    /// Who handed it in.
    pub filed_by: String,
    /// When; legal time.
    pub filed_at: Timestamp,
}

/// An SM3 digest (GB/T 32905-2016), 64 lower-case hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sm3(pub [u8; 32]);

/// What is said about a file before its bytes come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What it is called.
    pub name: String,
    /// What it is, such as `application/pdf`.
    pub media_type: String,
}

/// What an owner has filed already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// What may still be filed: within the owner's limits, and within the quota of the customer who
/// files it.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// What the tenant, or the platform, has.
    pub owner: Held,
    /// What the customer has, if it is one who files.
    pub customer: Option<Held>,
    /// How much that may be.
    pub quotas: &'a Quotas,
}

/// What a file's name may be, for the API's document: more than blanks, no slashes, and no control
/// characters.
pub const NAME_PATTERN: &str = concat!(
    r"^[^/\\\x00-\x1f\x7f-\x9f]*",
    r"[^\s/\\\x00-\x1f\x7f-\x9f]",
    r"[^/\\\x00-\x1f\x7f-\x9f]*$"
);

impl Label {
    /// Checks what is said about a file.
    ///
    /// # Errors
    /// `invalid-input`.
    pub fn check(&self) -> Result<(), Refusal> {
        let length = self.name.chars().count();
        let plain = !self.name.chars().any(|letter| letter.is_control() || "/\\".contains(letter));
        if self.name.trim().is_empty() || length > NAME_LIMIT || !plain {
            return invalid(format!(
                "the file's name is empty, longer than {NAME_LIMIT} characters, or has slashes or \
                 control characters: give ?name=report.pdf"
            ));
        }
        if !is_media_type(&self.media_type) {
            return invalid(
                "give the file's media type, such as content-type: application/pdf, without \
                 parameters",
            );
        }
        Ok(())
    }
}

impl Held {
    /// Most bytes that the next file may have.
    #[must_use]
    pub fn room(self) -> u64 {
        OWNER_LIMIT_BYTES.saturating_sub(self.bytes).min(FILE_LIMIT_BYTES)
    }

    /// Whether so many bytes more may be filed.
    ///
    /// # Errors
    /// `attachment-too-large`, `attachments-full`, `invalid-input` if there are none.
    pub fn admit(self, bytes: u64) -> Result<(), Refusal> {
        if bytes == 0 {
            return invalid("the file is empty: send its bytes as the body");
        }
        if bytes > FILE_LIMIT_BYTES {
            return Err(Refusal::new(
                Code::AttachmentTooLarge,
                format!("an attachment has at most {FILE_LIMIT_BYTES} bytes: split the file"),
            ));
        }
        if self.files >= OWNER_LIMIT_FILES || self.bytes.saturating_add(bytes) > OWNER_LIMIT_BYTES {
            return Err(Refusal::new(
                Code::AttachmentsFull,
                format!(
                    "{} attachments with {} bytes are filed already, of at most \
                     {OWNER_LIMIT_FILES} with {OWNER_LIMIT_BYTES} bytes: ask the operators",
                    self.files, self.bytes
                ),
            ));
        }
        Ok(())
    }
}

impl Room<'_> {
    /// Most bytes that the next file may have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let own = self.customer.map_or(u64::MAX, |held| self.quotas.room(held));
        self.owner.room().min(own)
    }

    /// Whether so many bytes more may be filed.
    ///
    /// # Errors
    /// As [`Held::admit`] and [`Quotas::admit_file`].
    pub fn admit(&self, bytes: u64) -> Result<(), Refusal> {
        self.owner.admit(bytes)?;
        self.customer.map_or(Ok(()), |held| self.quotas.admit_file(held, bytes))
    }
}

/// Whether this person may file something for this tenant; for the platform if there is none. Once
/// a tenant's way has ended nothing is owed by the customer any more; the provider's papers, such
/// as an access that a court asked for (clause 7.2), come later too, and so does what a customer
/// still has to say on paper, by the provider's hand.
///
/// # Errors
/// `wrong-role`, `not-your-tenant`, `wrong-phase`.
pub fn may_file(tenant: Option<&Tenant>, actor: &Actor) -> Result<(), Refusal> {
    match (actor.role, tenant) {
        (Role::Customer, Some(tenant)) => {
            admit::customer_of(&tenant.application.customer, actor)?;
            if tenant.phase.is_final() {
                let phase = tenant.phase.as_str();
                return Err(Refusal::new(
                    Code::WrongPhase,
                    format!(
                        "this tenant is {phase} and takes no more files of its customer: hand the \
                         paper to the provider, who can file it"
                    ),
                ));
            }
            Ok(())
        }
        (
            Role::Reviewer
            | Role::Operator
            | Role::Security
            | Role::Administrator
            | Role::Controller,
            _,
        ) => Ok(()),
        (Role::Customer | Role::Auditor, _) => Err(Refusal::new(
            Code::WrongRole,
            format!("a {}'s token may not file this", actor.role.as_str()),
        )),
    }
}

fn invalid<T>(sentence: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(Code::InvalidInput, sentence))
}

/// `type/subtype` of RFC 9110 tokens.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    text.len() <= MEDIA_TYPE_LIMIT
        && text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

impl fmt::Display for Sm3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sm3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm3:{self}")
    }
}

impl Serialize for Sm3 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sm3 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(D::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// The owner's name in paths of stored files: a tenant's id, or `platform`.
#[must_use]
pub fn owner_name(owner: Option<TenantId>) -> String {
    owner.map_or_else(|| "platform".to_owned(), |tenant| tenant.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, media_type: &str) -> Result<(), Refusal> {
        Label { name: name.to_owned(), media_type: media_type.to_owned() }.check()
    }

    #[test]
    fn a_name_that_leads_elsewhere_or_a_type_that_is_none_is_refused() {
        assert_eq!(label("压力测试报告.pdf", "application/pdf"), Ok(()));
        for name in ["", " ", "../a", "a/b", "a\\b", "a\r\nb", &"a".repeat(201)] {
            assert!(label(name, "application/pdf").is_err(), "{name:?}");
        }
        for media in ["", "pdf", "a/", "/b", "a/b/c", "a/b; c=d", "a/b\r\nx: y", "a/文"] {
            assert!(label("a.pdf", media).is_err(), "{media:?}");
        }
    }

    #[test]
    fn the_limits_hold_at_their_edges() {
        let none = Held::default();
        assert_eq!(none.admit(1), Ok(()));
        assert_eq!(none.admit(FILE_LIMIT_BYTES), Ok(()));
        let code = |held: Held, bytes| held.admit(bytes).map_err(|refusal| refusal.code);
        assert_eq!(code(none, 0), Err(Code::InvalidInput));
        assert_eq!(code(none, FILE_LIMIT_BYTES + 1), Err(Code::AttachmentTooLarge));
        let nearly = Held { files: 1, bytes: OWNER_LIMIT_BYTES - 5 };
        assert_eq!(code(nearly, 5), Ok(()));
        assert_eq!(code(nearly, 6), Err(Code::AttachmentsFull));
        let many = Held { files: OWNER_LIMIT_FILES, bytes: 0 };
        assert_eq!(code(many, 1), Err(Code::AttachmentsFull));
    }
}
