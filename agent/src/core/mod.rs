//! What decides, and does nothing: no clock, no I/O. Read in this order: [`accept`] takes or
//! refuses an order, [`plan`] turns wanted and [`observed`] state into a list of [`step`]s,
//! [`attest`] turns what they measured into statements; [`record`] is what the journal keeps of all
//! this. [`drift`] is what others did to the host meanwhile, [`anomaly`] what is counted on it;
//! [`local`] is what a person on the host may order itself; [`watch`] says when this host speaks
//! for a controller that is silent. [`sanitize`] is apart: whole disks that leave service.

pub mod accept;
pub mod anomaly;
pub mod attest;
pub mod drift;
pub mod local;
pub mod machine;
pub mod observed;
pub mod plan;
pub mod record;
pub mod ruleset;
#[cfg(test)]
pub(crate) mod sample;
pub mod sanitize;
pub mod seal;
pub mod step;
pub mod watch;
pub mod wipe;
