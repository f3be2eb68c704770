//! A draft is its customer's alone until it is submitted, and for ever if it is taken back before.

use serde_json::{Value, json};
use tenure_tests::lab::in_process::{InProcess, application};

use super::{problem, site, text};

/// What somebody finds of tenants: the list, and the kinds of events since the beginning.
fn found(site: &InProcess, secret: &str) -> (usize, Vec<String>) {
    let list = site.get(secret, "/v1/tenants").expect("an answer").json;
    let events = site.get(secret, "/v1/events?follow=false&after=0").expect("an answer").text;
    let kinds = events.lines().filter_map(|line| line.strip_prefix("event: "));
    (list.as_array().expect("a list").len(), kinds.map(str::to_owned).collect())
}

fn draft(site: &InProcess, secret: &str) -> String {
    let made = site.post(secret, "/v1/drafts", &application("city-archive")).expect("an answer");
    assert_eq!(made.status, 201, "{made:?}");
    format!("/v1/tenants/{}", text(&made, "id"))
}

#[test]
fn nobody_but_the_customer_finds_a_draft_before_it_is_submitted() {
    let site = site("");
    let token = |name: &str, role: &str, customer: Option<&str>| {
        site.token(name, role, customer).expect("a token")
    };
    let ours = token("zhang.wei", "customer", Some("city-archive"));
    let others = [
        token("chen.jing", "customer", Some("water-bureau")),
        token("he.jun", "reviewer", None),
        token("wang.lei", "operator", None),
        token("zhao.min", "security", None),
        token("sun.li", "auditor", None),
        site.admin.clone(),
    ];
    let drafted = draft(&site, &ours);
    let withdrawn = draft(&site, &ours);
    let taken_back = format!("{withdrawn}/withdrawal");
    let done = site.post(&ours, &taken_back, &json!({"reason": "no need"})).expect("an answer");
    assert_eq!((done.status, &done.json["phase"]), (200, &Value::from("withdrawn")), "{done:?}");
    assert_eq!(found(&site, &ours).0, 2);
    for other in &others {
        for path in [&drafted, &withdrawn] {
            for part in ["", "/journal", "/deadlines", "/attachments", "/records"] {
                let answer = site.get(other, &format!("{path}{part}")).expect("an answer");
                problem(&answer, 404, "not-found");
            }
        }
        assert_eq!(found(&site, other), (0, Vec::new()));
    }
    let submission = format!("{drafted}/draft/submission");
    let done = site.post(&ours, &submission, &json!({})).expect("an answer");
    assert_eq!((done.status, &done.json["phase"]), (200, &Value::from("submitted")), "{done:?}");
    for provider in &others[1..] {
        let shown = site.get(provider, &drafted).expect("an answer");
        assert_eq!(shown.status, 200, "{shown:?}");
        let (count, events) = found(&site, provider);
        assert_eq!(count, 1, "what was taken back stays its customer's");
        assert!(events.contains(&"submit-draft".to_owned()), "{events:?}");
    }
    assert_eq!(found(&site, &others[0]), (0, Vec::new()), "another customer finds nothing");
}
