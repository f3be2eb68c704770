//! From a request to the API to the last packet that still reaches a real guest's tap, under 10,000
//! packets a second: two fsyncs, a signed order over QUIC, two processes. Beside it what a user
//! would do instead, on the host itself: `nft add element`, and Ansible's step for it; the same
//! while the host changes the tenant's rules. And how long after the cut the first notice has
//! arrived by real mail and webhook.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    process::Output,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tenure_agent::core::ruleset::{self, CUT_TABLE};
use tenure_protocol::time::Timestamp;

use super::{
    Goal, Row,
    cut::{NFT, PEER_TABLE},
    percentile,
};
use crate::{
    demo::{
        ctl::string,
        isolation,
        show::Show,
        steps::{self, People},
        world::{Guest, Tenant, World},
    },
    lab::{
        daemon::{elapse, output, wait_for},
        frames::{self, Station, Wire},
        net::Netns,
        site::Build,
    },
};

/// How often a tenant is cut through the API.
const RUNS: usize = 250;
/// In every so many of them the host is changing the tenant's rules.
const RULES_EVERY: usize = 5;
/// Every so many of them each peer is measured once.
const PEER_EVERY: usize = 10;
/// Between two packets: 10,000 a second.
const GAP: Duration = Duration::from_micros(100);
/// How long is listened for a packet that leaks.
const QUIET: Duration = Duration::from_millis(200);
/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Which Python it is to use: without this it looks for one each time.
const PYTHON: &str = "ansible_python_interpreter=/usr/bin/python3";
const ANSIBLE: &str = "Ansible, connection local";

/// What was measured, each in ms.
#[derive(Default)]
struct Measured {
    api: Vec<f64>,
    /// The same while the host changes the tenant's rules.
    beside_rules: Vec<f64>,
    nft: Vec<f64>,
    ansible: Vec<f64>,
    /// From the kernel's commit to the first delivery that discharges the duty to notify.
    told: Vec<f64>,
}

/// Runs it on a site of real guests.
///
/// # Errors
/// If the site cannot be set up, or a cut leaks.
pub fn run() -> anyhow::Result<Vec<Row>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut show = Show::new();
    let bin = std::env::current_exe()?.parent().context("no directory")?.to_owned();
    let ansible = bin.join("../bench-venv/bin/ansible");
    ensure!(ansible.exists(), "{} is not there: run ./tests/bench", ansible.display());
    let guest = crate::lab::guest::image()?.dir.canonicalize()?;
    let mut world = World::create(Build { bin, guest })?;
    world.start_controller("2026-08-24T01:00:00Z")?;
    let (people, _) = steps::people(&world)?;
    world.join_hosts(&show, &people)?;
    let (mut tenant, _) = steps::apply(&world, &people)?;
    steps::configure(&mut world, &mut show, &people, &mut tenant)?;
    let guest = tenant.instances.first().context("no instance")?.clone();
    let netns = world.host_netns(&guest.host)?;
    feed(&netns, &peer_table(&guest, tenant.mark)?)?;
    let bench = Bench { flow: Flow::start(&world, &tenant, &guest)?, netns, ansible };
    let measured = bench.measure(&world, &people, &tenant)?;
    Ok(rows(&measured))
}

fn rows(measured: &Measured) -> Vec<Row> {
    let Measured { api, beside_rules, nft, ansible, told } = measured;
    let row = |figure: &str, runs: Vec<f64>| {
        let figure = format!("API request to the last packet at the guest, {figure}");
        Row::new("cut", &figure, "ms", runs)
    };
    let at = |percent| percentile(api, percent).into_iter().collect::<Vec<_>>();
    let rules = |percent| percentile(beside_rules, percent).into_iter().collect::<Vec<_>>();
    vec![
        row("p50", at(50)).beside(NFT, nft.clone()),
        row("p50", at(50)).beside(ANSIBLE, ansible.clone()).aiming(Goal::RatioAtMost(0.01)),
        row("p99", at(99)).aiming(Goal::AtMost(10.0)),
        row("max", at(100)),
        row("while the tenant's rules change, p50", rules(50)),
        row("while the tenant's rules change, max", rules(100)),
        Row::new("cut", "the kernel's commit to the first arrival of a notice", "ms", told.clone())
            .aiming(Goal::AtMost(3_000.0)),
    ]
}

struct Bench {
    flow: Flow,
    /// Of the guest's host.
    netns: String,
    ansible: PathBuf,
}

impl Bench {
    fn measure(&self, world: &World, people: &People, tenant: &Tenant) -> anyhow::Result<Measured> {
        let mut measured = Measured::default();
        let path = format!("/v1/tenants/{}/cut", tenant.id);
        let body = r#"{"kind":"emergency","reason":"a benchmark"}"#;
        for run in 0..RUNS {
            self.flow.flows()?;
            let beside_rules = run % RULES_EVERY == 0;
            if beside_rules {
                change_rules(people, tenant, run)?;
            }
            let (asked, _) = world.api_post(&people.operator, &path, body)?;
            // Before anything else is started here, which would take processors from the cut.
            let last = self.flow.last(asked)?;
            isolation::wait_for_state(people, tenant, "cut")?;
            let taken = if beside_rules { &mut measured.beside_rules } else { &mut measured.api };
            taken.push(self.flow.silent_after(last)?);
            measured.told.push(told_ms(people, tenant)?);
            people.operator.call(&["restore", &tenant.id, "--reason", "a benchmark"])?;
            isolation::wait_for_state(people, tenant, "connected")?;
            if run % PEER_EVERY == 0 {
                measured.nft.push(self.by_hand(tenant, |add| self.nft(add))?);
                measured.ansible.push(self.by_hand(tenant, |add| self.ansible(add))?);
            }
        }
        Ok(measured)
    }

    fn by_hand(
        &self,
        tenant: &Tenant,
        add: impl FnOnce(&str) -> anyhow::Result<Output>,
    ) -> anyhow::Result<f64> {
        let element = format!("element bridge {PEER_TABLE} cut_tenant {{ {:#x} }}", tenant.mark);
        self.flow.flows()?;
        let asked = now();
        let done = add(&format!("add {element}"))?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let last_ms = self.flow.silent_after(self.flow.last(asked)?)?;
        feed(&self.netns, &format!("delete {element}"))?;
        Ok(last_ms)
    }

    fn nft(&self, statement: &str) -> anyhow::Result<Output> {
        let enter = format!("--net=/run/netns/{}", self.netns);
        output(&["nsenter", &enter, "--", "nft", statement], b"")
    }

    fn ansible(&self, statement: &str) -> anyhow::Result<Output> {
        let enter = format!("--net=/run/netns/{}", self.netns);
        let task = json!({ "argv": ["nsenter", enter, "--", "nft", statement] }).to_string();
        let program = self.ansible.to_str().context("path is not UTF-8")?;
        let here = ["all", "-i", "localhost,", "-c", "local", "-e", PYTHON];
        let what = ["-m", "ansible.builtin.command", "-a", &task];
        output(&[[program].as_slice(), &here, &what].concat(), b"")
    }
}

/// The customer sets its rules; the hosts put them in force just after the answer.
fn change_rules(people: &People, tenant: &Tenant, run: usize) -> anyhow::Result<()> {
    let rule = ["--rule", "ingress", &format!("tcp:{}", 20_000 + run), "10.1.0.0/16", "changes"];
    let set = ["group", "set", &tenant.id, "bench", "--role", "web"];
    people.customer.call(&[set.as_slice(), &rule].concat()).map(drop)
}

/// How long after the last cut's commit its customer was told.
fn told_ms(people: &People, tenant: &Tenant) -> anyhow::Result<f64> {
    wait_for("a notice's arrival", LIMIT, || {
        let view = people.admin.call(&["tenant", "show", &tenant.id])?;
        let cut = view["cuts"].as_array().and_then(|cuts| cuts.last()).context("no cut")?;
        let Some(told) = cut["notified_at"].as_str() else { return Ok(None) };
        let (told, t0): (Timestamp, Timestamp) =
            (told.parse()?, string(cut, "/t0/earliest")?.parse()?);
        Ok(Some(f64::from(i32::try_from(told.ms_since(t0))?)))
    })
}

/// The last packet that came through.
struct Last {
    number: u64,
    /// When it was sent, ms after it was asked for.
    ms: f64,
}

/// A stream of numbered packets from the office to one guest, and the last that reached its tap.
struct Flow {
    /// When each was sent.
    sent: Arc<Mutex<Vec<Instant>>>,
    /// How many of the stream, from its first on, were sent when the last to arrive was.
    heard: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<anyhow::Result<()>>>,
}

impl Flow {
    fn start(world: &World, tenant: &Tenant, guest: &Guest) -> anyhow::Result<Self> {
        let office = world.customer_netns();
        let to = Station { mac: mac_of(&office, guest)?, ip4: guest.ip4.parse()? };
        let from = Station { mac: [2, 0, 0, 0, 0, 1], ip4: tenant.gateway.parse::<Ipv4Addr>()? };
        let fabric = format!("fab-{:x}", tenant.mark);
        let wire = office.within(|| Wire::device(&fabric))??;
        let tap = ruleset::tap_name(guest.id.parse()?);
        let host = world.host(&guest.host)?.netns.clone();
        let ear = host.within(|| Wire::passing(tap.as_str()))??;
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (heard, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (times, ends) = (sent.clone(), done.clone());
        let sender = std::thread::spawn(move || send(&wire, (from, to), &times, &ends));
        let (last, ends) = (heard.clone(), done.clone());
        let reader = std::thread::spawn(move || listen(&ear, &last, &ends));
        Ok(Self { sent, heard, done, threads: vec![sender, reader] })
    }

    /// Waits until packets arrive.
    fn flows(&self) -> anyhow::Result<()> {
        let before = self.heard.load(Ordering::SeqCst);
        wait_for("packets at the guest", LIMIT, || {
            Ok((self.heard.load(Ordering::SeqCst) > before + 500).then_some(()))
        })
    }

    /// The last packet, once no more come; 0 ms if it was sent before `asked`.
    fn last(&self, asked: Instant) -> anyhow::Result<Last> {
        let mut last = self.heard.load(Ordering::SeqCst);
        wait_for("an end of the packets", LIMIT, || {
            elapse(QUIET);
            let before = std::mem::replace(&mut last, self.heard.load(Ordering::SeqCst));
            Ok((before == last).then_some(()))
        })?;
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(last)?.checked_sub(1).and_then(|index| sent.get(index));
        let at = at.context("nothing ever came")?;
        Ok(Last { number: last, ms: at.saturating_duration_since(asked).as_secs_f64() * 1000.0 })
    }

    /// When the last packet was sent, ms; nothing has passed after it.
    fn silent_after(&self, last: Last) -> anyhow::Result<f64> {
        elapse(QUIET);
        ensure!(self.heard.load(Ordering::SeqCst) == last.number, "packets pass after the cut");
        Ok(last.ms)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Echo replies that nobody asked for: policy lets them in, and a guest says nothing to them.
#[allow(clippy::disallowed_methods, reason = "a stream is paced by a clock")]
fn send(
    wire: &Wire,
    (from, to): (Station, Station),
    sent: &Mutex<Vec<Instant>>,
    done: &AtomicBool,
) -> anyhow::Result<()> {
    let (start, mut number) = (Instant::now(), 0_u64);
    while !done.load(Ordering::SeqCst) {
        let due = GAP.saturating_mul(u32::try_from(number)?);
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let frame = frames::numbered_echo(from, to, number);
        sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        wire.send(&frame)?;
        number += 1;
    }
    Ok(())
}

fn listen(ear: &Wire, heard: &AtomicU64, done: &AtomicBool) -> anyhow::Result<()> {
    while !done.load(Ordering::SeqCst) {
        if !ear.wait(QUIET)? {
            continue;
        }
        while let Some(frame) = ear.next()? {
            if let Some(number) = frames::echo_number(&frame) {
                heard.fetch_max(number + 1, Ordering::SeqCst);
            }
        }
    }
    Ok(())
}

/// The guest's address on the link, as the office has learnt it.
fn mac_of(office: &Netns, guest: &Guest) -> anyhow::Result<frames::Mac> {
    let shown = office.ip(&["neigh", "show", &guest.ip4])?;
    let text = shown.split_whitespace().skip_while(|word| *word != "lladdr").nth(1);
    let bytes = text.context("nobody spoke with the guest")?.split(':');
    let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<Vec<_>, _>>()?;
    bytes.try_into().ok().context("no MAC")
}

fn peer_table(guest: &Guest, mark: u32) -> anyhow::Result<String> {
    let tap = ruleset::tap_name(guest.id.parse()?);
    let table = ruleset::cut_table().replace(CUT_TABLE, PEER_TABLE);
    let port = format!("add element bridge {PEER_TABLE} port_tenant {{ \"{tap}\" : {mark:#x} }}");
    Ok(format!("add table bridge {PEER_TABLE}\n{table}{port}\n"))
}

fn feed(netns: &str, text: &str) -> anyhow::Result<()> {
    let enter = format!("--net=/run/netns/{netns}");
    let output = output(&["nsenter", &enter, "--", "nft", "-f", "-"], text.as_bytes())?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
