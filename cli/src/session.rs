//! `tenurectl login` and `logout`: a person comes in by password and second factor, or by an OpenID
//! provider ([`oidc`]), and goes out.
//!
//! ```text
//!  password, code ──▶ session kept beside the profile
//!        │ initial or old password
//!        ▼
//!  new password ──▶ (first time) secret for an authenticator ──▶ its first code ──▶ session
//! ```
//!
//! Passwords and codes come from the terminal without echo, from a file, or line by line from
//! standard input if that is no terminal; never from an argument.

use std::{
    fs::{DirBuilder, remove_file},
    io::{self, BufRead as _, IsTerminal as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    api::Api,
    config::Config,
    failure::Failure,
    oidc::{self, OidcArgs},
    profile::{Profile, read_private},
    screen::{Screen, cell},
    token::{SecretFile, plain_name},
};

/// Requests that coming in takes at most: as it is, with a new password, with the first code.
const STEPS: usize = 3;

/// `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The name of your account
    #[arg(value_parser = plain_name, required_unless_present = "oidc")]
    name: Option<String>,
    /// File with your password, readable by you alone, instead of the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with your new password, should one be needed
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    #[command(flatten)]
    by: OidcArgs,
}

/// Comes in, and keeps the session beside the profile.
pub(crate) fn login(
    args: &LoginArgs,
    (profile, config): &(Profile, Config),
    screen: &Screen,
) -> Result<(), Failure> {
    let api = profile.connect_unknown(config)?;
    let path = profile.session()?;
    if let Some(provider) = &args.by.oidc {
        let answer = oidc::enter(&api, provider.as_deref(), args.by.listen, screen)?;
        return keep(path, &answer, screen);
    }
    let Some(name) = &args.name else {
        return Err(Failure::Usage("give the name of your account".to_owned()));
    };
    let given = |file: &Option<PathBuf>, prompt: &str| match file {
        Some(path) => read_private(path),
        None => ask(prompt),
    };
    let mut password = given(&args.password_file, "Password: ")?;
    let mut code = ask("Code of the authenticator (nothing if none is enrolled): ")?;
    let mut new: Option<Zeroizing<String>> = None;
    for _ in 0..STEPS {
        let answer = api.post_once("/v1/sessions", &body(name, &password, &code, new.as_ref()));
        match answer {
            Ok(answer) if answer["totp_secret"].is_string() => {
                password = new.take().unwrap_or(password);
                screen.tell("Put this into an authenticator; it is shown this once:");
                screen.tell(cell(&answer, &["/totp_secret"]));
                screen.tell(cell(&answer, &["/totp_uri"]));
                code = ask("Its first code: ")?;
            }
            Ok(answer) => return keep(path, &answer, screen),
            Err(Failure::Refused(problem)) if new.is_none() && wants_new(&problem.code) => {
                let chosen = given(&args.new_password_file, "New password: ")?;
                if args.new_password_file.is_none() && *ask("Again: ")? != *chosen {
                    return Err(Failure::Usage("these are two passwords: try again".to_owned()));
                }
                new = Some(chosen);
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::Ended("the controller asks for more than it should: ask its operators".to_owned()))
}

fn wants_new(code: &Option<String>) -> bool {
    matches!(code.as_deref(), Some("new-password-required" | "password-expired"))
}

fn body(name: &str, password: &str, code: &str, new: Option<&Zeroizing<String>>) -> Value {
    let mut body = json!({ "name": name, "password": password });
    if !code.is_empty() {
        body["code"] = code.into();
    }
    if let Some(new) = new {
        body["new_password"] = new.as_str().into();
    }
    body
}

fn keep(path: &Path, answer: &Value, screen: &Screen) -> Result<(), Failure> {
    let write = |source| Failure::Write { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(write)?;
    }
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(error)),
        Ok(()) | Err(_) => {}
    }
    SecretFile::create(path)?.keep(&cell(answer, &["/token"]))?;
    let mut rest = answer.clone();
    rest["token"] = Value::Null;
    rest["file"] = Value::String(path.to_string_lossy().into_owned());
    let until = cell(answer, &["/expires_at"]);
    let (name, role) = (cell(answer, &["/name"]), cell(answer, &["/role"]));
    screen.say(&format!("{name} is in as {role}, until {until} or 30 idle minutes"), &rest)
}

/// Ends the session, here and on the controller.
pub(crate) fn logout(
    (profile, config): &(Profile, Config),
    screen: &Screen,
) -> Result<(), Failure> {
    let path = profile.session()?;
    if !path.exists() {
        return Err(Failure::Usage("nobody is in: there is no session to end".to_owned()));
    }
    let api: Api = profile.connect_as(path, config)?;
    match api.delete("/v1/sessions/current") {
        Ok(_) => {}
        // It has ended already.
        Err(Failure::Refused(problem)) if problem.status == 401 => {}
        Err(failure) => return Err(failure),
    }
    remove_file(path).map_err(|source| Failure::Write { path: path.to_owned(), source })?;
    screen.say("the session has ended", &Value::Null)
}

/// Asks without echo; without a terminal it is the next line of standard input.
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |source| Failure::Read { path: PathBuf::from("the terminal"), source };
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(failed);
    }
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
