//! The controller of Tenure: lifecycle, deadlines, orders, notices, ledger, HTTP API.

pub mod acquainted;
pub mod assembly;
pub mod chance;
pub mod clock;
pub mod config;
pub mod core;
pub mod engine;
pub mod files;
pub mod http;
pub mod keys;
pub mod ledger;
pub mod link;
pub mod notify;
pub mod places;
pub mod secrets;
pub mod state;
pub mod store;
pub mod telemetry;
