//! Attachments over the API, from outside: what goes up comes down unchanged or not at all, to
//! those alone whose it is.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tenure_controller::{
    clock::Clock,
    core::{
        attachment::Label,
        lifecycle::{Actor, Role},
    },
};
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
    ground_with("")
}

fn ground_with(more: &str) -> Ground {
    let site = InProcess::start_with(Clock::staged(), more).expect("a controller");
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

#[test]
fn a_customer_has_one_quota_for_all_its_tenants_and_takes_nothing_of_others() {
    let mut ground = ground_with("[quotas]\ncustomer_bytes = 100\ncustomer_open = 2\n");
    let pdf = "application/pdf";
    let first = ground.tenant.clone();
    assert_eq!(ground.upload(&ground.ours, "a.pdf", pdf, &[1; 60]).status, 201);
    let apply = |ground: &Ground, token: &str, customer: &str| {
        ground.site.post(token, "/v1/applications", &application(customer)).expect("an answer")
    };
    let second = apply(&ground, &ground.ours, "city-archive");
    assert_eq!(second.status, 201, "{second:?}");
    let id = second.json["id"].as_str().expect("an id").to_owned();
    ground.tenant = format!("/v1/tenants/{id}");
    let full = ground.upload(&ground.ours, "b.pdf", pdf, &[2; 60]);
    assert_eq!(code(&full), (507, "attachments-full"));
    assert!(full.json["detail"].as_str().is_some_and(|text| text.contains("of at most")));
    assert_eq!(ground.upload(&ground.ours, "b.pdf", pdf, &[2; 40]).status, 201);
    let operator = ground.site.token("wang.lei", "operator", None).expect("a token");
    let paper = ground.upload(&operator, "c.pdf", pdf, &[3; 200]);
    assert_eq!(paper.status, 201, "the provider's papers do not count: {paper:?}");

    let third = apply(&ground, &ground.ours, "city-archive");
    assert_eq!(code(&third), (409, "too-many-applications"));
    let draft = ground
        .site
        .post(&ground.ours, "/v1/drafts", &application("city-archive"))
        .expect("an answer");
    assert_eq!(code(&draft), (409, "too-many-applications"));
    assert_eq!(apply(&ground, &ground.theirs, "water-bureau").status, 201);
    let reason = json!({"reason": "no budget"});
    let path = format!("{first}/withdrawal");
    let over = ground.site.post(&ground.ours, &path, &reason).expect("an answer");
    assert_eq!(over.status, 200, "{over:?}");
    assert_eq!(apply(&ground, &ground.ours, "city-archive").status, 201);
}

#[test]
fn a_tenant_whose_way_has_ended_takes_papers_of_the_provider_alone() {
    let ground = ground();
    let reviewer = ground.site.token("li.na", "reviewer", None).expect("a token");
    let no = json!({"decision": "reject", "opinion": "not on this platform"});
    let path = format!("{}/review", ground.tenant);
    let answer = ground.site.post(&reviewer, &path, &no).expect("an answer");
    assert_eq!(answer.json["phase"], "rejected", "{answer:?}");
    let refused = ground.upload(&ground.ours, "a.pdf", "application/pdf", PDF);
    assert_eq!(code(&refused), (409, "wrong-phase"));
    assert_eq!(ground.upload(&reviewer, "a.pdf", "application/pdf", PDF).status, 201);
}

#[test]
fn a_disk_that_is_nearly_full_takes_nothing_in_and_says_so() {
    let ground = ground_with("[quotas]\nfree_bytes = 9223372036854775807\n");
    let refused = ground.upload(&ground.ours, "a.pdf", "application/pdf", PDF);
    assert_eq!(code(&refused), (507, "storage-low"));
    assert_eq!(ground.get(&ground.ours, "/attachments").json, json!([]));
}

#[test]
fn of_two_uploads_that_fit_alone_the_one_that_is_refused_leaves_no_file() {
    let ground = ground_with("[quotas]\ncustomer_bytes = 100\n");
    let id = ground.tenant.rsplit('/').next().expect("an id").parse().expect("an id");
    let customer = Some("city-archive".to_owned());
    let actor = Actor { name: "zhang.wei".to_owned(), role: Role::Customer, customer };
    let engine = ground.site.engine().clone();
    // Both have been let in before the first byte of either comes.
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let upload = |byte: u8| {
        let (both, engine, actor) = (both.clone(), engine.clone(), actor.clone());
        async move {
            let label = Label { name: "a".to_owned(), media_type: "text/plain".to_owned() };
            let bytes = Box::pin(stream::once(async move {
                both.wait().await;
                Ok::<_, Infallible>(Bytes::from(vec![byte; 60]))
            }));
            engine.attach(&actor, Some(id), label, None, bytes).await
        }
    };
    let (one, two) = ground.site.runtime().block_on(async { tokio::join!(upload(1), upload(2)) });
    let (filed, refused) = if one.is_ok() { (one, two) } else { (two, one) };
    filed.expect("one of them");
    let refused = refused.expect_err("the other").to_string();
    assert!(refused.contains("60 bytes"), "{refused}");
    let listed = ground.get(&ground.ours, "/attachments");
    let digest = listed.json[0]["sha256"].as_str().expect("the filed one").to_owned();
    let folder = ground.stored(&digest).parent().expect("a folder").to_owned();
    let files: Vec<_> = std::fs::read_dir(folder).expect("a folder").flatten().collect();
    let names: Vec<_> = files.iter().map(std::fs::DirEntry::file_name).collect();
    assert_eq!(names, [digest.as_str()]);
}
