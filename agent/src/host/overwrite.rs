//! Drives a [`Course`] over a medium: writes and read-backs with several pieces in flight.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroU64,
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tenure_protocol::{
    evidence::predicate::{
        media_wipe::Range,
        wipe::{Pattern, ReadLayer},
    },
    time::Timestamp,
};

use crate::{
    core::wipe::{Chunk, Course, ExtentMap, Keystream, Lap, RangeSet, Seed, Stage},
    precedence,
};

/// Bytes of one write or read.
pub const PIECE_BYTES: usize = 1 << 20;

/// How many pieces are in flight. More gained nothing where it was measured.
const LANES: usize = 4;

/// Where a buffer for `O_DIRECT` must begin.
const ALIGNMENT: usize = 4096;

/// Differences are noted in units of this many bytes.
const SECTOR_BYTES: usize = 512;

/// Progress is saved at least each time so many bytes are through …
const SAVE_BYTES: u64 = 64 << 20;

/// … but no more than about so many times in a stage, since each save carries the whole map.
const SAVES: u64 = 64;

/// The clocks, given by the engine: `clock.rs` alone reads them.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The wall clock.
    pub now: fn() -> Timestamp,
    /// Since any fixed moment, never jumping.
    pub monotonic: fn() -> Duration,
}

/// How a medium's bytes are written, and read back. Several threads do so, on disjoint ranges.
pub(super) trait Access: Sync {
    /// Writes at an offset in the file: how many of the bytes, as write(2).
    fn write(&self, bytes: &[u8], logical: u64) -> io::Result<usize>;

    /// The same for bytes that are all zero, where a medium knows a faster way.
    fn write_zeros(&self, zeros: &[u8], logical: u64) -> io::Result<usize> {
        self.write(zeros, logical)
    }

    /// Reads all of the bytes at a place on the medium.
    fn read(&self, bytes: &mut [u8], physical: u64) -> io::Result<()>;

    /// Whether the medium holds `expected` at a place. If not, `found`, as long, is what it holds.
    fn holds(&self, expected: &[u8], found: &mut [u8], physical: u64) -> io::Result<bool> {
        self.read(found, physical)?;
        Ok(found == expected)
    }
}

/// What is overwritten, and where it is read back.
pub(super) struct Medium<'a> {
    /// How.
    pub(super) access: &'a dyn Access,
    /// Both offsets for each byte.
    pub(super) map: &'a ExtentMap,
    /// Smallest unit of writing and reading, bytes; at most [`ALIGNMENT`].
    pub(super) sector_bytes: usize,
    /// Makes what was written durable, in the file system and in the device.
    pub(super) flush: &'a (dyn Fn() -> io::Result<()> + Sync),
    /// Where it is read back.
    pub(super) layer: ReadLayer,
    /// Whether reading bypasses the page cache.
    pub(super) direct: bool,
    /// Most bytes a second that are written or read back, if neighbours are to keep their latency.
    pub(super) limit: Option<NonZeroU64>,
}

/// Why a course did not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The caller asked for it.
    Stopped,
    /// What was written could not be made durable.
    Flush(io::Error),
}

/// Carries a course on to [`Stage::Remove`], and saves it before each stage and regularly within.
pub(super) fn carry_out(
    course: &mut Course,
    seed: Seed,
    medium: &Medium<'_>,
    clocks: Clocks,
    save: &mut dyn FnMut(&Course) -> ControlFlow<()>,
) -> Result<(), Halt> {
    let keystream = Keystream::new(seed);
    let brake = Brake::new(medium.limit, clocks.monotonic);
    let mut last = (clocks.monotonic)();
    let mut lap = move || {
        let now = (clocks.monotonic)();
        let since = now.saturating_sub(std::mem::replace(&mut last, now));
        Lap { at: (clocks.now)(), since_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) }
    };
    loop {
        if save(course).is_break() {
            return Err(Halt::Stopped);
        }
        let (pattern, writes) = match course.stage() {
            Stage::Write(pattern) => (pattern, true),
            Stage::ReadBack(pattern) => (pattern, false),
            Stage::Remove => return Ok(()),
        };
        let piece = Piece { medium, keystream: &keystream, pattern };
        let from = course.offset();
        let flow = if writes {
            let runs = medium.map.runs(PIECE_BYTES, from);
            let write = |chunk: &Chunk, buffers: &mut Buffers| {
                brake.wait(chunk.length);
                piece.write(chunk, buffers)
            };
            in_lanes(runs, &write, course, &mut lap, save)
        } else {
            let pieces = medium.map.pieces(PIECE_BYTES, from);
            let read = |chunk: &Chunk, buffers: &mut Buffers| {
                brake.wait(chunk.length);
                piece.read(chunk, buffers)
            };
            in_lanes(pieces, &read, course, &mut lap, save)
        };
        if flow.is_break() {
            return Err(Halt::Stopped);
        }
        if writes {
            (medium.flush)().map_err(Halt::Flush)?;
        }
        course.complete(medium.layer, medium.direct, lap());
    }
}

/// Keeps all lanes together below a number of bytes a second.
struct Brake {
    limit: Option<NonZeroU64>,
    monotonic: fn() -> Duration,
    /// When the next piece may begin.
    next: Mutex<Duration>,
}

impl Brake {
    fn new(limit: Option<NonZeroU64>, monotonic: fn() -> Duration) -> Self {
        Self { limit, monotonic, next: Mutex::new(Duration::ZERO) }
    }

    /// Waits for the turn of so many bytes. Time that nobody used is not made up for.
    #[allow(clippy::disallowed_methods, reason = "a rate is kept by time, not by an event")]
    fn wait(&self, bytes: usize) {
        let Some(limit) = self.limit else { return };
        let takes_ns = (bytes as u128) * 1_000_000_000 / u128::from(limit.get());
        let takes = Duration::from_nanos(u64::try_from(takes_ns).unwrap_or(u64::MAX));
        let early = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = (self.monotonic)();
            let begins = now.max(*next);
            *next = begins.saturating_add(takes);
            begins.saturating_sub(now)
        };
        thread::sleep(early);
    }
}

/// What went wrong in one piece.
#[derive(Default)]
struct Faults {
    errors: RangeSet,
    mismatches: RangeSet,
}

type Act<'a> = dyn Fn(&Chunk, &mut Buffers) -> Faults + Sync + 'a;

/// Runs `act` on all chunks, [`LANES`] at a time, and notes in the course how far all are through.
fn in_lanes(
    chunks: impl Iterator<Item = Chunk> + Send,
    act: &Act<'_>,
    course: &mut Course,
    lap: &mut dyn FnMut() -> Lap,
    save: &mut dyn FnMut(&Course) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let chunks = Mutex::new(chunks.fuse());
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(4 * LANES);
    thread::scope(|scope| {
        for _ in 0..LANES {
            let (sender, chunks, stop) = (sender.clone(), &chunks, &stop);
            scope.spawn(move || {
                precedence::give_way();
                let mut buffers = Buffers::new();
                while !stop.load(Ordering::Relaxed) {
                    let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(chunk) = next else { break };
                    let faults = act(&chunk, &mut buffers);
                    if sender.send((chunk, faults)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let flow = follow(receiver, course, lap, save);
        stop.store(true, Ordering::Relaxed);
        flow
    })
}

/// Follows the lanes: the course counts what is through without a gap.
fn follow(
    through: mpsc::Receiver<(Chunk, Faults)>,
    course: &mut Course,
    lap: &mut dyn FnMut() -> Lap,
    save: &mut dyn FnMut(&Course) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let step = SAVE_BYTES.max(course.target_bytes() / SAVES);
    let mut ahead: BTreeMap<u64, u64> = BTreeMap::new();
    let mut done = course.offset();
    let mut saved = done;
    for (chunk, faults) in through {
        ahead.insert(chunk.position, chunk.position + chunk.length as u64);
        // The first piece of a resumed stage may begin before the offset: it is done again.
        while let Some(first) = ahead.first_entry().filter(|first| *first.key() <= done) {
            done = done.max(first.remove());
        }
        course.advance(done, &faults.errors, &faults.mismatches, lap());
        if done - saved >= step {
            saved = done;
            save(course)?;
        }
    }
    ControlFlow::Continue(())
}

/// How one piece is written and read back.
struct Piece<'a> {
    medium: &'a Medium<'a>,
    keystream: &'a Keystream,
    pattern: Pattern,
}

impl Piece<'_> {
    fn write(&self, chunk: &Chunk, buffers: &mut Buffers) -> Faults {
        let Some(content) = self.content(chunk, &mut buffers.content) else {
            return self.all_bad(chunk);
        };
        let mut faults = Faults::default();
        if self.write_all(content, chunk.logical).is_ok() {
            return faults;
        }
        // Sector by sector, for the exact range.
        let sector = self.medium.sector_bytes;
        for (number, bytes) in content.chunks(sector).enumerate() {
            let logical = chunk.logical + (number * sector) as u64;
            if self.write_all(bytes, logical).is_err() {
                for range in places(self.medium.map, logical, bytes.len() as u64) {
                    faults.errors.add(range);
                }
            }
        }
        faults
    }

    fn read(&self, chunk: &Chunk, buffers: &mut Buffers) -> Faults {
        let Some(expected) = self.content(chunk, &mut buffers.content) else {
            return self.all_bad(chunk);
        };
        let found = &mut buffers.found.bytes()[..chunk.length];
        let mut faults = Faults::default();
        match self.medium.access.holds(expected, found, chunk.physical) {
            Ok(true) => {}
            Ok(false) if found != expected => {
                note_differences(&mut faults.mismatches, chunk.physical, expected, found);
            }
            // It changed while it was looked at: nobody knows where.
            Ok(false) => faults
                .mismatches
                .add(Range { offset_bytes: chunk.physical, length_bytes: expected.len() as u64 }),
            Err(_) => self.read_sectors(expected, found, chunk.physical, &mut faults),
        }
        faults
    }

    /// Sector by sector, for the exact range of an error.
    fn read_sectors(&self, expected: &[u8], found: &mut [u8], start: u64, faults: &mut Faults) {
        let sector = self.medium.sector_bytes;
        for (number, expected) in expected.chunks(sector).enumerate() {
            let physical = start + (number * sector) as u64;
            let found = &mut found[..expected.len()];
            if self.medium.access.read(found, physical).is_err() {
                let length_bytes = expected.len() as u64;
                faults.errors.add(Range { offset_bytes: physical, length_bytes });
            } else if found != expected {
                note_differences(&mut faults.mismatches, physical, expected, found);
            }
        }
    }

    fn write_all(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        let access = self.medium.access;
        while !bytes.is_empty() {
            let written = match self.pattern {
                Pattern::Stream => access.write(bytes, offset),
                Pattern::Zeros => access.write_zeros(bytes, offset),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count.min(bytes.len())..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is to be there; `None` if it could not be made.
    fn content<'b>(&self, chunk: &Chunk, buffer: &'b mut Buffer) -> Option<&'b [u8]> {
        let bytes = &mut buffer.bytes()[..chunk.length];
        match self.pattern {
            Pattern::Stream => self.keystream.fill(chunk.logical, bytes)?,
            // A lane's buffers begin as zeros, and a stage has one pattern.
            Pattern::Zeros => {}
        }
        Some(bytes)
    }

    fn all_bad(&self, chunk: &Chunk) -> Faults {
        let mut faults = Faults::default();
        for range in places(self.medium.map, chunk.logical, chunk.length as u64) {
            faults.errors.add(range);
        }
        faults
    }
}

/// Notes each sector that differs, as a whole.
fn note_differences(set: &mut RangeSet, start: u64, expected: &[u8], found: &[u8]) {
    let sectors = expected.chunks(SECTOR_BYTES).zip(found.chunks(SECTOR_BYTES));
    for (number, (expected, found)) in sectors.enumerate() {
        if expected != found {
            let offset_bytes = start + (number * SECTOR_BYTES) as u64;
            set.add(Range { offset_bytes, length_bytes: found.len() as u64 });
        }
    }
}

/// Where a run of the file lies on the medium.
fn places(map: &ExtentMap, logical: u64, length: u64) -> impl Iterator<Item = Range> {
    let end = logical.saturating_add(length);
    map.extents().iter().filter_map(move |extent| {
        let from = logical.max(extent.logical);
        let to = end.min(extent.logical + extent.length);
        (from < to).then(|| Range {
            offset_bytes: extent.physical + (from - extent.logical),
            length_bytes: to - from,
        })
    })
}

/// The buffers of one lane.
struct Buffers {
    content: Buffer,
    found: Buffer,
}

impl Buffers {
    fn new() -> Self {
        Self { content: Buffer::new(), found: Buffer::new() }
    }
}

/// [`PIECE_BYTES`] of memory at a multiple of [`ALIGNMENT`], zeros at first.
struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let memory = vec![0; PIECE_BYTES + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + PIECE_BYTES]
    }
}
