//! A wipe in a process of its own, for tests that kill it and benchmarks that measure it:
//! `tenure-wipe-probe FILE PROGRESS PLACE [--measured] [--rate-mib N]`.
//!
//! Goes on from PROGRESS if that is there, and keeps it durable. At PLACE (a stage and the least
//! offset in it, or `-` for none) it says `parked`, saves nothing more and waits, with its writes
//! under way, until it is killed.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's process reads its own clock and writes its own files"
)]

use std::{
    fs,
    io::Write as _,
    num::{NonZeroU32, NonZeroU64},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use tenure_agent::{
    core::wipe::{Seed, Verdict},
    file,
    host::{
        disk::{self, DiskProgress, DiskWipe},
        overwrite::Clocks,
    },
};
use tenure_protocol::time::Timestamp;

/// Wipes a file on a disk.
#[derive(Parser)]
struct Arguments {
    /// The file.
    file: PathBuf,
    /// Where its progress is kept.
    progress: PathBuf,
    /// Where it parks, or `-`.
    place: String,
    /// Says after the verdict what was measured, as JSON.
    #[arg(long)]
    measured: bool,
    /// Most MiB a second.
    #[arg(long)]
    rate_mib: Option<NonZeroU32>,
}

fn main() -> anyhow::Result<()> {
    let Arguments { file: path, progress: saved, place, measured, rate_mib } = Arguments::parse();
    let resume: Option<DiskProgress> = match fs::read(&saved) {
        Ok(bytes) => Some(postcard::from_bytes(&bytes)?),
        Err(_) => None,
    };
    let request = DiskWipe {
        path,
        device: None,
        seed: Seed::new(&[42; 32], b"probe"),
        vmm_dead: true,
        limit: rate_mib.and_then(|mib| NonZeroU64::new(u64::from(mib.get()) << 20)),
        resume,
        clocks: Clocks { now, monotonic: || UNIX_EPOCH.elapsed().unwrap_or_default() },
    };
    let measurement = disk::wipe(&request, &mut |progress| match save(&saved, progress, &place) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    })?;
    println!("{:?} after {}", Verdict::of(&measurement.measured), measurement.interruptions);
    if measured {
        println!("{}", serde_json::to_string(&measurement.measured)?);
    }
    Ok(())
}

fn save(path: &Path, progress: &DiskProgress, place: &str) -> anyhow::Result<()> {
    file::replace(path, &postcard::to_stdvec(progress)?, None)?;
    let (stage, least) = place.rsplit_once(' ').unwrap_or((place, "0"));
    let course = progress.course();
    if format!("{:?}", course.stage()) != stage || course.offset() < least.parse()? {
        return Ok(());
    }
    println!("parked at {}", course.offset());
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
