//! The steps of an emergency cut: traffic stops, the neighbour's does not, notices arrive, restore.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_protocol::time::Timestamp;

use super::{
    ctl::string,
    show::Show,
    steps::{Neighbour, People, Step},
    world::{Tenant, World},
};
use crate::lab::{
    daemon::{elapse, run_in, wait_for},
    probe,
    stream::StreamReader,
};

/// How long streams are watched before and after.
const WATCH: Duration = Duration::from_secs(2);
/// Longest silence of the neighbour's stream that still counts as undisturbed: its guest is
/// emulated on two busy cores.
const NEIGHBOUR_GAP: Duration = Duration::from_millis(1500);

/// The cut, while a stream runs from each of the tenant's guests, and the neighbour's goes on.
///
/// # Errors
/// If anything of the tenant still passes, or the neighbour is disturbed.
pub fn cut(
    world: &mut World,
    show: &mut Show,
    people: &People,
    tenant: &Tenant,
    neighbour: &Neighbour,
) -> Step<()> {
    let client = world.customer_netns();
    let streams: Vec<StreamReader> = tenant
        .instances
        .iter()
        .map(|guest| StreamReader::start(&client, guest.address(9000)?))
        .collect::<anyhow::Result<_>>()?;
    let theirs = &neighbour.stream;
    watch(&[&streams[0], &streams[1], theirs], WATCH)?;

    let (asked, answer) = world.api_post(
        &people.operator,
        &format!("/v1/tenants/{}/cut", tenant.id),
        r#"{"kind":"emergency","reason":"the portal floods the platform"}"#,
    )?;
    world.cut_asked_at = SystemTime::now() - asked.elapsed();
    world.cut = Some((asked, string(&answer, "/cut")?));
    wait_for_state(people, tenant, "cut")?;
    let before: Vec<usize> = streams.iter().map(StreamReader::count).collect();
    watch(&[theirs], WATCH)?;
    let after: Vec<usize> = streams.iter().map(StreamReader::count).collect();
    ensure!(before == after, "streams went on after the cut: {before:?}, then {after:?}");
    let last = streams.iter().filter_map(StreamReader::last).max().context("no stream")?;
    let last_ms = last.saturating_duration_since(asked).as_secs_f64() * 1000.0;
    show.figure("API request to the last byte of a stream (a line each 10 ms)", last_ms, "ms");
    let view = people.admin.call(&["tenant", "show", &tenant.id])?;
    let t0: Timestamp = string(&view, "/cuts/0/t0/latest")?.parse()?;
    let asked_at = world.cut_asked_at.duration_since(SystemTime::UNIX_EPOCH)?;
    let asked_at = Timestamp::from_unix_ms(i64::try_from(asked_at.as_millis())?);
    let commit_ms = f64::from(i32::try_from(t0.ms_since(asked_at))?);
    show.figure("API request to the first host's kernel commit (t0)", commit_ms, "ms");
    let gap = theirs.longest_gap(asked);
    ensure!(gap < NEIGHBOUR_GAP, "the neighbour's stream paused for {} ms", gap.as_millis());
    show.figure("longest pause of the neighbour's stream", gap.as_secs_f64() * 1000.0, "ms");
    ensure!(!answers(world, tenant)?, "a guest still answers");
    show_tables(world, show, tenant)?;
    Ok((
        (),
        format!("the last byte came {last_ms:.0} ms after the request; the neighbour's went on"),
    ))
}

/// Waits until every host has reported the tenant's isolation to be `state`.
///
/// # Errors
/// If that does not come.
pub fn wait_for_state(people: &People, tenant: &Tenant, state: &str) -> anyhow::Result<()> {
    wait_for(&format!("isolation {state}"), Duration::from_secs(20), || {
        let view = people.admin.call(&["tenant", "show", &tenant.id])?;
        Ok((isolation(&view) == state).then_some(()))
    })
}

/// Whether any guest of the tenant takes a connection.
///
/// # Errors
/// If the customer's side of the network is gone.
pub fn answers(world: &World, tenant: &Tenant) -> anyhow::Result<bool> {
    let client = world.customer_netns();
    for guest in &tenant.instances {
        if probe::connects(&client, guest.address(80)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn isolation(view: &Value) -> String {
    let value = &view["isolation"];
    value.as_str().or_else(|| value["state"].as_str()).unwrap_or_default().to_owned()
}

/// Lets the streams run for a while; each must have moved.
fn watch(streams: &[&StreamReader], long: Duration) -> anyhow::Result<()> {
    let before: Vec<usize> = streams.iter().map(|stream| stream.count()).collect();
    elapse(long);
    for (stream, before) in streams.iter().zip(before) {
        ensure!(stream.count() > before, "a stream that should run stands still");
    }
    Ok(())
}

/// What an operator would look at on a host: both stages of the cut.
fn show_tables(world: &World, show: &mut Show, tenant: &Tenant) -> anyhow::Result<()> {
    let host = &tenant.instances.first().context("no instance")?.host;
    let netns = world.host_netns(host)?;
    let list = |table: [&str; 2], words: &[&str]| {
        let text = run_in(&netns, &["nft", "list", "table", table[0], table[1]])?;
        show.say(&format!("{host}# nft list table {} {}", table[0], table[1]));
        let lines = text.lines().filter(|line| words.iter().any(|word| line.contains(word)));
        lines.take(16).for_each(|line| show.say(&format!("  {}", line.trim())));
        anyhow::Ok(text)
    };
    let words = ["set cut_tenant", "elements", "counter ", "packets", "drop"];
    list(["bridge", "tenure_cut"], &words)?;
    let tables = run_in(&netns, &["nft", "list", "tables", "netdev"])?;
    let seals: Vec<&str> = tables.lines().filter_map(|line| line.split(' ').next_back()).collect();
    // The seal is made a moment after the commit, and before the host reports it.
    ensure!(seals.len() == 1, "one tenant is cut on {host}, and these are sealed: {seals:?}");
    let sealed = list(["netdev", seals[0]], &["chain", "hook", "packets"])?;
    ensure!(sealed.contains("hook ingress") && sealed.contains("hook egress"), "{sealed}");
    Ok(())
}

/// Both channels delivered, with evidence.
///
/// # Errors
/// If a notice does not come, or without its evidence.
pub fn notices(world: &World, show: &mut Show, people: &People, tenant: &Tenant) -> Step<()> {
    let (asked, cut) = world.cut.clone().context("no cut was asked for")?;
    let limit = Duration::from_secs(30);
    let hook = wait_for("the webhook", limit, || {
        let about = |text: String| text.contains(&cut);
        let mut all = world.webhook.received().into_iter();
        Ok(all.find(|message| message.signed && about(message.body.to_string())))
    })?;
    let hook_s = hook.at.saturating_duration_since(asked).as_secs_f64();
    let (mail, arrived) = wait_for("the mail", limit, || {
        let mut all = world.mail.mails()?.into_iter();
        Ok(all.find(|(mail, _)| mail.contains(&cut)))
    })?;
    let mail_s = arrived.duration_since(world.cut_asked_at)?.as_secs_f64();
    show.figure("cut request to webhook received", hook_s, "s");
    show.figure("cut request to mail in the customer's mailbox", mail_s, "s");
    ensure!(mail.contains("Subject:"), "the mail has no subject");
    let grades = wait_for("evidence of both deliveries", limit, || {
        let list = people.customer.call(&["tenant", "notices", &tenant.id])?;
        let delivered = delivered(&list, &cut);
        Ok((delivered.len() >= 2).then_some(delivered))
    })?;
    Ok(((), format!("mail and signed webhook arrived; evidence kept:\n{}", grades.join("\n"))))
}

fn delivered(list: &Value, cut: &str) -> Vec<String> {
    let items = list.as_array().or_else(|| list["items"].as_array());
    let delivered = items
        .into_iter()
        .flatten()
        .filter(|notice| notice["grade"] == "E2" && notice["cut"] == cut);
    delivered
        .map(|notice| {
            let tried = notice["tries"].as_array().and_then(|tries| tries.last());
            let evidence = tried.map(|tried| tried["evidence"].to_string()).unwrap_or_default();
            format!("{} {} {evidence}", notice["channel"], notice["grade"])
        })
        .collect()
}

/// Traffic passes again.
///
/// # Errors
/// If it does not.
pub fn restore(world: &World, people: &People, tenant: &Tenant) -> Step<()> {
    let words = ["restore", tenant.id.as_str(), "--reason", "the cause is mended"];
    people.operator.call(&words)?;
    let client = world.customer_netns();
    for guest in &tenant.instances {
        wait_for(&format!("{} to answer again", guest.name), Duration::from_secs(30), || {
            Ok(probe::http_get(&client, guest.address(80)?).ok())
        })?;
    }
    Ok(((), "both guests answer again".to_owned()))
}
