//! What the law asks of a live system (clauses 5.5, 5.6 and 8.3): orthogonal to the phase, each
//! with a state of its own.

use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::{Tenant, Zone};
use crate::core::{
    admission::{self, MLPS_LEVELS, TEXT_LIMIT},
    lifecycle::Document,
    obligation::{ObligationId, ObligationState},
};

/// A third-party MLPS (等保) assessment, as it was filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Assessment {
    /// Number of the report.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub report_number: String,
    /// The assessing organisation.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub assessor: String,
    /// The level that was assessed, 1 to 5.
    #[garde(range(min = *MLPS_LEVELS.start(), max = *MLPS_LEVELS.end()))]
    pub level: u8,
    /// The assessor's conclusion.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub conclusion: String,
    /// The copy of the report.
    #[garde(dive)]
    pub document: Document,
}

/// An ICP filing, as it was filed with the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct IcpFiling {
    /// Filing number, such as 赣ICP备2026000001号.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub number: String,
    /// Domain.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub domain: String,
    /// Who holds the filing.
    #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(admission::text))]
    pub holder: String,
    /// Day of the filing.
    pub filed_on: Date,
    /// The copy of the proof.
    #[garde(dive)]
    pub document: Document,
}

/// An ICP filing that the customer has handed in, and that nobody has looked up yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcpFiled {
    /// What was handed in.
    #[serde(flatten)]
    pub filing: IcpFiling,
    /// Who handed it in.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// An ICP filing that a reviewer has found in the ministry's register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcpConfirmed {
    /// What was handed in, by whom and when.
    pub filed: IcpFiled,
    /// Who looked it up.
    pub by: String,
    /// What the register says.
    pub opinion: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// Internet ingress was opened before the filing, as the standard allows for a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcpOpening {
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// The state of what the law asks of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compliance {
    /// Third-party MLPS assessment (clause 5.5).
    pub mlps: Standing,
    /// ICP filing (clause 5.6).
    pub icp: Standing,
    /// Monthly security check (clause 8.3).
    pub monthly_check: Standing,
    /// Whether ports for the Internet are open.
    pub internet_ingress: InternetIngress,
}

/// How one duty stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Not asked for, or not yet.
    NotDue,
    /// Owed, in time.
    Due,
    /// Owed, too late.
    Overdue,
    /// Met.
    Met,
}

/// What becomes of ports for the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InternetIngress {
    /// None was asked for.
    None,
    /// Closed: the system is not in formal operation.
    ClosedUntilOnline,
    /// Closed: no filing number is recorded.
    ClosedUntilFiled,
    /// Closed: nobody has looked the filing up yet.
    ClosedUntilConfirmed,
    /// Open without a filing, by a named person.
    OpenByApproval,
    /// Open, and filed.
    Open,
}

impl Tenant {
    /// The state of what the law asks of the system.
    #[must_use]
    pub fn compliance(&self) -> Compliance {
        let filed = |standing, is_filed: bool| match (standing, is_filed) {
            (Standing::NotDue, true) => Standing::Met,
            (standing, _) => standing,
        };
        Compliance {
            mlps: filed(self.standing(ObligationId::O8), self.assessment.is_some()),
            icp: filed(self.standing(ObligationId::O9), self.has_filed_icp()),
            monthly_check: self.standing(ObligationId::O17),
            internet_ingress: self.internet_ingress(),
        }
    }

    fn standing(&self, id: ObligationId) -> Standing {
        let last = self.obligations.iter().rfind(|owed| owed.id == id);
        last.map_or(Standing::NotDue, |owed| match owed.state {
            ObligationState::Open => Standing::Due,
            ObligationState::Breached { met_at: None, .. } => Standing::Overdue,
            ObligationState::Discharged { .. }
            | ObligationState::Breached { met_at: Some(_), .. } => Standing::Met,
            ObligationState::Lapsed { .. } => Standing::NotDue,
        })
    }

    fn internet_ingress(&self) -> InternetIngress {
        if !self.asks_for_internet() {
            InternetIngress::None
        } else if self.online_at.is_none() {
            InternetIngress::ClosedUntilOnline
        } else if self.icp.is_some() {
            InternetIngress::Open
        } else if self.icp_opening.is_some() {
            InternetIngress::OpenByApproval
        } else if self.icp_filed.is_some() {
            InternetIngress::ClosedUntilConfirmed
        } else {
            InternetIngress::ClosedUntilFiled
        }
    }

    /// Whether a filing is handed in that nobody has found wanting.
    #[must_use]
    pub const fn has_filed_icp(&self) -> bool {
        self.icp.is_some() || self.icp_filed.is_some()
    }

    /// Whether anything may come in from a zone at all. From the Internet nothing may before formal
    /// operation, and then only with an ICP filing that was looked up, or a person who answers for
    /// it. Into an expired trial nothing may, from its own network neither.
    #[must_use]
    pub fn opens(&self, zone: Zone) -> bool {
        let held = self.trial.as_ref().is_some_and(|trial| trial.expired);
        let filed = self.icp.is_some() || self.icp_opening.is_some();
        match zone {
            Zone::Isolated | Zone::Extranet => !held,
            Zone::Internet => !held && self.online_at.is_some() && filed,
        }
    }
}
