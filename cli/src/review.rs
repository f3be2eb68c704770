//! `tenurectl review`: a reviewer decides on an application.

use clap::{Args, Subcommand};
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::Screen,
    wait::{self, WaitArgs},
};

/// The opinions that a review can end in.
#[derive(Debug, Subcommand)]
pub(crate) enum ReviewVerb {
    /// Grant it: hosts are chosen and configured at once, or as soon as there is room
    Approve {
        #[command(flatten)]
        opinion: OpinionArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Refuse it for good
    Reject {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Send it back for correction
    Return {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Record that the review (of an application, reports, or a leaving) waits for a third party:
    /// the provider's clock stands still, and gross time stays on record
    Suspend {
        /// The tenant's id
        tenant: TenantId,
        /// For whom and for what
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// The third party has answered: the clock goes on
    Resume {
        /// The tenant's id
        tenant: TenantId,
    },
}

/// On which tenant, and why: kept in the journal.
#[derive(Debug, Args)]
pub(crate) struct OpinionArgs {
    /// The tenant's id
    pub(crate) tenant: TenantId,
    /// The reviewer's opinion, in words
    #[arg(long, value_name = "TEXT")]
    pub(crate) opinion: String,
    /// Only if the tenant is still at this version, as `tenant show` has it; whichever it is at
    /// otherwise
    #[arg(long, value_name = "NUMBER")]
    pub(crate) version: Option<u64>,
}

impl OpinionArgs {
    /// POSTs the decision to the tenant's `part` of the API and shows the answer.
    pub(crate) fn decide(
        &self,
        decision: &str,
        part: &str,
        api: &Api,
        screen: &Screen,
    ) -> Result<(), Failure> {
        screen.one(&self.send(decision, part, api)?)
    }

    fn send(&self, decision: &str, part: &str, api: &Api) -> Result<serde_json::Value, Failure> {
        let body = json!({ "decision": decision, "opinion": self.opinion });
        api.post_about(self.version, &format!("/v1/tenants/{}/{part}", self.tenant), &body)
    }
}

/// Runs it.
pub(crate) fn run(verb: ReviewVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        ReviewVerb::Approve { opinion, wait } => {
            let view = opinion.send("approve", "review", api)?;
            if !wait.wait {
                return screen.one(&view);
            }
            let bad = &["configuration-failed", "rejected"];
            let tenant = opinion.tenant;
            screen.one(&wait::phase(api, screen, &wait, tenant, wait::CONFIGURED, bad)?)
        }
        ReviewVerb::Reject { opinion } => opinion.decide("reject", "review", api, screen),
        ReviewVerb::Suspend { tenant, reason } => {
            let body = json!({ "reason": reason });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/review/suspension"), &body)?)
        }
        ReviewVerb::Resume { tenant } => {
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/review/resumption"), &json!({}))?)
        }
        ReviewVerb::Return { opinion } => opinion.decide("return", "review", api, screen),
    }
}
