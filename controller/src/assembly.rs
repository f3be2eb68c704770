//! The controller put together: state directory, ledger, store and engine, then the shells around
//! them. `main` is the command line in front of it; tests start it in their own process.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum_server::{Handle, tls_rustls::RustlsConfig};
use nix::fcntl::Flock;
use quinn::{Endpoint, VarInt};
use tenure_delivery::{
    Courier, TRY_LIMIT,
    bot::BotChannel,
    mail::{MailChannel, MailError},
    sms::Told,
    webhook::WebhookChannel,
};
use tenure_protocol::evidence::{anchors::Anchors, key::PublicKey};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{
    chance::Chance,
    clock::Clock,
    config::{Attachments, Config, ConfigError, Sms},
    core::{
        anomaly::SiteThresholds,
        fleet::Image,
        form::{FormError, Forms},
        group::Zones,
        lifecycle::Provider,
        quota::Quotas,
        rules::{Rules, RulesError},
        watch::Watching,
    },
    engine::{Engine, EngineError, Parts},
    files::{Files, FilesError},
    http::{
        self, App, Joining, Site,
        limit::CallLimits,
        policy::{Policy, PolicyError},
    },
    ledger::{Ledger, LedgerError},
    link::{self, Link, authority::Authority, listener, sessions::Closing, tls},
    notify::{self, Drain},
    secrets::{Secrets, SecretsError},
    state::{self, State, StateError},
    store::{Store, StoreError},
};

/// The ledger, in the state directory.
const LEDGER: &str = "ledger";
/// The bytes of attachments, in the state directory unless they are kept elsewhere.
const ATTACHMENTS: &str = "attachments";
/// The database, in the state directory.
const DATABASE: &str = "tenure.db";
/// How long open requests may take when the controller stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// What message centres say and nobody has kept yet, at most: they wait for it to be.
const TOLD: usize = 64;
/// How often deadlines are looked at, at least.
const TICK_MAX_MS: i64 = 1_000;
/// And at most.
const TICK_MIN_MS: i64 = 50;

mod first;

pub use first::{init, recover};

/// Why the controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The rules of this build.
    #[error("the rules of this build")]
    Rules(#[from] RulesError),
    /// The ledger.
    #[error("cannot open the ledger")]
    Ledger(#[from] LedgerError),
    /// The key of second factors.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The database.
    #[error("cannot open the database")]
    Store(#[from] StoreError),
    /// The database is gone.
    #[error(
        "the database {} is missing, and no new one is made in its place: put it back, or restore \
         it from the backup",
        path.display()
    )]
    NoDatabase {
        /// Where it is to be.
        path: PathBuf,
    },
    /// The store of attachments.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The shipped application form.
    #[error("the shipped application form is not usable")]
    Form(#[from] FormError),
    /// The engine.
    #[error("cannot start the engine")]
    Engine(#[from] EngineError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// A port of the link.
    #[error(transparent)]
    Listen(#[from] listener::ListenError),
    /// The API's port.
    #[error("cannot listen on TCP {address} (the API)")]
    Api {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The access policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// A controller that runs.
#[derive(Debug)]
pub struct Controller {
    engine: Engine,
    api: SocketAddr,
    http: Handle<SocketAddr>,
    command: Endpoint,
    enrolment: Endpoint,
    stop: watch::Sender<bool>,
    tasks: JoinSet<&'static str>,
    _lock: Flock<File>,
}

fn anchors(state: &State) -> Result<Anchors, StateError> {
    let key = state.keys.attestation.verifying_key();
    let key = PublicKey::from_bytes(key.as_bytes())
        .map_err(|_| StateError::MakeKey { name: state::ANCHORS })?;
    Ok(Anchors::new(state.ledger.clone(), key))
}

/// The state of a controller that `init` has made, its database included: an empty one in place of
/// one that was lost would know neither hosts nor tenants, and forget every cut.
fn opened(path: &Path) -> Result<State, StartError> {
    let state = state::open(path)?;
    let path = state.path.join(DATABASE);
    match std::fs::metadata(&path) {
        Ok(found) if found.len() > 0 => Ok(state),
        Ok(_) | Err(_) => Err(StartError::NoDatabase { path }),
    }
}

async fn engine(
    state: State,
    (images, zones, thresholds): (Vec<Image>, Zones, SiteThresholds),
    (attachments, quotas, watching): (Option<&Attachments>, Quotas, Watching),
    (rules, forms, provider): (Rules, Forms, Provider),
    clock: Clock,
) -> Result<(Engine, Flock<File>), StartError> {
    let ledger = Ledger::open(&state.path.join(LEDGER), state.ledger.name(), state.ledger_key)?;
    let chance = Chance::default();
    let secrets = Secrets::new(&state.access_key, chance.clone())?;
    let store = Store::open(&state.path.join(DATABASE)).await?;
    let files = match attachments {
        None => Files::local(&state.path.join(ATTACHMENTS), quotas.free_bytes)?,
        Some(Attachments { s3 }) => {
            let files = Files::s3(s3)?;
            let (swept, now) = (files.clone(), clock.now());
            tokio::spawn(async move {
                if let Err(error) = swept.sweep(now).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "uploads of before that broke off are still there");
                }
            });
            files
        }
    };
    let engine = Engine::open(Parts {
        store,
        ledger,
        files,
        keys: state.keys,
        secrets,
        clock,
        chance,
        images,
        zones,
        thresholds,
        rules,
        forms,
        provider,
        quotas,
        watching,
    })
    .await?;
    Ok((engine, state.lock))
}

fn warn_of_silence(config: &Config) {
    if config.provider.contact.is_empty() || config.provider.second_contact.is_empty() {
        tracing::warn!(
            "the provider has no contact or no second contact in [provider]: nobody of it is told \
             when a deadline is near or missed"
        );
    }
}

impl Controller {
    /// Opens everything and starts serving.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let (courier, told) = courier(config)?;
        let (rules, provider, watching) = (config.rules()?, config.provider()?, config.watching()?);
        warn_of_silence(config);
        let (providers, clients) = (config.providers()?, config.api.client_authorities()?);
        let state = opened(&config.state_dir)?;
        let authority = state.authority.clone();
        let certificate = tls::ServerCertificate::new(
            authority.clone(),
            config.server_names.clone(),
            clock.now(),
        )?;
        let tls_command = tls::command_port(&authority, certificate.clone())?;
        let tls_enrolment = tls::enrolment_port(certificate.clone())?;
        let command = listener::open(config.link.command, "command", tls_command, &state.reset)?;
        let enrolment =
            listener::open(config.link.enrolment, "enrolment", tls_enrolment, &state.reset)?;
        let (api_socket, api) = bind_api(config.api.listen)?;
        let site = Site {
            destinations: config.webhook.policy(),
            bots: config.bot.hosts.clone(),
            sms: config.sms.is_some(),
            receipts: config.sms.as_ref().and_then(Sms::receipts),
            joining: joining(config, &state, &authority, [&command, &enrolment]),
            anchors: serde_json::to_value(anchors(&state)?).unwrap_or_default(),
        };
        let tls_api = tls::http_port(certificate.clone(), clients)?;
        let texts = (rules, config.application.forms()?, provider);
        let kept = (config.attachments.as_ref(), config.quotas.clone(), watching);
        let known = (config.images.clone(), config.zones.clone(), config.anomaly);
        let (engine, lock) = engine(state, known, kept, texts, clock.clone()).await?;

        let limits = CallLimits::new(&config.api.rates);
        limits.recognise(engine.live_secrets().await?);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let app = App {
            engine: engine.clone(),
            site: Arc::new(site),
            policy: Arc::new(Policy::load()?),
            limits: Arc::new(limits),
            providers: Arc::new(providers),
            stop: stopping.clone(),
        };
        let http =
            serve_api(&mut tasks, api_socket, RustlsConfig::from_config(Arc::new(tls_api)), app);
        let link = Link::new(engine.clone(), authority, clock);
        let served = link::serve(Arc::new(link), command.clone(), enrolment.clone());
        tasks.spawn(async move {
            served.await;
            "the link"
        });
        tokio::spawn(notify::take_in(engine.clone(), told));
        spawn_engine(&mut tasks, &engine, courier, &stopping);
        let ticks = tick(engine.clone(), certificate, stopping);
        tasks.spawn(async move {
            ticks.await;
            "the wake-up of deadlines"
        });
        let addresses = [&command, &enrolment].map(|port| port.local_addr().ok());
        tracing::info!(%api, ?addresses, rules = engine.rules().edition(), "the controller is up");
        Ok(Self { engine, api, http, command, enrolment, stop, tasks, _lock: lock })
    }

    /// Where the API listens.
    #[must_use]
    pub const fn api(&self) -> SocketAddr {
        self.api
    }

    /// What decides and keeps.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where the enrolment port listens.
    #[must_use]
    pub fn enrolment(&self) -> Option<SocketAddr> {
        self.enrolment.local_addr().ok()
    }

    /// Where the command port listens.
    #[must_use]
    pub fn command(&self) -> Option<SocketAddr> {
        self.command.local_addr().ok()
    }

    /// Waits until a part has ended by itself, which none should, and says which.
    pub async fn broken(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(part)) => part,
            Some(Err(_)) | None => "a part",
        }
    }

    /// Stops: open requests may end, agents are told to connect again later.
    pub async fn stop(mut self) {
        tracing::info!("the controller stops");
        self.stop.send_replace(true);
        self.http.graceful_shutdown(Some(STOP_LIMIT));
        let (code, reason) = Closing::Stopping.wire();
        for port in [&self.command, &self.enrolment] {
            port.close(VarInt::from_u32(code), reason.as_bytes());
        }
        let ended = async {
            self.command.wait_idle().await;
            self.enrolment.wait_idle().await;
            while self.tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(2 * STOP_LIMIT, ended).await.is_err() {
            tracing::warn!("some parts did not end in time");
        }
    }
}

/// All channels, and what message centres say later.
fn courier(config: &Config) -> Result<(Courier, mpsc::Receiver<Told>), StartError> {
    let mail = config.mail_route()?.map(MailChannel::new).transpose()?;
    let (policy, roots) = (config.webhook.policy(), config.webhook.roots()?);
    let webhook = WebhookChannel::new(policy, &roots, TRY_LIMIT);
    let (keeper, told) = mpsc::channel(TOLD);
    let sms = config.sms.as_ref().map(|sms| sms.channel(keeper)).transpose()?;
    let bots = BotChannel::new(policy, config.bot.hosts.clone(), &roots);
    Ok((Courier::new(mail, webhook).with_sms(sms).with_bots(bots), told))
}

/// What the engine does by itself, besides its ticks.
fn spawn_engine(
    tasks: &mut JoinSet<&'static str>,
    engine: &Engine,
    courier: Courier,
    stopping: &watch::Receiver<bool>,
) {
    let drain = Drain::new(engine.clone(), courier).run(stopping.clone());
    tasks.spawn(async move {
        drain.await;
        "the drain of notices"
    });
    let following = engine.clone().follow_journal(stopping.clone());
    tasks.spawn(async move {
        following.await;
        "the ledger's growth"
    });
    let writing = engine.clone().write_back(stopping.clone());
    tasks.spawn(async move {
        writing.await;
        "what is written back into the database"
    });
}

fn bind_api(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Api { address, source };
    let socket = TcpListener::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}

fn serve_api(
    tasks: &mut JoinSet<&'static str>,
    socket: TcpListener,
    tls: RustlsConfig,
    app: App,
) -> Handle<SocketAddr> {
    let handle = Handle::new();
    let engine = app.engine.clone();
    let serving = http::edge::serve(socket, tls, http::router(app), engine, handle.clone());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the API ended");
        }
        "the API"
    });
    handle
}

fn joining(
    config: &Config,
    state: &State,
    authority: &Authority,
    [command, enrolment]: [&Endpoint; 2],
) -> Joining {
    // A port that the system has chosen is known by now alone.
    let address = |given: &Option<String>, port: &Endpoint, listen: SocketAddr| {
        let bound = || port.local_addr().unwrap_or(listen).to_string();
        given.clone().unwrap_or_else(bound)
    };
    let link = &config.link;
    Joining {
        enrolment_address: address(&link.enrolment_address, enrolment, link.enrolment),
        command_address: address(&link.command_address, command, link.command),
        server_name: config.server_names.first().cloned().unwrap_or_default(),
        root: authority.root().to_vec(),
        ledger_key: state.ledger.to_string(),
    }
}

/// Lets deadlines happen, and renews the controller's own certificate.
async fn tick(
    engine: Engine,
    certificate: Arc<tls::ServerCertificate>,
    mut stop: watch::Receiver<bool>,
) {
    let mut wake = engine.deadlines_wake();
    while !*stop.borrow_and_update() {
        wake.borrow_and_update();
        if let Err(error) = engine.tick().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "deadlines cannot be looked at; trying again");
        }
        let now = engine.clock().now();
        if let Err(error) = certificate.renew(now) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot renew the controller's certificate; trying again");
        }
        let next = engine.next_wake().await.unwrap_or_default();
        let pause_ms = next
            .map_or(TICK_MAX_MS, |at| at.ms_since(now))
            .clamp(TICK_MIN_MS, TICK_MAX_MS)
            .unsigned_abs();
        tokio::select! {
            _ = stop.changed() => {}
            changed = wake.changed() => if changed.is_err() { return },
            () = sleep(Duration::from_millis(pause_ms)) => {}
        }
    }
}
