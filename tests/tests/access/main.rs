//! Who may come in at the HTTP API, and what they may do there: a live controller on loopback, over
//! TLS. [`matrix`] calls every endpoint as everybody; [`people`] come in by password and second
//! factor; [`tokens`] are scripts'; [`streams`] end with
//! them; [`attacks`] are on all of it, [`limits`] on how often.

mod attacks;
mod limits;
mod matrix;
mod people;
mod streams;
mod tokens;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tenure_controller::clock::Clock;
use tenure_protocol::time::Timestamp;
use tenure_tests::lab::in_process::{Answer, InProcess};
use totp_rs::{Builder, Secret};

/// An hour, ms.
const HOUR_MS: i64 = 60 * 60 * 1000;
/// A password that every rule admits.
const PASSWORD: &str = "correct Horse 7 battery";

/// A controller whose clock only the test moves. It begins two days ago, so that what ended since
/// then can be shown while certificates are valid.
fn site(more: &str) -> InProcess {
    InProcess::start_with(Clock::simulated(real_now().plus_ms(-48 * HOUR_MS)), more)
        .expect("a controller")
}

#[expect(clippy::disallowed_methods, reason = "the controller's certificate is of now")]
fn real_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).expect("before the year 292 million"))
}

/// Lets time pass.
fn pass(site: &InProcess, ms: i64) {
    site.clock.set(site.clock.now().plus_ms(ms));
}

/// A problem document of this status and code; returns its words.
fn problem(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    assert_eq!(answer.json["code"], code, "{answer:?}");
    answer.json["detail"].as_str().unwrap_or_default().to_owned()
}

/// A text in an answer.
fn text(answer: &Answer, member: &str) -> String {
    answer.json[member].as_str().unwrap_or_else(|| panic!("no {member}: {answer:?}")).to_owned()
}

/// Made by the administrator, and not confirmed.
fn propose(site: &InProcess, path: &str, body: &Value) -> Answer {
    let answer = site.post(&site.admin, path, body).expect("an answer");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store", "{answer:?}");
    answer
}

/// Made by the administrator, and confirmed by a second person.
fn make(site: &InProcess, path: &str, body: &Value) -> Answer {
    let answer = propose(site, path, body);
    site.confirm(&answer).expect("confirmed");
    answer
}

/// Somebody with an account and an authenticator.
struct Person {
    name: String,
    secret: String,
}

impl Person {
    /// An account is made, and the person comes in for the first time.
    fn enrol(site: &InProcess, name: &str, role: &str, customer: Option<&str>) -> Self {
        let body = json!({"name": name, "role": role, "customer": customer});
        let initial = text(&make(site, "/v1/accounts", &body), "initial_password");
        Self::enrol_with(site, name, &initial)
    }

    /// Exchanges an initial password and proves the authenticator.
    fn enrol_with(site: &InProcess, name: &str, initial: &str) -> Self {
        let body = json!({"name": name, "password": initial, "new_password": PASSWORD});
        let answer = enter(site, &body);
        assert_eq!(answer.status, 202, "{answer:?}");
        let person = Self { name: name.to_owned(), secret: text(&answer, "totp_secret") };
        let answer = person.come(site);
        assert_eq!(answer.status, 201, "{answer:?}");
        person
    }

    /// The code of now, by the authenticator.
    fn code(&self, site: &InProcess) -> String {
        let secret = Secret::try_from_base32(&self.secret).expect("base32");
        let totp = Builder::new().with_secret(secret).with_account_name("x").build().expect("RFC");
        let seconds = u64::try_from(site.clock.now().unix_ms() / 1000).expect("after 1970");
        totp.generate(seconds).to_string()
    }

    /// Comes in with both factors.
    fn come(&self, site: &InProcess) -> Answer {
        enter(site, &json!({"name": self.name, "password": PASSWORD, "code": self.code(site)}))
    }

    /// Comes in, half a minute later, so that there is a new code; returns the session's secret.
    fn session(&self, site: &InProcess) -> String {
        pass(site, 30_000);
        let answer = self.come(site);
        assert_eq!(answer.status, 201, "{answer:?}");
        text(&answer, "token")
    }
}

fn enter(site: &InProcess, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = body.to_string();
    site.send("POST", "/v1/sessions", &headers, body.as_bytes()).expect("an answer")
}

/// The status of a read that everybody who is in may do.
fn status(site: &InProcess, secret: &str) -> u16 {
    site.get(secret, "/v1/clock").expect("an answer").status
}
