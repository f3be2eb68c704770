//! `nwipe`, locked in: it can see one block device, the bench's own.
//!
//! `nwipe --autonuke` without a device wipes every disk of the machine. It is named its device, and
//! more than that: it starts in a mount namespace of its own, with a /dev of its own in which the
//! loop device is the only block device, and without the rights to make another (CAP_MKNOD) or to
//! load modules. What starts it looks whether this is so, and refuses otherwise.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;

use super::{
    Run,
    ground::{Cost, Ground, cost, whole_sectors},
};
use crate::lab::{
    daemon::run,
    storage::{LoopDisk, attach},
};

/// Arguments: the device's node, its numbers, the file under it, this mount namespace; nwipe's.
const LOCKED_IN: &str = r#"set -euo pipefail
node=$1 numbers=$2 backing=$3 outside=$4
shift 4
refuse() { echo "nwipe is not started: $1" >&2; exit 1; }
[ "$(readlink /proc/self/ns/mnt)" != "$outside" ] || refuse "this is the machine's mount namespace"
[[ "$node" == /dev/loop+([0-9]) ]] || refuse "$node is no loop device"
[ "$(cat "/sys/block/${node#/dev/}/dev")" = "$numbers" ] || refuse "$node has other numbers"
[ "$(cat "/sys/block/${node#/dev/}/loop/backing_file")" = "$backing" ] ||
    refuse "$node lies over another file"
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tenure-bench /dev
mknod -m 0600 "$node" b "${numbers%:*}" "${numbers#*:}"
mknod -m 0666 /dev/null c 1 3
mknod -m 0444 /dev/urandom c 1 9
[ "$(stat -f -c %T /dev)" = tmpfs ] || refuse "/dev is not its own"
[ "$(find /dev -type b)" = "$node" ] || refuse "/dev has other block devices"
[ "$(stat -c %Hr:%Lr "$node")" = "$numbers" ] || refuse "$node is another device here"
lost=-mknod,-sys_module
exec setpriv --bounding-set=$lost --inh-caps=$lost -- nwipe --autonuke --nogui --nowait \
    --logfile=/dev/null --rounds=1 "$@" "$node"
"#;

/// What it is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Zeros,
    ZerosVerified,
    /// The same guarantees as ours.
    StreamAndZerosVerified,
}

impl Way {
    pub(crate) const ALL: [Self; 3] =
        [Self::Zeros, Self::ZerosVerified, Self::StreamAndZerosVerified];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Zeros => "nwipe: one pass, not verified",
            Self::ZerosVerified => "nwipe: one pass, verified",
            Self::StreamAndZerosVerified => "nwipe: stream and zeros, both verified, as ours",
        }
    }

    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Zeros => &["--method=zero", "--noblank", "--verify=off"],
            Self::ZerosVerified => &["--method=zero", "--noblank", "--verify=all"],
            // The last pass is the blanking one.
            Self::StreamAndZerosVerified => &["--method=random", "--verify=all"],
        }
    }
}

/// With what it needs whatever the device's size, which does not count.
pub(crate) struct Nwipe {
    idle: Cost,
}

impl Nwipe {
    /// Measures its start and end on a device of 1 MiB.
    pub(crate) fn new(ground: &Ground) -> anyhow::Result<Self> {
        let backing = ground.dir.path().join("small.img");
        run(&["fallocate", "-l", "1MiB", backing.to_str().context("path is not UTF-8")?])?;
        let small = Small { device: attach(&backing)? };
        whole_sectors(&small.device)?;
        let idle = locked_in(&small.device, &backing, Way::Zeros)?;
        Ok(Self { idle })
    }

    pub(crate) fn wipe(&self, disk: &LoopDisk, mib: u64, way: Way) -> anyhow::Result<Run> {
        let cost = locked_in(&disk.device, &disk.backing, way)?;
        let took = cost.took.saturating_sub(self.idle.took).max(Duration::from_millis(1));
        let cpu = cost.cpu.saturating_sub(self.idle.cpu);
        Ok(Cost { took, cpu }.run(mib))
    }
}

/// A loop device without a file system. Dropping it frees it.
struct Small {
    device: String,
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = run(&["losetup", "-d", &self.device]);
    }
}

fn locked_in(device: &str, backing: &Path, way: Way) -> anyhow::Result<Cost> {
    locked_in_as(device, device, backing, way)
}

/// `numbered` is the device whose numbers are taken; tests take another's.
fn locked_in_as(device: &str, numbered: &str, backing: &Path, way: Way) -> anyhow::Result<Cost> {
    let name = numbered.trim_start_matches("/dev/");
    let numbers = fs::read_to_string(format!("/sys/block/{name}/dev"))?;
    let outside = fs::read_link("/proc/self/ns/mnt")?;
    let (outside, backing) = (outside.to_string_lossy(), fs::canonicalize(backing)?);
    let backing = backing.to_str().context("path is not UTF-8")?;
    let shell = ["unshare", "-m", "--propagation=private", "bash", "-O", "extglob", "-c"];
    let words = [LOCKED_IN, "nwipe", device, numbers.trim(), backing, &outside];
    Ok(cost(&[&shell[..], &words, way.arguments()].concat())?.0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn nwipe_is_not_started_on_a_device_that_is_not_the_benchs() -> anyhow::Result<()> {
        if let Some(reason) = super::super::lacks() {
            eprintln!("SKIPPED: {reason}");
            return Ok(());
        }
        let dir = tempfile::tempdir_in("/var/tmp")?;
        let (one, other) = (dir.path().join("one.img"), dir.path().join("other.img"));
        for path in [&one, &other] {
            fs::copy("/proc/self/exe", path)?;
            File::options().write(true).open(path)?.set_len(1 << 20)?;
        }
        let before = fs::read(&one)?;
        let device = Small { device: attach(&one)? };
        let second = Small { device: attach(&other)? };
        let refused = |result: anyhow::Result<Cost>, why: &str| {
            let failure = result.err().map(|failure| failure.to_string()).unwrap_or_default();
            assert!(failure.contains("not started") && failure.contains(why), "{failure}");
        };
        refused(locked_in(&device.device, &other, Way::Zeros), "another file");
        refused(locked_in_as(&device.device, &second.device, &one, Way::Zeros), "other numbers");
        assert!(fs::read(&one)? == before, "it was touched");
        locked_in(&device.device, &one, Way::Zeros)?;
        assert!(fs::read(&one)?.iter().all(|&byte| byte == 0));
        assert!(Path::new("/dev/zero").exists(), "the machine's /dev is as it was");
        Ok(())
    }
}
