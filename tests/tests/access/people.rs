//! People: the first time, every time, and the end.

use serde_json::json;

use super::{HOUR_MS, PASSWORD, Person, enter, make, pass, problem, propose, site, status, text};

#[test]
fn a_person_sets_a_password_enrols_an_authenticator_and_comes_in() {
    let site = site("");
    let body = json!({"name": "li.na", "role": "reviewer"});
    let initial = text(&make(&site, "/v1/accounts", &body), "initial_password");
    let first = json!({"name": "li.na", "password": initial});
    problem(&enter(&site, &first), 403, "new-password-required");
    let simple = json!({"name": "li.na", "password": initial, "new_password": "short"});
    problem(&enter(&site, &simple), 422, "invalid-input");
    let person = Person::enrol_with(&site, "li.na", &initial);
    problem(&enter(&site, &first), 401, "sign-in-refused");
    let session = person.session(&site);
    assert_eq!(status(&site, &session), 200);
    let acts = site.get(&session, "/v1/platform/journal").expect("an answer");
    problem(&acts, 403, "wrong-role");
    let accounts = site.get(&site.admin, "/v1/accounts").expect("an answer");
    assert_eq!(accounts.json[0]["second_factor"], "enrolled", "{accounts:?}");
    assert_eq!(accounts.json[0]["initial"], false, "{accounts:?}");
    let shown = accounts.json.to_string();
    assert!(!shown.contains("argon2") && !shown.contains("sealed"), "{shown}");
}

#[test]
fn a_session_ends_by_going_out_by_rest_and_by_age() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    let session = person.session(&site);
    let out = site.delete(&session, "/v1/sessions/current").expect("an answer");
    assert_eq!(out.status, 204, "{out:?}");
    assert_eq!(status(&site, &session), 401);

    let resting = person.session(&site);
    pass(&site, HOUR_MS / 2 - 1);
    assert_eq!(status(&site, &resting), 200);
    pass(&site, HOUR_MS / 2);
    assert_eq!(status(&site, &resting), 401, "half an hour without a request");

    let busy = person.session(&site);
    for _ in 0..23 {
        pass(&site, HOUR_MS / 3);
        assert_eq!(status(&site, &busy), 200);
    }
    pass(&site, HOUR_MS / 3);
    assert_eq!(status(&site, &busy), 401, "eight hours, however busy");
}

#[test]
fn a_disabled_account_loses_its_sessions_and_tokens_at_once_and_gets_none() {
    let site = site("");
    let person = Person::enrol(&site, "wang.lei", "operator", None);
    let session = person.session(&site);
    let body = json!({"name": "night-watch", "owner": "wang.lei", "role": "operator"});
    let token = text(&make(&site, "/v1/tokens", &body), "token");
    assert_eq!([status(&site, &session), status(&site, &token)], [200, 200]);
    let path = "/v1/accounts/wang.lei/disable";
    let answer = site.post(&site.admin, path, &json!({})).expect("an answer");
    assert_eq!((answer.status, &answer.json["standing"]), (200, &json!("disabled")));
    assert_eq!([status(&site, &session), status(&site, &token)], [401, 401]);
    pass(&site, 30_000);
    problem(&person.come(&site), 401, "sign-in-refused");
    let another = site.post(&site.admin, "/v1/tokens", &body).expect("an answer");
    problem(&another, 422, "invalid-input");
    // A reset brings the person back, and nothing that was before.
    let path = "/v1/accounts/wang.lei/reset";
    let reset = site.post(&site.admin, path, &json!({})).expect("an answer");
    assert_eq!(reset.status, 200, "{reset:?}");
    assert_eq!([status(&site, &session), status(&site, &token)], [401, 401]);
    site.confirm(&reset).expect("confirmed");
    let person = Person::enrol_with(&site, "wang.lei", &text(&reset, "initial_password"));
    assert_eq!(status(&site, &person.session(&site)), 200);
    let acts = site.get(&site.admin, "/v1/platform/journal").expect("an answer");
    let acts = acts.json.as_array().expect("a list");
    let of = |name: &str| -> Vec<_> {
        let of_name = acts.iter().filter(|act| act["actor"]["name"] == name);
        of_name.map(|act| act["kind"].clone()).collect()
    };
    assert_eq!(
        of("administrator"),
        ["account-reset", "account-disabled", "token-issued", "account-created"]
    );
    assert_eq!(of("init"), ["token-issued", "token-issued"]);
    assert_eq!(of("security"), ["account-confirmed", "token-confirmed", "account-confirmed"]);
    let own = ["came-in", "came-in", "password-set", "came-in", "came-in", "password-set"];
    assert_eq!(of("wang.lei"), own);
}

#[test]
fn a_reset_ends_sessions_and_takes_the_second_factor() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    let session = person.session(&site);
    let path = "/v1/accounts/li.na/reset";
    let reset = site.post(&site.admin, path, &json!({})).expect("an answer");
    assert_eq!(status(&site, &session), 401);
    pass(&site, 30_000);
    problem(&person.come(&site), 401, "sign-in-refused");
    site.confirm(&reset).expect("confirmed");
    let initial = text(&reset, "initial_password");
    pass(&site, 8 * 24 * HOUR_MS);
    let late = json!({"name": "li.na", "password": initial, "new_password": PASSWORD});
    problem(&enter(&site, &late), 401, "sign-in-refused");
}

#[test]
fn an_old_password_is_to_be_changed_and_is_said_to_be_old_after_both_factors_alone() {
    let site = site("");
    let person = Person::enrol(&site, "li.na", "reviewer", None);
    let before = person.session(&site);
    // Certificates end before passwords do, so it is the account that is made older: by its clock.
    pass(&site, 90 * 24 * HOUR_MS);
    let engine = site.engine().clone();
    let come = |code: Option<String>, new: Option<&str>| {
        let form = tenure_controller::engine::SignIn {
            name: "li.na".to_owned(),
            password: PASSWORD.to_owned().into(),
            code: code.map(Into::into),
            new_password: new.map(|new| new.to_owned().into()),
        };
        let entered = site.runtime().block_on(engine.sign_in(form));
        entered.map(drop).map_err(|error| error.to_string())
    };
    let error = come(None, None).expect_err("no code");
    assert!(error.contains("is wrong"), "{error}");
    let error = come(Some(person.code(&site)), None).expect_err("old");
    assert!(error.contains("older than 90 days"), "{error}");
    come(Some(person.code(&site)), Some("correct Horse 8 battery")).expect("changed");
    let known = site.runtime().block_on(engine.principal_of(&before)).expect("an answer");
    assert_eq!(known, None, "sessions of the old password have ended");
}

#[test]
fn an_account_opens_nothing_until_a_second_person_has_confirmed_it() {
    let site = site("");
    let made = propose(&site, "/v1/accounts", &json!({"name": "li.na", "role": "reviewer"}));
    assert_eq!(made.json["standing"], "pending", "{made:?}");
    let initial = text(&made, "initial_password");
    let first = json!({"name": "li.na", "password": initial, "new_password": PASSWORD});
    problem(&enter(&site, &first), 401, "sign-in-refused");
    let path = "/v1/accounts/li.na/confirm";
    problem(&site.post(&site.admin, path, &json!({})).expect("an answer"), 403, "wrong-role");
    for _ in 0..2 {
        let confirmed = site.post(&site.security, path, &json!({})).expect("an answer");
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        assert_eq!(confirmed.json["confirmed_by"], "security");
    }
    let person = Person::enrol_with(&site, "li.na", &initial);
    assert_eq!(status(&site, &person.session(&site)), 200);
    // Whoever resets an account does not become its person, nor by sending again what confirmed it.
    let keyed = || {
        let bearer = format!("Bearer {}", site.security);
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", "k"),
        ];
        site.send("POST", path, &headers, b"{}").expect("an answer")
    };
    let reset = || {
        let reset = site.post(&site.admin, "/v1/accounts/li.na/reset", &json!({}));
        text(&reset.expect("an answer"), "initial_password")
    };
    reset();
    assert_eq!(keyed().json["standing"], "enabled");
    let initial = reset();
    assert_eq!(keyed().json["standing"], "pending", "it confirmed the reset before");
    let taken = json!({"name": "li.na", "password": initial, "new_password": PASSWORD});
    problem(&enter(&site, &taken), 401, "sign-in-refused");
    let nobody = site.post(&site.security, "/v1/accounts/nobody/confirm", &json!({}));
    problem(&nobody.expect("an answer"), 404, "not-found");
    let gone = "/v1/accounts/li.na/disable";
    assert_eq!(site.post(&site.admin, gone, &json!({})).expect("an answer").status, 200);
    problem(&site.post(&site.security, path, &json!({})).expect("an answer"), 422, "invalid-input");
}
