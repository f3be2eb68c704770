//! What Tenure is tested with: the lab of real processes, the demo, the benchmarks.

pub mod bench;
pub mod demo;
pub mod lab;
