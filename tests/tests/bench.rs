//! Benchmarks run: at sizes of seconds, and with no word about their time.

use std::{path::Path, thread};

use tenure_tests::bench::{
    Row,
    lifecycle::{Effort, measure},
    wipe, wipe_memory,
};

/// For the benchmark's thread.
const STACK_BYTES: usize = 32 << 20;

#[test]
fn the_benchmark_of_the_lifecycle_runs_on_a_thousand_tenants() {
    let bin = std::env::current_exe().expect("a path");
    let profile = bin.parent().and_then(Path::parent).expect("the profile's directory");
    let effort = Effort {
        sizes: vec![1_000],
        rounds: 1,
        alone: 10,
        together: 2,
        due: vec![0, 1, 40],
        cuts: 5,
    };
    let controller = profile.join("tenure-controller");
    // Futures of a whole life are large where nothing is optimised, larger than a test's stack.
    let roomy = thread::Builder::new().stack_size(STACK_BYTES);
    let run = roomy.spawn(move || measure(&controller, &effort)).expect("a thread");
    let rows = run.join().expect("no panic").expect("it runs");
    let without: Vec<_> =
        rows.iter().filter(|row| row.ours <= 0.0).map(|row| &row.figure).collect();
    assert!(rows.len() > 20 && without.is_empty(), "no value: {without:?}");
}

fn values_are_there(rows: &[Row]) {
    for row in rows {
        let is_peers_alone = row.runs.ours.is_empty() && row.peer.is_some();
        assert!(row.ours > 0.0 || is_peers_alone, "{row:?}");
        let marks = row.peer_name.as_ref().is_some_and(|name| name.contains("MARKS LEFT"));
        assert!(!marks, "{row:?}");
        assert!(row.runs.ours.iter().all(|value| value.is_finite()), "{row:?}");
    }
}

#[test]
fn the_benchmark_of_wipes_runs_on_a_few_megabytes_and_no_tool_leaves_a_mark() {
    if let Some(reason) = wipe::lacks() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    let effort = wipe::Effort { file_mib: 8, rounds: 1, depths: vec![1, 4], alone_s: 1 };
    let probe = Path::new(env!("CARGO_BIN_EXE_tenure-wipe-probe"));
    let rows = wipe::measure(probe, &effort).expect("it runs");
    values_are_there(&rows);
    let with_a_goal = rows.iter().filter(|row| row.goal.is_some() && row.ratio.is_some()).count();
    assert_eq!(with_a_goal, 5, "{rows:#?}");
    assert!(rows.iter().any(|row| row.figure.contains("kill -9")));
}

#[test]
fn the_benchmark_of_memory_wipes_runs_on_a_few_megabytes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: mounts need root");
        return;
    }
    let effort = wipe_memory::Effort { mib: 16, rounds: 2 };
    let rows = wipe_memory::measure(effort).expect("it runs");
    values_are_there(&rows);
    assert!(rows.iter().filter(|row| row.goal.is_some() && row.ratio.is_some()).count() >= 2);
}
