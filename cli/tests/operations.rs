//! Every operation of the API is reached by a verb: each line of the table is run against a double,
//! and must make the request that stands beside it.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod double;
#[path = "../src/operations.rs"]
mod operations;
mod site;

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use double::answer;
use operations::{FILES, IN_A_BROWSER, LOCAL, OF_THE_GATEWAY, OPERATIONS, Operation};
use site::Site;

const OPENAPI: &str = include_str!("../../controller/openapi.json");

/// Whether a request's path is one of the template's.
fn fits(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    // A tile's path is the one parameter with slashes in it.
    let open = template.last() == Some(&"{path}") && path.len() > template.len();
    (open || template.len() == path.len())
        && template.iter().zip(&path).all(|(wanted, part)| {
            if wanted.starts_with('{') { !part.is_empty() } else { wanted == part }
        })
}

#[test]
fn every_verb_makes_the_request_that_stands_beside_it() {
    for Operation { method, path, line, answers } in OPERATIONS {
        let answers: Vec<String> = answers.iter().map(|body| answer(200, body)).collect();
        let site = Site::new(&answers);
        for (name, text) in FILES {
            site.write(name, text);
        }
        let ran = site.run(&line.replace(" D", &format!(" {}", "0".repeat(64))));
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        let requests = site.double.requests();
        assert_eq!(requests.len(), answers.len(), "{line}: {requests:?}");
        let made = requests.last().unwrap().lines().next().unwrap().to_owned();
        let mut words = made.split(' ');
        assert_eq!(words.next(), Some(*method), "{line}: {made}");
        assert!(fits(path, words.next().unwrap_or_default()), "{line}: {made} is not {path}");
    }
}

#[test]
fn a_login_in_a_browser_makes_its_two_requests() {
    let begun = r#"{"attempt_token":"a","authorization_url":"http://id/?x=y&state=s"}"#;
    let session = r#"{"token":"t","name":"rita","role":"reviewer"}"#;
    let site = Site::new(&[answer(201, begun), answer(201, session)]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let browser = std::thread::spawn(move || {
        loop {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
                std::thread::yield_now();
                continue;
            };
            stream.write_all(b"GET /callback?code=c&state=s HTTP/1.1\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            return page;
        }
    });
    let ran = site.run(&format!("login --oidc portal --listen {port}"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(browser.join().unwrap().contains("can be closed"));
    let requests = site.double.requests();
    for (request, (method, path)) in requests.iter().zip(IN_A_BROWSER) {
        assert!(request.starts_with(&format!("{method} {path} ")), "{request}");
    }
    assert!(requests[0].contains(r#""provider": "portal""#), "{requests:?}");
    for member in [r#""attempt_token": "a""#, r#""state": "s""#, r#""code": "c""#] {
        assert!(requests[1].contains(member), "{requests:?}");
    }
}

#[test]
fn every_operation_has_a_verb_and_none_is_made_up() {
    let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
    let mut offered = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["responses"].is_object() {
                offered.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(offered.len() > 50, "{offered:?}");
    let reached: BTreeSet<_> = OPERATIONS
        .iter()
        .map(|operation| (operation.method, operation.path))
        .chain(IN_A_BROWSER.iter().copied())
        .chain(OF_THE_GATEWAY.iter().copied())
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    let without: Vec<_> = offered.difference(&reached).collect();
    assert!(without.is_empty(), "no verb reaches {without:?}");
    let made_up: Vec<_> = reached.difference(&offered).collect();
    assert!(made_up.is_empty(), "the API does not offer {made_up:?}");
    assert!(LOCAL.iter().all(|local| OPERATIONS.iter().all(|one| !one.line.starts_with(local))));
}

#[test]
fn a_template_fits_its_paths_alone() {
    assert!(fits("/v1/tenants/{id}", "/v1/tenants/a?b=c"));
    assert!(!fits("/v1/tenants/{id}", "/v1/tenants"));
    assert!(!fits("/v1/tenants/{id}", "/v1/tenants/a/cut"));
    assert!(!fits("/v1/tenants/{id}/cut", "/v1/tenants/a/restore"));
    assert!(fits("/v1/ledger/tile/{path}", "/v1/ledger/tile/0/x001/234"));
}
