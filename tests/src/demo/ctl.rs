//! `tenurectl`, as a person of the office would call it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::lab::daemon::{enter, output};

/// Where and how `tenurectl` reaches the controller.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The program.
    pub program: PathBuf,
    /// Network namespace of the office.
    pub netns: String,
    /// `https://…`.
    pub controller: String,
    /// The authority's root certificate.
    pub ca: PathBuf,
    /// Where persons' tokens lie.
    pub tokens: PathBuf,
}

/// One person at the desk.
#[derive(Debug, Clone)]
pub struct Person {
    desk: Desk,
    name: String,
}

/// What one call gave.
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Desk {
    /// A person whose token is known.
    ///
    /// # Errors
    /// If the token cannot be kept.
    pub fn person(&self, name: &str, token: &str) -> anyhow::Result<Person> {
        fs::create_dir_all(&self.tokens)?;
        let path = self.tokens.join(name);
        fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?
            .write_all(token.trim().as_bytes())?;
        Ok(Person { desk: self.clone(), name: name.to_owned() })
    }
}

impl Person {
    /// The file with this person's token.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.desk.tokens.join(&self.name)
    }

    /// Calls `tenurectl` with `words`, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn try_call(&self, words: &[&str], stdin: &[u8]) -> anyhow::Result<Answer> {
        let token = self.token_file();
        let mut argv = enter(&self.desk.netns);
        argv.push("--".to_owned());
        argv.push(text(&self.desk.program)?);
        for (flag, value) in [
            ("--controller", self.desk.controller.clone()),
            ("--ca", text(&self.desk.ca)?),
            ("--token-file", text(&token)?),
            ("--output", "json".to_owned()),
        ] {
            argv.extend([flag.to_owned(), value]);
        }
        argv.extend(words.iter().map(|&word| word.to_owned()));
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = output(&argv, stdin)?;
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Calls `tenurectl` and returns what it printed, as JSON.
    ///
    /// # Errors
    /// If it does not exit 0, with what it said.
    pub fn call(&self, words: &[&str]) -> anyhow::Result<Value> {
        self.call_with(words, b"")
    }

    /// As [`Person::call`], with something on standard input.
    ///
    /// # Errors
    /// As [`Person::call`].
    pub fn call_with(&self, words: &[&str], stdin: &[u8]) -> anyhow::Result<Value> {
        let answer = self.try_call(words, stdin)?;
        if answer.code != 0 {
            let line = words.join(" ");
            bail!("tenurectl {line} exited {}: {}", answer.code, answer.stderr.trim());
        }
        if answer.stdout.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer.stdout)
            .with_context(|| format!("tenurectl {} printed no JSON", words.join(" ")))
    }

    /// Calls `tenurectl`, which must refuse; returns what it said.
    ///
    /// # Errors
    /// If it does anything but exit with `code`.
    pub fn refused(&self, words: &[&str], stdin: &[u8], code: i32) -> anyhow::Result<String> {
        let answer = self.try_call(words, stdin)?;
        if answer.code != code {
            let line = words.join(" ");
            bail!("tenurectl {line} exited {} instead of {code}: {}", answer.code, answer.stderr);
        }
        Ok(answer.stderr.trim().to_owned())
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("path is not UTF-8")?.to_owned())
}

/// A string in an answer of the API.
///
/// # Errors
/// If there is none at `pointer` (RFC 6901).
pub fn string(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no string at {pointer} in {value}"))?.to_owned())
}
