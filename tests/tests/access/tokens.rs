//! Tokens of scripts: limits in time and scope, and whose they are.

use serde_json::{Value, json};

use super::{HOUR_MS, make, pass, problem, propose, site, status, text};

#[test]
fn a_token_is_listed_without_its_secret_and_shows_when_it_was_used_and_ends() {
    let site = site("");
    let body = json!({"name": "report-reader", "owner": "sun.li", "role": "auditor",
        "scope": ["read"], "days": 1});
    let made = make(&site, "/v1/tokens", &body);
    let (token, id) = (text(&made, "token"), text(&made, "id"));
    let list = || site.get(&site.admin, "/v1/tokens").expect("an answer").json;
    let row = |list: &Value| {
        let rows = list.as_array().expect("a list");
        rows.iter().find(|row| row["id"] == id.as_str()).expect("listed").clone()
    };
    assert_eq!(row(&list())["used_at"], Value::Null);
    assert_eq!(status(&site, &token), 200);
    let used = row(&list());
    assert_eq!(used["used_at"], json!(site.clock.now()), "{used}");
    assert_eq!((&used["owner"], &used["scope"]), (&json!("sun.li"), &json!(["read"])));
    assert_eq!(used["created_by"], "administrator");
    assert!(!list().to_string().contains("tnr_"), "no secret is shown");
    pass(&site, 24 * HOUR_MS - 1);
    assert_eq!(status(&site, &token), 200);
    pass(&site, 1);
    assert_eq!(status(&site, &token), 401, "its day is over");
}

#[test]
fn the_first_administrators_token_ends_too() {
    let site = site("");
    let list = site.get(&site.admin, "/v1/tokens").expect("an answer").json;
    let days = 30 * 24 * HOUR_MS;
    assert_eq!(list[0]["created_by"], "init");
    let ends = site.clock.now().plus_ms(days);
    assert_eq!(list[0]["expires_at"], json!(ends), "{list}");
}

#[test]
fn a_revoked_token_ends_at_once_and_revoking_it_again_changes_nothing() {
    let site = site("");
    let made = make(&site, "/v1/tokens", &json!({"name": "ci", "role": "auditor"}));
    let path = format!("/v1/tokens/{}", text(&made, "id"));
    let token = text(&made, "token");
    assert_eq!(status(&site, &token), 200);
    let first = site.delete(&site.admin, &path).expect("an answer");
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(status(&site, &token), 401);
    pass(&site, 1000);
    let second = site.delete(&site.admin, &path).expect("an answer");
    assert_eq!(first.json, second.json);
    let unknown = site.delete(&site.admin, "/v1/tokens/0").expect("an answer");
    problem(&unknown, 404, "not-found");
}

#[test]
fn one_person_has_one_role_whatever_the_tokens_are_called() {
    let site = site("");
    make(&site, "/v1/tokens", &json!({"name": "wang.lei", "role": "operator"}));
    let refused = |path: &str, body: Value| {
        let answer = site.post(&site.admin, path, &body).expect("an answer");
        problem(&answer, 422, "invalid-input")
    };
    let other = json!({"name": "second-hat", "owner": "wang.lei", "role": "security"});
    let words = refused("/v1/tokens", other);
    assert!(words.contains("one person has one"), "{words}");
    refused("/v1/accounts", json!({"name": "wang.lei", "role": "security"}));
    make(&site, "/v1/accounts", &json!({"name": "zhao.min", "role": "security"}));
    refused("/v1/tokens", json!({"name": "zhao.min", "role": "operator"}));
    let body = json!({"name": "zhang.wei", "role": "customer", "customer": "city-archive"});
    make(&site, "/v1/tokens", &body);
    let body = json!({"name": "zhang.wei", "role": "customer", "customer": "water-bureau"});
    refused("/v1/tokens", body);
    refused("/v1/tokens", json!({"name": "Wang.Lei", "role": "security"}));
}

#[test]
fn a_token_opens_nothing_until_a_second_person_has_confirmed_it() {
    let site = site("");
    let made = propose(&site, "/v1/tokens", &json!({"name": "wang.lei", "role": "operator"}));
    let (token, path) = (text(&made, "token"), format!("/v1/tokens/{}/confirm", text(&made, "id")));
    assert_eq!(status(&site, &token), 401);
    for unconfirmed in [&token, &site.admin] {
        let answer = site.post(unconfirmed, &path, &json!({})).expect("an answer");
        assert!(answer.status == 401 || answer.status == 403, "{answer:?}");
    }
    for _ in 0..2 {
        let confirmed = site.post(&site.security, &path, &json!({})).expect("an answer");
        assert_eq!(confirmed.json["confirmed_by"], "security", "{confirmed:?}");
    }
    assert_eq!(status(&site, &token), 200);
    // One's own needs another one too, and what has ended stays so.
    let body = json!({"name": "watch", "owner": "security", "role": "security"});
    let own = propose(&site, "/v1/tokens", &body);
    let path = format!("/v1/tokens/{}", text(&own, "id"));
    let confirm = |path: &str| site.post(&site.security, &format!("{path}/confirm"), &json!({}));
    problem(&confirm(&path).expect("an answer"), 403, "separation-of-duties");
    let spare = propose(&site, "/v1/tokens", &json!({"name": "spare", "role": "auditor"}));
    let path = format!("/v1/tokens/{}", text(&spare, "id"));
    assert_eq!(site.delete(&site.admin, &path).expect("an answer").status, 200);
    problem(&confirm(&path).expect("an answer"), 409, "wrong-phase");
    assert_eq!(status(&site, &text(&spare, "token")), 401);
}
