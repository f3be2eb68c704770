//! `tenurectl order`: one order to one host.

use clap::Subcommand;
use serde_json::Value;
use tenure_protocol::id::OrderId;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Screen, cell},
    wait::{self, Standing, WaitArgs, word},
};

/// What can be done with orders.
#[derive(Debug, Subcommand)]
pub(crate) enum OrderVerb {
    /// What was ordered, and what became of it
    Show {
        /// The order's id
        order: OrderId,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Runs it.
pub(crate) fn run(verb: OrderVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let OrderVerb::Show { order, wait } = verb;
    let path = format!("/v1/orders/{order}");
    if wait.wait {
        screen.one(&wait::until(api, screen, &wait, &path, Some(&path), judge)?)
    } else {
        screen.one(&api.get(&path)?)
    }
}

fn judge(order: &Value) -> Standing {
    let state = word(order, "state");
    match state.as_str() {
        "done" => Standing::Reached,
        "failed" | "refused" | "superseded" => {
            Standing::Ended(format!("the order is {state}: {}", cell(order, &["/message"])))
        }
        _ => Standing::UnderWay(state),
    }
}
