//! `tenurectl tenant`: looks at tenants, and at what happened to them.

use clap::Subcommand;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, column},
};

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantVerb {
    /// All tenants that this token may see
    List {
        /// Only those in this phase, such as trial or online
        #[arg(long, value_parser = phase_name)]
        phase: Option<String>,
    },
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
        TenantVerb::List { phase } => {
            let query = phase.map(|phase| format!("?phase={phase}")).unwrap_or_default();
            screen.many(&api.get(&format!("/v1/tenants{query}"))?, TENANTS)
        }
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
    screen.many(&api.get(&format!("/v1/tenants/{tenant}/{part}"))?, columns)
}

/// A phase goes into a query: letters and dashes alone.
fn phase_name(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '-')
    {
        Ok(text.to_owned())
    } else {
        Err("a phase is letters and dashes, such as trial or offboarding-requested".to_owned())
    }
}
