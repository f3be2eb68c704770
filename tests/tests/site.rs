//! A whole site of real processes and real guests: what the demo does not show.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_protocol::evidence::anchors::Anchors;
use tenure_tests::{
    demo::{
        isolation, leaving,
        show::Show,
        steps::{self, People},
        world::{Tenant, World},
    },
    lab::{daemon::elapse, guest, net, site::Build},
    third_party::{self, Unpacked},
};

/// A site with both hosts up and one tenant in its trial; `None`, and a word, where it cannot run.
fn site(test: &str, show: &mut Show) -> anyhow::Result<Option<(World, People, Tenant)>> {
    if !net::can_run(test) {
        return Ok(None);
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let test_binary = std::env::current_exe()?;
    let bin = test_binary.parent().and_then(|deps| deps.parent()).context("no target directory")?;
    for program in ["tenure-controller", "tenure-hostd", "tenure-agent", "tenurectl"] {
        ensure!(bin.join(program).exists(), "{program} is not built: cargo build --workspace");
    }
    let guest: PathBuf = guest::image()?.dir.canonicalize()?;
    let mut world = World::create(Build { bin: bin.to_owned(), guest })?;
    world.start_controller("2026-08-24T01:00:00Z")?;
    let (people, _) = steps::people(&world)?;
    world.join_hosts(show, &people)?;
    let (mut tenant, _) = steps::apply(&world, &people)?;
    steps::configure(&mut world, show, &people, &mut tenant)?;
    Ok(Some((world, people, tenant)))
}

#[test]
fn lab_hosts_that_are_killed_again_and_again_during_a_wipe_finish_it() -> anyhow::Result<()> {
    let mut show = Show::new();
    let Some((mut world, people, tenant)) = site("site", &mut show)? else { return Ok(()) };
    let (marks, _) = leaving::plant(&world, &show, &tenant)?;
    leaving::online(&world, &people, &[(&people.customer, &tenant)])?;
    leaving::leave(&world, &people, &tenant)?;
    let id = tenant.id.as_str();
    people.operator.call(&["wipe", "approve", id])?;
    people.security.call(&["wipe", "approve", id])?;
    let mut kills = 0;
    while kills < 6 && !closed(&people, id)? {
        for guest in &tenant.instances {
            world.site.restart_host(&guest.host)?;
        }
        kills += 1;
        // Long enough to come up and get somewhere, not to come to the end.
        elapse(Duration::from_millis(700));
    }
    ensure!(kills > 1, "the wipe was over before anybody was killed");
    steps::wait_phase(&people, id, "closed", 240)?;
    leaving::scan(&world, &tenant, &marks)?;
    leaving::bundle(&world, &mut show, &people, &tenant)?;
    others_verify(&world)
}

/// The bundle that a real site made, before verifiers that we did not write.
fn others_verify(world: &World) -> anyhow::Result<()> {
    let Some(venv) = third_party::venv() else { return Ok(()) };
    let anchors = Anchors::from_json(&fs::read(world.anchors())?)?;
    let bundle = fs::read(world.run.path.join("exit-bundle.tar"))?;
    let unpacked = Unpacked::new(&bundle, &anchors)?;
    unpacked.python(&venv)?;
    unpacked.python_refuses_changes(&venv)
}

fn closed(people: &People, id: &str) -> anyhow::Result<bool> {
    let view = people.admin.call(&["tenant", "show", id])?;
    let phase = view["phase"].as_str().unwrap_or_default();
    ensure!(phase != "wipe-failed", "the wipe failed: {view:#}");
    Ok(phase == "closed" || phase == "wipe-verified")
}

#[test]
fn lab_a_cut_outlives_both_processes_and_is_there_before_their_return() -> anyhow::Result<()> {
    let mut show = Show::new();
    let Some((mut world, people, tenant)) = site("cut", &mut show)? else { return Ok(()) };
    let id = tenant.id.as_str();
    people.operator.call(&["cut", id, "--reason", "a flood", "--wait"])?;
    ensure!(!isolation::answers(&world, &tenant)?, "a guest answers though it is cut");
    let host = tenant.instances.first().context("no instance")?.host.clone();
    world.site.kill_host(&host)?;
    ensure!(!isolation::answers(&world, &tenant)?, "a guest answers when its agent is dead");
    world.restart_host(&host)?;
    ensure!(!isolation::answers(&world, &tenant)?, "a guest answers when its agent is back");
    isolation::restore(&world, &people, &tenant)?;
    Ok(())
}

#[test]
fn lab_nothing_secret_is_in_arguments_environments_or_logs() -> anyhow::Result<()> {
    let mut show = Show::new();
    let Some((world, people, tenant)) = site("secrets", &mut show)? else { return Ok(()) };
    let mut secrets = vec![world.webhook_secret.clone()];
    for person in [&people.admin, &people.customer, &people.operator] {
        secrets.push(fs::read_to_string(person.token_file())?.trim().to_owned());
    }
    for host in &world.site.hosts {
        for entry in fs::read_dir(host.disk.mount.join("keys"))? {
            let key = fs::read(entry?.path())?;
            let text: Vec<u8> = key.into_iter().take_while(u8::is_ascii_hexdigit).collect();
            ensure!(text.len() >= 32, "a key file holds no key");
            secrets.push(String::from_utf8(text)?);
        }
    }
    ensure!(secrets.len() >= 6, "there are {} secrets to look for", secrets.len());
    for (place, bytes) in world.site.exposed()? {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            ensure!(!found, "a secret is in {place}");
        }
    }
    let view: Value = people.admin.call(&["tenant", "show", &tenant.id])?;
    ensure!(!view.to_string().contains(&world.webhook_secret), "the API shows a webhook's secret");
    Ok(())
}
