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
    /// What is due, when, by whom, under which clause
    Deadlines {
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
    column("SYSTEM", &["/system/name", "/system"]),
    column("PHASE", &["/phase/state", "/phase"]),
    column("ISOLATION", &["/isolation/state", "/isolation"]),
    column("OPENED", &["/opened_at"]),
];

const JOURNAL: &[Column] = &[
    column("AT", &["/at", "/recorded_at"]),
    column("SEQ", &["/seq", "/sequence"]),
    column("EVENT", &["/event/type", "/event/kind", "/type", "/kind", "/event"]),
    column("ACTOR", &["/actor/name", "/actor"]),
    column("PHASE", &["/phase_after", "/phase", "/to"]),
    column("LEDGER", &["/ledger_index"]),
];

const DEADLINES: &[Column] = &[
    column("OBLIGATION", &["/obligation", "/id", "/code"]),
    column("CLAUSE", &["/clause"]),
    column("WHO", &["/party", "/owed_by", "/who"]),
    column("LAST DAY", &["/last_day", "/due/last_day"]),
    column("DUE AT", &["/due_at", "/due/due_at"]),
    column("STATE", &["/state/state", "/state", "/status"]),
    column("SINCE", &["/discharged_at", "/state/met_at", "/state/at"]),
];

/// Columns of orders, here and in `order show`.
const ORDERS: &[Column] = &[
    column("ORDER", &["/id", "/order"]),
    column("HOST", &["/host_name", "/host"]),
    column("LANE", &["/lane"]),
    column("ACTION", &["/action/kind", "/action", "/kind"]),
    column("STATE", &["/state/state", "/state", "/status"]),
    column("ISSUED", &["/issued_at", "/created_at"]),
    column("ENDED", &["/finished_at", "/ended_at", "/done_at"]),
];

const NOTICES: &[Column] = &[
    column("NOTICE", &["/id"]),
    column("KIND", &["/kind", "/subject"]),
    column("CONTACT", &["/contact/name", "/contact"]),
    column("CHANNEL", &["/channel/channel", "/channel/kind", "/channel"]),
    column("STATE", &["/state/state", "/state", "/status"]),
    column("GRADE", &["/grade", "/best_grade"]),
    column("TRIES", &["/tries_count", "/attempts", "/tries"]),
    column("DELIVERED", &["/delivered_at"]),
];

const EVIDENCE: &[Column] = &[
    column("DIGEST", &["/digest", "/envelope_digest"]),
    column("STATEMENT", &["/predicate_type", "/kind", "/type"]),
    column("RESULT", &["/result"]),
    column("HOST", &["/host_name", "/host"]),
    column("AT", &["/at", "/recorded_at", "/received_at"]),
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
        TenantVerb::Deadlines { tenant } => part(api, screen, tenant, "deadlines", DEADLINES),
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
