//! `tenurectl report`: the two reports at the end of a trial. Only their titles and digests leave
//! this machine.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::{Value, json};
use tenure_protocol::{digest::Digest, id::TenantId};

use crate::{api::Api, failure::Failure, review::OpinionArgs, screen::Screen};

/// Most bytes of a report.
const MAX_REPORT_BYTES: u64 = 512 * 1024 * 1024;

/// What is done with reports.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportVerb {
    /// Submit both reports' titles and SHA-256 digests (customer)
    Submit {
        /// The tenant's id
        tenant: TenantId,
        /// The test report
        #[arg(long, value_name = "FILE")]
        test_report: PathBuf,
        /// The security risk assessment report
        #[arg(long, value_name = "FILE")]
        security_report: PathBuf,
    },
    /// Pass them: the tenant goes online (reviewer)
    Pass {
        #[command(flatten)]
        opinion: OpinionArgs,
    },
    /// Fail them: the customer rectifies item by item and submits again (reviewer)
    Fail {
        #[command(flatten)]
        opinion: OpinionArgs,
        /// What to rectify; once for each item
        #[arg(long = "item", value_name = "TEXT", required = true)]
        items: Vec<String>,
    },
    /// Record that an item is rectified (customer)
    Rectify {
        /// The tenant's id
        tenant: TenantId,
        /// The item's number
        #[arg(long, value_name = "NUMBER")]
        item: u32,
        /// What was changed
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// The proof
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
    },
}

/// Runs it.
pub(crate) fn run(verb: ReportVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        ReportVerb::Submit { tenant, test_report, security_report } => {
            let body = json!({
                "test_report": describe(&test_report)?,
                "security_report": describe(&security_report)?,
            });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/reports"), &body)?)
        }
        ReportVerb::Pass { opinion } => opinion.decide("pass", "reports/review", api, screen),
        ReportVerb::Fail { opinion, items } => {
            let body = json!({ "decision": "fail", "opinion": opinion.opinion, "items": items });
            let path = format!("/v1/tenants/{}/reports/review", opinion.tenant);
            screen.one(&api.post_about(opinion.version, &path, &body)?)
        }
        ReportVerb::Rectify { tenant, item, note, evidence } => {
            let body = json!({ "item": item, "note": note, "evidence": describe(&evidence)? });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/reports/rectifications"), &body)?)
        }
    }
}

/// Title (the file's name) and digest of a document.
pub(crate) fn describe(path: &Path) -> Result<Value, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_REPORT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() || bytes.len() as u64 > MAX_REPORT_BYTES {
        return Err(Failure::Usage(format!(
            "{} has {} bytes: a report has 1 to {MAX_REPORT_BYTES}",
            path.display(),
            if bytes.is_empty() { "no" } else { "too many" }
        )));
    }
    let title = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(json!({ "title": title, "sha256": Digest::of(&bytes) }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_report_is_described_by_its_name_and_the_digest_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test report.pdf");
        fs::File::create(&path).unwrap().write_all(b"abc").unwrap();
        let described = describe(&path).unwrap();
        assert_eq!(described["title"], "test report.pdf");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(described["sha256"], abc);
    }

    #[test]
    fn an_empty_report_is_refused_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.pdf");
        fs::File::create(&path).unwrap();
        assert_eq!(describe(&path).unwrap_err().exit_code(), 2);
    }
}
