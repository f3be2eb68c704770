//! The wipe of an instance's memory beside the fastest loops over the same kind of memory.
//!
//! The wipe goes four times over the memory. Each is held against what does the same work:
//!
//! - *stream*: makes the keyed stream, brings the pages into the mapping and stores the stream.
//!   Beside it is the making alone, into a buffer that stays in the caches.
//! - *stream read back*: makes the stream again and compares. Beside it is the same.
//! - *zeros*: beside the best of memset, `rep stosb` and streaming stores.
//! - *zeros read back*: beside a plain loop that reads.
//!
//! The loops run over a mapping whose pages were touched before, as the stream has touched those of
//! ours, with one thread and with one for each processor: the best of all is the peer.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use tenure_agent::{
    core::wipe::{Keystream, ReadBack, Seed, Stage},
    host::{
        memory::{self, MemoryFailure, MemoryProgress, MemoryWipe},
        overwrite::{Clocks, PIECE_BYTES},
    },
};
use tenure_protocol::{evidence::predicate::Span, time::Timestamp};

use super::{
    Goal, Row, median,
    stores::{Region, Store},
};
use crate::{
    lab::storage::{HugeDisk, RamDisk},
    scan,
};

const MARK: &[u8] = b"TENURE-BENCH-MARK:";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Size of the memory, MiB, even.
    pub mib: u64,
    /// Runs of each.
    pub rounds: usize,
}

/// The benchmark.
///
/// # Errors
/// If memory is not to be had here.
pub fn run() -> anyhow::Result<Vec<Row>> {
    measure(Effort { mib: 512, rounds: 7 })
}

/// Measures on tmpfs, and on hugetlbfs if the machine has as many free huge pages to give.
///
/// # Errors
/// If memory is not to be had here, or ours does not pass.
pub fn measure(effort: Effort) -> anyhow::Result<Vec<Row>> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "mounts need root");
    let dir = tempfile::Builder::new().prefix("tenure-bench-").tempdir_in("/var/tmp")?;
    let ram = RamDisk::create(dir.path().join("ram"), 2 * effort.mib + 4)?;
    let mut rows = Kind::measure("tmpfs", &ram.mount, effort)?.rows();
    drop(ram);
    match HugeDisk::create(dir.path().join("huge"), 2 * effort.mib) {
        Ok(huge) => rows.extend(Kind::measure("hugetlbfs", &huge.mount, effort)?.rows()),
        Err(failure) => eprintln!("SKIPPED: no hugetlbfs here: {failure:#}"),
    }
    Ok(rows)
}

/// All runs on one kind of memory. All in GB/s.
struct Kind {
    name: &'static str,
    stream: Vec<f64>,
    stream_back: Vec<f64>,
    zeros: Vec<f64>,
    zeros_back: Vec<f64>,
    whole: Vec<f64>,
    /// The making of the stream alone.
    made: Vec<f64>,
    stores: Vec<(Store, usize, Vec<f64>)>,
    reads: Vec<(usize, Vec<f64>)>,
}

impl Kind {
    fn measure(name: &'static str, dir: &Path, effort: Effort) -> anyhow::Result<Self> {
        let all = thread::available_parallelism()?.get();
        let threads = if all > 1 { vec![1, all] } else { vec![1] };
        let stores = Store::all().into_iter();
        let mut kind = Self {
            name,
            stream: Vec::new(),
            stream_back: Vec::new(),
            zeros: Vec::new(),
            zeros_back: Vec::new(),
            whole: Vec::new(),
            made: Vec::new(),
            stores: stores
                .flat_map(|store| threads.iter().map(move |count| (store, *count, Vec::new())))
                .collect(),
            reads: threads.iter().map(|count| (*count, Vec::new())).collect(),
        };
        let mut content = vec![0; PIECE_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut content)?;
        for block in content.chunks_mut(4096) {
            block[..MARK.len()].copy_from_slice(MARK);
        }
        for round in 1..=effort.rounds {
            eprintln!("wipe-memory on {name}: round {round} of {}", effort.rounds);
            kind.ours(dir, effort.mib, &content)?;
            kind.peers(dir, effort.mib, &content)?;
            kind.made.push(gb(effort.mib, make_stream(effort.mib, all)?));
        }
        Ok(kind)
    }

    fn ours(&mut self, dir: &Path, mib: u64, content: &[u8]) -> anyhow::Result<()> {
        let path = dir.join("instance");
        drop(filled(&path, mib, content)?);
        let mut request = MemoryWipe {
            path: path.clone(),
            seed: Seed::new(&[9; 32], b"bench"),
            vmm_dead: true,
            left_out_of_dumps: true,
            residue: Vec::new(),
            resume: None,
            clocks: CLOCKS,
        };
        // Stopped when all is measured, with the file still there: so it is scanned by others.
        let mut saved: Option<MemoryProgress> = None;
        let (stopped, took) = timed(|| {
            memory::wipe(&request, &mut |progress| {
                saved = Some(progress.clone());
                match progress.course().stage() {
                    Stage::Remove => ControlFlow::Break(()),
                    Stage::Write(_) | Stage::ReadBack(_) => ControlFlow::Continue(()),
                }
            })
        });
        let stopped = matches!(stopped, Err(MemoryFailure::Stopped { .. }));
        anyhow::ensure!(stopped, "the wipe did not come to its end: {stopped:?}");
        let clean = scan::count(&path, MARK)? == 0;
        request.resume = saved;
        let measured = memory::wipe(&request, &mut |_| ControlFlow::Continue(()))?.measured;
        let read_back = measured.read_backs.iter().all(ReadBack::is_clean);
        anyhow::ensure!(read_back && measured.bytes == mib << 20, "not all is read back clean");
        if path.exists() {
            // Kept for another attempt if the machine's swap lets nobody say that it is gone.
            fs::remove_file(&path)?;
        }
        let score = |span: Span| {
            if clean { gb(mib, Duration::from_nanos(span.took_ns)) } else { 0.0 }
        };
        let (passes, reads) = (&measured.passes, &measured.read_backs);
        self.stream.extend(passes.first().map(|pass| score(pass.span)));
        self.stream_back.extend(reads.first().map(|read| score(read.span)));
        self.zeros.extend(passes.get(1).map(|pass| score(pass.span)));
        self.zeros_back.extend(reads.get(1).map(|read| score(read.span)));
        self.whole.push(if clean { gb(mib, took) } else { 0.0 });
        Ok(())
    }

    fn peers(&mut self, dir: &Path, mib: u64, content: &[u8]) -> anyhow::Result<()> {
        let path = dir.join("peer");
        let file = filled(&path, mib, content)?;
        fs::remove_file(&path)?;
        let mut region = Region::new(&file, mib << 20)?;
        for (store, threads, rates) in &mut self.stores {
            // Touches each page, as the stream does before our zeros.
            for piece in region.bytes().chunks_mut(content.len()) {
                piece.copy_from_slice(&content[..piece.len()]);
            }
            let ((), took) = timed(|| region.fill(*store, *threads));
            anyhow::ensure!(region.is_zero(1), "{store:?} left something");
            rates.push(gb(mib, took));
        }
        for (threads, rates) in &mut self.reads {
            let (zero, took) = timed(|| region.is_zero(*threads));
            anyhow::ensure!(zero, "what was zero is not");
            rates.push(gb(mib, took));
        }
        Ok(())
    }

    fn rows(self) -> Vec<Row> {
        let row = |figure: &str, values| {
            Row::new("wipe-memory", &format!("{}, {figure}", self.name), "GB/s", values)
        };
        let best = |rates: &[f64]| (median(rates).unwrap_or(0.0) * 1e6) as u64;
        let stores = self.stores.iter().max_by_key(|(.., rates)| best(rates));
        let reads = self.reads.iter().max_by_key(|(.., rates)| best(rates));
        let made = "the making of the stream alone, on all processors";
        let least = Goal::RatioAtLeast(0.9);
        let zeros = row("zeros", self.zeros.clone());
        let zeros = match stores {
            Some((store, threads, rates)) => zeros.beside(
                &format!("best of memset, rep stosb, streaming: {store:?}, {threads} threads"),
                rates.clone(),
            ),
            None => zeros,
        };
        let back = row("zeros read back", self.zeros_back.clone());
        let back = match reads {
            Some((threads, rates)) => {
                back.beside(&format!("a plain reading loop, {threads} threads"), rates.clone())
            }
            None => back,
        };
        let mut rows = vec![
            zeros.aiming(least),
            back.aiming(least),
            row("stream, with the pages' first touch", self.stream.clone())
                .beside(made, self.made.clone()),
            row("stream read back", self.stream_back.clone()).beside(made, self.made.clone()),
            row("whole wipe: four times over the memory", self.whole.clone()),
        ];
        for (store, threads, rates) in &self.stores {
            let name = format!("{store:?}, {threads} threads");
            rows.push(row("zeros", self.zeros.clone()).beside(&name, rates.clone()));
        }
        rows
    }
}

/// A file full of marks: every page belongs to it.
fn filled(path: &PathBuf, mib: u64, content: &[u8]) -> anyhow::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.set_len(mib << 20)?;
    // hugetlbfs knows no write(2).
    let mut region = Region::new(&file, mib << 20)?;
    for mut piece in region.bytes().chunks_mut(content.len()) {
        piece.write_all(content)?;
    }
    drop(region);
    Ok(file)
}

/// How long as many threads take to make the stream of so many MiB.
fn make_stream(mib: u64, threads: usize) -> anyhow::Result<Duration> {
    let keystream = Keystream::new(Seed::new(&[9; 32], b"bench"));
    let pieces = (mib << 20) / PIECE_BYTES as u64;
    let (made, took) = timed(|| {
        thread::scope(|scope| {
            let makers: Vec<_> = (0..threads as u64)
                .map(|first| {
                    let keystream = &keystream;
                    scope.spawn(move || {
                        let mut buffer = vec![0; PIECE_BYTES];
                        (first..pieces).step_by(threads).try_for_each(|piece| {
                            keystream.fill(piece * PIECE_BYTES as u64, &mut buffer)
                        })
                    })
                })
                .collect();
            makers.into_iter().all(|maker| matches!(maker.join(), Ok(Some(()))))
        })
    });
    anyhow::ensure!(made, "the stream could not be made");
    Ok(took)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = act();
    (done, start.elapsed())
}

const CLOCKS: Clocks = Clocks {
    now: || {
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(0))
    },
    monotonic: || {
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .map_or(Duration::ZERO, Duration::from)
    },
};

/// GB/s (10^9 bytes).
fn gb(mib: u64, took: Duration) -> f64 {
    (mib << 20) as f64 / 1e9 / took.as_secs_f64().max(1e-9)
}
