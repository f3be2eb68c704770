//! A medium with faults in a process of its own: `tenure-faulty-medium RAW MOUNT`. Faults come as
//! lines of JSON on the standard input; at its end the process ends.

use anyhow::Context as _;
use tenure_tests::lab::faulty;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let mut word = || words.next().context("give RAW MOUNT");
    faulty::serve(word()?.as_ref(), word()?.as_ref())
}
