//! The demo's program; `packaging/demo` builds and calls it.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tenure_tests::{
    demo::{self, Options},
    lab::{site::Build, undo},
};

#[derive(Parser)]
#[command(about = "The whole way of one tenant, once, for real, on this machine")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run it
    Run {
        /// Directory of the programs
        #[arg(long)]
        bin_dir: PathBuf,
        /// Directory of the guest image
        #[arg(long)]
        guest_dir: PathBuf,
        /// Write steps and figures to this file, as JSON
        #[arg(long)]
        report: Option<PathBuf>,
        /// Leave everything running, and say how to reach it
        #[arg(long)]
        keep: bool,
    },
    /// Remove what an earlier run left behind
    Sweep {
        /// Kept ones too
        #[arg(long)]
        kept: bool,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tenure-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<bool> {
    match Cli::parse().verb {
        Verb::Run { bin_dir, guest_dir, report, keep } => {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let build = Build { bin: bin_dir.canonicalize()?, guest: guest_dir.canonicalize()? };
            demo::run(&Options { build, report, keep })
        }
        Verb::Sweep { kept } => {
            for dir in undo::sweep(kept)? {
                println!("removed what a run had left in {}", dir.display());
            }
            Ok(true)
        }
    }
}
