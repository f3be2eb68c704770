//! Who comes in without a secret of ours: people by an OpenID provider, scripts by a client
//! certificate. [`login`] is the whole way through tenurectl and a provider that we did not write
//! ([`provider`], [`browser`]); [`tokens`] is what a malicious one may sign ([`issuer`]);
//! [`certificates`] are real handshakes.

mod browser;
mod certificates;
mod issuer;
mod login;
mod provider;
mod tokens;

use serde_json::{Value, json};
use tenure_controller::clock::Clock;
use tenure_tests::lab::in_process::{Answer, InProcess};

/// A controller on real time.
fn site(more: &str) -> InProcess {
    InProcess::start_with(Clock::staged(), more).expect("a controller")
}

/// A problem document of this status and code; returns its words.
fn problem(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json["code"], code, "{answer:?}");
    answer.json["detail"].as_str().unwrap_or_default().to_owned()
}

/// A text in an answer.
fn text(answer: &Answer, member: &str) -> String {
    answer.json[member].as_str().unwrap_or_else(|| panic!("no {member}: {answer:?}")).to_owned()
}

/// POSTs as the administrator.
fn post(site: &InProcess, path: &str, body: &Value) -> Answer {
    site.post(&site.admin, path, body).expect("an answer")
}

/// POSTs as nobody.
fn knock(site: &InProcess, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    site.send("POST", path, &headers, body.to_string().as_bytes()).expect("an answer")
}

/// What a session or a token is answered.
fn status(site: &InProcess, secret: &str) -> u16 {
    site.get(secret, "/v1/clock").expect("an answer").status
}

/// An account, opened by this subject of the provider `portal`.
fn linked(site: &InProcess, name: &str, subject: &str) {
    let made = post(site, "/v1/accounts", &json!({"name": name, "role": "reviewer"}));
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/v1/accounts/{name}/identities");
    let link = post(site, &path, &json!({"provider": "portal", "subject": subject}));
    assert_eq!(link.status, 200, "{link:?}");
    assert_eq!(link.json["identities"][0]["subject"], subject, "{link:?}");
    assert_eq!(link.json["standing"], "pending", "{link:?}");
    site.confirm(&link).expect("confirmed");
}

/// Kinds of acts in the platform's journal about this person, oldest first.
fn acts(site: &InProcess, subject: &str) -> Vec<Value> {
    let journal = site.get(&site.admin, "/v1/platform/journal").expect("an answer").json;
    let rows = journal.as_array().expect("a list").iter().rev();
    rows.filter(|row| row["body"]["subject"] == subject).cloned().collect()
}
