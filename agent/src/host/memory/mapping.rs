//! A memory file, mapped: made present, overwritten and compared where it lies.
//!
//! read(2) and write(2) copy each page through the page cache, at a fraction of memory's speed, and
//! hugetlbfs has no write(2). Touching a page that the kernel cannot bring (the file was cut, the
//! page is poisoned, its swap is broken) ends the process by SIGBUS, though. So pages are asked for
//! before they are touched first, with a call that answers by an error. A page that breaks after
//! that ends this process, as everything that meets broken memory ends: the wipe is resumed, and
//! then the kernel knows the page, and says so.
#![allow(unsafe_code, reason = "memory is mapped, written and compared through a pointer")]

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap},
};

use super::{
    super::overwrite::{Access, PIECE_BYTES},
    store::{Choice, Store},
};

/// The whole of a file, mapped shared.
pub(super) struct Mapping {
    start: NonNull<libc::c_void>,
    /// Of the mapping, whole pages.
    length: NonZeroUsize,
    /// Of the file.
    bytes: usize,
    /// Of one page.
    page_bytes: usize,
    /// For each piece of [`PIECE_BYTES`] whether all of its pages were brought.
    present: Vec<AtomicBool>,
    choice: Choice,
    monotonic: fn() -> Duration,
}

// SAFETY: the mapping belongs to the value until it is dropped, and is reached through its methods
// alone, which keep no pointer.
unsafe impl Send for Mapping {}
// SAFETY: as above. Several threads write and compare disjoint ranges: the pieces of one stage.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` of `file`, which has pages of `page_bytes`. `monotonic` measures which store is
    /// the fastest.
    pub(super) fn new(
        file: &File,
        bytes: u64,
        page_bytes: u64,
        monotonic: fn() -> Duration,
    ) -> io::Result<Self> {
        let page_bytes = page_bytes.max(1);
        let whole = bytes.max(1).checked_next_multiple_of(page_bytes);
        let length =
            whole.and_then(|whole| usize::try_from(whole).ok()).and_then(NonZeroUsize::new);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        let page_bytes = usize::try_from(page_bytes).map_err(io::Error::other)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }?;
        let present = (0..bytes.div_ceil(PIECE_BYTES)).map(|_| AtomicBool::new(false)).collect();
        let choice = Choice::default();
        let mapping = Self { start, length, bytes, page_bytes, present, choice, monotonic };
        // SAFETY: the whole of the mapping just made; no content changes. A core dump of this
        // process must not carry a guest's memory away.
        unsafe { madvise(start, length.get(), MmapAdvise::MADV_DONTDUMP) }?;
        Ok(mapping)
    }

    /// The place of a range of the file, all of whose pages are there.
    fn place(&self, offset: u64, length: usize) -> io::Result<*mut u8> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let end = offset.checked_add(length).filter(|end| *end <= self.bytes);
        let end = end.ok_or(io::ErrorKind::InvalidInput)?;
        let piece = self.present.get(offset / PIECE_BYTES);
        if !piece.is_some_and(|piece| piece.load(Ordering::Relaxed)) {
            self.bring(offset, length)?;
            let is_whole = offset.is_multiple_of(PIECE_BYTES)
                && (length == PIECE_BYTES || (length < PIECE_BYTES && end == self.bytes));
            if let (Some(piece), true) = (piece, is_whole) {
                piece.store(true, Ordering::Relaxed);
            }
        }
        // SAFETY: `offset` lies inside the mapping, as does the end of the range.
        Ok(unsafe { self.start.as_ptr().cast::<u8>().add(offset) })
    }

    /// Has the kernel bring the pages of a range into the mapping.
    fn bring(&self, offset: usize, length: usize) -> io::Result<()> {
        let from = offset - offset % self.page_bytes;
        // SAFETY: the range lies inside the mapping, and the advice changes no content.
        let brought = unsafe {
            let start = self.start.byte_add(from);
            madvise(start, offset + length - from, MmapAdvise::MADV_POPULATE_READ)
        };
        match brought {
            // Linux before 5.14 does not know the advice: pages are met unasked there.
            Ok(()) | Err(Errno::EINVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Access for Mapping {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let target = self.place(offset, bytes.len())?;
        // SAFETY: `target` is valid for so many bytes, and `bytes` is memory of this process that
        // no mapping of this file overlaps. No other thread has the range.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        Ok(bytes.len())
    }

    fn write_zeros(&self, zeros: &[u8], offset: u64) -> io::Result<usize> {
        let target = self.place(offset, zeros.len())?;
        let store = self.choice.next();
        let began = (self.monotonic)();
        // SAFETY: `target` is valid for so many bytes, which no other thread has.
        unsafe { zero(store, target, zeros.len()) };
        if zeros.len() == PIECE_BYTES {
            self.choice.note(store, (self.monotonic)().saturating_sub(began));
        }
        Ok(zeros.len())
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let source = self.place(offset, bytes.len())?;
        // SAFETY: as in `write`, the other way.
        unsafe { std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn holds(&self, expected: &[u8], found: &mut [u8], offset: u64) -> io::Result<bool> {
        let place = self.place(offset, expected.len())?;
        // SAFETY: both are valid for so many bytes. A foreign function reads them, through no
        // reference of Rust's, so that a stranger's write could make it answer "no" at worst.
        let differs =
            unsafe { libc::memcmp(place.cast(), expected.as_ptr().cast(), expected.len()) };
        if differs != 0 {
            self.read(found, offset)?;
        }
        Ok(differs == 0)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, whole, which nobody uses any more.
        let _ = unsafe { munmap(self.start, self.length.get()) };
    }
}

/// Fills with zeros.
///
/// # Safety
/// `target` is valid for writing `length` bytes, which nobody else reads or writes meanwhile.
unsafe fn zero(store: Store, target: *mut u8, length: usize) {
    // SAFETY: the caller's word, handed on.
    unsafe {
        match store {
            Store::Fill => std::ptr::write_bytes(target, 0, length),
            #[cfg(target_arch = "x86_64")]
            Store::String => std::arch::asm!(
                "rep stosb",
                inout("rdi") target => _,
                inout("rcx") length => _,
                in("al") 0_u8,
                options(nostack, preserves_flags),
            ),
            #[cfg(target_arch = "x86_64")]
            Store::Streaming => stream_zeros(target, length),
        }
    }
}

/// Stores of 16 bytes that go around the caches (SSE2, which every x86-64 has).
///
/// # Safety
/// As [`zero`].
#[cfg(target_arch = "x86_64")]
unsafe fn stream_zeros(target: *mut u8, length: usize) {
    use std::arch::x86_64::{__m128i, _mm_setzero_si128, _mm_sfence, _mm_stream_si128};
    const LINE: usize = 64;
    let head = target.align_offset(LINE).min(length);
    let lines = (length - head) / LINE;
    // SAFETY: head, lines and rest follow one another and end at `length`; each line is aligned to
    // 64 bytes. The fence orders these stores before whatever this thread does next, as the
    // memory model needs.
    unsafe {
        std::ptr::write_bytes(target, 0, head);
        let (first, zeros) = (target.add(head).cast::<__m128i>(), _mm_setzero_si128());
        for line in 0..lines {
            let line = first.add(line * 4);
            for quarter in 0..4 {
                _mm_stream_si128(line.add(quarter), zeros);
            }
        }
        _mm_sfence();
        let done = head + lines * LINE;
        std::ptr::write_bytes(target.add(done), 0, length - done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    fn no_clock() -> Duration {
        Duration::ZERO
    }

    fn file(bytes: u64) -> File {
        let file = tempfile::tempfile_in("/dev/shm").expect("a file in memory");
        file.set_len(bytes).expect("its size");
        file
    }

    #[test]
    fn every_store_fills_its_range_and_nothing_else() {
        let bytes = 3 * 4096;
        for &store in Store::ALL {
            for (offset, length) in [(0, bytes), (1, 63), (5, 4096), (64, 64), (77, 8000), (9, 0)] {
                let file = file(bytes as u64);
                file.write_all_at(&vec![7; bytes], 0).expect("written");
                let mapping = Mapping::new(&file, bytes as u64, 4096, no_clock).expect("mapped");
                let target = mapping.place(offset as u64, length).expect("inside");
                // SAFETY: `place` says that the range is there; one thread.
                unsafe { zero(store, target, length) };
                let mut found = vec![1; bytes];
                mapping.read(&mut found, 0).expect("read");
                let mut wanted = vec![7; bytes];
                wanted[offset..offset + length].fill(0);
                assert!(found == wanted, "{store:?}: {length} bytes from {offset}");
            }
        }
    }

    #[test]
    fn what_is_written_is_held_and_one_other_byte_is_seen() {
        let bytes = PIECE_BYTES as u64 + 4096;
        let file = file(bytes);
        let mapping = Mapping::new(&file, bytes, 4096, no_clock).expect("mapped");
        let content: Vec<u8> = (0..PIECE_BYTES).map(|at| (at % 251) as u8).collect();
        assert_eq!(mapping.write(&content, 4096).expect("written"), PIECE_BYTES);
        assert!(mapping.holds(&content, &mut [], 4096).expect("compared"));
        file.write_all_at(&[255], 4096 + 700_000).expect("changed");
        let mut found = vec![0; PIECE_BYTES];
        assert!(!mapping.holds(&content, &mut found, 4096).expect("compared"));
        assert_eq!(found[700_000], 255);
        assert!(mapping.write(&content, bytes).is_err(), "beyond the end");
        assert!(mapping.holds(&content, &mut [], u64::MAX).is_err(), "beyond the end");
    }

    #[test]
    fn a_core_dump_of_this_process_would_leave_it_out() {
        let file = file(8192);
        let mapping = Mapping::new(&file, 8192, 4096, no_clock).expect("mapped");
        let start = format!("{:x}-", mapping.start.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("maps");
        let own = maps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = own.filter_map(|line| line.strip_prefix("VmFlags:")).next();
        assert!(flags.is_some_and(|flags| flags.contains(" dd")), "{flags:?}");
    }

    #[test]
    fn a_file_that_was_cut_is_an_error_and_no_signal() {
        let bytes = 2 * PIECE_BYTES as u64;
        let file = file(bytes);
        let mapping = Mapping::new(&file, bytes, 4096, no_clock).expect("mapped");
        file.set_len(4096).expect("cut");
        assert!(mapping.write_zeros(&vec![0; PIECE_BYTES], PIECE_BYTES as u64).is_err());
        assert!(mapping.holds(&[0; 4096], &mut [], 4096).is_err());
        assert!(mapping.holds(&[0; 4096], &mut [], 0).expect("the page that is left"));
    }
}
