//! tenurectl as scripts meet it: its exit codes and what it prints, against a small HTTPS double
//! of the controller.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod double;
mod site;

use std::fs::{self, File};

use double::answer;
use site::{Ran, Site, TENANT, tenurectl};

/// SHA-256 of "abc".
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn view(phase: &str, isolation: &str) -> String {
    answer(
        200,
        &format!(
            r#"{{"id":"{TENANT}","customer":"bureau","system":{{"name":"portal"}},
                "phase":"{phase}","isolation":{{"state":"{isolation}"}},"instances":[]}}"#
        ),
    )
}

#[test]
fn a_list_is_a_table_for_people_and_the_answer_itself_for_scripts() {
    let list =
        answer(200, &format!(r#"[{{"id":"{TENANT}","customer":"b\u001b[1m","phase":"trial"}}]"#));
    let site = Site::new(&[list.clone(), list]);
    let table = site.run("tenant list --phase trial");
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stdout.contains("PHASE") && table.stdout.contains("trial"), "{table:?}");
    assert!(!table.stdout.contains('\u{1b}'), "{table:?}");
    assert!(table.stdout.contains("b\\u{1b}[1m"), "{table:?}");
    let json = site.run("tenant list --output json");
    assert!(json.stdout.trim_start().starts_with('['), "{json:?}");
    let requests = site.double.requests();
    assert!(requests[0].starts_with("GET /v1/tenants?phase=trial "), "{requests:?}");
    assert!(requests[0].to_lowercase().contains("authorization: bearer secret-token"));
}

#[test]
fn a_refusal_shows_its_sentence_and_code_and_exits_1() {
    let problem = answer(
        409,
        r#"{"type":"about:blank","title":"Conflict","status":409,"code":"same-person",
            "detail":"You have approved this wipe already: another person must."}"#,
    );
    let site = Site::new(&[problem.clone(), problem]);
    let ran = site.run("wipe approve T");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let wanted =
        "tenurectl: You have approved this wipe already: another person must. (same-person)";
    assert_eq!(ran.stderr.trim_end(), wanted);
    let ran = site.run("wipe approve T --output json");
    assert!(ran.stderr.contains(r#""code":"same-person""#), "{ran:?}");
    assert_eq!(ran.stdout, "");
}

#[test]
fn what_is_sent_is_what_the_api_takes() {
    let filed = answer(201, &format!(r#"{{"sha256":"{ABC}"}}"#));
    let mut answers = vec![filed.clone(), filed];
    answers.extend(vec![view("trial", "connected"); 5]);
    let site = Site::new(&answers);
    site.write("报.pdf", "abc");
    for line in [
        "report submit T --test-report 报.pdf --security-report 报.pdf",
        "cut T --reason attack",
        "offboarding request T --stop-day 2026-10-20 --reason merged",
        "offboarding confirm T --migrated --backed-up",
        "review approve T --opinion fine",
    ] {
        let ran = site.run(line);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
    }
    let requests = site.double.requests();
    let place = format!("POST /v1/tenants/{TENANT}/attachments?name=%E6%8A%A5.pdf ");
    for upload in &requests[..2] {
        assert!(upload.starts_with(&place), "{upload}");
        let head = upload.to_lowercase();
        assert!(head.contains("content-type: application/pdf\r\n"), "{upload}");
        assert!(head.contains("content-length: 3\r\n") && head.ends_with("abc"), "{upload}");
    }
    let requests = &requests[2..];
    let body = |at: usize| -> serde_json::Value {
        let request: &String = &requests[at];
        serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let document = serde_json::json!({"title": "报.pdf", "sha256": ABC});
    assert_eq!(body(0)["test_report"], document);
    assert_eq!(body(1), serde_json::json!({"kind": "emergency", "reason": "attack"}));
    assert_eq!(body(2)["stop_day"], "2026-10-20");
    assert_eq!(body(3), serde_json::json!({"migrated": true, "backed_up": true}));
    assert_eq!(body(4), serde_json::json!({"decision": "approve", "opinion": "fine"}));
    assert!(requests[4].starts_with(&format!("POST /v1/tenants/{TENANT}/review ")));
}

#[test]
fn a_change_without_an_answer_is_sent_again_under_the_same_key() {
    let site = Site::new(&[
        answer(503, r#"{"code":"not-durable","detail":"try again"}"#),
        answer(409, r#"{"code":"under-way","detail":"ask again"}"#),
        view("trial", "cutting"),
    ]);
    let ran = site.run("cut T --reason attack");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let requests = site.double.requests();
    let key = |request: &String| {
        let mut lines = request.lines().map(str::to_lowercase);
        lines.find(|line| line.starts_with("idempotency-key: ")).unwrap()
    };
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| key(request) == key(&requests[0])), "{requests:?}");

    let site = Site::new(&[view("trial", "cutting"), view("trial", "cutting")]);
    assert_eq!(site.run("cut T --reason attack").code, Some(0));
    assert_eq!(site.run("cut T --reason attack").code, Some(0));
    let requests = site.double.requests();
    assert_ne!(key(&requests[0]), key(&requests[1]), "two acts have two keys");
}

#[test]
fn a_list_is_read_to_its_end_and_by_what_is_asked() {
    let page = |body: &str, next: &str| {
        answer(200, body).replacen("\r\n", &format!("\r\nlink: <{next}>; rel=\"next\"\r\n"), 1)
    };
    let site = Site::new(&[
        page(r#"[{"id":"a"}]"#, "/v1/tenants?phase=trial&after=x"),
        answer(200, r#"[{"id":"b"}]"#),
    ]);
    let ran = site.run("tenant list --phase trial --overdue --output json");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown, serde_json::json!([{"id": "a"}, {"id": "b"}]));
    let requests = site.double.requests();
    assert!(requests[0].starts_with("GET /v1/tenants?phase=trial&overdue=true "), "{requests:?}");
    assert!(requests[1].starts_with("GET /v1/tenants?phase=trial&after=x "), "{requests:?}");
}

#[test]
fn events_are_followed_after_the_last_one_when_a_stream_ends() {
    let event = |number: u32| {
        let data = format!("{{\"seq\":{number},\"kind\":\"cut\"}}");
        answer(200, &format!(": heartbeat\n\nid: {number}\nevent: cut\ndata: {data}\n\n"))
    };
    let refused = answer(401, r#"{"code":"unauthenticated","detail":"give a valid token"}"#);
    let site = Site::new(&[event(7), event(8), refused]);
    let ran = site.run("events --follow --after 6 --output json");
    assert_eq!(ran.code, Some(1), "a refusal ends it: {ran:?}");
    let numbers: Vec<u64> = ran
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(numbers, [7, 8]);
    let requests: Vec<String> =
        site.double.requests().iter().map(|request| request.to_lowercase()).collect();
    assert!(requests[0].starts_with("get /v1/events?after=6 "), "{requests:?}");
    assert!(!requests[0].contains("last-event-id"), "{requests:?}");
    assert!(requests[1].contains("last-event-id: 7"), "{requests:?}");
    assert!(requests[2].contains("last-event-id: 8"), "{requests:?}");
}

#[test]
fn a_wait_shows_each_change_and_ends_with_the_last_phase() {
    let site = Site::new(&[
        view("configuring", "connected"),
        view("configuring", "connected"),
        answer(503, r#"{"detail":"starting"}"#),
        view("trial", "connected"),
    ]);
    let ran = site.run("review approve T --opinion ok --wait --wait-limit 30");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("configuring") && ran.stderr.contains("starting"), "{ran:?}");
    assert!(ran.stdout.contains("trial"), "{ran:?}");
}

#[test]
fn a_wait_that_ends_badly_exits_1_and_one_that_does_not_end_exits_6() {
    let site = Site::new(&[view("wiping", "connected"), view("wipe-failed", "connected")]);
    assert_eq!(site.run("wipe approve T --wait").code, Some(1));
    let site = Site::new(&[view("online", "cutting"), view("online", "cutting")]);
    let ran = site.run("cut T --reason attack --wait --wait-limit 0");
    assert_eq!(ran.code, Some(6), "{ran:?}");
}

#[test]
fn no_controller_a_foreign_certificate_and_a_failed_controller_exit_4() {
    let site = Site::new(&[answer(500, r#"{"code":"store","detail":"the disk is full"}"#)]);
    let ran = site.run("host list");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("the disk is full"), "{ran:?}");

    let other = Site::new(&[view("trial", "connected")]);
    other.write("ca.pem", &site.double.ca);
    let ran = other.run("host list");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("--ca"), "{ran:?}");

    let ran = site.run("host list --controller https://localhost:1");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("cannot reach https://localhost:1"), "{ran:?}");
}

#[test]
fn wrong_use_exits_2_and_says_what_would_be_right() {
    let site = Site::new(&[]);
    site.write("bad.json", "{ \"customer\": ");
    for (line, hint) in [
        ("tenant show nonsense", "give a UUID"),
        ("application submit bad.json", "application example"),
        ("application submit absent.json", "absent.json"),
        ("host list --controller http://localhost:1", "https://"),
        ("host list --token-file absent", "absent"),
        ("host list --ca token", "certificate"),
        ("", "Usage"),
    ] {
        let ran = site.run(line);
        assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
        assert!(ran.stderr.contains(hint), "{line}: {ran:?}");
    }
    let ran = Ran::of(tenurectl("host list", site.dir.path()).output().unwrap());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("tenurectl/config.toml"), "{ran:?}");
    assert_eq!(site.double.requests().len(), 0);
}

#[test]
fn a_full_stdout_is_not_success() {
    let site = Site::new(&[view("trial", "connected")]);
    for line in ["application example", "--help", "--version", "tenant show T"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(site.command(line).stdout(full).output().unwrap());
        assert_eq!(ran.code, Some(5), "{line}: {ran:?}");
        assert!(ran.stderr.contains("stdout"), "{line}: {ran:?}");
    }
}

#[test]
fn a_bundle_is_written_whole_or_not_at_all() {
    let cut_short =
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nabc".to_owned();
    let site = Site::new(&[answer(200, "abcdefghij"), cut_short]);
    let ran = site.run("bundle fetch T -o exit.tar");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fs::read_to_string(site.path("exit.tar")).unwrap(), "abcdefghij");
    let ran = site.run("bundle fetch T -o second.tar");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(!site.path("second.tar").exists() && !site.path("second.tar.part").exists());
}

#[test]
fn a_new_token_goes_into_a_private_new_file_or_is_not_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new(&[answer(201, r#"{"token":"new-secret"}"#)]);
    let ran = site.run("token create rita --role reviewer -o rita.token");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains("new-secret"), "{ran:?}");
    assert_eq!(fs::read_to_string(site.path("rita.token")).unwrap(), "new-secret\n");
    let mode = fs::metadata(site.path("rita.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ran = site.run("token create rita --role reviewer -o rita.token");
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert_eq!(site.double.requests().len(), 1);
}

#[test]
fn somebody_who_comes_in_the_first_time_sets_a_password_enrols_and_keeps_a_session() {
    let refusal =
        answer(403, r#"{"status":403,"code":"new-password-required","detail":"give it"}"#);
    let enrol = answer(202, r#"{"totp_secret":"JBSWY3DP","totp_uri":"otpauth://totp/x"}"#);
    let session = answer(
        201,
        r#"{"token":"tns_secret","name":"li.na","role":"reviewer","customer":null,
            "expires_at":"2026-09-01T08:00:00Z","idle_ms":1800000}"#,
    );
    let site = Site::new(&[refusal, enrol, session, answer(200, "{}"), answer(204, "")]);
    site.write("initial", "initial-word\n");
    site.write("own", "correct Horse 7\n");
    let ran =
        site.run_with("login li.na --password-file initial --new-password-file own", "\n123456\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("JBSWY3DP") && !ran.stdout.contains("tns_secret"), "{ran:?}");
    let bodies: Vec<serde_json::Value> = site
        .double
        .requests()
        .iter()
        .take(3)
        .map(|request| serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap())
        .collect();
    let own = "correct Horse 7";
    let sent = |password: &str| serde_json::json!({"name": "li.na", "password": password});
    assert_eq!(bodies[0], sent("initial-word"));
    assert_eq!(bodies[1]["new_password"], own);
    assert_eq!(bodies[2]["password"], own);
    assert_eq!(bodies[2]["code"], "123456");
    assert!(!site.double.requests()[0].to_lowercase().contains("authorization"), "nobody yet");
    let kept = fs::metadata(site.path("double.session")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&kept.permissions()) & 0o777, 0o600);
    assert_eq!(site.run("clock show").code, Some(0));
    assert!(site.double.requests()[3].contains("Bearer tns_secret"), "the session goes first");
    let out = site.run("logout");
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(site.double.requests()[4].starts_with("DELETE /v1/sessions/current "));
    assert!(!site.path("double.session").exists());
}

#[test]
fn a_refused_login_keeps_nothing() {
    let refusal = answer(401, r#"{"status":401,"code":"sign-in-refused","detail":"wrong"}"#);
    let site = Site::new(&[refusal]);
    site.write("word", "whatever\n");
    let ran = site.run_with("login li.na --password-file word", "123456\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("sign-in-refused"), "{ran:?}");
    assert!(!site.path("double.session").exists());
}
