//! Ethernet frames by hand, and the two places where the lab puts them on a wire: a tap, as a
//! guest's network card does, and a packet socket on a device.
#![allow(unsafe_code, reason = "packet sockets are bound by index with libc")]

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::Ipv4Addr,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Length of the virtio header before each frame on a tap.
const VNET_HEADER: usize = 10;
/// An address on the link.
pub type Mac = [u8; 6];
/// Every station.
pub const BROADCAST: Mac = [0xff; 6];
/// Where LLDP goes: a bridge keeps it to itself.
pub const LLDP_GROUP: Mac = link_group(0x0e);

/// An address of the sixteen that a bridge does not forward as others (IEEE 802.1Q, 8.6.3).
#[must_use]
pub const fn link_group(last: u8) -> Mac {
    [0x01, 0x80, 0xc2, 0, 0, last]
}

/// Who sends and receives: a MAC and an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Its MAC.
    pub mac: Mac,
    /// Its IPv4 address.
    pub ip4: Ipv4Addr,
}

/// A station of a given last byte in 10.64.`net`.0/24.
#[must_use]
pub const fn station(net: u8, last: u8) -> Station {
    Station { mac: [0x52, 0x54, 0, 0, net, last], ip4: Ipv4Addr::new(10, 64, net, last) }
}

/// Any frame.
#[must_use]
pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to.as_slice(), &from, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// "Who has `to`? Tell `from`."
#[must_use]
pub fn arp_request(from: Station, to: Ipv4Addr) -> Vec<u8> {
    ethernet(BROADCAST, from.mac, 0x0806, &arp(1, from, [0; 6], to))
}

/// "`from` is at its MAC."
#[must_use]
pub fn arp_reply(from: Station, to: Station) -> Vec<u8> {
    ethernet(to.mac, from.mac, 0x0806, &arp(2, from, to.mac, to.ip4))
}

fn arp(operation: u16, from: Station, to_mac: Mac, to: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend([from.mac.as_slice(), &from.ip4.octets(), &to_mac, &to.octets()].concat());
    packet
}

/// A UDP datagram with 8 bytes of data.
#[must_use]
pub fn udp(from: Station, to: Station, ports: (u16, u16), data: u64) -> Vec<u8> {
    let mut packet = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    packet.extend([0, 16, 0, 0]);
    packet.extend(data.to_be_bytes());
    ip4(from, to, 17, 0, &packet)
}

/// A TCP segment without data. `flags` as in the header: 0x02 SYN, 0x12 SYN and ACK, 0x10 ACK.
#[must_use]
pub fn tcp(from: Station, to: Station, ports: (u16, u16), flags: u8) -> Vec<u8> {
    let mut packet = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    ip4(from, to, 6, 0, &packet)
}

/// An ICMP message without data. 8 asks for an echo, 0 is one.
#[must_use]
pub fn icmp(from: Station, to: Station, kind: u8) -> Vec<u8> {
    ip4(from, to, 1, 0, &[kind, 0, 0, 0, 0, 1, 0, 1])
}

/// An ICMP echo reply with a number in its data.
#[must_use]
pub fn numbered_echo(from: Station, to: Station, number: u64) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 1];
    message.extend(number.to_be_bytes());
    let check = checksum(&message);
    message[2..4].copy_from_slice(&check);
    ip4(from, to, 1, 0, &message)
}

/// The number of an echo reply of [`numbered_echo`].
#[must_use]
pub fn echo_number(frame: &[u8]) -> Option<u64> {
    let echo = frame.get(12..14)? == [8, 0] && *frame.get(23)? == 1 && *frame.get(34)? == 0;
    let data = frame.get(42..50)?.try_into().ok()?;
    echo.then(|| u64::from_be_bytes(data))
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)).to_be_bytes()
}

/// An IPv4 packet with a header of 20 bytes; `fragment` in units of 8 bytes.
#[must_use]
pub fn ip4(from: Station, to: Station, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 1, f0, f1, 64, protocol, 0, 0];
    header.extend(from.ip4.octets());
    header.extend(to.ip4.octets());
    let check = checksum(&header);
    header[10..12].copy_from_slice(&check);
    ethernet(to.mac, from.mac, 0x0800, &[header.as_slice(), payload].concat())
}

/// The same frame with an 802.1Q tag.
#[must_use]
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    [&frame[..12], &0x8100_u16.to_be_bytes(), &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// A place to send frames from and to receive them at.
pub struct Wire {
    file: File,
    header: usize,
}

impl Wire {
    /// A tap as it was opened for a guest.
    ///
    /// # Errors
    /// If it cannot be made non-blocking.
    pub fn tap(fd: OwnedFd) -> anyhow::Result<Self> {
        Self::new(fd, VNET_HEADER)
    }

    /// A packet socket on a device of the calling thread's namespace, for every frame. Frames that
    /// it sends itself are not received.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn device(name: &str) -> anyhow::Result<Self> {
        Self::packets(name, u16::try_from(libc::ETH_P_ALL)?, true)
    }

    /// The same for what passes the device in either direction: for listening alone.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn passing(name: &str) -> anyhow::Result<Self> {
        Self::packets(name, u16::try_from(libc::ETH_P_ALL)?, false)
    }

    /// A packet socket on a device for frames of one kind, as a daemon of the host has it: it gets
    /// what is left once the device's filters and its bridge have had their say.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn daemon(name: &str, ether_type: u16) -> anyhow::Result<Self> {
        Self::packets(name, ether_type, true)
    }

    fn packets(name: &str, ether_type: u16, incoming: bool) -> anyhow::Result<Self> {
        let protocol = ether_type.to_be();
        // SAFETY: plain numbers go in; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(protocol)) };
        ensure!(fd >= 0, "no packet socket: {}", io::Error::last_os_error());
        // SAFETY: `fd` is open and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let index = nix::net::if_::if_nametoindex(name).with_context(|| format!("no {name}"))?;
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET)?;
        address.sll_protocol = protocol;
        address.sll_ifindex = i32::try_from(index)?;
        let length = libc::socklen_t::try_from(size_of_val(&address))?;
        // SAFETY: the address is whole and of the length that is given.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
        ensure!(bound == 0, "cannot bind to {name}: {}", io::Error::last_os_error());
        let ignored = libc::c_int::from(incoming);
        // SAFETY: the option's value is an int that lives through the call.
        let set = unsafe {
            let size = libc::socklen_t::try_from(size_of_val(&ignored))?;
            let option = libc::PACKET_IGNORE_OUTGOING;
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const ignored).cast(),
                size,
            )
        };
        ensure!(set == 0, "cannot ignore own frames: {}", io::Error::last_os_error());
        Self::new(fd, 0)
    }

    fn new(fd: OwnedFd, header: usize) -> anyhow::Result<Self> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { file: fd.into(), header })
    }

    /// Puts a frame on the wire.
    ///
    /// # Errors
    /// If the device is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let mut bytes = vec![0; self.header];
        bytes.extend_from_slice(frame);
        (&self.file).write_all(&bytes)
    }

    /// The next frame that has arrived, if there is one.
    ///
    /// # Errors
    /// If the device is down or gone.
    pub fn next(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0; 2048];
        match (&self.file).read(&mut buffer) {
            Ok(length) => Ok(Some(buffer[self.header.min(length)..length].to_vec())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Frames of interest that arrive until nothing has come for `quiet`.
    ///
    /// # Errors
    /// If the device is down or gone.
    pub fn collect(
        &self,
        quiet: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        loop {
            while let Some(frame) = self.next()? {
                frames.extend(Some(frame).filter(|frame| wanted(frame)));
            }
            if !self.wait(quiet)? {
                return Ok(frames);
            }
        }
    }

    /// Waits until a frame has arrived; says whether one has.
    ///
    /// # Errors
    /// If the device is gone.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        Ok(poll(&mut fds, limit)? > 0)
    }
}

/// Sends UDP datagrams numbered from 0, `gap` apart, for as long as `go_on` says. Returns how many.
///
/// # Errors
/// If the wire is down.
#[allow(clippy::disallowed_methods, reason = "a stream is paced by a clock")]
pub fn stream(
    wire: &Wire,
    (from, to, ports): (Station, Station, (u16, u16)),
    gap: Duration,
    mut go_on: impl FnMut(u64) -> bool,
) -> io::Result<u64> {
    let (start, mut sent) = (Instant::now(), 0);
    while go_on(sent) {
        let due = gap.saturating_mul(u32::try_from(sent).unwrap_or(u32::MAX));
        // Shorter than any sleep: yields until the next one is due.
        while start.elapsed() < due {
            std::thread::yield_now();
        }
        wire.send(&udp(from, to, ports, sent))?;
        sent += 1;
    }
    Ok(sent)
}

/// The number of a datagram that [`stream`] sent to `port`.
#[must_use]
pub fn number(frame: &[u8], port: u16) -> Option<u64> {
    let udp = frame.get(12..14)? == [8, 0] && *frame.get(23)? == 17;
    let to_port = frame.get(36..38)? == port.to_be_bytes();
    let data = frame.get(42..50)?.try_into().ok()?;
    (udp && to_port).then(|| u64::from_be_bytes(data))
}
