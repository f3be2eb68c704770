//! A scenario: faults, a cut, and what has to come of it.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_tests::lab::daemon::wait_for;

use crate::{
    fault::{FAULTS, Fault},
    heard::Arrival,
    rig::{Cut, Rig, isolation},
};

/// Clause 6.3.
const LIMIT: Duration = Duration::from_secs(300);

/// What happens together.
#[derive(Debug, Clone)]
pub(crate) struct Scenario(pub(crate) Vec<Fault>);

/// How it went.
#[derive(Debug)]
pub(crate) struct Told {
    /// From the cut's commit, as the host's kernel has it, to the first arrival, s.
    pub(crate) after_s: f64,
    pub(crate) channel: &'static str,
    /// Who sent what arrived first.
    pub(crate) by: &'static str,
    /// How many copies came in all.
    pub(crate) copies: usize,
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().map(|fault| format!("{fault:?}")).collect();
        f.write_str(&names.join(" + "))
    }
}

/// Every fault in each of its variants, and every two faults, with variants that change from one
/// pair to the next.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut turn = 0;
    for (at, faults) in FAULTS.iter().enumerate() {
        all.extend(faults.iter().map(|fault| Scenario(vec![*fault])));
        for others in &FAULTS[at + 1..] {
            let (one, other) = (faults[turn % faults.len()], others[turn % others.len()]);
            all.push(Scenario(vec![one, other]));
            turn += 1;
        }
    }
    // Those in which the controller is silent take longest: they go first.
    all.sort_by_key(|scenario| !scenario.0.iter().any(|fault| fault.silences()));
    all
}

impl Scenario {
    /// Lets it happen. The rig is whole again afterwards, if it says how it went.
    pub(crate) fn run(&self, rig: &mut Rig, key: &str) -> anyhow::Result<Told> {
        let early = || self.0.iter().filter(|fault| fault.is_early());
        let late = || self.0.iter().filter(|fault| !fault.is_early());
        let silent = late().any(|fault| fault.silences());
        for fault in early() {
            rig.inject(*fault, 0).with_context(|| format!("{fault:?}"))?;
        }
        if silent {
            rig.gag()?;
        }
        let cut = rig.cut(key)?;
        let witness = await_commit(rig, &cut)?;
        for fault in late() {
            rig.inject(*fault, witness).with_context(|| format!("{fault:?}"))?;
        }
        let first = wait_for("the customer to be told", LIMIT, || {
            Ok(rig.heard(&cut.id)?.into_iter().next())
        })?;
        if silent {
            rig.ungag()?;
        }
        for fault in self.0.iter().rev() {
            rig.mend(*fault, witness).with_context(|| format!("mending {fault:?}"))?;
        }
        if late().next().is_some() {
            rig.redial()?;
        }
        let (t0, copies) = agree(rig, &cut, &first)?;
        rig.restore()?;
        let after_s = first.at.duration_since(t0).unwrap_or_default().as_secs_f64();
        ensure!(after_s < LIMIT.as_secs_f64(), "told after {after_s} s");
        let by = rig.role(&first.from);
        Ok(Told { after_s, channel: first.channel, by, copies })
    }
}

/// Waits until the kernel of the host has committed the cut and the witness keeps its packet, and
/// says which host that is.
fn await_commit(rig: &Rig, cut: &Cut) -> anyhow::Result<usize> {
    let witness = wait_for("the cut, and its packets", Duration::from_secs(20), || {
        let others = rig.keepers(&cut.id).into_iter().find(|host| *host != rig.cut_host);
        Ok(others.filter(|_| rig.is_cut().unwrap_or(false)))
    });
    let asked = cut.asked.elapsed().as_secs_f64();
    witness.with_context(|| format!("{asked:.1} s after the order"))
}

/// The controller's record comes to say what the customer's systems saw. Gives t0, and how many
/// copies came.
fn agree(rig: &mut Rig, cut: &Cut, first: &Arrival) -> anyhow::Result<(SystemTime, usize)> {
    let begun = Instant::now();
    let mut lacks = String::new();
    let agreed = wait_for("the record to agree", Duration::from_secs(60), || {
        match lacking(rig, cut, first)? {
            Some(lack) => {
                lacks = lack;
                Ok(None)
            }
            None => Ok(Some(())),
        }
    });
    agreed.with_context(|| format!("{lacks} ({} s)", begun.elapsed().as_secs()))?;
    let view = rig.view()?;
    let known = this(&view, cut)?;
    let t0: tenure_protocol::time::Timestamp =
        known["t0"]["earliest"].as_str().context("no t0")?.parse()?;
    let t0 = SystemTime::UNIX_EPOCH + Duration::from_millis(t0.unix_ms().try_into()?);
    let heard = rig.heard(&cut.id)?;
    let ids: Vec<&str> =
        known["notices"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for arrival in &heard {
        let ours = arrival.id.is_empty() || ids.contains(&arrival.id.as_str());
        ensure!(ours, "{arrival:?} is none of the notices {ids:?}");
    }
    Ok((t0, heard.len()))
}

fn this<'a>(view: &'a Value, cut: &Cut) -> anyhow::Result<&'a Value> {
    let cuts = view["cuts"].as_array().context("no cuts")?;
    cuts.iter().rfind(|known| known["id"] == cut.id.as_str()).context("the cut is not known")
}

/// What of the record does not agree yet.
pub(crate) fn lacking(rig: &Rig, cut: &Cut, first: &Arrival) -> anyhow::Result<Option<String>> {
    let view = rig.view()?;
    let known = this(&view, cut)?;
    if isolation(&view) != "cut" {
        return Ok(Some(format!("isolation {}", view["isolation"])));
    }
    let notices = rig.list("notices")?;
    let mine: Vec<&Value> = notices.iter().filter(|one| one["cut"] == cut.id.as_str()).collect();
    let delivered = mine.iter().any(|one| one["grade"] == "E2");
    if !delivered || known["notified_at"].is_null() {
        return Ok(Some(format!("no notice is delivered: {mine:#?}")));
    }
    let from_host = first.from != "controller";
    let by = |one: &&Value| one["tries"].to_string().contains(&format!("\"{}\"", first.from));
    if from_host && !mine.iter().any(by) {
        return Ok(Some(format!("no try of {}: {mine:#?}", first.from)));
    }
    let number = &known["number"];
    let deadlines = rig.list("deadlines")?;
    let owed = deadlines.iter().find(|one| one["id"] == "O12b" && one["serial"] == *number);
    if owed.is_none_or(|owed| owed["state"] != "discharged") {
        return Ok(Some(format!("O12b: {owed:?}")));
    }
    let keepers = rig.keepers(&cut.id);
    Ok((!keepers.is_empty()).then(|| format!("hosts {keepers:?} keep its packets")))
}
