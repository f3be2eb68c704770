//! The steps from the reports to the verified exit bundle.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tenure_protocol::evidence::anchors::Anchors;

use super::{
    ctl::{Person, string},
    marks,
    show::Show,
    steps::{People, Step, deadline, first_line, wait_phase},
    world::{Tenant, VolumePlace, World},
};
use crate::{
    lab::{
        daemon::{run, wait_for},
        probe,
    },
    scan,
    third_party::Unpacked,
};

/// What the guests left on the hosts, before the wipe.
pub struct Marks {
    blocks: Vec<(String, marks::Fingerprints)>,
}

/// The guests' marks are on the devices: as ciphertext in the volumes, in the clear in memory.
///
/// # Errors
/// If they are not: then a later scan that finds nothing would prove nothing.
pub fn plant(world: &World, show: &Show, tenant: &Tenant) -> Step<Marks> {
    let mut blocks = Vec::new();
    for guest in &tenant.instances {
        let host = world.host(&guest.host)?;
        let ram = host.ram.mount.join(&guest.id);
        let mark = format!("TENURE-RAM-MARK:{}", guest.name);
        let in_ram = wait_for("the guest's mark in its memory", Duration::from_secs(60), || {
            let found = scan::count(&ram, mark.as_bytes())?;
            Ok((found > 0).then_some(found))
        })?;
        for VolumePlace { path, is_device, on } in world.volume_places(guest)? {
            let plain = scan::count(&path, b"TENURE-DISK-MARK")?;
            ensure!(plain == 0, "{} holds what the guest wrote in the clear", path.display());
            let prints = if is_device {
                marks::of_device(path.to_str().context("path is not UTF-8")?)?
            } else {
                marks::of_file(&path, &on)?
            };
            ensure!(prints.len() > 1000, "{} holds {} blocks", path.display(), prints.len());
            let found = marks::on_device(&on, &prints)?;
            ensure!(found >= prints.len(), "the scan of {on} is blind");
            let layout = if is_device { "a partition of its own" } else { "a file" };
            show.say(&format!(
                "{}: mark {in_ram} × in memory; {found} encrypted blocks in {layout} on {on}",
                guest.name
            ));
            blocks.push((on, prints));
        }
    }
    Ok((Marks { blocks }, "the scan finds the tenant's marks on both hosts".to_owned()))
}

/// Reports, review, online, for each tenant with its customer; the first is looked at closely.
///
/// # Errors
/// If the API refuses.
pub fn online(world: &World, people: &People, tenants: &[(&Person, &Tenant)]) -> Step<()> {
    let dir = &world.run.path;
    let (test, security) = (dir.join("test-report.txt"), dir.join("security-report.txt"));
    fs::write(&test, "stress test: 500 users, p99 180 ms; internal test: passed\n")?;
    fs::write(&security, "security pre-assessment: no finding above low\n")?;
    advance(people, 12)?;
    let (test, security) = (test.to_string_lossy(), security.to_string_lossy());
    for (person, tenant) in tenants {
        let files = ["--test-report", &test, "--security-report", &security];
        person.call(&[["report", "submit", &tenant.id].as_slice(), &files].concat())?;
    }
    let (_, first) = tenants.first().context("no tenant")?;
    let id = first.id.as_str();
    let own = ["report", "pass", id, "--opinion", "fine"];
    let refused = people.customer.refused(&own, b"", 1)?;
    for (_, tenant) in tenants {
        let words = ["report", "pass", &tenant.id, "--opinion", "both reports are sound"];
        people.reviewer.call(&words)?;
    }
    wait_phase(people, id, "online", 20)?;
    let mlps = deadline(&people.customer, id, "O8")?;
    Ok((
        (),
        format!(
            "the customer may not review itself: {}\nonline; MLPS assessment due by {mlps} (O8)",
            first_line(&refused)
        ),
    ))
}

fn advance(people: &People, days: u32) -> anyhow::Result<()> {
    people.admin.call(&["clock", "advance", &days.to_string()]).map(drop)
}

/// Off-boarding is applied for and approved; the days pass; the guests stop.
///
/// # Errors
/// If the guests stop too early, or not at all.
pub fn leave(world: &World, people: &People, tenant: &Tenant) -> Step<()> {
    let id = tenant.id.as_str();
    let today = string(&people.admin.call(&["clock", "show"])?, "/today")?;
    let soon = ["offboarding", "request", id, "--stop-day", &today, "--reason", "moves away"];
    let refused = people.customer.refused(&soon, b"", 1)?;
    let lawful = refused
        .split(|c: char| !(c.is_ascii_digit() || c == '-'))
        .rfind(|word| word.len() == 10 && *word != today)
        .context("the refusal names no lawful day")?;
    let words = ["offboarding", "request", id, "--stop-day", lawful, "--reason", "moves away"];
    people.customer.call(&words)?;
    people.reviewer.call(&["offboarding", "approve", id, "--opinion", "agreed"])?;
    people.customer.call(&["offboarding", "confirm", id, "--migrated", "--backed-up"])?;
    let early = ["wipe", "approve", id];
    people.operator.refused(&early, b"", 1)?;
    let mut days = 0;
    while string(&people.admin.call(&["clock", "show"])?, "/today")?.as_str() < lawful {
        advance(people, 1)?;
        days += 1;
        ensure!(days < 60, "day {lawful} never comes");
    }
    wait_phase(people, id, "stopped", 60)?;
    for guest in &tenant.instances {
        let answers = probe::connects(&world.customer_netns(), guest.address(80)?)?;
        ensure!(!answers, "{} still answers", guest.name);
    }
    Ok(((), format!("too early a day is refused; {days} days later, on {lawful}, both stopped")))
}

/// Two persons approve; memory, disks and keys are wiped and read back.
///
/// # Errors
/// If one person is enough, or the wipe does not end in verified attestations.
pub fn wipe(show: &mut Show, people: &People, tenant: &Tenant) -> Step<()> {
    let id = tenant.id.as_str();
    people.operator.call(&["wipe", "approve", id])?;
    let twice = people.operator.refused(&["wipe", "approve", id], b"", 1)?;
    people.security.call(&["wipe", "approve", id])?;
    let start = Instant::now();
    wait_phase(people, id, "closed", 240)?;
    show.figure("second approval to closed", start.elapsed().as_secs_f64(), "s");
    Ok(((), format!("the same person twice: {}\nwiped, read back, closed", first_line(&twice))))
}

/// The device underneath, all of it, holds nothing of the tenant.
///
/// # Errors
/// If anything is found.
pub fn scan(world: &World, tenant: &Tenant, marks: &Marks) -> Step<()> {
    let mut looked_for = 0;
    for (device, prints) in &marks.blocks {
        let found = marks::on_device(device, prints)?;
        ensure!(found == 0, "{found} blocks of the tenant are still on {device}");
        looked_for += prints.len();
    }
    for guest in &tenant.instances {
        let host = world.host(&guest.host)?;
        ensure!(!host.ram.mount.join(&guest.id).exists(), "the memory of {} is there", guest.name);
        for entry in fs::read_dir(&host.ram.mount)? {
            let mark = format!("TENURE-RAM-MARK:{}", guest.name);
            let found = scan::count(&entry?.path(), mark.as_bytes())?;
            ensure!(found == 0, "a mark of {} is still in memory", guest.name);
        }
    }
    Ok(((), format!("none of {looked_for} blocks is on either device; no memory file is left")))
}

/// The exit bundle verifies offline, and not after one flipped byte.
///
/// # Errors
/// If it is refused, or a forged one accepted.
pub fn bundle(world: &World, show: &mut Show, people: &People, tenant: &Tenant) -> Step<()> {
    let path = world.run.path.join("exit-bundle.tar");
    let name = path.to_string_lossy().into_owned();
    people.customer.call(&["bundle", "fetch", &tenant.id, "-o", &name])?;
    let anchors = world.anchors();
    let verify = |file: &str| -> anyhow::Result<(i32, String)> {
        let words = ["verify", file, "--anchors", &anchors];
        let answer = people.admin.try_call(&words, b"")?;
        Ok((answer.code, answer.stdout + &answer.stderr))
    };
    let start = Instant::now();
    let (code, text) = verify(&name)?;
    show.figure("tenurectl verify", start.elapsed().as_secs_f64() * 1000.0, "ms");
    ensure!(code == 0, "the bundle is refused: {text}");
    let bytes = fs::read(&path)?;
    let forged = world.run.path.join("forged.tar");
    let places = [bytes.len() / 7, bytes.len() / 3, bytes.len() / 2, bytes.len() * 9 / 10];
    for at in places {
        let mut copy = bytes.clone();
        copy[at] ^= 1;
        fs::write(&forged, copy)?;
        let (code, text) = verify(&forged.to_string_lossy())?;
        ensure!(code == 3, "byte {at} flipped, and verify exits {code}: {text}");
    }
    let text = fs::read(&anchors)?;
    let signatures = Unpacked::new(&bytes, &Anchors::from_json(&text)?)?.openssl()?;
    speed(show, &path)?;
    show.figure("exit bundle", f64::from(u32::try_from(bytes.len())?) / 1024.0, "KiB");
    let places = places.len();
    let others = format!("OpenSSL accepts and refuses likewise, {signatures} signatures");
    Ok(((), format!("accepted; refused with one bit flipped, at {places} places; {others}")))
}

/// How fast the wipe was, by its own signed statements: bytes and time of all passes and
/// read-backs.
fn speed(show: &mut Show, bundle: &Path) -> anyhow::Result<()> {
    let dir = bundle.with_extension("d");
    fs::create_dir_all(&dir)?;
    run(&["tar", "-xf", &bundle.to_string_lossy(), "-C", &dir.to_string_lossy()])?;
    let (mut written, mut read) = ((0, 0), (0, 0));
    for entry in fs::read_dir(dir.join("statements"))? {
        let envelope: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
        let payload = STANDARD.decode(string(&envelope, "/payload")?)?;
        let statement: Value = serde_json::from_slice(&payload)?;
        if string(&statement, "/predicateType")?.contains("media-wipe") {
            let measured = &statement["predicate"]["measured"];
            add(&mut written, &measured["passes"])?;
            add(&mut read, &measured["readBacks"])?;
        }
    }
    for (name, (bytes, ns)) in [("overwriting", written), ("reading back", read)] {
        ensure!(bytes > 0 && ns > 0, "the statements tell nothing of {name}");
        // Bytes per microsecond are MB/s.
        let rate =
            Duration::from_micros(bytes).as_secs_f64() / Duration::from_nanos(ns).as_secs_f64();
        show.figure(&format!("disk wipe, {name}"), rate, "MB/s");
    }
    Ok(())
}

fn add(sum: &mut (u64, u64), list: &Value) -> anyhow::Result<()> {
    for entry in list.as_array().context("no list")? {
        sum.0 += entry["bytes"].as_u64().context("no bytes")?;
        sum.1 += entry["span"]["tookNs"].as_u64().context("no time")?;
    }
    Ok(())
}
