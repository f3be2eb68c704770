//! The network side of the agent.

fn main() {}
