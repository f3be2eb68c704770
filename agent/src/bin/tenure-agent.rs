//! tenure-agent: the network side of the agent. No privileges: start it as its own user.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::Parser;
use tenure_agent::{
    config::{self, AgentConfig},
    join::{self, Invitation},
    link::{Link, courier},
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

/// The network side of the Tenure agent.
#[derive(Debug, Parser)]
#[command(name = "tenure-agent", version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, default_value = "/etc/tenure/agent.toml")]
    config: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenure-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<()> {
    let arguments = Arguments::parse();
    let config: AgentConfig = config::load(&arguments.config)?;
    telemetry::start(&config.log, config.log_format)?;
    if nix::unistd::geteuid().is_root() {
        bail!("tenure-agent must not run as root: start it as its own user (agent_uid)");
    }
    let path = join::invitation_path(&config.state_dir);
    if !path.exists() {
        return Err(join::JoinFailure::NotJoined.into());
    }
    let invitation: Invitation = config::load(&path)?;
    let courier = courier::run(config.socket.clone());
    let link = Link { state_dir: config.state_dir, socket: config.socket, invitation };
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = link.run() => {}
        () = courier => {}
        _ = terminate.recv() => tracing::info!("asked to end"),
        _ = tokio::signal::ctrl_c() => tracing::info!("asked to end"),
    }
    Ok(())
}
