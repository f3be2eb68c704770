//! A message centre (SMPP 3.4) in the lab: a program in Python on smpplib, a codec that we did not
//! write.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::Ipv4Addr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{daemon::enter, net::Netns};

const SCRIPT: &str = include_str!("../smsc.py");
/// How long anything may take to come.
const LIMIT: Duration = Duration::from_secs(30);

/// A message centre that runs. Dropping it ends it.
pub struct Smsc {
    /// Where it listens on this machine.
    pub port: u16,
    said: mpsc::Receiver<Value>,
    orders: ChildStdin,
    child: Child,
}

impl Smsc {
    /// Starts one that binds whoever has this password.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(venv: &Path, password: &str) -> anyhow::Result<Self> {
        let address = Ipv4Addr::LOCALHOST.to_string();
        let mut python = Command::new(venv.join("bin/python"));
        python.args(["-c", SCRIPT, password, &address]);
        Self::spawn(python)
    }

    /// As [`Smsc::start`], in a namespace that has this address.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_in(
        netns: &Netns,
        address: Ipv4Addr,
        venv: &Path,
        password: &str,
    ) -> anyhow::Result<Self> {
        let (inside, python) = (enter(&netns.name), venv.join("bin/python"));
        let (nsenter, words) = inside.split_first().context("no way in")?;
        let mut command = Command::new(nsenter);
        command.args(words).arg("--").arg(python);
        command.args(["-c", SCRIPT, password, &address.to_string()]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().context("its standard input")?;
        let lines = BufReader::new(child.stdout.take().context("its standard output")?);
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let Ok(said) = serde_json::from_str(&line) else { return };
                if sender.send(said).is_err() {
                    return;
                }
            }
        });
        let mut smsc = Self { port: 0, said, orders, child };
        let port = smsc.next("port")?["port"].as_u64().context("a port")?;
        smsc.port = u16::try_from(port)?;
        Ok(smsc)
    }

    /// The next that it says of this kind; what else it says before is passed over.
    ///
    /// # Errors
    /// If it says nothing of it in time.
    pub fn next(&self, kind: &str) -> anyhow::Result<Value> {
        loop {
            let said = self.said.recv_timeout(LIMIT).with_context(|| format!("no {kind}"))?;
            if said.get(kind).is_some() {
                return Ok(said);
            }
        }
    }

    /// All that it has said of this kind and nobody has taken yet.
    pub fn rest(&self, kind: &str) -> Vec<Value> {
        self.said.try_iter().filter(|said| said.get(kind).is_some()).collect()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to do something.
    ///
    /// # Errors
    /// If it has ended.
    pub fn order(&mut self, order: &Value) -> anyhow::Result<()> {
        writeln!(self.orders, "{order}")?;
        Ok(self.orders.flush()?)
    }

    /// Sends a receipt, and says with which `command_status` it was acknowledged.
    ///
    /// # Errors
    /// If it was not.
    pub fn receipt(&mut self, message: &str, state: &str) -> anyhow::Result<u64> {
        self.order(&json!({"receipt": message, "state": state}))?;
        self.next("kept")?["status"].as_u64().context("a status")
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
