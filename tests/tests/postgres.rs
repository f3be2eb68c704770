//! PostgreSQL before our SQL: it takes the schema, and prepares every statement of the store. The
//! server is the test's own: its files in a temporary directory, a Unix socket its only door.

#![allow(
    clippy::disallowed_methods,
    reason = "a test that starts a database server, and asks it with psql"
)]

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use tenure_controller::store::{
    MIGRATIONS,
    sql::{ALL, CREATE_SCHEMA_VERSION},
};

/// Where Debian puts the server's programs, by version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// What the store binds parameters as: `String`, `i64` and `Vec<u8>`.
const BOUND_TYPES: [&str; 3] = ["text", "bigint", "bytea"];

struct Server {
    programs: PathBuf,
    dir: tempfile::TempDir,
    user: Option<User>,
    process: Option<(Child, BufReader<ChildStderr>)>,
}

impl Server {
    /// A new database; `None`, and a word about it, if there is no PostgreSQL here.
    fn start() -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs() else {
            eprintln!(
                "SKIPPED: no PostgreSQL in {PROGRAMS}: packaging/install-deps test brings it"
            );
            return Ok(None);
        };
        // PostgreSQL refuses to run as root.
        let user = if geteuid().is_root() {
            Some(User::from_name("postgres")?.context("Debian's package makes a user postgres")?)
        } else {
            None
        };
        let dir = tempfile::Builder::new().prefix("tenure-postgres-").tempdir()?;
        if let Some(user) = &user {
            chown(dir.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let mut server = Self { programs, dir, user, process: None };
        let data = server.dir.path().join("data");
        let made = server
            .program("initdb")
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "tenure"])
            .arg("-D")
            .arg(&data)
            .output()
            .context("initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.run(&data)?;
        Ok(Some(server))
    }

    fn run(&mut self, data: &Path) -> anyhow::Result<()> {
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(data).arg("-k").arg(self.dir.path());
        postgres.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let mut child = postgres.stderr(Stdio::piped()).spawn().context("postgres")?;
        let stderr = BufReader::new(child.stderr.take().context("a pipe")?);
        let (_, stderr) = self.process.insert((child, stderr));
        let mut log = String::new();
        while !log.contains("ready to accept connections") {
            ensure!(stderr.read_line(&mut log)? > 0, "postgres ended: {log}");
        }
        Ok(())
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env_clear().env("LC_ALL", "C").current_dir(self.dir.path());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Runs a script in one transaction, up to its first error; its rows, one a line.
    fn psql(&self, script: &str) -> anyhow::Result<String> {
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-1", "-v", "ON_ERROR_STOP=1", "-U", "tenure"]);
        psql.args(["-d", "postgres", "-f", "-"]).arg("-h").arg(self.dir.path());
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().context("psql")?;
        child.stdin.take().context("a pipe")?.write_all(script.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "PostgreSQL refuses: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.process {
            let pid = i32::try_from(child.id()).map(Pid::from_raw);
            // An immediate shutdown: nothing of the files is kept.
            let _ = pid.map(|pid| kill(pid, Signal::SIGQUIT));
            let _ = child.wait();
        }
    }
}

/// The programs of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let number = |name: &OsStr| name.to_str()?.parse::<u32>().ok();
    let versions =
        fs::read_dir(PROGRAMS).ok()?.filter_map(|entry| number(&entry.ok()?.file_name()));
    let programs = Path::new(PROGRAMS).join(versions.max()?.to_string()).join("bin");
    programs.join("initdb").exists().then_some(programs)
}

/// The schema as the store brings it up, and nothing else.
fn schema() -> String {
    let mut script = format!("{};\n", CREATE_SCHEMA_VERSION.text);
    for (_, statements) in MIGRATIONS {
        script.push_str(statements);
        script.push('\n');
    }
    script
}

#[test]
fn postgresql_takes_the_schema_and_prepares_every_statement() -> anyhow::Result<()> {
    let Some(server) = Server::start()? else { return Ok(()) };
    server.psql(&schema())?;

    // A definition cannot be prepared; this one was carried out with the schema.
    let prepared: Vec<_> = ALL.iter().filter(|one| **one != CREATE_SCHEMA_VERSION).collect();
    let mut script = String::new();
    for statement in &prepared {
        script.push_str(&format!("PREPARE \"{}\" AS {};\n", statement.name, statement.text));
    }
    script
        .push_str("SELECT name, array_to_string(parameter_types, ' ') FROM pg_prepared_statements");
    let rows = server.psql(&script)?;
    assert_eq!(rows.lines().count(), prepared.len(), "{rows}");
    for row in rows.lines() {
        let (name, types) = row.split_once('|').context("two columns")?;
        let unknown = types.split_whitespace().find(|kind| !BOUND_TYPES.contains(kind));
        assert_eq!(unknown, None, "{name} has a parameter that the store does not bind so");
        let text = ALL.iter().find(|one| one.name == name).context("ours")?.text;
        assert_eq!(types.split_whitespace().count(), parameters(text), "{name}");
    }
    Ok(())
}

/// How many parameters a statement has, by the highest that it names.
fn parameters(text: &str) -> usize {
    let numbers = text
        .split('$')
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
    numbers.max().unwrap_or(0)
}

#[test]
fn postgresql_refuses_what_only_sqlite_takes() -> anyhow::Result<()> {
    let Some(server) = Server::start()? else { return Ok(()) };
    server.psql(&schema())?;
    for text in [
        "INSERT OR REPLACE INTO meta (name, value) VALUES ($1, $2)",
        "SELECT state FROM tenants WHERE id = ?",
        "SELECT state FROM tenants WHERE rowid = $1",
    ] {
        let refused = server.psql(&format!("PREPARE foreign_text AS {text};"));
        ensure!(refused.is_err(), "PostgreSQL takes {text:?}: this test would see nothing");
    }
    Ok(())
}
