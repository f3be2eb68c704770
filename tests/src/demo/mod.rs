//! The whole way of one tenant, on one machine: real programs, real guests, real mail. Only the
//! lifecycle's days pass faster, by the controller's demo clock.
//!
//! [`world`] is what the steps share, [`ctl`] how they act, [`marks`] knows their blocks again,
//! [`show`] is the report; [`steps`], [`isolation`] and [`leaving`] are the way itself.

use std::path::PathBuf;

use crate::lab::site::Build;

pub mod ctl;
pub mod isolation;
pub mod leaving;
pub mod marks;
pub mod show;
pub mod steps;
pub mod world;

use show::Show;
use world::World;

/// Where the demo's legal time starts: a day on which working days, holidays and make-up weekends
/// all lie ahead.
const LEGAL_START: &str = "2026-08-24T01:00:00Z";

/// What the demo is run with.
#[derive(Debug)]
pub struct Options {
    /// Programs and guest image.
    pub build: Build,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// Leave everything running.
    pub keep: bool,
}

/// Runs the demo; whether all of it passed.
///
/// # Errors
/// If the report cannot be written. A step that fails is no error: it is in the report.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mut show = Show::new();
    let mut world = None;
    // What went wrong is in the show already.
    let _ = way(&mut show, &mut world, options);
    let passed = show.passed();
    show.finish(options.report.as_deref())?;
    match world {
        Some(world) if options.keep => world.keep()?,
        Some(_) | None => {}
    }
    Ok(passed)
}

fn way(show: &mut Show, place: &mut Option<World>, options: &Options) -> anyhow::Result<()> {
    let build = options.build.clone();
    let world = show.step("A site: controller, two hosts, a customer's office", |_| {
        let world = World::create(build)?;
        Ok((world, "namespaces, loop devices, tmpfs, Postfix and a webhook receiver".to_owned()))
    })?;
    let world = place.insert(world);
    show.step("The controller starts, on a demo clock", |_| world.start_controller(LEGAL_START))?;
    let people = show.step("Everybody gets a token", |_| steps::people(world))?;
    show.step("Two hosts join over mutually authenticated QUIC", |show| {
        world.join_hosts(show, &people)
    })?;
    let mut tenant = show.step("A customer applies", |_| steps::apply(world, &people))?;
    show.step("A reviewer approves; two guests are placed and boot", |show| {
        steps::configure(world, show, &people, &mut tenant)
    })?;
    let neighbour =
        show.step("A neighbour moves in", |show| steps::neighbour(world, show, &people))?;
    let marks = show.step("What the guests write is on the devices", |show| {
        leaving::plant(world, show, &tenant)
    })?;
    show.step("Emergency: the tenant's network is cut while streams run", |show| {
        isolation::cut(world, show, &people, &tenant, &neighbour)
    })?;
    show.step("The customer is told, by mail and webhook", |show| {
        isolation::notices(world, show, &people, &tenant)
    })?;
    show.step("The network is restored", |_| isolation::restore(world, &people, &tenant))?;
    show.step("An agent is restarted; its guests run on", |_| {
        steps::restart_agent(world, &tenant)
    })?;
    show.step("Reports, review, online", |_| {
        let both = [(&people.customer, &tenant), (&people.neighbour, &neighbour.tenant)];
        leaving::online(world, &people, &both)
    })?;
    show.step("The tenant leaves: application, 15 working days, stop", |_| {
        leaving::leave(world, &people, &tenant)
    })?;
    show.step("Two persons approve; memory, disks and keys are wiped", |show| {
        leaving::wipe(show, &people, &tenant)
    })?;
    show.step("The devices underneath are searched", |_| leaving::scan(world, &tenant, &marks))?;
    show.step("The exit bundle is verified, and a forged one refused", |show| {
        leaving::bundle(world, show, &people, &tenant)
    })?;
    show.step("The neighbour has noticed nothing", |show| {
        steps::still_there(world, show, &neighbour)
    })
}
