//! Where else a guest's memory could be left on the host.

use std::{fs, io, path::Path};

use nix::sys::stat::{major, minor};
use tenure_protocol::evidence::predicate::memory_wipe::{Residue, ResiduePlace, ResidueState};

use super::super::holders::FileIdentity;

/// Looks at all places that the kernel tells about.
pub(super) fn look(swappable: bool, left_out_of_dumps: bool) -> Vec<Residue> {
    let swaps = read("/proc/swaps");
    let swapping = swaps.as_deref().map(swap_devices);
    vec![
        swap(swapping.as_ref(), swappable),
        samepage_merging(read("/sys/kernel/mm/ksm/run").as_deref()),
        core_dumps(read("/proc/sys/kernel/core_pattern").as_deref(), left_out_of_dumps),
        process_memory(read("/proc/cmdline").as_deref().unwrap_or_default()),
        compressed_memory(swapping.as_ref(), swappable),
        hibernation(swapping.as_ref()),
    ]
}

/// Whether pages of this file system may go to swap: not if it is mounted `noswap`.
pub(super) fn is_swappable(file: &FileIdentity) -> io::Result<bool> {
    let number = format!("{}:{}", major(file.device), minor(file.device));
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(!table.lines().any(|line| is_noswap(line, &number)))
}

fn is_noswap(line: &str, number: &str) -> bool {
    let Some((mount, system)) = line.split_once(" - ") else { return false };
    let options = system.rsplit(' ').next().unwrap_or_default();
    mount.split(' ').nth(2) == Some(number) && options.split(',').any(|word| word == "noswap")
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(path)).ok()
}

/// The first column of /proc/swaps, without its head.
fn swap_devices(text: &str) -> Vec<String> {
    let words = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).collect()
}

fn finding(place: ResiduePlace, state: ResidueState, detail: impl Into<String>) -> Residue {
    Residue { place, state, detail: detail.into() }
}

fn swap(devices: Option<&Vec<String>>, swappable: bool) -> Residue {
    let place = ResiduePlace::Swap;
    match devices {
        Some(devices) if devices.is_empty() => {
            finding(place, ResidueState::Clean, "no swap is on (/proc/swaps)")
        }
        Some(_) | None if !swappable => finding(
            place,
            ResidueState::Clean,
            "the memory's file system never goes to swap (hugetlbfs, or tmpfs with noswap)",
        ),
        Some(devices) => finding(
            place,
            ResidueState::NotChecked,
            format!("{} may hold pages of it: mount the memory with noswap", devices.join(", ")),
        ),
        None => finding(place, ResidueState::NotChecked, "/proc/swaps cannot be read"),
    }
}

fn samepage_merging(run: Option<&str>) -> Residue {
    let detail = match run.map(str::trim) {
        None => "the kernel has no samepage merging",
        Some("0") => "samepage merging is off (/sys/kernel/mm/ksm/run is 0)",
        Some(_) => "samepage merging is on, but never merges pages of shared files",
    };
    finding(ResiduePlace::SamepageMerging, ResidueState::Clean, detail)
}

fn core_dumps(pattern: Option<&str>, left_out: bool) -> Residue {
    let pattern = pattern.map_or("unknown", str::trim);
    let place = ResiduePlace::CoreDumps;
    if left_out {
        let detail = format!(
            "guest memory was left out of dumps (dump-guest-core=off); pattern {pattern:?}"
        );
        finding(place, ResidueState::Clean, detail)
    } else {
        let detail = format!("dumps of the process go to {pattern:?} with the guest's memory");
        finding(place, ResidueState::NotChecked, detail)
    }
}

fn process_memory(cmdline: &str) -> Residue {
    let place = ResiduePlace::ProcessMemory;
    if cmdline.split_whitespace().any(|word| word == "init_on_free=1") {
        finding(place, ResidueState::Clean, "the kernel zeroes freed pages (init_on_free=1)")
    } else {
        let detail =
            "the kernel zeroes pages only when it gives them out again (no init_on_free=1)";
        finding(place, ResidueState::NotChecked, detail)
    }
}

fn compressed_memory(devices: Option<&Vec<String>>, swappable: bool) -> Residue {
    let place = ResiduePlace::CompressedMemory;
    match devices {
        Some(devices) if devices.is_empty() => {
            finding(place, ResidueState::Clean, "without swap nothing is compressed (zswap, zram)")
        }
        Some(_) | None if !swappable => {
            finding(place, ResidueState::Clean, "what never goes to swap is never compressed")
        }
        Some(_) | None => {
            finding(place, ResidueState::NotChecked, "swap is on, and may be compressed in memory")
        }
    }
}

fn hibernation(devices: Option<&Vec<String>>) -> Residue {
    let place = ResiduePlace::Hibernation;
    match devices {
        Some(devices) if devices.is_empty() => {
            finding(place, ResidueState::Clean, "without swap the host cannot hibernate")
        }
        Some(_) | None => {
            let detail = "swap is on: an image of an earlier hibernation may be there";
            finding(place, ResidueState::NotChecked, detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_clean_only_where_no_page_can_have_gone_there() {
        let none = swap_devices("Filename Type Size Used Priority\n");
        let one = swap_devices("Filename Type Size Used Priority\n/dev/sda2 partition 9 0 -2\n");
        assert_eq!(swap(Some(&none), true).state, ResidueState::Clean);
        assert_eq!(swap(Some(&one), false).state, ResidueState::Clean);
        let found = swap(Some(&one), true);
        assert_eq!(found.state, ResidueState::NotChecked);
        assert!(found.detail.contains("/dev/sda2"), "{}", found.detail);
        assert_eq!(swap(None, true).state, ResidueState::NotChecked);
        assert_eq!(hibernation(Some(&one)).state, ResidueState::NotChecked);
        assert_eq!(compressed_memory(Some(&one), true).state, ResidueState::NotChecked);
    }

    #[test]
    fn the_mount_option_counts_for_its_own_mount_alone() {
        let line = "36 35 0:98 / /ram rw,noswap - tmpfs ram rw,size=8m,noswap,inode64";
        assert!(is_noswap(line, "0:98"));
        assert!(!is_noswap(line, "0:99"));
        assert!(!is_noswap("36 35 0:98 / /noswap rw - tmpfs noswap rw,size=8m", "0:98"));
    }

    #[test]
    fn dumps_and_freed_pages_are_clean_only_with_a_reason() {
        assert_eq!(core_dumps(Some("|/usr/bin/x\n"), false).state, ResidueState::NotChecked);
        assert_eq!(core_dumps(Some("core\n"), true).state, ResidueState::Clean);
        assert_eq!(process_memory("ro init_on_free=1 quiet\n").state, ResidueState::Clean);
        assert_eq!(process_memory("ro quiet\n").state, ResidueState::NotChecked);
    }
}
