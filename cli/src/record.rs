//! `tenurectl record`, `inspection` and `access`: what the parties put on paper, of a tenant or of
//! the platform. Files are uploaded as attachments first.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tenure_protocol::{
    id::{RecordId, TenantId},
    time::Timestamp,
};

use crate::{
    api::Api,
    application::read,
    attachment::{Owner, upload},
    failure::Failure,
    screen::{Column, Screen, cell, column},
};

/// One record of each kind, to start from.
const EXAMPLES: &str = include_str!("record.examples.json");

/// What can be done with records.
#[derive(Debug, Subcommand)]
pub(crate) enum RecordVerb {
    /// Add a record
    Add {
        /// The tenant's id, or platform
        owner: Owner,
        /// What it says, JSON, as `record example` prints it; - reads it from stdin
        #[arg(value_name = "FILE|-")]
        content: PathBuf,
        #[command(flatten)]
        paper: Paper,
    },
    /// All records, and whether they count
    List {
        /// The tenant's id, or platform
        owner: Owner,
    },
    /// Confirm a record as a second person, or reject it
    Confirm {
        /// The tenant's id, or platform
        owner: Owner,
        #[command(flatten)]
        said: Said,
    },
    /// Print a record of a kind, to start from
    Example {
        /// The kind, such as support; all of them if not given
        kind: Option<String>,
    },
}

/// What can be done about the monthly security checks.
#[derive(Debug, Subcommand)]
pub(crate) enum InspectionVerb {
    /// Record a check with its report
    Add {
        /// The tenant's id
        tenant: TenantId,
        /// What was checked
        #[arg(long, value_name = "TEXT")]
        checked: String,
        /// A finding: low, medium or high, what it is, and the advice; can be given again
        #[arg(long, num_args = 3, value_names = ["SEVERITY", "FINDING", "ADVICE"])]
        finding: Vec<String>,
        /// The report
        #[arg(long, value_name = "FILE")]
        report: PathBuf,
        /// When it was done, if not now
        #[arg(long, value_name = "INSTANT")]
        effective: Option<Timestamp>,
    },
}

/// What can be done about lawful access to a customer's data.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessVerb {
    /// Record an authority's request, with its document
    Request {
        /// The tenant's id
        tenant: TenantId,
        /// The authority
        #[arg(long)]
        authority: String,
        /// Number of its document
        #[arg(long, value_name = "NUMBER")]
        document_no: String,
        /// What it may look at
        #[arg(long)]
        scope: String,
        /// The document demands that the customer is not told
        #[arg(long)]
        sealed: bool,
        /// A scan of the document
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
    },
    /// Approve it as one of two persons, or reject it
    Approve {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        said: Said,
    },
    /// Record what was shown, once two persons have approved it
    Shown {
        /// The tenant's id
        tenant: TenantId,
        /// The request's record
        access: RecordId,
        /// What was shown, to the letter
        #[arg(long, value_name = "TEXT")]
        shown: String,
        /// An officer who looked at it; can be given again
        #[arg(long, required = true)]
        officer: Vec<String>,
    },
}

/// The paper behind a record.
#[derive(Debug, Args)]
pub(crate) struct Paper {
    /// A scan, report or letter; can be given again
    #[arg(long, value_name = "FILE")]
    document: Vec<PathBuf>,
    /// When it took effect, such as 2026-10-20T09:00:00Z, if not now. More than a day ago needs a
    /// document and a second person
    #[arg(long, value_name = "INSTANT")]
    effective: Option<Timestamp>,
    /// Its document demands that the customer is not told: its files go to the platform
    #[arg(skip)]
    sealed: bool,
}

/// What a second person says.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// The record
    record: RecordId,
    /// What was looked at, or why not
    #[arg(long, value_name = "TEXT")]
    opinion: String,
    /// Whether it is so
    #[arg(long, value_enum, default_value_t)]
    answer: Answer,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// It is so.
    #[default]
    Agree,
    /// It is not.
    Reject,
}

const RECORDS: &[Column] = &[
    column("RECORD", &["/id"]),
    column("KIND", &["/kind"]),
    column("CLAUSE", &["/clause"]),
    column("STANDING", &["/standing"]),
    column("EFFECTIVE", &["/effective_at"]),
    column("RECORDED", &["/recorded_at"]),
    column("BY", &["/recorded_by"]),
    column("DOCUMENTS", &["/documents"]),
    column("SEALED", &["/sealed"]),
];

/// Records. An example needs no controller.
pub(crate) fn run(
    verb: RecordVerb,
    api: impl FnOnce() -> Result<Api, Failure>,
    screen: &Screen,
) -> Result<(), Failure> {
    match verb {
        RecordVerb::Add { owner, content, paper } => {
            let content = read(&content)?;
            let sealed = content.get("sealed").and_then(Value::as_bool).unwrap_or_default();
            add(owner, &content, &Paper { sealed, ..paper }, &api()?, screen)
        }
        RecordVerb::List { owner } => screen.many(&api()?.list(&owner.path("records"))?, RECORDS),
        RecordVerb::Confirm { owner, said } => confirm(owner, &said, &api()?, screen),
        RecordVerb::Example { kind } => example(kind.as_deref(), screen),
    }
}

/// Monthly checks.
pub(crate) fn inspection(verb: InspectionVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let InspectionVerb::Add { tenant, checked, finding, report, effective } = verb;
    let findings: Vec<Value> = finding
        .as_chunks::<3>()
        .0
        .iter()
        .map(|[severity, finding, advice]| {
            json!({ "severity": severity, "finding": finding, "advice": advice })
        })
        .collect();
    let content = json!({ "kind": "inspection", "checked": checked, "findings": findings });
    let paper = Paper { document: vec![report], effective, sealed: false };
    add(Owner::Tenant(tenant), &content, &paper, api, screen)
}

/// Lawful access.
pub(crate) fn access(verb: AccessVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        AccessVerb::Request { tenant, authority, document_no, scope, sealed, document } => {
            let content = json!({
                "kind": "lawful-access", "authority": authority, "document_no": document_no,
                "scope": scope, "sealed": sealed,
            });
            let paper = Paper { document: vec![document], effective: None, sealed };
            add(Owner::Tenant(tenant), &content, &paper, api, screen)
        }
        AccessVerb::Approve { tenant, said } => confirm(Owner::Tenant(tenant), &said, api, screen),
        AccessVerb::Shown { tenant, access, shown, officer } => {
            let content = json!({
                "kind": "access-shown", "access": access, "shown": shown, "officers": officer,
            });
            let paper = Paper { document: Vec::new(), effective: None, sealed: false };
            add(Owner::Tenant(tenant), &content, &paper, api, screen)
        }
    }
}

fn add(
    owner: Owner,
    content: &Value,
    paper: &Paper,
    api: &Api,
    screen: &Screen,
) -> Result<(), Failure> {
    let shelf = if paper.sealed { Owner::Platform } else { owner };
    let documents: Result<Vec<Value>, Failure> =
        paper.document.iter().map(|path| upload(shelf, path, api)).collect();
    let mut body = json!({ "content": content, "documents": documents? });
    if let Some(effective) = paper.effective {
        body["effective_at"] = json!(effective);
    }
    show(&api.post(&owner.path("records"), &body)?, screen)
}

fn confirm(owner: Owner, said: &Said, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let body = json!({ "agreed": said.answer == Answer::Agree, "opinion": said.opinion });
    let path = owner.path(&format!("records/{}/confirmations", said.record));
    show(&api.post(&path, &body)?, screen)
}

fn show(view: &Value, screen: &Screen) -> Result<(), Failure> {
    let missing = match view["persons"].as_u64() {
        None => String::new(),
        Some(1) => " for one more person to confirm it".to_owned(),
        Some(persons) => format!(" for {persons} more persons to confirm it"),
    };
    let (kind, id) = (cell(view, &["/kind"]), cell(view, &["/id"]));
    screen.say(&format!("{kind} {id} {}{missing}", cell(view, &["/standing"])), view)
}

fn example(kind: Option<&str>, screen: &Screen) -> Result<(), Failure> {
    let Some(kind) = kind else { return screen.text(EXAMPLES.trim_end()) };
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    match examples.get(kind) {
        Some(example) => screen.json(example),
        None => {
            let kinds: Vec<&str> =
                examples.as_object().into_iter().flatten().map(|(kind, _)| kind.as_str()).collect();
            Err(Failure::Usage(format!("no kind {kind:?}: there are {}", kinds.join(", "))))
        }
    }
}
