//! `tenurectl cut` and `tenurectl restore`: an operator's two acts on a tenant's traffic.

use clap::Args;
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::Screen,
    wait::{self, WaitArgs},
};

/// An emergency cut.
#[derive(Debug, Args)]
pub(crate) struct CutArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Why: the customer reads this in the notice
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// The end of a cut.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Why the traffic may pass again
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Cuts.
pub(crate) fn cut(args: &CutArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let body = json!({ "kind": "emergency", "reason": args.reason });
    let answer = api.post(&format!("/v1/tenants/{}/cut", args.tenant), &body)?;
    if !args.wait.wait {
        return screen.one(&answer);
    }
    screen.one(&wait::isolation(api, screen, &args.wait, args.tenant, "cut", "connected")?)
}

/// Restores.
pub(crate) fn restore(args: &RestoreArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let body = json!({ "reason": args.reason });
    let answer = api.post(&format!("/v1/tenants/{}/restore", args.tenant), &body)?;
    if !args.wait.wait {
        return screen.one(&answer);
    }
    screen.one(&wait::isolation(api, screen, &args.wait, args.tenant, "connected", "cut")?)
}
