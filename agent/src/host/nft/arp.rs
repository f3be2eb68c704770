//! ARP requests that the host sends into a tenant's bridge, to see that they are dropped. A bridge
//! floods them to all its ports, the uplink too: they ask for an address of nobody (RFC 5737) in
//! the name of nobody (RFC 5227), and no station's table changes by them.
#![allow(unsafe_code, reason = "packet sockets are addressed by index with libc")]

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

/// A locally administered address that no instance has: theirs begin with other octets.
const SENDER: [u8; 6] = [0x06, 0x54, 0x65, 0x6e, 0x75, 0x72];
/// Who is asked for.
const NOBODY: [u8; 4] = [192, 0, 2, 1];

/// Sends so many requests; each has gone to every port when this returns.
///
/// # Errors
/// The bridge is gone or down, or the process may not.
pub(super) fn ask(bridge: &str, requests: u32) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(bridge)?;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: plain numbers go in; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is open and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeroes is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or_default();
    address.sll_ifindex = libc::c_int::try_from(index).unwrap_or_default();
    address.sll_halen = 6;
    address.sll_addr[..6].fill(0xff);
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or_default();
    let frame = request();
    for _ in 0..requests {
        // SAFETY: frame and address are whole and of the lengths that are given.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const address).cast(),
                length,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn request() -> Vec<u8> {
    let mut frame = [[0xff; 6], SENDER].concat();
    // ARP over Ethernet, for IPv4: a request.
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(SENDER);
    frame.extend([0; 4]);
    frame.extend([0; 6]);
    frame.extend(NOBODY);
    frame.resize(60, 0);
    frame
}
