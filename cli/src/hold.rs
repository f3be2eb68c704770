//! `tenurectl hold`: legal holds and disputes keep what a tenant has from being destroyed.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    attachment::{Owner, upload},
    failure::Failure,
    screen::Screen,
};

/// What is done about holds.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldVerb {
    /// Place one: it blocks at once, and a second person countersigns it (security)
    Place {
        /// The tenant's id
        tenant: TenantId,
        /// Why things are kept
        #[arg(long, value_enum)]
        kind: Kind,
        /// The order or the claim that it rests on
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
        /// What it is about
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Ask for its end: it blocks until a second person has countersigned (security)
    Release {
        /// The tenant's id
        tenant: TenantId,
        /// The hold's number
        #[arg(long, value_name = "NUMBER")]
        hold: u32,
        /// The document that ends it
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Countersign what waits for a second person: the placing, or the end (a second person)
    Countersign {
        /// The tenant's id
        tenant: TenantId,
        /// The hold's number
        #[arg(long, value_name = "NUMBER")]
        hold: u32,
    },
}

/// Kinds of hold.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// A court or an authority orders it
    LegalHold,
    /// The parties disagree
    Dispute,
}

/// Runs it.
pub(crate) fn run(verb: HoldVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let (tenant, part, body) = match verb {
        HoldVerb::Place { tenant, kind, document, reason } => {
            let kind = match kind {
                Kind::LegalHold => "legal-hold",
                Kind::Dispute => "dispute",
            };
            let document = upload(Owner::Tenant(tenant), &document, api)?;
            let body = json!({ "kind": kind, "document": document, "reason": reason });
            (tenant, "holds", body)
        }
        HoldVerb::Release { tenant, hold, document, reason } => {
            let document = upload(Owner::Tenant(tenant), &document, api)?;
            let body = json!({ "hold": hold, "document": document, "reason": reason });
            (tenant, "holds/release", body)
        }
        HoldVerb::Countersign { tenant, hold } => {
            (tenant, "holds/countersignatures", json!({ "hold": hold }))
        }
    };
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/{part}"), &body)?)
}
