//! tenure-agent: the network side of the agent. No privileges: start it as its own user. With a
//! verb it is the client by which this host's operators reach tenure-hostd, and stays no longer.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use tenure_agent::{
    config::{self, AgentConfig},
    join::{self, Invitation},
    link::{Link, courier},
    operator::{OperatorAsk, account, client},
    precedence, telemetry,
};
use tenure_protocol::{evidence::predicate::network_cut::Direction, id::TenantId};
use tokio::signal::unix::{SignalKind, signal};

/// The network side of the Tenure agent.
#[derive(Debug, Parser)]
#[command(name = "tenure-agent", version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, global = true, default_value = "/etc/tenure/agent.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What this host's operators do themselves, with no controller. Exit codes: 0 done, 1 refused or
/// not in force, 2 wrong use, 4 no tenure-hostd.
#[derive(Debug, Subcommand)]
enum Command {
    /// Cut a tenant's network on this host at once. It is journalled, measured and signed as a cut
    /// of the controller is, and reported to the controller when that is back, which then cuts the
    /// tenant's other hosts. The host tells the customer, if it keeps the notices: the answer says
    /// so.
    Cut(Act),
    /// End a cut that was ordered on this host, as long as no order of the controller has taken it
    /// over.
    Restore(Act),
    /// The tenants on this host: mark, whether they are cut, by whom and why, and who would tell
    /// the customer.
    Status,
}

#[derive(Debug, Args)]
struct Act {
    /// The tenant's id, as `status` lists it.
    #[arg(long)]
    tenant: TenantId,
    /// Why: it stands in the evidence, and the customer reads it.
    #[arg(long)]
    reason: String,
    /// Who you are, if your login does not say: whoever came in as root has to.
    #[arg(long)]
    by: Option<String>,
}

/// No answer from tenure-hostd: what was asked may have been done.
const NO_HOSTD: u8 = 4;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(command) => operate(&arguments.config, command),
        None => run(&arguments.config).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("tenure-agent: {error:#}");
        if error.is::<client::ClientFailure>() {
            ExitCode::from(NO_HOSTD)
        } else {
            ExitCode::FAILURE
        }
    })
}

/// One question of an operator.
fn operate(config: &Path, command: Command) -> Result<ExitCode> {
    let config: AgentConfig = config::load(config)?;
    let act =
        |direction, Act { tenant, reason, by }| OperatorAsk::Act { tenant, direction, reason, by };
    let ask = match command {
        Command::Cut(given) => act(Direction::Cut, given),
        Command::Restore(given) => act(Direction::Restore, given),
        Command::Status => OperatorAsk::Status,
    };
    let (lines, done) = account::of(&client::ask(&config.operator_socket, &ask)?);
    for line in lines {
        println!("{line}");
    }
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::main(flavor = "current_thread")]
async fn run(config: &Path) -> Result<()> {
    let config: AgentConfig = config::load(config)?;
    telemetry::start(&config.log, config.log_format)?;
    if nix::unistd::geteuid().is_root() {
        bail!("tenure-agent must not run as root: start it as its own user (agent_uid)");
    }
    precedence::take();
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
