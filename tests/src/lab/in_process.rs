//! A controller in this process, on ports of its own, and its API as a client sees it.

use std::{io::Read as _, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenure_controller::{
    assembly::{self, Controller},
    clock::Clock,
    config::Config,
    core::lifecycle::Actor,
    engine::Engine,
    link::authority::{Authority, HostRequest},
};
use tenure_protocol::{
    id::HostId,
    wire::v1::{Hello, HostFacts},
};
use tokio::runtime::Runtime;
use ureq::{
    Agent,
    http::{HeaderMap, Request},
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Legal time at which these controllers start: a working day of a settled year.
const LEGAL_START: &str = "2026-08-24T01:00:00Z";
/// The one image of the catalogue.
const IMAGE: &str = "tiny-1";

/// A controller that runs in this process. Dropping it stops it.
pub struct InProcess {
    /// The first administrator's token.
    pub admin: String,
    /// The token of the person who confirms what the administrator makes.
    pub security: String,
    /// Both its clocks.
    pub clock: Clock,
    /// Its state directory.
    pub state: PathBuf,
    api: SocketAddr,
    agent: Agent,
    config: Config,
    controller: Option<Controller>,
    runtime: Runtime,
    _dir: TempDir,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The body, if it is JSON.
    pub json: Value,
    /// The body, if it is text.
    pub text: String,
}

impl InProcess {
    /// Makes the state and starts the controller on `clock`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(clock: Clock) -> anyhow::Result<Self> {
        Self::start_with(clock, "")
    }

    /// As [`InProcess::start`], with more of a configuration: first more of `[api]`, which may
    /// begin with another `listen`, then tables.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_with(clock: Clock, more: &str) -> anyhow::Result<Self> {
        // Another test of this process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("state");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        clock.set_legal(LEGAL_START.parse()?);
        runtime.block_on(assembly::init(&state, "test.example/ledger", clock.clone()))?;
        let config: Config = toml::from_str(&config(&state.to_string_lossy(), more))?;
        let controller = runtime.block_on(Controller::start(&config, clock.clone()))?;
        let root = CertificateDer::from_pem_file(state.join("ca.pem"))?;
        let roots = RootCerts::new_with_certs(&[Certificate::from_der(&root).to_owned()]);
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            // The API closes connections on which it has not read a refused body.
            .max_idle_connections(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        let secret = |name: &str| std::fs::read_to_string(state.join(name));
        let admin = secret("admin.token")?.trim().to_owned();
        let security = secret("security.token")?.trim().to_owned();
        let api = controller.api();
        let controller = Some(controller);
        Ok(Self {
            admin,
            security,
            clock,
            state,
            api,
            agent,
            config,
            controller,
            runtime,
            _dir: dir,
        })
    }

    /// Stops the controller and starts it again, at another port, with what it has kept alone.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        if let Some(controller) = self.controller.take() {
            self.runtime.block_on(controller.stop());
        }
        let start = Controller::start(&self.config, self.clock.clone());
        let controller = self.runtime.block_on(start)?;
        self.api = controller.api();
        self.controller = Some(controller);
        Ok(())
    }

    /// Where the API listens.
    #[must_use]
    pub const fn api(&self) -> SocketAddr {
        self.api
    }

    /// The controller's runtime, for a client of the link.
    #[must_use]
    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Where its API is, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api.port())
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() && method != "POST" {
            self.agent.run(request.body(())?)
        } else {
            self.agent.run(request.body(body.to_vec())?)
        };
        let (head, body) = answer.with_context(|| format!("{method} {path}"))?.into_parts();
        let mut bytes = Vec::new();
        body.into_reader().read_to_end(&mut bytes)?;
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = String::from_utf8(bytes.clone()).unwrap_or_default();
        let status = head.status.as_u16();
        Ok(Answer { status, headers: head.headers, body: bytes, json, text })
    }

    /// GETs as whoever has this token.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn get(&self, token: &str, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, &[("authorization", &format!("Bearer {token}"))], b"")
    }

    /// GETs a body that goes on, as whoever has this token.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn stream(&self, token: &str, path: &str) -> anyhow::Result<impl std::io::Read + use<>> {
        let request = Request::get(format!("{}{path}", self.url()))
            .header("authorization", format!("Bearer {token}"));
        Ok(self.agent.run(request.body(())?)?.into_body().into_reader())
    }

    /// POSTs JSON as whoever has this token, whichever version it is about.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn post(&self, token: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("if-match", "*"),
        ];
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    /// DELETEs as whoever has this token.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn delete(&self, token: &str, path: &str) -> anyhow::Result<Answer> {
        self.send("DELETE", path, &[("authorization", &format!("Bearer {token}"))], b"")
    }

    /// What decides and keeps.
    ///
    /// # Panics
    /// Never: the controller is there until this is dropped.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.controller.as_ref().expect("it runs until it is dropped").engine()
    }

    /// A new token.
    ///
    /// # Errors
    /// If the API refuses.
    pub fn token(&self, name: &str, role: &str, customer: Option<&str>) -> anyhow::Result<String> {
        let body = json!({ "name": name, "role": role, "customer": customer });
        let answer = self.post(&self.admin, "/v1/tokens", &body)?;
        self.confirm(&answer)?;
        answer.json["token"].as_str().map(str::to_owned).with_context(|| format!("{answer:?}"))
    }

    /// Confirms a token or an account that the administrator has made or reset.
    ///
    /// # Errors
    /// If the API refuses.
    pub fn confirm(&self, made: &Answer) -> anyhow::Result<()> {
        let (kind, name) = match (&made.json["id"], &made.json["name"]) {
            (Value::String(id), _) => ("tokens", id),
            (_, Value::String(name)) => ("accounts", name),
            _ => bail!("not made: {made:?}"),
        };
        let answer =
            self.post(&self.security, &format!("/v1/{kind}/{name}/confirm"), &json!({}))?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// A certificate of this controller's authority for a host, leaf first, as it would have been
    /// issued so many hours from now: there is no other way to an expired one within a test.
    ///
    /// # Errors
    /// If the authority cannot be read or does not issue.
    pub fn certificate(
        &self,
        host: HostId,
        csr: &[u8],
        hours: i64,
    ) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let read = |name: &str| std::fs::read_to_string(self.state.join(name));
        let (root, key) = (read("ca.pem")?, read("intermediate.key")?);
        let authority = Authority::load(&root, &read("intermediate.pem")?, &key)?;
        let at = Clock::system().now().plus_ms(hours * 3_600_000);
        let chain = authority.issue_host(host, &HostRequest::parse(csr)?, at)?;
        Ok(chain.into_iter().map(CertificateDer::from).collect())
    }

    /// Has a host join and come up, with nobody behind it: its orders stay open.
    ///
    /// # Errors
    /// If the controller refuses.
    pub fn host(&self, name: &str) -> anyhow::Result<HostId> {
        let engine = self.engine();
        self.runtime.block_on(async {
            let grant = engine.create_join_token(Actor::controller(), name.to_owned()).await?;
            let host = engine.redeem_join_token(grant.secret, name.to_owned(), [1; 32]).await?;
            engine.host_up(host, hello()).await?;
            Ok(host)
        })
    }

    /// A join token, as text.
    ///
    /// # Errors
    /// If the API refuses.
    pub fn join_token(&self, host: &str) -> anyhow::Result<String> {
        let answer = self.post(&self.admin, "/v1/hosts/tokens", &json!({ "host_name": host }))?;
        answer.json["token"].as_str().map(str::to_owned).with_context(|| format!("{answer:?}"))
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(controller) = self.controller.take() {
            self.runtime.block_on(controller.stop());
        }
    }
}

/// What a host of some size says when it comes up.
#[must_use]
pub fn hello() -> Hello {
    let facts = HostFacts {
        cpus: 8,
        memory_bytes: 64 << 30,
        volume_bytes: 1 << 40,
        accelerator: "kvm".to_owned(),
        kernel: "6".to_owned(),
    };
    Hello { agent_version: "0".to_owned(), boot_id: "boot".to_owned(), facts }
}

/// An application that every check accepts.
#[must_use]
pub fn application(customer: &str) -> Value {
    let mut form = crate::fleet::example();
    form["customer"] = json!(customer);
    form["system"]["name"] = json!("Archive portal");
    form["contacts"][0]["name"] = json!("Duty officer");
    form["contacts"][0]["webhook"] = json!({
        "url": "https://192.0.2.1/tenure",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    });
    form["instances"] = json!([{
        "role": "web", "count": 1, "vcpus": 1, "memory_mib": 128, "image": IMAGE,
        "volumes_mib": [64], "ingress": [{"protocol": "tcp", "port": 80}],
    }]);
    form
}

fn config(state: &str, more: &str) -> String {
    let digest = "0".repeat(64);
    let any = if more.starts_with("listen = ") { "" } else { "listen = \"127.0.0.1:0\"\n" };
    format!(
        "state_dir = {state:?}\n\
         server_names = [\"localhost\", \"127.0.0.1\"]\n\
         [api]\n{any}{more}\n\
         [link]\ncommand = \"127.0.0.1:0\"\nenrolment = \"127.0.0.1:0\"\n\
         [[image]]\nname = {IMAGE:?}\nkernel = {digest:?}\ninitrd = {digest:?}\n"
    )
}
