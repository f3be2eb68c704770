//! What scripts rely on: changes that are made once, versions, lists in pages, filters, streams of
//! events, and answers that need not be sent again.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
};

use serde_json::{Value, json};
use tenure_controller::clock::Clock;
use tenure_tests::lab::in_process::{Answer, InProcess, application};

struct Site {
    site: InProcess,
    customer: String,
    reviewer: String,
}

fn site() -> Site {
    let site = InProcess::start(Clock::staged()).expect("a controller");
    let customer = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let reviewer = site.token("li.na", "reviewer", None).expect("a token");
    Site { site, customer, reviewer }
}

impl Site {
    fn send(&self, token: &str, path: &str, more: &[(&str, &str)], body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", &*bearer), ("content-type", "application/json")];
        headers.extend(more);
        self.site.send("POST", path, &headers, body.to_string().as_bytes()).expect("an answer")
    }

    fn read(&self, token: &str, path: &str, more: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(more);
        self.site.send("GET", path, &headers, b"").expect("an answer")
    }

    fn apply(&self) -> String {
        let made = self.send(&self.customer, "/v1/applications", &[], &application("city-archive"));
        assert_eq!(made.status, 201, "{made:?}");
        made.json["id"].as_str().expect("an id").to_owned()
    }

    fn count(&self) -> usize {
        self.read(&self.site.admin, "/v1/tenants", &[]).json.as_array().expect("a list").len()
    }
}

fn ids(list: &Value) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().expect("text");
    let (target, kind) = link.strip_prefix('<').and_then(|link| link.split_once('>')).expect(link);
    assert_eq!(kind, "; rel=\"next\"");
    Some(target.to_owned())
}

#[test]
fn a_change_under_a_key_is_made_once_and_answered_alike() {
    let site = site();
    let key = [("idempotency-key", "\"01890a5d-ac96-774b\"")];
    let form = application("city-archive");
    let first = site.send(&site.customer, "/v1/applications", &key, &form);
    let again = site.send(&site.customer, "/v1/applications", &key, &form);
    assert_eq!((first.status, again.status), (201, 201), "{again:?}");
    assert_eq!(first.json, again.json);
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(site.count(), 1);

    let mut other = form.clone();
    other["system"]["name"] = json!("Another");
    let taken = site.send(&site.customer, "/v1/applications", &key, &other);
    assert_eq!((taken.status, &taken.json["code"]), (422, &json!("key-taken")), "{taken:?}");

    let theirs = site.site.token("wu", "customer", Some("city-archive")).expect("a token");
    let made = site.send(&theirs, "/v1/applications", &key, &form);
    assert_eq!(made.status, 201, "another person's key is another key: {made:?}");
    assert_eq!(site.count(), 2);

    // An act on a tenant: the second one would be refused, were it made.
    let path = format!("/v1/tenants/{}/review", first.json["id"].as_str().expect("an id"));
    let review = json!({"decision": "return", "opinion": "say more"});
    let about = [("idempotency-key", "r-1"), ("if-match", "\"1\"")];
    let first = site.send(&site.reviewer, &path, &about, &review);
    let again = site.send(&site.reviewer, &path, &about, &review);
    assert_eq!((first.status, again.status), (200, 200), "{first:?} {again:?}");
    assert_eq!(first.json, again.json);

    // What was refused was not made: the key is free for what may be made.
    let refused = [("idempotency-key", "r-2"), ("if-match", "*")];
    let wrong = site.send(&site.reviewer, &path, &refused, &review);
    assert_eq!(wrong.status, 409, "{wrong:?}");
    let bad = site.send(&site.customer, "/v1/applications", &[("idempotency-key", "a b")], &form);
    assert_eq!((bad.status, &bad.json["code"]), (400, &json!("invalid-idempotency-key")));
}

#[test]
fn a_secret_is_not_answered_twice_under_its_key() {
    let site = site();
    let key = [("idempotency-key", "t-1")];
    for (path, body) in [
        ("/v1/tokens", json!({"name": "wu", "role": "auditor"})),
        ("/v1/hosts/tokens", json!({"host_name": "h1"})),
    ] {
        let path_key = [("idempotency-key", path.trim_start_matches('/'))];
        let first = site.send(&site.site.admin, path, &path_key, &body);
        assert_eq!(first.status, 201, "{first:?}");
        let again = site.send(&site.site.admin, path, &path_key, &body);
        assert_eq!((again.status, &again.json["code"]), (409, &json!("secret-not-kept")));
    }
    let demo = json!({"advance_days": 1});
    let first = site.send(&site.site.admin, "/v1/demo/clock", &key, &demo);
    let again = site.send(&site.site.admin, "/v1/demo/clock", &key, &demo);
    assert_eq!((first.status, again.status), (200, 200), "{first:?}");
    assert_eq!(first.json["offset_ms"], again.json["offset_ms"], "moved by one day, not two");
}

#[test]
fn an_opinion_says_which_version_it_is_about() {
    let site = site();
    let path = format!("/v1/tenants/{}/review", site.apply());
    let review = json!({"decision": "return", "opinion": "say more"});
    let about = |tags: &[(&str, &str)]| site.send(&site.reviewer, &path, tags, &review);
    let unsaid = about(&[]);
    assert_eq!((unsaid.status, &unsaid.json["code"]), (428, &json!("version-required")));
    assert_eq!(about(&[("if-match", "W/\"1\"")]).status, 412, "weak tags match nothing");
    assert_eq!(about(&[("if-match", "\"7\", \"8\"")]).status, 412);
    assert_eq!(about(&[("if-match", "\"7\", \"1\"")]).status, 200);
}

#[test]
fn a_list_is_read_in_pages_without_gaps_or_repetitions_while_it_grows() {
    let site = site();
    let mut made: BTreeSet<String> = (0..5).map(|_| site.apply()).collect();
    let mut seen = Vec::new();
    let mut path = Some("/v1/tenants?limit=2&phase=submitted".to_owned());
    while let Some(at) = path {
        let page = site.read(&site.customer, &at, &[]);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.json.as_array().is_some_and(|items| items.len() <= 2));
        seen.extend(ids(&page.json));
        path = next(&page);
        if seen.len() == 2 {
            made.insert(site.apply());
        }
    }
    assert_eq!(seen.len(), made.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);

    let id = made.first().expect("one");
    let journal = site.read(&site.customer, &format!("/v1/tenants/{id}/journal?limit=1"), &[]);
    assert_eq!(journal.json.as_array().map(Vec::len), Some(1));
    assert_eq!(next(&journal), None, "there is one row");
    for wrong in ["limit=0", "limit=501", "limit=x", "limit=1&limit=1", "after=!", "after=eA"] {
        let answer = site.read(&site.customer, &format!("/v1/tenants?{wrong}"), &[]);
        assert!([400, 422].contains(&answer.status), "{wrong}: {answer:?}");
    }
}

#[test]
fn tenants_are_found_by_phase_customer_isolation_and_deadlines() {
    let site = site();
    let ours = site.apply();
    let water = site.site.token("chen", "customer", Some("water-bureau")).expect("a token");
    let made = site.send(&water, "/v1/applications", &[], &application("water-bureau"));
    let theirs = made.json["id"].as_str().expect("an id").to_owned();
    let review = json!({"decision": "return", "opinion": "say more"});
    let path = format!("/v1/tenants/{theirs}/review");
    assert_eq!(site.send(&site.reviewer, &path, &[("if-match", "*")], &review).status, 200);

    let found = |token: &str, query: &str| {
        let answer = site.read(token, &format!("/v1/tenants?{query}"), &[]);
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        ids(&answer.json)
    };
    let admin = &site.site.admin;
    assert_eq!(found(admin, "phase=submitted"), [&*ours]);
    assert_eq!(found(admin, "phase=correction-requested"), [&*theirs]);
    assert_eq!(found(admin, "customer=water-bureau"), [&*theirs]);
    assert_eq!(found(&site.customer, "customer=water-bureau"), [""; 0], "not theirs to see");
    assert_eq!(found(admin, "isolation=connected"), [&*ours, &*theirs]);
    assert_eq!(found(admin, "isolation=cut"), [""; 0]);
    // An opinion is owed on ours within five working days; none on what was returned.
    assert_eq!(found(admin, "due_before=2026-08-31T16:00:00Z"), [""; 0]);
    assert_eq!(found(admin, "due_before=2026-08-31T16:00:00.001Z"), [&*ours]);
    assert_eq!(found(admin, "overdue=true"), [""; 0]);
    site.site.clock.set_legal("2026-08-31T16:00:00Z".parse().expect("an instant"));
    assert_eq!(found(admin, "overdue=true"), [&*ours]);
    assert_eq!(found(admin, "overdue=true&phase=trial"), [""; 0], "all filters hold at once");
    assert_eq!(found(admin, "due_before=0501-09-18T23:12:34-00:48"), [""; 0]);
    assert_eq!(found(admin, "due_before=9999-12-31T23:59:59Z"), [&*ours]);
    for wrong in ["phase=nowhere", "isolation=x", "due_before=tomorrow", "overdue=1", "x=1"] {
        assert_eq!(site.read(admin, &format!("/v1/tenants?{wrong}"), &[]).status, 400, "{wrong}");
    }
}

/// Numbers and kinds of the events in a text.
fn events(text: &str) -> Vec<(u64, String)> {
    let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
    let field = |block: &str, name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name).map(str::to_owned)).expect("a field")
    };
    blocks
        .map(|block| (field(block, "id: ").parse().expect("a number"), field(block, "event: ")))
        .collect()
}

#[test]
fn events_go_on_after_the_last_one_and_tell_a_customer_of_its_own_tenants_alone() {
    let site = site();
    let water = site.site.token("chen", "customer", Some("water-bureau")).expect("a token");
    site.apply();
    let made = site.send(&water, "/v1/applications", &[], &application("water-bureau"));
    assert_eq!(made.status, 201);
    site.apply();
    let seen = |token: &str, query: &str, more: &[(&str, &str)]| {
        let answer = site.read(token, &format!("/v1/events?follow=false{query}"), more);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        events(&answer.text).into_iter().map(|(number, _)| number).collect::<Vec<_>>()
    };
    let admin = &site.site.admin;
    // The platform's own acts, such as tokens that were issued, have numbers of the same sequence.
    let all = seen(admin, "&after=0", &[]);
    let [first, second, third] = all[..] else { panic!("three applications: {all:?}") };
    assert!(first < second && second < third, "{all:?}");
    assert_eq!(seen(admin, &format!("&after={first}"), &[]), [second, third]);
    let header = [("last-event-id", second.to_string())];
    let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(seen(admin, "&after=0", &header), [third], "the header goes before");
    assert_eq!(seen(admin, "", &[]), [0; 0], "from now on");
    assert_eq!(seen(&water, "&after=0", &[]), [second]);
    assert_eq!(seen(&site.customer, "&after=0", &[]), [first, third]);
    for wrong in ["x", "-1", "99999999999999999999"] {
        let answer = site.read(admin, "/v1/events", &[("last-event-id", wrong)]);
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
}

#[test]
fn a_stream_that_is_followed_brings_what_is_committed_and_ends_with_the_controller() {
    let site = site();
    let stream = site.site.stream(&site.site.admin, "/v1/events").expect("a stream");
    let id = site.apply();
    let mut lines = BufReader::new(stream).lines();
    let mut line = |start: &str| {
        let mut lines = lines.by_ref().map(|line| line.expect("a line"));
        lines.find(|line| line.starts_with(start))
    };
    let number = |line: Option<String>| -> u64 {
        line.and_then(|line| line["id: ".len()..].parse().ok()).expect("a number")
    };
    let first = number(line("id: "));
    assert!(line("data: ").is_some_and(|data| data.contains(&id)));
    let review = json!({"decision": "return", "opinion": "say more"});
    let path = format!("/v1/tenants/{id}/review");
    assert_eq!(site.send(&site.reviewer, &path, &[("if-match", "*")], &review).status, 200);
    assert!(number(line("id: ")) > first);
    assert_eq!(line("event: ").as_deref(), Some("event: review"));
    drop(site);
    assert_eq!(line("id: "), None, "the stream ends when the controller stops");
}

#[test]
fn whoever_has_an_answer_is_told_so() {
    let site = site();
    let id = site.apply();
    for path in ["/v1/images".to_owned(), format!("/v1/tenants/{id}"), "/v1/tenants".to_owned()] {
        let first = site.read(&site.customer, &path, &[]);
        let tag = first.headers["etag"].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = site.read(&site.customer, &path, &[("if-none-match", &known)]);
            assert_eq!(again.status, 304, "{path} {known}: {again:?}");
            assert_eq!((&again.headers["etag"], &*again.text), (&first.headers["etag"], ""));
        }
        let other = site.read(&site.customer, &path, &[("if-none-match", "\"x\"")]);
        assert_eq!((other.status, other.json), (200, first.json));
    }
    let wrong = site.read(&site.customer, "/v1/images", &[("if-none-match", "x")]);
    assert_eq!((wrong.status, &wrong.json["code"]), (400, &json!("invalid-if-none-match")));
}

#[test]
fn a_method_that_is_not_there_is_answered_with_those_that_are() {
    let site = site();
    let bearer = format!("Bearer {}", site.site.admin);
    for (method, path, allowed) in [
        ("DELETE", "/v1/tenants", "GET,HEAD"),
        ("GET", "/v1/applications", "POST"),
        ("PUT", "/healthz", "GET,HEAD"),
    ] {
        let headers = [("authorization", bearer.as_str())];
        let answer = site.site.send(method, path, &headers, b"").expect("an answer");
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
    }
}

#[test]
fn faults_of_a_body_are_all_told_by_their_places() {
    let site = site();
    let mut form = application("city-archive");
    form["instances"][0]["vcpus"] = json!(0);
    form["contacts"][0]["name"] = json!(" ");
    form["system"]["code"] = json!("a\u{0}b");
    let answer = site.send(&site.customer, "/v1/applications", &[], &form);
    assert_eq!(answer.status, 422, "{answer:?}");
    let faults = answer.json["errors"].as_array().expect("a list").iter();
    let places: BTreeSet<&str> =
        faults.map(|fault| fault["pointer"].as_str().expect("a place")).collect();
    let expected = ["/contacts/0/name", "/instances/0/vcpus", "/system/code"];
    assert_eq!(places, BTreeSet::from(expected));
    form["instances"][0]["vcpus"] = json!("two");
    let answer = site.send(&site.customer, "/v1/applications", &[], &form);
    assert_eq!(answer.json["errors"][0]["pointer"], "/instances/0/vcpus", "{answer:?}");
}
