//! The course that sites go through: all scenarios, one after another on each.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use tenure_tests::{
    lab::{guest, net, site::Build},
    third_party::venv,
};

use crate::{
    rig::Rig,
    scenario::{self, Scenario, Told},
};

/// Sites at once: scenarios mostly wait.
const RIGS: usize = 4;

/// The programs under test; none, and a word, where they cannot run.
pub(crate) fn build(test: &str) -> anyhow::Result<Option<(Build, PathBuf)>> {
    if !net::can_run(test) {
        return Ok(None);
    }
    let Some(venv) = venv() else { return Ok(None) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let binary = std::env::current_exe()?;
    let bin = binary.parent().and_then(|deps| deps.parent()).context("no target directory")?;
    for program in ["tenure-controller", "tenure-hostd", "tenure-agent", "tenurectl"] {
        ensure!(bin.join(program).exists(), "{program} is not built: cargo build --workspace");
    }
    let guest: PathBuf = guest::image()?.dir.canonicalize()?;
    Ok(Some((Build { bin: bin.to_owned(), guest }, venv.canonicalize()?)))
}

/// Scenarios, and how those went that are over.
struct Course {
    open: Mutex<VecDeque<(usize, Scenario)>>,
    over: Mutex<Vec<(usize, Scenario, anyhow::Result<Told>)>>,
}

impl Course {
    /// Has a rig go through scenarios until there are none, or one has broken it.
    fn take(&self, mut rig: Rig) {
        loop {
            let next = self.open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((at, scenario)) = next else { return };
            let told = scenario.run(&mut rig, &format!("cut-{at}"));
            let broken = told.is_err();
            eprintln!("{scenario}: {told:?}");
            self.over.lock().unwrap_or_else(PoisonError::into_inner).push((at, scenario, told));
            if broken {
                return;
            }
        }
    }
}

/// All scenarios, or those of which the name contains what is wanted; prints how each went.
pub(crate) fn run(wanted: Option<&str>) -> anyhow::Result<()> {
    let Some((build, venv)) = build("faults")? else { return Ok(()) };
    let mut scenarios = scenario::all();
    if let Some(wanted) = wanted {
        scenarios.retain(|scenario| scenario.to_string().contains(wanted));
    }
    let count = scenarios.len();
    let course = Course {
        open: Mutex::new(scenarios.into_iter().enumerate().collect()),
        over: Mutex::new(Vec::new()),
    };
    std::thread::scope(|scope| {
        let rigs: Vec<_> = (0..RIGS.min(count))
            .map(|at| {
                let (course, build, venv) = (&course, &build, &venv);
                scope.spawn(move || {
                    let rig = Rig::create(&format!("r{at}"), build, venv)?;
                    course.take(rig);
                    anyhow::Ok(())
                })
            })
            .collect();
        rigs.into_iter().try_for_each(|rig| rig.join().expect("no panic"))
    })?;
    let mut over = course.over.into_inner().unwrap_or_else(PoisonError::into_inner);
    over.sort_by_key(|(at, ..)| *at);
    for (_, scenario, told) in &over {
        match told {
            Ok(Told { after_s, channel, by, copies }) => {
                println!("{after_s:7.1} s  {channel:<8} {by:<11} {copies:>2}  {scenario}");
            }
            Err(error) => println!(" FAILED  {scenario}: {error:#}"),
        }
    }
    let told = over.iter().filter(|(.., told)| told.is_ok()).count();
    ensure!(told == count, "{told} of {count} scenarios went well");
    Ok(())
}
