//! An emergency cut on real processes while something fails: a customer is told within five
//! minutes whatever one or two of the eight faults are there, and whichever of our processes is
//! killed at whichever step. Times are real; the site lets its hosts speak after 10 s.
//!
//! `TENURE_FAULTS=Database` runs the scenarios alone whose names have that word in them, and
//! `TENURE_EVERY_STEP=1` kills at every step instead of at a sample of each kind.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test that damages a site, and compares times"
)]

mod course;
mod drill;
mod durability;
mod fault;
mod heard;
mod local;
mod refused;
mod rig;
mod scenario;
mod steps;

use durability::Victim;

#[test]
fn the_customer_is_told_whatever_one_or_two_faults_there_are() -> anyhow::Result<()> {
    course::run(std::env::var("TENURE_FAULTS").ok().as_deref())
}

#[test]
fn a_drill_cuts_tells_as_a_drill_restores_by_itself_and_reports_every_time() -> anyhow::Result<()> {
    let Some((build, venv)) = course::build("drill")? else { return Ok(()) };
    drill::run(&build, &venv)
}

#[test]
fn a_person_cuts_on_a_host_without_a_controller_and_the_host_tells() -> anyhow::Result<()> {
    let Some((build, venv)) = course::build("local")? else { return Ok(()) };
    local::tell(&build, &venv)
}

fn killed_at_every_step(victim: Victim) -> anyhow::Result<()> {
    let Some((build, venv)) = course::build("faults")? else { return Ok(()) };
    let every = std::env::var_os("TENURE_EVERY_STEP").is_some();
    durability::sweep(victim, &build, &venv, every)
}

#[test]
fn a_controller_that_is_killed_at_any_step_of_a_cut_loses_nothing() -> anyhow::Result<()> {
    killed_at_every_step(Victim::Controller)
}

#[test]
fn a_host_that_is_killed_at_any_step_of_a_cut_cuts_once_and_tells() -> anyhow::Result<()> {
    killed_at_every_step(Victim::Hostd)
}

#[test]
fn a_hosts_network_side_may_be_killed_at_any_step_of_a_cut() -> anyhow::Result<()> {
    killed_at_every_step(Victim::Agent)
}
