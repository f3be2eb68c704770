//! `tenurectl cut` and `tenurectl restore`: an operator's two acts on a tenant's traffic; and
//! `tenurectl cut-notice`, what the customer is told of them, and says.

use clap::{Args, Subcommand};
use serde_json::json;
use tenure_protocol::{id::TenantId, time::Timestamp};

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
    /// Acknowledge that you know of a cut (customer): the duty to notify you ends with it
    Acknowledge {
        /// The tenant's id
        tenant: TenantId,
        /// The cut's number, as its notices have it; the planned cut if not given
        #[arg(long, value_name = "NUMBER")]
        cut: Option<u32>,
    },
    /// Record that you heard a person of the customer acknowledge a cut (operator)
    Heard(HeardArgs),
}

/// What was heard from a person of the customer.
#[derive(Debug, Args)]
pub(crate) struct HeardArgs {
    /// The tenant's id
    tenant: TenantId,
    /// The cut's number, as its notices have it; the planned cut if not given
    #[arg(long, value_name = "NUMBER")]
    cut: Option<u32>,
    /// Who acknowledged it
    #[arg(long, value_name = "NAME")]
    person: String,
    /// By what number, or otherwise
    #[arg(long, value_name = "NUMBER")]
    over: String,
    /// The words that you heard
    #[arg(long, value_name = "TEXT")]
    words: String,
    /// When, such as 2026-10-20T09:00:00Z; now if not given
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
}

/// Announces and calls off, and takes down who knows of it.
pub(crate) fn notice(verb: &CutNoticeVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let (tenant, part, body) = match verb {
        CutNoticeVerb::Announce { tenant, reason } => {
            (tenant, "announcement", json!({ "reason": reason }))
        }
        CutNoticeVerb::CallOff { tenant, reason } => {
            (tenant, "announcement/end", json!({ "reason": reason }))
        }
        CutNoticeVerb::Acknowledge { tenant, cut } => {
            (tenant, "acknowledgement", json!({ "cut": cut }))
        }
        CutNoticeVerb::Heard(HeardArgs { tenant, cut, person, over, words, at }) => {
            let body = json!({
                "cut": cut, "person": person, "over": over, "words": words, "at": at,
            });
            (tenant, "acknowledgement/heard", body)
        }
    };
    screen.one(&api.post(&format!("/v1/tenants/{tenant}/cut/{part}"), &body)?)
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
