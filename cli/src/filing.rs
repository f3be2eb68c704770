//! `tenurectl assessment` and `tenurectl icp`: what a live system has to have on file. The reports
//! are uploaded as attachments first.

use std::path::PathBuf;

use clap::Subcommand;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    attachment::{Owner, upload},
    failure::Failure,
    screen::Screen,
};

/// What is done about the MLPS assessment.
#[derive(Debug, Subcommand)]
pub(crate) enum AssessmentVerb {
    /// Upload and file a third party's MLPS (等保) assessment report (customer)
    File {
        /// The tenant's id
        tenant: TenantId,
        /// The report
        #[arg(long, value_name = "FILE")]
        report: PathBuf,
    },
}

/// What is done about the ICP filing.
#[derive(Debug, Subcommand)]
pub(crate) enum IcpVerb {
    /// Upload and file the proof of the ICP filing (customer)
    File {
        /// The tenant's id
        tenant: TenantId,
        /// The proof
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
    },
}

/// The MLPS assessment.
pub(crate) fn assessment(verb: AssessmentVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let AssessmentVerb::File { tenant, report } = verb;
    let document = upload(Owner::Tenant(tenant), &report, api)?;
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/assessment"), &document)?)
}

/// The ICP filing.
pub(crate) fn icp(verb: IcpVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let IcpVerb::File { tenant, proof } = verb;
    let document = upload(Owner::Tenant(tenant), &proof, api)?;
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/icp"), &document)?)
}
