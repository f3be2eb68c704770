//! What a neighbour on the same disk feels of a wipe: few random reads and writes of 4 KiB, and how
//! long the slowest hundredth of them takes.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    ground::Ground,
    ours::{self, Probe},
};
use crate::lab::daemon::wait_for;

/// Size of the neighbour's file.
pub(crate) const FILE_MIB: u64 = 16;

/// Reads a second, and as many writes.
const PER_SECOND: u32 = 100;

/// 99th percentiles, ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    read_p99_ms: f64,
    write_p99_ms: f64,
}

impl Latency {
    /// Of `read` or `write`.
    pub(crate) fn p99_ms(self, way: &str) -> f64 {
        if way == "read" { self.read_p99_ms } else { self.write_p99_ms }
    }
}

/// With nobody else on the disk.
pub(crate) fn alone(ground: &Ground, seconds: u64) -> anyhow::Result<Latency> {
    Neighbour::start(ground, seconds)?.end()
}

/// Beside a wipe, from its begin to its end.
pub(crate) fn beside(
    ground: &Ground,
    probe: &Probe,
    limit_mib: Option<u64>,
) -> anyhow::Result<Latency> {
    let path = ground.fill()?;
    probe.forget()?;
    let before = ground.sectors_read()?;
    let neighbour = Neighbour::start(ground, 3600)?;
    wait_for("the neighbour's first read", Duration::from_secs(60), || {
        Ok((ground.sectors_read()? > before).then_some(()))
    })?;
    let wipe = probe.start(&path, limit_mib)?;
    ours::passed(&wipe.end()?)?;
    anyhow::ensure!(ground.is_clean()?, "a wipe beside a neighbour left marks");
    neighbour.stop()?;
    neighbour.end()
}

/// fio under way. Dropping it kills it.
struct Neighbour(Child);

impl Neighbour {
    #[allow(clippy::disallowed_methods, reason = "starts a peer beside a wipe")]
    fn start(ground: &Ground, seconds: u64) -> anyhow::Result<Self> {
        let file = format!("--filename={}", ground.disk.mount.join("neighbour").display());
        let mut fio = Command::new("fio");
        fio.args(["--name=neighbour", &file, "--rw=randrw", "--bs=4k", "--direct=1"])
            .args(["--ioengine=psync", "--time_based", "--output-format=json"])
            .arg(format!("--size={FILE_MIB}m"))
            .arg(format!("--rate_iops={PER_SECOND},{PER_SECOND}"))
            .arg(format!("--runtime={seconds}"));
        Ok(Self(fio.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?))
    }

    /// Asks for its report at once.
    fn stop(&self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        Ok(kill(pid, Signal::SIGINT)?)
    }

    fn end(mut self) -> anyhow::Result<Latency> {
        let mut text = String::new();
        self.0.stdout.take().context("no output")?.read_to_string(&mut text)?;
        self.0.wait()?;
        // What it says about the signal stands before it.
        let json = text.find('{').map_or("", |at| &text[at..]);
        let json: serde_json::Value = serde_json::from_str(json).context("fio's report")?;
        let p99 = |way: &str| {
            let of = &json["jobs"][0][way]["clat_ns"]["percentile"]["99.000000"];
            of.as_f64().map(|ns| ns / 1e6).with_context(|| format!("fio measured no {way}"))
        };
        Ok(Latency { read_p99_ms: p99("read")?, write_p99_ms: p99("write")? })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
