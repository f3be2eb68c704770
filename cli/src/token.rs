//! `tenurectl token`: API tokens. Also how any new secret is handed over: to stdout, or straight
//! into a file that only its owner can read.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::{
    api::Api,
    failure::Failure,
    screen::{Screen, cell},
};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token for a person or a script; it is shown this once
    Create {
        /// Id of the person or script; separation of duties goes by it
        name: String,
        /// What its bearer may do
        #[arg(long, value_enum)]
        role: Role,
        /// The organisation that it belongs to
        #[arg(long, value_name = "NAME", required_if_eq("role", "customer"))]
        customer: Option<String>,
        /// Write the token to this new file, mode 0600, instead of stdout
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The roles of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Applies, reports, leaves.
    Customer,
    /// Decides on applications, reports and leaving.
    Reviewer,
    /// Cuts, restores, approves wipes.
    Operator,
    /// Approves wipes.
    Security,
    /// Reads everything.
    Auditor,
    /// Makes tokens and takes hosts in.
    Administrator,
}

/// Runs it.
pub(crate) fn run(verb: TokenVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let TokenVerb::Create { name, role, customer, out } = verb;
    let role = role.to_possible_value().map(|role| role.get_name().to_owned());
    let mut body = json!({ "name": name, "role": role });
    if let Some(customer) = customer {
        body["customer"] = Value::String(customer);
    }
    let file = out.as_deref().map(SecretFile::create).transpose()?;
    hand_over(&api.post("/v1/tokens", &body)?, file, screen)
}

/// A new file for a secret, made before the secret is, so that none is lost to a wrong path.
pub(crate) struct SecretFile<'a> {
    path: &'a Path,
    file: std::fs::File,
    kept: bool,
}

impl<'a> SecretFile<'a> {
    /// Makes the file, mode 0600. An existing one is left alone.
    pub(crate) fn create(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| Failure::Write { path: path.to_owned(), source })?;
        Ok(Self { path, file, kept: false })
    }

    fn keep(mut self, secret: &str) -> Result<(), Failure> {
        writeln!(self.file, "{secret}")
            .and_then(|()| self.file.sync_all())
            .map_err(|source| Failure::Write { path: self.path.to_owned(), source })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for SecretFile<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// Shows the answer's `token`: people get the bare secret, for a redirection into a file.
pub(crate) fn hand_over(
    answer: &Value,
    file: Option<SecretFile<'_>>,
    screen: &Screen,
) -> Result<(), Failure> {
    let token = cell(answer, &["/token"]);
    let Some(file) = file else {
        return screen.say(&token, answer);
    };
    let path = file.path;
    file.keep(&token)?;
    let mut rest = answer.clone();
    rest["token"] = Value::Null;
    rest["file"] = Value::String(path.to_string_lossy().into_owned());
    screen.say(&screen.fill("written to {}", &[&path.to_string_lossy()]), &rest)
}
