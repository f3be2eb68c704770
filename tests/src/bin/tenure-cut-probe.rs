//! A cut in a process of its own, for tests that kill it: `tenure-cut-probe TAP MARK`.
//!
//! Opens the cut's table where it is started, enlists TAP for the tenant of MARK (decimal), cuts
//! it, says `HELD`, and holds the table until its standard input ends or it is killed.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use tenure_agent::{core::ruleset::TapName, host::nft::CutTable};
use tenure_protocol::wire::v1::Mark;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().context("give TAP MARK");
    let (tap, mark) = (TapName::parse(&word()?)?, Mark(word()?.parse()?));
    let mut cut = CutTable::open()?;
    cut.enlist(&tap, mark)?;
    cut.cut(mark)?;
    println!("HELD");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
