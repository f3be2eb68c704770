//! A stream of events ends with what its caller came in with.

#![allow(clippy::disallowed_methods, reason = "the time that the controller takes is measured")]

use std::{
    io::Read as _,
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::json;
use tenure_tests::lab::in_process::InProcess;

use super::{Person, make, pass, problem, site, status, text};

/// How soon a stream ends when its end is told.
const AT_ONCE: Duration = Duration::from_secs(3);
/// How soon it ends when time ends it.
const SOON: Duration = Duration::from_secs(12);

/// A stream of whoever has this secret, whose end is told.
fn follow(site: &InProcess, secret: &str) -> mpsc::Receiver<()> {
    let mut events = site.stream(secret, "/v1/events?after=0").expect("a stream");
    let mut first = [0];
    events.read_exact(&mut first).expect("it goes on");
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = events.read_to_end(&mut rest);
        let _ = ended.send(());
    });
    end
}

fn ends(end: &mpsc::Receiver<()>, within: Duration) {
    let began = Instant::now();
    assert!(end.recv_timeout(within).is_ok(), "it goes on after {:?}", began.elapsed());
}

/// Something in the journal, so that streams have a first event.
fn journal(site: &InProcess) {
    let customer = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let application = tenure_tests::lab::in_process::application("city-archive");
    let made = site.post(&customer, "/v1/applications", &application).expect("made");
    assert_eq!(made.status, 201, "{made:?}");
}

#[test]
fn a_stream_ends_at_once_when_its_token_session_or_account_does() {
    let site = site("");
    journal(&site);
    let body = json!({"name": "watch", "owner": "sun.li", "role": "auditor"});
    let token = make(&site, "/v1/tokens", &body);
    let (secret, id) = (text(&token, "token"), text(&token, "id"));
    let other = follow(&site, &site.admin);
    let by_token = follow(&site, &secret);
    let revoked = site.delete(&site.admin, &format!("/v1/tokens/{id}")).expect("an answer");
    assert_eq!(revoked.status, 200, "{revoked:?}");
    ends(&by_token, AT_ONCE);

    let person = Person::enrol(&site, "li.na", "reviewer", None);
    let session = person.session(&site);
    let by_session = follow(&site, &session);
    assert_eq!(site.delete(&session, "/v1/sessions/current").expect("an answer").status, 204);
    ends(&by_session, AT_ONCE);

    let by_account = follow(&site, &person.session(&site));
    let path = "/v1/accounts/li.na/disable";
    assert_eq!(site.post(&site.admin, path, &json!({})).expect("an answer").status, 200);
    ends(&by_account, AT_ONCE);
    assert!(other.try_recv().is_err(), "others' streams go on");
}

#[test]
fn a_stream_ends_soon_after_its_token_expires() {
    let site = site("");
    journal(&site);
    let body = json!({"name": "watch", "owner": "sun.li", "role": "auditor", "days": 1});
    let end = follow(&site, &text(&make(&site, "/v1/tokens", &body), "token"));
    assert!(end.recv_timeout(Duration::from_secs(6)).is_err(), "it goes on until then");
    pass(&site, 25 * super::HOUR_MS);
    ends(&end, SOON);
}

#[test]
fn a_person_who_has_tokens_alone_can_be_disabled_and_reset() {
    let site = site("");
    journal(&site);
    let secret = site.token("night-watch", "auditor", None).expect("a token");
    let end = follow(&site, &secret);
    let path = "/v1/accounts/night-watch/disable";
    let answer = site.post(&site.admin, path, &json!({})).expect("an answer");
    assert_eq!((answer.status, &answer.json["standing"]), (200, &json!("disabled")), "{answer:?}");
    assert_eq!(answer.json["role"], "auditor");
    ends(&end, AT_ONCE);
    assert_eq!(status(&site, &secret), 401);
    let entry = super::enter(&site, &json!({"name": "night-watch", "password": ""}));
    problem(&entry, 401, "sign-in-refused");
    let again = json!({"name": "night-watch", "role": "auditor"});
    let refused = site.post(&site.admin, "/v1/tokens", &again).expect("an answer");
    assert!(problem(&refused, 422, "invalid-input").contains("reset"), "{refused:?}");
    let reset = site.post(&site.admin, "/v1/accounts/night-watch/reset", &json!({}));
    let reset = reset.expect("an answer");
    assert_eq!((reset.status, &reset.json["standing"]), (200, &json!("pending")), "{reset:?}");
    let nobody = site.post(&site.admin, "/v1/accounts/nobody/disable", &json!({}));
    problem(&nobody.expect("an answer"), 404, "not-found");
}
