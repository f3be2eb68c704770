//! `tenurectl wipe`: two persons of the provider approve the destruction of what a tenant had.

use clap::Subcommand;
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::Screen,
    wait::{self, WaitArgs},
};

/// What can be done about a wipe.
#[derive(Debug, Subcommand)]
pub(crate) enum WipeVerb {
    /// Approve it; the second person's approval begins it, and nothing can take it back
    Approve {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Runs it.
pub(crate) fn run(verb: WipeVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let WipeVerb::Approve { tenant, wait } = verb;
    let answer = api.post(&format!("/v1/tenants/{tenant}/wipe/approvals"), &json!({}))?;
    if !wait.wait {
        return screen.one(&answer);
    }
    screen.one(&wait::phase(api, screen, &wait, tenant, &["closed"], &["wipe-failed"])?)
}
