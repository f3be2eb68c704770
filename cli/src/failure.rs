//! What can go wrong, as a sentence for the reader and an exit code for scripts.

use std::{io, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

/// Exit code: the controller said no.
pub(crate) const REFUSED: u8 = 1;
/// Exit code: wrong arguments, or a local file that cannot be used.
pub(crate) const USAGE: u8 = 2;
/// Exit code: the evidence does not hold.
pub(crate) const EVIDENCE: u8 = 3;
/// Exit code: no answer, or none of Tenure's.
pub(crate) const UNREACHABLE: u8 = 4;
/// Exit code: stdout or a file would not take the answer.
pub(crate) const UNWRITABLE: u8 = 5;
/// Exit code: what was waited for was still under way at the limit.
pub(crate) const UNFINISHED: u8 = 6;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The controller's answer to a request that it understood and will not carry out.
    #[error("{}", .0.sentence())]
    Refused(Problem),
    /// What was waited for ended otherwise.
    #[error("{0}")]
    Ended(String),
    /// The arguments or the profile cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A local file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The evidence does not hold.
    #[error("{0}")]
    Evidence(String),
    /// No connection, no answer, or an answer that is not Tenure's.
    #[error("{0}")]
    Unreachable(String),
    /// stdout does not take the answer.
    #[error("cannot write the answer to stdout: {0}")]
    Stdout(io::Error),
    /// A file does not take the answer.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Still under way at the limit.
    #[error("{0}")]
    Unfinished(String),
}

impl Failure {
    /// The exit code that scripts see.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Ended(_) => REFUSED,
            Self::Usage(_) | Self::Read { .. } => USAGE,
            Self::Evidence(_) => EVIDENCE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Stdout(_) | Self::Write { .. } => UNWRITABLE,
            Self::Unfinished(_) => UNFINISHED,
        }
    }

    /// For `--output json`: what stderr gets, on one line.
    pub(crate) fn as_json(&self) -> Value {
        let code = match self {
            Self::Refused(problem) => problem.code.as_deref().unwrap_or("refused"),
            Self::Ended(_) => "ended-otherwise",
            Self::Usage(_) | Self::Read { .. } => "usage",
            Self::Evidence(_) => "evidence",
            Self::Unreachable(_) => "unreachable",
            Self::Stdout(_) | Self::Write { .. } => "unwritable",
            Self::Unfinished(_) => "unfinished",
        };
        let detail = match self {
            Self::Refused(problem) => problem.words().to_owned(),
            _ => self.to_string(),
        };
        json!({ "code": code, "detail": detail, "exit": self.exit_code() })
    }
}

/// A problem document (RFC 9457) with Tenure's stable `code`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Problem {
    /// Stable code of the refusal, kebab-case.
    pub(crate) code: Option<String>,
    /// The sentence for people.
    pub(crate) detail: Option<String>,
    /// A shorter sentence, the same for all of a kind.
    pub(crate) title: Option<String>,
    /// HTTP status, filled in from the answer itself.
    #[serde(skip)]
    pub(crate) status: u16,
}

impl Problem {
    /// Reads a problem document; a body that is none leaves the status alone to speak.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let problem: Self = serde_json::from_slice(body).unwrap_or_default();
        Self { status, ..problem }
    }

    /// Whether the same request is being answered already.
    pub(crate) fn is_under_way(&self) -> bool {
        self.code.as_deref() == Some("under-way")
    }

    fn words(&self) -> &str {
        let fallback = match self.status {
            401 => {
                "the controller does not know this token: log in anew, or give another --token-file"
            }
            403 => "this token's role may not do that",
            404 => "there is no such thing on this controller: check the id",
            _ => "the controller refused without a reason",
        };
        self.detail.as_deref().or(self.title.as_deref()).unwrap_or(fallback)
    }

    fn sentence(&self) -> String {
        match &self.code {
            Some(code) => format!("{} ({code})", self.words()),
            None => format!("{} (HTTP {})", self.words(), self.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_its_sentence_and_its_code() {
        let body = br#"{"type":"about:blank","status":409,"code":"review-own-application",
            "detail":"The application is your own: another person must review it."}"#;
        let failure = Failure::Refused(Problem::read(409, body));
        assert_eq!(
            failure.to_string(),
            "The application is your own: another person must review it. (review-own-application)"
        );
        assert_eq!(failure.as_json()["code"], "review-own-application");
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn an_answer_without_a_problem_document_still_says_what_to_do() {
        let sentence = Problem::read(401, b"<html>").sentence();
        assert!(sentence.contains("--token-file") && sentence.contains("401"), "{sentence}");
    }
}
