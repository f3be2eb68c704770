//! tenurectl: what people and scripts do with a Tenure controller, and the offline verifier.
//!
//! [`args`] says what can be typed, one module per noun below it says what it does. Everything goes
//! through [`api`] to the controller and through [`screen`] to the reader; [`failure`] holds what
//! can go wrong and with which exit code it ends. [`verify`] alone needs no controller.

mod account;
mod anomaly;
mod api;
mod application;
mod args;
mod attachment;
mod bundle;
mod calendar;
mod clock;
mod config;
mod contact;
mod deadline;
mod deployment;
mod drill;
mod duty;
mod environment;
mod events;
mod failure;
mod filing;
mod group;
mod harmless;
mod hold;
mod host;
mod isolation;
mod ledger;
mod manual;
mod meter;
mod offboarding;
mod oidc;
#[cfg(test)]
#[expect(dead_code, reason = "what its lines ask for is checked by a test of the whole program")]
mod operations;
mod order;
mod pause;
mod platform;
mod profile;
mod record;
mod report;
mod review;
mod screen;
mod session;
mod table;
mod tenant;
mod text;
mod token;
mod trial;
mod verify;
mod wait;
mod wipe;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Cli, Noun},
    failure::Failure,
    profile::Profile,
    screen::Screen,
};

fn main() -> ExitCode {
    // rustls panics at its first use if no provider was named; an error means that one was.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return show_usage(&error),
    };
    let screen = Screen::new(&cli.global);
    match run(cli, &screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// clap's own printing ignores a full disk behind stdout, ours does not.
fn show_usage(error: &clap::Error) -> ExitCode {
    let screen = Screen::plain();
    if error.use_stderr() {
        screen.tell(error.render().to_string().trim_end());
        return ExitCode::from(failure::USAGE);
    }
    match screen.text(error.render().to_string().trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli, screen: &Screen) -> Result<(), Failure> {
    let global = cli.global;
    let api = || {
        let (profile, config) = Profile::load(&global)?;
        profile.connect(&config)
    };
    match cli.noun {
        Noun::Application { verb } => application::run(verb, api, screen),
        Noun::Tenant { verb } => tenant::run(verb, &api()?, screen),
        Noun::Review { verb } => review::run(verb, &api()?, screen),
        Noun::Configuration { verb } => deployment::configuration(&verb, &api()?, screen),
        Noun::Deployment { verb } => deployment::deployment(&verb, &api()?, screen),
        Noun::Report { verb } => report::run(verb, &api()?, screen),
        Noun::Trial { verb } => trial::run(verb, &api()?, screen),
        Noun::Assessment { verb } => filing::assessment(verb, &api()?, screen),
        Noun::Icp { verb } => filing::icp(verb, &api()?, screen),
        Noun::Contact { verb } => contact::run(verb, api, screen),
        Noun::Group { verb } => group::run(verb, api, screen),
        Noun::Anomaly { verb } => anomaly::run(verb, &api()?, screen),
        Noun::Hold { verb } => hold::run(verb, &api()?, screen),
        Noun::Record { verb } => record::run(verb, api, screen),
        Noun::Inspection { verb } => record::inspection(verb, &api()?, screen),
        Noun::Access { verb } => record::access(verb, &api()?, screen),
        Noun::Attachment { verb } => attachment::run(verb, &api()?, screen),
        Noun::Duty(args) => duty::run(&args, &api()?, screen),
        Noun::Cut(args) => isolation::cut(&args, &api()?, screen),
        Noun::CutNotice { verb } => isolation::notice(&verb, &api()?, screen),
        Noun::Restore(args) => isolation::restore(&args, &api()?, screen),
        Noun::Drill { verb } => drill::run(verb, &api()?, screen),
        Noun::Canary { verb } => drill::canary(verb, &api()?, screen),
        Noun::Offboarding { verb } => offboarding::run(verb, &api()?, screen),
        Noun::Wipe { verb } => wipe::run(verb, &api()?, screen),
        Noun::Bundle { verb } => bundle::run(verb, &api()?, screen),
        Noun::Verify(args) => verify::run(&args, screen),
        Noun::Host { verb } => host::run(verb, &api()?, screen),
        Noun::Token { verb } => token::run(verb, &api()?, screen),
        Noun::Account { verb } => account::run(verb, &api()?, screen),
        Noun::Login(args) => session::login(&args, &Profile::load(&global)?, screen),
        Noun::Logout => session::logout(&Profile::load(&global)?, screen),
        Noun::Order { verb } => order::run(verb, &api()?, screen),
        Noun::Events(args) => events::run(&args, &api()?, screen),
        Noun::Image { verb } => platform::image(&verb, &api()?, screen),
        Noun::Anchors(args) => platform::anchors(&args, &api()?, screen),
        Noun::Deadline { verb } => deadline::run(verb, &api()?, screen),
        Noun::Calendar { verb } => calendar::run(verb, &api()?, screen),
        Noun::Clock { verb } => clock::run(&verb, &api()?, screen),
        Noun::Ledger { verb } => ledger::run(verb, &api()?, screen),
        Noun::Health => platform::health(&api()?, screen),
        Noun::Openapi => platform::openapi(&api()?, screen),
        Noun::Profile { verb } => config::run(&verb, &global, screen),
        Noun::Completions { shell } => manual::completions(shell, screen),
        Noun::Man { dir } => manual::pages(&dir, screen),
    }
}
