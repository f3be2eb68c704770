//! Where a process can be killed: each of its durable writes and of what it sends, as the kernel
//! sees them; nothing in the process knows of it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What makes something durable, or says it to others.
const CALLS: [&str; 10] = [
    "fsync",
    "fdatasync",
    "sendmsg",
    "sendmmsg",
    "sendto",
    "write",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// One step: the call of this name and number of a thread of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) thread: String,
    pub(crate) call: String,
    pub(crate) number: u32,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} of {}", self.call, self.number, self.thread)
    }
}

/// strace on a process. Dropping it lets the process go on alone.
pub(crate) struct Tracer(Child);

impl Tracer {
    /// Attaches to a process; it has when this returns.
    fn attach(words: &[String], tasks: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new("strace");
        command.args(words);
        for task in tasks {
            command.args(["-p", task]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("strace")?;
        let stderr = child.stderr.take().context("its standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        while said.len() < tasks.len() {
            let line = lines.next().with_context(|| format!("strace ended: {said:?}"))??;
            ensure!(!line.contains("attach:"), "{line}");
            if line.contains("attached") {
                said.push(line);
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self(child))
    }

    /// Has the process killed when it comes to this step, before it is done.
    pub(crate) fn kill_at(pid: u32, point: &Point) -> anyhow::Result<Self> {
        let tasks: Vec<String> = threads(pid)?
            .into_iter()
            .filter(|(_, name)| *name == point.thread)
            .map(|(task, _)| task)
            .collect();
        ensure!(!tasks.is_empty(), "no thread {} in {pid}", point.thread);
        let Point { call, number, .. } = point;
        let words = ["-o", "/dev/null", "-e", &format!("trace={call}"), "-e"];
        let inject = format!("inject={call}:signal=SIGKILL:when={number}");
        let words: Vec<String> =
            words.into_iter().chain([inject.as_str()]).map(str::to_owned).collect();
        Self::attach(&words, &tasks)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It detaches from what it traces before it ends.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        let _ = self.0.wait();
    }
}

/// The steps of a process while `work` is done, in the order of threads and calls: those of threads
/// that are there before.
pub(crate) fn record(
    pid: u32,
    file: &Path,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Point>> {
    let log = file.to_string_lossy().into_owned();
    let words = ["-f", "-Y", "-y", "-o", &log, "-e", &format!("trace={}", CALLS.join(","))];
    // Programs that it starts are followed too, and threads that come and go: neither can be
    // waited for at a step.
    let lasting = threads(pid)?;
    let tracer = Tracer::attach(&words.map(str::to_owned), &[pid.to_string()])?;
    work()?;
    drop(tracer);
    let mut points = points(&fs::read_to_string(file)?);
    points.retain(|point| lasting.iter().any(|(_, name)| *name == point.thread));
    Ok(points)
}

/// Reads lines such as `71<watch> fsync(9</var/…>) = 0`.
fn points(log: &str) -> Vec<Point> {
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut points = Vec::new();
    for line in log.lines().filter(|line| !line.contains("resumed>")) {
        let Some((task, rest)) = line.split_once("> ") else { continue };
        let Some((_, thread)) = task.split_once('<') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !CALLS.contains(&call) {
            continue;
        }
        let count = counts.entry((task, call)).or_default();
        *count += 1;
        // Of writes, those to others alone: not to logs, nor what wakes a thread.
        if call == "write" && !arguments.contains("<socket:") && !arguments.contains("<UNIX") {
            continue;
        }
        let (thread, call) = (thread.to_owned(), call.to_owned());
        points.push(Point { thread, call, number: *count });
    }
    points.sort();
    points.dedup();
    points
}

/// The threads of a process: their ids and names.
fn threads(pid: u32) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = entry?.path();
        // One may end at any moment.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        let task = path.file_name().and_then(|name| name.to_str()).context("a task")?;
        all.push((task.to_owned(), name.trim_end().to_owned()));
    }
    Ok(all)
}

#[test]
fn steps_are_counted_by_thread_and_call_and_only_what_others_see_is_one() {
    let log = "7<watch> fsync(9</a/b>) = 0\n\
               7<watch> write(4<anon_inode:[eventfd]>, \"1\", 8) = 8\n\
               7<watch> write(5<socket:[1234]>, \"..\", 2) = 2\n\
               8<cut> fsync(3</a/c> <unfinished ...>\n\
               8<cut> <... fsync resumed>) = 0\n";
    let point = |thread: &str, call: &str, number| Point {
        thread: thread.to_owned(),
        call: call.to_owned(),
        number,
    };
    let want = [point("cut", "fsync", 1), point("watch", "fsync", 1), point("watch", "write", 2)];
    assert_eq!(points(log), want);
}
