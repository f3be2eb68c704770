//! `tenurectl assessment` and `tenurectl icp`: what a live system has to have on file.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    attachment::{Owner, upload},
    failure::Failure,
    offboarding::day,
    review::OpinionArgs,
    screen::Screen,
};

/// What is done about the MLPS assessment.
#[derive(Debug, Subcommand)]
pub(crate) enum AssessmentVerb {
    /// File a third party's MLPS (等保) assessment report (customer)
    File {
        /// The tenant's id
        tenant: TenantId,
        /// Number of the report
        #[arg(long, value_name = "TEXT")]
        report_number: String,
        /// The assessing organisation
        #[arg(long, value_name = "TEXT")]
        assessor: String,
        /// The level that was assessed
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=5))]
        level: u8,
        /// The assessor's conclusion
        #[arg(long, value_name = "TEXT")]
        conclusion: String,
        /// The copy of the report
        #[arg(long, value_name = "FILE")]
        report: PathBuf,
    },
}

/// What is done about the ICP filing.
#[derive(Debug, Subcommand)]
pub(crate) enum IcpVerb {
    /// File the proof of the ICP filing: a reviewer looks it up before ports for the Internet open
    /// (customer)
    File {
        /// The tenant's id
        tenant: TenantId,
        /// Filing number
        #[arg(long, value_name = "TEXT")]
        number: String,
        /// Domain
        #[arg(long)]
        domain: String,
        /// Who holds the filing
        #[arg(long, value_name = "TEXT")]
        holder: String,
        /// Day of the filing, such as 2026-10-20
        #[arg(long, value_name = "DATE", value_parser = day)]
        filed_on: String,
        /// The copy of the proof
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
    },
    /// Say that the filing stands in the ministry's register: in formal operation, ports for the
    /// Internet open (reviewer)
    Confirm {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Say that it does not: the customer still has to file (reviewer)
    Dispute {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Open ports for the Internet before the filing, where the site's rules allow it: the reviewer
    /// answers for it (reviewer)
    Open {
        /// The tenant's id
        tenant: TenantId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// The MLPS assessment.
pub(crate) fn assessment(verb: AssessmentVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let AssessmentVerb::File { tenant, report_number, assessor, level, conclusion, report } = verb;
    let body = json!({
        "report_number": report_number,
        "assessor": assessor,
        "level": level,
        "conclusion": conclusion,
        "document": upload(Owner::Tenant(tenant), &report, api)?,
    });
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/assessment"), &body)?)
}

/// The ICP filing.
pub(crate) fn icp(verb: IcpVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        IcpVerb::File { tenant, number, domain, holder, filed_on, proof } => {
            let body = json!({
                "number": number,
                "domain": domain,
                "holder": holder,
                "filed_on": filed_on,
                "document": upload(Owner::Tenant(tenant), &proof, api)?,
            });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/icp"), &body)?)
        }
        IcpVerb::Confirm { opinion } => look_up(true, &opinion, api, screen),
        IcpVerb::Dispute { opinion } => look_up(false, &opinion, api, screen),
        IcpVerb::Open { tenant, reason } => {
            let body = json!({ "reason": reason });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/icp/opening"), &body)?)
        }
    }
}

fn look_up(found: bool, args: &OpinionArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let body = json!({ "found": found, "opinion": args.opinion });
    let path = format!("/v1/tenants/{}/icp/confirmation", args.tenant);
    screen.one(&api.post_about(args.version, &path, &body)?)
}
