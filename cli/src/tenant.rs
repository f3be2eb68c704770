//! `tenurectl tenant`: looks at tenants, and at what happened to them.

use clap::{Args, Subcommand};
use tenure_protocol::{id::TenantId, time::Timestamp};

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, column},
};

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantVerb {
    /// All tenants that this token may see
    List(Filter),
    /// One tenant with its instances and deadlines
    Show {
        /// The tenant's id
        tenant: TenantId,
    },
    /// What happened, in order, by whom
    Journal {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Orders to hosts, and what became of them
    Orders {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Notices to the customer, and the evidence of their delivery
    Notices {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Signed statements, with their places in the ledger
    Evidence {
        /// The tenant's id
        tenant: TenantId,
    },
}

/// Which tenants: all of what is given must hold.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only those in this phase, such as trial or online
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,
    /// Only those of this customer
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// Only those that are connected, cutting, cut or restoring
    #[arg(long, value_name = "STATE")]
    isolation: Option<String>,
    /// Only those with something owed before this instant, such as 2026-10-20T00:00:00Z
    #[arg(long, value_name = "INSTANT")]
    due_before: Option<Timestamp>,
    /// Only those with something owed whose deadline has passed
    #[arg(long)]
    overdue: bool,
}

impl Filter {
    /// The path of the list.
    fn path(&self) -> String {
        let due_before = self.due_before.map(|at| at.to_string());
        let overdue = self.overdue.then(|| "true".to_owned());
        let given = [
            ("phase", &self.phase),
            ("customer", &self.customer),
            ("isolation", &self.isolation),
            ("due_before", &due_before),
            ("overdue", &overdue),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in given {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/v1/tenants".to_owned() } else { format!("/v1/tenants?{query}") }
    }
}

const TENANTS: &[Column] = &[
    column("TENANT", &["/id"]),
    column("CUSTOMER", &["/customer"]),
    column("SYSTEM", &["/system"]),
    column("PHASE", &["/phase"]),
    column("ISOLATION", &["/isolation/state"]),
    column("OPENED", &["/opened_at"]),
];

const JOURNAL: &[Column] = &[
    column("SEQ", &["/tenant_seq"]),
    column("AT", &["/at"]),
    column("EVENT", &["/kind"]),
    column("ACTOR", &["/actor/name", "/actor"]),
    column("PHASE AFTER", &["/phase"]),
    column("LEDGER", &["/ledger_index"]),
];

const ORDERS: &[Column] = &[
    column("ORDER", &["/id"]),
    column("HOST", &["/host"]),
    column("ACTION", &["/action"]),
    column("STATE", &["/state"]),
    column("ISSUED", &["/issued_at"]),
    column("FINISHED", &["/finished_at"]),
    column("MESSAGE", &["/message"]),
];

const NOTICES: &[Column] = &[
    column("NOTICE", &["/id"]),
    column("KIND", &["/kind"]),
    column("CONTACT", &["/contact"]),
    column("CHANNEL", &["/channel"]),
    column("STATE", &["/state"]),
    column("GRADE", &["/grade"]),
    column("TRIES", &["/tries_count"]),
    column("DELIVERED", &["/delivered_at"]),
];

const EVIDENCE: &[Column] = &[
    column("DIGEST", &["/digest"]),
    column("STATEMENT", &["/kind"]),
    column("HOST", &["/host"]),
    column("AT", &["/at"]),
    column("LEDGER", &["/ledger_index"]),
];

/// Runs it.
pub(crate) fn run(verb: TenantVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        TenantVerb::List(filter) => screen.many(&api.list(&filter.path())?, TENANTS),
        TenantVerb::Show { tenant } => screen.one(&api.get(&format!("/v1/tenants/{tenant}"))?),
        TenantVerb::Journal { tenant } => part(api, screen, tenant, "journal", JOURNAL),
        TenantVerb::Orders { tenant } => part(api, screen, tenant, "orders", ORDERS),
        TenantVerb::Notices { tenant } => part(api, screen, tenant, "notices", NOTICES),
        TenantVerb::Evidence { tenant } => part(api, screen, tenant, "evidence", EVIDENCE),
    }
}

fn part(
    api: &Api,
    screen: &Screen,
    tenant: TenantId,
    part: &str,
    columns: &[Column],
) -> Result<(), Failure> {
    screen.many(&api.list(&format!("/v1/tenants/{tenant}/{part}"))?, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_written_so_that_nothing_of_them_is_read_as_another() {
        let none = Filter {
            phase: None,
            customer: None,
            isolation: None,
            due_before: None,
            overdue: false,
        };
        assert_eq!(none.path(), "/v1/tenants");
        let some = Filter { customer: Some("a&phase=x 市".to_owned()), overdue: true, ..none };
        assert_eq!(some.path(), "/v1/tenants?customer=a%26phase%3Dx+%E5%B8%82&overdue=true");
    }
}
