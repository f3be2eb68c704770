//! What comes back from an OpenID provider, and what of it is believed.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tenure_tests::lab::in_process::{Answer, InProcess};

use super::{
    acts,
    issuer::{Issuer, Malice, SECRET, Signing},
    knock, linked, post, problem, site, status, text,
};

/// The subject that the issuer signs unless told otherwise.
const SUBJECT: &str = "248289761001";
/// A port that nobody listens at: the browser is the test itself.
const PORT: u16 = 65000;

/// A controller that trusts an issuer, and li.na, whom the issuer knows.
struct Portal {
    site: InProcess,
    issuer: Issuer,
    _dir: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "a file that the controller reads")]
fn secret_file(dir: &TempDir, mode: u32) -> PathBuf {
    let path = dir.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).expect("written");
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("changed");
    path
}

impl Portal {
    fn open(more: &str) -> Self {
        let (issuer, dir) = (Issuer::start(), tempfile::tempdir().expect("a directory"));
        let site = site(&issuer.config(&secret_file(&dir, 0o600), more));
        linked(&site, "li.na", SUBJECT);
        Self { site, issuer, _dir: dir }
    }

    fn begin(&self) -> Answer {
        knock(&self.site, "/v1/oidc/attempts", &json!({ "redirect_port": PORT }))
    }

    /// Begins, and comes back from an issuer that does this; what is sent then.
    fn back(&self, malice: Malice) -> Value {
        let begun = self.begin();
        assert_eq!(begun.status, 201, "{begun:?}");
        assert_eq!(begun.headers["cache-control"], "no-store", "{begun:?}");
        let url = text(&begun, "authorization_url");
        let state = url.split_once("state=").expect("a state").1.split('&').next();
        self.issuer.authorize(&url, self.site.engine().clock().now(), malice);
        json!({"attempt_token": text(&begun, "attempt_token"), "state": state, "code": "a-code"})
    }

    fn finish(&self, body: &Value) -> Answer {
        knock(&self.site, "/v1/oidc/sessions", body)
    }

    /// The whole way, with an issuer that does this.
    fn enter(&self, malice: Malice) -> Answer {
        let body = self.back(malice);
        self.finish(&body)
    }
}

fn claims(claims: Value) -> Malice {
    Malice { claims, ..Malice::default() }
}

#[test]
fn an_identity_opens_the_account_that_it_is_linked_to_and_no_other_door() {
    let portal = Portal::open("");
    let entered = portal.enter(Malice::default());
    assert_eq!(entered.status, 201, "{entered:?}");
    assert_eq!(entered.headers["cache-control"], "no-store", "{entered:?}");
    assert_eq!(
        (text(&entered, "name"), text(&entered, "role")),
        ("li.na".into(), "reviewer".into())
    );
    let session = text(&entered, "token");
    assert_eq!(status(&portal.site, &session), 200);
    let wrong_role = portal.site.get(&session, "/v1/accounts").expect("an answer");
    problem(&wrong_role, 403, "wrong-role");
    let came = acts(&portal.site, "li.na").pop().expect("an act");
    assert_eq!((&came["kind"], &came["actor"]["name"]), (&json!("came-in"), &json!("li.na")));
    assert_eq!(came["body"]["identity"]["issuer"], portal.issuer.url.as_str());
    let seen = portal.issuer.shared.lock().expect("no panic").seen.join("\n");
    let token = seen.lines().find(|line| line.starts_with("POST /token")).expect("asked");
    assert!(token.contains("HTTP/1.1") && seen.contains("authorization: Basic"), "{seen}");
    assert!(!seen.contains(&session), "the provider learns nothing of ours");
}

#[test]
fn what_an_issuer_signs_for_others_or_does_not_sign_lets_nobody_in() {
    let signed = |signing| Malice { signing, ..Malice::default() };
    let now = 4_000_000_000_i64;
    let cases = [
        ("another nonce", claims(json!({"nonce": "of-another-attempt"}))),
        ("no nonce", claims(json!({"nonce": null}))),
        ("another audience", claims(json!({"aud": "somebody-else"}))),
        ("a second audience", claims(json!({"aud": ["tenure", "somebody-else"], "azp": "tenure"}))),
        ("no audience", claims(json!({"aud": null}))),
        ("another party", claims(json!({"azp": "somebody-else"}))),
        ("another issuer", claims(json!({"iss": "https://id.example"}))),
        ("no issuer", claims(json!({"iss": null}))),
        ("expired", claims(json!({"exp": 1_500_000_000}))),
        ("no end", claims(json!({"exp": null}))),
        ("of tomorrow", claims(json!({"iat": now, "exp": now + 300}))),
        ("another access token", claims(json!({"at_hash": "bm90IGl0cyBkaWdlc3Q"}))),
        ("another key", signed(Signing::OtherKey)),
        ("no signature", signed(Signing::Not)),
        ("a MAC", signed(Signing::Mac)),
        ("changed after it was signed", signed(Signing::Tampered)),
    ];
    // Attempts of one peer are few at once, so a controller does for a part of them.
    for part in cases.chunks(9) {
        let portal = Portal::open("");
        for (what, malice) in part {
            let answer = portal.enter(malice.clone());
            assert!([401, 503].contains(&answer.status), "{what}: {answer:?}");
            assert!(answer.json["token"].is_null(), "{what}: {answer:?}");
        }
        assert_eq!(portal.enter(Malice::default()).status, 201, "it was the malice");
    }
}

#[test]
fn an_attempt_ends_once_with_its_own_secret_its_own_state_and_in_time() {
    let portal = Portal::open("");
    let changed = |member: &str, value: &str| {
        let mut body = portal.back(Malice::default());
        body[member] = json!(value);
        portal.finish(&body)
    };
    problem(&changed("state", "of-another"), 401, "sign-in-refused");
    problem(&changed("iss", "https://id.example"), 401, "sign-in-refused");
    problem(&changed("attempt_token", "tno_0"), 401, "attempt-over");
    // A wrong state has ended its attempt.
    let mut body = portal.back(Malice::default());
    let state = body["state"].take();
    body["state"] = json!("x");
    problem(&portal.finish(&body), 401, "sign-in-refused");
    body["state"] = state;
    problem(&portal.finish(&body), 401, "attempt-over");
    let again = portal.back(Malice::default());
    assert_eq!(portal.finish(&again).status, 201);
    problem(&portal.finish(&again), 401, "attempt-over");
}

#[test]
fn a_subject_that_is_not_linked_and_a_disabled_account_are_answered_alike() {
    let portal = Portal::open("");
    let stranger = portal.enter(claims(json!({"sub": "administrator"})));
    let words = problem(&stranger, 403, "identity-not-linked");
    assert!(words.contains("the subject administrator of"), "{words}");
    let entered = portal.enter(Malice::default());
    let session = text(&entered, "token");
    let path = "/v1/accounts/li.na/disable";
    assert_eq!(post(&portal.site, path, &json!({})).status, 200);
    assert_eq!(status(&portal.site, &session), 401, "the session has ended");
    let disabled = portal.enter(Malice::default());
    let disabled = problem(&disabled, 403, "identity-not-linked");
    assert_eq!(words.replace("administrator of", "248289761001 of"), disabled);
    // Nor does a reset bring the link back.
    assert_eq!(post(&portal.site, "/v1/accounts/li.na/reset", &json!({})).status, 200);
    problem(&portal.enter(Malice::default()), 403, "identity-not-linked");
}

#[test]
fn an_administrator_links_and_unlinks_and_nobody_has_two_accounts_by_one_identity() {
    let portal = Portal::open("");
    let site = &portal.site;
    let session = text(&portal.enter(Malice::default()), "token");
    let made = post(site, "/v1/accounts", &json!({"name": "he.jun", "role": "operator"}));
    site.confirm(&made).expect("confirmed");
    let link = |name: &str, subject: &str, provider: &str| {
        let body = json!({"provider": provider, "subject": subject});
        post(site, &format!("/v1/accounts/{name}/identities"), &body)
    };
    let words = problem(&link("he.jun", SUBJECT, "portal"), 422, "invalid-input");
    assert!(words.contains("li.na's"), "{words}");
    let words = problem(&link("li.na", "another", "portal"), 422, "invalid-input");
    assert!(words.contains("unlink it first"), "{words}");
    problem(&link("nobody", "another", "portal"), 404, "not-found");
    problem(&link("he.jun", "two words", "portal"), 422, "invalid-input");
    let words = problem(&link("he.jun", "another", "elsewhere"), 422, "unknown-provider");
    assert!(words.ends_with(": portal"), "{words}");
    assert_eq!(link("li.na", SUBJECT, "portal").status, 200, "again changes nothing");
    let body = json!({"provider": "portal", "subject": "mine"});
    let own = site.post(&session, "/v1/accounts/li.na/identities", &body).expect("an answer");
    problem(&own, 403, "wrong-role");
    let gone = site.delete(&site.admin, "/v1/accounts/li.na/identities/portal").expect("an answer");
    assert_eq!((gone.status, &gone.json["identities"]), (200, &json!([])), "{gone:?}");
    assert_eq!(status(site, &session), 401, "its sessions have ended");
    problem(&portal.enter(Malice::default()), 403, "identity-not-linked");
    let taken = link("he.jun", SUBJECT, "portal");
    assert_eq!(taken.status, 200, "free again");
    assert_eq!(taken.json["standing"], "pending", "{taken:?}");
    assert_eq!(taken.json["confirmed_by"], Value::Null, "{taken:?}");
    let other = site.token("zhou.jie", "administrator", None).expect("a token");
    let body = json!({"provider": "portal", "subject": "mine"});
    let smuggled = site.post(&other, "/v1/accounts/he.jun/identities", &body).expect("an answer");
    let words = problem(&smuggled, 422, "invalid-input");
    assert!(words.contains("comes first"), "what security confirms stays as it is: {words}");
    // Whoever links an identity does not come in by it: a second person confirms that it is theirs.
    problem(&portal.enter(Malice::default()), 403, "identity-not-linked");
    site.confirm(&taken).expect("confirmed");
    assert_eq!(text(&portal.enter(Malice::default()), "name"), "he.jun");
    let kinds: Vec<_> = acts(site, "li.na").iter().map(|act| act["kind"].clone()).collect();
    let begun = ["account-created", "identity-linked", "account-confirmed", "came-in"];
    assert_eq!(kinds, [&begun[..], &["identity-unlinked"]].concat());
}

#[test]
fn the_way_of_signing_in_that_a_site_asks_for_must_be_named() {
    let portal = Portal::open("acr = [\"urn:two-factors\"]\n");
    let begun = text(&portal.begin(), "authorization_url");
    assert!(begun.contains("acr_values=urn%3Atwo-factors"), "{begun}");
    problem(&portal.enter(Malice::default()), 401, "sign-in-refused");
    problem(&portal.enter(claims(json!({"acr": "urn:password"}))), 401, "sign-in-refused");
    assert_eq!(portal.enter(claims(json!({"acr": "urn:two-factors"}))).status, 201);
}

#[test]
fn nothing_is_sent_but_to_the_issuer_and_little_is_read_from_it() {
    let portal = Portal::open("");
    let other = Issuer::start();
    let elsewhere = |member: &str, path: &str| {
        let metadata = json!({ member: format!("{}{path}", other.url) });
        portal.issuer.shared.lock().expect("no panic").malice =
            Malice { metadata, ..Malice::default() };
        problem(&portal.begin(), 503, "provider-failed");
    };
    elsewhere("token_endpoint", "/token");
    elsewhere("jwks_uri", "/jwks");
    elsewhere("authorization_endpoint", "/authorize");
    elsewhere("issuer", "");
    portal.issuer.shared.lock().expect("no panic").malice = Malice::default();
    let answer = |head: &str, body: &str| {
        let answer = format!(
            "HTTP/1.1 {head}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        portal.enter(Malice { answer: Some(answer), ..Malice::default() })
    };
    let redirect = format!("307 Temporary Redirect\r\nlocation: {}/token", other.url);
    problem(&answer(&redirect, ""), 503, "provider-failed");
    problem(&answer("200 OK", &" ".repeat(300 * 1024)), 503, "provider-failed");
    problem(&answer("200 OK", "{}"), 503, "provider-failed");
    problem(&answer("400 Bad Request", r#"{"error":"invalid_grant"}"#), 401, "sign-in-refused");
    assert_eq!(other.shared.lock().expect("no panic").seen, [""; 0], "nobody asked there");
}

#[test]
fn a_peer_that_begins_again_and_again_is_told_to_wait() {
    let portal = Portal::open("");
    let mut statuses = (0..30).map(|_| portal.begin().status);
    assert!(statuses.any(|status| status == 429));
    assert_eq!(status(&portal.site, &portal.site.admin), 200, "tokens are not held up");
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_would_be_right() {
    let without = site("");
    let body = json!({ "redirect_port": PORT });
    let words = problem(&knock(&without, "/v1/oidc/attempts", &body), 422, "unknown-provider");
    assert!(words.contains("by password"), "{words}");
    let portal = Portal::open("");
    let low = json!({ "redirect_port": 80 });
    problem(&knock(&portal.site, "/v1/oidc/attempts", &low), 422, "invalid-input");
    let other = json!({ "redirect_port": PORT, "provider": "x" });
    problem(&knock(&portal.site, "/v1/oidc/attempts", &other), 422, "unknown-provider");
}

#[test]
fn a_controller_does_not_start_with_a_provider_that_cannot_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let wrong = |issuer: &str, mode: u32, more: &str| {
        let file = secret_file(&dir, mode);
        let text = format!(
            "state_dir = \"/nowhere\"\nserver_names = [\"localhost\"]\n\
             [api]\nlisten = \"127.0.0.1:0\"\n\
             [link]\ncommand = \"127.0.0.1:0\"\nenrolment = \"127.0.0.1:0\"\n\
             [[api.oidc]]\nname = \"portal\"\nissuer = {issuer:?}\nclient_id = \"tenure\"\n\
             client_secret_file = {file:?}\n{more}"
        );
        let config: tenure_controller::config::Config = toml::from_str(&text).expect("TOML");
        config
            .providers()
            .map(|providers| format!("{providers:?}"))
            .map_err(|error| error.to_string())
    };
    let good = wrong("https://id.example", 0o600, "").expect("usable");
    assert!(!good.contains(SECRET), "{good}");
    for (issuer, mode, says) in
        [("http://id.example", 0o600, "https"), ("https://id.example", 0o640, "chmod 600")]
    {
        let error = wrong(issuer, mode, "").expect_err("refused");
        assert!(error.contains(says) && error.contains("portal"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    let twice =
        "[[api.oidc]]\nname = \"portal\"\nissuer = \"https://b.example\"\nclient_id = \"t\"\n";
    let error = wrong("https://id.example", 0o600, twice).expect_err("refused");
    assert!(error.contains("twice"), "{error}");
}
