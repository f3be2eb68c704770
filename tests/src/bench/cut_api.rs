//! How long a tenant's guest is still heard after a cut is asked for: through the API (two fsyncs,
//! a signed order over QUIC, two processes) beside an operator who runs `nft add element` on the
//! host.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tenure_agent::core::ruleset::{self, CUT_TABLE};

use super::Row;
use crate::{
    demo::{
        isolation,
        show::Show,
        steps::{self, People},
        world::{Guest, Tenant, World},
    },
    lab::{
        daemon::{elapse, output, wait_for},
        site::Build,
        stream::StreamReader,
    },
};

/// How often each of the two cuts. Each takes a few seconds.
const RUNS: usize = 20;
/// How long nothing more may come before it counts as cut.
const QUIET: Duration = Duration::from_millis(500);
/// The peer's table: the same contents, owned by nobody.
const PEER_TABLE: &str = "peer_cut";

/// Runs it on a site of real guests.
///
/// # Errors
/// If the site cannot be set up, or a cut leaks.
pub fn run() -> anyhow::Result<Row> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut show = Show::new();
    let bin = std::env::current_exe()?.parent().context("no directory")?.to_owned();
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

    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(by_api(&world, &people, &tenant, &guest)?);
        peer.push(by_nft(&world, &netns, tenant.mark, &guest)?);
    }
    let figure = "cut asked for to last byte of a stream (a line each 10 ms)";
    Ok(Row::new("cut", figure, "ms", ours).beside("nft add element (process)", peer))
}

fn by_api(world: &World, people: &People, tenant: &Tenant, guest: &Guest) -> anyhow::Result<f64> {
    let stream = flowing(world, guest)?;
    let path = format!("/v1/tenants/{}/cut", tenant.id);
    let body = r#"{"kind":"emergency","reason":"a benchmark"}"#;
    let (asked, _) = world.api_post(&people.operator, &path, body)?;
    let last_ms = last_heard(&stream, asked)?;
    drop(stream);
    isolation::wait_for_state(people, tenant, "cut")?;
    isolation::restore(world, people, tenant)?;
    isolation::wait_for_state(people, tenant, "connected")?;
    Ok(last_ms)
}

fn by_nft(world: &World, netns: &str, mark: u32, guest: &Guest) -> anyhow::Result<f64> {
    let stream = flowing(world, guest)?;
    let element = format!("element bridge {PEER_TABLE} cut_tenant {{ {mark:#x} }}\n");
    let asked = Instant::now();
    feed(netns, &format!("add {element}"))?;
    let last_ms = last_heard(&stream, asked)?;
    feed(netns, &format!("delete {element}"))?;
    Ok(last_ms)
}

fn flowing(world: &World, guest: &Guest) -> anyhow::Result<StreamReader> {
    let stream = StreamReader::start(&world.customer_netns(), guest.address(9000)?)?;
    let limit = Duration::from_secs(20);
    wait_for("the stream", limit, || Ok((stream.count() > 50).then_some(())))?;
    Ok(stream)
}

/// When the last byte came, ms after `asked`; 0 if it came before.
fn last_heard(stream: &StreamReader, asked: Instant) -> anyhow::Result<f64> {
    elapse(QUIET);
    let (count, last) = (stream.count(), stream.last().context("nothing ever came")?);
    elapse(QUIET);
    ensure!(stream.count() == count, "the stream goes on after the cut");
    Ok(last.saturating_duration_since(asked).as_secs_f64() * 1000.0)
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
