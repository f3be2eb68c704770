//! A process is killed at steps of a cut that its host refuses, and started again: whoever was told
//! that a cut is ordered is told by the same number that there is none, and what was armed and not
//! sent never goes out.

use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_tests::lab::daemon::{elapse, wait_for};

use crate::{
    durability::{self, Victim},
    rig::{Cut, Rig, isolation},
    scenario,
    steps::{self, Tracer},
};

/// Steps of each victim at which it is killed, unless all are asked for.
const SAMPLE: usize = 3;
/// How long a cut may take, killed process and all.
const LIMIT: Duration = Duration::from_secs(60);
/// For how long who was killed stays away, at most: armed notices go out after 3 s.
const AWAY: Duration = Duration::from_secs(4);
/// A generation that the controller's database is set to, and one that is older than the host's.
const NEWER: u32 = 1_000_000;
const OLDER: u32 = 100;
/// Sets the generation of the isolation on each of the tenant's hosts.
const SET_GENERATION: &str = "
import json, sqlite3, sys
path, tenant, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
with sqlite3.connect(path) as base:
    (state,) = base.execute('SELECT state FROM tenants WHERE id = ?', (tenant,)).fetchone()
    state = json.loads(state)
    for known in state['generations'].values():
        known['isolation'] = number
    text = json.dumps(state, ensure_ascii=False)
    base.execute('UPDATE tenants SET state = ? WHERE id = ?', (text, tenant))
";

/// Kills the victim at steps of cuts that the host refuses; gives how often it was.
pub(crate) fn sweep(rig: &mut Rig, victim: Victim, every: bool) -> anyhow::Result<usize> {
    age(rig).context("an older database")?;
    let (pid, log) = (victim.pid(rig)?, rig.site.state.with_file_name("refused.log"));
    let points = steps::record(pid, &log, || {
        let cut = rig.cut("recorded-refusal")?;
        settle(rig, &cut)
    })?;
    let chosen = durability::choose(&points, if every { usize::MAX } else { SAMPLE });
    println!("{victim:?}: {} steps of a refused cut, killed at {}", points.len(), chosen.len());
    let mut kills = 0;
    for (at, point) in chosen.iter().enumerate() {
        let tracer = Tracer::kill_at(victim.pid(rig)?, point)?;
        let killed = kill(victim, rig, tracer, &format!("{victim:?}-refused-{at}"));
        kills += usize::from(killed.with_context(|| format!("{victim:?} killed at {point}"))?);
    }
    Ok(kills)
}

/// The controller's database is older than what its hosts have seen, as one from a backup is: they
/// refuse its cuts.
fn age(rig: &mut Rig) -> anyhow::Result<()> {
    set_generation(rig, NEWER)?;
    scenario::Scenario(Vec::new()).run(rig, "newer")?;
    set_generation(rig, OLDER)
}

fn set_generation(rig: &mut Rig, number: u32) -> anyhow::Result<()> {
    rig.site.controller = None;
    let base = rig.site.state.join("tenure.db");
    let mut python = Command::new("python3");
    python.arg("-c").arg(SET_GENERATION).arg(base).arg(&rig.tenant).arg(number.to_string());
    let output = python.output().context("python3")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Victim::Controller.start(rig)
}

/// Lets the victim be killed at a step of a new cut, stay away until others have spoken, and come
/// back. Gives whether it came to the step.
fn kill(victim: Victim, rig: &mut Rig, tracer: Tracer, key: &str) -> anyhow::Result<bool> {
    let first = rig.cut(key).ok();
    let start = Instant::now();
    let mut killed = false;
    while !killed && start.elapsed() < LIMIT {
        killed = victim.ended(rig)?;
        if !killed
            && let Some(cut) = &first
            && lacking(rig, cut).is_ok_and(|lack| lack.is_none())
        {
            break;
        }
    }
    drop(tracer);
    if killed {
        stay_away(rig, first.as_ref())?;
        victim.start(rig)?;
    }
    let cut = wait_for("the order to be taken", LIMIT, || Ok(rig.cut(key).ok()))?;
    ensure!(first.is_none_or(|first| first.id == cut.id), "one key gave two cuts");
    settle(rig, &cut)?;
    Ok(killed)
}

/// Long enough for what is armed to go out, and too short for hosts to speak.
fn stay_away(rig: &mut Rig, cut: Option<&Cut>) -> anyhow::Result<()> {
    let Some(cut) = cut else { return Ok(()) };
    let since = Instant::now();
    while since.elapsed() < AWAY && rig.heard(&cut.id)?.is_empty() {
        elapse(Duration::from_millis(100));
    }
    Ok(())
}

fn settle(rig: &mut Rig, cut: &Cut) -> anyhow::Result<()> {
    let mut lacks = String::new();
    let settled = wait_for("the refusal to be known", LIMIT, || {
        let lack = lacking(rig, cut)?;
        lacks = lack.clone().unwrap_or_default();
        Ok(lack.is_none().then_some(()))
    });
    settled.context(lacks)
}

/// What the refused cut still lacks: an end, or a correction for somebody who was told of it.
fn lacking(rig: &mut Rig, cut: &Cut) -> anyhow::Result<Option<String>> {
    ensure!(!rig.is_cut()?, "a host carries out what it has refused");
    let view = rig.view()?;
    let cuts = view["cuts"].as_array().context("no cuts")?;
    let known = cuts.iter().find(|known| known["id"] == cut.id.as_str()).context("no cut")?;
    if known["end"]["end"] != "void" || isolation(&view) != "connected" {
        return Ok(Some(format!("not void: {}", known["end"])));
    }
    if !rig.keepers(&cut.id).is_empty() {
        return Ok(Some("hosts keep its packets".to_owned()));
    }
    let notices = rig.list("notices")?;
    let mine: Vec<&Value> = notices.iter().filter(|one| one["cut"] == cut.id.as_str()).collect();
    let open = |one: &&&Value| one["state"] != "void" && one["state"] != "delivered";
    if let Some(open) = mine.iter().find(open) {
        return Ok(Some(format!("a notice is under way: {open}")));
    }
    let whom = |one: &Value| format!("{} {}", one["contact"], one["channel"]);
    let of = |id: &str| mine.iter().find(|one| one["id"] == id);
    let heard = rig.heard(&cut.id)?;
    let (mut told, mut corrected) = (BTreeSet::new(), BTreeSet::new());
    for arrival in heard.iter().filter(|one| one.channel != "sms") {
        let notice = of(&arrival.id).with_context(|| format!("{arrival:?} is no notice"))?;
        let known = if notice["kind"] == "cut" { &mut told } else { &mut corrected };
        known.insert(whom(notice));
    }
    let texts = heard.iter().filter(|one| one.channel == "sms").count();
    if texts == 1 {
        return Ok(Some("a telephone has one text of a cut that there is not".to_owned()));
    }
    let uncorrected: Vec<_> = told.difference(&corrected).collect();
    Ok((!uncorrected.is_empty()).then(|| format!("not corrected: {uncorrected:?}: {mine:#?}")))
}
