//! `tenurectl bundle`: takes the evidence of a closed tenant home.

use std::{
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::json;
use tenure_protocol::id::TenantId;

use crate::{api::Api, failure::Failure, screen::Screen};

/// What can be done with a bundle.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleVerb {
    /// Fetch the exit bundle into a file, for `tenurectl verify`
    Fetch {
        /// The tenant's id
        tenant: TenantId,
        /// Where to write it; an existing file is replaced once the bundle is complete
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs it.
pub(crate) fn run(verb: BundleVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let BundleVerb::Fetch { tenant, out } = verb;
    let mut source = api.fetch(&format!("/v1/tenants/{tenant}/bundle"))?;
    let bytes = save(api, &mut source, &out)?;
    let sentence = format!("{}: {bytes} bytes; verify it with `tenurectl verify`", out.display());
    screen.say(&sentence, &json!({ "file": out.to_string_lossy(), "bytes": bytes }))
}

/// Writes beside, syncs and renames, so that a broken transfer never looks like a whole one.
pub(crate) fn save(api: &Api, source: &mut impl Read, out: &Path) -> Result<u64, Failure> {
    let mut beside = out.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let written = copy(api, source, &beside).and_then(|bytes| {
        fs::rename(&beside, out).map_err(|source| write_failure(out, source))?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn copy(api: &Api, source: &mut impl Read, path: &Path) -> Result<u64, Failure> {
    let mut file = fs::File::create(path).map_err(|source| write_failure(path, source))?;
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(api.broken(error)),
        };
        let part = buffer.get(..read).unwrap_or_default();
        file.write_all(part).map_err(|source| write_failure(path, source))?;
        bytes += read as u64;
    }
    file.sync_all().map_err(|source| write_failure(path, source))?;
    Ok(bytes)
}

fn write_failure(path: &Path, source: io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), source }
}
