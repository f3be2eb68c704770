//! What decides, and does nothing: no clock, no I/O, no locks, no randomness, no panic on input.
//!
//! Read [`tenant`] first (the state), then [`lifecycle`] (what may happen to it), [`rules`],
//! [`obligation`] and [`calendar`] (the law's deadlines), [`dispatch`] (what the hosts are told),
//! [`notice`] (what the customer is told), [`destination`] (where a notice may go), [`fleet`] and
//! [`placement`] (where instances go), [`access`] (who may come in).

pub mod access;
pub mod admission;
pub mod attestation;
pub mod calendar;
pub mod destination;
pub mod dispatch;
pub mod draw;
pub mod fleet;
pub mod letter;
pub mod lifecycle;
pub mod notice;
pub mod obligation;
pub mod placement;
pub mod refusal;
pub mod rules;
pub mod tenant;
