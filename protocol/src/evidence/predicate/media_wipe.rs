//! `media-wipe`: one volume's blocks, overwritten in place and read back from the device.

use serde::{Deserialize, Serialize};

use super::{
    Span,
    conclusion::{Conclusion, Ending, Findings},
    wipe::{Measured, Pass, Pattern, ReadBack, ReadLayer, Wipe, Writers},
};
use crate::digest::Digest;

/// The attestation of one volume's wipe.
pub type MediaWipe = Wipe<MediaWipeMeasured>;

/// What was measured while a volume was wiped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaWipeMeasured {
    /// How the run ended.
    pub ending: Ending,
    /// The whole run.
    pub span: Span,
    /// The file system that the volume's file is in; none if the volume is a device.
    pub file_system: FileSystem,
    /// The block devices under it: first the one that the file system is on, or the volume itself,
    /// last the disk.
    pub topology: Vec<Layer>,
    /// Real size of the volume's file or device, bytes.
    pub file_bytes: u64,
    /// Where its blocks were before the first write.
    pub extents_before: ExtentList,
    /// Where they were after the last; nothing if the run did not come so far.
    pub extents_after: Option<ExtentList>,
    /// Who else could write to it.
    pub writers: Writers,
    /// The passes, in their order.
    pub passes: Vec<Pass>,
    /// What was read back, in its order.
    pub read_backs: Vec<ReadBack>,
    /// Whether the file was synced after the last pass (`fdatasync`).
    pub file_synced: bool,
    /// Whether the device's cache was flushed after the last pass.
    pub device_cache_flushed: bool,
    /// Whether the file was unlinked at the end. A device ([`FileSystemKind::None`]) has no name
    /// to unlink: it is `false` there, and counts for nothing.
    pub unlinked: bool,
    /// Physical ranges that could not be written or read.
    pub bad_ranges: Vec<Range>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSystem {
    /// Such as `ext4`.
    pub kind: FileSystemKind,
    /// Its mount options, as the kernel prints them.
    pub mount_options: String,
}

/// Kinds of file systems, by what overwriting in place does on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSystemKind {
    /// ext4, which writes in place (but with `data=journal`).
    Ext4,
    /// XFS, which writes in place where extents are not shared.
    Xfs,
    /// No file system: the device itself.
    None,
    /// Any other, by its magic number or name: overwriting in place proves nothing there.
    Other(String),
}

/// One block device between a volume and its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Layer {
    /// What it is.
    pub kind: LayerKind,
    /// `major:minor`.
    pub device: String,
    /// Where the layer above begins on it, bytes.
    pub offset_bytes: u64,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// What it is known by: WWN or UUID, serial, UUID of the mapping, backing file of a loop; empty
    /// if it has no such thing.
    pub identity: String,
}

/// Kinds of block devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// A partition of the next one.
    Partition,
    /// A loop device over a file.
    Loop,
    /// A device-mapper target.
    DeviceMapper,
    /// An MD array.
    Raid,
    /// A disk.
    Disk,
    /// Something else.
    Other,
}

/// A file's extents (FIEMAP), holes left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtentList {
    /// How many.
    pub count: u64,
    /// Their bytes, all together.
    pub bytes: u64,
    /// Digest of the list: for each extent logical offset, physical offset and length, bytes, each
    /// as u64 big endian.
    pub digest: Digest,
    /// How many of them overwriting in place cannot reach (shared, encoded, inline, unaligned …).
    pub unreachable: u64,
}

impl ExtentList {
    /// From extents `(logical, physical, length)` in bytes.
    #[must_use]
    pub fn of(extents: &[(u64, u64, u64)], unreachable: u64) -> Self {
        let bytes: Vec<u8> = extents
            .iter()
            .flat_map(|&(logical, physical, length)| [logical, physical, length])
            .flat_map(u64::to_be_bytes)
            .collect();
        Self {
            count: u64::try_from(extents.len()).unwrap_or(u64::MAX),
            bytes: extents.iter().fold(0, |sum, extent| extent.2.saturating_add(sum)),
            digest: Digest::of(&bytes),
            unreachable,
        }
    }
}

/// A range of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// First byte.
    pub offset_bytes: u64,
    /// How many.
    pub length_bytes: u64,
}

impl Measured for MediaWipeMeasured {
    const RESIDUAL_RISKS: &'static [&'static str] = &[
        "Blocks that the device has remapped, or keeps as spare, are not reached by overwriting.",
        "Layers below the named disk (a remote array, a hypervisor under this one) are not seen.",
        "Copies made earlier (backups, snapshots, moves) are not covered by this statement.",
    ];

    fn conclude(&self) -> Conclusion {
        let total = self.extents_before.bytes.max(self.file_bytes);
        let mut found = Findings::new(self.ending, total);
        // A volume is made without holes: one that has some lost blocks that nobody overwrote.
        found.require(self.extents_before.bytes >= self.file_bytes, || {
            format!(
                "only {} of the file's {} bytes have blocks: what was in the holes is not known",
                self.extents_before.bytes, self.file_bytes
            )
        });
        found.require(self.writers.are_gone(), || {
            "another process could still write to the volume".to_owned()
        });
        found.require(self.writes_in_place(), || {
            format!("overwriting does not reach old blocks on {:?}", self.file_system.kind)
        });
        found.require(!self.topology.is_empty(), || {
            "the device under the volume is not known".to_owned()
        });
        found.require(self.extents_before.unreachable == 0, || {
            "some extents cannot be reached by overwriting in place".to_owned()
        });
        found.require(self.extents_after.as_ref() == Some(&self.extents_before), || {
            "the extents moved while the volume was overwritten".to_owned()
        });
        for pattern in [Pattern::Stream, Pattern::Zeros] {
            let (passes, reads) = (&self.passes, &self.read_backs);
            found.require_overwrite(pattern, ReadLayer::BlockDevice, passes, reads);
        }
        found
            .require(self.passes.last().is_some_and(|pass| pass.pattern == Pattern::Zeros), || {
                "the last pass was not one of zeros".to_owned()
            });
        found.require(self.bad_ranges.is_empty(), || {
            "some ranges could not be written or read".to_owned()
        });
        found.require(self.file_synced && self.device_cache_flushed, || {
            "caches were not flushed down to the device".to_owned()
        });
        found.expect(self.unlinked || self.file_system.kind == FileSystemKind::None, || {
            "the wiped file was not unlinked".to_owned()
        });
        found.conclude(
            "overwritten in place twice and read back in full from the block device (clear)",
        )
    }
}

impl MediaWipeMeasured {
    fn writes_in_place(&self) -> bool {
        match &self.file_system.kind {
            FileSystemKind::Ext4 => !self.file_system.mount_options.contains("data=journal"),
            FileSystemKind::Xfs | FileSystemKind::None => true,
            FileSystemKind::Other(_) => false,
        }
    }
}
