//! `tenurectl application`: a customer applies for a tenant.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::{Value, json};
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, cell, column},
    wait::word,
};

/// A complete application, to start from.
const EXAMPLE: &str = include_str!("application.example.json");

/// Most bytes of an application or record.
const MAX_APPLICATION_BYTES: u64 = 1024 * 1024;

/// What a customer does with an application.
#[derive(Debug, Subcommand)]
pub(crate) enum ApplicationVerb {
    /// Submit an application; prints the new tenant
    Submit {
        /// The application, JSON; - reads it from stdin
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Keep a draft, which may lack anything; prints its tenant
    Draft {
        /// The draft, JSON; - reads it from stdin
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        /// The tenant whose draft it replaces; without it a new one is made
        #[arg(long)]
        tenant: Option<TenantId>,
    },
    /// Submit a draft as it was kept last
    SubmitDraft {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Take an application back, before anything was given to it
    Withdraw {
        /// The tenant's id
        tenant: TenantId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Submit it again after it was returned for correction
    Resubmit {
        /// The tenant's id
        tenant: TenantId,
        /// The corrected application, JSON; - reads it from stdin
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Show what an application has of what its form asks for, and what it lacks
    Checklist {
        /// The tenant's id
        tenant: TenantId,
        /// Only what is absent or wrong
        #[arg(long)]
        lacking: bool,
    },
    /// Print a valid application, to start from
    Example,
    /// Print the form that this controller takes: a JSON schema
    Form {
        /// Which version of it
        #[arg(default_value = "current", value_parser = form_version)]
        version: String,
    },
}

const ITEMS: &[Column] = &[
    column("STATE", &["/state"]),
    column("REQUIRED", &["/required"]),
    column("FIELD", &["/pointer"]),
    column("TITLE", &["/title"]),
];

/// Runs it. An example needs no controller.
pub(crate) fn run(
    verb: ApplicationVerb,
    api: impl FnOnce() -> Result<Api, Failure>,
    screen: &Screen,
) -> Result<(), Failure> {
    match verb {
        ApplicationVerb::Submit { file } => {
            let application = read(&file)?;
            show(&api()?.post("/v1/applications", &application)?, screen)
        }
        ApplicationVerb::Resubmit { tenant, file } => {
            let application = read(&file)?;
            let path = format!("/v1/tenants/{tenant}/application");
            show(&api()?.post(&path, &application)?, screen)
        }
        ApplicationVerb::Draft { file, tenant } => {
            let draft = read(&file)?;
            let path = tenant.map_or_else(
                || "/v1/drafts".to_owned(),
                |tenant| format!("/v1/tenants/{tenant}/draft"),
            );
            show(&api()?.post(&path, &draft)?, screen)
        }
        ApplicationVerb::SubmitDraft { tenant } => {
            let path = format!("/v1/tenants/{tenant}/draft/submission");
            show(&api()?.post(&path, &json!({}))?, screen)
        }
        ApplicationVerb::Withdraw { tenant, reason } => {
            let path = format!("/v1/tenants/{tenant}/withdrawal");
            show(&api()?.post(&path, &json!({ "reason": reason }))?, screen)
        }
        ApplicationVerb::Checklist { tenant, lacking } => {
            let mut items = api()?.list(&format!("/v1/tenants/{tenant}/checklist"))?;
            if let Some(items) = items.as_array_mut().filter(|_| lacking) {
                items.retain(|item| matches!(&*word(item, "state"), "absent" | "wrong"));
            }
            screen.many(&items, ITEMS)
        }
        ApplicationVerb::Example => screen.text(EXAMPLE.trim_end()),
        ApplicationVerb::Form { version } => {
            screen.json(&api()?.get(&format!("/v1/application-forms/{version}"))?)
        }
    }
}

fn show(view: &Value, screen: &Screen) -> Result<(), Failure> {
    let phase = screen.word(&word(view, "phase"));
    screen.say(&screen.fill("tenant {} is {}", &[&cell(view, &["/id"]), &phase]), view)
}

/// A version goes into a path: letters, figures, dots and dashes alone.
fn form_version(text: &str) -> Result<String, String> {
    let fits = (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("a version is such as 1.0, or current".to_owned()) }
}

/// Reads a JSON file; - is stdin.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    source.take(MAX_APPLICATION_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_APPLICATION_BYTES {
        return Err(Failure::Usage(format!(
            "{} has more than {MAX_APPLICATION_BYTES} bytes: this is another file",
            path.display()
        )));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::Usage(format!(
            "{} is not JSON: {error}; `application example` and `record example` print valid ones",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_json_with_what_an_application_needs() {
        let example: Value = serde_json::from_str(EXAMPLE).unwrap();
        for member in ["customer", "system", "contacts", "instances"] {
            assert!(example.get(member).is_some(), "{member}");
        }
    }
}
