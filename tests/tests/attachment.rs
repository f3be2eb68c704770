//! Attachments over the API, from outside: what goes up comes down unchanged or not at all, to
//! those alone whose it is.

use std::path::PathBuf;

use serde_json::{Value, json};
use tenure_controller::clock::Clock;
use tenure_protocol::digest::Digest;
use tenure_tests::lab::in_process::{Answer, InProcess, application};

const PDF: &[u8] = b"%PDF-1.7 <script>alert(1)</script>";

struct Ground {
    site: InProcess,
    ours: String,
    theirs: String,
    tenant: String,
}

fn ground() -> Ground {
    let site = InProcess::start(Clock::staged()).expect("a controller");
    let ours = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let theirs = site.token("chen.jing", "customer", Some("water-bureau")).expect("a token");
    let made = site.post(&ours, "/v1/applications", &application("city-archive")).expect("made");
    assert_eq!(made.status, 201, "{made:?}");
    let tenant = format!("/v1/tenants/{}", made.json["id"].as_str().expect("an id"));
    Ground { site, ours, theirs, tenant }
}

impl Ground {
    fn upload(&self, token: &str, name: &str, media: &str, bytes: &[u8]) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", media)];
        let path = format!("{}/attachments?name={name}", self.tenant);
        self.site.send("POST", &path, &headers, bytes).expect("an answer")
    }

    fn get(&self, token: &str, part: &str) -> Answer {
        self.site.get(token, &format!("{}{part}", self.tenant)).expect("an answer")
    }

    /// Where the bytes lie on disk.
    fn stored(&self, digest: &str) -> PathBuf {
        let owner = self.tenant.rsplit('/').next().expect("an id");
        self.site.state.join("attachments").join(owner).join(digest)
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default())
}

#[test]
fn a_file_comes_down_as_it_went_up_and_always_as_a_download() {
    let ground = ground();
    let name = "%E6%8A%A5%E5%91%8A%20%22a%22.html";
    let made = ground.upload(&ground.ours, name, "Text/HTML", PDF);
    assert_eq!(made.status, 201, "{made:?}");
    let digest = Digest::of(PDF).to_string();
    assert_eq!(made.json["sha256"], digest);
    assert_eq!(made.json["name"], "报告 \"a\".html");
    assert_eq!(made.json["bytes"], PDF.len());
    let again = ground.upload(&ground.ours, "other.pdf", "application/pdf", PDF);
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json, made.json, "known as it was filed first");
    assert_eq!(ground.get(&ground.ours, "/attachments").json, json!([made.json]));

    let down = ground.get(&ground.ours, &format!("/attachments/{digest}"));
    assert_eq!(down.status, 200, "{down:?}");
    assert_eq!(down.body, PDF);
    let head = |name: &str| down.headers[name].to_str().expect("text").to_owned();
    assert_eq!(
        head("content-disposition"),
        "attachment; filename*=UTF-8''%E6%8A%A5%E5%91%8A%20%22a%22.html"
    );
    assert_eq!(head("content-type"), "text/html");
    assert_eq!(head("x-content-type-options"), "nosniff");
    assert!(head("content-security-policy").contains("sandbox"));
}

#[test]
fn a_large_file_is_streamed_and_counted_right() {
    let ground = ground();
    let bytes: Vec<u8> = (0..20_u32 << 20).map(|at| (at % 251) as u8).collect();
    let made = ground.upload(&ground.ours, "large.bin", "application/octet-stream", &bytes);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json["bytes"], bytes.len());
    let down = ground.get(&ground.ours, &format!("/attachments/{}", Digest::of(&bytes)));
    assert!(down.body == bytes, "{} bytes came", down.body.len());
}

#[test]
fn another_customer_sees_and_changes_nothing_and_nobody_files_by_a_readers_token() {
    let ground = ground();
    ground.upload(&ground.ours, "a.pdf", "application/pdf", PDF);
    let digest = Digest::of(PDF);
    let refused = ground.upload(&ground.theirs, "b.pdf", "application/pdf", b"theirs");
    assert_eq!(code(&refused), (404, "not-found"));
    for part in ["/attachments".to_owned(), format!("/attachments/{digest}")] {
        assert_eq!(code(&ground.get(&ground.theirs, &part)), (404, "not-found"));
    }
    let auditor = ground.site.token("sun.li", "auditor", None).expect("a token");
    let refused = ground.upload(&auditor, "c.pdf", "application/pdf", b"c");
    assert_eq!(code(&refused), (403, "wrong-role"));
    let list = ground.get(&auditor, "/attachments");
    assert_eq!(list.json.as_array().map(Vec::len), Some(1), "{list:?}");
    for token in [&ground.ours, &ground.theirs] {
        let answer = ground.site.get(token, "/v1/platform/attachments").expect("an answer");
        assert_eq!(code(&answer), (403, "wrong-role"));
    }
}

#[test]
fn a_bad_upload_is_refused_with_what_to_do_and_leaves_nothing() {
    let ground = ground();
    let pdf = "application/pdf";
    for (name, media, bytes, expected) in [
        ("", pdf, PDF, (422, "invalid-input")),
        ("..%2Fa", pdf, PDF, (422, "invalid-input")),
        ("a%0D%0Ab", pdf, PDF, (422, "invalid-input")),
        ("a.pdf", "application/pdf; charset=x", PDF, (422, "invalid-input")),
        ("a.pdf", "pdf", PDF, (422, "invalid-input")),
        ("a.pdf", pdf, b"", (422, "invalid-input")),
        ("a.pdf&extra=1", pdf, PDF, (400, "invalid-query")),
    ] {
        let answer = ground.upload(&ground.ours, name, media, bytes);
        assert_eq!(code(&answer), expected, "{name} {media}: {answer:?}");
    }
    let bearer = format!("Bearer {}", ground.ours);
    let path = format!("{}/attachments", ground.tenant);
    let headers = [("authorization", bearer.as_str()), ("content-type", pdf)];
    let answer = ground.site.send("POST", &path, &headers, PDF).expect("an answer");
    assert_eq!(code(&answer), (400, "invalid-query"), "without a name");
    for digest in ["0".repeat(64), "nonsense".to_owned(), "..%2F..%2Fca.key".to_owned()] {
        let answer = ground.get(&ground.ours, &format!("/attachments/{digest}"));
        assert!((400..500).contains(&answer.status), "{digest}: {answer:?}");
    }
    assert_eq!(ground.get(&ground.ours, "/attachments").json, json!([]));
    let incoming = ground.site.state.join("attachments").join("incoming");
    let left = std::fs::read_dir(incoming).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "nothing is left half-way");
}

#[test]
fn a_file_that_is_damaged_on_disk_is_an_error_and_is_not_given_out() {
    let ground = ground();
    ground.upload(&ground.ours, "a.pdf", "application/pdf", PDF);
    let digest = Digest::of(PDF).to_string();
    let mut bytes = std::fs::read(ground.stored(&digest)).expect("it is there");
    assert_eq!(bytes, PDF);
    bytes[3] ^= 1;
    #[allow(clippy::disallowed_methods, reason = "damages a file on purpose")]
    std::fs::write(ground.stored(&digest), &bytes).expect("damaged");
    let part = format!("/attachments/{digest}");
    let answer = ground.get(&ground.ours, &part);
    assert_eq!(code(&answer), (500, "attachment-damaged"));
    assert!(!answer.headers.contains_key("content-disposition"), "{answer:?}");
    let mended = ground.upload(&ground.ours, "a.pdf", "application/pdf", PDF);
    assert_eq!(mended.status, 200, "{mended:?}");
    assert_eq!(ground.get(&ground.ours, &part).body, PDF);
}

#[test]
fn the_journal_has_both_digests_and_the_ledger_neither() {
    let ground = ground();
    let made = ground.upload(&ground.ours, "a.pdf", "application/pdf", PDF);
    let journal = ground.get(&ground.ours, "/journal");
    let rows = journal.json.as_array().expect("rows");
    let row: &Value = rows.last().expect("a row");
    assert_eq!(row["kind"], "attachment-filed");
    assert_eq!(row["body"]["sha256"], made.json["sha256"]);
    assert_eq!(row["body"]["sm3"], made.json["sm3"]);
    let note = ground.site.get(&ground.site.admin, "/v1/ledger/checkpoint").expect("an answer");
    let note = String::from_utf8(note.body).expect("a note");
    let size = note.lines().nth(1).expect("the tree's size");
    let tile = format!("/v1/ledger/tile/entries/000.p/{size}");
    let tile = ground.site.get(&ground.site.admin, &tile).expect("an answer");
    assert_eq!(tile.status, 200, "{tile:?}");
    let text = String::from_utf8_lossy(&tile.body).into_owned();
    assert!(text.contains("attachment-filed"), "{text}");
    for digest in ["sha256", "sm3"] {
        let digest = made.json[digest].as_str().expect("a digest");
        assert!(!text.contains(digest), "an unsalted digest stands in the ledger");
    }
    assert!(!text.contains("a.pdf"), "{text}");
}
