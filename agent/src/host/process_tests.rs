use std::os::fd::AsFd;

use super::*;

fn argv(text: &[&str]) -> Vec<OsString> {
    text.iter().map(OsString::from).collect()
}

#[test]
fn a_tool_reads_its_stdin_and_gives_its_output() {
    let long = vec![b'x'; 300_000];
    let output = run(&["cat"], &long, &[]).expect("cat runs");
    assert_eq!(output.stdout, long);
}

#[test]
fn a_failed_tool_is_reported_with_argv_status_and_stderr() {
    let failure = run(&["sh", "-c", "echo no such thing >&2; exit 3"], b"", &[])
        .expect_err("exit status 3")
        .to_string();
    assert!(failure.contains("sh -c"), "{failure}");
    assert!(failure.contains("exit status: 3"), "{failure}");
    assert!(failure.contains("no such thing"), "{failure}");
}

#[test]
fn a_missing_tool_is_told_apart() {
    let failure = run(&["tenure-no-such-tool"], b"", &[]).expect_err("not installed");
    assert!(failure.is_not_installed(), "{failure:?}");
}

#[test]
fn a_tool_that_runs_too_long_is_killed_with_its_children() {
    let failure = Invocation::new(&["sh", "-c", "sleep 600 & sleep 600"])
        .limit(Duration::from_millis(200))
        .run()
        .expect_err("over its time");
    assert!(matches!(failure, ProcessFailure::TimedOut { .. }), "{failure:?}");
}

#[test]
fn a_tool_that_prints_without_end_is_killed() {
    let failure = run(&["yes"], b"", &[]).expect_err("over its limit");
    assert!(matches!(failure, ProcessFailure::TooMuchOutput { .. }), "{failure:?}");
}

#[test]
fn a_child_inherits_the_named_descriptors_and_no_others() {
    let (kept, _other_end) = nix::unistd::pipe().expect("pipe");
    let leaked = nix::unistd::dup(&kept).expect("dup without close-on-exec");
    let output = run(&["ls", "/proc/self/fd"], b"", &[kept.as_fd()]).expect("ls runs").stdout;
    let names = String::from_utf8(output).expect("text");
    let names: Vec<&str> = names.lines().collect();
    assert!(names.contains(&kept.as_raw_fd().to_string().as_str()), "{names:?}");
    assert!(!names.contains(&leaked.as_raw_fd().to_string().as_str()), "{names:?}");
}

#[test]
fn a_detached_process_has_a_record_and_no_privileges_and_dies_when_killed() {
    let record = tempfile();
    let identity = Identity { uid: 64_999, gid: 64_998, groups: Vec::new() };
    let root = nix::unistd::geteuid().is_root();
    let child = spawn_detached(&Detached {
        argv: &argv(&["sleep", "600"]),
        fds: &[],
        identity: root.then_some(&identity),
        output: tempfile(),
        record: record.try_clone().expect("dup"),
    })
    .expect("sleep runs");
    let mut text = String::new();
    io::Seek::rewind(&mut &record).expect("rewind");
    (&record).read_to_string(&mut text).expect("record");
    assert_eq!(super::super::pidfd::ProcessId::from_stat(&text), Some(child.id()));
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", child.id().pid)).expect("it runs");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    if root {
        assert!(status.contains("Uid:\t64999\t64999\t64999\t64999"), "{status}");
        assert!(status.contains("Groups:\t \n"), "{status}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
    } else {
        eprintln!("SKIPPED: the change of user, because it needs root");
    }
    assert!(!child.is_dead().expect("poll"));
    child.kill().expect("kill");
    assert!(child.wait_dead(Duration::from_secs(10)).expect("poll"));
    assert!(Pidfd::open(child.id()).expect("kernel").is_none(), "reaped");
}

/// A file without a name, readable and writable.
fn tempfile() -> File {
    let name = c"record";
    File::from(
        nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC).expect("memfd"),
    )
}
