//! The link to the agents, over QUIC: [`authority`] is the private certificate authority.

pub mod authority;
