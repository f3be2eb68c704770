//! The product's wipe, in a process of its own: `tenure-wipe-probe`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    Run,
    ground::{Ground, cost},
};
use crate::{bench::median, lab::daemon::elapse};

/// How often a wipe is begun anew if it ended before it was to be killed.
const TRIES: u32 = 6;

/// The program and where it keeps its progress.
pub(crate) struct Probe {
    program: PathBuf,
    saved: PathBuf,
}

impl Probe {
    pub(crate) fn new(program: &Path, ground: &Ground) -> Self {
        Self { program: program.to_owned(), saved: ground.dir.path().join("progress") }
    }

    /// A wipe from begin to end.
    pub(crate) fn wipe(&self, path: &Path) -> anyhow::Result<Run> {
        let bytes = path.metadata()?.len();
        self.forget()?;
        let argv = self.argv(path, None)?;
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let (cost, said) = cost(&argv)?;
        let measured = passed(&said)?;
        let last = |list: &str| -> anyhow::Result<f64> {
            let took = measured[list].as_array().and_then(|list| list.last());
            let ns = took.and_then(|one| one["span"]["tookNs"].as_f64());
            Ok(bytes as f64 / 1e6 / (ns.context("no time of a stage")? / 1e9))
        };
        Ok(Run { write: last("passes")?, read: last("readBacks")?, ..cost.run(bytes >> 20) })
    }

    /// A wipe that is killed when half of its time is over, and started again: how long both took,
    /// s.
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
    pub(crate) fn killed_half_way(&self, ground: &Ground, seconds: f64) -> anyhow::Result<f64> {
        for attempt in 0..TRIES {
            let path = ground.fill()?;
            self.forget()?;
            let start = Instant::now();
            let mut first = self.start(&path, None)?;
            // Half of what it took before; less if the machine was slower then.
            elapse(Duration::from_secs_f64(seconds / 2.0 / f64::from(1 << attempt)));
            let ended = first.0.try_wait()?.is_some();
            drop(first);
            if ended || !path.exists() || !self.saved.exists() {
                continue;
            }
            let said = self.start(&path, None)?.end()?;
            let took = start.elapsed();
            passed(&said)?;
            anyhow::ensure!(ground.is_clean()?, "a resumed wipe left marks");
            return Ok(took.as_secs_f64());
        }
        anyhow::bail!("no kill met a wipe under way")
    }

    /// Starts it, at most at so many MiB/s.
    #[allow(clippy::disallowed_methods, reason = "starts a program of our own")]
    pub(crate) fn start(&self, path: &Path, limit: Option<u64>) -> anyhow::Result<Running> {
        let argv = self.argv(path, limit)?;
        let mut command = Command::new(&argv[0]);
        Ok(Running(command.args(&argv[1..]).stdout(Stdio::piped()).spawn()?))
    }

    /// Forgets the wipe before.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        if self.saved.exists() {
            fs::remove_file(&self.saved)?;
        }
        Ok(())
    }

    fn argv(&self, path: &Path, limit: Option<u64>) -> anyhow::Result<Vec<String>> {
        let mut argv = vec![text(&self.program)?, text(path)?, text(&self.saved)?, "-".to_owned()];
        argv.push("--measured".to_owned());
        if let Some(mib) = limit {
            argv.extend(["--rate-mib".to_owned(), mib.to_string()]);
        }
        Ok(argv)
    }
}

/// A wipe under way. Dropping it kills it.
pub(crate) struct Running(Child);

impl Running {
    /// Waits for its end: what it said.
    pub(crate) fn end(mut self) -> anyhow::Result<String> {
        let mut said = String::new();
        let mut output = self.0.stdout.take().context("no output")?;
        std::io::Read::read_to_string(&mut output, &mut said)?;
        let status = self.0.wait()?;
        anyhow::ensure!(status.success(), "the wipe ended with {status}: {said}");
        Ok(said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was measured, of a wipe that passed.
pub(crate) fn passed(said: &str) -> anyhow::Result<serde_json::Value> {
    let (verdict, measured) = said.split_once('\n').context("the probe said too little")?;
    anyhow::ensure!(verdict.starts_with("Pass("), "{verdict}");
    serde_json::from_str(measured).context("what the probe measured")
}

/// MB/s of so many MiB in so many s.
pub(crate) fn rate(mib: u64, seconds: f64) -> f64 {
    (mib << 20) as f64 / 1e6 / seconds.max(1e-9)
}

/// s of a whole wipe of so many MiB, by the median of rates.
pub(crate) fn seconds(mib: u64, rates: &[f64]) -> f64 {
    let median = median(rates).filter(|rate| *rate > 0.0);
    median.map_or(0.0, |median| (mib << 20) as f64 / 1e6 / median)
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("path is not UTF-8")?.to_owned())
}
