//! Tools that write zeros: `fio` is the ceiling, `dd` and `shred` are what people use, `blkdiscard`
//! is what they mistake for a wipe.

use std::path::Path;

use anyhow::Context as _;

use super::{
    Run,
    ground::{Cost, cost},
};
use crate::lab::{daemon::run, storage::LoopDisk};

/// The queue depth of ours.
pub(crate) const SAME_DEPTH: u32 = 4;

/// fio over a whole file in blocks of ours.
pub(crate) struct Fio {
    mib: u64,
    write_depth: u32,
    read_depth: u32,
}

impl Fio {
    /// With the queue depth of ours.
    pub(crate) const fn same(mib: u64) -> Self {
        Self { mib, write_depth: SAME_DEPTH, read_depth: SAME_DEPTH }
    }

    /// With the depths at which it is the fastest of two runs each.
    pub(crate) fn best(path: &Path, mib: u64, depths: &[u32]) -> anyhow::Result<Self> {
        let best = |direction| -> anyhow::Result<u32> {
            let mut best = (0.0, SAME_DEPTH);
            for _ in 0..2 {
                for depth in depths {
                    let (rate, _) = once(path, mib, direction, *depth)?;
                    if rate > best.0 {
                        best = (rate, *depth);
                    }
                }
            }
            Ok(best.1)
        };
        Ok(Self { mib, write_depth: best("write")?, read_depth: best("read")? })
    }

    pub(crate) fn name(&self) -> String {
        let (write, read) = (self.write_depth, self.read_depth);
        format!("fio bs=1M direct=1 io_uring at its best: iodepth={write} writing, {read} reading")
    }

    /// Writes zeros, syncs, and reads them.
    pub(crate) fn both(&self, path: &Path) -> anyhow::Result<Run> {
        let (write, first) = once(path, self.mib, "write", self.write_depth)?;
        let (read, second) = once(path, self.mib, "read", self.read_depth)?;
        let whole = Cost { took: first.took + second.took, cpu: first.cpu + second.cpu };
        Ok(Run { write, read, ..whole.run(self.mib) })
    }
}

/// MB/s that fio reaches over the file as it lies, its final sync included.
fn once(path: &Path, mib: u64, direction: &str, depth: u32) -> anyhow::Result<(f64, Cost)> {
    let file = format!("--filename={}", path.display());
    let (rw, size) = (format!("--rw={direction}"), format!("--size={mib}m"));
    let depth = format!("--iodepth={depth}");
    let (cost, text) = cost(&[
        "fio",
        "--name=wipe",
        &file,
        &rw,
        &size,
        &depth,
        "--bs=1m",
        "--direct=1",
        "--ioengine=io_uring",
        "--zero_buffers",
        "--fsync_on_close=1",
        "--end_fsync=1",
        "--output-format=json",
    ])?;
    let json: serde_json::Value = serde_json::from_str(&text).context("fio's report")?;
    let job = &json["jobs"][0];
    let bytes = job[direction]["io_bytes"].as_f64().context("fio's report has no bytes")?;
    // The job's own time: with the sync, without the start of the program.
    let ms = job["job_runtime"].as_f64().context("fio's report has no time")?;
    anyhow::ensure!(bytes >= (mib << 20) as f64, "fio moved {bytes} bytes alone");
    Ok((bytes / 1e6 / (ms.max(1.0) / 1e3), cost))
}

/// One pass of zeros.
pub(crate) fn dd(path: &Path, mib: u64) -> anyhow::Result<Run> {
    let (output, count) = (format!("of={}", path.display()), format!("count={}", mib / 4));
    let conv = "conv=notrunc,fsync";
    let argv = ["dd", "if=/dev/zero", &output, "bs=4M", &count, "oflag=direct", conv];
    Ok(cost(&argv)?.0.run(mib))
}

/// One pass of zeros.
pub(crate) fn shred(path: &Path, mib: u64) -> anyhow::Result<Run> {
    let path = path.to_str().context("path is not UTF-8")?;
    Ok(cost(&["shred", "-n0", "-z", path])?.0.run(mib))
}

/// No wipe. The final flush is in its time.
pub(crate) fn discard(disk: &LoopDisk, mib: u64) -> anyhow::Result<Run> {
    let (cost, _) = cost(&["blkdiscard", "-z", "-f", &disk.device])?;
    run(&["blockdev", "--flushbufs", &disk.device])?;
    Ok(cost.run(mib))
}
