//! What controller and agent say to one another. [`frame`] is the frozen envelope of every message,
//! [`v1`] the messages themselves, [`order`] what makes an order an order: its signature, [`watch`]
//! what hosts are given so that the customer of a cut is told although the controller is gone. Of
//! [`v1`], [`alarm`] is what hosts tell unasked.

pub mod alarm;
pub mod frame;
pub mod join;
pub mod order;
pub mod v1;
pub mod watch;

/// ALPN of the command port (mutual TLS): the major version of the link.
pub const ALPN: &[u8] = b"tenure/1";

/// ALPN of the enrolment port (server authentication only, a join token instead).
pub const ALPN_ENROL: &[u8] = b"tenure-enrol/1";

/// Label of the TLS exporter (RFC 5705) over which an enrolment request is signed.
pub const ENROL_EXPORTER_LABEL: &[u8] = b"EXPORTER-tenure-enrol-1";
