//! Client certificates of scripts: real handshakes.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tenure_tests::lab::in_process::{Answer, InProcess};
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig},
};

use super::{post, problem, site, status, text};

/// An authority for scripts, and a controller that takes certificates of it.
struct Scripts {
    site: InProcess,
    authority: CertifiedIssuer<'static, KeyPair>,
    _dir: TempDir,
}

/// A certificate and its key.
struct Paper {
    pem: String,
    key: String,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>, until: i32, key: &KeyPair) -> Paper {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "night-watch");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let signed = params.signed_by(key, authority).expect("signed");
    Paper { pem: signed.pem(), key: key.serialize_pem() }
}

fn paper(authority: &CertifiedIssuer<'_, KeyPair>, until: i32) -> Paper {
    issue(authority, until, &KeyPair::generate().expect("a key"))
}

impl Scripts {
    #[expect(clippy::disallowed_methods, reason = "a file that the controller reads")]
    fn open() -> Self {
        let (authority, dir) = (authority("scripts"), tempfile::tempdir().expect("a directory"));
        let path: PathBuf = dir.path().join("clients.pem");
        std::fs::write(&path, authority.pem()).expect("written");
        let site = site(&format!("client_ca = {path:?}\n"));
        Self { site, authority, _dir: dir }
    }

    /// Registers a certificate, and has it confirmed.
    fn register(&self, paper: &Paper, more: &Value) -> Answer {
        let made = self.propose(paper, more);
        if made.status == 201 {
            self.site.confirm(&made).expect("confirmed");
        }
        made
    }

    fn propose(&self, paper: &Paper, more: &Value) -> Answer {
        let mut body = json!({"name": "night-watch", "owner": "wang.lei", "role": "operator",
            "certificate": paper.pem});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        post(&self.site, "/v1/tokens", &body)
    }

    /// A request over a new connection, with this certificate; nothing if there is no connection.
    fn call(
        &self,
        paper: Option<&Paper>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(u16, Value), ureq::Error> {
        let root = CertificateDer::from_pem_file(self.site.state.join("ca.pem")).expect("the CA");
        let roots = RootCerts::new_with_certs(&[Certificate::from_der(&root).to_owned()]);
        let client = paper.map(|paper| {
            let chain = [Certificate::from_pem(paper.pem.as_bytes()).expect("PEM")];
            let key = PrivateKey::from_pem(paper.key.as_bytes()).expect("PEM");
            ClientCert::new_with_certs(&chain, key)
        });
        let tls = TlsConfig::builder().root_certs(roots).client_cert(client).build();
        let config = Agent::config_builder().tls_config(tls).http_status_as_error(false);
        let agent = config.max_idle_connections(0).proxy(None).build().new_agent();
        let mut request = agent.get(format!("{}{path}", self.site.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call()?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn clock(&self, paper: Option<&Paper>, headers: &[(&str, &str)]) -> u16 {
        self.call(paper, "/v1/clock", headers).expect("a connection").0
    }
}

#[test]
fn a_certificate_acts_as_its_token_does_until_it_is_revoked() {
    let scripts = Scripts::open();
    let paper = paper(&scripts.authority, 2100);
    let stranger = scripts.call(Some(&paper), "/v1/clock", &[]).expect("a connection");
    assert_eq!(stranger.0, 401, "known to the authority, not to us: {stranger:?}");
    let unknown = scripts.site.get("tnr_0", "/v1/clock").expect("an answer");
    assert_eq!(stranger.1, unknown.json, "as an unknown token");
    let made = scripts.propose(&paper, &json!({"scope": ["read"], "days": 7}));
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(scripts.clock(Some(&paper), &[]), 401, "nobody has confirmed it");
    scripts.site.confirm(&made).expect("confirmed");
    assert_eq!(made.json["token"], Value::Null, "there is no secret");
    let der = CertificateDer::from_pem_slice(paper.pem.as_bytes()).expect("PEM");
    assert_eq!(made.json["certificate"]["sha256"], hex::encode(Sha256::digest(&der)), "{made:?}");
    assert_eq!(made.json["certificate"]["subject"], "CN=night-watch");
    assert_eq!(scripts.clock(Some(&paper), &[]), 200);
    let accounts = scripts.call(Some(&paper), "/v1/accounts", &[]).expect("a connection");
    assert_eq!((accounts.0, &accounts.1["code"]), (403, &json!("wrong-role")));
    let other = issue(&scripts.authority, 2100, &KeyPair::generate().expect("a key"));
    let cuts = scripts.register(&other, &json!({"scope": ["cut"]}));
    assert_eq!(cuts.status, 201, "{cuts:?}");
    let out = scripts.call(Some(&other), "/v1/clock", &[]).expect("a connection");
    assert_eq!((out.0, &out.1["code"]), (403, &json!("out-of-scope")));
    let listed = scripts.site.get(&scripts.site.admin, "/v1/tokens").expect("an answer").json;
    let row = listed.as_array().expect("a list").iter().find(|row| row["id"] == made.json["id"]);
    assert!(row.is_some_and(|row| row["used_at"].is_string()), "{listed}");
    let path = format!("/v1/tokens/{}", text(&made, "id"));
    let ended = scripts.site.delete(&scripts.site.admin, &path).expect("an answer");
    assert_eq!(ended.status, 200, "{ended:?}");
    assert_eq!(scripts.call(Some(&paper), "/v1/clock", &[]).expect("a connection"), stranger);
    problem(&scripts.register(&paper, &json!({})), 422, "invalid-input");
    // The same key under a new certificate is not known either.
    let key = KeyPair::from_pem(&paper.key).expect("a key");
    assert_eq!(scripts.clock(Some(&issue(&scripts.authority, 2101, &key)), &[]), 401);
}

#[test]
fn a_certificate_of_another_authority_or_past_its_end_makes_no_connection() {
    let scripts = Scripts::open();
    let foreign = paper(&authority("scripts"), 2100);
    assert_eq!(scripts.register(&foreign, &json!({})).status, 201, "the controller cannot know");
    let error = scripts.call(Some(&foreign), "/v1/clock", &[]).expect_err("no connection");
    assert!(error.to_string().contains("alert"), "{error}");
    let old = paper(&scripts.authority, 2021);
    let words = problem(&scripts.register(&old, &json!({})), 422, "invalid-input");
    assert!(words.contains("not now"), "{words}");
    let error = scripts.call(Some(&old), "/v1/clock", &[]).expect_err("no connection");
    assert!(error.to_string().contains("alert"), "{error}");
    assert_eq!(scripts.clock(None, &[]), 401, "who comes without is not turned away at the door");
}

#[test]
fn a_bearer_token_decides_whatever_the_certificate() {
    let scripts = Scripts::open();
    let paper = paper(&scripts.authority, 2100);
    assert_eq!(scripts.register(&paper, &json!({})).status, 201);
    let auditor = scripts.site.token("sun.li", "auditor", None).expect("a token");
    let bearer = format!("Bearer {auditor}");
    assert_eq!(scripts.clock(None, &[("authorization", &bearer)]), 200);
    // An auditor reads who may come in; the certificate's operator does not.
    let accounts = |headers: &[(&str, &str)]| {
        scripts.call(Some(&paper), "/v1/accounts", headers).expect("a connection").0
    };
    assert_eq!(accounts(&[("authorization", &bearer)]), 200);
    assert_eq!(accounts(&[]), 403);
    for wrong in ["Bearer tnr_0", "Bearer", "Basic eDp5", ""] {
        assert_eq!(scripts.clock(Some(&paper), &[("authorization", wrong)]), 401, "{wrong:?}");
    }
    let session = scripts.site.delete(&auditor, "/v1/sessions/current").expect("an answer");
    problem(&session, 422, "invalid-input");
}

#[test]
fn a_browser_goes_by_no_certificate() {
    let scripts = Scripts::open();
    let paper = paper(&scripts.authority, 2100);
    assert_eq!(scripts.register(&paper, &json!({})).status, 201);
    for header in [("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(scripts.clock(Some(&paper), &[header]), 401, "{header:?}");
    }
    assert_eq!(scripts.clock(Some(&paper), &[]), 200);
}

#[test]
fn what_is_registered_is_one_certificate_of_a_person_who_may_come_in() {
    let scripts = Scripts::open();
    let paper = paper(&scripts.authority, 2100);
    let with = |pem: &str| {
        scripts.register(&Paper { pem: pem.to_owned(), key: String::new() }, &json!({}))
    };
    let both = format!("{}{}", paper.pem, paper.key);
    for wrong in ["", "text", &paper.key, &both, &paper.pem.repeat(2)] {
        let words = problem(&with(wrong), 422, "invalid-input");
        assert!(words.contains("without its key"), "{words}");
    }
    problem(&scripts.register(&paper, &json!({"days": 0})), 422, "invalid-input");
    assert_eq!(
        post(&scripts.site, "/v1/accounts", &json!({"name": "wang.lei", "role": "security"}))
            .status,
        201
    );
    let two_roles = scripts.register(&paper, &json!({}));
    problem(&two_roles, 422, "invalid-input");
    assert_eq!(scripts.register(&paper, &json!({"role": "security"})).status, 201);
    assert_eq!(scripts.clock(Some(&paper), &[]), 200);
    assert_eq!(post(&scripts.site, "/v1/accounts/wang.lei/disable", &json!({})).status, 200);
    assert_eq!(scripts.clock(Some(&paper), &[]), 401, "its owner is disabled");
}

#[test]
fn a_token_ends_with_its_certificate_and_a_site_without_an_authority_asks_for_none() {
    let scripts = Scripts::open();
    let now = scripts.site.engine().clock().now().to_string();
    let year: i32 = now[..4].parse().expect("a year");
    let soon = paper(&scripts.authority, year + 1);
    let made = scripts.register(&soon, &json!({"days": 366}));
    assert_eq!(text(&made, "expires_at"), format!("{}-01-01T00:00:00.000Z", year + 1));
    let plain = Scripts {
        site: site(""),
        authority: authority("scripts"),
        _dir: tempfile::tempdir().expect("a directory"),
    };
    let paper = paper(&plain.authority, 2100);
    assert_eq!(plain.register(&paper, &json!({})).status, 201);
    assert_eq!(plain.clock(Some(&paper), &[]), 401, "nobody asked for it");
    assert_eq!(status(&plain.site, &plain.site.admin), 200);
}
