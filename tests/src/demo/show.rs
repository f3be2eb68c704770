//! What the demo shows while it runs, and the report that it leaves: steps, figures, one result.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::Context as _;
use serde::Serialize;

/// One step, as the report has it.
#[derive(Debug, Clone, Serialize)]
pub struct StepResult {
    /// What was done.
    pub name: String,
    /// Whether it came out as it should.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
    /// What was seen, or what went wrong.
    pub detail: String,
}

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
}

#[derive(Serialize)]
struct Report<'a> {
    result: &'a str,
    steps: &'a [StepResult],
    figures: &'a [Figure],
}

/// Collects steps and figures, and prints them as they come.
#[derive(Default)]
pub struct Show {
    steps: Vec<StepResult>,
    figures: Vec<Figure>,
    colour: bool,
}

impl Show {
    /// A show on standard output, in colour if that is a terminal.
    #[must_use]
    pub fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal(), ..Self::default() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Runs one step: what it returns is shown as its detail.
    ///
    /// # Errors
    /// The step's own, after it was recorded.
    pub fn step<T>(
        &mut self,
        name: &str,
        act: impl FnOnce(&mut Self) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        println!("{} {}", self.paint("1;34", "▶"), self.paint("1", name));
        let start = Instant::now();
        let outcome = act(self);
        let seconds = start.elapsed().as_secs_f64();
        let (ok, detail) = match &outcome {
            Ok((_, detail)) => (true, detail.clone()),
            Err(error) => (false, format!("{error:#}")),
        };
        let mark = if ok { self.paint("1;32", "✓") } else { self.paint("1;31", "✗") };
        for (index, line) in detail.lines().enumerate() {
            let lead = if index == 0 { mark.as_str() } else { " " };
            println!("  {lead} {line}");
        }
        println!("    {}", self.paint("2", &format!("{seconds:.1} s")));
        self.steps.push(StepResult { name: name.to_owned(), ok, seconds, detail });
        outcome.map(|(value, _)| value)
    }

    /// Shows a line within a step.
    #[allow(clippy::unused_self, reason = "all that is shown goes through here")]
    pub fn say(&self, line: &str) {
        for line in line.lines() {
            println!("    {line}");
        }
        let _ = std::io::stdout().flush();
    }

    /// Records a measured figure.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) {
        self.figures.push(Figure { name: name.to_owned(), value, unit: unit.to_owned() });
    }

    /// Whether at least one step ran and all of them passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.ok)
    }

    /// Prints the summary and writes the report.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn finish(&self, report: Option<&Path>) -> anyhow::Result<()> {
        println!("\n{}", self.paint("1", "Summary"));
        for step in &self.steps {
            let mark = if step.ok { self.paint("32", "pass") } else { self.paint("31", "FAIL") };
            println!("  {mark}  {:>7.1} s  {}", step.seconds, step.name);
        }
        if !self.figures.is_empty() {
            println!();
        }
        for figure in &self.figures {
            println!("  {:<52} {:>12.2} {}", figure.name, figure.value, figure.unit);
        }
        let result = if self.passed() { "pass" } else { "fail" };
        let colour = if self.passed() { "1;32" } else { "1;31" };
        println!("\nresult: {}", self.paint(colour, result));
        if let Some(path) = report {
            let report = Report { result, steps: &self.steps, figures: &self.figures };
            let mut text = serde_json::to_string_pretty(&report)?;
            text.push('\n');
            std::fs::write(path, text)
                .with_context(|| format!("cannot write the report to {}", path.display()))?;
        }
        Ok(())
    }
}
