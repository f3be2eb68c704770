//! `tenure-bench [NAME…] [--report FILE]`: runs benchmarks, prints the table, writes the report.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tenure_tests::bench;

/// Benchmarks of Tenure beside the tools that people use today. Without a name it lists them.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Which to run; `all` for all of them.
    names: Vec<String>,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.names.is_empty() {
        for bench in bench::ALL {
            println!("{:<12} {}", bench.name, bench.about);
        }
        return Ok(());
    }
    let all = arguments.names.iter().any(|name| name == "all");
    if let Some(unknown) = arguments
        .names
        .iter()
        .find(|name| *name != "all" && !bench::ALL.iter().any(|bench| bench.name == **name))
    {
        anyhow::bail!("there is no benchmark {unknown:?}; run without a name for the list");
    }
    let mut rows = Vec::new();
    for bench in bench::ALL {
        if all || arguments.names.iter().any(|name| name == bench.name) {
            eprintln!("{}: {} …", bench.name, bench.about);
            rows.extend((bench.run)().with_context(|| format!("benchmark {}", bench.name))?);
        }
    }
    println!("{}", bench::table(&rows));
    if let Some(path) = arguments.report {
        let json = serde_json::to_string_pretty(&rows)?;
        write_report(&path, &json).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a report for people, made again at will")]
fn write_report(path: &std::path::Path, json: &str) -> std::io::Result<()> {
    std::fs::write(path, json)
}
