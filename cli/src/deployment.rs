//! `tenurectl deployment` and `tenurectl configuration`: what follows an approval on either side.

use clap::Subcommand;
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::Screen,
    wait::{self, WaitArgs},
};

/// What a customer declares.
#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentVerb {
    /// Declare that deploying the system has begun
    Declare {
        /// The tenant's id
        tenant: TenantId,
    },
}

/// What an operator does when hosts could not configure.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigurationVerb {
    /// Order it again; once every host is done, send the hand-over notice again
    Retry {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Deployment.
pub(crate) fn deployment(verb: &DeploymentVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let DeploymentVerb::Declare { tenant } = verb;
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/deployment"), &json!({}))?)
}

/// Configuration.
pub(crate) fn configuration(
    verb: &ConfigurationVerb,
    api: &Api,
    screen: &Screen,
) -> Result<(), Failure> {
    let ConfigurationVerb::Retry { tenant, wait } = verb;
    let answer = api.post(&format!("/v1/tenants/{tenant}/configuration/retry"), &json!({}))?;
    if !wait.wait {
        return screen.one(&answer);
    }
    let bad = &["configuration-failed"];
    screen.one(&wait::phase(api, screen, wait, *tenant, wait::CONFIGURED, bad)?)
}
