//! Wipes of a volume beside what people wipe with, on one loop device with direct I/O over a file
//! on a disk.
//!
//! Before each run the same bytes are filled with incompressible data and marks and leave the
//! caches; after it the whole device is scanned, and a run that leaves a mark scores zero, however
//! fast it was. Tools take turns. Each one's final flush is in its time. Tools that take files get
//! a file on ext4; `nwipe` and `blkdiscard` get the device below it, without the file system.
//!
//! Rates are of the volume's bytes: a wipe of two passes that are read back goes four times over
//! them.

mod ground;
mod neighbour;
mod nwipe;
mod ours;
mod peers;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::{
    ground::Ground,
    neighbour::Latency,
    nwipe::{Nwipe, Way},
    ours::Probe,
    peers::Fio,
};
use super::{Goal, Row, median};

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Size of the wiped file, MiB, a multiple of 4.
    pub file_mib: u64,
    /// Runs of each tool.
    pub rounds: usize,
    /// Queue depths among which fio's best is looked for.
    pub depths: Vec<u32>,
    /// How long the neighbour is measured alone, s.
    pub alone_s: u64,
}

/// What one run gave. A run that left marks has rates of 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Run {
    /// The pass of zeros, MB/s.
    pub(crate) write: f64,
    /// Its read-back, MB/s.
    pub(crate) read: f64,
    /// The whole wipe, MB/s of the volume's bytes.
    pub(crate) whole: f64,
    /// Processor time of the tool's process, s for each GiB of the volume.
    pub(crate) cpu: f64,
    /// How often each byte of the volume was read from the device.
    pub(crate) device_reads: f64,
    /// Whether no mark was left.
    pub(crate) is_clean: bool,
}

/// All runs of one tool.
#[derive(Debug)]
struct Tally {
    name: String,
    runs: Vec<Run>,
}

impl Tally {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), runs: Vec::new() }
    }

    fn of(&self, figure: fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(figure).collect()
    }

    /// A rate, as it scores.
    fn scores(&self, rate: fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(|run| if run.is_clean { rate(run) } else { 0.0 }).collect()
    }

    /// The name, with what the scans found.
    fn title(&self) -> String {
        let dirty = self.runs.iter().filter(|run| !run.is_clean).count();
        if dirty == 0 {
            return self.name.clone();
        }
        format!("{}; MARKS LEFT in {dirty} of {} runs: zero", self.name, self.runs.len())
    }
}

/// The benchmark.
///
/// # Errors
/// If the device or the peers are not to be had here.
pub fn run() -> anyhow::Result<Vec<Row>> {
    let effort = Effort { file_mib: 512, rounds: 5, depths: vec![1, 2, 4, 8, 16, 32], alone_s: 5 };
    measure(&beside_us("tenure-wipe-probe")?, &effort)
}

/// A program of the workspace's build, beside this one.
fn beside_us(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().context("no directory")?.join(name))
}

/// Why the peers cannot be measured here, if they cannot.
#[must_use]
pub fn lacks() -> Option<&'static str> {
    let tools = [("fio", "--version"), ("nwipe", "--version"), ("shred", "--version")];
    if !nix::unistd::geteuid().is_root() {
        return Some("loop devices and mounts need root");
    }
    let there = |(tool, flag): &(&str, &str)| crate::lab::daemon::run(&[tool, flag]).is_ok();
    let all = tools.iter().all(there);
    (!all).then_some("fio, nwipe or shred is not installed (packaging/install-deps bench)")
}

/// Measures; `probe` is the program `tenure-wipe-probe`.
///
/// # Errors
/// If the device or the peers are not to be had here, or ours does not pass.
pub fn measure(probe: &Path, effort: &Effort) -> anyhow::Result<Vec<Row>> {
    if let Some(reason) = lacks() {
        anyhow::bail!(reason);
    }
    let ground = Ground::new(effort.file_mib)?;
    let probe = Probe::new(probe, &ground);
    let path = ground.fill()?;
    let fio = Fio::best(&path, effort.file_mib, &effort.depths)?;
    let nwipe = Nwipe::new(&ground)?;

    let same = format!("fio bs=1M direct=1 io_uring iodepth={}", peers::SAME_DEPTH);
    let mut all = All {
        ours: Tally::new("ours"),
        same: Tally::new(&same),
        best: Tally::new(&fio.name()),
        dd: Tally::new("dd bs=4M oflag=direct conv=fsync: one pass, not read back"),
        shred: Tally::new("shred -n0 -z: one pass, not read back"),
        nwipe: Way::ALL.map(|way| Tally::new(way.name())),
        discard: Tally::new("blkdiscard -z: NO WIPE, whatever a scan says: a disk may keep it all"),
        resumed: Vec::new(),
        alone: Vec::new(),
        beside: Vec::new(),
        limited: Vec::new(),
    };
    for round in 1..=effort.rounds {
        eprintln!("wipe: round {round} of {}", effort.rounds);
        all.round(&ground, &probe, &fio, &nwipe)?;
        let undisturbed = ours::seconds(effort.file_mib, &all.ours.of(|run| run.whole));
        all.resumed.push(ours::rate(effort.file_mib, probe.killed_half_way(&ground, undisturbed)?));
        all.alone.push(neighbour::alone(&ground, effort.alone_s)?);
        all.beside.push(neighbour::beside(&ground, &probe, None)?);
        let pass = median(&all.ours.of(|run| run.write)).unwrap_or(0.0);
        let quarter = (pass * 1e6 / f64::from(1 << 20) / 4.0).max(1.0);
        all.limited.push(neighbour::beside(&ground, &probe, Some(quarter as u64))?);
    }
    Ok(all.rows())
}

struct All {
    ours: Tally,
    same: Tally,
    best: Tally,
    dd: Tally,
    shred: Tally,
    nwipe: [Tally; Way::ALL.len()],
    discard: Tally,
    /// Whole wipes that were killed half-way and resumed, MB/s.
    resumed: Vec<f64>,
    alone: Vec<Latency>,
    beside: Vec<Latency>,
    limited: Vec<Latency>,
}

impl All {
    /// Each tool once.
    fn round(
        &mut self,
        ground: &Ground,
        probe: &Probe,
        fio: &Fio,
        nwipe: &Nwipe,
    ) -> anyhow::Result<()> {
        self.ours.runs.push(ground.on_file(|path| probe.wipe(path))?);
        self.same.runs.push(ground.on_file(|path| Fio::same(ground.mib).both(path))?);
        self.best.runs.push(ground.on_file(|path| fio.both(path))?);
        self.dd.runs.push(ground.on_file(|path| peers::dd(path, ground.mib))?);
        self.shred.runs.push(ground.on_file(|path| peers::shred(path, ground.mib))?);
        for (way, tally) in Way::ALL.into_iter().zip(&mut self.nwipe) {
            tally.runs.push(ground.on_device(|mib| nwipe.wipe(&ground.disk, mib, way))?);
        }
        self.discard.runs.push(ground.on_device(|mib| peers::discard(&ground.disk, mib))?);
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let ours = |figure, rate: fn(&Run) -> f64| row(figure, "MB/s", self.ours.scores(rate));
        let mut rows = Vec::new();
        for fio in [&self.same, &self.best] {
            let least = Goal::RatioAtLeast(0.95);
            let (write, read) = (fio.scores(|run| run.write), fio.scores(|run| run.read));
            rows.push(ours("zero pass", |run| run.write).beside(&fio.title(), write).aiming(least));
            rows.push(ours("read-back", |run| run.read).beside(&fio.title(), read).aiming(least));
        }
        for one in [&self.dd, &self.shred] {
            let write = one.scores(|run| run.write);
            rows.push(ours("zero pass", |run| run.write).beside(&one.title(), write));
        }
        for (way, one) in Way::ALL.into_iter().zip(&self.nwipe) {
            let whole = ours("whole wipe: two passes, both read back", |run| run.whole)
                .beside(&one.title(), one.scores(|run| run.whole));
            let same = way == Way::StreamAndZerosVerified;
            rows.push(if same { whole.aiming(Goal::RatioAtLeast(2.0)) } else { whole });
        }
        let discard = self.discard.scores(|run| run.whole);
        let apart = row("no wipe, for what it is", "MB/s", Vec::new());
        // Nothing of ours is to be divided by it.
        rows.push(Row { ratio: None, ..apart.beside(&self.discard.title(), discard) });
        self.costs(&mut rows);
        rows
    }

    fn costs(&self, rows: &mut Vec<Row>) {
        let undisturbed = self.ours.scores(|run| run.whole);
        rows.push(
            row("whole wipe, killed half-way (kill -9) and resumed", "MB/s", self.resumed.clone())
                .beside("ours, undisturbed", undisturbed),
        );
        let peers = [&self.dd, &self.shred].into_iter().chain(&self.nwipe);
        for one in peers {
            let cpu = row("processor time of the whole wipe", "s/GiB", self.ours.of(|run| run.cpu));
            rows.push(cpu.beside(&one.name, one.of(|run| run.cpu)));
            let reads = self.ours.of(|run| run.device_reads);
            rows.push(
                row("times that each byte was read from the device", "", reads)
                    .beside(&one.name, one.of(|run| run.device_reads)),
            );
        }
        for (name, latencies) in [
            ("4k random {} of a neighbour beside the wipe, p99", &self.beside),
            (
                "4k random {} of a neighbour beside the wipe at a quarter of its rate, p99",
                &self.limited,
            ),
        ] {
            for way in ["read", "write"].into_iter().filter(|_| !latencies.is_empty()) {
                let of = |list: &[Latency]| list.iter().map(|one| one.p99_ms(way)).collect();
                rows.push(
                    row(&name.replace("{}", way), "ms", of(latencies))
                        .beside("the neighbour alone", of(&self.alone)),
                );
            }
        }
    }
}

fn row(figure: &str, unit: &'static str, values: Vec<f64>) -> Row {
    Row::new("wipe", figure, unit, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_left_marks_scores_zero_and_the_title_says_so() {
        let mut tally = Tally::new("fast");
        let run = Run { write: 900.0, is_clean: true, ..Run::default() };
        tally.runs.push(run);
        assert_eq!(tally.title(), "fast");
        tally.runs.push(Run { is_clean: false, ..run });
        assert_eq!(tally.scores(|run| run.write), [900.0, 0.0]);
        assert!(tally.title().contains("1 of 2 runs"));
    }
}
