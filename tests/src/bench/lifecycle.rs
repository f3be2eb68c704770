//! The lifecycle at 10³, 10⁴, 10⁵ and 10⁶ tenants in one embedded database: what a transition costs
//! through the API with durable commits, beside bare SQLite that commits as many bytes; what a
//! sweep of deadlines costs by what is due and by what exists; what a cut waits for while others
//! hammer; what the controller's process needs.
//!
//! The tenants are copies of a few that have lived through the real engine ([`lives`]): their rows
//! are as large as in life. Each copy has its own id, customer, mark and network, and one row of
//! the journal, which stands in the ledger. What copies lack: the journal's other rows, orders,
//! notices, evidence and bundles, and instance ids of their own. Those lie in tables that are
//! reached by a tenant's id.

pub mod floor;
pub mod lives;
pub mod serve;
pub mod site;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, ensure};

use self::{
    floor::Floor,
    serve::{Load, Serving, Tokens},
    site::{Open, Site},
};
use super::{Goal, Row, median, percentile};

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Numbers of tenants, ascending.
    pub sizes: Vec<u64>,
    /// How often each figure is measured.
    pub rounds: usize,
    /// Transitions of a round with one caller, and commits of the floor.
    pub alone: usize,
    /// Transitions of each of [`CALLERS`] in a round.
    pub together: usize,
    /// Numbers of due tenants that the largest database is swept with.
    pub due: Vec<u64>,
    /// Cuts of a round in the largest database: with nobody else there, and as many among
    /// [`CALLERS`].
    pub cuts: usize,
}

/// Callers at once.
pub const CALLERS: usize = 16;
/// Tenants due in the sweeps that are compared over the sizes.
const DUE: u64 = 100;
/// Tenants that the transitions of one size are made of.
const OPEN: usize = 384;
/// Reads of a list in a round.
const READS: usize = 20;
/// Where the databases lie: on a disk.
const DISK: &str = "/var/tmp";

/// What was measured at one number of tenants. Each vector has a value for each round.
#[derive(Debug, Default)]
struct Figures {
    tenants: u64,
    grown_s: f64,
    database_mib: f64,
    start_ms: Vec<f64>,
    rss_start: Vec<f64>,
    rss_load: Vec<f64>,
    peak: Vec<f64>,
    alone: Speed,
    together: Speed,
    floor: Speed,
    page_ms: Vec<f64>,
    search_ms: Vec<f64>,
    overdue_ms: Vec<f64>,
    sweep_ms: Vec<f64>,
    cut_alone: Speed,
    cut_among: Speed,
    /// The callers' transitions meanwhile.
    among: Speed,
    /// By how many were due.
    curve: Vec<(u64, Vec<f64>)>,
}

/// A speed and its spread.
#[derive(Debug, Default)]
struct Speed {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

/// Runs the benchmark.
///
/// # Errors
/// If the controller does not do what it is asked.
pub fn run() -> anyhow::Result<Vec<Row>> {
    let controller = std::env::current_exe()?.with_file_name("tenure-controller");
    let effort = Effort {
        sizes: vec![1_000, 10_000, 100_000, 1_000_000],
        rounds: 3,
        alone: 150,
        together: 30,
        due: vec![0, 10, 100, 1_000],
        cuts: 100,
    };
    measure(&controller, &effort)
}

/// Runs it with so much effort, on this program of the controller.
///
/// # Errors
/// As [`run`].
pub fn measure(controller: &Path, effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ensure!(controller.exists(), "build {} first", controller.display());
    let runtime = tokio::runtime::Runtime::new()?;
    let site = runtime.block_on(Site::make(Path::new(DISK)))?;
    let mut bench = Bench { runtime, site, controller: controller.to_owned(), callers: None };
    let mut all = Vec::new();
    for tenants in &effort.sizes {
        let last = Some(tenants) == effort.sizes.last();
        let figures = bench.at(*tenants, effort, last)?;
        eprintln!(
            "lifecycle: {} tenants, {:.0} MiB, grown in {:.0} s: {:.0} transitions/s with one \
             caller, {:.0} with {CALLERS}; {:.0} MiB in memory; {DUE} due swept in {:.0} ms",
            figures.tenants,
            figures.database_mib,
            figures.grown_s,
            middle(&figures.alone.per_second),
            middle(&figures.together.per_second),
            middle(&figures.rss_load),
            middle(&figures.sweep_ms),
        );
        all.push(figures);
    }
    rows(&all)
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    site: Site,
    controller: PathBuf,
    /// The tokens, and the database that the floor is measured on, from the first size on.
    callers: Option<(Tokens, Floor)>,
}

impl Bench {
    fn at(&mut self, tenants: u64, effort: &Effort, last: bool) -> anyhow::Result<Figures> {
        let start = Instant::now();
        self.runtime.block_on(self.site.grow(tenants))?;
        let mut figures = Figures { tenants, ..Figures::default() };
        self.sweeps(&mut figures, effort, last)?;
        figures.grown_s = start.elapsed().as_secs_f64();
        figures.database_mib = mib(self.site.database_bytes()?);
        for _ in 0..effort.rounds.saturating_sub(1) {
            let serving = Serving::start(&self.site, &self.controller)?;
            figures.started(&serving)?;
            serving.stop()?;
        }
        let serving = Serving::start(&self.site, &self.controller)?;
        figures.started(&serving)?;
        self.calls(&mut figures, effort, &serving, last)?;
        figures.rss_load.push(serving.memory_mib("VmRSS")?);
        figures.peak.push(serving.memory_mib("VmHWM")?);
        serving.stop()?;
        Ok(figures)
    }

    fn sweeps(&mut self, figures: &mut Figures, effort: &Effort, last: bool) -> anyhow::Result<()> {
        let Self { runtime, site, .. } = self;
        runtime.block_on(async {
            let sweeper = site.sweeper().await?;
            // The first sweep of a process reads the calendar, too.
            site.sweep(&sweeper, 1).await?;
            for _ in 0..effort.rounds {
                figures.sweep_ms.push(site.sweep(&sweeper, DUE).await?);
            }
            for due in effort.due.iter().filter(|_| last) {
                let mut took_ms = Vec::new();
                for _ in 0..effort.rounds {
                    took_ms.push(site.sweep(&sweeper, *due).await?);
                }
                figures.curve.push((*due, took_ms));
            }
            sweeper.end().await
        })
    }

    /// Ours and the floor in turn.
    fn calls(
        &mut self,
        figures: &mut Figures,
        effort: &Effort,
        serving: &Serving,
        last: bool,
    ) -> anyhow::Result<()> {
        let mut open = self.choose();
        let (tokens, mut floor) = match self.callers.take() {
            Some(callers) => callers,
            None => {
                let tokens = serving.tokens(&self.site.state())?;
                let mut first = open.first().copied().into_iter().collect::<Vec<_>>();
                serving.transitions(&tokens, &mut first, 1, 2)?;
                let row = serving.row_bytes(&tokens, first[0])?;
                let state = self.site.open_bytes()?;
                let floor = Floor::make(self.site.dir(), state, row);
                (tokens, self.runtime.block_on(floor)?)
            }
        };
        for _ in 0..effort.rounds {
            figures.alone.add(&serving.transitions(&tokens, &mut open, 1, effort.alone)?);
            figures.floor.add(&self.runtime.block_on(floor.commits(effort.alone))?);
            let each = effort.together;
            figures.together.add(&serving.transitions(&tokens, &mut open, CALLERS, each)?);
            let page = serving.reads(&tokens, "/v1/tenants?limit=100", 100, READS)?;
            figures.page_ms.extend(median(&page));
            let search = "/v1/tenants?phase=closed&customer=bureau%207&limit=2";
            figures.search_ms.extend(median(&serving.reads(&tokens, search, 2, READS)?));
            let overdue = "/v1/tenants?overdue=true&limit=10";
            figures.overdue_ms.extend(median(&serving.reads(&tokens, overdue, 10, READS)?));
        }
        if last {
            self.cuts(figures, effort, serving, &tokens, &mut open)?;
        }
        for known in &mut self.site.open {
            if let Some(now) = open.iter().find(|now| now.id == known.id) {
                *known = *now;
            }
        }
        self.callers = Some((tokens, floor));
        Ok(())
    }

    /// Cuts, each of another tenant: alone, and while others make transitions.
    fn cuts(
        &mut self,
        figures: &mut Figures,
        effort: &Effort,
        serving: &Serving,
        tokens: &Tokens,
        open: &mut [Open],
    ) -> anyhow::Result<()> {
        let mut draw = || {
            let left = self.site.online.len().checked_sub(effort.cuts);
            left.map(|left| self.site.online.split_off(left)).context("too few can be cut")
        };
        for _ in 0..effort.rounds {
            figures.cut_alone.add(&serving.cuts(tokens, &draw()?)?);
            let (cuts, others) = serving.cuts_among(tokens, &draw()?, open, CALLERS)?;
            figures.cut_among.add(&cuts);
            figures.among.add(&others);
        }
        Ok(())
    }

    /// Tenants from all over the database.
    fn choose(&self) -> Vec<Open> {
        let step = (self.site.open.len() / OPEN).max(1);
        self.site.open.iter().step_by(step).take(OPEN).copied().collect()
    }
}

impl Figures {
    fn started(&mut self, serving: &Serving) -> anyhow::Result<()> {
        self.start_ms.push(serving.started_ms);
        self.rss_start.push(serving.memory_mib("VmRSS")?);
        Ok(())
    }
}

impl Speed {
    fn add(&mut self, load: &Load) {
        self.per_second.push(load.each_ms.len() as f64 / load.seconds);
        self.p50_ms.extend(percentile(&load.each_ms, 50));
        self.p99_ms.extend(percentile(&load.each_ms, 99));
    }
}

fn rows(all: &[Figures]) -> anyhow::Result<Vec<Row>> {
    let (first, last) = (all.first().context("no size")?, all.last().context("no size")?);
    let mut rows = Vec::new();
    for figures in all {
        rows.extend(rows_of(figures));
    }
    for (due, took_ms) in &last.curve {
        rows.push(row(last.tenants, &format!("sweep with {due} due"), "ms", took_ms));
    }
    rows.extend(cut_rows(last));
    type Of = fn(&Figures) -> &Vec<f64>;
    let curves: [(_, _, Of); 6] = [
        ("sweep with 100 due", "ms", |figures| &figures.sweep_ms),
        ("memory after the load", "MiB", |figures| &figures.rss_load),
        ("p99, 1 caller", "ms", |figures| &figures.alone.p99_ms),
        ("p99, 16 callers", "ms", |figures| &figures.together.p99_ms),
        ("start to first answer", "ms", |figures| &figures.start_ms),
        ("search by phase and customer", "ms", |figures| &figures.search_ms),
    ];
    for (what, unit, of) in curves {
        rows.extend(all.iter().skip(1).map(|figures| {
            row(figures.tenants, &format!("curve: {what}"), unit, of(figures))
                .beside(&format!("at {} tenants", first.tenants), of(first).clone())
                .aiming(Goal::RatioAtMost(2.0))
        }));
    }
    Ok(rows)
}

/// A cut is not behind those who make transitions: it takes at most half of what they take.
fn cut_rows(figures: &Figures) -> [Row; 3] {
    let size = figures.tenants;
    let beside = |what: &str, of: fn(&Speed) -> &Vec<f64>| {
        row(size, &format!("{what} of a cut, among 16 callers"), "ms", of(&figures.cut_among))
            .beside("the callers' transitions", of(&figures.among).clone())
            .aiming(Goal::RatioAtMost(0.5))
    };
    [
        row(size, "p99 of a cut, nobody else", "ms", &figures.cut_alone.p99_ms),
        beside("p50", |speed| &speed.p50_ms),
        beside("p99", |speed| &speed.p99_ms),
    ]
}

fn rows_of(figures: &Figures) -> Vec<Row> {
    let size = figures.tenants;
    let Figures { alone, together, floor, .. } = figures;
    let peer = "bare SQLite, the same bytes";
    let floor_of = |row: Row, runs: &[f64]| row.beside(peer, runs.to_vec());
    vec![
        floor_of(row(size, "transitions, 1 caller", "1/s", &alone.per_second), &floor.per_second),
        floor_of(row(size, "p50, 1 caller", "ms", &alone.p50_ms), &floor.p50_ms),
        floor_of(row(size, "p99, 1 caller", "ms", &alone.p99_ms), &floor.p99_ms),
        floor_of(
            row(size, "transitions, 16 callers", "1/s", &together.per_second),
            &floor.per_second,
        ),
        row(size, "p50, 16 callers", "ms", &together.p50_ms),
        row(size, "p99, 16 callers", "ms", &together.p99_ms),
        row(size, "page of 100 tenants", "ms", &figures.page_ms),
        row(size, "search by phase and customer", "ms", &figures.search_ms),
        row(size, "search for overdue ones (1.2 % are)", "ms", &figures.overdue_ms),
        row(size, "sweep with 100 due", "ms", &figures.sweep_ms),
        row(size, "start to first answer", "ms", &figures.start_ms),
        row(size, "memory after the start", "MiB", &figures.rss_start),
        row(size, "memory after the load", "MiB", &figures.rss_load),
        row(size, "memory at most", "MiB", &figures.peak),
        row(size, "database", "MiB", &[figures.database_mib]),
    ]
}

fn row(tenants: u64, what: &str, unit: &'static str, runs: &[f64]) -> Row {
    Row::new("lifecycle", &format!("{tenants:>7}: {what}"), unit, runs.to_vec())
}

fn middle(runs: &[f64]) -> f64 {
    median(runs).unwrap_or(0.0)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
