//! The steps of the way up to going online, in the order in which they happen.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{
    ctl::{Person, string},
    show::Show,
    world::{Tenant, World},
};
use crate::lab::{daemon::wait_for, probe, stream::StreamReader};

/// Longest silence of a stream that counts as a guest's that runs on: guests are emulated, and
/// builds, wipes and scans take both cores from them.
const RUNS_ON: Duration = Duration::from_secs(3);

/// What a step gives: a value for the next ones, and a sentence for people.
pub type Step<T> = anyhow::Result<(T, String)>;

/// The persons of the story.
pub struct People {
    /// Runs the platform.
    pub admin: Person,
    /// Applies for the tenant.
    pub customer: Person,
    /// Applies for the neighbour.
    pub neighbour: Person,
    /// Reviews.
    pub reviewer: Person,
    /// Cuts and restores; approves the wipe.
    pub operator: Person,
    /// Approves the wipe as the second person.
    pub security: Person,
}

/// The neighbour, with a stream from its guest that is read until the end.
pub struct Neighbour {
    /// Its tenant.
    pub tenant: Tenant,
    /// What its guest sends all the time.
    pub stream: StreamReader,
    /// When the stream began.
    since: Instant,
}

/// Tokens for everybody, made by the administrator and confirmed by a second person.
///
/// # Errors
/// If the API refuses.
pub fn people(world: &World) -> Step<People> {
    let [admin, officer] = world.first_persons()?;
    let make = |name: &str, role: &str, customer: Option<&str>| -> anyhow::Result<Person> {
        let mut words = vec!["token", "create", name, "--role", role];
        words.extend(customer.iter().flat_map(|&customer| ["--customer", customer]));
        let answer = admin.call(&words)?;
        let person = world.desk.person(name, &string(&answer, "/token")?)?;
        person.refused(&["tenant", "list"], b"", 1)?;
        officer.call(&["token", "confirm", &string(&answer, "/id")?])?;
        Ok(person)
    };
    let people = People {
        customer: make("zhang.wei", "customer", Some("city-archive"))?,
        neighbour: make("chen.jing", "customer", Some("water-bureau"))?,
        reviewer: make("li.na", "reviewer", None)?,
        operator: make("wang.lei", "operator", None)?,
        security: make("zhao.min", "security", None)?,
        admin,
    };
    let stranger = world.desk.person("stranger", "not-a-token")?;
    let refused = stranger.refused(&["tenant", "list"], b"", 1)?;
    Ok((
        people,
        format!(
            "five persons have tokens, each confirmed by a second person; a wrong token: {}",
            first_line(&refused)
        ),
    ))
}

/// What a customer asks for.
fn application(world: &World, customer: &str, system: &str, roles: &[&str]) -> Value {
    let instances: Vec<Value> = roles
        .iter()
        .map(|role| {
            json!({
                "role": role, "count": 1, "vcpus": 1, "memory_mib": 128, "image": "tiny-1",
                "volumes_mib": [64],
                "ingress": [
                    {"protocol": "tcp", "port": 80},
                    {"protocol": "tcp", "port": 7},
                    {"protocol": "tcp", "port": 9000},
                ],
            })
        })
        .collect();
    let mut form = crate::fleet::example();
    form["customer"] = json!(customer);
    form["system"]["name"] = json!(system);
    form["system"]["code"] = json!(system);
    form["contacts"][0]["email"] = json!(world.mail_address());
    form["contacts"][0]["webhook"] =
        json!({"url": world.webhook_url(), "secret": world.webhook_secret});
    form["contacts"][1]["email"] = json!(world.mail_address());
    form["instances"] = json!(instances);
    form
}

/// A tenant is applied for; an impossible application is refused first.
///
/// # Errors
/// If the API does anything else.
pub fn apply(world: &World, people: &People) -> Step<Tenant> {
    let mut bad = application(world, "city-archive", "archive-portal", &["web", "db"]);
    bad["instances"][0]["vcpus"] = json!(0);
    let refused =
        people.customer.refused(&["application", "submit", "-"], bad.to_string().as_bytes(), 1)?;
    let tenant = submit(world, &people.customer, "city-archive", "archive-portal", &["web", "db"])?;
    let due = deadline(&people.customer, &tenant.id, "O3")?;
    Ok((
        tenant,
        format!(
            "0 vCPU: {}\nthe application is in; an opinion is due by {due} (O3, 5 working days)",
            first_line(&refused)
        ),
    ))
}

fn submit(
    world: &World,
    person: &Person,
    customer: &str,
    system: &str,
    roles: &[&str],
) -> anyhow::Result<Tenant> {
    let form = application(world, customer, system, roles);
    let view = person.call_with(&["application", "submit", "-"], form.to_string().as_bytes())?;
    Ok(Tenant { id: string(&view, "/id")?, ..Tenant::default() })
}

/// The tenant is approved by a person who did not apply, placed, and configured on real hosts.
///
/// # Errors
/// If it does not come to its trial.
pub fn configure(
    world: &mut World,
    show: &mut Show,
    people: &People,
    tenant: &mut Tenant,
) -> Step<()> {
    let start = Instant::now();
    approve(people, &tenant.id)?;
    trial(world, show, people, tenant)?;
    let hosts: Vec<&str> = tenant.instances.iter().map(|guest| guest.host.as_str()).collect();
    ensure!(hosts.len() == 2 && hosts[0] != hosts[1], "both instances are on {hosts:?}");
    show.figure("approval to last guest ready", start.elapsed().as_secs_f64(), "s");
    let opened = deadline(&people.customer, &tenant.id, "O7a")?;
    Ok(((), format!("both guests are up; the trial ends on {opened} (O7a)")))
}

fn approve(people: &People, tenant: &str) -> anyhow::Result<()> {
    let words = ["review", "approve", tenant, "--opinion", "complete, resources are there"];
    people.reviewer.call(&words).map(drop)
}

/// Waits until `tenant` is in its trial and its guests answer; plugs the fabric's uplinks.
fn trial(
    world: &mut World,
    show: &mut Show,
    people: &People,
    tenant: &mut Tenant,
) -> anyhow::Result<()> {
    let view = wait_phase(people, &tenant.id, "trial", 180)?;
    tenant.learn(&view)?;
    world.plug(tenant)?;
    for guest in &tenant.instances {
        let start = Instant::now();
        let page =
            wait_for(&format!("{} to answer", guest.name), Duration::from_secs(120), || {
                world.alive()?;
                Ok(probe::http_get(&world.customer_netns(), guest.address(80)?).ok())
            })?;
        ensure!(page.contains(&guest.name), "the page of {} says {page:?}", guest.name);
        show.say(&format!(
            "{} on {} ({}): its page came {:.1} s after the network was there",
            guest.name,
            guest.host,
            guest.ip4,
            start.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}

/// The same for a neighbour, who stays to the end and must notice nothing.
///
/// # Errors
/// As [`configure`].
pub fn neighbour(world: &mut World, show: &mut Show, people: &People) -> Step<Neighbour> {
    let mut tenant = submit(world, &people.neighbour, "water-bureau", "water-levels", &["app"])?;
    approve(people, &tenant.id)?;
    trial(world, show, people, &mut tenant)?;
    let seen = people.neighbour.call(&["tenant", "list"])?;
    let list = seen.as_array().or_else(|| seen["items"].as_array()).context("no list")?;
    let ids: Vec<&str> = list.iter().filter_map(|entry| entry["id"].as_str()).collect();
    ensure!(list.len() == 1 && ids == [tenant.id.as_str()], "the neighbour sees {seen}");
    let guest = tenant.instances.first().context("the neighbour has no guest")?;
    let stream = StreamReader::start(&world.customer_netns(), guest.address(9000)?)?;
    let neighbour = Neighbour { tenant, stream, since: Instant::now() };
    Ok((neighbour, "the neighbour's guest is up; it sees its own tenant alone".to_owned()))
}

/// Both processes of the first host are killed and started again; its guests must not notice.
///
/// # Errors
/// If a guest is gone, or is not found again.
pub fn restart_agent(world: &mut World, tenant: &Tenant) -> Step<()> {
    let guest = tenant.instances.first().context("no instance")?.clone();
    let stream = StreamReader::start(&world.customer_netns(), guest.address(9000)?)?;
    world.restart_host(&guest.host)?;
    let before = stream.count();
    wait_for("the guest's stream to go on", Duration::from_secs(10), || {
        Ok((stream.count() > before + 10).then_some(()))
    })?;
    Ok(((), format!("kill -9 of both processes on {}; {} ran on", guest.host, guest.name)))
}

/// The neighbour's guest has sent all the time, also while an agent was restarted (its own host's
/// or the other's), and still answers; what the agents need while idle is measured.
///
/// # Errors
/// If its stream paused or ended, or it does not answer.
pub fn still_there(world: &World, show: &mut Show, neighbour: &Neighbour) -> Step<()> {
    let pause = neighbour.stream.longest_gap(neighbour.since).as_secs_f64();
    show.figure("longest pause of the neighbour's stream, all the way", pause * 1000.0, "ms");
    ensure!(pause < RUNS_ON.as_secs_f64(), "the neighbour's stream paused for {pause:.1} s");
    for guest in &neighbour.tenant.instances {
        let page = probe::http_get(&world.customer_netns(), guest.address(80)?)?;
        ensure!(page.contains(&guest.name), "the page says {page:?}");
    }
    world.sizes(show)?;
    let minutes = neighbour.since.elapsed().as_secs_f64() / 60.0;
    Ok((
        (),
        format!(
            "its guest still answers; in {minutes:.1} minutes its stream never paused for more \
             than {pause:.2} s"
        ),
    ))
}

/// Waits for a phase of the lifecycle; fails at once in one that cannot lead there.
///
/// # Errors
/// If it is not reached in time.
pub fn wait_phase(
    people: &People,
    tenant: &str,
    phase: &str,
    limit_s: u64,
) -> anyhow::Result<Value> {
    wait_for(&format!("phase {phase}"), Duration::from_secs(limit_s), || {
        let view = people.admin.call(&["tenant", "show", tenant])?;
        let now = string(&view, "/phase")?;
        if now.ends_with("-failed") {
            let orders = people.admin.call(&["tenant", "orders", tenant])?;
            bail!("the tenant is {now}: {orders:#}");
        }
        Ok((now == phase).then_some(view))
    })
}

/// The last day of an open or discharged deadline.
///
/// # Errors
/// If the tenant has none of that name.
pub fn deadline(person: &Person, tenant: &str, id: &str) -> anyhow::Result<String> {
    let all = person.call(&["deadline", "list", tenant])?;
    let list =
        all.as_array().or_else(|| all["items"].as_array()).context("no list of deadlines")?;
    let mut days: BTreeMap<&str, String> = BTreeMap::new();
    for entry in list {
        if let (Some(id), Ok(day)) = (entry["id"].as_str(), string(entry, "/last_day")) {
            days.insert(id, day);
        }
    }
    days.remove(id).with_context(|| format!("no deadline {id} in {all}"))
}

/// The first line of a message.
#[must_use]
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
