//! tenure-hostd: the privileged side of the agent. No network: a unix socket is its only way out.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock, mpsc::SyncSender},
    thread,
};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use tenure_agent::{
    alarm::Alarms,
    clock::{self, Clock},
    config::{self, HostdConfig},
    core::sanitize::Wanted,
    engine::{Engine, EngineFailure, Identity, Parts, reserve::Reserve, watch},
    host::{nft, observe, preflight, real::RealHost, tap},
    join,
    journal::Journal,
    operator, sanitize,
    sign::HostKey,
    socket, telemetry,
};
use tenure_protocol::{
    evidence::predicate::WipeResult,
    wire::v1::{Hello, Lane},
};

/// The privileged side of the Tenure agent.
#[derive(Debug, Parser)]
#[command(name = "tenure-hostd", version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, global = true, default_value = "/etc/tenure/hostd.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Join this host to a controller, with a token from `tenurectl host token`. No network is
    /// used.
    Join {
        /// File that holds the token; the token itself is never an argument.
        #[arg(long)]
        token_file: PathBuf,
    },
    /// Check that this host fits, and start nothing.
    Check,
    /// Have a disk that leaves service erase itself, all of it, and state what was seen, signed.
    /// For root; a tenure-hostd that runs may go on. Refused if anything uses the disk.
    Sanitize(SanitizeArgs),
}

#[derive(Debug, Args)]
struct SanitizeArgs {
    /// The whole disk, such as /dev/nvme1n1. Every namespace of its controller is destroyed.
    #[arg(long)]
    device: PathBuf,
    /// Its serial number, as it stands on the disk or in your inventory.
    #[arg(long)]
    serial: String,
    /// How: auto takes the best that the disk has, else one of nvme-sanitize-block,
    /// nvme-sanitize-crypto, nvme-sanitize-overwrite, nvme-format-crypto, nvme-format-user-data,
    /// ata-secure-erase-enhanced, ata-secure-erase, scsi-sanitize-block, scsi-sanitize-crypto,
    /// scsi-sanitize-overwrite.
    #[arg(long, default_value = "auto")]
    method: Wanted,
    /// Who you are.
    #[arg(long)]
    by: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// The serial number again: without it nothing is sent, and what would be destroyed is shown.
    #[arg(long, value_name = "SERIAL")]
    yes_destroy: Option<String>,
    /// You have looked at the other ports of a disk whose flash other controllers may reach:
    /// nothing of others is on it. Without this such a disk is refused.
    #[arg(long)]
    shared_is_ours: bool,
    /// Also write the signed statement to this file.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tenure-hostd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what was asked is done.
fn start() -> Result<bool> {
    let arguments = Arguments::parse();
    let config: HostdConfig = config::load(&arguments.config)?;
    telemetry::start(&config.log, config.log_format)?;
    match arguments.command {
        Some(Command::Join { token_file }) => {
            let pins = join::join(&config, &token_file, clock::now())?;
            println!("joined as {}; start tenure-hostd and tenure-agent", pins.host_name);
            Ok(true)
        }
        Some(Command::Check) => {
            preflight::check(&config)?;
            println!("this host fits");
            if let Err(error) = nft::probe_seal() {
                println!("but cuts have no second stage on it: {:#}", anyhow::Error::from(error));
            }
            Ok(true)
        }
        Some(Command::Sanitize(arguments)) => erase(&config, arguments),
        None => run(&config).map(|()| true),
    }
}

fn erase(config: &HostdConfig, arguments: SanitizeArgs) -> Result<bool> {
    let request = sanitize::Request {
        device: arguments.device,
        serial: arguments.serial,
        wanted: arguments.method,
        by: arguments.by,
        reason: arguments.reason,
        confirmed: arguments.yes_destroy,
        shared_is_ours: arguments.shared_is_ours,
        output: arguments.output,
    };
    // A terminal that is gone is no reason to end.
    let mut tell = |line: &str| drop(writeln!(io::stdout(), "{line}"));
    match sanitize::sanitize(config, &request, &mut tell)? {
        sanitize::Outcome::NotConfirmed => Ok(false),
        sanitize::Outcome::Stated { conclusion, path } => {
            tell(&format!("result   {}", word(&conclusion.result)));
            tell(&format!("category {} ({})", word(&conclusion.category), conclusion.basis));
            tell(&format!("stated   {}", path.display()));
            Ok(matches!(conclusion.result, WipeResult::Pass | WipeResult::PassWithExceptions))
        }
    }
}

/// A word as statements write it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn run(config: &HostdConfig) -> Result<()> {
    let pins = join::load(&config.state_dir)?;
    preflight::isolation(config)?;
    let pins_path = join::pins_path(&config.state_dir);
    let host_id = join::load_host_id(&config.state_dir)?;
    let identity = Arc::new(Identity {
        host: host_id.map_or_else(OnceLock::new, OnceLock::from),
        key: HostKey::load(&join::key_path(&config.state_dir))?,
        order_key: pins.order_key(&pins_path)?,
        ledger_key: pins.ledger_key.parse().context("the pinned ledger key cannot be used")?,
        agent: observe::agent_identity()?,
    });
    let cut_journal = Journal::open(&config.state_dir.join("cut.redb"))?;
    let work_journal = Journal::open(&config.state_dir.join("work.redb"))?;
    let host = Arc::new(RealHost::open(config)?);
    let filter = nft::Monitor::open(host.changes())?;
    let devices = tap::Monitor::open()?;
    let alarms = Arc::new(Alarms::open(&config.state_dir.join("alarms")));
    let packets = config.state_dir.join("packets");
    let reserve = Arc::new(Reserve::default());
    let (who, clock, ids) = (Arc::clone(&identity), Clock::default(), Arc::clone(&reserve));
    let watch = watch::start(&packets, who, clock, ids)?;
    // The cuts come first: all else that may fail or take its time is asked afterwards.
    let parts = Parts {
        host: Arc::clone(&host),
        cut_journal,
        work_journal,
        watch: watch.clone(),
        reserve,
        identity: Arc::clone(&identity),
        clock: Clock::default(),
        alarms: Arc::clone(&alarms),
    };
    let engine = Engine::start_after(parts, || preflight::machines(config))?;
    listen("filter monitor", engine.nudge(), filter, nft::Monitor::wait)?;
    listen("device monitor", engine.nudge(), devices, tap::Monitor::wait)?;
    let accelerator = host.accelerator()?;
    let ram = &config.ram_dir;
    let volumes = (config.volume_dir.as_path(), config.volume_devices.as_slice());
    let kernel = &identity.agent.kernel;
    let hello = Hello {
        agent_version: identity.agent.version.clone(),
        boot_id: identity.agent.boot_id.clone(),
        facts: observe::facts(ram, volumes, accelerator, kernel)?,
    };
    let desk = Arc::new(socket::Desk {
        cut: engine.inbox(Lane::Cut),
        work: engine.inbox(Lane::Work),
        watch,
        identity,
        hello,
        view: engine.view(),
        alarms,
        root: pins.ca_der,
        state_dir: config.state_dir.clone(),
        cutting: Mutex::new(None),
    });
    let listener = socket::listen(&config.socket(), config.agent_gid)?;
    let allowed = [config.agent_uid];
    thread::Builder::new().name("listener".to_owned()).spawn(move || {
        let error = socket::serve(&listener, &allowed, &desk);
        tracing::error!(%error, "the socket failed");
        std::process::exit(1);
    })?;
    open_to_operators(config, &engine)?;
    let socket = config.socket();
    tracing::info!(host = pins.host_name, socket = %socket.display(), "tenure-hostd is up");
    match engine.wait() {
        EngineFailure::Stopped => Ok(()),
        failure => Err(failure.into()),
    }
}

/// Operators' own socket.
fn open_to_operators(config: &HostdConfig, engine: &Engine) -> Result<()> {
    let listener = operator::listen(&config.operator_socket(), config.operators_gid)?;
    let door = operator::Door {
        cut: engine.inbox(Lane::Cut),
        roster: engine.roster(),
        refused: [config.agent_uid, config.vmm_uid],
    };
    thread::Builder::new().name("operators".to_owned()).spawn(move || {
        let error = operator::serve(&listener, door);
        tracing::error!(%error, "the operators' socket failed");
        std::process::exit(1);
    })?;
    Ok(())
}

/// Nudges the engine whenever the kernel tells of a change.
fn listen<M: Send + 'static, E: std::error::Error + 'static>(
    name: &'static str,
    nudge: SyncSender<()>,
    mut monitor: M,
    wait: impl Fn(&mut M) -> Result<bool, E> + Send + 'static,
) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        loop {
            match wait(&mut monitor) {
                // One that waits already stands for this one too.
                Ok(true) => drop(nudge.try_send(())),
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, name, "no more notifications: ticks alone find drift");
                    return;
                }
            }
        }
    })?;
    Ok(())
}
