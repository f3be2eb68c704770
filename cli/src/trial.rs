//! `tenurectl trial`: a major system's trial is extended, after an assessment by experts.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    attachment::{Owner, upload},
    failure::Failure,
    review::OpinionArgs,
    screen::Screen,
};

/// What is done about the length of a trial.
#[derive(Debug, Subcommand)]
pub(crate) enum TrialVerb {
    /// Ask for more days, as many as clause 5.3 allows; only for a major system (customer)
    Extend {
        /// The tenant's id
        tenant: TenantId,
        /// Days, counted from the trial's end before it was moved off Rest days
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Decide on it, before the trial's last day is over (reviewer)
    Decide {
        #[command(subcommand)]
        decision: ExtensionVerb,
    },
}

/// The decisions on a longer trial.
#[derive(Debug, Subcommand)]
pub(crate) enum ExtensionVerb {
    /// Grant it: two or more experts have assessed it
    Approve {
        #[command(flatten)]
        opinion: OpinionArgs,
        /// An expert and what that person said, such as "Wu: migration needs three more weeks"; two
        /// or more
        #[arg(long = "expert", value_name = "NAME: OPINION")]
        #[arg(value_parser = expert, required = true)]
        experts: Vec<(String, String)>,
        /// The record of the assessment
        #[arg(long, value_name = "FILE")]
        assessment: PathBuf,
    },
    /// Refuse it
    Reject {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
}

/// Runs it.
pub(crate) fn run(verb: TrialVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        TrialVerb::Extend { tenant, days, reason } => {
            let body = json!({ "days": days, "reason": reason });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/trial/extension"), &body)?)
        }
        TrialVerb::Decide { decision: ExtensionVerb::Reject { opinion } } => {
            opinion.decide("reject", "trial/extension/decision", api, screen)
        }
        TrialVerb::Decide { decision: ExtensionVerb::Approve { opinion, experts, assessment } } => {
            let experts: Vec<Value> = experts
                .into_iter()
                .map(|(name, opinion)| json!({ "name": name, "opinion": opinion }))
                .collect();
            let body = json!({
                "decision": "approve",
                "opinion": opinion.opinion,
                "experts": experts,
                "assessment": upload(Owner::Tenant(opinion.tenant), &assessment, api)?,
            });
            let path = format!("/v1/tenants/{}/trial/extension/decision", opinion.tenant);
            screen.one(&api.post_about(opinion.version, &path, &body)?)
        }
    }
}

fn expert(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, opinion)) if !name.trim().is_empty() && !opinion.trim().is_empty() => {
            Ok((name.trim().to_owned(), opinion.trim().to_owned()))
        }
        _ => Err("give NAME: OPINION, such as \"Wu: migration needs three more weeks\"".to_owned()),
    }
}
