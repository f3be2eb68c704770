//! An OpenID provider that we did not write (oidc-provider, certified), as a process on loopback.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;

/// Our secret there.
pub(crate) const SECRET: &str = "a-secret-of-tenure-at-the-portal";

/// The provider, until it is dropped.
pub(crate) struct Provider {
    /// Its issuer.
    pub(crate) issuer: String,
    process: Child,
}

impl Provider {
    /// Starts it; nothing, and a word about it, where it is not installed.
    #[expect(clippy::disallowed_methods, reason = "runs a program that we did not write")]
    pub(crate) fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let installed = root.join("target/test-oidc");
        let node = root.join("target/test-venv/bin/node");
        if !installed.join("node_modules/oidc-provider").exists() || !node.exists() {
            eprintln!(
                "SKIPPED: no OpenID provider at {}: tests/run makes one",
                installed.display()
            );
            return None;
        }
        let client = json!({
            "client_id": "tenure", "client_secret": SECRET, "application_type": "native",
            "redirect_uris": ["http://127.0.0.1/callback"], "response_types": ["code"],
            "grant_types": ["authorization_code"],
        });
        let mut process = Command::new(node)
            .args(["--input-type=module", "--eval", include_str!("../../oidc/provider.mjs")])
            .arg(json!({ "clients": [client] }).to_string())
            .current_dir(installed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut issuer = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut issuer).expect("its issuer");
        assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer:?}");
        Some(Self { issuer: issuer.trim().to_owned(), process })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
