//! A draft is its customer's alone until it is submitted.

use serde_json::json;
use tenure_tests::lab::in_process::{Answer, InProcess, application};

use super::{problem, site};

/// Stands in the draft, and not in what is submitted.
const SKETCH: &str = "a sketch that nobody else is to read";

fn lists(site: &InProcess, token: &str) -> Vec<String> {
    let listed = site.get(token, "/v1/tenants").expect("a list");
    assert_eq!(listed.status, 200, "{listed:?}");
    let tenants = listed.json.as_array().expect("a list").iter();
    tenants.map(|tenant| tenant["id"].as_str().expect("an id").to_owned()).collect()
}

fn stream(site: &InProcess, token: &str) -> String {
    let events = site.get(token, "/v1/events?after=0&follow=false").expect("the events");
    assert_eq!(events.status, 200, "{events:?}");
    events.text
}

fn made(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json["phase"], "draft");
    answer.json["id"].as_str().expect("an id").to_owned()
}

#[test]
fn the_provider_sees_nothing_of_a_draft_until_it_is_submitted() {
    let site = site();
    let token = |name, role, customer| site.token(name, role, customer).expect("a token");
    let customer = token("zhang.wei", "customer", Some("city-archive"));
    let colleague = token("chen.jing", "customer", Some("city-archive"));
    let stranger = token("wu.tao", "customer", Some("water-bureau"));
    let reviewer = token("li.na", "reviewer", None);
    let others = [
        stranger.clone(),
        reviewer.clone(),
        token("wang.lei", "operator", None),
        token("zhao.min", "security", None),
        token("sun.li", "auditor", None),
        site.admin.clone(),
    ];
    let mut sketch = application("city-archive");
    (sketch["contacts"], sketch["form"]) = (json!([]), json!({"purpose": SKETCH}));
    let draft = made(&site.post(&customer, "/v1/drafts", &sketch).expect("a draft"));
    let dropped = made(&site.post(&customer, "/v1/drafts", &sketch).expect("a draft"));
    let of = |id: &str, path: &str| format!("/v1/tenants/{id}{path}");
    let filed = site.send(
        "POST",
        &of(&draft, "/attachments?name=plan.txt"),
        &[("authorization", &format!("Bearer {customer}")), ("content-type", "text/plain")],
        SKETCH.as_bytes(),
    );
    assert_eq!(filed.expect("an answer").status, 201);

    for token in &others {
        for path in ["", "/journal", "/deadlines", "/notices", "/attachments", "/records"] {
            let answer = site.get(token, &of(&draft, path)).expect("an answer");
            problem(&answer, 404, "not-found");
        }
        assert!(lists(&site, token).is_empty());
        let events = stream(&site, token);
        assert!(!events.contains(&draft) && !events.contains(SKETCH), "{events}");
    }
    let opinion = json!({"decision": "approve", "opinion": "fine"});
    let answer = site.post(&reviewer, &of(&draft, "/review"), &opinion).expect("an answer");
    problem(&answer, 404, "not-found");
    assert_eq!(lists(&site, &colleague), [draft.as_str(), dropped.as_str()]);

    // It is checked as a whole application, when it is submitted.
    let submission = of(&draft, "/draft/submission");
    let answer = site.post(&customer, &submission, &json!({})).expect("an answer");
    problem(&answer, 422, "invalid-application");
    let whole = application("city-archive");
    let answer = site.post(&colleague, &of(&draft, "/draft"), &whole).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = site.post(&customer, &submission, &json!({})).expect("an answer");
    assert_eq!((answer.status, &answer.json["phase"]), (200, &json!("submitted")), "{answer:?}");
    let over = json!({"reason": "no budget"});
    let answer = site.post(&customer, &of(&dropped, "/withdrawal"), &over).expect("an answer");
    assert_eq!((answer.status, &answer.json["phase"]), (200, &json!("withdrawn")), "{answer:?}");

    // From now on the provider sees what was submitted, and what it was before, as it never was.
    for token in &others[1..] {
        assert_eq!(lists(&site, token), [draft.as_str()]);
        let answer = site.get(token, &of(&dropped, "")).expect("an answer");
        problem(&answer, 404, "not-found");
        let events = stream(&site, token);
        assert!(events.contains("event: submit-draft") && events.contains("Archive portal"));
        assert!(!events.contains("save-draft") && !events.contains(&dropped), "{events}");
        let journal = site.get(token, &of(&draft, "/journal")).expect("the journal");
        assert!(journal.text.contains("submit-draft") && !journal.text.contains(SKETCH));
    }
    assert!(lists(&site, &stranger).is_empty() && !stream(&site, &stranger).contains(&draft));
    let events = stream(&site, &customer);
    assert!(events.contains("save-draft") && events.contains(&dropped), "{events}");
}
