//! What lies under a file system, down to the disks: /sys/dev/block.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use tenure_protocol::evidence::predicate::{
    media_wipe::{Layer, LayerKind},
    wipe::DeviceReported,
};

use super::super::block::{self, read};

/// How many layers are followed: more than any host has.
const MAX_LAYERS: usize = 1024;

/// sysfs counts in units of 512 bytes, whatever the device's sector is.
const SYSFS_SECTOR: u64 = 512;

/// Ends of the UUIDs that LVM gives to the hidden parts of thin pools, snapshots, caches and VDO.
const REDIRECTING: [&str; 9] =
    ["-tpool", "-tdata", "-cow", "-real", "-vpool", "-cdata", "-cvol", "-corig", "-wcorig"];

/// Begins of the UUIDs of mappings that are known to write in place, but for the ends above: LVM,
/// encryption, several paths to one disk, and partitions of mappings.
const IN_PLACE: [&str; 4] = ["LVM-", "CRYPT-", "mpath-", "part"];

/// The devices under a file system.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Topology {
    /// From the file system's own device down to the disks.
    pub layers: Vec<Layer>,
    /// What the disks' firmware says.
    pub reported: Vec<DeviceReported>,
    /// Whether a layer sends writes elsewhere than the old blocks.
    pub redirects: bool,
}

impl Topology {
    /// What the first device is known by whatever names in /dev are: the identities of the layers
    /// down to the disks, or to a loop, which its file names. None if a layer has none, or is of a
    /// kind of which nobody knows whether it writes in place.
    #[must_use]
    pub fn known_by(&self) -> Option<Vec<String>> {
        let mut identities = Vec::new();
        for layer in &self.layers {
            if layer.identity.is_empty() || layer.kind == LayerKind::Other {
                return None;
            }
            identities.push(layer.identity.clone());
            if layer.kind == LayerKind::Loop {
                break;
            }
        }
        (!identities.is_empty()).then_some(identities)
    }
}

/// Follows a device number down.
///
/// # Errors
/// If sysfs does not know the device, or the layers do not end.
pub fn resolve(device: u64) -> io::Result<Topology> {
    let mut topology = Topology { layers: Vec::new(), reported: Vec::new(), redirects: false };
    follow(device, 0, &mut topology)?;
    Ok(topology)
}

/// Opens the block device of that number with more flags (`O_DIRECT`), for reading.
///
/// # Errors
/// If its node in /dev is missing, or is another device's.
pub(super) fn open(device: u64, flags: i32) -> io::Result<File> {
    let node = PathBuf::from("/dev").join(uevent(&block::of(device), "DEVNAME")?);
    let file = File::options().read(true).custom_flags(flags).open(&node)?;
    let metadata = file.metadata()?;
    if block::number_of(&metadata) != Some(device) {
        let text = format!("{} is not the device {}", node.display(), block::text(device));
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(file)
}

/// The device's logical sector, bytes.
///
/// # Errors
/// If sysfs does not say.
pub(super) fn sector_bytes(device: u64) -> io::Result<usize> {
    let dir = fs::canonicalize(block::of(device))?;
    let whole = if dir.join("partition").exists() { dir.join("..") } else { dir };
    let text = fs::read_to_string(whole.join("queue/logical_block_size"))?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn follow(device: u64, offset_bytes: u64, topology: &mut Topology) -> io::Result<()> {
    if topology.layers.len() >= MAX_LAYERS {
        return Err(io::Error::other("the layers of block devices do not end"));
    }
    let dir = fs::canonicalize(block::of(device))?;
    let size_bytes = number(&dir.join("size")).unwrap_or(0) * SYSFS_SECTOR;
    let mut layer = |kind, identity: String| {
        let device = block::text(device);
        topology.layers.push(Layer { kind, device, offset_bytes, size_bytes, identity });
    };
    if dir.join("partition").exists() {
        let start = number(&dir.join("start")).ok_or(io::ErrorKind::InvalidData)? * SYSFS_SECTOR;
        // Not its name, which changes with the disk's: the disk is known by what follows.
        let place = || format!("partition at byte {start}");
        layer(LayerKind::Partition, uevent(&dir, "PARTUUID").unwrap_or_else(|_| place()));
        return follow(block::number_in(&dir.join(".."))?, start, topology);
    }
    if let Some(backing) = read(&dir.join("loop/backing_file")) {
        let offset = number(&dir.join("loop/offset")).unwrap_or(0);
        let at = if offset > 0 { format!(" at byte {offset}") } else { String::new() };
        layer(LayerKind::Loop, format!("{backing}{at}"));
        // A backing file in a file system without a device of its own ends the way: the loop is
        // then the lowest layer that is known.
        let Ok(metadata) = fs::metadata(&backing) else { return Ok(()) };
        let below = block::number_of(&metadata).unwrap_or_else(|| metadata.dev());
        return if block::of(below).exists() { follow(below, offset, topology) } else { Ok(()) };
    }
    if let Some(uuid) = read(&dir.join("dm/uuid")) {
        let name = read(&dir.join("dm/name")).unwrap_or_default();
        let identity = if uuid.is_empty() { String::new() } else { format!("{name} {uuid}") };
        layer(LayerKind::DeviceMapper, identity);
        topology.redirects |= REDIRECTING.iter().any(|end| uuid.ends_with(end))
            || !IN_PLACE.iter().any(|begin| uuid.starts_with(begin));
        return slaves(&dir, topology);
    }
    if dir.join("md").exists() {
        layer(LayerKind::Raid, read(&dir.join("md/uuid")).unwrap_or_default());
        return slaves(&dir, topology);
    }
    let disk = disk(&dir, device);
    // The namespace's or unit's own name first: a serial number may be its controller's.
    let own = first(&dir, &["wwid", "uuid", "device/wwid"]);
    let identity = own.or_else(|| disk.serial.clone()).unwrap_or_default();
    let kind = if is_disk(&dir) { LayerKind::Disk } else { LayerKind::Other };
    layer(kind, identity);
    topology.reported.push(disk);
    Ok(())
}

/// In the order of what they are known by: the kernel's is that of names, which change.
fn slaves(dir: &Path, topology: &mut Topology) -> io::Result<()> {
    let mut below = Vec::new();
    for slave in fs::read_dir(dir.join("slaves"))? {
        let device = block::number_in(&slave?.path())?;
        let mut one = Topology { layers: Vec::new(), reported: Vec::new(), redirects: false };
        follow(device, 0, &mut one)?;
        below.push(one);
    }
    below.sort_by_key(Topology::known_by);
    for one in below {
        topology.layers.extend(one.layers);
        topology.reported.extend(one.reported);
        topology.redirects |= one.redirects;
    }
    if topology.layers.len() > MAX_LAYERS {
        return Err(io::Error::other("there are too many layers of block devices"));
    }
    Ok(())
}

/// Whether hardware, or a hypervisor's, answers under this name: then it has a parent device.
fn is_disk(dir: &Path) -> bool {
    dir.join("device").exists()
}

/// The first of these attributes that says anything.
fn first(dir: &Path, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| read(&dir.join(name)).filter(|text| !text.is_empty()))
}

fn disk(dir: &Path, device: u64) -> DeviceReported {
    let first = |names| first(dir, names);
    DeviceReported {
        device: block::text(device),
        model: first(&["device/model"]),
        serial: first(&["device/serial", "serial", "wwid", "device/wwid"]),
        firmware: first(&["device/firmware_rev", "device/rev"]),
        rotational: number(&dir.join("queue/rotational")).map(|flag| flag != 0),
        write_cache: first(&["queue/write_cache"]),
    }
}

fn number(path: &Path) -> Option<u64> {
    read(path)?.parse().ok()
}

fn uevent(dir: &Path, key: &str) -> io::Result<String> {
    let text = fs::read_to_string(dir.join("uevent"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}
