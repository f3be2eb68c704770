//! The HTTP API from outside, over TLS: who may do what, and what happens to bad input.

#[path = "api/edge.rs"]
mod edge;

#[path = "api/document.rs"]
mod document;

#[path = "api/drafts.rs"]
mod drafts;

use serde_json::{Value, json};
use tenure_controller::clock::Clock;
use tenure_tests::lab::in_process::{Answer, InProcess, application};

const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn site() -> InProcess {
    InProcess::start(Clock::staged()).expect("a controller")
}

/// A problem document of this status and code.
fn problem(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    assert_eq!(answer.json["code"], code, "{answer:?}");
    assert_eq!(answer.json["status"], status, "{answer:?}");
    let detail = answer.json["detail"].as_str().unwrap_or_default();
    assert!(!detail.is_empty(), "{answer:?}");
    detail.to_owned()
}

#[test]
fn a_wrong_token_and_no_token_are_refused_with_a_challenge() {
    let site = site();
    for headers in [
        &[][..],
        &[("authorization", "Bearer nonsense")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic dTpw")],
    ] {
        let answer = site.send("GET", "/v1/tenants", headers, b"").expect("an answer");
        problem(&answer, 401, "unauthenticated");
        assert!(answer.headers.contains_key("www-authenticate"), "{answer:?}");
    }
}

#[test]
fn a_body_that_is_not_usable_is_refused_and_the_answer_says_where() {
    let site = site();
    let token = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let bearer = format!("Bearer {token}");
    let send = |media: &str, body: &[u8]| {
        let headers = [("authorization", bearer.as_str()), ("content-type", media)];
        site.send("POST", "/v1/applications", &headers, body).expect("an answer")
    };
    let json = "application/json";
    let detail = problem(&send(json, b"{\"customer\": "), 400, "malformed-json");
    assert!(detail.contains("line 1 column 13"), "{detail}");
    problem(&send(json, b""), 400, "malformed-json");
    problem(&send(json, b"\xff\xfe"), 400, "malformed-json");
    problem(&send(json, "[".repeat(60_000).as_bytes()), 400, "invalid-body");
    let mut unknown = application("city-archive");
    unknown["instances"][0]["gpu"] = json!(1);
    let detail = problem(&send(json, unknown.to_string().as_bytes()), 400, "invalid-body");
    assert!(detail.contains("unknown field `gpu`"), "{detail}");
    let mut negative = application("city-archive");
    negative["instances"][0]["vcpus"] = json!(-1);
    problem(&send(json, negative.to_string().as_bytes()), 400, "invalid-body");
    let good = application("city-archive").to_string();
    problem(&send("text/plain", good.as_bytes()), 415, "unsupported-media-type");
    problem(&send(json, " ".repeat(64 * 1024 + 1).as_bytes()), 413, "body-too-large");
    // The answer comes through, however much was sent in vain.
    for _ in 0..8 {
        problem(&send(json, " ".repeat(900 * 1024).as_bytes()), 413, "body-too-large");
    }
    let tenants = site.get(&token, "/v1/tenants").expect("an answer");
    assert_eq!(tenants.json, json!([]), "nothing was taken");
}

#[test]
fn an_impossible_application_is_refused_with_what_to_do() {
    let site = site();
    let token = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let refused = |change: &dyn Fn(&mut Value), code: &str| {
        let mut form = application("city-archive");
        change(&mut form);
        let answer = site.post(&token, "/v1/applications", &form).expect("an answer");
        problem(&answer, 422, code)
    };
    let detail = refused(&|form| form["instances"][0]["vcpus"] = json!(0), "invalid-application");
    assert!(detail.contains("/instances/0/vcpus"), "{detail}");
    let code = "/form/applicant/credit_code";
    let change = |form: &mut Value| *form.pointer_mut(code).expect(code) = json!("1");
    let detail = refused(&change, "invalid-application");
    assert!(detail.contains(code) && detail.contains("GB 32100"), "{detail}");
    refused(&|form| form["instances"][0]["image"] = json!("windows-95"), "unknown-image");
    refused(&|form| form["contacts"] = json!([]), "invalid-application");
    for url in ["https://127.0.0.1/x", "https://169.254.169.254/", "http://192.0.2.1/", "nonsense"]
    {
        refused(&|form| form["contacts"][0]["webhook"]["url"] = json!(url), "invalid-application");
    }
    let secret = "not-a-secret";
    refused(
        &|form| form["contacts"][0]["webhook"]["secret"] = json!(secret),
        "invalid-application",
    );
    refused(&|form| form["contacts"][0]["email"] = json!("a\r\nb@c.d"), "invalid-application");
    assert_eq!(site.get(&token, "/v1/tenants").expect("an answer").json, json!([]));
}

#[test]
fn the_form_is_served_and_kept_with_the_tenant_as_it_was_submitted() {
    let site = site();
    let token = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let form = site.get(&token, "/v1/application-forms/1").expect("an answer");
    assert_eq!(form.status, 200, "{form:?}");
    assert_eq!(form.headers["content-type"], "application/schema+json");
    assert_eq!(form.json["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let current = site.get(&token, "/v1/application-forms/current").expect("an answer");
    assert_eq!(current.json, form.json);
    problem(&site.get(&token, "/v1/application-forms/2").expect("an answer"), 404, "not-found");
    let application = application("city-archive");
    let made = site.post(&token, "/v1/applications", &application).expect("an answer");
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json["application"]["form"], application["form"]);
}

#[test]
fn a_customer_sees_its_own_tenants_and_nothing_of_others() {
    let site = site();
    let ours = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let theirs = site.token("chen.jing", "customer", Some("water-bureau")).expect("a token");
    let made = site.post(&ours, "/v1/applications", &application("city-archive")).expect("made");
    assert_eq!(made.status, 201, "{made:?}");
    let path = made.headers["location"].to_str().expect("text").to_owned();
    assert_eq!(path, format!("/v1/tenants/{}", made.json["id"].as_str().expect("an id")));
    assert_eq!(made.json["phase"], "submitted");
    assert!(!made.json.to_string().contains("whsec_MfKQ"), "no secret is shown");
    assert_eq!(site.get(&theirs, "/v1/tenants").expect("an answer").json, json!([]));
    for part in ["", "/journal", "/deadlines", "/orders", "/notices", "/evidence", "/bundle"] {
        let answer = site.get(&theirs, &format!("{path}{part}")).expect("an answer");
        problem(&answer, 404, "not-found");
    }
    let leave = json!({"stop_day": "2026-10-20", "reason": "x"});
    let answer = site.post(&theirs, &format!("{path}/offboarding"), &leave).expect("an answer");
    problem(&answer, 404, "not-found");
    let nobody = site.get(&theirs, &format!("/v1/tenants/{NOBODY}")).expect("an answer");
    let foreign = site.get(&theirs, &path).expect("an answer");
    assert_eq!(nobody.json, foreign.json, "the answers do not tell them apart");
    let stolen = site.post(&theirs, "/v1/applications", &application("city-archive"));
    assert!((400..500).contains(&stolen.expect("an answer").status), "not for another customer");
}

#[test]
fn a_customer_reads_the_ledgers_hashes_and_no_entries() {
    let site = site();
    let ours = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let theirs = site.token("chen.jing", "customer", Some("water-bureau")).expect("a token");
    let auditor = site.token("sun.li", "auditor", None).expect("a token");
    let made = site.post(&ours, "/v1/applications", &application("city-archive")).expect("made");
    assert_eq!(made.status, 201, "{made:?}");
    // Two first tokens, three that were made and confirmed, and an application.
    let at = |tail: &str| format!("/v1/ledger/tile/{tail}/000.p/9");
    for spelling in ["entries", "tile/entries", "%65ntries", "tile/%65ntries", "tile%2fentries"] {
        let answer = site.get(&theirs, &at(spelling)).expect("an answer");
        problem(&answer, 403, "wrong-role");
    }
    for token in [&theirs, &auditor] {
        assert_eq!(site.get(token, &at("0")).expect("an answer").status, 200);
        assert_eq!(site.get(token, "/v1/ledger/checkpoint").expect("an answer").status, 200);
    }
    assert_eq!(site.get(&auditor, &at("entries")).expect("an answer").status, 200);
}

#[test]
fn a_change_of_an_older_version_is_refused() {
    let site = site();
    let customer = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let reviewer = site.token("li.na", "reviewer", None).expect("a token");
    let made =
        site.post(&customer, "/v1/applications", &application("city-archive")).expect("made");
    let path = made.headers["location"].to_str().expect("text").to_owned();
    let seen = site.get(&reviewer, &path).expect("an answer");
    let tag = seen.headers["etag"].to_str().expect("text").to_owned();
    let review = json!({"decision": "return", "opinion": "say more"}).to_string();
    let send = |tag: &str| {
        let bearer = format!("Bearer {reviewer}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("if-match", tag),
        ];
        let path = format!("{path}/review");
        site.send("POST", &path, &headers, review.as_bytes()).expect("an answer")
    };
    problem(&send("\"999\""), 412, "version-mismatch");
    problem(&send("W/nonsense"), 400, "invalid-if-match");
    let answer = send(&tag);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["phase"], "correction-requested");
    problem(&send(&tag), 412, "version-mismatch");
}

#[test]
fn no_input_makes_the_controller_fail() {
    let site = site();
    let bearer = format!("Bearer {}", site.admin);
    let long = format!("/v1/tenants/{}", "a".repeat(4000));
    for path in [
        "/v1/tenants/%00",
        "/v1/tenants/%ff%fe",
        "/v1/tenants/..%2f..%2fetc",
        "/v1/orders/1",
        "/v1/tenants?phase=nowhere",
        "/v1/tenants?fase=trial",
        "/v1/tenants?phase=a&phase=b",
        "/v1/tenants?%ff",
        "/v1/ledger/tile/../../ca.key",
        "/v1/ledger/tile/%2e%2e/ca.key",
        "/v1/ledger/tile/99/999",
        "/v1/ledger/tile/0/x999/x999/999.p/300",
        "/nowhere",
        "//",
        &long,
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let headers =
                [("authorization", bearer.as_str()), ("content-type", "application/json")];
            let answer = site.send(method, path, &headers, b"null").expect("an answer");
            assert!((400..500).contains(&answer.status), "{method} {path}: {answer:?}");
        }
    }
    for (path, body) in [
        ("/v1/hosts/tokens", json!({"host_name": "a b\u{0}"})),
        ("/v1/hosts/tokens", json!({"host_name": "x".repeat(10_000)})),
        ("/v1/tokens", json!({"name": "", "role": "operator"})),
        ("/v1/tokens", json!({"name": "x", "role": "controller"})),
        ("/v1/tokens", json!({"name": "x", "role": "customer"})),
        ("/v1/tokens", json!({"name": "x", "role": "auditor", "days": 367})),
        ("/v1/tokens", json!({"name": "x", "role": "auditor", "days": -1})),
        ("/v1/tokens", json!({"name": "x", "role": "auditor", "scope": []})),
        ("/v1/tokens", json!({"name": "x", "role": "auditor", "scope": ["all"]})),
        ("/v1/accounts", json!({"name": "\u{430}dmin", "role": "auditor"})),
        ("/v1/accounts", json!({"name": "init", "role": "administrator"})),
        ("/v1/sessions", json!({"name": "\u{0}", "password": "x".repeat(60_000)})),
        ("/v1/sessions", json!({"name": "x", "password": "y", "new_password": "z"})),
        ("/v1/demo/clock", json!({"advance_days": 0})),
        ("/v1/demo/clock", json!({"advance_days": 4_294_967_295_u32})),
        ("/v1/demo/clock", json!({"advance_days": 1e300})),
    ] {
        let answer = site.post(&site.admin, path, &body).expect("an answer");
        assert!((400..500).contains(&answer.status), "{path} {body}: {answer:?}");
    }
    assert_eq!(site.send("GET", "/healthz", &[], b"").expect("an answer").status, 200);
}

const NOTICE: &str = "国务院办公厅关于2027年部分节假日安排的通知\n国办发明电〔2026〕0号\n\
    一、元旦：1月1日（周五）至3日（周日）放假，共3天。\n\
    二、劳动节：5月1日（周六）至3日（周一）放假调休，共3天。\n\
    三、国庆节：10月1日（周五）至7日（周四）放假调休，共7天。10月9日（周六）上班。\n\
    国务院办公厅\n2026年11月5日\n";

#[test]
fn a_notice_of_the_calendar_takes_two_persons_and_settles_the_year() {
    let site = site();
    let rita = site.token("rita", "reviewer", None).expect("a token");
    let adam = site.token("adam", "administrator", None).expect("a token");
    let customer = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let day = "/v1/calendar/days?from=2027-05-03&to=2027-05-03";
    let kind = |token: &str| site.get(token, day).expect("an answer").json[0]["kind"].clone();
    assert_eq!(kind(&customer), "unknown");
    let form = |text: &str| json!({"form": "text", "body": text});
    let propose = |text: &str| site.post(&rita, "/v1/calendar/notices", &form(text));
    let wrong = propose(&NOTICE.replace("1月1日（周五）", "1月1日（周四）")).expect("an answer");
    let detail = problem(&wrong, 422, "invalid-notice");
    assert!(detail.contains("2027-01-01 is a 星期五, not a 星期四"), "{detail}");
    let made = propose(NOTICE).expect("an answer");
    assert_eq!(made.status, 201, "{made:?}");
    let [keyed, again] = [(); 2].map(|()| {
        let body = form(&NOTICE.replace("2026年11月5日", "2026年11月6日")).to_string();
        let authorization = format!("Bearer {rita}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "of-2027"),
        ];
        site.send("POST", "/v1/calendar/notices", &headers, body.as_bytes()).expect("an answer")
    });
    assert_eq!((keyed.status, again.status, &keyed.json), (201, 201, &again.json), "{keyed:?}");
    problem(&propose(NOTICE).expect("an answer"), 422, "invalid-notice");
    let enact = format!("/v1/calendar/notices/{}/enact", made.json["id"].as_str().expect("an id"));
    let alone = site.post(&rita, &enact, &json!({})).expect("an answer");
    problem(&alone, 403, "separation-of-duties");
    assert_eq!(kind(&customer), "unknown", "a proposal changes nothing");
    let done = site.post(&adam, &enact, &json!({})).expect("an answer");
    assert_eq!((done.status, &done.json["enacted_by"]), (200, &json!("adam")), "{done:?}");
    assert_eq!(kind(&customer), "rest");
    problem(&site.post(&adam, &enact, &json!({})).expect("an answer"), 409, "notice-in-force");
    let reject =
        format!("/v1/calendar/notices/{}/reject", keyed.json["id"].as_str().expect("an id"));
    problem(
        &site.post(&rita, &reject, &json!({"reason": " "})).expect("an answer"),
        422,
        "invalid-input",
    );
    let reason = json!({"reason": "dated a day late"});
    assert_eq!(site.post(&rita, &reject, &reason).expect("an answer").status, 200);
    let reject = enact.replace("/enact", "/reject");
    problem(&site.post(&rita, &reject, &reason).expect("an answer"), 409, "notice-in-force");
    let acts = site.get(&adam, "/v1/platform/journal").expect("an answer").json;
    let acts: Vec<_> = acts.as_array().expect("acts").iter().rev().collect();
    let acts = acts.iter().filter(|act| {
        act["kind"].as_str().is_some_and(|kind| kind.starts_with("calendar-notice-"))
    });
    let told = acts.map(|act| {
        assert!(act["body"]["rest"].as_array().is_some_and(|rest| rest.len() == 13), "{act}");
        (act["kind"].clone(), act["actor"]["name"].clone(), act["body"]["id"].clone())
    });
    let [proposed, enacted, rejected] =
        ["proposed", "enacted", "rejected"].map(|what| format!("calendar-notice-{what}"));
    let (proposed, enacted, rejected) = (&proposed, &enacted, &rejected);
    let expected = [
        (proposed, "rita", &made.json["id"]),
        (proposed, "rita", &keyed.json["id"]),
        (enacted, "adam", &made.json["id"]),
        (rejected, "rita", &keyed.json["id"]),
    ];
    let expected = expected.map(|(kind, by, id)| (json!(kind), json!(by), id.clone()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let calendar = site.get(&customer, "/v1/calendar").expect("an answer").json;
    assert_eq!(calendar["to_year"], 2027);
    assert_eq!(calendar["unsettled_from"], "2027-12-29");
    let last = calendar["notices"].as_array().expect("notices").last().expect("one").clone();
    assert_eq!((&last["proposed_by"], &last["enacted_by"]), (&json!("rita"), &json!("adam")));
}

#[test]
fn a_deadline_explains_itself_and_the_lawful_dates_are_foreseen() {
    let site = site();
    let token = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let made = site.post(&token, "/v1/applications", &application("city-archive")).expect("made");
    let path = made.headers["location"].to_str().expect("text").to_owned();
    let all = site.get(&token, &format!("{path}/deadlines")).expect("an answer").json;
    let opinion = &all[0];
    assert_eq!((&opinion["id"], &opinion["last_day"]), (&json!("O3"), &json!("2026-08-31")));
    assert_eq!(opinion["quote"], "云服务方应在五个工作日内给出审核意见。");
    assert_eq!((&opinion["edition"], &opinion["agrees"]), (&json!("jiangxi-1"), &json!(true)));
    let days = opinion["days"].as_array().expect("days");
    let parts: Vec<_> = days.iter().map(|day| day["part"].as_str().expect("a part")).collect();
    let skipped = "does not count";
    assert_eq!(parts, ["day 0", "1", "2", "3", "4", skipped, skipped, "5"]);
    assert!(opinion["law"].as_array().is_some_and(|law| law.len() == 2), "{opinion}");
    let foreseen = site.get(&token, "/v1/deadlines/preview?on=2026-01-16").expect("an answer").json;
    let of = |id: &str| {
        let rows = foreseen.as_array().expect("rows");
        rows.iter().find(|row| row["id"] == id).expect("it is foreseen").clone()
    };
    assert_eq!(of("O6a")["raw_end"], "2026-02-15");
    assert_eq!(of("O6a")["last_day"], "2026-02-24");
    assert_eq!(of("O10")["stop_day"], "2026-02-07");
    let nonsense = site.get(&token, "/v1/deadlines/preview?on=2026-02-30").expect("an answer");
    problem(&nonsense, 400, "invalid-query");
}
