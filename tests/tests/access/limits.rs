//! How often somebody may come; and that nothing holds up an emergency cut.

use serde_json::json;
use tenure_tests::lab::in_process::{InProcess, application};

use super::{make, problem, site, text};

/// Requests that are sent until one must have been too many.
const ENOUGH: usize = 40;

fn first_refused(mut send: impl FnMut() -> tenure_tests::lab::in_process::Answer) -> usize {
    for sent in 0..ENOUGH {
        let answer = send();
        if answer.status == 429 {
            let words = problem(&answer, 429, "too-many-requests");
            let seconds = answer.headers["retry-after"].to_str().expect("text").to_owned();
            assert!(words.contains(&format!("in {seconds} s")), "{answer:?}");
            return sent;
        }
    }
    panic!("{ENOUGH} requests were let through");
}

fn tenant(site: &InProcess) -> String {
    let customer = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let made =
        site.post(&customer, "/v1/applications", &application("city-archive")).expect("made");
    text(&made, "id")
}

#[test]
fn a_person_is_limited_whatever_the_token_and_others_are_not() {
    let site = site("[api.rates]\nidentity_per_second = 1\nidentity_burst = 8\n");
    let operator = site.token("wang.lei", "operator", None).expect("a token");
    let body = json!({"name": "night-watch", "owner": "wang.lei", "role": "operator"});
    let second = text(&make(&site, "/v1/tokens", &body), "token");
    let other = site.token("sun.li", "auditor", None).expect("a token");
    let path = format!("/v1/tenants/{}/cut", tenant(&site));
    let mut turn = 0;
    let sent = first_refused(|| {
        turn += 1;
        let token = if turn % 2 == 0 { &operator } else { &second };
        site.get(token, "/v1/clock").expect("an answer")
    });
    assert!((8..16).contains(&sent), "{sent}");
    assert_eq!(site.get(&other, "/v1/clock").expect("an answer").status, 200);
    // Clause 6.3: at once. The tenant has no traffic yet, so the lifecycle refuses, not the limit.
    for _ in 0..ENOUGH {
        let cut = json!({"kind": "emergency", "reason": "attack"});
        let answer = site.post(&operator, &path, &cut).expect("an answer");
        problem(&answer, 409, "wrong-phase");
    }
}

#[test]
fn a_peer_is_limited_with_any_token_and_with_none_and_may_still_cut() {
    let site = site("[api.rates]\npeer_per_second = 1\npeer_burst = 12\n");
    let operator = site.token("wang.lei", "operator", None).expect("a token");
    let auditor = site.token("sun.li", "auditor", None).expect("a token");
    let path = format!("/v1/tenants/{}/cut", tenant(&site));
    first_refused(|| site.get("nonsense", "/v1/clock").expect("an answer"));
    first_refused(|| site.get(&auditor, "/v1/clock").expect("an answer"));
    let cut = json!({"kind": "emergency", "reason": "attack"});
    for _ in 0..ENOUGH {
        let answer = site.post(&operator, &path, &cut).expect("an answer");
        problem(&answer, 409, "wrong-phase");
    }
    // Whoever may not cut gains nothing by asking for it.
    first_refused(|| site.post("nonsense", &path, &cut).expect("an answer"));
    first_refused(|| site.post(&auditor, &path, &cut).expect("an answer"));
}
