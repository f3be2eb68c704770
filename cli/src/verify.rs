//! `tenurectl verify`: checks an exit bundle offline, against trust anchors from another source.
//! Needs no controller, no network and no configuration.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use tenure_protocol::evidence::{
    anchors::{Anchors, MAX_ANCHORS_BYTES},
    archive::MAX_BUNDLE_BYTES,
    verify::{Code, Finding, verify_bundle},
};

use crate::{
    failure::Failure,
    screen::{Column, Screen, column},
};

/// What to verify, and against what.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The exit bundle, as `tenurectl bundle fetch` wrote it
    bundle: PathBuf,
    /// The trust anchors: the ledger's verifier key and the controller's attestation key, JSON
    #[arg(long, value_name = "FILE")]
    anchors: PathBuf,
}

const FINDINGS: &[Column] = &[
    column("OK", &["/ok"]),
    column("QUESTION", &["/code"]),
    column("OF", &["/subject"]),
    column("FOUND", &["/sentence"]),
];

/// Runs it: every finding on stdout, and a failure if one is bad.
pub(crate) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Failure> {
    let anchors = Anchors::from_json(&read(&args.anchors, MAX_ANCHORS_BYTES)?)
        .map_err(|error| Failure::Usage(format!("{}: {error}", args.anchors.display())))?;
    let verdict = verify_bundle(&read(&args.bundle, MAX_BUNDLE_BYTES)?, &anchors);
    screen.many(&json!({ "ok": verdict.ok, "findings": verdict.findings }), FINDINGS)?;
    let bad: Vec<&Finding> = verdict.findings.iter().filter(|finding| !finding.ok).collect();
    match bad.as_slice() {
        [] if verdict.ok => {
            let bundle = args.bundle.to_string_lossy();
            let staged = verdict.findings.iter().find(|finding| finding.code == Code::DemoClock);
            screen.tell(match staged {
                Some(staged) => {
                    screen.fill("{}: the evidence holds, BUT: {}", &[&bundle, &staged.sentence])
                }
                None => screen.fill("{}: the evidence holds", &[&bundle]),
            });
            Ok(())
        }
        [] => Err(Failure::Evidence("nothing was found to verify".to_owned())),
        [first, ..] => Err(Failure::Evidence(format!(
            "{} does not prove the exit: {} of {} findings are bad, the first: {}: {}",
            args.bundle.display(),
            bad.len(),
            verdict.findings.len(),
            first.subject,
            first.sentence
        ))),
    }
}

/// The file, but not more than one byte over the limit: the verifier refuses that by its length.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
