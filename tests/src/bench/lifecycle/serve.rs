//! The controller as a process of its own on the database, and its callers.

use std::{
    fs::{self, File},
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tenure_protocol::id::TenantId;
use ureq::{
    Agent,
    http::Request,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{
    lives::NOW,
    site::{CUSTOMERS, Open, Site, customer_name},
};
use crate::lab::in_process::application;

/// How long the controller may take to start, and to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// A controller that runs. Dropping it kills it.
pub struct Serving {
    child: Child,
    log: PathBuf,
    url: String,
    agent: Agent,
    /// From its start to its first answer, ms.
    pub started_ms: f64,
}

/// Tokens of all who call.
#[derive(Debug, Clone)]
pub struct Tokens {
    reviewer: String,
    operator: String,
    customers: Vec<String>,
}

/// What callers measured.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Each request, ms.
    pub each_ms: Vec<f64>,
    /// All of them together, s.
    pub seconds: f64,
}

impl Serving {
    /// Starts the program `controller` on the site's state, and waits for its first answer.
    ///
    /// # Errors
    /// If it ends, or does not answer.
    pub fn start(site: &Site, controller: &Path) -> anyhow::Result<Self> {
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = site.dir().join("controller.toml");
        fs::write(&config, settings(&site.state(), &api.to_string()))?;
        let log = site.dir().join("controller.log");
        let file = File::options().create(true).append(true).open(&log)?;
        let agent = agent(&site.state())?;
        let start = Instant::now();
        let child = Command::new(controller)
            .arg("run")
            .arg("--config")
            .arg(&config)
            .args(["--demo-clock", NOW])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", controller.display()))?;
        let url = format!("https://{api}");
        let mut serving = Self { child, log, url, agent, started_ms: 0.0 };
        while serving.send("GET", "/healthz", None, None).is_err() {
            if let Some(status) = serving.child.try_wait()? {
                bail!("the controller ended with {status}: {}", serving.said());
            }
            ensure!(start.elapsed() < LIMIT, "no answer: {}", serving.said());
            std::thread::sleep(Duration::from_millis(2));
        }
        serving.started_ms = start.elapsed().as_secs_f64() * 1000.0;
        Ok(serving)
    }

    /// Memory of the process, MiB, by its line of `/proc/<pid>/status`: `VmRSS`, or `VmHWM` for the
    /// most that it ever was.
    ///
    /// # Errors
    /// If it is gone.
    pub fn memory_mib(&self, line: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let kib = found.and_then(|text| text.split_whitespace().next()).context("no such line")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    /// Makes the tokens of a reviewer and of a person of each customer.
    ///
    /// # Errors
    /// If the API refuses.
    pub fn tokens(&self, state: &Path) -> anyhow::Result<Tokens> {
        let secret = |name: &str| fs::read_to_string(state.join(name));
        let admin = secret("admin.token")?.trim().to_owned();
        let security = secret("security.token")?.trim().to_owned();
        let make = |name: &str, role: &str, customer: Option<String>| {
            let body = json!({ "name": name, "role": role, "customer": customer });
            let answer = self.send("POST", "/v1/tokens", Some(&admin), Some(&body))?;
            let id = answer["id"].as_str().context("no id")?;
            let path = format!("/v1/tokens/{id}/confirm");
            self.send("POST", &path, Some(&security), Some(&json!({})))?;
            answer["token"].as_str().map(str::to_owned).context("no token")
        };
        let customer =
            |number| make(&format!("li-{number}"), "customer", Some(customer_name(number)));
        Ok(Tokens {
            reviewer: make("zhao", "reviewer", None)?,
            operator: make("sun", "operator", None)?,
            customers: (0..CUSTOMERS).map(customer).collect::<Result<_, _>>()?,
        })
    }

    /// So many transitions by each of so many callers at once, each on tenants of its own: returned
    /// to its customer for correction, handed in again, and so on.
    ///
    /// # Errors
    /// If one is refused.
    pub fn transitions(
        &self,
        tokens: &Tokens,
        open: &mut [Open],
        callers: usize,
        each: usize,
    ) -> anyhow::Result<Load> {
        let start = Instant::now();
        let each_ms = self.callers(tokens, open, callers, &|turn| turn < each, || Ok(()))?.0;
        Ok(Load { each_ms, seconds: start.elapsed().as_secs_f64() })
    }

    /// Cuts one tenant after the other.
    ///
    /// # Errors
    /// If one is refused.
    pub fn cuts(&self, tokens: &Tokens, tenants: &[TenantId]) -> anyhow::Result<Load> {
        let (start, mut each_ms) = (Instant::now(), Vec::with_capacity(tenants.len()));
        let body = json!({"kind": "emergency", "reason": "under attack"});
        for id in tenants {
            let path = format!("/v1/tenants/{id}/cut");
            let asked = Instant::now();
            self.send("POST", &path, Some(&tokens.operator), Some(&body))?;
            each_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(Load { each_ms, seconds: start.elapsed().as_secs_f64() })
    }

    /// As [`Serving::cuts`], while so many callers make transitions as fast as they can; what the
    /// cuts took, and the transitions.
    ///
    /// # Errors
    /// If one is refused.
    pub fn cuts_among(
        &self,
        tokens: &Tokens,
        tenants: &[TenantId],
        open: &mut [Open],
        callers: usize,
    ) -> anyhow::Result<(Load, Load)> {
        let (start, over) = (Instant::now(), AtomicBool::new(false));
        let go_on = |_: usize| !over.load(Ordering::Relaxed);
        let cutting = || {
            let cuts = self.cuts(tokens, tenants);
            over.store(true, Ordering::Relaxed);
            cuts
        };
        let (each_ms, cuts) = self.callers(tokens, open, callers, &go_on, cutting)?;
        Ok((cuts, Load { each_ms, seconds: start.elapsed().as_secs_f64() }))
    }

    /// So many callers at once, each for as long as it is to go on; and what is done meanwhile.
    fn callers<T>(
        &self,
        tokens: &Tokens,
        open: &mut [Open],
        callers: usize,
        go_on: &(dyn Fn(usize) -> bool + Sync),
        meanwhile: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(Vec<f64>, T)> {
        let share = open.len() / callers;
        std::thread::scope(|scope| {
            let of_callers: Vec<_> = open
                .chunks_exact_mut(share)
                .take(callers)
                .map(|own| scope.spawn(move || self.caller(tokens, own, go_on)))
                .collect();
            let done = meanwhile();
            let mut all = Vec::new();
            for one in of_callers {
                all.extend(one.join().ok().context("a caller panicked")??);
            }
            Ok((all, done?))
        })
    }

    fn caller(
        &self,
        tokens: &Tokens,
        own: &mut [Open],
        go_on: &(dyn Fn(usize) -> bool + Sync),
    ) -> anyhow::Result<Vec<f64>> {
        let mut each_ms = Vec::new();
        for turn in (0..).take_while(|turn| go_on(*turn)) {
            let place = turn % own.len();
            let tenant = &mut own[place];
            let customer = usize::try_from(tenant.customer)?;
            let (token, path, body) = if tenant.returned {
                let form = application(&customer_name(tenant.customer));
                (&tokens.customers[customer], "application", form)
            } else {
                let form = json!({"decision": "return", "opinion": "the drawings are missing"});
                (&tokens.reviewer, "review", form)
            };
            let path = format!("/v1/tenants/{}/{path}", tenant.id);
            let asked = Instant::now();
            self.send("POST", &path, Some(token), Some(&body))?;
            each_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
            tenant.returned = !tenant.returned;
        }
        Ok(each_ms)
    }

    /// So many reads of a list, each of which must show `items`.
    ///
    /// # Errors
    /// If it shows another number of them.
    pub fn reads(
        &self,
        tokens: &Tokens,
        path: &str,
        items: usize,
        count: usize,
    ) -> anyhow::Result<Vec<f64>> {
        let read = || {
            let asked = Instant::now();
            let list = self.send("GET", path, Some(&tokens.reviewer), None)?;
            let took_ms = asked.elapsed().as_secs_f64() * 1000.0;
            let found = list.as_array().map(Vec::len);
            ensure!(found == Some(items), "{path} shows {found:?} instead of {items}");
            Ok(took_ms)
        };
        (0..count).map(|_| read()).collect()
    }

    /// Bytes of the journal rows of a tenant's last two transitions, on average.
    ///
    /// # Errors
    /// If it has had fewer.
    pub fn row_bytes(&self, tokens: &Tokens, tenant: Open) -> anyhow::Result<usize> {
        let path = format!("/v1/tenants/{}/journal", tenant.id);
        let rows = self.send("GET", &path, Some(&tokens.reviewer), None)?;
        let [.., one, other] = rows.as_array().map_or(&[][..], Vec::as_slice) else {
            bail!("{path} has fewer than two rows");
        };
        Ok((one.to_string().len() + other.to_string().len()) / 2)
    }

    /// Ends the controller as an operator would.
    ///
    /// # Errors
    /// If it does not end, or complains.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the controller ended with {status}: {}", self.said());
                return Ok(());
            }
            ensure!(asked.elapsed() < LIMIT, "the controller does not stop: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = match body {
            None => self.agent.run(request.body(())?)?,
            Some(body) => {
                let request =
                    request.header("content-type", "application/json").header("if-match", "*");
                self.agent.run(request.body(body.to_string())?)?
            }
        };
        let (head, body) = answer.into_parts();
        let mut text = String::new();
        body.into_reader().read_to_string(&mut text)?;
        ensure!(head.status.is_success(), "{method} {path}: {} {text}", head.status);
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps connections, one for each caller.
fn agent(state: &Path) -> anyhow::Result<Agent> {
    let root = CertificateDer::from_pem_file(state.join("ca.pem"))?;
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(&root).to_owned()]);
    Ok(Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .max_idle_connections(64)
        .max_idle_connections_per_host(64)
        .timeout_global(Some(LIMIT))
        .build()
        .new_agent())
}

fn settings(state: &Path, api: &str) -> String {
    let digest = "0".repeat(64);
    format!(
        "state_dir = {state:?}\nserver_names = [\"localhost\", \"127.0.0.1\"]\n\
         [api]\nlisten = {api:?}\n\
         [api.rates]\nidentity_per_second = 100000\nidentity_burst = 100000\n\
         peer_per_second = 100000\npeer_burst = 100000\n\
         [link]\ncommand = \"127.0.0.1:0\"\nenrolment = \"127.0.0.1:0\"\n\
         [log]\nfilter = \"warn\"\n\
         [[image]]\nname = \"tiny-1\"\nkernel = {digest:?}\ninitrd = {digest:?}\n"
    )
}
