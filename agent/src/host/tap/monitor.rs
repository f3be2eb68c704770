//! Changes of bridges and taps, as the kernel tells them (RTNLGRP_LINK): by whoever they are. What
//! changed is for others to see; here it is only that something did.

use std::os::fd::AsRawFd as _;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{RouteNetlinkMessage, link::LinkAttribute};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

use super::{BRIDGE_PREFIX, NetlinkFailure, TAP_PREFIX, TapFailure};

/// The kernel's group of notifications on devices (RTNLGRP_LINK).
const GROUP: u32 = 1;
/// Bytes of one reading.
const BUFFER: usize = 64 * 1024;

/// Reads the notifications.
#[derive(Debug)]
pub struct Monitor(Socket);

impl Monitor {
    /// Listens in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`TapFailure::Link`].
    pub fn open() -> Result<Self, TapFailure> {
        let listen = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.add_membership(GROUP)?;
            Ok(Self(socket))
        };
        listen().map_err(|source| failed(NetlinkFailure::Open(source)))
    }

    /// Waits for notifications; says whether one may be about a bridge or a tap of ours.
    ///
    /// # Errors
    /// [`TapFailure::Link`]: the socket cannot be read any more.
    pub fn wait(&mut self) -> Result<bool, TapFailure> {
        let mut buffer = vec![0; BUFFER];
        match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => Ok(is_ours(&buffer[..length])),
            // Some were lost: whoever is nudged looks for himself.
            Err(Errno::ENOBUFS) => Ok(true),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(failed(NetlinkFailure::Receive(errno.into()))),
        }
    }
}

/// Whether the first message is about a device of ours: the kernel puts one into a datagram. What
/// cannot be read may be.
fn is_ours(bytes: &[u8]) -> bool {
    let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else {
        return true;
    };
    let (NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))
    | NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))) = message.payload
    else {
        return false;
    };
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::IfName(name) => {
            name.starts_with(BRIDGE_PREFIX) || name.starts_with(TAP_PREFIX)
        }
        _ => false,
    })
}

fn failed(source: NetlinkFailure) -> TapFailure {
    let name = "bridges and taps".to_owned();
    TapFailure::Link { operation: "watch the", name, source }
}
