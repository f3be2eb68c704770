//! Our evidence before judges that we did not write: GNU tar, OpenSSL, securesystemslib and
//! in-toto-attestation accept it, and refuse it changed. Here the protocol's fixture; `site.rs` and
//! the demo bring a real site's bundle before them.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test that writes forged files, with a shared fixture"
)]

#[path = "../../protocol/tests/fixture/mod.rs"]
mod fixture;

use std::fs;

use anyhow::ensure;
use fixture::{Exit, anchors, host_key};
use tenure_tests::third_party::{Unpacked, venv};

fn unpacked() -> anyhow::Result<Unpacked> {
    Unpacked::new(&Exit::good().bundle(), &anchors())
}

#[test]
fn openssl_accepts_every_signature_and_refuses_what_it_signs_changed() -> anyhow::Result<()> {
    let signatures = unpacked()?.openssl()?;
    assert_eq!(signatures, 6, "manifest, checkpoint, four statements");
    Ok(())
}

#[test]
fn openssl_refuses_a_bundle_under_the_anchors_of_another() -> anyhow::Result<()> {
    let mut others = anchors();
    others.attestation_key = fixture::public(&host_key());
    let refused = Unpacked::new(&Exit::good().bundle(), &others)?.openssl();
    ensure!(refused.is_err(), "the manifest was accepted under another key");
    Ok(())
}

#[test]
fn securesystemslib_and_in_toto_accept_a_bundle_and_refuse_a_changed_one() -> anyhow::Result<()> {
    let Some(venv) = venv() else { return Ok(()) };
    let unpacked = unpacked()?;
    unpacked.python(&venv)?;
    unpacked.python_refuses_changes(&venv)?;

    let path = unpacked.member("ledger/0003.json");
    let entry = fs::read_to_string(&path)?;
    let renumbered = entry.replace("\\\"seq\\\":13", "\\\"seq\\\":14");
    ensure!(renumbered != entry, "the entry is the 13th of the journal");
    fs::write(&path, renumbered)?;
    ensure!(unpacked.python(&venv).is_err(), "a changed ledger entry was accepted");
    fs::write(&path, entry)?;
    unpacked.python(&venv)
}
