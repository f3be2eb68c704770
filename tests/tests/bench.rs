//! The benchmark of the lifecycle runs: at sizes of seconds, and with no word about their time.

use std::{path::Path, thread};

use tenure_tests::bench::lifecycle::{Effort, measure};

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
