//! The agent of Tenure on a hypervisor host: two processes over one library.
//!
//! tenure-hostd ([`engine`], [`host`], [`journal`], [`packets`], [`alarm`], [`sign`], [`join`],
//! [`socket`], [`operator`], [`sanitize`]) has the privileges and no network; tenure-agent
//! ([`link`]) has the network and no privileges. Both have [`precedence`].

pub mod alarm;
pub mod certificate;
pub mod clock;
pub mod config;
pub mod core;
pub mod engine;
pub mod file;
pub mod host;
pub mod join;
pub mod journal;
pub mod link;
pub mod operator;
pub mod packets;
pub mod precedence;
pub mod sanitize;
pub mod sign;
pub mod socket;
pub mod telemetry;
