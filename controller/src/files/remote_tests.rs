//! Against a small double of an S3-compatible store, which speaks as much of the protocol as is
//! needed and checks that every request is signed.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tenure_protocol::digest::Digest;
use uuid::Uuid;

use super::*;
use crate::files::tests::{filed, whole};

const ID: Uuid = Uuid::from_u128(9);
const CHANGED: &str = "2026-09-01T00:00:00.000Z";

#[derive(Clone, Default)]
struct Double {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    parts: Arc<Mutex<BTreeMap<u32, Bytes>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn part_number(query: &str) -> u32 {
    let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
    number.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn xml(body: String) -> Response {
    ([("content-type", "application/xml")], body).into_response()
}

async fn answer(
    State(double): State<Double>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = header("authorization").is_some_and(|text| {
        text.starts_with("AWS4-HMAC-SHA256 Credential=name/") && text.contains("Signature=")
    });
    if !signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    let key = uri.path().trim_start_matches("/bucket").trim_start_matches('/').to_owned();
    let query = uri.query().unwrap_or_default();
    locked(&double.seen).push(format!("{method} {key}?{query}"));
    let mut objects = locked(&double.objects);
    match (method.as_str(), query) {
        ("POST", "uploads" | "uploads=") => {
            locked(&double.parts).clear();
            xml("<InitiateMultipartUploadResult><UploadId>1</UploadId>\
                 </InitiateMultipartUploadResult>"
                .to_owned())
        }
        ("PUT", query) if query.contains("partNumber=") => {
            locked(&double.parts).insert(part_number(query), body);
            ([("etag", "\"part\"")], "").into_response()
        }
        ("POST", query) if query.contains("uploadId=") => {
            let parts = locked(&double.parts);
            let whole: Vec<u8> = parts.values().flat_map(|part| part.to_vec()).collect();
            objects.insert(key, whole.into());
            xml("<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
                .to_owned())
        }
        ("PUT", _) => {
            let source = header("x-amz-copy-source").unwrap_or_default();
            let source = source.trim_start_matches('/').trim_start_matches("bucket/");
            let Some(copied) = objects.get(source).cloned() else {
                return StatusCode::NOT_FOUND.into_response();
            };
            objects.insert(key, copied);
            xml("<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>".to_owned())
        }
        ("DELETE", query) => {
            if !query.contains("uploadId=") {
                objects.remove(&key);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        ("GET", query) if query.contains("list-type=2") => {
            let listed: String = objects
                .iter()
                .map(|(key, bytes)| {
                    format!(
                        "<Contents><Key>{key}</Key><LastModified>{CHANGED}</LastModified>\
                         <Size>{}</Size><ETag>\"e\"</ETag></Contents>",
                        bytes.len()
                    )
                })
                .collect();
            xml(format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>{listed}\
                 </ListBucketResult>"
            ))
        }
        ("GET", _) => match objects.get(&key).cloned() {
            Some(bytes) => {
                let head = [("last-modified", "Tue, 01 Sep 2026 00:00:00 GMT"), ("etag", "\"e\"")];
                (head, bytes).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

struct Ground {
    double: Double,
    files: Files,
    settings: S3,
    _dir: tempfile::TempDir,
}

async fn ground() -> Ground {
    // Another test of this process may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let double = Double::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().fallback(answer).with_state(double.clone());
    tokio::spawn(async move {
        axum_server::from_tcp(listener.into_std()?)?.serve(router.into_make_service()).await
    });
    let dir = tempfile::tempdir().expect("a directory");
    let key_file = dir.path().join("key");
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.write(true).create(true).mode(0o600).open(&key_file).expect("a file");
    file.write_all(b"name\nsecret\n").expect("written");
    let settings = S3 {
        endpoint,
        bucket: "bucket".to_owned(),
        prefix: "attachments".to_owned(),
        region: region(),
        key_file,
        authorities: None,
        plain_http: true,
    };
    let files = Files::s3(&settings).expect("files");
    Ground { double, files, settings, _dir: dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_into_the_bucket_under_its_digest_and_a_damaged_one_is_not_given_out() {
    let ground = ground().await;
    let known = filed(&ground.files, None, &[b"abc"]).await;
    let key = format!("attachments/platform/{}", Digest::of(b"abc"));
    assert_eq!(locked(&ground.double.objects).keys().collect::<Vec<_>>(), [&key]);
    assert_eq!(whole(&ground.files, None, &known).await.expect("whole"), b"abc");
    locked(&ground.double.objects).insert(key.clone(), Bytes::from_static(b"abd"));
    let read = whole(&ground.files, None, &known).await;
    assert!(matches!(read, Err(FilesError::Damaged { .. })), "{read:?}");
    locked(&ground.double.objects).remove(&key);
    let read = whole(&ground.files, None, &known).await;
    assert!(matches!(read, Err(FilesError::Damaged { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_is_taken_back_and_leftovers_of_killed_runs_are_swept() {
    let ground = ground().await;
    let broken = stream::iter([Ok(Bytes::from_static(b"ab")), Err(())]);
    let broken = ground.files.receive(ID, (100, None), broken).await;
    assert!(matches!(broken, Err(FilesError::Broken)), "{broken:?}");
    let seen = locked(&ground.double.seen).clone();
    assert!(
        seen.iter().any(|one| one.starts_with("DELETE") && one.contains("uploadId")),
        "{seen:?}"
    );
    let known = filed(&ground.files, None, &[b"abc"]).await;
    let stream = stream::iter([Ok::<_, ()>(Bytes::from_static(b"half"))]);
    ground.files.receive(ID, (100, None), stream).await.expect("received");
    let at: Timestamp = CHANGED.parse().expect("an instant");
    ground.files.sweep(at.plus_ms(LEFTOVER_MS)).await.expect("swept");
    assert_eq!(locked(&ground.double.objects).len(), 2, "it may be under way elsewhere");
    ground.files.sweep(at.plus_ms(LEFTOVER_MS + 1)).await.expect("swept");
    assert_eq!(locked(&ground.double.objects).len(), 1);
    assert_eq!(whole(&ground.files, None, &known).await.expect("whole"), b"abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_may_read_or_that_is_none_is_refused_with_what_to_do() {
    let ground = ground().await;
    let path = ground.settings.key_file.clone();
    let refused = |mode: u32, text: &str| {
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.write(true).truncate(true).open(&path).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file.set_permissions(std::fs::Permissions::from_mode(mode)).expect("changed");
        Files::s3(&ground.settings).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused(0o640, "name\nsecret\n").contains("chmod 600"));
    assert!(refused(0o600, "name\n").contains("second"));
    assert!(refused(0o600, "a\nb\nc\n").contains("second"));
    assert_eq!(refused(0o600, "name\nsecret\n"), "");
}
