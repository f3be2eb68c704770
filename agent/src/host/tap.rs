//! Bridges and taps: a bridge for each tenant, a tap for each network card of an instance.
//!
//! Everything here may be done again without harm. Nothing here filters: enlist a tap in the cut
//! table and put it into the policy before it is made, so that it is never up without them.
#![allow(unsafe_code, reason = "TUNSETIFF and TUNSETPERSIST are ioctls on /dev/net/tun")]

mod monitor;

use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    time::Duration,
};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridge, InfoData, InfoKind, LinkAttribute,
        LinkFlags, LinkInfo, LinkMessage,
    },
};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;

pub use self::monitor::Monitor;
use super::{
    deadline::Deadline,
    netlink::{Channel, NetlinkFailure},
};
use crate::core::ruleset::TapName;

/// How long a tap may be in use by a process that is being started.
const BUSY_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks whether it still is.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// What begins the names of our bridges, as [`crate::core::ruleset::bridge_name`] makes them.
const BRIDGE_PREFIX: &str = "tb-";
/// What begins the names of our taps.
const TAP_PREFIX: &str = "tap-";

/// What went wrong with a bridge or a tap.
#[derive(Debug, thiserror::Error)]
pub enum TapFailure {
    /// The kernel refused a change or a question about a device.
    #[error("cannot {operation} {name}")]
    Link {
        /// What was asked.
        operation: &'static str,
        /// Which device.
        name: String,
        /// The kernel's answer.
        #[source]
        source: NetlinkFailure,
    },
    /// No such device.
    #[error("there is no device {name}: make it first")]
    Absent {
        /// Which.
        name: String,
    },
    /// A device of another kind has the name.
    #[error("the device {name} exists and is no {kind}: rename or remove it")]
    Foreign {
        /// Which.
        name: String,
        /// What it should be.
        kind: &'static str,
    },
    /// The tap is open in another process.
    #[error("the tap {name} is in use: its instance still runs")]
    Busy {
        /// Which.
        name: String,
    },
    /// The tun device could not be opened or set up.
    #[error("cannot open the tap {name} by /dev/net/tun")]
    Tun {
        /// Which.
        name: String,
        /// Why; `NotFound` means that the kernel lacks the module tun.
        #[source]
        source: io::Error,
    },
}

/// A bridge or a tap of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Whether it is up.
    pub up: bool,
}

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// A tenant's bridge.
    Bridge,
    /// A tap.
    Tap {
        /// The bridge that it is plugged into.
        bridge: Option<String>,
    },
}

/// Makes a bridge and brings it up. It has no address, sends nothing of its own, and floods
/// multicast as a plain switch does.
///
/// # Errors
/// [`TapFailure::Link`], or [`TapFailure::Foreign`] if another kind of device has the name.
pub fn ensure_bridge(name: &str) -> Result<(), TapFailure> {
    let mut links = Links::open(name)?;
    let attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::MulticastSnooping(false)])),
        ]),
    ];
    let made = links.change(
        NLM_F_CREATE | NLM_F_EXCL,
        RouteNetlinkMessage::NewLink(message(0, attributes)),
        ("make the bridge", name),
    );
    match made {
        Ok(()) => {}
        Err(TapFailure::Link { source, .. }) if is(&source, Errno::EEXIST) => {}
        Err(failure) => return Err(failure),
    }
    let link = links.get(name)?.ok_or_else(|| TapFailure::Absent { name: name.to_owned() })?;
    if link.kind != Some(InfoKind::Bridge) {
        return Err(TapFailure::Foreign { name: name.to_owned(), kind: "bridge" });
    }
    links.quiet(&link)?;
    links.up(&link, None)
}

/// Makes a tap with virtio headers that outlives this process, plugs it into the bridge, brings it
/// up, and returns it opened: for QEMU to inherit. `before_up` is called when it is there, before
/// it goes up.
///
/// # Errors
/// [`TapFailure::Busy`] while an instance has it open, [`TapFailure::Absent`] without the bridge.
pub fn ensure_tap(
    tap: &TapName,
    bridge: &str,
    before_up: impl FnOnce(),
) -> Result<OwnedFd, TapFailure> {
    let name = tap.as_str();
    let mut links = Links::open(name)?;
    let bridge =
        links.get(bridge)?.ok_or_else(|| TapFailure::Absent { name: bridge.to_owned() })?;
    let fd = take_tap(tap)?;
    let link = links.get(name)?.ok_or_else(|| TapFailure::Absent { name: name.to_owned() })?;
    links.quiet(&link)?;
    before_up();
    links.up(&link, Some(bridge.index))?;
    Ok(fd)
}

/// Plugs a tap that is there into its bridge again, and brings both up: its instance may have it
/// open.
///
/// # Errors
/// [`TapFailure::Absent`] if it is not there.
pub fn plug(tap: &TapName, bridge: &str) -> Result<(), TapFailure> {
    ensure_bridge(bridge)?;
    let mut links = Links::open(tap.as_str())?;
    let absent = |name: &str| TapFailure::Absent { name: name.to_owned() };
    let bridge = links.get(bridge)?.ok_or_else(|| absent(bridge))?;
    let link = links.get(tap.as_str())?.ok_or_else(|| absent(tap.as_str()))?;
    links.up(&link, Some(bridge.index))
}

/// Whether there is a device of this name.
#[must_use]
pub fn exists(tap: &TapName) -> bool {
    nix::net::if_::if_nametoindex(tap.as_str()).is_ok()
}

/// Removes a tap; one that is not there is removed already.
///
/// # Errors
/// [`TapFailure::Link`].
pub fn remove_tap(tap: &TapName) -> Result<(), TapFailure> {
    Links::open(tap.as_str())?.remove(tap.as_str())
}

/// Removes a bridge; one that is not there is removed already. What was plugged in is unplugged.
///
/// # Errors
/// [`TapFailure::Link`].
pub fn remove_bridge(name: &str) -> Result<(), TapFailure> {
    Links::open(name)?.remove(name)
}

/// One tap, if there is a device of this name that is one.
///
/// # Errors
/// [`TapFailure::Link`].
pub fn find(tap: &TapName) -> Result<Option<Device>, TapFailure> {
    let Some(link) = Links::open(tap.as_str())?.get(tap.as_str())? else { return Ok(None) };
    if link.kind != Some(InfoKind::Tun) {
        return Ok(None);
    }
    let name = |index| nix::net::if_::if_indextoname(index).ok()?.into_string().ok();
    let kind = DeviceKind::Tap { bridge: link.bridge.and_then(name) };
    Ok(Some(Device { name: link.name, kind, up: link.up }))
}

/// All bridges and taps with names such as ours, sorted by name.
///
/// # Errors
/// [`TapFailure::Link`].
pub fn list() -> Result<Vec<Device>, TapFailure> {
    let links = Links::open("devices")?.dump()?;
    let name_of = |index: u32| {
        links.iter().find(|link| link.index == index).map(|bridge| bridge.name.clone())
    };
    let mut devices: Vec<Device> = links
        .iter()
        .filter_map(|link| {
            let kind = match &link.kind {
                Some(InfoKind::Bridge) if link.name.starts_with(BRIDGE_PREFIX) => {
                    DeviceKind::Bridge
                }
                Some(InfoKind::Tun) if link.name.starts_with(TAP_PREFIX) => {
                    DeviceKind::Tap { bridge: link.bridge.and_then(name_of) }
                }
                Some(_) | None => return None,
            };
            Some(Device { name: link.name.clone(), kind, up: link.up })
        })
        .collect();
    devices.sort();
    Ok(devices)
}

nix::ioctl_write_ptr_bad!(
    /// TUNSETIFF: makes the tap or attaches to it.
    tun_set_iff,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    libc::ifreq
);
nix::ioctl_write_int_bad!(
    /// TUNSETPERSIST: 1 keeps the tap when nobody has it open.
    tun_set_persist,
    nix::request_code_write!(b'T', 203, size_of::<libc::c_int>())
);

/// Opens a tap that nobody uses. A process that is just being started by another thread holds a
/// copy of each descriptor until it has become its program, of a tap that was closed meanwhile as
/// well: that is waited for.
fn take_tap(tap: &TapName) -> Result<OwnedFd, TapFailure> {
    let failed = |source| TapFailure::Tun { name: tap.as_str().to_owned(), source };
    let limit = Deadline::after(BUSY_LIMIT).map_err(failed)?;
    loop {
        match open_tap(tap) {
            Err(TapFailure::Busy { .. }) if !limit.passed().map_err(failed)? => {
                Deadline::after(BUSY_PAUSE).and_then(|pause| pause.wait(&[])).map_err(failed)?;
            }
            done => return done,
        }
    }
}

fn open_tap(tap: &TapName) -> Result<OwnedFd, TapFailure> {
    let name = tap.as_str();
    let failed = |source: io::Error| match Errno::from_raw(source.raw_os_error().unwrap_or(0)) {
        Errno::EBUSY => TapFailure::Busy { name: name.to_owned() },
        Errno::EINVAL => TapFailure::Foreign { name: name.to_owned(), kind: "tap" },
        _ => TapFailure::Tun { name: name.to_owned(), source },
    };
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(failed)?;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let mut ifr_name = [0; libc::IFNAMSIZ];
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let request = libc::ifreq {
        ifr_name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags as libc::c_short },
    };
    // SAFETY: `tun` is open, and `request` is a whole ifreq that lives through the call.
    unsafe { tun_set_iff(tun.as_raw_fd(), &raw const request) }
        .map_err(|errno| failed(errno.into()))?;
    // SAFETY: `tun` is open, and the argument is a number.
    unsafe { tun_set_persist(tun.as_raw_fd(), 1) }.map_err(|errno| failed(errno.into()))?;
    Ok(tun.into())
}

/// A device as the kernel describes it.
struct Link {
    index: u32,
    name: String,
    kind: Option<InfoKind>,
    bridge: Option<u32>,
    up: bool,
}

/// A socket for questions about devices.
struct Links(Channel<RouteNetlinkMessage>);

impl Links {
    fn open(name: &str) -> Result<Self, TapFailure> {
        Channel::open(NETLINK_ROUTE).map(Self).map_err(|source| TapFailure::Link {
            operation: "ask the kernel about",
            name: name.to_owned(),
            source,
        })
    }

    fn change(
        &mut self,
        flags: u16,
        message: RouteNetlinkMessage,
        (operation, name): (&'static str, &str),
    ) -> Result<(), TapFailure> {
        match self.0.request(vec![(NLM_F_REQUEST | NLM_F_ACK | flags, message)]) {
            Ok(_) => Ok(()),
            Err(source) => Err(TapFailure::Link { operation, name: name.to_owned(), source }),
        }
    }

    fn get(&mut self, name: &str) -> Result<Option<Link>, TapFailure> {
        let message = message(0, vec![LinkAttribute::IfName(name.to_owned())]);
        let request = vec![(NLM_F_REQUEST | NLM_F_ACK, RouteNetlinkMessage::GetLink(message))];
        match self.0.request(request) {
            Ok(answers) => Ok(answers.into_iter().find_map(link)),
            Err(source) if is(&source, Errno::ENODEV) => Ok(None),
            Err(source) => {
                let name = name.to_owned();
                Err(TapFailure::Link { operation: "look for", name, source })
            }
        }
    }

    fn dump(&mut self) -> Result<Vec<Link>, TapFailure> {
        let all = RouteNetlinkMessage::GetLink(LinkMessage::default());
        match self.0.dump(&all) {
            Ok(answers) => Ok(answers.into_iter().filter_map(link).collect()),
            Err(source) => {
                let name = "the devices".to_owned();
                Err(TapFailure::Link { operation: "list", name, source })
            }
        }
    }

    /// Takes IPv6 off a device: else the host itself would speak to the tenant's guests. Where the
    /// kernel has no IPv6 there is nothing to take off.
    fn quiet(&mut self, link: &Link) -> Result<(), TapFailure> {
        let off = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let off = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![off])]);
        let request = RouteNetlinkMessage::SetLink(message(link.index, vec![off]));
        match self.change(0, request, ("take IPv6 off", &link.name)) {
            Err(TapFailure::Link { source, .. }) if is(&source, Errno::EAFNOSUPPORT) => Ok(()),
            result => result,
        }
    }

    fn up(&mut self, link: &Link, bridge: Option<u32>) -> Result<(), TapFailure> {
        // Plugging in again would only reset the port.
        let plug = bridge.filter(|index| link.bridge != Some(*index));
        let attributes = plug.map(LinkAttribute::Controller).into_iter().collect();
        let mut message = message(link.index, attributes);
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        let request = RouteNetlinkMessage::SetLink(message);
        self.change(0, request, ("plug in and bring up", &link.name))
    }

    fn remove(&mut self, name: &str) -> Result<(), TapFailure> {
        let Some(link) = self.get(name)? else { return Ok(()) };
        let request = RouteNetlinkMessage::DelLink(message(link.index, vec![]));
        match self.change(0, request, ("remove", name)) {
            Err(TapFailure::Link { source, .. }) if is(&source, Errno::ENODEV) => Ok(()),
            result => result,
        }
    }
}

fn message(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    message
}

fn link(answer: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = answer else { return None };
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: None,
        bridge: None,
        up: message.header.flags.contains(LinkFlags::Up),
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Controller(index) => link.bridge = Some(index),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(link)
}

fn is(failure: &NetlinkFailure, errno: Errno) -> bool {
    failure.errno() == Some(errno as i32)
}
