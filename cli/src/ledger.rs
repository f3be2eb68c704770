//! `tenurectl ledger`: the transparency log as witnesses and auditors read it (C2SP tlog-tiles).

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::{
    api::Api,
    bundle,
    failure::Failure,
    harmless::harmless,
    screen::{Format, Screen},
};

/// What can be read of the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerVerb {
    /// The signed checkpoint, a note of three lines and its signatures
    Checkpoint,
    /// Fetch a tile
    Tile {
        /// Its path, such as 0/000 or entries/000.p/5
        #[arg(value_parser = tile)]
        path: String,
        /// Where to write it; an existing file is replaced once the tile is complete
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs it.
pub(crate) fn run(verb: LedgerVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        LedgerVerb::Checkpoint => {
            let note = api.words("/v1/ledger/checkpoint")?;
            match screen.format() {
                Format::Json => screen.json(&json!({ "checkpoint": note })),
                Format::Table => {
                    screen.text(&note.lines().map(harmless).collect::<Vec<_>>().join("\n"))
                }
            }
        }
        LedgerVerb::Tile { path, out } => {
            let mut source = api.fetch(&format!("/v1/ledger/tile/{path}"))?;
            let bytes = bundle::save(api, &mut source, &out)?;
            let file = out.to_string_lossy();
            let sentence = screen.fill("{}: {} bytes", &[&file, &bytes.to_string()]);
            screen.say(&sentence, &json!({ "file": file, "bytes": bytes }))
        }
    }
}

/// A tile's path is of words, figures and dots alone; whether there is one the controller says.
fn tile(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        !part.is_empty()
            && part != ".."
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    let fits = text.len() <= 200 && text.split('/').all(part);
    if fits { Ok(text.to_owned()) } else { Err("a tile's path is such as 0/000".to_owned()) }
}
