//! What decides, and does nothing: no clock, no I/O, no locks, no randomness, no panic on input.
//!
//! Read [`tenant`] first (the state), then [`lifecycle`] (what may happen to it), [`rules`],
//! [`obligation`], [`calendar`] and [`counting`] (the law's deadlines; [`preview`] counts ahead,
//! [`yearly`] are the platform's own), [`form`] and [`admission`] (what an application has to be),
//! [`record`] and [`attachment`] (what the parties put on paper), [`group`] (what may come in and
//! go out), [`dispatch`] (what the hosts are told), [`attestation`] (what they prove), [`notice`],
//! [`letter`] and [`alarm`] (what customer and provider are told), [`together`] (one act on several
//! tenants) and [`joint`] (one notice about them), [`anomaly`] (from when on hosts tell of what
//! they count, and who is cut for it), [`watch`] (by whom customers are told, if the controller
//! cannot), [`duty`] (what needs a person of the provider now), [`drill`] (what a rehearsed cut has
//! shown), [`fleet`] and [`placement`] (where instances go), [`access`] (who may come in) and
//! [`identity`] (what people are called elsewhere), [`quota`] (how much one customer may take), and
//! [`refusal`] (how something is refused). [`draw`] and [`canonical`] are what ids and digests are
//! made with.

pub mod access;
pub mod admission;
pub mod alarm;
pub mod anomaly;
pub mod attachment;
pub mod attestation;
pub mod calendar;
pub mod canonical;
pub mod counting;
pub mod dispatch;
pub mod draw;
pub mod drill;
pub mod duty;
pub mod fleet;
pub mod form;
pub mod group;
pub mod identity;
pub mod joint;
pub mod letter;
pub mod lifecycle;
pub mod notice;
pub mod obligation;
pub mod placement;
pub mod preview;
pub mod quota;
pub mod record;
pub mod refusal;
pub mod rules;
pub mod tenant;
pub mod together;
pub mod watch;
pub mod yearly;
