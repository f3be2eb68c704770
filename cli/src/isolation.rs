//! `tenurectl cut` and `tenurectl restore`: an operator's two acts on the traffic of a tenant, of
//! several, or of all that have instances on a host; and `tenurectl cut-notice`, what the customer
//! is told of them, and says.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenure_protocol::{id::TenantId, time::Timestamp};

use crate::{
    api::Api,
    failure::Failure,
    pause,
    screen::{Column, Screen, cell, column, rows},
    wait::{self, WaitArgs},
};

/// Whose traffic.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// The tenants' ids: one, or several in one act
    #[arg(value_name = "TENANT")]
    tenants: Vec<TenantId>,
    /// All tenants that have instances on this host (its name or id), wherever else they are
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

/// A cut.
#[derive(Debug, Args)]
pub(crate) struct CutArgs {
    #[command(flatten)]
    whose: Whose,
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
    #[command(flatten)]
    whose: Whose,
    /// Why the traffic may pass again
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What is asked for, and what it comes to.
struct Act {
    /// The operation on one tenant.
    one: &'static str,
    /// The operation on several.
    several: &'static str,
    /// The isolation that it comes to.
    good: &'static str,
    /// The isolation that says that it came to nothing.
    bad: &'static str,
}

const OUTCOMES: &[Column] = &[
    column("TENANT", &["/tenant"]),
    column("CUSTOMER", &["/customer"]),
    column("SYSTEM", &["/system"]),
    column("RESULT", &["/result"]),
    column("ISOLATION", &["/isolation/state"]),
    column("WHY", &["/why"]),
];

const ISOLATED: &[Column] = &[
    column("TENANT", &["/id"]),
    column("CUSTOMER", &["/customer"]),
    column("SYSTEM", &["/system"]),
    column("ISOLATION", &["/isolation/state"]),
    column("WHY", &["/reason"]),
];

/// Cuts.
pub(crate) fn cut(args: &CutArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let kind = if args.planned { "planned" } else { "emergency" };
    let body = json!({ "kind": kind, "reason": args.reason });
    let act = Act { one: "cut", several: "/v1/cuts", good: "cut", bad: "connected" };
    run(&act, &args.whose, body, &args.wait, (api, screen))
}

/// Restores.
pub(crate) fn restore(args: &RestoreArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let body = json!({ "reason": args.reason });
    let act = Act { one: "restore", several: "/v1/restores", good: "connected", bad: "cut" };
    run(&act, &args.whose, body, &args.wait, (api, screen))
}

fn run(
    act: &Act,
    whose: &Whose,
    mut body: Value,
    wait: &WaitArgs,
    (api, screen): (&Api, &Screen),
) -> Result<(), Failure> {
    if let ([tenant], None) = (whose.tenants.as_slice(), &whose.host) {
        let answer = api.post(&format!("/v1/tenants/{tenant}/{}", act.one), &body)?;
        if !wait.wait {
            return screen.one(&answer);
        }
        return screen.one(&wait::isolation(api, screen, wait, *tenant, act.good, act.bad)?);
    }
    match &whose.host {
        Some(host) => body["host"] = json!(host),
        None => body["tenants"] = json!(whose.tenants),
    }
    let answer = api.post(act.several, &body)?;
    let outcomes = rows(&answer);
    let is_refused = |outcome: &&Value| cell(outcome, &["/result"]) == "refused";
    let refused = outcomes.iter().filter(is_refused).count();
    let failed = if wait.wait {
        await_all(act, outcomes, wait, (api, screen))?
    } else {
        screen.many(&answer, OUTCOMES)?;
        0
    };
    if refused + failed == 0 {
        return Ok(());
    }
    let parts = [refused.to_string(), outcomes.len().to_string(), failed.to_string()];
    let parts = parts.each_ref().map(String::as_str);
    let sentence = screen.fill("{} of {} were refused, and {} ended otherwise: see each", &parts);
    Err(Failure::Ended(sentence))
}

/// Waits for each that was not refused, shows what they have come to, and says how many of them
/// have come to nothing.
fn await_all(
    act: &Act,
    outcomes: &[Value],
    wait: &WaitArgs,
    (api, screen): (&Api, &Screen),
) -> Result<usize, Failure> {
    let begun = pause::now();
    let (mut views, mut failed) = (Vec::new(), 0);
    for outcome in outcomes {
        let text = cell(outcome, &["/tenant"]);
        let tenant: TenantId = text.parse().map_err(|_| {
            Failure::Unreachable(format!("the controller's answer has no tenant's id: {text}"))
        })?;
        if cell(outcome, &["/result"]) != "refused" {
            // One limit for all of them.
            let waited = pause::now().duration_since(begun).as_secs();
            let wait = WaitArgs { wait_limit: wait.wait_limit.saturating_sub(waited), ..*wait };
            match wait::isolation(api, screen, &wait, tenant, act.good, act.bad) {
                Ok(_) => {}
                Err(Failure::Ended(why)) => {
                    failed += 1;
                    screen.tell(format!("{tenant}: {why}"));
                }
                Err(failure) => return Err(failure),
            }
        }
        views.push(api.get(&format!("/v1/tenants/{tenant}"))?);
    }
    screen.many(&json!(views), ISOLATED)?;
    Ok(failed)
}
