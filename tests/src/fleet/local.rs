//! Persons on a fleet's hosts, who ask an agent past every controller; and what a host says again
//! when the link is new.

use std::{collections::BTreeMap, sync::mpsc::sync_channel};

use anyhow::Context as _;
use tenure_agent::engine::{
    Input, MAX_OUTLET,
    local::{LocalAnswer, LocalAsk, LocalInput},
};
use tenure_protocol::wire::v1::Lane;

use super::{Member, PATIENCE};

impl Member {
    /// The link is new, as after the controller was gone: what was sent into the old one is lost,
    /// and the agent says again what has no receipt.
    ///
    /// # Errors
    /// If the agent has ended.
    pub fn reconnect(&mut self) -> anyhow::Result<()> {
        let (outlet, reports) = sync_channel(MAX_OUTLET);
        self.agent.deliver(Lane::Cut, Input::Connected(outlet.clone()))?;
        self.agent.deliver(Lane::Work, Input::Connected(outlet))?;
        self.reports = reports;
        // The cut lane takes its messages in turn: once it answers, it has said all.
        self.ask_locally(LocalAsk::Status(BTreeMap::new()))?;
        Ok(())
    }

    /// A person on this host asks its agent, past every controller.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub fn ask_locally(&self, ask: LocalAsk) -> anyhow::Result<LocalAnswer> {
        let (answer, answers) = sync_channel(1);
        self.agent.deliver(Lane::Cut, Input::Local(LocalInput { ask, answer }))?;
        answers.recv_timeout(PATIENCE).context("the agent does not answer")
    }
}
