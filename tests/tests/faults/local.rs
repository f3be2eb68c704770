//! A person cuts a tenant on its host while the controller is gone: the host itself tells the
//! customer, and the controller takes over what both did.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tenure_tests::lab::{
    daemon::{run, wait_for},
    site::Build,
};

use crate::{
    rig::{Cut, FALLBACK_S, Rig},
    scenario,
};

const LIMIT: Duration = Duration::from_secs(60);

/// The id that a cut of a person on this host has: that of the standing packet kept there.
fn reserved(rig: &Rig) -> anyhow::Result<String> {
    let packets = rig.site.hosts[rig.cut_host].dir.join("hostd/packets");
    wait_for("a standing packet", LIMIT, || {
        let mut found = None;
        for file in fs::read_dir(&packets)? {
            let name = file?.file_name().to_string_lossy().into_owned();
            found = name.strip_suffix(".packet").map(str::to_owned).or(found);
        }
        Ok(found)
    })
}

/// What an operator of the host is told by `tenure-agent`.
fn operator(rig: &Rig, words: &[&str]) -> anyhow::Result<String> {
    let config = rig.site.hosts[rig.cut_host].dir.join("agent.toml");
    let program = rig.site.program("tenure-agent");
    let (program, config) = (program.to_str(), config.to_str());
    let (program, config) = program.zip(config).context("paths are UTF-8")?;
    run(&[&[program, "--config", config], words].concat())
}

/// The controller is killed; a person cuts; the host tells; the controller comes back.
pub(crate) fn tell(build: &Build, venv: &Path) -> anyhow::Result<()> {
    let mut rig = Rig::create("local", build, venv)?;
    let (tenant, id) = (rig.tenant.clone(), reserved(&rig)?);
    rig.site.controller = None;
    let status = operator(&rig, &["status"])?;
    println!("{status}");
    ensure!(status.contains(&tenant), "{status}");
    let asked = Instant::now();
    let by = ["--by", "wang.lei", "--reason", "it floods the extranet"];
    let said = operator(&rig, &[&["cut", "--tenant", &tenant], &by[..]].concat())?;
    println!("{said}");
    ensure!(said.contains(&id) && rig.is_cut()?, "{said}");
    let mut heard = Vec::new();
    let both = wait_for("mail and webhook from the host", LIMIT, || {
        heard = rig.heard(&id)?;
        let over = |channel: &str| heard.iter().any(|one| one.channel == channel);
        Ok((over("mail") && over("webhook")).then_some(()))
    });
    both.with_context(|| format!("{heard:#?}"))?;
    ensure!(asked.elapsed() >= Duration::from_secs(FALLBACK_S), "before its time");
    for arrival in &heard {
        ensure!(rig.role(&arrival.from) == "cut host", "{arrival:?}");
    }

    rig.start_controller()?;
    rig.redial()?;
    let (cut, mut lacks) = (Cut { id: id.clone(), asked }, None);
    let first = heard.first().context("nothing was heard")?;
    let agreed = wait_for("the record to agree", 2 * LIMIT, || {
        // It is not known before the host was heard.
        lacks =
            scenario::lacking(&rig, &cut, first).unwrap_or_else(|error| Some(error.to_string()));
        Ok(lacks.is_none().then_some(()))
    });
    agreed.with_context(|| format!("{lacks:?}"))?;
    let notices = rig.list("notices")?;
    let known = |id: &str| notices.iter().any(|one| one["id"] == id);
    for arrival in &heard {
        ensure!(known(&arrival.id), "{arrival:?} is none of the controller's notices");
    }
    let view = rig.view()?;
    ensure!(view["cuts"].as_array().is_some_and(|cuts| cuts.len() == 1), "{:#}", view["cuts"]);
    let owed = rig.list("deadlines")?;
    let told = owed.iter().filter(|one| one["id"] == "O12b").count();
    ensure!(told == 1, "{owed:#?}");
    rig.restore()?;
    ensure!(reserved(&rig)? != id, "another packet stands for the next cut");
    Ok(())
}
