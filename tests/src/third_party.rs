//! Judges that we did not write, for an exit bundle and the trust anchors: GNU tar unpacks it;
//! OpenSSL checks every signature; securesystemslib, in-toto-attestation and Python's hashlib check
//! the envelopes, the statements and the ledger's proofs. Nothing of ours is asked, neither for how
//! a signature is laid out nor for who signed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tenure_protocol::evidence::{anchors::Anchors, key::PublicKey};

const SCRIPT: &str = include_str!("third_party.py");

/// The manifest's place in a bundle.
pub const MANIFEST: &str = "manifest.dsse.json";

/// A bundle as GNU tar unpacks it, with the keys of the anchors as PEM.
#[derive(Debug)]
pub struct Unpacked(tempfile::TempDir);

/// An envelope, by a JSON reader and base64 alone.
struct Envelope {
    keyid: String,
    signature: Vec<u8>,
    kind: String,
    payload: Vec<u8>,
}

impl Unpacked {
    /// Unpacks a bundle, and takes the keys that everything follows from.
    ///
    /// # Errors
    /// If tar does not take it.
    pub fn new(bundle: &[u8], anchors: &Anchors) -> anyhow::Result<Self> {
        let unpacked = Self(tempfile::Builder::new().prefix("tenure-third-party-").tempdir()?);
        let (tar, dir) = (unpacked.path("exit.tar"), unpacked.path("bundle"));
        fs::write(&tar, bundle)?;
        fs::create_dir(&dir)?;
        run("tar", &["--extract", "--file", &tar, "--directory", &dir])?;
        fs::write(unpacked.path("attestation.pem"), anchors.attestation_key.to_pem())?;
        let ledger = PublicKey::from(*anchors.ledger_key.key());
        fs::write(unpacked.path("ledger.pem"), ledger.to_pem())?;
        fs::write(unpacked.path("script.py"), SCRIPT)?;
        Ok(unpacked)
    }

    /// Where a member of the bundle is.
    #[must_use]
    pub fn member(&self, name: &str) -> PathBuf {
        self.0.path().join("bundle").join(name)
    }

    /// OpenSSL's word on all that is signed: the manifest and the ledger's checkpoint by the
    /// anchors, every statement by the keys that the manifest names. How many signatures that are.
    ///
    /// # Errors
    /// If it refuses one, or accepts one after a flipped byte.
    pub fn openssl(&self) -> anyhow::Result<usize> {
        let manifest = envelope(&self.member(MANIFEST))?;
        self.check("attestation", &manifest)?;
        let listed: Value = serde_json::from_slice(&manifest.payload)?;
        let list = |at: &str| listed.pointer(at).and_then(Value::as_array).context(at.to_owned());
        let mut keys = BTreeMap::from([(manifest.keyid, "attestation".to_owned())]);
        for host in list("/predicate/hosts")? {
            let text = |at: &str| host[at].as_str().map(str::to_owned).context(at.to_owned());
            let keyid = text("keyid")?;
            fs::write(self.path(&format!("{keyid}.pem")), text("key")?)?;
            keys.insert(keyid.clone(), keyid);
        }
        let statements = self.statements()?;
        let promised = list("/predicate/envelopes")?.len();
        ensure!(statements.len() == promised, "{promised} envelopes are listed");
        for path in &statements {
            let envelope = envelope(path)?;
            let key = keys.get(&envelope.keyid).context("signed by nobody that is listed")?;
            self.check(key, &envelope).with_context(|| path.display().to_string())?;
        }
        let (text, signature) = self.checkpoint()?;
        self.verify("ledger", text.as_bytes(), &signature, "the checkpoint")?;
        Ok(statements.len() + 2)
    }

    /// The statements' files, in their order.
    ///
    /// # Errors
    /// If there are none.
    pub fn statements(&self) -> anyhow::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.member("statements"))?;
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
        paths.sort();
        ensure!(!paths.is_empty(), "the bundle has no statements");
        Ok(paths)
    }

    /// The word of the Python packages on all of it.
    ///
    /// # Errors
    /// If they refuse something.
    pub fn python(&self, venv: &Path) -> anyhow::Result<()> {
        let python = venv.join("bin/python").to_string_lossy().into_owned();
        let (script, bundle) = (self.path("script.py"), self.path("bundle"));
        run(&python, &[&script, &bundle, &self.path("attestation.pem")])
    }

    /// That the Python packages refuse the manifest, and each statement, after one flipped byte of
    /// what is signed. The bundle is then as it was.
    ///
    /// # Errors
    /// If they accept one.
    pub fn python_refuses_changes(&self, venv: &Path) -> anyhow::Result<()> {
        let mut paths = self.statements()?;
        paths.push(self.member(MANIFEST));
        for path in paths {
            let good = fs::read(&path)?;
            let mut forged: Value = serde_json::from_slice(&good)?;
            let mut payload = envelope(&path)?.payload;
            flip(&mut payload);
            forged["payload"] = STANDARD.encode(payload).into();
            fs::write(&path, forged.to_string())?;
            ensure!(self.python(venv).is_err(), "{} is accepted changed", path.display());
            fs::write(&path, good)?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn check(&self, key: &str, envelope: &Envelope) -> anyhow::Result<()> {
        let Envelope { kind, payload, signature, .. } = envelope;
        // DSSE, "Signature definition": PAE(type, body).
        let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        message.extend(payload);
        self.verify(key, &message, signature, kind)
    }

    /// That OpenSSL accepts a message, and does not after one flipped byte.
    fn verify(&self, key: &str, message: &[u8], sig: &[u8], what: &str) -> anyhow::Result<()> {
        self.openssl_verify(key, message, sig)?;
        let mut forged = message.to_vec();
        flip(&mut forged);
        ensure!(self.openssl_verify(key, &forged, sig).is_err(), "{what} is accepted changed");
        Ok(())
    }

    fn openssl_verify(&self, key: &str, message: &[u8], signature: &[u8]) -> anyhow::Result<()> {
        let (file, sig) = (self.path("message"), self.path("signature"));
        fs::write(&file, message)?;
        fs::write(&sig, signature)?;
        let pem = self.path(&format!("{key}.pem"));
        let input = ["pkeyutl", "-verify", "-pubin", "-inkey", &pem, "-rawin", "-in", &file];
        run("openssl", &[input.as_slice(), &["-sigfile", &sig]].concat())
    }

    /// The checkpoint's text, and its first signature (C2SP signed-note: four bytes of key hash
    /// before it).
    fn checkpoint(&self) -> anyhow::Result<(String, Vec<u8>)> {
        let note = fs::read_to_string(self.member("ledger/checkpoint"))?;
        let (text, signatures) = note.split_once("\n\n").context("a signed note")?;
        let line = signatures.lines().next().context("a signature")?;
        let blob = STANDARD.decode(line.rsplit(' ').next().context("a signature")?)?;
        Ok((format!("{text}\n"), blob.get(4..).context("a signature")?.to_vec()))
    }
}

/// The environment with the Python packages; `None`, and a word about it, if there is none.
#[must_use]
pub fn venv() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-venv");
    if venv.join("bin/python").exists() {
        return Some(venv);
    }
    eprintln!("SKIPPED: no Python environment at {}: tests/run makes one", venv.display());
    None
}

fn envelope(path: &Path) -> anyhow::Result<Envelope> {
    let envelope: Value = serde_json::from_slice(&fs::read(path)?)?;
    let text = |at: &str| envelope.pointer(at).and_then(Value::as_str).context(at.to_owned());
    Ok(Envelope {
        keyid: text("/signatures/0/keyid")?.to_owned(),
        signature: STANDARD.decode(text("/signatures/0/sig")?)?,
        kind: text("/payloadType")?.to_owned(),
        payload: STANDARD.decode(text("/payload")?)?,
    })
}

/// One bit, in the middle.
fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}: {said}", output.status);
    Ok(())
}
