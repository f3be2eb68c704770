//! The kinds of records: under which clause each is kept, who may record it, and what it has to
//! have.

use serde::{Deserialize, Serialize};
use tenure_protocol::id::RecordId;

use super::{Ground, Record};
use crate::core::{
    admission,
    lifecycle::{Actor, Role, admit},
    refusal::{Code, Refusal},
    tenant::Tenant,
};

/// Most entries of a list in a record.
pub const ENTRIES_LIMIT: usize = 200;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// The customer has received its resources (clause 5.1).
    HandoverReceipt {
        /// Who received them.
        received_by: String,
        /// What was handed over.
        items: Vec<String>,
    },
    /// The monthly security check of a deployed system (clause 8.3), in the month in which it took
    /// effect; its document is the report.
    Inspection {
        /// What was checked.
        checked: String,
        /// What was found; nothing if all is well.
        findings: Vec<Finding>,
    },
    /// Help that the provider gave (clause 8.4).
    Support {
        /// Which.
        service: Support,
        /// What was done.
        summary: String,
    },
    /// The customer's letter of responsibility (clause 7.1); its document is the letter.
    ResponsibilityLetter {
        /// Who signed it.
        signed_by: String,
    },
    /// The customer's own administrators and security policy (clause 7.1).
    Administrators {
        /// Who they are.
        persons: Vec<Administrator>,
        /// The policy, in short.
        policy: String,
    },
    /// The provider's list of security controls (clause 8.1).
    Controls {
        /// The controls.
        controls: Vec<Control>,
    },
    /// A yearly third-party assessment of the platform (clause 8.2); its document is the report.
    PlatformAssessment {
        /// Which of the two.
        assessment: YearlyAssessment,
        /// Who assessed.
        assessor: String,
        /// Number of the report.
        report_no: String,
        /// What it concludes.
        conclusion: String,
    },
    /// An authority asks to see a customer's data (clause 7.2); its document is the authority's.
    LawfulAccess {
        /// Which authority.
        authority: String,
        /// Number of its document.
        document_no: String,
        /// What may be looked at.
        scope: String,
        /// Whether the document demands that the customer is not told.
        #[serde(default)]
        sealed: bool,
    },
    /// What was shown on an approved access (clause 7.2).
    AccessShown {
        /// The access' record.
        access: RecordId,
        /// What was shown, to the letter.
        shown: String,
        /// The officers who looked at it.
        officers: Vec<String>,
    },
}

/// A finding of a security check, and the advice on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub finding: String,
    /// What to do about it.
    pub advice: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// To be mended when convenient.
    Low,
    /// To be mended soon.
    Medium,
    /// To be mended now.
    High,
}

/// Help of clause 8.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// With the plan of migration and deployment.
    MigrationPlan,
    /// Technical advice.
    Consulting,
    /// With improving a solution.
    Optimisation,
    /// Training.
    Training,
}

/// An administrator of the customer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// Who.
    pub name: String,
    /// For what.
    pub duty: String,
}

/// A control and how it is implemented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// What is to be controlled, such as a clause of GB/T 22239.
    pub control: String,
    /// What is done.
    pub measure: String,
}

/// The yearly assessments of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YearlyAssessment {
    /// Classified protection, level 3 (等级保护三级测评).
    MlpsLevel3,
    /// Risk (风险评估).
    Risk,
}

impl YearlyAssessment {
    /// Its name, as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MlpsLevel3 => "mlps-level3",
            Self::Risk => "risk",
        }
    }
}

/// The kinds, without what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// [`Content::HandoverReceipt`].
    HandoverReceipt,
    /// [`Content::Inspection`].
    Inspection,
    /// [`Content::Support`].
    Support,
    /// [`Content::ResponsibilityLetter`].
    ResponsibilityLetter,
    /// [`Content::Administrators`].
    Administrators,
    /// [`Content::Controls`].
    Controls,
    /// [`Content::PlatformAssessment`].
    PlatformAssessment,
    /// [`Content::LawfulAccess`].
    LawfulAccess,
    /// [`Content::AccessShown`].
    AccessShown,
}

impl Content {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::HandoverReceipt { .. } => Kind::HandoverReceipt,
            Self::Inspection { .. } => Kind::Inspection,
            Self::Support { .. } => Kind::Support,
            Self::ResponsibilityLetter { .. } => Kind::ResponsibilityLetter,
            Self::Administrators { .. } => Kind::Administrators,
            Self::Controls { .. } => Kind::Controls,
            Self::PlatformAssessment { .. } => Kind::PlatformAssessment,
            Self::LawfulAccess { .. } => Kind::LawfulAccess,
            Self::AccessShown { .. } => Kind::AccessShown,
        }
    }

    /// The record that it refers to.
    #[must_use]
    pub const fn refers_to(&self) -> Option<RecordId> {
        match self {
            Self::AccessShown { access, .. } => Some(*access),
            _ => None,
        }
    }

    /// Whether the customer is not told.
    #[must_use]
    pub fn is_sealed(&self, related: Option<&Record>) -> bool {
        match self {
            Self::LawfulAccess { sealed, .. } => *sealed,
            Self::AccessShown { .. } => related.is_some_and(|access| access.sealed),
            _ => false,
        }
    }

    /// Checks that every text says something and every list has entries.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::HandoverReceipt { received_by, items } => {
                texts("", &[("received_by", received_by)])?;
                list("items", items, |at, item| admission::text_at(at, item))
            }
            Self::Inspection { checked, findings } => {
                texts("", &[("checked", checked)])?;
                each("findings", findings, |at, one| {
                    texts(at, &[("finding", &one.finding), ("advice", &one.advice)])
                })
            }
            Self::Support { service: _, summary } => texts("", &[("summary", summary)]),
            Self::ResponsibilityLetter { signed_by } => texts("", &[("signed_by", signed_by)]),
            Self::Administrators { persons, policy } => {
                texts("", &[("policy", policy)])?;
                list("persons", persons, |at, one| {
                    texts(at, &[("name", &one.name), ("duty", &one.duty)])
                })
            }
            Self::Controls { controls } => list("controls", controls, |at, one| {
                texts(at, &[("control", &one.control), ("measure", &one.measure)])
            }),
            Self::PlatformAssessment { assessment: _, assessor, report_no, conclusion } => texts(
                "",
                &[("assessor", assessor), ("report_no", report_no), ("conclusion", conclusion)],
            ),
            Self::LawfulAccess { authority, document_no, scope, sealed: _ } => texts(
                "",
                &[("authority", authority), ("document_no", document_no), ("scope", scope)],
            ),
            Self::AccessShown { access: _, shown, officers } => {
                texts("", &[("shown", shown)])?;
                list("officers", officers, |at, officer| admission::text_at(at, officer))
            }
        }
    }

    /// Checks that what it refers to is there, and is of the right kind and tenant.
    pub(super) fn check_related(&self, ground: &Ground<'_>) -> Result<(), Refusal> {
        let wanted = match self {
            Self::AccessShown { .. } => Kind::LawfulAccess,
            _ => return Ok(()),
        };
        let tenant = ground.tenant.map(|tenant| tenant.id);
        let found = ground
            .related
            .is_some_and(|related| related.content.kind() == wanted && related.tenant == tenant);
        if found {
            return Ok(());
        }
        Err(Refusal::new(
            Code::UnknownRecord,
            format!("there is no record of the kind {} with this id here", wanted.as_str()),
        ))
    }
}

impl Kind {
    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandoverReceipt => "handover-receipt",
            Self::Inspection => "inspection",
            Self::Support => "support",
            Self::ResponsibilityLetter => "responsibility-letter",
            Self::Administrators => "administrators",
            Self::Controls => "controls",
            Self::PlatformAssessment => "platform-assessment",
            Self::LawfulAccess => "lawful-access",
            Self::AccessShown => "access-shown",
        }
    }

    /// Clause of the standard: its headings and paragraphs in order.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::HandoverReceipt => "5.1",
            Self::ResponsibilityLetter | Self::Administrators => "7.1",
            Self::LawfulAccess | Self::AccessShown => "7.2",
            Self::Controls => "8.1",
            Self::PlatformAssessment => "8.2",
            Self::Inspection => "8.3",
            Self::Support => "8.4",
        }
    }

    /// Whether it is nothing without a document, however early it is recorded.
    #[must_use]
    pub const fn needs_document(self) -> bool {
        match self {
            Self::Inspection
            | Self::ResponsibilityLetter
            | Self::PlatformAssessment
            | Self::LawfulAccess => true,
            Self::HandoverReceipt
            | Self::Support
            | Self::Administrators
            | Self::Controls
            | Self::AccessShown => false,
        }
    }

    /// Whether it is about the platform, and no tenant.
    #[must_use]
    pub const fn is_platform(self) -> bool {
        matches!(self, Self::Controls | Self::PlatformAssessment)
    }

    /// Who may record it.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::HandoverReceipt => &[Role::Customer, Role::Operator, Role::Reviewer],
            Self::ResponsibilityLetter | Self::Administrators => &[Role::Customer],
            Self::Inspection | Self::Controls | Self::PlatformAssessment => {
                &[Role::Operator, Role::Security]
            }
            Self::Support => &[Role::Operator, Role::Reviewer],
            Self::LawfulAccess | Self::AccessShown => &[Role::Operator, Role::Security],
        }
    }

    pub(super) fn may_record(self, tenant: Option<&Tenant>, actor: &Actor) -> Result<(), Refusal> {
        if self.is_platform() != tenant.is_none() {
            let place = if self.is_platform() { "the platform" } else { "a tenant" };
            return Err(Refusal::new(
                Code::InvalidInput,
                format!("a record of the kind {} is about {place}: send it there", self.as_str()),
            ));
        }
        if !self.roles().contains(&actor.role) {
            let names: Vec<&str> = self.roles().iter().map(|role| role.as_str()).collect();
            return Err(Refusal::new(
                Code::WrongRole,
                format!(
                    "recording {} needs the role {}; your token has {}",
                    self.as_str(),
                    names.join(" or "),
                    actor.role.as_str()
                ),
            ));
        }
        match (actor.role, tenant) {
            (Role::Customer, Some(tenant)) => {
                admit::customer_of(&tenant.application.customer, actor)
            }
            (_, Some(tenant)) => admit::not_an_applicant(tenant, actor),
            (_, None) => Ok(()),
        }
    }
}

/// Where what a record says stands in what is handed in.
const CONTENT: &str = "/content";

/// Texts of the thing that stands at a place; of the content itself if that is empty.
fn texts(at: &str, fields: &[(&str, &String)]) -> Result<(), Refusal> {
    let at = if at.is_empty() { CONTENT } else { at };
    fields.iter().try_for_each(|(field, text)| admission::text_at(&format!("{at}/{field}"), text))
}

/// Entries of a list, each with its place.
fn each<T>(
    field: &str,
    entries: &[T],
    check: impl Fn(&str, &T) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if entries.len() > ENTRIES_LIMIT {
        let sentence =
            format!("{field} has {} entries: give at most {ENTRIES_LIMIT}", entries.len());
        return Err(Refusal::new(Code::InvalidInput, sentence));
    }
    let mut places = entries.iter().enumerate();
    places.try_for_each(|(index, one)| check(&format!("{CONTENT}/{field}/{index}"), one))
}

/// As [`each`], of a list that has to have entries.
fn list<T>(
    field: &str,
    entries: &[T],
    check: impl Fn(&str, &T) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if entries.is_empty() {
        let sentence = format!("{field} is empty: give at least one");
        return Err(Refusal::new(Code::InvalidInput, sentence));
    }
    each(field, entries, check)
}
