//! The words about contacts: the monthly probe of their channels, what it did not bring, and that
//! they were changed.

use jiff::civil::Date;

use super::{Letters, Words, month_of};
use crate::core::tenant::Tenant;

pub(super) fn probe(letters: &Letters, tenant: &Tenant, month: Date) -> Words {
    letters.words("probe", |_| {
        variables![
            "system" => tenant.application.system.name.as_str(),
            "month" => month_of(month),
            "tenant" => tenant.id.to_string(),
        ]
    })
}

/// To the provider's own people.
pub(super) fn unanswered(
    letters: &Letters,
    tenant: &Tenant,
    month: Date,
    silent: &[String],
    acknowledged: bool,
) -> Words {
    let silent = if silent.is_empty() { "-".to_owned() } else { silent.join("; ") };
    letters.words("probe-unanswered", |_| {
        variables![
            "system" => tenant.application.system.name.as_str(),
            "customer" => tenant.application.customer.as_str(),
            "month" => month_of(month),
            "silent" => silent.as_str(),
            "acknowledged" => if acknowledged { "yes" } else { "no" },
        ]
    })
}

/// To those who are no contacts any more.
pub(super) fn changed(letters: &Letters, tenant: &Tenant, by: &str, now: &str) -> Words {
    let system = tenant.application.system.name.as_str();
    letters.words("contacts-changed", |_| variables!["system" => system, "by" => by, "now" => now])
}
