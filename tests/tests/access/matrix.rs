//! The whole matrix: every endpoint of the OpenAPI document, called by everybody, on a tenant of
//! their own, of somebody else, and of nobody. `matrix.txt` is what comes out, for people to read;
//! a change of it is a change of who may do what.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use tenure_controller::http::{openapi, policy::Policy};
use tenure_protocol::{
    digest::Digest,
    id::{OrderId, TenantId},
};
use tenure_tests::lab::in_process::{Answer, InProcess, application};

use super::{HOUR_MS, Person, make, pass, site, text};

const GOLDEN: &str = include_str!("matrix.txt");
const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// Nothing may be too often here.
const RATES: &str = "[api.rates]\nidentity_per_second = 9999\nidentity_burst = 9999\n\
    peer_per_second = 9999\npeer_burst = 9999\n";

const HEAD: &str = "\
# Who may do what at the HTTP API: what tests/tests/access/matrix.rs saw on a live controller.
#
#   in     the policy lets the request in (it may still be refused for what it says)
#   401    not known: nobody, or a token that has ended or is not whole
#   role   403 wrong-role        scope  403 out-of-scope        404  not there, or not theirs
#
# ours, theirs: customers; the tenant and the order are ours. cuts: an operator's token that is
# limited to cuts. reads: an operator's token that is limited to reading. session: a reviewer who
# came in by password. unknown: the id of no tenant and no order.
";

/// A file that is filed with our tenant and with the platform.
const FILE: &[u8] = b"a report";
/// A year's notice of holidays.
const NOTICE: &str = "国务院办公厅关于2027年部分节假日安排的通知\n国办发明电〔2026〕0号\n\
    一、元旦：1月1日（周五）至3日（周日）放假，共3天。\n\
    二、劳动节：5月1日（周六）至3日（周一）放假调休，共3天。\n\
    三、国庆节：10月1日（周五）至7日（周四）放假调休，共7天。10月9日（周六）上班。\n\
    国务院办公厅\n2026年11月5日\n";

/// What is acted on beside our tenant.
struct Subjects {
    account: String,
    token: String,
    notice: String,
}

/// Everybody, with their secrets.
struct Callers(Vec<(&'static str, Option<String>)>);

/// A tenant with an order to a host.
struct Ours {
    tenant: TenantId,
    order: OrderId,
}

/// A host is there and our application was approved, so that there is an order.
fn ours(site: &InProcess, customer: &str, reviewer: &str) -> Ours {
    site.host("alpha").expect("a host");
    let made = site.post(customer, "/v1/applications", &application("city-archive"));
    let id = text(&made.expect("an answer"), "id");
    let approve = json!({"decision": "approve", "opinion": "sound"});
    let path = format!("/v1/tenants/{id}/review");
    let approved = site.post(reviewer, &path, &approve).expect("an answer");
    assert_eq!(approved.status, 200, "{approved:?}");
    let orders = site.get(reviewer, &format!("/v1/tenants/{id}/orders")).expect("an answer");
    let order = orders.json[0]["id"].as_str().expect("an order");
    Ours { tenant: id.parse().expect("an id"), order: order.parse().expect("an id") }
}

fn callers(site: &InProcess) -> Callers {
    let token = |body: Value| text(&make(site, "/v1/tokens", &body), "token");
    let role = |name: &str, role: &str| token(json!({"name": name, "role": role}));
    let limited = |name: &str, group: &str| {
        token(json!({"name": name, "owner": "wang.lei", "role": "operator", "scope": [group]}))
    };
    let customer = |name: &str, customer: &str| {
        token(json!({"name": name, "role": "customer", "customer": customer}))
    };
    let expired = token(json!({"name": "old", "role": "administrator", "days": 1}));
    pass(site, 25 * HOUR_MS);
    let revoked = make(site, "/v1/tokens", &json!({"name": "bad", "role": "administrator"}));
    let path = format!("/v1/tokens/{}", text(&revoked, "id"));
    assert_eq!(site.delete(&site.admin, &path).expect("an answer").status, 200);
    let person = Person::enrol(site, "li.na", "reviewer", None);
    let truncated = site.admin[..site.admin.len() - 1].to_owned();
    Callers(vec![
        ("nobody", None),
        ("expired", Some(expired)),
        ("revoked", Some(text(&revoked, "token"))),
        ("halved", Some(truncated)),
        ("ours", Some(customer("zhang.wei", "city-archive"))),
        ("theirs", Some(customer("chen.jing", "water-bureau"))),
        ("reviewer", Some(role("he.jun", "reviewer"))),
        ("session", Some(person.session(site))),
        ("operator", Some(role("wang.lei", "operator"))),
        ("cuts", Some(limited("cut-button", "cut"))),
        ("reads", Some(limited("dashboard", "read"))),
        ("security", Some(role("zhao.min", "security"))),
        ("auditor", Some(role("sun.li", "auditor"))),
        ("admin", Some(site.admin.clone())),
    ])
}

impl Callers {
    fn secret(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(one, _)| *one == name);
        found.and_then(|(_, secret)| secret.as_deref()).expect("somebody")
    }
}

/// What there is to act on.
fn subjects(site: &InProcess, callers: &Callers, ours: &Ours) -> Subjects {
    make(site, "/v1/accounts", &json!({"name": "victim", "role": "auditor"}));
    let token = make(site, "/v1/tokens", &json!({"name": "spare", "role": "auditor"}));
    let tenant = format!("/v1/tenants/{}", ours.tenant);
    for (owner, secret) in [(&*tenant, callers.secret("ours")), ("/v1/platform", &site.admin)] {
        let bearer = format!("Bearer {secret}");
        let headers = [("authorization", &*bearer), ("content-type", "application/pdf")];
        let path = format!("{owner}/attachments?name=report.pdf");
        let filed = site.send("POST", &path, &headers, FILE).expect("an answer");
        assert_eq!(filed.status, 201, "{filed:?}");
    }
    let notice = json!({"form": "text", "body": NOTICE});
    let notice = site.post(&site.admin, "/v1/calendar/notices", &notice).expect("an answer");
    Subjects {
        account: "victim".to_owned(),
        token: text(&token, "id"),
        notice: text(&notice, "id"),
    }
}

/// Every method and path of the document.
fn endpoints() -> Vec<(String, String)> {
    let policy = Policy::load().expect("the shipped policy");
    let document: Value = serde_json::from_str(&openapi::text(&policy)).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, verbs)| {
        let verbs = verbs.as_object().expect("verbs").keys();
        verbs.map(move |verb| (verb.to_uppercase(), path.clone()))
    });
    all.collect()
}

/// How many entries the ledger has: less than a tile takes.
fn ledger_size(site: &InProcess) -> u16 {
    let note = site.get(&site.admin, "/v1/ledger/checkpoint").expect("an answer").text;
    let size = note.lines().nth(1).and_then(|line| line.parse().ok()).expect("a checkpoint");
    assert!(size < 256, "the test has filled a tile");
    size
}

/// What is called for a path of the document: what is shown of it, and the path itself.
fn targets(
    site: &InProcess,
    path: &str,
    ours: &Ours,
    subjects: &Subjects,
) -> Vec<(&'static str, String)> {
    let Subjects { account, token, notice } = subjects;
    let path = path
        .replace("{digest}", &Digest::of(FILE).to_string())
        .replace("{record}", NOBODY)
        .replace("{version}", "current")
        .replace("/hosts/{id}", &format!("/hosts/{NOBODY}"))
        .replace("/notices/{id}", &format!("/notices/{notice}"))
        .replace("/tokens/{id}", &format!("/tokens/{token}"))
        .replace("{provider}", "portal")
        .replace("/receipts/{token}", "/receipts/00")
        .replace("{sequence}", "7")
        .replace("{name}", account);
    if path.starts_with("/v1/tenants/{id}") || path == "/v1/orders/{id}" {
        let id = if path == "/v1/orders/{id}" {
            ours.order.to_string()
        } else {
            ours.tenant.to_string()
        };
        return vec![("", path.replace("{id}", &id)), (" unknown", path.replace("{id}", NOBODY))];
    }
    if path == "/v1/ledger/tile/{path}" {
        // Of the last tile the present width alone is there.
        let tile = |of: &str| path.replace("{path}", &format!("{of}/000.p/{}", ledger_size(site)));
        return vec![(" hashes", tile("0")), (" entries", tile("entries"))];
    }
    if path == "/v1/events" {
        // A stream that is followed has no end.
        return vec![("", format!("{path}?follow=false"))];
    }
    assert!(!path.contains('{'), "the test does not know how to call {path}");
    vec![("", path)]
}

fn cell(what: &str, answer: &Answer) -> &'static str {
    assert!(answer.status < 500 && answer.status != 405, "{what}: {answer:?}");
    assert_ne!(answer.status, 429, "{what}: {answer:?}");
    match (answer.status, answer.json["code"].as_str().unwrap_or_default()) {
        (401, _) => "401",
        (403, "wrong-role") => "role",
        (403, "out-of-scope") => "scope",
        (404, _) => "404",
        _ => "in",
    }
}

fn call(site: &InProcess, verb: &str, path: &str, secret: Option<&str>) -> Answer {
    let bearer = secret.map(|secret| format!("Bearer {secret}"));
    let mut headers: Vec<(&str, &str)> =
        bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    if verb == "POST" {
        headers.push(("content-type", "application/json"));
    }
    let body: &[u8] = if verb == "POST" { b"{}" } else { b"" };
    site.send(verb, path, &headers, body).expect("an answer")
}

#[test]
fn everybody_may_do_what_the_matrix_says_and_nothing_else() {
    let site = site(RATES);
    let callers = callers(&site);
    let ours = ours(&site, callers.secret("ours"), callers.secret("reviewer"));
    let subjects = subjects(&site, &callers, &ours);
    let mut endpoints = endpoints();
    assert!(endpoints.len() > 60, "the document has lost endpoints");
    // Going out ends the session, so it goes last.
    endpoints.sort_by_key(|(_, path)| path == "/v1/sessions/current");
    let mut rows = BTreeMap::new();
    for (verb, path) in &endpoints {
        for (suffix, target) in targets(&site, path, &ours, &subjects) {
            let what = format!("{verb} {target}");
            let answers: Vec<(&str, Answer)> = callers
                .0
                .iter()
                .map(|(name, secret)| (*name, call(&site, verb, &target, secret.as_deref())))
                .collect();
            let cells: Vec<_> =
                answers.iter().map(|(name, one)| cell(&format!("{what} as {name}"), one)).collect();
            let foreign = answers.into_iter().find(|(name, _)| *name == "theirs");
            rows.insert((path.clone(), verb.clone(), suffix), (cells, foreign));
        }
    }
    // What is somebody else's is answered exactly as what is not there.
    for ((path, verb, suffix), (_, foreign)) in &rows {
        if suffix.is_empty()
            && let Some((_, unknown)) = rows.get(&(path.clone(), verb.clone(), " unknown"))
        {
            let pair = [foreign, unknown].map(|one| one.as_ref().expect("them"));
            let [foreign, unknown] = pair.map(|(_, answer)| (answer.status, &answer.json));
            assert_eq!(foreign, unknown, "{verb} {path}");
        }
    }
    let shown = table(&callers, &rows);
    if shown != GOLDEN {
        let beside = std::env::temp_dir().join("matrix.txt");
        #[allow(clippy::disallowed_methods, reason = "a copy to look at, beside the failure")]
        std::fs::write(&beside, &shown).expect("written");
        panic!(
            "who may do what has changed: compare {} with tests/tests/access/matrix.txt, and copy \
             it if it is meant",
            beside.display()
        );
    }
}

type Row = (Vec<&'static str>, Option<(&'static str, Answer)>);

fn table(callers: &Callers, rows: &BTreeMap<(String, String, &'static str), Row>) -> String {
    let mut text = HEAD.to_owned();
    let line = |text: &mut String, first: &str, cells: &[&str]| {
        let mut line = format!("{first:<64}");
        for cell in cells {
            // A string takes everything.
            let _ = write!(line, "{cell:<9}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let names: Vec<&str> = callers.0.iter().map(|(name, _)| *name).collect();
    text.push('\n');
    line(&mut text, "", &names);
    for ((path, verb, suffix), (cells, _)) in rows {
        line(&mut text, &format!("{verb:<6} {path}{suffix}"), cells);
    }
    text
}
