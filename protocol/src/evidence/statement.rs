//! in-toto Statement v1 with our predicates: what an envelope's payload is.
//!
//! The payload's bytes are kept as they were signed. JSON: camelCase, integers below 2^53 (other
//! readers use doubles), instants in RFC 3339 UTC, sizes in bytes, durations in ns, no unknown
//! field.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::predicate::{Kind, Predicate, Target, TenantExit};
use crate::{
    digest::Digest,
    id::{NoticeId, TenantId},
};

/// `_type` of an in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// `payloadType` of an envelope that holds one.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Most bytes of a statement.
pub const MAX_STATEMENT_BYTES: usize = 512 * 1024;

/// The first integer that a double cannot tell from its neighbour.
const INTEGER_LIMIT: u64 = 1 << 53;

/// What a statement is about, as in-toto has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `tenure:<kind>:<id>`, or the path of a bundle's member.
    pub name: String,
    /// Digest of the member's bytes; of the name itself where the thing has no bytes that may be
    /// told (a digest of a tenant's data would let anybody confirm a guess).
    pub digest: DigestSet,
}

/// in-toto DigestSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// SHA-256.
    pub sha256: Digest,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    subject: Vec<Subject>,
    predicate: Predicate,
}

/// Why bytes are no statement of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Over the limit.
    #[error("the statement has {0} bytes, the limit is {MAX_STATEMENT_BYTES}")]
    TooLong(usize),
    /// Not JSON, or not of the shape of its type.
    #[error("the statement cannot be read: {0}")]
    Shape(String),
    /// Another type of statement.
    #[error("{0:?} is no in-toto Statement v1")]
    NotAStatement(String),
    /// Another type of predicate.
    #[error("predicate type {0:?} is not known: a newer verifier may know it")]
    UnknownPredicate(String),
    /// The subjects are not those of the predicate.
    #[error("the statement's subjects are not those that its predicate is about")]
    Subject,
    /// An integer that JSON readers with doubles would change.
    #[error("the statement has an integer of 2^53 or more")]
    Integer,
    /// The predicate breaks its own rules.
    #[error("the statement is not honest: {0}")]
    Dishonest(String),
}

#[derive(Serialize)]
struct Written<'a, P> {
    #[serde(rename = "_type")]
    statement_type: &'a str,
    subject: &'a [Subject],
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    predicate: &'a P,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(borrow)]
    predicate: &'a RawValue,
}

impl Statement {
    /// A statement of a predicate; the subjects follow from it.
    #[must_use]
    pub fn new(predicate: Predicate) -> Self {
        Self { subject: subjects(&predicate), predicate }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &[Subject] {
        &self.subject
    }

    /// What it says.
    #[must_use]
    pub const fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// [`StatementError::Dishonest`] if the predicate breaks its own rules,
    /// [`StatementError::Integer`] and [`StatementError::TooLong`].
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        if let Some(sentence) = self.predicate.dishonesty() {
            return Err(StatementError::Dishonest(sentence));
        }
        let payload = match &self.predicate {
            Predicate::WipeIntent(predicate) => self.write(predicate),
            Predicate::MediaWipe(predicate) => self.write(predicate),
            Predicate::MemoryWipe(predicate) => self.write(predicate),
            Predicate::KeyErasure(predicate) => self.write(predicate),
            Predicate::NetworkCut(predicate) => self.write(predicate),
            Predicate::Notification(predicate) => self.write(predicate),
            Predicate::Configuration(predicate) => self.write(predicate),
            Predicate::TenantExit(predicate) => self.write(predicate),
            Predicate::DeviceSanitizeIntent(predicate) => self.write(predicate),
            Predicate::DeviceSanitize(predicate) => self.write(predicate),
        }
        .map_err(|error| StatementError::Shape(error.to_string()))?;
        check_limits(&payload)?;
        Ok(payload)
    }

    fn write<P: Serialize>(&self, predicate: &P) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Written {
            statement_type: STATEMENT_TYPE,
            subject: &self.subject,
            predicate_type: self.predicate.kind().uri(),
            predicate,
        })
    }

    /// Reads a payload whose signature has been checked. Its predicate's honesty is not checked
    /// here: see [`Predicate::dishonesty`].
    ///
    /// # Errors
    /// Any of [`StatementError`] but `Dishonest`.
    pub fn from_payload(payload: &[u8]) -> Result<Self, StatementError> {
        check_limits(payload)?;
        let shape = |error: serde_json::Error| StatementError::Shape(error.to_string());
        let read: Read<'_> = serde_json::from_slice(payload).map_err(shape)?;
        if read.statement_type != STATEMENT_TYPE {
            return Err(StatementError::NotAStatement(shorten(&read.statement_type)));
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.uri() == read.predicate_type)
            .ok_or_else(|| StatementError::UnknownPredicate(shorten(&read.predicate_type)))?;
        let predicate = parse(kind, read.predicate.get()).map_err(shape)?;
        if read.subject != subjects(&predicate) {
            return Err(StatementError::Subject);
        }
        Ok(Self { subject: read.subject, predicate })
    }
}

fn parse(kind: Kind, json: &str) -> Result<Predicate, serde_json::Error> {
    Ok(match kind {
        Kind::WipeIntent => Predicate::WipeIntent(serde_json::from_str(json)?),
        Kind::MediaWipe => Predicate::MediaWipe(serde_json::from_str(json)?),
        Kind::MemoryWipe => Predicate::MemoryWipe(serde_json::from_str(json)?),
        Kind::KeyErasure => Predicate::KeyErasure(serde_json::from_str(json)?),
        Kind::NetworkCut => Predicate::NetworkCut(serde_json::from_str(json)?),
        Kind::Notification => Predicate::Notification(serde_json::from_str(json)?),
        Kind::Configuration => Predicate::Configuration(serde_json::from_str(json)?),
        Kind::TenantExit => Predicate::TenantExit(serde_json::from_str(json)?),
        Kind::DeviceSanitizeIntent => Predicate::DeviceSanitizeIntent(serde_json::from_str(json)?),
        Kind::DeviceSanitize => Predicate::DeviceSanitize(serde_json::from_str(json)?),
    })
}

fn subjects(predicate: &Predicate) -> Vec<Subject> {
    let targets =
        |targets: &[Target]| targets.iter().map(|target| named(target.name())).collect::<Vec<_>>();
    match predicate {
        Predicate::WipeIntent(intent) => targets(&intent.targets),
        Predicate::MediaWipe(wipe) => targets(&[wipe.target]),
        Predicate::MemoryWipe(wipe) => targets(&[wipe.target]),
        Predicate::KeyErasure(wipe) => targets(&[wipe.target]),
        Predicate::NetworkCut(cut) => vec![of_tenant(cut.origin.tenant)],
        Predicate::Notification(notice) => vec![of_notice(notice.notice)],
        Predicate::Configuration(configuration) => vec![of_tenant(configuration.origin.tenant)],
        Predicate::TenantExit(exit) => of_exit(exit),
        Predicate::DeviceSanitizeIntent(intent) => vec![named(intent.device.name())],
        Predicate::DeviceSanitize(wipe) => vec![named(wipe.device.name())],
    }
}

fn of_exit(exit: &TenantExit) -> Vec<Subject> {
    let listed = exit.envelopes.iter().map(|envelope| Subject {
        name: envelope.path.clone(),
        digest: DigestSet { sha256: envelope.digest },
    });
    [of_tenant(exit.tenant)].into_iter().chain(listed).collect()
}

fn of_tenant(tenant: TenantId) -> Subject {
    named(format!("tenure:tenant:{tenant}"))
}

fn of_notice(notice: NoticeId) -> Subject {
    named(format!("tenure:notice:{notice}"))
}

fn named(name: String) -> Subject {
    let digest = DigestSet { sha256: Digest::of(name.as_bytes()) };
    Subject { name, digest }
}

fn check_limits(payload: &[u8]) -> Result<(), StatementError> {
    if payload.len() > MAX_STATEMENT_BYTES {
        return Err(StatementError::TooLong(payload.len()));
    }
    let value: serde_json::Value = serde_json::from_slice(payload)
        .map_err(|error| StatementError::Shape(error.to_string()))?;
    if integers_are_small(&value) { Ok(()) } else { Err(StatementError::Integer) }
}

/// Recursion is bounded by serde_json's own limit of 128 levels.
fn integers_are_small(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.as_u64().is_some_and(|n| n < INTEGER_LIMIT),
        serde_json::Value::Array(items) => items.iter().all(integers_are_small),
        serde_json::Value::Object(fields) => fields.values().all(integers_are_small),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => true,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(128).collect()
}
