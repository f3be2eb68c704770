//! A file mapped for writing, for file systems without write(2).
#![allow(unsafe_code, reason = "memory is mapped and written through a pointer")]

use std::{fs::File, io, num::NonZeroUsize, ptr::NonNull};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The whole of a file, mapped shared. Its pages are reserved when it is mapped, so that a write
/// never meets a missing one.
pub(super) struct Mapping {
    start: NonNull<libc::c_void>,
    length: NonZeroUsize,
}

// SAFETY: the mapping belongs to the value until it is dropped, and is reached through `write_at`
// alone.
unsafe impl Send for Mapping {}
// SAFETY: as above; `write_at` is called from several threads on disjoint ranges, and nothing reads
// through the mapping.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(file: &File, bytes: u64) -> io::Result<Self> {
        let length = usize::try_from(bytes).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let start =
            unsafe { mmap(None, length, ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { start, length })
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.length.get()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the range lies inside the mapping, which is writable, and `bytes` is memory of
        // this process that no mapping of this file overlaps. Callers write disjoint ranges.
        unsafe {
            let target = self.start.as_ptr().cast::<u8>().add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
        Ok(bytes.len())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, whole, which nobody uses any more.
        let _ = unsafe { munmap(self.start, self.length.get()) };
    }
}
