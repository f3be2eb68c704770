//! A stranger reads the OpenAPI document and tries everything that it says, and much that it
//! forbids: schemathesis against a live controller, with a token of every role. Whatever it finds
//! is a failure: an answer that the document does not name, a schema that does not hold, a wrong
//! input that was taken, a right one that was not, a 5xx.

#![allow(clippy::disallowed_methods, reason = "a test that starts the stranger")]

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};
use tenure_controller::{clock::Clock, core::lifecycle::Role};
use tenure_tests::lab::in_process::{InProcess, application};

/// Inputs tried per operation and phase of the trial: what two cores do within a minute.
const EXAMPLES: &str = "12";
/// Nothing may be too often here.
const RATES: &str = "[api.rates]\nidentity_per_second = 9999\nidentity_burst = 9999\n\
    peer_per_second = 9999\npeer_burst = 9999\n[quotas]\ncustomer_open = 99999\n";
const ROLES: [Role; 6] = [
    Role::Customer,
    Role::Reviewer,
    Role::Operator,
    Role::Security,
    Role::Auditor,
    Role::Administrator,
];

#[test]
fn a_stranger_who_tries_everything_in_the_document_finds_no_fault() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let schemathesis = root.join("target/test-venv/bin/schemathesis");
    if !schemathesis.exists() {
        eprintln!("SKIPPED: no {}: tests/run makes it", schemathesis.display());
        return Ok(());
    }
    let site = InProcess::start_with(Clock::staged(), RATES)?;
    let mut tokens = Map::new();
    for role in ROLES {
        let customer = (role == Role::Customer).then_some("city-archive");
        // Not the names of the first two persons, who confirm each other's but not their own.
        let token = site.token(&format!("a.{}", role.as_str()), role.as_str(), customer)?;
        tokens.insert(role.as_str().to_owned(), token.into());
    }
    let customer = tokens["customer"].as_str().context("a token")?.to_owned();
    let made = site.post(&customer, "/v1/applications", &application("city-archive"))?;
    ensure!(made.status == 201, "{made:?}");
    let dir = tempfile::tempdir()?;
    let known = json!({"tokens": Value::from(tokens), "tenant": made.json["id"]});
    std::fs::write(dir.path().join("known.json"), known.to_string())?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stranger");
    let output = Command::new(&schemathesis)
        .arg(format!("--config-file={}", here.join("schemathesis.toml").display()))
        .args(["run", &format!("{}/openapi.json", site.url())])
        .args(["--max-examples", EXAMPLES])
        .arg(format!("--tls-verify={}", site.state.join("ca.pem").display()))
        .current_dir(dir.path())
        .env("PYTHONPATH", &here)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("TENURE_KNOWN", dir.path().join("known.json"))
        .output()
        .context("schemathesis")?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the stranger found faults: see above");
    let health = site.send("GET", "/healthz", &[], b"")?;
    ensure!(health.status == 200, "{health:?}");
    Ok(())
}
