//! The link to the agents, over QUIC. Agents dial; the controller opens streams on their
//! connections.
//!
//! [`authority`] is the private certificate authority and [`tls`] every port's configuration;
//! [`listener`] opens the two ports, [`enrolment`] takes hosts in, [`session`] serves a host that
//! is known, [`sessions`] knows who is up, and [`stream`] has the frames.

pub mod authority;
mod enrolment;
pub mod listener;
mod session;
pub mod sessions;
pub mod stream;
pub mod tls;

use std::sync::Arc;

use quinn::Endpoint;

use crate::{clock::Clock, engine::Engine};

/// What every session needs.
#[derive(Debug)]
pub struct Link {
    /// Decides and keeps.
    pub engine: Engine,
    /// Issues hosts' certificates.
    pub authority: Arc<authority::Authority>,
    /// Who is up.
    pub sessions: sessions::Sessions,
    /// Real time.
    pub clock: Clock,
}

/// Serves both ports until they are closed.
pub async fn serve(link: Arc<Link>, command: Endpoint, enrolment: Endpoint) {
    let sessions = {
        let link = link.clone();
        listener::accept(command, move |connection, place| {
            let link = link.clone();
            async move { session::serve(&link, connection, || drop(place)).await }
        })
    };
    let enrolments = listener::accept(enrolment, move |connection, place| {
        let link = link.clone();
        async move {
            enrolment::serve(&link, connection).await;
            drop(place);
        }
    });
    tokio::join!(sessions, enrolments);
}
