//! `tenurectl host`: the fleet, and how a host is taken in.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenure_protocol::id::HostId;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, column},
    token::{SecretFile, hand_over},
};

/// What can be done with hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum HostVerb {
    /// All hosts
    List,
    /// Make a join token for a new host (administrator); it works once
    Token {
        /// The host's name
        host_name: String,
        /// Write the token to this new file, mode 0600, instead of stdout
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Block a host at once (administrator, security): its session ends, it gets no orders, and
    /// nothing that it says is believed
    ///
    /// Orders to it wait. To cut or stop what runs on it, somebody has to go to the host.
    Block(BlockArgs),
    /// Let a blocked host in again (administrator, security)
    Unblock(BlockArgs),
    /// What a host found on itself that was not as it should be: its packet filter changed by
    /// somebody else, a cut that was not in force, a device that is missing; floods, a saturated
    /// disk and taken processors, with their figures
    Alarms {
        /// The host's name or id
        host: String,
    },
    /// End an alarm that stands (operator, security): it leaves the duty desk, and comes again only
    /// if its host finds another thing, or finds it anew
    EndAlarm {
        /// The host's name or id
        host: String,
        /// The alarm's number
        number: u64,
        /// What was found and done: it stands in the journal
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// What happened to the platform: hosts, accounts, tokens, calendar (administrator, security,
    /// auditor)
    Journal,
}

/// Which host, and why.
#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    /// The host's name or id
    host: String,
    /// Why: it stands in the journal, and in the list of hosts
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

const HOSTS: &[Column] = &[
    column("HOST", &["/id"]),
    column("NAME", &["/name"]),
    column("ADMISSION", &["/admission"]),
    column("UP", &["/up"]),
    column("SEEN", &["/seen_at"]),
    column("AGENT", &["/agent_version"]),
    column("CPUS", &["/facts/cpus"]),
    column("ACCELERATOR", &["/facts/accelerator"]),
    column("INSTANCES", &["/instances"]),
    column("BLOCKED", &["/blocked/reason"]),
];

const ALARMS: &[Column] = &[
    column("ALARM", &["/sequence"]),
    column("AT", &["/at"]),
    column("KIND", &["/kind"]),
    column("ABOUT", &["/subject"]),
    column("TENANT", &["/tenant"]),
    column("CULPRIT", &["/culprit/command"]),
    column("PID", &["/culprit/pid"]),
    column("REPAIRED", &["/repaired"]),
    column("OPEN", &["/standing"]),
    column("RATE", &["/figures/rate"]),
    column("THRESHOLD", &["/figures/threshold"]),
    column("WINDOW", &["/figures/window_ms"]),
    column("WHAT", &["/what"]),
    column("DROPPED", &["/dropped"]),
];

const ACTS: &[Column] = &[
    column("SEQ", &["/seq"]),
    column("AT", &["/at"]),
    column("ACT", &["/kind"]),
    column("HOST", &["/host"]),
    column("BY", &["/actor/name"]),
    column("LEDGER", &["/ledger_index"]),
];

/// Runs it.
pub(crate) fn run(verb: HostVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        HostVerb::List => screen.many(&api.list("/v1/hosts")?, HOSTS),
        HostVerb::Token { host_name, out } => {
            let file = out.as_deref().map(SecretFile::create).transpose()?;
            let answer = api.post("/v1/hosts/tokens", &json!({ "host_name": host_name }))?;
            hand_over(&answer, "token", file, screen)
        }
        HostVerb::Block(args) => admit(&args, "block", api, screen),
        HostVerb::Unblock(args) => admit(&args, "unblock", api, screen),
        HostVerb::Alarms { host } => {
            let id = find(&host, api)?;
            screen.many(&api.list(&format!("/v1/hosts/{id}/alarms"))?, ALARMS)
        }
        HostVerb::EndAlarm { host, number, reason } => {
            let path = format!("/v1/hosts/{}/alarms/{number}/end", find(&host, api)?);
            screen.one(&api.post(&path, &json!({ "reason": reason }))?)
        }
        HostVerb::Journal => screen.many(&api.get("/v1/platform/journal")?, ACTS),
    }
}

fn admit(args: &BlockArgs, act: &str, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let id = find(&args.host, api)?;
    screen.one(&api.post(&format!("/v1/hosts/{id}/{act}"), &json!({ "reason": args.reason }))?)
}

fn find(given: &str, api: &Api) -> Result<HostId, Failure> {
    id_of(&api.list("/v1/hosts")?, given).ok_or_else(|| {
        Failure::Usage(format!("no host is called {given:?}: see tenurectl host list"))
    })
}

/// The id of the host of this name or id.
fn id_of(hosts: &Value, given: &str) -> Option<HostId> {
    let mut hosts = hosts.as_array()?.iter();
    let host = hosts.find(|host| host["name"] == given || host["id"] == given)?;
    host["id"].as_str()?.parse().ok()
}
