//! `tenurectl drill`: the emergency cut rehearsed for real, and its report; `tenurectl canary`: on
//! which tenants.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Format, Screen, cell, column},
    wait::{self, Standing, WaitArgs},
};

/// What is done about drills.
#[derive(Debug, Subcommand)]
pub(crate) enum DrillVerb {
    /// Cut a canary for real, as in an emergency; it is restored by itself (operator)
    Run(RunArgs),
    /// The reports of its drills: how long each step took, and whether within its limit
    Show {
        /// The tenant's id
        tenant: TenantId,
    },
}

/// A drill.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Why: whoever is told reads this in the notice
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Which tenants may be drilled.
#[derive(Debug, Subcommand)]
pub(crate) enum CanaryVerb {
    /// Propose that a tenant exists for drills, and nobody is harmed if it is cut (operator,
    /// security)
    Propose {
        /// The tenant's id
        tenant: TenantId,
        /// Why nobody is harmed
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Confirm it, as another person than who proposed it (operator, security)
    Confirm {
        /// The tenant's id
        tenant: TenantId,
        /// Only if the tenant is still at this version, as `drill show` has it; whichever it is at
        /// if left out
        #[arg(long)]
        version: Option<u64>,
    },
    /// Withdraw it, in force or proposed: the tenant is drilled no more (operator, security)
    Withdraw {
        /// The tenant's id
        tenant: TenantId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

const STEPS: &[Column] = &[
    column("DRILL", &["/number"]),
    column("STEP", &["/step"]),
    column("CHANNEL", &["/channel"]),
    column("AT", &["/at"]),
    column("MS", &["/after_ms"]),
    column("LIMIT", &["/limit_ms"]),
    column("RESULT", &["/result"]),
    column("BY", &["/ordered_by"]),
];

/// Orders a drill, or shows how they went.
pub(crate) fn run(verb: DrillVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        DrillVerb::Run(args) => order(&args, api, screen),
        DrillVerb::Show { tenant } => show(&api.get(&path(tenant))?, screen),
    }
}

/// Says which tenants may be drilled.
pub(crate) fn canary(verb: CanaryVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let of = |tenant: TenantId| format!("/v1/tenants/{tenant}/canary");
    let answer = match verb {
        CanaryVerb::Propose { tenant, reason } => {
            api.post(&of(tenant), &json!({ "reason": reason }))?
        }
        CanaryVerb::Confirm { tenant, version } => {
            api.post_about(version, &format!("{}/confirmation", of(tenant)), &json!({}))?
        }
        CanaryVerb::Withdraw { tenant, reason } => {
            api.post(&format!("{}/withdrawal", of(tenant)), &json!({ "reason": reason }))?
        }
    };
    screen.one(&answer)
}

fn path(tenant: TenantId) -> String {
    format!("/v1/tenants/{tenant}/drills")
}

fn order(args: &RunArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let RunArgs { tenant, reason, wait } = args;
    let ordered = api.post(&format!("/v1/tenants/{tenant}/drill"), &json!({ "reason": reason }))?;
    if !wait.wait {
        return screen.one(&ordered);
    }
    let this = |all: &Value| {
        let drills = all["drills"].as_array().into_iter().flatten();
        drills.rev().find(|drill| drill["cut"] == ordered["cut"]).cloned().unwrap_or_default()
    };
    let all = wait::until(api, screen, wait, &path(*tenant), None, |all| {
        match cell(&this(all), &["/verdict"]).as_str() {
            "passed" | "failed" => Standing::Reached,
            other => Standing::UnderWay(other.to_owned()),
        }
    })?;
    let drill = this(&all);
    show(&json!({ "drills": [drill] }), screen)?;
    if drill["verdict"] == "passed" {
        return Ok(());
    }
    let number = cell(&drill, &["/number"]);
    Err(Failure::Ended(screen.fill("the drill #{} has failed: see each step", &[&number])))
}

/// A line for each step of each drill.
fn show(all: &Value, screen: &Screen) -> Result<(), Failure> {
    if screen.format() == Format::Json {
        return screen.json(all);
    }
    let mut lines = Vec::new();
    for drill in all["drills"].as_array().into_iter().flatten() {
        let known = |name: &str| drill[name].clone();
        let mut lay = |step: &Value| {
            let mut line = step.clone();
            line["number"] = known("number");
            line["ordered_by"] = known("ordered_by");
            lines.push(line);
        };
        lay(&json!({ "step": "received", "at": drill["received_at"] }));
        drill["steps"].as_array().into_iter().flatten().for_each(&mut lay);
        lay(&json!({ "step": "drill", "result": drill["verdict"] }));
    }
    screen.many(&Value::Array(lines), STEPS)
}
