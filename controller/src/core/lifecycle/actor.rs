//! Who acts on tenants, and in which role.

use serde::{Deserialize, Serialize};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The person's name, a token's owner too: separation of duties goes by it.
    pub name: String,
    /// In which role.
    pub role: Role,
    /// For which customer; customers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

/// Roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Acts for a customer.
    Customer,
    /// Gives opinions for the provider.
    Reviewer,
    /// Runs the platform.
    Operator,
    /// Answers for the platform's security.
    Security,
    /// Reads everything, changes nothing.
    Auditor,
    /// Enrols hosts, makes accounts and tokens.
    Administrator,
    /// The controller itself: reports, deliveries, deadlines. No token has it.
    Controller,
}

impl Role {
    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Reviewer => "reviewer",
            Self::Operator => "operator",
            Self::Security => "security",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
            Self::Controller => "controller",
        }
    }
}

impl Actor {
    /// The controller itself.
    #[must_use]
    pub fn controller() -> Self {
        Self { name: "controller".to_owned(), role: Role::Controller, customer: None }
    }
}
