//! A place to run tenurectl in: a home, settings, and a double of the controller.

#![allow(clippy::unwrap_used, dead_code, reason = "of tests, each of which needs a part of it")]

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::double::Double;

/// A tenant's id.
pub(crate) const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A directory with settings for a double of the controller.
pub(crate) struct Site {
    /// Where its files are, and the program runs; also its home.
    pub dir: tempfile::TempDir,
    /// The controller.
    pub double: Double,
}

impl Site {
    /// A controller that gives these answers, one per request, and settings for it.
    pub(crate) fn new(answers: &[String]) -> Self {
        let double = Double::start(answers);
        let dir = tempfile::tempdir().unwrap();
        let site = Self { dir, double };
        site.write("ca.pem", &site.double.ca);
        site.write("token", "secret-token\n");
        let config = format!(
            "[profile.double]\ncontroller = \"https://localhost:{}\"\nca = \"ca.pem\"\n\
             token_file = \"token\"\n",
            site.double.port
        );
        site.write("config.toml", &config);
        site
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a private file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The program with these words, for this controller.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = tenurectl(line, self.dir.path());
        command.arg("--config").arg(self.path("config.toml"));
        command
    }

    /// Runs it with lines on standard input, as a script answers questions.
    pub(crate) fn run_with(&self, line: &str, input: &str) -> Ran {
        self.write("input", input);
        let mut command = self.command(line);
        command.stdin(File::open(self.path("input")).unwrap());
        Ran::of(command.output().unwrap())
    }

    /// Runs it.
    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().unwrap())
    }
}

#[expect(clippy::disallowed_methods, reason = "runs the program under test")]
/// The program with these words, in a session of its own. ` T` stands for a tenant.
pub(crate) fn tenurectl(line: &str, dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenurectl"));
    command.current_dir(dir).env("HOME", dir).env("LC_ALL", "C").stdin(Stdio::null());
    command.env_remove("XDG_CONFIG_HOME").env_remove("NO_COLOR");
    command.args(line.replace(" T", &format!(" {TENANT}")).split_whitespace());
    command
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Of text that is UTF-8.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
