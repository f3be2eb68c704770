//! The lab: what tests and demo run real processes in. Network namespaces, loop devices, a mail
//! server, a webhook receiver, guests. All of it is made for one run, and removed after it.

pub mod api;
pub mod classes;
pub mod daemon;
pub mod faulty;
pub mod frames;
pub mod guest;
pub mod in_process;
pub mod kannel;
pub mod mail;
pub mod net;
pub mod probe;
pub mod site;
pub mod smsc;
pub mod storage;
pub mod stream;
pub mod undo;
pub mod vendor;
pub mod webhook;
