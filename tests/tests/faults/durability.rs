//! A process is killed at each of its steps of a cut, and started again: nothing is cut without
//! notices that were armed before, no notice is lost, and one order stays one cut.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_tests::lab::{daemon::wait_for, site::Build};

use crate::{
    refused,
    rig::{Cut, Rig},
    scenario,
    steps::{self, Point, Tracer},
};

/// Whose process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Controller,
    /// The privileged side of the host that cuts.
    Hostd,
    /// Its network side.
    Agent,
}

/// Steps of each victim at which it is killed, unless all are asked for.
const SAMPLE: usize = 8;
/// How long a cut may take, killed process and all.
const LIMIT: Duration = Duration::from_secs(60);

impl Victim {
    pub(crate) fn pid(self, rig: &Rig) -> anyhow::Result<u32> {
        let host = &rig.site.hosts[rig.cut_host];
        let daemon = match self {
            Self::Controller => &rig.site.controller,
            Self::Hostd => &host.hostd,
            Self::Agent => &host.agent,
        };
        Ok(daemon.as_ref().context("it does not run")?.pid())
    }

    pub(crate) fn ended(self, rig: &mut Rig) -> anyhow::Result<bool> {
        let host = &mut rig.site.hosts[rig.cut_host];
        let daemon = match self {
            Self::Controller => &mut rig.site.controller,
            Self::Hostd => &mut host.hostd,
            Self::Agent => &mut host.agent,
        };
        daemon.as_mut().context("it does not run")?.ended()
    }

    pub(crate) fn start(self, rig: &mut Rig) -> anyhow::Result<()> {
        let build = rig.site.build().clone();
        let host = &mut rig.site.hosts[rig.cut_host];
        match self {
            Self::Controller => {
                rig.site.controller = None;
                rig.start_controller()?;
            }
            Self::Hostd => host.start_hostd(&build)?,
            Self::Agent => host.start_agent(&build)?,
        }
        rig.redial()
    }
}

/// Kills the victim at its steps, one after another: of cuts that take place, and of cuts that the
/// host refuses.
pub(crate) fn sweep(victim: Victim, build: &Build, venv: &Path, every: bool) -> anyhow::Result<()> {
    let mut rig = Rig::create(&format!("{victim:?}").to_lowercase(), build, venv)?;
    // The first cut is another one: it makes files that are there for all others.
    scenario::Scenario(Vec::new()).run(&mut rig, "first")?;
    let points = steps_of(victim, &mut rig)?;
    let chosen = choose(&points, if every { usize::MAX } else { SAMPLE });
    println!("{victim:?}: {} steps, killed at {}", points.len(), chosen.len());
    let mut kills = 0;
    for (at, point) in chosen.iter().enumerate() {
        let key = format!("{victim:?}-{at}");
        let killed = kill(victim, &mut rig, point, &key);
        kills += usize::from(killed.with_context(|| format!("{victim:?} killed at {point}"))?);
    }
    ensure!(kills > 5, "{victim:?} was killed {kills} times alone");
    let refused = refused::sweep(&mut rig, victim, every).context("refused cuts")?;
    ensure!(refused > 0, "{victim:?} was never killed in a refused cut");
    Ok(())
}

/// The steps of a cut, from the order until the hosts have destroyed its packets.
fn steps_of(victim: Victim, rig: &mut Rig) -> anyhow::Result<Vec<Point>> {
    let (pid, log) = (victim.pid(rig)?, rig.site.state.with_file_name("steps.log"));
    let points = steps::record(pid, &log, || {
        let cut = rig.cut("recorded")?;
        settle(rig, &cut)
    })?;
    ensure!(!points.is_empty(), "{victim:?} takes no step in a cut");
    rig.restore()?;
    Ok(points)
}

/// So many of the steps, spread over the calls of all threads.
pub(crate) fn choose(points: &[Point], most: usize) -> Vec<Point> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Point>> = BTreeMap::new();
    for point in points {
        groups.entry((&point.thread, &point.call)).or_default().push(point);
    }
    let rounds = groups.values().map(Vec::len).max().unwrap_or(0);
    let turns = (0..rounds).flat_map(|round| groups.values().filter_map(move |all| all.get(round)));
    turns.take(most).map(|point| (**point).clone()).collect()
}

/// Kills the victim at a step of a new cut and starts it again. Gives whether it came to the step.
fn kill(victim: Victim, rig: &mut Rig, point: &Point, key: &str) -> anyhow::Result<bool> {
    let before = cuts(&rig.view()?)?.len();
    let tracer = Tracer::kill_at(victim.pid(rig)?, point)?;
    let first = rig.cut(key).ok();
    let start = Instant::now();
    let mut killed = false;
    while !killed && start.elapsed() < LIMIT {
        killed = victim.ended(rig)?;
        if !killed
            && let Some(cut) = &first
            && settled(rig, cut)?
        {
            break;
        }
    }
    drop(tracer);
    let was_cut = rig.is_cut()?;
    if killed {
        victim.start(rig)?;
    }
    let after = cuts(&rig.view()?)?.len();
    ensure!(!was_cut || after == before + 1, "a host was cut, and the controller knows nothing");
    let cut = wait_for("the order to be taken", LIMIT, || Ok(rig.cut(key).ok()))?;
    ensure!(first.is_none_or(|first| first.id == cut.id), "one key gave two cuts");
    settle(rig, &cut)?;
    let view = rig.view()?;
    let all = cuts(&view)?;
    ensure!(all.len() == before + 1, "one order gave {} cuts", all.len() - before);
    each_arrived(rig, &cut)?;
    rig.restore()?;
    Ok(killed)
}

fn cuts(view: &Value) -> anyhow::Result<&Vec<Value>> {
    view["cuts"].as_array().context("no cuts")
}

/// Whether the customer is told of a cut that is in force, and the record says so.
fn settled(rig: &mut Rig, cut: &Cut) -> anyhow::Result<bool> {
    let Some(first) = rig.heard(&cut.id)?.into_iter().next() else { return Ok(false) };
    // The controller may be gone while it is asked.
    Ok(scenario::lacking(rig, cut, &first).is_ok_and(|lack| lack.is_none()))
}

fn settle(rig: &mut Rig, cut: &Cut) -> anyhow::Result<()> {
    wait_for("the cut to be over", LIMIT, || Ok(settled(rig, cut)?.then_some(())))
}

/// Every notice of a cut that took place is in one of the customer's systems.
fn each_arrived(rig: &mut Rig, cut: &Cut) -> anyhow::Result<()> {
    let mut waits = Vec::new();
    let all = wait_for("each notice to arrive", LIMIT, || {
        let notices = rig.list("notices")?;
        let mine = notices.into_iter().filter(|one| one["cut"] == cut.id.as_str());
        let mine: Vec<Value> = mine.filter(|one| one["state"] != "void").collect();
        waits = mine.iter().filter(|one| one["state"] != "delivered").cloned().collect();
        Ok((!mine.is_empty() && waits.is_empty()).then_some(mine))
    });
    let all = all.with_context(|| format!("{waits:#?}"))?;
    let heard = rig.heard(&cut.id)?;
    for notice in &all {
        let id = notice["id"].as_str().context("an id")?;
        let sms = notice["channel"] == "sms";
        let there = heard.iter().any(|one| one.id == id || (sms && one.channel == "sms"));
        ensure!(there, "a notice counts as delivered, and is nowhere: {notice:#}");
    }
    Ok(())
}
