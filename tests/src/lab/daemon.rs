//! Processes of the lab: each in a network namespace, its output in a file, ended by its pid.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process in a namespace. Dropping it kills it.
pub struct Daemon {
    child: Child,
    name: String,
    log: PathBuf,
}

/// What a unit file says with `CPUSchedulingPolicy=rr`, before the user changes. A machine that
/// does not allow it goes without.
const PRECEDENCE: [&str; 4] = ["chrt", "--rr", "--reset-on-fork", "1"];

/// How to enter a named network namespace: the argument list to put before a program's own.
#[must_use]
pub fn enter(netns: &str) -> Vec<String> {
    ["nsenter", &format!("--net=/run/netns/{netns}")].map(str::to_owned).to_vec()
}

impl Daemon {
    /// Starts `argv` in `netns`, as `uid` (and the group of the same number) or as root.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(
        netns: &str,
        name: &str,
        argv: &[&str],
        uid: Option<u32>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let mut full = Vec::new();
        if uid.is_some() && run(&[PRECEDENCE.as_slice(), &["true"]].concat()).is_ok() {
            full.extend(PRECEDENCE.map(str::to_owned));
        }
        full.extend(enter(netns));
        if let Some(uid) = uid {
            full.extend([format!("--setgid={uid}"), format!("--setuid={uid}")]);
        }
        full.push("--".to_owned());
        full.extend(argv.iter().map(|&word| word.to_owned()));
        let (program, arguments) = full.split_first().context("no program")?;
        let child = command(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}: {argv:?}"))?;
        Ok(Self { child, name: name.to_owned(), log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of its output, for an error message.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(12);
        format!("last lines of {}:\n{}", self.name, lines[from..].join("\n"))
    }

    /// Fails, with the last lines of its output, if it has ended.
    ///
    /// # Errors
    /// If it has ended.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}; {}", self.name, self.tail()),
        }
    }

    /// Resident memory, KiB (`VmRSS`).
    ///
    /// # Errors
    /// If the process is gone.
    pub fn rss_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(number.parse()?)
    }

    /// Sends it a signal, as `kill` would.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &str) -> Command {
    Command::new(program)
}

/// Runs a program to its end in the root namespace.
///
/// # Errors
/// If it cannot be started, or fails: with its standard error.
pub fn run(argv: &[&str]) -> anyhow::Result<String> {
    let output = output(argv, b"")?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{argv:?} ended with {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program to its end in a namespace.
///
/// # Errors
/// As [`run`].
pub fn run_in(netns: &str, argv: &[&str]) -> anyhow::Result<String> {
    let enter = enter(netns);
    let full: Vec<&str> = enter.iter().map(String::as_str).chain(["--"]).collect();
    run(&[full.as_slice(), argv].concat())
}

/// Runs a program to its end, whatever its exit status, with `stdin` as its input.
///
/// # Errors
/// If it cannot be started.
pub fn output(argv: &[&str], stdin: &[u8]) -> anyhow::Result<Output> {
    let (program, arguments) = argv.split_first().context("no program")?;
    let mut child = command(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        let _ = pipe.write_all(stdin);
    }
    Ok(child.wait_with_output()?)
}

/// Lets real processes work for a while.
pub fn elapse(long: Duration) {
    std::thread::sleep(long);
}

/// Asks `ready` again and again until it gives a value.
///
/// # Errors
/// What `ready` fails with; or that `what` did not come within `limit`.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
