//! Loops that fill and read memory as fast as a processor can: what a memory wipe is held against.
//!
//! They share nothing with the product's own.
#![allow(unsafe_code, reason = "memory is mapped, and filled by instructions that are chosen")]

use std::{fs::File, hint::black_box, io, num::NonZeroUsize, ptr::NonNull, thread};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A way to fill memory with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// The C library's memset.
    Memset,
    /// `rep stosb` over all at once.
    String,
    /// Stores of 32 bytes around the caches (AVX2).
    Streaming,
}

impl Store {
    /// Those that this processor has.
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            return vec![Self::Memset, Self::String, Self::Streaming];
        }
        #[cfg(target_arch = "x86_64")]
        return vec![Self::Memset, Self::String];
        #[cfg(not(target_arch = "x86_64"))]
        vec![Self::Memset]
    }

    fn fill(self, bytes: &mut [u8]) {
        match self {
            Self::Memset => bytes.fill(0),
            Self::String => string(bytes),
            Self::Streaming => streaming(bytes),
        }
    }
}

/// A file of this process alone, mapped shared.
pub(super) struct Region {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

impl Region {
    /// Maps `bytes` of a file, a multiple of its pages, that nobody else opens while it is mapped.
    ///
    /// # Errors
    /// If it cannot be mapped.
    pub(super) fn new(file: &File, bytes: u64) -> io::Result<Self> {
        let length = usize::try_from(bytes).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { start: start.cast(), length })
    }

    /// Its bytes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is whole, of a file that is as long and of this process alone; the
        // borrow keeps others away.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length.get()) }
    }

    /// Fills it with zeros, each thread its part.
    pub(super) fn fill(&mut self, store: Store, threads: usize) {
        let part = self.length.get().div_ceil(threads);
        thread::scope(|scope| {
            for part in self.bytes().chunks_mut(part) {
                scope.spawn(move || store.fill(part));
            }
        });
    }

    /// Reads all of it, each thread its part: whether it is zero.
    pub(super) fn is_zero(&mut self, threads: usize) -> bool {
        let part = self.length.get().div_ceil(threads);
        thread::scope(|scope| {
            let parts = self.bytes().chunks(part);
            let readers: Vec<_> = parts.map(|part| scope.spawn(|| any_bit(part))).collect();
            readers.into_iter().all(|reader| matches!(reader.join(), Ok(0)))
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, whole, which nobody borrows any more.
        let _ = unsafe { munmap(self.start.cast(), self.length.get()) };
    }
}

/// All bits of all words, or-ed: a plain loop, which the compiler may widen.
fn any_bit(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let of_words = words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word));
    black_box(rest.iter().fold(of_words, |all, byte| all | u64::from(*byte)))
}

#[cfg(target_arch = "x86_64")]
fn string(bytes: &mut [u8]) {
    // SAFETY: writes exactly the bytes of the slice.
    unsafe {
        std::arch::asm!(
            "rep stosb",
            inout("rdi") bytes.as_mut_ptr() => _,
            inout("rcx") bytes.len() => _,
            in("al") 0_u8,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(target_arch = "x86_64")]
fn streaming(bytes: &mut [u8]) {
    if !std::is_x86_feature_detected!("avx2") {
        return bytes.fill(0);
    }
    // SAFETY: 32 bytes of any content are 32 bytes; the processor has AVX2.
    unsafe {
        let (head, lines, rest) = bytes.align_to_mut::<std::arch::x86_64::__m256i>();
        head.fill(0);
        stream_lines(lines);
        rest.fill(0);
    }
}

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn stream_lines(lines: &mut [std::arch::x86_64::__m256i]) {
    use std::arch::x86_64::{_mm_sfence, _mm256_setzero_si256, _mm256_stream_si256};
    let zeros = _mm256_setzero_si256();
    for line in lines {
        // SAFETY: `line` is a place of 32 bytes, aligned to as many.
        unsafe { _mm256_stream_si256(line, zeros) };
    }
    _mm_sfence();
}

#[cfg(not(target_arch = "x86_64"))]
fn string(bytes: &mut [u8]) {
    bytes.fill(0);
}

#[cfg(not(target_arch = "x86_64"))]
fn streaming(bytes: &mut [u8]) {
    bytes.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_fills_all_and_a_byte_that_is_left_is_seen() -> anyhow::Result<()> {
        let file = tempfile::tempfile()?;
        file.set_len(3 * 4096)?;
        let mut region = Region::new(&file, 3 * 4096)?;
        for store in Store::all() {
            region.bytes().fill(7);
            assert!(!region.is_zero(2));
            region.fill(store, 2);
            assert!(region.is_zero(1), "{store:?}");
            region.bytes()[12_287] = 1;
            assert!(!region.is_zero(2), "{store:?}");
        }
        Ok(())
    }
}
