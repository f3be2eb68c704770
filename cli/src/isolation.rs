//! `tenurectl cut` and `tenurectl restore`: an operator's two acts on a tenant's traffic.

use clap::{Args, Subcommand};
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::Screen,
    wait::{self, WaitArgs},
};

/// A cut.
#[derive(Debug, Args)]
pub(crate) struct CutArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Why: the customer reads this in the notice
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// It is no emergency: a notice of it has reached the customer before (see cut-notice)
    #[arg(long)]
    planned: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What the customer is told of a planned cut.
#[derive(Debug, Subcommand)]
pub(crate) enum CutNoticeVerb {
    /// Announce it: once a notice is delivered, `cut --planned` is possible
    Announce {
        /// The tenant's id
        tenant: TenantId,
        /// Why: the customer reads this in the notice
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Call it off: the customer is told
    CallOff {
        /// The tenant's id
        tenant: TenantId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Announces and calls off.
pub(crate) fn notice(verb: &CutNoticeVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let (tenant, part, reason) = match verb {
        CutNoticeVerb::Announce { tenant, reason } => (tenant, "cut/announcement", reason),
        CutNoticeVerb::CallOff { tenant, reason } => (tenant, "cut/announcement/end", reason),
    };
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/{part}"), &json!({ "reason": reason }))?)
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
    let kind = if args.planned { "planned" } else { "emergency" };
    let body = json!({ "kind": kind, "reason": args.reason });
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
