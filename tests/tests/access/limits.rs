//! How often somebody may come; and that nothing holds up an emergency cut.

#![allow(clippy::disallowed_methods, reason = "the time that the controller takes is measured")]

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use serde_json::json;
use tenure_controller::{
    core::{
        access::Scope,
        lifecycle::{Actor, Role},
    },
    engine::{NewToken, Page},
};
use tenure_tests::lab::in_process::{InProcess, application};

use super::{Person, make, problem, site, text};

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

/// How soon a cut is answered while bad tokens pour in from the same address.
const IN_TIME: Duration = Duration::from_secs(5);

fn unseen(number: usize) -> NewToken {
    let name = format!("zhao.min-{number}");
    NewToken {
        owner: name.clone(),
        name,
        role: Role::Operator,
        customer: None,
        scope: Scope::Everything,
        days: None,
    }
}

#[test]
fn bad_tokens_on_the_way_of_cuts_are_refused_unseen_and_keep_no_good_one_from_cutting() {
    let mut site = site("[api.rates]\npeer_per_second = 1\npeer_burst = 12\n");
    let operator = site.token("wang.lei", "operator", None).expect("a token");
    let path = format!("/v1/tenants/{}/cut", tenant(&site));
    let cut = json!({"kind": "emergency", "reason": "attack"});
    // Good, but neither made over the API nor ever used: this controller does not recognise them.
    let unseen: Vec<_> = (1..=5)
        .map(|number| {
            let made = site.engine().create_first_token(Actor::controller(), unseen(number));
            site.runtime().block_on(made).expect("a token").to_string()
        })
        .collect();
    first_refused(|| site.post("nonsense", &path, &cut).expect("an answer"));
    // One of them may get what the address gets back in a second.
    let refused = unseen.iter().find(|token| {
        let _ = site.post("nonsense", &path, &cut).expect("an answer");
        site.post(token, &path, &cut).expect("an answer").status == 429
    });
    let unseen = refused.expect("it is counted before it is looked up");

    let in_time = |site: &InProcess, token: &str| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..ENOUGH {
                        let bad = format!("tnr_{number:064}");
                        let _ = site.post(&bad, &path, &cut).expect("an answer");
                    }
                });
            }
            for _ in 0..8 {
                let began = Instant::now();
                let answer = site.post(token, &path, &cut).expect("an answer");
                problem(&answer, 409, "wrong-phase");
                assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
            }
        });
    };
    in_time(&site, &operator);
    site.restart().expect("it starts again");
    first_refused(|| site.post("nonsense", &path, &cut).expect("an answer"));
    in_time(&site, unseen);
    // A token that has ended is counted as a bad one from then on.
    let page = Page { after: None, limit: 9 };
    let tokens = site.runtime().block_on(site.engine().tokens(&page)).expect("tokens").items;
    let theirs = tokens.iter().find(|token| token.owner == "wang.lei").expect("theirs").id.clone();
    let end = site.engine().revoke_token(Actor::controller(), theirs);
    site.runtime().block_on(end).expect("revoked");
    first_refused(|| site.post(&operator, &path, &cut).expect("an answer"));
}

#[test]
fn who_came_in_from_where_is_known_again_after_a_restart() {
    let mut site = site("");
    Person::enrol(&site, "li.na", "reviewer", None);
    let script = site.token("night-watch", "auditor", None).expect("a token");
    site.get(&script, "/v1/clock").expect("an answer");
    let host = "host/01890a5d-ac96-774b-bcce-b302099a8057";
    let far = IpAddr::from([192, 0, 2, 7]);
    site.runtime().block_on(site.engine().meet(host, far));
    site.restart().expect("it starts again");
    let known = site.engine().acquainted();
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    for name in ["li.na", "night-watch"] {
        assert!(known.knows(name, here) && !known.knows(name, far), "{name}");
    }
    assert!(known.knows(host, far) && known.is_providers(far));
    assert!(!known.knows("nobody", here) && !known.is_providers(IpAddr::from([192, 0, 2, 8])));
}
