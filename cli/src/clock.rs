//! `tenurectl clock`: the controller's legal time. Only a controller that was started with a demo
//! clock lets it be moved, and only forward.

use clap::Subcommand;
use serde_json::json;

use crate::{api::Api, failure::Failure, screen::Screen};

/// What can be done with the legal clock.
#[derive(Debug, Subcommand)]
pub(crate) enum ClockVerb {
    /// Real and legal time
    Show,
    /// Move a demo clock forward by whole days
    Advance {
        /// How many days, 1 to 3660
        #[arg(value_parser = clap::value_parser!(u32).range(1..=3660))]
        days: u32,
    },
}

/// Runs it.
pub(crate) fn run(verb: &ClockVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        ClockVerb::Show => screen.one(&api.get("/v1/clock")?),
        ClockVerb::Advance { days } => {
            screen.one(&api.post("/v1/demo/clock", &json!({ "advance_days": days }))?)
        }
    }
}
