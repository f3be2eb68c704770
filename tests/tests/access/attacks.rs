//! Attacks on coming in.

use std::time::Duration;

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use serde_json::{Value, json};
use tenure_tests::lab::in_process::{InProcess, application};

use super::{PASSWORD, Person, enter, pass, problem, site, status, text};

/// Parallel attempts with one code.
const AT_ONCE: usize = 4;

#[test]
fn a_code_works_once_and_an_earlier_one_never_again() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    problem(&person.come(&site), 401, "sign-in-refused");
    let skipped = person.code(&site);
    pass(&site, 30_000);
    assert_eq!(person.come(&site).status, 201);
    let replay = json!({"name": "li.na", "password": PASSWORD, "code": skipped});
    problem(&enter(&site, &replay), 401, "sign-in-refused");
}

#[test]
fn of_many_at_once_with_one_code_one_comes_in() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    pass(&site, 30_000);
    let (one, code) = (&site, person.code(&site));
    let body = json!({"name": "li.na", "password": PASSWORD, "code": code});
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| enter(one, &body).status)).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
}

#[test]
fn an_unknown_name_is_answered_as_a_wrong_password_is_and_takes_as_long() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    pass(&site, 30_000);
    let code = person.code(&site);
    // The processor's time of this process, the controller's threads among it: others who use the
    // machine make no difference to it.
    let costs = |name: &str, password: &str, code: &str| {
        let before = processor_time();
        let answer = enter(&site, &json!({"name": name, "password": password, "code": code}));
        let took = processor_time() - before;
        problem(&answer, 401, "sign-in-refused");
        (answer.json, took)
    };
    let least = |name: &str, password: &str, code: &str| -> (Value, Duration) {
        let tries = (0..3).map(|_| costs(name, password, code));
        tries.min_by_key(|(_, took)| *took).expect("three")
    };
    let unknown = least("nobody", "wrong Horse 7 battery", &code);
    let wrong = least("li.na", "wrong Horse 7 battery", &code);
    let right = least("li.na", PASSWORD, "000000");
    for (one, took) in [&wrong, &right] {
        assert_eq!(one, &unknown.0, "no answer tells what was wrong");
        let ratio = took.as_secs_f64() / unknown.1.as_secs_f64();
        assert!((0.6..1.7).contains(&ratio), "unknown {:?}, known {took:?}", unknown.1);
    }
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("it is known");
    let used = usage.user_time();
    Duration::from_micros(u64::try_from(used.num_microseconds()).expect("not negative"))
}

#[test]
fn what_is_not_exactly_one_whole_token_in_the_header_is_refused() {
    let site = site("");
    let token = site.token("sun.li", "auditor", None).expect("a token");
    let bearer = format!("Bearer {token}");
    let send =
        |headers: &[(&str, &str)]| site.send("GET", "/v1/clock", headers, b"").expect("an answer");
    assert_eq!(send(&[("authorization", &bearer)]).status, 200);
    let long = format!("Bearer {}", "a".repeat(257));
    let (cut, more) = (&bearer[..bearer.len() - 1], format!("{bearer}0"));
    let (basic, upper) = (format!("Basic {token}"), bearer.to_uppercase());
    let digest = tenure_protocol::digest::Digest::of(token.as_bytes());
    let digest = format!("Bearer {digest}");
    for value in [cut, &more, &long, &basic, &upper, &token, &digest, "Bearer", "Bearer  ", ""] {
        let answer = send(&[("authorization", value)]);
        problem(&answer, 401, "unauthenticated");
        assert!(answer.headers.contains_key("www-authenticate"), "{answer:?}");
    }
    problem(&send(&[("cookie", &format!("token={token}"))]), 401, "unauthenticated");
    let twice = [("authorization", bearer.as_str()), ("authorization", "Bearer x")];
    problem(&send(&twice), 401, "unauthenticated");
}

#[test]
fn a_secret_in_the_url_is_refused_even_where_no_token_is_needed() {
    let site = site("");
    let token = site.token("sun.li", "auditor", None).expect("a token");
    for path in ["/v1/clock", "/v1/tenants", "/healthz"] {
        for name in ["access_token", "token", "Authorization", "password"] {
            let path = format!("{path}?phase=trial&{name}={token}");
            let answer = site.get(&token, &path).expect("an answer");
            let words = problem(&answer, 400, "secret-in-url");
            assert!(!words.contains(&token), "the answer does not repeat it");
        }
    }
}

#[test]
fn nobody_chooses_the_secret_of_a_session() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    let chosen = format!("tns_{}", "0".repeat(64));
    pass(&site, 30_000);
    let body =
        json!({"name": "li.na", "password": PASSWORD, "code": person.code(&site)}).to_string();
    let bearer = format!("Bearer {chosen}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("cookie", &format!("session={chosen}")),
        ("content-type", "application/json"),
    ];
    let answer = site.send("POST", "/v1/sessions", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 201, "{answer:?}");
    let first = text(&answer, "token");
    assert_ne!(first, chosen);
    assert_eq!(status(&site, &chosen), 401);
    let second = person.session(&site);
    assert_ne!(first, second);
    assert_eq!([status(&site, &first), status(&site, &second)], [200, 200]);
    let out = site.delete(&first, "/v1/sessions/current").expect("an answer");
    assert_eq!(out.status, 204, "{out:?}");
    assert_eq!([status(&site, &first), status(&site, &second)], [401, 200]);
    let token = site.delete(&site.admin, "/v1/sessions/current").expect("an answer");
    problem(&token, 422, "invalid-input");
}

#[test]
fn a_peer_that_tries_passwords_is_told_to_wait_and_the_acquainted_one_is_not_locked_out() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "administrator", None);
    let mut last = 0;
    for _ in 0..12 {
        let guess = json!({"name": "somebody", "password": "wrong Horse 7 battery"});
        let answer = enter(&site, &guess);
        last = answer.status;
        if last == 429 {
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        }
    }
    assert_eq!(last, 429);
    assert_eq!(status(&site, &person.session(&site)), 200, "another account is another bucket");
    assert_eq!(status(&site, &site.admin), 200, "tokens are not held up");
}

#[test]
fn customers_see_every_act_on_their_tenant_and_nothing_of_others() {
    let site = site("");
    let ours = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let theirs = site.token("chen.jing", "customer", Some("water-bureau")).expect("a token");
    let reviewer = site.token("li.na", "reviewer", None).expect("a token");
    let apply = |token: &str, customer: &str| {
        let made = site.post(token, "/v1/applications", &application(customer)).expect("made");
        assert_eq!(made.status, 201, "{made:?}");
        text(&made, "id")
    };
    let (our, their) = (apply(&ours, "city-archive"), apply(&theirs, "water-bureau"));
    for tenant in [&our, &their] {
        let path = format!("/v1/tenants/{tenant}/review");
        let opinion = json!({"decision": "return", "opinion": format!("say more about {tenant}")});
        let answer = site.post(&reviewer, &path, &opinion).expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let journal = |site: &InProcess, token: &str, id: &str| {
        site.get(token, &format!("/v1/tenants/{id}/journal")).expect("an answer")
    };
    // It covers all that was done: no row is on its way into the ledger any more.
    let checkpoint = site.get(&ours, "/v1/ledger/checkpoint").expect("an answer");
    assert_eq!(checkpoint.status, 200, "{checkpoint:?}");
    let shown = journal(&site, &ours, &our);
    let rows: Vec<_> = shown
        .json
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            (row["kind"].clone(), row["actor"]["name"].clone(), row["actor"]["role"].clone())
        })
        .collect();
    let row = |kind: &str, name: &str, role: &str| (json!(kind), json!(name), json!(role));
    assert_eq!(rows, [row("submit", "zhang.wei", "customer"), row("review", "li.na", "reviewer")]);
    let all = shown.json.as_array().expect("rows");
    assert!(all.iter().all(|row| row["ledger_index"].is_u64()), "each is in the ledger: {all:?}");
    let text = shown.json.to_string();
    for foreign in [their.as_str(), "water-bureau", "chen.jing"] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
    let provider = journal(&site, &reviewer, &our);
    assert_eq!(shown.json, provider.json, "the customer sees what the provider sees");
    problem(&journal(&site, &theirs, &our), 404, "not-found");
}
