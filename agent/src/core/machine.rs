//! A virtual machine as data: QEMU's argument list, and the QMP commands that give it its volumes.
//!
//! QEMU opens nothing by name. Everything comes as a descriptor that the agent opened, whose
//! numbers are in [`MachineFds`], or over QMP. Only x86-64 (`q35`) so far.

use std::{fmt, net::Ipv4Addr};

use serde_json::{Value, json};
use tenure_protocol::{
    digest::Digest,
    id::{InstanceId, VolumeId},
    wire::v1::{InstanceWanted, Network},
};

/// Most volumes of one instance: each takes a PCI Express root port.
pub const MAX_VOLUMES: usize = 16;

/// Most virtual processors of one instance.
pub const MAX_VCPUS: u16 = 64;

/// Least memory of one instance, MiB.
pub const MIN_MEMORY_MIB: u32 = 64;

/// Most bytes of a kernel command line (`COMMAND_LINE_SIZE` of x86-64, with its final zero).
pub const MAX_CMDLINE: usize = 2047;

/// What carries out the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself, through `/dev/kvm`.
    Kvm,
    /// QEMU's translator. Works everywhere, many times slower.
    Tcg,
}

impl Accelerator {
    /// Its name in QEMU's arguments and in host facts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A machine that QEMU can be asked for: checked, and complete but for descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// Which instance it is.
    pub instance: InstanceId,
    /// Virtual processors.
    pub vcpus: u16,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// The kernel's file in the image directory.
    pub kernel: Digest,
    /// The initial RAM file system's file in the image directory.
    pub initrd: Digest,
    /// The kernel's command line, with `ip=`.
    pub cmdline: String,
    /// MAC address of the one network card.
    pub mac: [u8; 6],
    /// Volumes in the order in which the guest sees them.
    pub volumes: Vec<VolumeId>,
    /// What carries out the guest's instructions.
    pub accelerator: Accelerator,
}

/// Why a wanted instance cannot be a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineRefusal {
    /// Processors.
    #[error("{0} virtual processors: give 1 to {MAX_VCPUS}")]
    Vcpus(u16),
    /// Memory.
    #[error("{0} MiB of memory: give {MIN_MEMORY_MIB} or more")]
    Memory(u32),
    /// The name goes into the kernel's command line.
    #[error("{0:?} is no host name: give 1 to 63 of a-z, 0-9 and -, none of them - at an end")]
    Name(String),
    /// The command line.
    #[error("the kernel command line is longer than {MAX_CMDLINE} bytes or not printable ASCII")]
    Cmdline,
    /// Volumes.
    #[error("{0} volumes: give at most {MAX_VOLUMES}, each once")]
    Volumes(usize),
    /// The MAC address.
    #[error("the MAC address is a group address or all zeros: give a single station's")]
    Mac,
}

impl MachineRefusal {
    /// The stable code of this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Vcpus(_) => "machine-vcpus",
            Self::Memory(_) => "machine-memory",
            Self::Name(_) => "machine-name",
            Self::Cmdline => "machine-cmdline",
            Self::Volumes(_) => "machine-volumes",
            Self::Mac => "machine-mac",
        }
    }
}

impl MachineSpec {
    /// The machine that `wanted` asks for, in its tenant's `network`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn of(
        wanted: &InstanceWanted,
        network: &Network,
        accelerator: Accelerator,
    ) -> Result<Self, MachineRefusal> {
        if !(1..=MAX_VCPUS).contains(&wanted.vcpus) {
            return Err(MachineRefusal::Vcpus(wanted.vcpus));
        }
        if wanted.memory_mib < MIN_MEMORY_MIB {
            return Err(MachineRefusal::Memory(wanted.memory_mib));
        }
        if !is_dns_label(&wanted.name) {
            return Err(MachineRefusal::Name(wanted.name.chars().take(64).collect()));
        }
        if wanted.nic.mac == [0; 6] || wanted.nic.mac[0] & 1 == 1 {
            return Err(MachineRefusal::Mac);
        }
        let volumes: Vec<VolumeId> = wanted.volumes.iter().map(|volume| volume.volume).collect();
        let twice = volumes.iter().enumerate().any(|(at, id)| volumes[..at].contains(id));
        if twice || volumes.len() > MAX_VOLUMES {
            return Err(MachineRefusal::Volumes(volumes.len()));
        }
        let cmdline = cmdline(wanted, network);
        let printable = cmdline.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !printable || cmdline.len() > MAX_CMDLINE {
            return Err(MachineRefusal::Cmdline);
        }
        Ok(Self {
            instance: wanted.instance,
            vcpus: wanted.vcpus,
            memory_mib: wanted.memory_mib,
            kernel: wanted.boot.kernel,
            initrd: wanted.boot.initrd,
            cmdline,
            mac: wanted.nic.mac,
            volumes,
            accelerator,
        })
    }

    /// Size of the memory, bytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        (self.memory_mib as u64) << 20
    }
}

/// A label of RFC 1123, lower case.
fn is_dns_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The image's command line and the guest's address, as the kernel's `nfsroot.txt` writes it.
fn cmdline(wanted: &InstanceWanted, network: &Network) -> String {
    let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix.min(32))).unwrap_or(0);
    format!(
        "{} ip={}::{}:{}:{}:eth0:off",
        wanted.boot.cmdline.trim(),
        Ipv4Addr::from(wanted.nic.ip4),
        Ipv4Addr::from(network.gateway),
        Ipv4Addr::from(mask),
        wanted.name,
    )
    .trim_start()
    .to_owned()
}

/// Numbers of the descriptors that QEMU inherits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineFds {
    /// The memory file, readable and writable.
    pub ram: i32,
    /// The kernel, readable.
    pub kernel: i32,
    /// The initial RAM file system, readable.
    pub initrd: i32,
    /// The tap.
    pub tap: i32,
    /// The console's log, write-only and appending.
    pub console: i32,
    /// The listening socket for QMP.
    pub qmp: i32,
}

/// QEMU's argument list; the first is `program`. The machine waits for `cont`.
#[must_use]
pub fn argv(program: &str, spec: &MachineSpec, fds: &MachineFds) -> Vec<String> {
    let mut argv = vec![program.to_owned()];
    let mut add = |option: &str, value: String| {
        argv.push(option.to_owned());
        if !value.is_empty() {
            argv.push(value);
        }
    };
    add("-name", format!("guest={},debug-threads=on", spec.instance));
    for flag in ["-no-user-config", "-nodefaults", "-S"] {
        add(flag, String::new());
    }
    add("-display", "none".into());
    add(
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".into(),
    );
    // A guest that powers off or panics is seen and ended by the agent, not by QEMU.
    add("-action", "reboot=reset,shutdown=pause,panic=pause".into());
    add("-machine", "q35,memory-backend=ram,mem-merge=off,dump-guest-core=off,usb=off".into());
    add("-accel", spec.accelerator.name().into());
    let cpu = match spec.accelerator {
        Accelerator::Kvm => "host",
        Accelerator::Tcg => "qemu64",
    };
    add("-cpu", cpu.into());
    add("-smp", spec.vcpus.to_string());
    add("-m", format!("{}M", spec.memory_mib));
    // A file that outlives QEMU, so that it can be wiped and read back (share=on: no private copy).
    add(
        "-object",
        format!(
            "memory-backend-file,id=ram,size={}M,mem-path=/proc/self/fd/{},share=on,\
             prealloc=off,merge=off,dump=off",
            spec.memory_mib, fds.ram
        ),
    );
    add("-add-fd", format!("fd={},set={CONSOLE_SET}", fds.console));
    add("-chardev", format!("file,id=console,path=/dev/fdset/{CONSOLE_SET},append=on"));
    add("-serial", "chardev:console".into());
    add("-chardev", format!("socket,id=qmp,fd={},server=on,wait=off", fds.qmp));
    add("-mon", "chardev=qmp,mode=control".into());
    add("-kernel", format!("/proc/self/fd/{}", fds.kernel));
    add("-initrd", format!("/proc/self/fd/{}", fds.initrd));
    add("-append", spec.cmdline.clone());
    add("-netdev", format!("tap,id=net0,fd={}", fds.tap));
    let mac = spec.mac.map(|byte| format!("{byte:02x}")).join(":");
    add("-device", format!("virtio-net-pci,netdev=net0,mac={mac},romfile="));
    add("-object", "rng-builtin,id=rng0".into());
    add("-device", "virtio-rng-pci,rng=rng0".into());
    for index in 0..spec.volumes.len() {
        add("-device", format!("pcie-root-port,id=port{index},chassis={}", index + 1));
    }
    argv
}

/// The descriptor set of the console; volumes have the ones above.
const CONSOLE_SET: usize = 1;

/// What a QMP command takes along besides its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Nothing.
    Nothing,
    /// The volume's descriptor, beside the bytes.
    Descriptor,
    /// The volume's passphrase, as the argument `data`. It is put in when the command is sent, so
    /// that no value that might be printed ever holds it.
    Passphrase,
}

/// One QMP command.
#[derive(Debug, Clone, PartialEq)]
pub struct QmpCommand {
    /// Its name.
    pub execute: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// What it takes along.
    pub carries: Carries,
}

/// What a volume's container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// A file of its own, which has just the volume's size.
    File,
    /// A block device, which may be larger.
    Device {
        /// Size that the guest sees, bytes.
        size_bytes: u64,
    },
}

/// The commands that give a machine its volume number `index`, in order. The passphrase leaves
/// QEMU's objects again as soon as the volume is open.
#[must_use]
pub fn volume_commands(index: usize, volume: VolumeId, backing: Backing) -> Vec<QmpCommand> {
    let set = CONSOLE_SET + 1 + index;
    let (file, node, key) =
        (format!("file{index}"), format!("volume{index}"), format!("key{index}"));
    let serial: String = volume.as_uuid().simple().to_string()[12..].to_owned();
    let command = |execute, arguments, carries| QmpCommand { execute, arguments, carries };
    let (driver, sized) = match backing {
        Backing::File => ("file", None),
        Backing::Device { size_bytes } => ("host_device", Some(size_bytes)),
    };
    let drive = sized.map_or_else(|| node.clone(), |_| format!("sized{index}"));
    let mut commands = vec![
        command("add-fd", json!({"fdset-id": set}), Carries::Descriptor),
        // discard=ignore: a hole would leave the old blocks where no overwrite reaches them.
        command(
            "blockdev-add",
            json!({"driver": driver, "node-name": file, "filename": format!("/dev/fdset/{set}"),
                   "aio": "threads", "cache": {"direct": true}, "discard": "ignore"}),
            Carries::Nothing,
        ),
        command(
            "object-add",
            json!({"qom-type": "secret", "id": key, "format": "raw"}),
            Carries::Passphrase,
        ),
        command(
            "blockdev-add",
            json!({"driver": "luks", "node-name": node, "file": file, "key-secret": key,
                   "cache": {"direct": true}, "discard": "ignore"}),
            Carries::Nothing,
        ),
        command("object-del", json!({"id": key}), Carries::Nothing),
    ];
    if let Some(size) = sized {
        commands.push(command(
            "blockdev-add",
            json!({"driver": "raw", "node-name": drive, "file": node, "size": size,
                   "cache": {"direct": true}, "discard": "ignore"}),
            Carries::Nothing,
        ));
    }
    commands.push(command(
        "device_add",
        json!({"driver": "virtio-blk-pci", "id": format!("disk{index}"), "drive": drive,
               "bus": format!("port{index}"), "serial": serial,
               "discard": false, "write-zeroes": false}),
        Carries::Nothing,
    ));
    commands
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
