//! What Tenure is tested with: the lab of real processes, the demo, the benchmarks.

#![allow(
    clippy::disallowed_methods,
    reason = "the lab reads clocks, starts processes and writes files, as an operator would"
)]

pub mod bench;
pub mod demo;
pub mod fleet;
pub mod lab;
pub mod scan;
pub mod third_party;
