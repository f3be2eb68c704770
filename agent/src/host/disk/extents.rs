//! Where a file's bytes lie on its block device (FIEMAP), and whether overwriting in place reaches
//! them.
#![allow(unsafe_code, reason = "FIEMAP and the inode flags are ioctls")]

use std::{fs::File, io, os::fd::AsRawFd as _};

use super::refusal::DiskRefusal;
use crate::core::wipe::{Extent, ExtentMap};

/// How many extents one call asks for. All are fetched, however many calls it takes.
const BATCH: usize = 512;

/// `FIEMAP_FLAG_SYNC`: write dirty pages out first.
const SYNC: u32 = 1;

// Flags of one extent (linux/fiemap.h).
const LAST: u32 = 0x1;
const DELALLOC: u32 = 0x4;
const ENCODED: u32 = 0x8;
const DATA_ENCRYPTED: u32 = 0x80;
const NOT_ALIGNED: u32 = 0x100;
const DATA_INLINE: u32 = 0x200;
const DATA_TAIL: u32 = 0x400;
/// Preallocated, never written: reads as zeros and still holds what was there before.
const UNWRITTEN: u32 = 0x800;
const MERGED: u32 = 0x1000;
const SHARED: u32 = 0x2000;

/// Flags that say why an extent cannot be overwritten in place, the gravest first. The last takes
/// `FIEMAP_EXTENT_UNKNOWN` and every flag that is not known here.
const REFUSED: [(u32, DiskRefusal); 7] = [
    (SHARED, DiskRefusal::SharedExtent),
    (ENCODED | DATA_ENCRYPTED, DiskRefusal::EncodedExtent),
    (DATA_INLINE, DiskRefusal::InlineExtent),
    (DATA_TAIL, DiskRefusal::TailExtent),
    (DELALLOC, DiskRefusal::DelallocExtent),
    (NOT_ALIGNED, DiskRefusal::UnalignedExtent),
    (!(LAST | UNWRITTEN | MERGED), DiskRefusal::UnknownExtent),
];

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FiemapExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved_64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    extents: [FiemapExtent; BATCH],
}

/// `struct fsxattr` (linux/fs.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ExtendedAttributes {
    flags: u32,
    others: [u32; 4],
    padding: [u8; 8],
}

/// `FS_XFLAG_REALTIME`: the bytes lie on another device than the one that `stat` names.
const XFLAG_REALTIME: u32 = 1;

/// `FS_JOURNAL_DATA_FL`: content goes through the journal, and stays there.
const JOURNAL_DATA: libc::c_int = 0x4000;

// The size in the request's number is that of the head alone, without the extents.
nix::ioctl_readwrite_bad!(fs_ioc_fiemap, nix::request_code_readwrite!(b'f', 11, 32), Fiemap);
nix::ioctl_read!(fs_ioc_fsgetxattr, b'X', 31, ExtendedAttributes);
nix::ioctl_read_bad!(
    fs_ioc_getflags,
    nix::request_code_read!(b'f', 1, size_of::<libc::c_long>()),
    libc::c_int
);

/// The file's map, after its dirty pages were written out.
///
/// # Errors
/// The first extent that cannot be overwritten in place; or that the kernel gave none.
pub(super) fn map(file: &File) -> io::Result<Result<ExtentMap, DiskRefusal>> {
    let mut extents = Vec::new();
    let mut request = Box::new(Fiemap {
        start: 0,
        length: u64::MAX,
        flags: SYNC,
        mapped_extents: 0,
        extent_count: BATCH as u32,
        reserved: 0,
        extents: [FiemapExtent::default(); BATCH],
    });
    loop {
        // SAFETY: `request` is a fiemap head followed by room for `extent_count` extents, as the
        // kernel expects, and outlives the call.
        unsafe { fs_ioc_fiemap(file.as_raw_fd(), &raw mut *request) }?;
        let mapped = usize::try_from(request.mapped_extents).unwrap_or(BATCH).min(BATCH);
        for extent in &request.extents[..mapped] {
            if let Some((_, refusal)) = REFUSED.iter().find(|(flag, _)| extent.flags & flag != 0) {
                return Ok(Err(*refusal));
            }
            let FiemapExtent { logical, physical, length, .. } = *extent;
            extents.push(Extent { logical, physical, length });
        }
        let Some(last) = request.extents[..mapped].last() else { break };
        if last.flags & LAST != 0 {
            break;
        }
        request.start = last.logical.saturating_add(last.length);
        request.length = u64::MAX - request.start;
    }
    Ok(ExtentMap::new(extents).map_err(|_| DiskRefusal::SharedExtent))
}

/// Whether the inode's own flags send its content somewhere else than in place on the device.
///
/// # Errors
/// If they cannot be read.
pub(super) fn check_flags(file: &File, is_xfs: bool) -> io::Result<Result<(), DiskRefusal>> {
    if is_xfs {
        let mut attributes = ExtendedAttributes::default();
        // SAFETY: the kernel writes one `struct fsxattr`, 28 bytes, into `attributes`.
        unsafe { fs_ioc_fsgetxattr(file.as_raw_fd(), &raw mut attributes) }?;
        if attributes.flags & XFLAG_REALTIME != 0 {
            return Ok(Err(DiskRefusal::OtherDevice));
        }
    } else {
        let mut flags: libc::c_int = 0;
        // SAFETY: the kernel writes one int, whatever the size in the request's number.
        unsafe { fs_ioc_getflags(file.as_raw_fd(), &raw mut flags) }?;
        if flags & JOURNAL_DATA != 0 {
            return Ok(Err(DiskRefusal::JournalledContent));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<FiemapExtent>(), 56);
        assert_eq!(size_of::<Fiemap>(), 32 + BATCH * 56);
        assert_eq!(size_of::<ExtendedAttributes>(), 28);
    }
}
