//! `tenurectl verify` as scripts meet it, without any settings: its exit code tells evidence that
//! holds from evidence that does not, and both from a call that could not be carried out.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test that runs the program and writes its files, with a shared fixture"
)]

#[path = "../../protocol/tests/fixture/mod.rs"]
mod fixture;

use std::{fs, path::Path, process::Command};

use fixture::{Exit, anchors, key, public};
use tenure_protocol::evidence::anchors::Anchors;

/// Exit code, standard output and standard error of `verify BUNDLE --anchors ANCHORS`.
fn verify(dir: &Path, bundle: &str, anchors: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tenurectl"))
        .args(["--output", "json", "verify", bundle, "--anchors", anchors])
        .current_dir(dir)
        .env("HOME", dir)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn verify_exits_0_for_good_evidence_3_for_bad_and_2_without_any() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    let good = Exit::good().bundle();
    let strange = Anchors::new(anchors().ledger_key, public(&key(9)));
    fs::write(dir.join("good.tar"), &good).unwrap();
    fs::write(dir.join("anchors.json"), anchors().to_json()).unwrap();
    fs::write(dir.join("strange.json"), strange.to_json()).unwrap();
    fs::write(dir.join("broken.json"), "{").unwrap();

    let (code, stdout, stderr) = verify(dir, "good.tar", "anchors.json");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("\"ok\": true") && !stdout.contains("\"ok\": false"), "{stdout}");

    for at in [good.len() / 7, good.len() / 3, good.len() / 2, good.len() * 9 / 10] {
        let mut forged = good.clone();
        forged[at] ^= 1;
        fs::write(dir.join("forged.tar"), forged).unwrap();
        let (code, stdout, _) = verify(dir, "forged.tar", "anchors.json");
        assert_eq!(code, Some(3), "byte {at}: {stdout}");
        assert!(stdout.contains("\"ok\": false"), "byte {at}: {stdout}");
    }
    let (code, _, stderr) = verify(dir, "good.tar", "strange.json");
    assert_eq!(code, Some(3), "another controller's key: {stderr}");
    fs::write(dir.join("empty.tar"), "").unwrap();
    assert_eq!(verify(dir, "empty.tar", "anchors.json").0, Some(3), "an empty file proves nothing");

    for (bundle, anchors) in
        [("none.tar", "anchors.json"), ("good.tar", "none.json"), ("good.tar", "broken.json")]
    {
        let (code, stdout, stderr) = verify(dir, bundle, anchors);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{bundle} {anchors}: {stderr}");
        let named = if anchors == "anchors.json" { bundle } else { anchors };
        assert!(stderr.contains(named), "{stderr}");
    }
}
