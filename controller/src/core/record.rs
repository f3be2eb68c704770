//! Records: what the parties put on paper beside the lifecycle. Every record has two times, when
//! the fact took effect and when it was recorded.
//!
//! ```text
//!           ┌─ recorded within a day of the fact ──────────────────→ counts
//! add ──────┼─ later: with a scan ─→ waits ─ a second person ──────→ counts
//!           ├─ the platform's assessment → waits ─ a second person → counts
//!           └─ lawful access ──────→ waits ─ two different persons → counts
//!                                      └─ one says no ─────────────→ rejected
//! ```
//! A record is never changed: confirmations are added to it. What waits or is rejected counts for
//! nothing. [`content`] says what kinds there are, who may record them, and what each has to have.
//!
//! A record of lawful access whose document demands secrecy is *sealed*: it stands in the
//! platform's chain and not in the tenant's, so that not even a gap in the tenant's numbers tells
//! the customer of it. All others are shown to the customer.

pub mod content;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    id::{RecordId, TenantId},
    time::{self, Timestamp},
};

pub use self::content::{Content, Kind};
use super::{
    admission,
    lifecycle::{Actor, Document, RecordFact, Role, admit, paperwork},
    refusal::{Code, Refusal},
    tenant::Tenant,
};

/// A fact that is recorded later than this after it took effect needs a scan and a second person:
/// 24 hours.
pub const LATE_MS: i64 = 24 * 60 * 60 * 1000;
/// Most documents of a record.
pub const DOCUMENTS_LIMIT: usize = 16;
/// How many persons approve a lawful access.
const ACCESS_APPROVERS: usize = 2;

/// What is handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// What.
    pub content: Content,
    /// When it took effect; legal time. Now, if not given.
    #[serde(default, deserialize_with = "time::nearest")]
    pub effective_at: Option<Timestamp>,
    /// Scans, reports, letters: attachments.
    #[serde(default)]
    pub documents: Vec<Document>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which.
    pub id: RecordId,
    /// About which tenant; none if it is about the platform.
    pub tenant: Option<TenantId>,
    /// Whether it stands in the platform's chain and the customer does not see it.
    pub sealed: bool,
    /// What.
    pub content: Content,
    /// When it took effect; legal time.
    pub effective_at: Timestamp,
    /// When it was recorded; legal time.
    pub recorded_at: Timestamp,
    /// By whom.
    pub recorded_by: String,
    /// In which role.
    pub role: Role,
    /// Attachments: of the tenant, or of the platform if it is sealed or about the platform.
    pub documents: Vec<Document>,
    /// What others said to it, oldest first. Kept beside the record, which never changes.
    #[serde(default)]
    pub confirmations: Vec<Confirmation>,
}

/// What a second person said to a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Who.
    pub by: String,
    /// In which role.
    pub role: Role,
    /// When; legal time.
    pub at: Timestamp,
    /// Whether it is so.
    pub agreed: bool,
    /// Why, or what was looked at.
    pub opinion: String,
}

/// Whether a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum RecordStanding {
    /// So many persons are still to confirm it.
    Waits {
        /// How many.
        persons: usize,
    },
    /// It does.
    Counts {
        /// Since when; legal time.
        since: Timestamp,
    },
    /// Somebody said that it is not so.
    Rejected {
        /// When; legal time.
        at: Timestamp,
    },
}

/// What a decision on a record depends on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Legal time.
    pub now: Timestamp,
    /// The tenant that it is about; none for the platform's.
    pub tenant: Option<&'a Tenant>,
    /// The record that it refers to, if that is there.
    pub related: Option<&'a Record>,
    /// Those of its documents that are attachments of its owner.
    pub filed: &'a BTreeSet<Digest>,
}

impl NewRecord {
    /// The record as it would stand, unless it is refused.
    ///
    /// # Errors
    /// `wrong-role`, `not-your-tenant`, `invalid-input`, `document-missing`, `unknown-attachment`,
    /// `unknown-record`, `access-not-approved`, `same-document`.
    pub fn add(self, id: RecordId, actor: &Actor, ground: &Ground<'_>) -> Result<Record, Refusal> {
        let kind = self.content.kind();
        kind.may_record(ground.tenant, actor)?;
        self.content.check()?;
        self.content.check_related(ground)?;
        let effective_at = self.effective_at.unwrap_or(ground.now);
        if effective_at > ground.now {
            return Err(Refusal::new(
                Code::InvalidInput,
                "effective_at lies in the future: record what has happened, when it has",
            ));
        }
        if effective_at == Timestamp::default() {
            return Err(Refusal::new(
                Code::InvalidInput,
                "effective_at lies before 1970: give the time at which it took effect",
            ));
        }
        if let Content::AccessShown { .. } = self.content {
            shown_after_approval(effective_at, ground)?;
        }
        let record = Record {
            id,
            tenant: ground.tenant.map(|tenant| tenant.id),
            sealed: self.content.is_sealed(ground.related),
            effective_at,
            recorded_at: ground.now,
            recorded_by: actor.name.clone(),
            role: actor.role,
            documents: self.documents,
            confirmations: Vec::new(),
            content: self.content,
        };
        record.check_documents(ground.filed)?;
        if let Some(tenant) = ground.tenant {
            paperwork::is_fresh(tenant, &record.fact())?;
        }
        Ok(record)
    }
}

/// Whether this person may see records of which the customer is not told.
#[must_use]
pub const fn sees_sealed(actor: &Actor) -> bool {
    match actor.role {
        Role::Customer => false,
        Role::Reviewer
        | Role::Operator
        | Role::Security
        | Role::Auditor
        | Role::Administrator
        | Role::Controller => true,
    }
}

impl Record {
    /// What of it matters to the lifecycle.
    #[must_use]
    pub fn fact(&self) -> RecordFact {
        let report = self.documents.first().map(|document| document.sha256);
        let (findings, report) = match &self.content {
            Content::Inspection { findings, .. } => (findings.len(), report),
            _ => (0, None),
        };
        let (kind, effective_at) = (self.content.kind(), self.effective_at);
        RecordFact { record: self.id, kind, effective_at, findings, report }
    }

    /// In whose chain it stands and whose its attachments are: the tenant's, or the platform's.
    #[must_use]
    pub fn owner(&self) -> Option<TenantId> {
        self.tenant.filter(|_| !self.sealed)
    }

    /// Whether it was recorded so long after the fact that a scan and a second person are needed.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.recorded_at.ms_since(self.effective_at) > LATE_MS
    }

    /// How many persons have to confirm it before it counts.
    #[must_use]
    pub const fn persons_needed(&self) -> usize {
        match self.content {
            Content::LawfulAccess { .. } => ACCESS_APPROVERS,
            // Nobody ends the platform's own alarm alone.
            Content::PlatformAssessment { .. } => 1,
            _ if self.is_late() => 1,
            _ => 0,
        }
    }

    /// Whether it counts.
    #[must_use]
    pub fn standing(&self) -> RecordStanding {
        if let Some(no) = self.confirmations.iter().find(|one| !one.agreed) {
            return RecordStanding::Rejected { at: no.at };
        }
        let missing = self.persons_needed().saturating_sub(self.confirmations.len());
        if missing > 0 {
            return RecordStanding::Waits { persons: missing };
        }
        let since = self.confirmations.last().map_or(self.recorded_at, |last| last.at);
        RecordStanding::Counts { since }
    }

    /// Whether it counts.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self.standing(), RecordStanding::Counts { .. })
    }

    /// Whether this person may see it. Whether it may see the tenant is another question.
    #[must_use]
    pub const fn is_visible(&self, actor: &Actor) -> bool {
        sees_sealed(actor) || (!self.sealed && self.tenant.is_some())
    }

    /// What a second person says to it.
    ///
    /// # Errors
    /// `wrong-role`, `separation-of-duties`, `already-decided`, `invalid-input`.
    pub fn confirm(
        &self,
        actor: &Actor,
        agreed: bool,
        opinion: &str,
        ground: &Ground<'_>,
    ) -> Result<Confirmation, Refusal> {
        match actor.role {
            Role::Reviewer | Role::Operator | Role::Security | Role::Administrator => {}
            Role::Customer | Role::Auditor | Role::Controller => {
                return Err(Refusal::new(
                    Code::WrongRole,
                    format!(
                        "confirming a record needs the role reviewer, operator, security or \
                         administrator; your token has {}",
                        actor.role.as_str()
                    ),
                ));
            }
        }
        admission::text_at("/opinion", opinion)?;
        if !matches!(self.standing(), RecordStanding::Waits { .. }) {
            return Err(Refusal::new(
                Code::AlreadyDecided,
                "this record waits for nobody: it counts already, or was rejected",
            ));
        }
        if let Some(tenant) = ground.tenant {
            admit::not_an_applicant(tenant, actor)?;
        }
        let known = self.confirmations.iter().any(|one| one.by == actor.name);
        if known || self.recorded_by == actor.name {
            return Err(Refusal::new(
                Code::SeparationOfDuties,
                format!("{} recorded or confirmed it already: another has to", actor.name),
            ));
        }
        Ok(Confirmation {
            by: actor.name.clone(),
            role: actor.role,
            at: ground.now,
            agreed,
            opinion: opinion.to_owned(),
        })
    }

    fn check_documents(&self, filed: &BTreeSet<Digest>) -> Result<(), Refusal> {
        if self.documents.len() > DOCUMENTS_LIMIT {
            return Err(Refusal::new(
                Code::InvalidInput,
                format!("{} documents: give at most {DOCUMENTS_LIMIT}", self.documents.len()),
            ));
        }
        for (index, document) in self.documents.iter().enumerate() {
            admission::text_at(&format!("/documents/{index}/title"), &document.title)?;
        }
        let kind = self.content.kind();
        if self.documents.is_empty() && (self.is_late() || kind.needs_document()) {
            let why = if kind.needs_document() {
                format!("a record of the kind {} needs its document", kind.as_str())
            } else {
                "this is recorded more than a day after it took effect, which needs a scan of the \
                 paper"
                    .to_owned()
            };
            return Err(Refusal::new(
                Code::DocumentMissing,
                format!("{why}: upload it, and name it in documents"),
            ));
        }
        admit::attached(&self.documents, filed)
    }
}

/// Nothing is shown to an authority before two persons have approved it.
fn shown_after_approval(at: Timestamp, ground: &Ground<'_>) -> Result<(), Refusal> {
    match ground.related.map(Record::standing) {
        Some(RecordStanding::Counts { since }) if at >= since => Ok(()),
        Some(
            RecordStanding::Counts { .. }
            | RecordStanding::Waits { .. }
            | RecordStanding::Rejected { .. },
        )
        | None => Err(Refusal::new(
            Code::AccessNotApproved,
            "this access was not approved by two persons when it happened: nothing may be shown \
             before",
        )),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
