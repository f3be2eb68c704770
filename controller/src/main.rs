//! `tenure-controller`: the command line in front of the controller.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use tenure_controller::{
    assembly::{self, Controller},
    clock::Clock,
    config::{self, Config},
    core::{lifecycle::Role, rules},
    state, telemetry,
};
use tenure_protocol::time::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the life of tenants on a government cloud.
#[derive(Debug, Parser)]
#[command(name = "tenure-controller", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make keys, certificate authority, anchors and the first two persons' tokens, once
    Init {
        /// The directory to make them in
        #[arg(long, value_name = "DIR", required_unless_present = "config")]
        state_dir: Option<PathBuf>,
        /// The configuration that names the directory
        #[arg(long, value_name = "FILE", conflicts_with = "state_dir")]
        config: Option<PathBuf>,
        /// Name of the ledger in its checkpoints; it never changes
        #[arg(long, value_name = "NAME", default_value = "tenure.internal/ledger")]
        ledger_name: String,
    },
    /// Make a token while the controller is stopped, when nobody can come in or confirm who may
    Token {
        /// The controller's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What the person may do
        #[arg(long, value_enum, default_value_t = First::Administrator)]
        role: First,
        /// The person whose token it is; the role's name if left out
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
        /// Write it to this new file, mode 0600
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the shipped legal rules, or check a changed copy of them
    Rules {
        /// The copy to check
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Run the controller
    Run {
        /// Its configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// DEMONSTRATIONS ONLY: legal time starts at this instant (or now) and can be moved forward
        /// over the API. Deadlines of a real tenant would be worth nothing
        #[arg(long, value_name = "INSTANT", num_args = 0..=1)]
        demo_clock: Option<Option<Timestamp>>,
    },
}

/// Who makes accounts, and who confirms them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum First {
    Administrator,
    Security,
}

impl First {
    const fn role(self) -> Role {
        match self {
            Self::Administrator => Role::Administrator,
            Self::Security => Role::Security,
        }
    }
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenure-controller: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// The whole chain of causes, each once.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    text
}

fn start(cli: Cli) -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        bail!("another TLS provider is installed already");
    }
    // The database and the ledger are nobody else's.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.verb {
        Verb::Init { state_dir, config, ledger_name } => {
            let path = match (state_dir, config) {
                (Some(path), _) => path,
                (None, Some(file)) => Config::load(&file)?.state_dir,
                (None, None) => bail!("give --state-dir or --config"),
            };
            runtime.block_on(assembly::init(&path, &ledger_name, Clock::system()))?;
            let path = path.display();
            println!("made {path}");
            println!("  {path}/{}: give it to everybody who calls the API", state::CA);
            println!("  {path}/{}: give it to everybody who verifies evidence", state::ANCHORS);
            println!("  {path}/{}: the first administrator's token", state::ADMINISTRATOR_TOKEN);
            println!("  {path}/{}: that of another person, who confirms", state::SECURITY_TOKEN);
            println!("      what the administrator makes: nobody comes in by one person's word");
            println!("  {path}/ca.key: needed for a new intermediate alone; keep it offline");
            Ok(())
        }
        Verb::Token { config, role, owner, out } => {
            let config = Config::load(&config)?;
            let role = role.role();
            let owner = owner.as_deref().unwrap_or(role.as_str());
            let first = (owner, role);
            runtime.block_on(assembly::recover(&config, first, &out, Clock::system()))?;
            println!(
                "written to {}: it lives 30 days; make, or confirm, an account with it",
                out.display()
            );
            Ok(())
        }
        Verb::Rules { file: None } => {
            print!("{}", rules::SHIPPED);
            Ok(())
        }
        Verb::Rules { file: Some(file) } => {
            let rules = config::read_rules(&file).map_err(anyhow::Error::msg)?;
            let (edition, digest) = (rules.edition(), rules.digest());
            println!("{} is usable: edition {edition}, SHA-256 {digest}", file.display());
            Ok(())
        }
        Verb::Run { config, demo_clock } => {
            let config = Config::load(&config)?;
            telemetry::start(config.log.format, &config.log.filter)?;
            runtime.block_on(run(&config, demo_clock))
        }
    }
}

async fn run(config: &Config, demo_clock: Option<Option<Timestamp>>) -> anyhow::Result<()> {
    let clock = match demo_clock {
        None => Clock::system(),
        Some(start) => {
            tracing::warn!("DEMO CLOCK: legal time is not real; no deadline of this run is lawful");
            let clock = Clock::staged();
            if let Some(start) = start {
                clock.set_legal(start);
            }
            clock
        }
    };
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut controller = Controller::start(config, clock).await?;
    let broken = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        part = controller.broken() => Some(part),
    };
    controller.stop().await;
    match broken {
        None => Ok(()),
        Some(part) => bail!("{part} ended by itself; see the log"),
    }
}
