//! `tenurectl report`: the two reports at the end of a trial. Both are uploaded as attachments
//! first.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    attachment::{Owner, upload},
    failure::Failure,
    review::OpinionArgs,
    screen::Screen,
};

/// What is done with reports.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportVerb {
    /// Upload and submit both reports (customer)
    Submit {
        /// The tenant's id
        tenant: TenantId,
        /// The test report
        #[arg(long, value_name = "FILE")]
        test_report: PathBuf,
        /// The security risk assessment report
        #[arg(long, value_name = "FILE")]
        security_report: PathBuf,
    },
    /// Pass them: the tenant goes online (reviewer)
    Pass {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Fail them: the customer rectifies item by item and submits again (reviewer)
    Fail {
        #[command(flatten)]
        opinion: OpinionArgs,
        /// What to rectify; once for each item
        #[arg(long = "item", value_name = "TEXT", required = true)]
        items: Vec<String>,
    },
    /// Record that an item is rectified (customer)
    Rectify {
        /// The tenant's id
        tenant: TenantId,
        /// The item's number
        #[arg(long, value_name = "NUMBER")]
        item: u32,
        /// What was changed
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// The proof
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
    },
}

/// Runs it.
pub(crate) fn run(verb: ReportVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        ReportVerb::Submit { tenant, test_report, security_report } => {
            let body = json!({
                "test_report": upload(Owner::Tenant(tenant), &test_report, api)?,
                "security_report": upload(Owner::Tenant(tenant), &security_report, api)?,
            });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/reports"), &body)?)
        }
        ReportVerb::Pass { opinion } => opinion.decide("pass", "reports/review", api, screen),
        ReportVerb::Fail { opinion, items } => {
            let body = json!({ "decision": "fail", "opinion": opinion.opinion, "items": items });
            let path = format!("/v1/tenants/{}/reports/review", opinion.tenant);
            screen.one(&api.post_about(opinion.version, &path, &body)?)
        }
        ReportVerb::Rectify { tenant, item, note, evidence } => {
            let evidence = upload(Owner::Tenant(tenant), &evidence, api)?;
            let body = json!({ "item": item, "note": note, "evidence": evidence });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/reports/rectifications"), &body)?)
        }
    }
}
