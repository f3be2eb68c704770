//! The link to the agents, over QUIC. Agents dial; the controller opens streams on their
//! connections.
//!
//! [`authority`] is the private certificate authority and [`tls`] every port's configuration;
//! [`listener`] opens the two ports, [`enrolment`] takes hosts in, [`session`] serves a host that
//! is known, [`sessions`] knows who is up, [`pace`] and [`limits`] hold back who sends too much,
//! [`watches`] speaks of cuts
//! that hosts watch over, and [`stream`] has the frames.

pub mod authority;
mod enrolment;
mod limits;
pub mod listener;
mod pace;
mod session;
pub mod sessions;
pub mod stream;
pub mod tls;
mod watches;

use std::sync::Arc;

use quinn::Endpoint;

use crate::{clock::Clock, engine::Engine};

/// What every session needs.
#[derive(Debug)]
pub struct Link {
    engine: Engine,
    authority: Arc<authority::Authority>,
    sessions: sessions::Sessions,
    gate: enrolment::Gate,
    limits: limits::HostLimits,
    clock: Clock,
}

impl Link {
    /// With nobody up.
    #[must_use]
    pub fn new(engine: Engine, authority: Arc<authority::Authority>, clock: Clock) -> Self {
        let (sessions, gate) = (sessions::Sessions::default(), enrolment::Gate::default());
        Self { engine, authority, sessions, gate, limits: limits::HostLimits::default(), clock }
    }
}

/// Serves both ports until they are closed.
pub async fn serve(link: Arc<Link>, command: Endpoint, enrolment: Endpoint) {
    let engine = link.engine.clone();
    let sessions = {
        let link = link.clone();
        listener::accept(command, link.engine.clone(), move |connection, place| {
            let link = link.clone();
            async move { session::serve(&link, connection, || drop(place)).await }
        })
    };
    let enrolments = listener::accept(enrolment, engine, move |connection, place| {
        let link = link.clone();
        async move {
            enrolment::serve(&link, connection).await;
            drop(place);
        }
    });
    tokio::join!(sessions, enrolments);
}
