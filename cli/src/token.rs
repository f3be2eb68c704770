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
    profile::read_text,
    screen::{Column, Screen, cell, column},
};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token for a person or a person's script, shown this once, or register a certificate;
    /// it opens nothing until a second person has confirmed it
    Create {
        /// Name of the token: the person's, or the script's
        #[arg(value_parser = plain_name)]
        name: String,
        /// The person whose it is, if it is a script's; separation of duties goes by it
        #[arg(long, value_name = "NAME", value_parser = plain_name)]
        owner: Option<String>,
        /// What its bearer may do
        #[arg(long, value_enum)]
        role: Role,
        /// The organisation that it belongs to
        #[arg(long, value_name = "NAME", required_if_eq("role", "customer"))]
        customer: Option<String>,
        /// Limit it to these groups of acts: read, apply, file, record, leave, review, configure,
        /// cut, hold, wipe, calendar, hosts, access, clock; `--scope read` is read-only
        #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
        scope: Vec<String>,
        /// How long it lives, 1 to 366 days
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        days: u32,
        /// Register this client certificate (PEM) instead of making a secret; the token ends with
        /// it at the latest
        #[arg(long, value_name = "FILE", conflicts_with = "out")]
        certificate: Option<PathBuf>,
        /// Write the token to this new file, mode 0600, instead of stdout
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// All tokens, ended ones too, without their secrets
    List,
    /// Confirm a token that another person made: it opens nothing before that
    Confirm {
        /// Its id, as `token list` shows it
        #[arg(value_parser = token_id)]
        id: String,
    },
    /// End a token at once
    Revoke {
        /// Its id, as `token list` shows it
        #[arg(value_parser = token_id)]
        id: String,
    },
}

/// The roles of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Applies, files, reports, leaves, records of its own.
    Customer,
    /// Gives the provider's opinions, looks filings up; proposes and enacts the calendar.
    Reviewer,
    /// Announces cuts, cuts, restores, retries, approves wipes, serves notices.
    Operator,
    /// Places and releases holds, blocks hosts, approves wipes, records inspections; confirms who
    /// may come in.
    Security,
    /// Reads everything.
    Auditor,
    /// Proposes who, and says which hosts, may come in; keeps the calendar, signs deadlines.
    Administrator,
}

impl Role {
    /// As the API has it.
    pub(crate) fn as_str(self) -> String {
        self.to_possible_value().map_or_else(String::new, |role| role.get_name().to_owned())
    }
}

const TOKENS: &[Column] = &[
    column("TOKEN", &["/id"]),
    column("NAME", &["/name"]),
    column("OWNER", &["/owner"]),
    column("ROLE", &["/role"]),
    column("CUSTOMER", &["/customer"]),
    column("SCOPE", &["/scope"]),
    column("CONFIRMED BY", &["/confirmed_by"]),
    column("CERTIFICATE", &["/certificate/subject"]),
    column("ENDS", &["/expires_at"]),
    column("REVOKED", &["/revoked_at"]),
    column("USED", &["/used_at"]),
];

/// Runs it.
pub(crate) fn run(verb: TokenVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        TokenVerb::Create { name, owner, role, customer, scope, days, certificate, out } => {
            let mut body = json!({ "name": name, "role": role.as_str(), "days": days });
            if let Some(owner) = owner {
                body["owner"] = Value::String(owner);
            }
            if let Some(customer) = customer {
                body["customer"] = Value::String(customer);
            }
            if !scope.is_empty() {
                body["scope"] = scope.into();
            }
            if let Some(path) = certificate {
                body["certificate"] = read_text(&path)?.as_str().into();
                let answer = api.post("/v1/tokens", &body)?;
                return screen.say(&cell(&answer, &["/id"]), &answer);
            }
            let file = out.as_deref().map(SecretFile::create).transpose()?;
            hand_over(&api.post("/v1/tokens", &body)?, "token", file, screen)
        }
        TokenVerb::List => screen.many(&api.list("/v1/tokens")?, TOKENS),
        TokenVerb::Confirm { id } => {
            let answer = api.post(&format!("/v1/tokens/{id}/confirm"), &json!({}))?;
            screen.say(&screen.fill("{} is confirmed", &[&id]), &answer)
        }
        TokenVerb::Revoke { id } => {
            let answer = api.delete(&format!("/v1/tokens/{id}"))?;
            screen.say(&format!("{id} has ended"), &answer)
        }
    }
}

/// A name that stands in URLs as it is.
pub(crate) fn plain_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
    if good {
        Ok(text.to_owned())
    } else {
        Err("a name is made of a-z, 0-9 and . _ -, and begins with a letter".to_owned())
    }
}

fn token_id(text: &str) -> Result<String, String> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_owned())
    } else {
        Err("an id has 32 hexadecimal digits: see `tenurectl token list`".to_owned())
    }
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

    /// Writes the secret and keeps the file.
    pub(crate) fn keep(mut self, secret: &str) -> Result<(), Failure> {
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

/// Shows this member of the answer: people get the bare secret, for a redirection into a file.
pub(crate) fn hand_over(
    answer: &Value,
    member: &str,
    file: Option<SecretFile<'_>>,
    screen: &Screen,
) -> Result<(), Failure> {
    let token = cell(answer, &[&format!("/{member}")]);
    let Some(file) = file else {
        return screen.say(&token, answer);
    };
    let path = file.path;
    file.keep(&token)?;
    let mut rest = answer.clone();
    rest[member] = Value::Null;
    rest["file"] = Value::String(path.to_string_lossy().into_owned());
    screen.say(&screen.fill("written to {}", &[&path.to_string_lossy()]), &rest)
}
