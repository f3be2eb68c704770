//! Our evidence before judges that we did not write: GNU tar, OpenSSL, securesystemslib and
//! in-toto-attestation accept it, and refuse it changed.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test that starts the judges and writes their files, with a shared fixture"
)]

#[path = "../../protocol/tests/fixture/mod.rs"]
mod fixture;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use fixture::{Exit, attestation_key, host_key, ledger_key, public};
use serde_json::Value;
use tenure_protocol::evidence::dsse;

const SCRIPT: &str = include_str!("third_party.py");
const MEDIA: &str = "statements/0002-media-wipe.dsse.json";

/// The bundle as GNU tar unpacks it, and the keys.
struct Unpacked(tempfile::TempDir);

impl Unpacked {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("tenure-third-party-").tempdir()?;
        let tar = dir.path().join("exit.tar");
        fs::write(&tar, Exit::good().bundle())?;
        fs::create_dir(dir.path().join("bundle"))?;
        let (from, to) = (tar.to_string_lossy(), dir.path().join("bundle"));
        run("tar", &["--extract", "--file", &from, "--directory", &to.to_string_lossy()])?;
        for (name, key) in
            [("attestation", attestation_key()), ("host", host_key()), ("ledger", ledger_key())]
        {
            fs::write(dir.path().join(format!("{name}.pem")), public(&key).to_pem())?;
        }
        fs::write(dir.path().join("script.py"), SCRIPT)?;
        Ok(Self(dir))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// OpenSSL's word on an Ed25519 signature.
    fn openssl(&self, key: &str, message: &[u8], signature: &[u8]) -> anyhow::Result<()> {
        let (file, sig) = (self.path("message"), self.path("signature"));
        fs::write(&file, message)?;
        fs::write(&sig, signature)?;
        let pem = self.path(&format!("{key}.pem"));
        let input = ["pkeyutl", "-verify", "-pubin", "-inkey", &pem, "-rawin", "-in", &file];
        run("openssl", &[input.as_slice(), &["-sigfile", &sig]].concat())
    }

    fn python(&self, venv: &Path) -> anyhow::Result<()> {
        let python = venv.join("bin/python").to_string_lossy().into_owned();
        let (bundle, script) = (self.path("bundle"), self.path("script.py"));
        run(&python, &[&script, &bundle, &self.path("attestation.pem"), &self.path("host.pem")])
    }
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}: {said}", output.status);
    Ok(())
}

/// The environment with the Python packages; `None`, and a word about it, if there is none.
fn venv() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = root.join("target/test-venv");
    if venv.join("bin/python").exists() {
        return Some(venv);
    }
    eprintln!("SKIPPED: no Python environment at {}: tests/run makes one", venv.display());
    None
}

/// Payload, type and signature of an envelope, by a JSON reader and base64 alone.
fn parts(path: &str) -> anyhow::Result<(Vec<u8>, String, Vec<u8>)> {
    let envelope: Value = serde_json::from_slice(&fs::read(path)?)?;
    let text = |at: &str| envelope.pointer(at).and_then(Value::as_str).context(at.to_owned());
    let payload = STANDARD.decode(text("/payload")?)?;
    let signature = STANDARD.decode(text("/signatures/0/sig")?)?;
    Ok((payload, text("/payloadType")?.to_owned(), signature))
}

#[test]
fn openssl_accepts_envelopes_and_refuses_changed_ones() -> anyhow::Result<()> {
    let unpacked = Unpacked::new()?;
    for (key, name) in [("host", MEDIA), ("attestation", "manifest.dsse.json")] {
        let (mut payload, kind, signature) = parts(&unpacked.path(&format!("bundle/{name}")))?;
        unpacked.openssl(key, &dsse::pae(&kind, &payload), &signature)?;
        let last = payload.len() - 1;
        payload[last] ^= 1;
        let refused = unpacked.openssl(key, &dsse::pae(&kind, &payload), &signature);
        ensure!(refused.is_err(), "{name} was accepted after a change");
    }
    Ok(())
}

#[test]
fn openssl_accepts_the_checkpoint_and_refuses_a_changed_one() -> anyhow::Result<()> {
    let unpacked = Unpacked::new()?;
    let note = fs::read_to_string(unpacked.path("bundle/ledger/checkpoint"))?;
    let (text, line) = note.split_once("\n\n").context("a signed note")?;
    let blob = STANDARD.decode(line.trim_end().rsplit(' ').next().context("a signature")?)?;
    let text = format!("{text}\n");
    unpacked.openssl("ledger", text.as_bytes(), &blob[4..])?;
    let grown = text.replace("\n14\n", "\n15\n");
    ensure!(grown != text, "the checkpoint has 14 entries");
    ensure!(unpacked.openssl("ledger", grown.as_bytes(), &blob[4..]).is_err());
    Ok(())
}

#[test]
fn openssl_reads_our_keys() -> anyhow::Result<()> {
    let unpacked = Unpacked::new()?;
    run("openssl", &["pkey", "-pubin", "-in", &unpacked.path("host.pem"), "-noout"])
}

#[test]
fn securesystemslib_and_in_toto_accept_a_bundle_and_refuse_a_changed_one() -> anyhow::Result<()> {
    let Some(venv) = venv() else { return Ok(()) };
    let unpacked = Unpacked::new()?;
    unpacked.python(&venv)?;

    let path = unpacked.path(&format!("bundle/{MEDIA}"));
    let good = fs::read(&path)?;
    let mut envelope: Value = serde_json::from_slice(&good)?;
    let (payload, _, _) = parts(&path)?;
    let forged = String::from_utf8(payload)?.replace("\"errorBytes\":0", "\"errorBytes\":1");
    envelope["payload"] = STANDARD.encode(forged).into();
    fs::write(&path, envelope.to_string())?;
    ensure!(unpacked.python(&venv).is_err(), "a changed statement was accepted");
    fs::write(&path, &good)?;

    let path = unpacked.path("bundle/ledger/0003.json");
    let entry = fs::read_to_string(&path)?;
    let renumbered = entry.replace("\\\"seq\\\":13", "\\\"seq\\\":14");
    ensure!(renumbered != entry, "the entry is the 13th of the journal");
    fs::write(&path, renumbered)?;
    ensure!(unpacked.python(&venv).is_err(), "a changed ledger entry was accepted");
    fs::write(&path, entry)?;
    unpacked.python(&venv)
}
