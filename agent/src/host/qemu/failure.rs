//! How machines fail.

use std::{io, path::PathBuf};

use tenure_protocol::{digest::Digest, id::InstanceId};

use super::qmp::QmpFailure;
use crate::host::{process::ProcessFailure, volume::VolumeFailure};

/// What went wrong with a machine.
#[derive(Debug, thiserror::Error)]
pub enum VmmFailure {
    /// A call on a file failed.
    #[error("cannot {act} {path}")]
    File {
        /// What was tried.
        act: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The VMM's user is root.
    #[error("vmm_uid is 0: give QEMU a user of its own (useradd --system tenure-vmm)")]
    Privileged,
    /// The image is not on this host.
    #[error("image file {path} is missing: copy it there; its name is its SHA-256")]
    ImageMissing {
        /// The file.
        path: PathBuf,
    },
    /// The image is another one.
    #[error("image file {path} has the SHA-256 {found}: replace it by the right file")]
    ImageDiffers {
        /// The file.
        path: PathBuf,
        /// What its bytes are.
        found: Digest,
    },
    /// QEMU could not read the image.
    #[error("image file {path} is not readable by the user that QEMU runs as: chmod 0644 {path}")]
    ImageUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// Memory would be written to a disk.
    #[error("{path} is not in memory: mount a tmpfs (mode 0700) or hugetlbfs there")]
    RamDir {
        /// The directory.
        path: PathBuf,
    },
    /// A former run left memory that cannot be cleared here.
    #[error("{path} holds the memory of a former run: wipe it before the next start")]
    RamLeft {
        /// The file.
        path: PathBuf,
    },
    /// The instance has a process already.
    #[error("instance {instance} runs already, as process {pid}")]
    AlreadyRuns {
        /// Which.
        instance: InstanceId,
        /// Its process.
        pid: u32,
    },
    /// A volume or its key.
    #[error(transparent)]
    Volume(#[from] VolumeFailure),
    /// QEMU could not be started.
    #[error("cannot start QEMU (is qemu-system-x86 installed?)")]
    Spawn(#[source] ProcessFailure),
    /// QEMU started and did not come up.
    #[error("QEMU did not bring up instance {instance}; its last words: {words}")]
    BringUp {
        /// Which.
        instance: InstanceId,
        /// The end of its log.
        words: String,
        /// What failed between us and it.
        #[source]
        source: QmpFailure,
    },
    /// QEMU could not be asked.
    #[error("cannot ask instance {instance}")]
    Ask {
        /// Which.
        instance: InstanceId,
        /// Why.
        #[source]
        source: QmpFailure,
    },
    /// The kernel refused to follow the process.
    #[error("cannot follow process {pid}")]
    Follow {
        /// Its number.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was killed and is not dead.
    #[error("process {pid} does not die: it hangs in the kernel, look at its wchan and its disks")]
    StillAlive {
        /// Its number.
        pid: u32,
    },
    /// The accelerator that the configuration demands does not work.
    #[error("accelerator = \"kvm\" is set, and KVM does not work here: {reason}")]
    NoKvm {
        /// Why, as the probe says.
        reason: String,
    },
}
