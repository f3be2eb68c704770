//! Benchmarks: ours and a peer, interleaved, on the same machine and the same device.
//!
//! A benchmark is one function that returns [`Row`]s. [`ALL`] lists them;
//! `tests/src/bin/tenure-bench.rs` runs them, prints the table and writes the report.

pub mod cut;
pub mod cut_api;
pub mod cut_scale;
pub mod lifecycle;
mod stores;
pub mod wipe;
pub mod wipe_memory;

use serde::Serialize;

/// Every benchmark: its name, what it measures in one sentence, and its function.
pub const ALL: &[Bench] = &[
    Bench {
        name: "cut",
        about: "a tenant's cut beside nft and Ansible, at 5,000 taps and 10,000 packets a second",
        run: cut::run,
    },
    Bench {
        name: "lifecycle",
        about: "transitions, sweeps, memory at a thousand to a million tenants beside SQLite",
        run: lifecycle::run,
    },
    Bench {
        name: "wipe",
        about: "a volume's wipe beside fio, nwipe, shred and dd on a loop device",
        run: wipe::run,
    },
    Bench {
        name: "wipe-memory",
        about: "a memory's wipe beside the fastest loops of the processor, on tmpfs and hugetlbfs",
        run: wipe_memory::run,
    },
];

/// One benchmark.
pub struct Bench {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Measures. An error is a benchmark that could not run, not a missed goal.
    pub run: fn() -> anyhow::Result<Vec<Row>>,
}

/// What the median, or its ratio to the peer's, should reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Ours at least this.
    AtLeast(f64),
    /// Ours at most this.
    AtMost(f64),
    /// Ours ÷ peer's at least this.
    RatioAtLeast(f64),
    /// Ours ÷ peer's at most this.
    RatioAtMost(f64),
}

/// Every measured value, in the order of measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Runs {
    /// Ours.
    pub ours: Vec<f64>,
    /// The peer's.
    pub peer: Vec<f64>,
}

/// One figure of the report. `ours` and `peer` are medians of `runs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the benchmark.
    pub bench: &'static str,
    /// What was measured.
    pub figure: String,
    /// Its unit, such as `MB/s` (10^6 bytes) or `ms`.
    pub unit: &'static str,
    /// Median of our runs.
    pub ours: f64,
    /// Median of the peer's runs, if there is a peer.
    pub peer: Option<f64>,
    /// Who the peer is, with what settings.
    pub peer_name: Option<String>,
    /// Ours ÷ peer's.
    pub ratio: Option<f64>,
    /// What was aimed at.
    pub goal: Option<Goal>,
    /// Whether it was reached.
    pub met: Option<bool>,
    /// All values.
    pub runs: Runs,
}

impl Row {
    /// A figure of `bench` from all of its runs; medians, ratio and `met` follow from them.
    /// Without runs of ours the figure is 0 and no goal is met.
    #[must_use]
    pub fn new(bench: &'static str, figure: &str, unit: &'static str, ours: Vec<f64>) -> Self {
        Self {
            bench,
            figure: figure.to_owned(),
            unit,
            ours: median(&ours).unwrap_or(0.0),
            peer: None,
            peer_name: None,
            ratio: None,
            goal: None,
            met: None,
            runs: Runs { ours, peer: Vec::new() },
        }
    }

    /// Beside the peer's runs.
    #[must_use]
    pub fn beside(mut self, name: &str, runs: Vec<f64>) -> Self {
        self.peer = median(&runs);
        self.peer_name = Some(name.to_owned());
        self.ratio = self.peer.filter(|peer| *peer > 0.0).map(|peer| self.ours / peer);
        self.runs.peer = runs;
        self
    }

    /// Against a goal. Call it last: it judges the medians as they are now.
    #[must_use]
    pub fn aiming(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.met = Some(match goal {
            Goal::AtLeast(least) => self.ours >= least,
            Goal::AtMost(most) => !self.runs.ours.is_empty() && self.ours <= most,
            Goal::RatioAtLeast(least) => self.ratio.is_some_and(|ratio| ratio >= least),
            Goal::RatioAtMost(most) => self.ratio.is_some_and(|ratio| ratio <= most),
        });
        self
    }
}

/// The table for people: each value as median with (minimum–maximum).
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["bench", "figure", "unit", "ours", "peer", "", "ratio", "goal", "met"]);
    for row in rows {
        table.add_row([
            row.bench.to_owned(),
            row.figure.clone(),
            row.unit.to_owned(),
            spread(&row.runs.ours),
            spread(&row.runs.peer),
            row.peer_name.clone().unwrap_or_default(),
            row.ratio.map(number).unwrap_or_default(),
            row.goal.map(goal_text).unwrap_or_default(),
            row.met.map(|met| if met { "yes" } else { "NO" }).unwrap_or_default().to_owned(),
        ]);
    }
    table.to_string()
}

/// The median, or `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        None
    } else if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        Some(f64::midpoint(sorted[middle - 1], sorted[middle]))
    }
}

/// The value that so many percent of all are at or below, or `None` of nothing; 100 is the largest.
#[must_use]
pub fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().min_by(f64::total_cmp);
    let high = values.iter().copied().max_by(f64::total_cmp);
    match (median(values), low, high) {
        (Some(median), Some(low), Some(high)) if values.len() > 1 => {
            format!("{} ({}–{})", number(median), number(low), number(high))
        }
        (Some(median), ..) => number(median),
        (None, ..) => String::new(),
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn goal_text(goal: Goal) -> String {
    match goal {
        Goal::AtLeast(value) => format!("≥ {}", number(value)),
        Goal::AtMost(value) => format!("≤ {}", number(value)),
        Goal::RatioAtLeast(value) => format!("ratio ≥ {}", number(value)),
        Goal::RatioAtMost(value) => format!("ratio ≤ {}", number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_judges_medians_and_a_figure_without_runs_meets_nothing() {
        let row = Row::new("wipe", "write", "MB/s", vec![90.0, 110.0, 100.0])
            .beside("fio", vec![120.0, 100.0])
            .aiming(Goal::RatioAtLeast(0.9));
        assert_eq!((row.ours, row.peer, row.met), (100.0, Some(110.0), Some(true)));
        let none = Row::new("wipe", "write", "ms", vec![]).aiming(Goal::AtMost(5.0));
        assert_eq!(none.met, Some(false));
        assert!(table(&[row]).contains("100 (90.00–110)"));
    }
}
