//! What overwriting in place cannot reach, or must not touch.

/// Why a file is not overwritten. Nothing was written when one of these is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiskRefusal {
    /// The caller did not prove that the instance's process is dead.
    #[error("the instance's process is not proven dead: stop it first")]
    VmmAlive,
    /// A directory, symbolic link, socket or device.
    #[error("it is not a regular file: give the volume's own file")]
    NotAFile,
    /// No block device, where one was to be.
    #[error("it is not a block device: give the volume's own device")]
    NotADevice,
    /// Another device, or another size, than the volume's.
    #[error("it is not the device that the volume is on: look for who changed the host's disks")]
    OtherThanKnown,
    /// More than one name.
    #[error("it has more than one name (hard links): remove the others first")]
    HardLinks,
    /// Open or mapped elsewhere, or a mount of its own.
    #[error("something else has it open, mapped or mounted: end that first")]
    Held,
    /// Neither ext4 nor XFS.
    #[error("its file system is neither ext4 nor XFS: only the erasure of its key counts there")]
    FileSystem,
    /// ext4 with `data=journal`, or the inode's `j` attribute.
    #[error("its content goes through the file system's journal: copies of it may stay there")]
    JournalledContent,
    /// An XFS real-time file.
    #[error("its content lies on another device than its file system's (XFS real-time)")]
    OtherDevice,
    /// Shared with another file (reflink), or claimed twice.
    #[error("it shares extents with another file (reflink): a write would go to a copy")]
    SharedExtent,
    /// Compressed or encrypted by the file system.
    #[error("its file system encodes its content: what is on the device cannot be compared")]
    EncodedExtent,
    /// Inside the inode.
    #[error("its content lies inside its inode")]
    InlineExtent,
    /// Packed with others'.
    #[error("its tail shares a block with other files'")]
    TailExtent,
    /// Not yet on the device.
    #[error("some of its content has no place on the device yet, even after a sync")]
    DelallocExtent,
    /// Not on block boundaries.
    #[error("some of its extents are not aligned to blocks")]
    UnalignedExtent,
    /// A place or a flag that is not known.
    #[error("the kernel does not say where some of its extents are")]
    UnknownExtent,
    /// A thin or snapshotted device-mapper device.
    #[error("the device under it redirects writes (thin or snapshot): old blocks would stay")]
    RedirectingDevice,
}

impl DiskRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::VmmAlive => "vmm-alive",
            Self::NotAFile => "not-a-file",
            Self::NotADevice => "not-a-device",
            Self::OtherThanKnown => "other-than-known",
            Self::HardLinks => "hard-links",
            Self::Held => "held",
            Self::FileSystem => "file-system",
            Self::JournalledContent => "journalled-content",
            Self::OtherDevice => "other-device",
            Self::SharedExtent => "shared-extent",
            Self::EncodedExtent => "encoded-extent",
            Self::InlineExtent => "inline-extent",
            Self::TailExtent => "tail-extent",
            Self::DelallocExtent => "delalloc-extent",
            Self::UnalignedExtent => "unaligned-extent",
            Self::UnknownExtent => "unknown-extent",
            Self::RedirectingDevice => "redirecting-device",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DiskRefusal;

    #[test]
    fn codes_are_kebab_case_and_all_different() {
        let all = [
            DiskRefusal::VmmAlive,
            DiskRefusal::NotAFile,
            DiskRefusal::NotADevice,
            DiskRefusal::OtherThanKnown,
            DiskRefusal::HardLinks,
            DiskRefusal::Held,
            DiskRefusal::FileSystem,
            DiskRefusal::JournalledContent,
            DiskRefusal::OtherDevice,
            DiskRefusal::SharedExtent,
            DiskRefusal::EncodedExtent,
            DiskRefusal::InlineExtent,
            DiskRefusal::TailExtent,
            DiskRefusal::DelallocExtent,
            DiskRefusal::UnalignedExtent,
            DiskRefusal::UnknownExtent,
            DiskRefusal::RedirectingDevice,
        ];
        let codes: std::collections::BTreeSet<_> = all.iter().map(|one| one.code()).collect();
        assert_eq!(codes.len(), all.len());
        let kebab = |code: &str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(codes.iter().all(|code| kebab(code)), "{codes:?}");
    }
}
