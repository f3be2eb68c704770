//! Whether the processor can really run guests: `/dev/kvm` may exist and be useless, as on rented
//! machines that are guests themselves.
//!
//! QEMU is started as it would be for a guest, same user and same processor, with a ROM that
//! switches through protected mode to paging, as every kernel does, works for a while, and then
//! writes to a port that ends QEMU with a status of our choice. Anything else, or no end in time,
//! means: not usable.

use std::{
    ffi::OsString,
    fs,
    io::Write as _,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    time::Duration,
};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{
    core::machine::Accelerator,
    host::process::{Identity, Invocation, ProcessFailure},
};

/// How long the probe may take: far more than it needs, since a broken one loops for ever.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// QEMU's status when the ROM writes 42 to the port of `isa-debug-exit`: `(42 << 1) | 1`.
const PASSED: i32 = 85;

/// Size of a ROM that QEMU takes: it ends at the top of the first MiB and of 4 GiB.
const ROM_BYTES: usize = 64 << 10;

/// The group that may open `/dev/kvm`, if there is one. Root's own group is given to nobody.
pub(super) fn kvm_group() -> Option<u32> {
    let device = fs::metadata("/dev/kvm").ok()?;
    (device.gid() != 0 && device.mode() & 0o060 == 0o060).then_some(device.gid())
}

/// Runs the probe. Gives why the accelerator cannot be used, for people.
pub(super) fn probe(
    program: &Path,
    accelerator: Accelerator,
    identity: &Identity,
) -> Result<(), String> {
    let mut rom = memfd_create(c"probe", MFdFlags::MFD_CLOEXEC)
        .map(fs::File::from)
        .map_err(|errno| format!("no memory for the probe: {errno}"))?;
    rom.write_all(&rom_image()).map_err(|error| format!("no memory for the probe: {error}"))?;
    let cpu = match accelerator {
        Accelerator::Kvm => "host",
        Accelerator::Tcg => "qemu64",
    };
    let mut argv: Vec<OsString> = vec![program.into()];
    argv.extend(["-no-user-config", "-nodefaults", "-display", "none"].map(OsString::from));
    argv.extend(["-machine", "q35", "-m", "4", "-no-reboot"].map(OsString::from));
    argv.extend(["-accel", accelerator.name(), "-cpu", cpu].map(OsString::from));
    argv.extend(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"].map(OsString::from));
    argv.extend(["-bios".into(), format!("/proc/self/fd/{}", rom.as_raw_fd()).into()]);
    let fds = [rom.as_fd()];
    let ended = Invocation::new(&argv).fds(&fds).identity(identity).limit(PROBE_LIMIT).run();
    match ended {
        Err(ProcessFailure::Status { status, .. }) if status.code() == Some(PASSED) => Ok(()),
        Err(failure) => Err(failure.to_string()),
        Ok(_) => Err("the probe ended without its mark".to_owned()),
    }
}

/// The ROM: real mode at the reset vector, then [`REAL_MODE`], then [`PROTECTED_MODE`].
fn rom_image() -> Vec<u8> {
    let mut rom = vec![0xf4; ROM_BYTES];
    let mut put = |at: usize, bytes: &[u8]| rom[at..at + bytes.len()].copy_from_slice(bytes);
    put(0xff00, &REAL_MODE);
    put(0xff40, &PROTECTED_MODE);
    put(0xffa0, &DESCRIPTORS);
    put(0xffc0, &DESCRIPTOR_POINTER);
    // Reset vector: jmp near 0xff00.
    put(0xfff0, &[0xe9, 0x0d, 0xff]);
    rom
}

/// At f000:ff00, 16 bit.
const REAL_MODE: [u8; 24] = [
    0xfa, // cli
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0xc0, 0xff, // lgdt cs:[0xffc0] (32-bit base)
    0x0f, 0x20, 0xc0, // mov eax, cr0
    0x0c, 0x01, // or al, 1
    0x0f, 0x22, 0xc0, // mov cr0, eax
    0x66, 0xea, 0x40, 0xff, 0x0f, 0x00, 0x08, 0x00, // jmp dword 0x08:0x000fff40
];

/// At 0x000fff40, 32 bit, flat segments.
const PROTECTED_MODE: [u8; 69] = [
    0x66, 0xb8, 0x10, 0x00, // mov ax, 0x10
    0x8e, 0xd8, // mov ds, ax
    0x0f, 0xa2, // cpuid
    0x0f, 0x20, 0xe0, // mov eax, cr4
    0x83, 0xc8, 0x10, // or eax, 0x10 (PSE)
    0x0f, 0x22, 0xe0, // mov cr4, eax
    // A page directory at 0x100000 with one page of 4 MiB, mapped to itself.
    0xc7, 0x05, 0x00, 0x00, 0x10, 0x00, 0x83, 0x00, 0x00, 0x00, // mov [0x100000], 0x83
    0xb8, 0x00, 0x00, 0x10, 0x00, // mov eax, 0x100000
    0x0f, 0x22, 0xd8, // mov cr3, eax
    0x0f, 0x20, 0xc0, // mov eax, cr0
    0x0d, 0x00, 0x00, 0x00, 0x80, // or eax, 0x80000000 (PG)
    0x0f, 0x22, 0xc0, // mov cr0, eax
    // A million writes to memory.
    0xb9, 0x00, 0x00, 0x10, 0x00, // mov ecx, 0x100000
    0x89, 0x0d, 0x00, 0x00, 0x20, 0x00, // mov [0x200000], ecx
    0xe2, 0xf8, // loop, back to the write
    0x66, 0xba, 0xf4, 0x00, // mov dx, 0xf4
    0xb0, 0x2a, // mov al, 42
    0xee, // out dx, al
    0xf4, // hlt
    0xeb, 0xfd, // jmp, back to hlt
];

/// At 0x000fffa0: nothing, code, data; 32 bit, from 0 to 4 GiB.
const DESCRIPTORS: [u8; 24] = [
    0, 0, 0, 0, 0, 0, 0, 0, //
    0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0, //
    0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0,
];

/// At 0x000fffc0: limit, then base.
const DESCRIPTOR_POINTER: [u8; 6] = [23, 0, 0xa0, 0xff, 0x0f, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_passes_under_translation_and_fails_in_time_where_it_cannot_run() {
        let identity = Identity { uid: 64_999, gid: 64_998, groups: Vec::new() };
        let program = Path::new("qemu-system-x86_64");
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: the probe changes its user, which needs root");
            return;
        }
        match probe(program, Accelerator::Tcg, &identity) {
            Err(reason) if reason.contains("cannot start") => {
                eprintln!("SKIPPED: qemu-system-x86_64 is not installed");
            }
            ended => assert_eq!(ended, Ok(())),
        }
    }
}
