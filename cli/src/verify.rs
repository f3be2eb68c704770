//! `tenurectl verify`: checks an exit bundle offline, against trust anchors from another source.

use std::path::PathBuf;

use clap::Args;

use crate::{failure::Failure, screen::Screen};

/// What to verify, and against what.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The exit bundle, as `tenurectl bundle fetch` wrote it
    bundle: PathBuf,
    /// The trust anchors: the ledger's verifier key and the controller's attestation key, JSON
    #[arg(long, value_name = "FILE")]
    anchors: PathBuf,
}

/// Runs it.
pub(crate) fn run(args: &VerifyArgs, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::Evidence(format!(
        "{} cannot be verified against {} by this build",
        args.bundle.display(),
        args.anchors.display()
    )))
}
