//! `tenurectl host`: the fleet, and how a host is taken in.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

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
}

const HOSTS: &[Column] = &[
    column("HOST", &["/id"]),
    column("NAME", &["/name"]),
    column("ADMISSION", &["/admission/state", "/admission"]),
    column("UP", &["/up"]),
    column("SEEN", &["/seen_at"]),
    column("AGENT", &["/agent_version"]),
    column("CPUS", &["/facts/cpus"]),
    column("ACCELERATOR", &["/facts/accelerator"]),
    column("INSTANCES", &["/instances"]),
];

/// Runs it.
pub(crate) fn run(verb: HostVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        HostVerb::List => screen.many(&api.get("/v1/hosts")?, HOSTS),
        HostVerb::Token { host_name, out } => {
            let file = out.as_deref().map(SecretFile::create).transpose()?;
            let answer = api.post("/v1/hosts/tokens", &json!({ "host_name": host_name }))?;
            hand_over(&answer, "token", file, screen)
        }
    }
}
