//! The privileged side of the agent.

fn main() {}
