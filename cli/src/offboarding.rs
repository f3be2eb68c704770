//! `tenurectl offboarding`: a customer leaves, a reviewer agrees.

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
    wait::{self, WaitArgs},
};

/// The steps of leaving.
#[derive(Debug, Subcommand)]
pub(crate) enum OffboardingVerb {
    /// Ask to stop on a day, as early as clause 6.1 wants it (customer)
    Request {
        /// The tenant's id
        tenant: TenantId,
        /// The day on which the instances stop, such as 2026-10-20 (Asia/Shanghai)
        #[arg(long, value_name = "DATE", value_parser = day)]
        stop_day: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// If the day is too early, ask the provider to waive the period of clause 6.1
        #[arg(long)]
        ask_waiver: bool,
    },
    /// Waive that period; it counts once two persons have (operator, security)
    Waive {
        /// The tenant's id
        tenant: TenantId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Record that the second notice was served otherwise, such as by registered letter; it counts
    /// once countersigned (operator)
    Served {
        /// The tenant's id
        tenant: TenantId,
        /// The day on which it reached the customer, as the proof has it, such as 2026-11-10
        #[arg(long, value_name = "DATE", value_parser = day)]
        served_on: String,
        /// The proof
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
    },
    /// Countersign, as a second person who has seen the proof, that the second notice was served:
    /// its grace begins (reviewer, security)
    Countersign {
        /// The tenant's id
        tenant: TenantId,
        /// Only if the tenant is still at this version, as `tenant show` has it; whichever it is at
        /// otherwise
        #[arg(long, value_name = "NUMBER")]
        version: Option<u64>,
    },
    /// Agree (reviewer)
    Approve {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Disagree: the tenant stays where it was (reviewer)
    Reject {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Declare that everything is migrated and backed up (customer): what remains will be destroyed
    Confirm {
        /// The tenant's id
        tenant: TenantId,
        /// The system and its data have been migrated
        #[arg(long, required = true)]
        migrated: bool,
        /// The data has been backed up
        #[arg(long, required = true)]
        backed_up: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Runs it.
pub(crate) fn run(verb: OffboardingVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        OffboardingVerb::Request { tenant, stop_day, reason, ask_waiver } => {
            let body = json!({
                "stop_day": stop_day, "reason": reason, "ask_waiver": ask_waiver,
            });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/offboarding"), &body)?)
        }
        OffboardingVerb::Waive { tenant, reason } => {
            let body = json!({ "reason": reason });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/offboarding/waivers"), &body)?)
        }
        OffboardingVerb::Served { tenant, served_on, document } => {
            let document = upload(Owner::Tenant(tenant), &document, api)?;
            let body = json!({ "served_on": served_on, "document": document });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/offboarding/service"), &body)?)
        }
        OffboardingVerb::Countersign { tenant, version } => {
            let path = format!("/v1/tenants/{tenant}/offboarding/countersignatures");
            screen.one(&api.post_about(version, &path, &json!({}))?)
        }
        OffboardingVerb::Approve { opinion } => {
            opinion.decide("approve", "offboarding/review", api, screen)
        }
        OffboardingVerb::Reject { opinion } => {
            opinion.decide("reject", "offboarding/review", api, screen)
        }
        OffboardingVerb::Confirm { tenant, migrated, backed_up, wait } => {
            let body = json!({ "migrated": migrated, "backed_up": backed_up });
            let answer = api.post(&format!("/v1/tenants/{tenant}/offboarding/confirm"), &body)?;
            if !wait.wait {
                return screen.one(&answer);
            }
            let good = &["stopped", "wiping", "wipe-verified", "closed"];
            screen.one(&wait::phase(api, screen, &wait, tenant, good, &["wipe-failed"])?)
        }
    }
}

/// The shape of a date; whether there is such a day, and whether it will do, the controller says.
pub(crate) fn day(text: &str) -> Result<String, String> {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if shaped { Ok(text.to_owned()) } else { Err("give a day such as 2026-10-20".to_owned()) }
}
