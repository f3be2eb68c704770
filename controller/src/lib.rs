//! The controller of Tenure: lifecycle, deadlines, orders, notices, ledger, HTTP API.

pub mod core;
pub mod http;
pub mod ledger;
pub mod link;
pub mod notify;
pub mod store;
