use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutPayload;
use tenure_protocol::time::Timestamp;
use uuid::Uuid;

use super::*;

const OWNER: Option<TenantId> = Some(TenantId::from_uuid(Uuid::from_u128(7)));
const ID: Uuid = Uuid::from_u128(9);
/// SM3 of "abc" (GB/T 32905-2016, A.1).
const SM3_ABC: &str = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";

struct Ground {
    dir: tempfile::TempDir,
    files: Files,
}

fn ground() -> Ground {
    let dir = tempfile::tempdir().expect("a directory");
    let files = Files::local(dir.path(), 0).expect("files");
    Ground { dir, files }
}

fn parts(parts: &[&'static [u8]]) -> impl Stream + use<> {
    stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part))).collect::<Vec<_>>())
}

trait Stream: futures_util::Stream<Item = std::result::Result<Bytes, ()>> + Unpin + Send {}
impl<T: futures_util::Stream<Item = std::result::Result<Bytes, ()>> + Unpin + Send> Stream for T {}

/// A file that has come in and is kept with its owner.
pub(super) async fn filed(
    files: &Files,
    owner: Option<TenantId>,
    bytes: &[&'static [u8]],
) -> Attachment {
    let received = files.receive(ID, (1 << 20, None), parts(bytes)).await.expect("received");
    files.keep(&received, owner).await.expect("kept");
    Attachment {
        sha256: received.sha256,
        sm3: received.sm3,
        bytes: received.bytes,
        name: "a".to_owned(),
        media_type: "text/plain".to_owned(),
        filed_by: "li".to_owned(),
        filed_at: Timestamp::from_unix_ms(0),
    }
}

/// Its bytes, once all of them were found to be right.
pub(super) async fn whole(
    files: &Files,
    owner: Option<TenantId>,
    known: &Attachment,
) -> Result<Vec<u8>> {
    let content = files.content(owner, known).await?;
    let parts: Vec<Bytes> = content.try_collect().await?;
    Ok(parts.concat())
}

/// Every file under the directory, by its path there.
fn all(ground: &Ground) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![ground.dir.path().to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let path = path.strip_prefix(ground.dir.path()).expect("under it");
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_file_is_kept_under_its_digest_and_read_as_it_came() {
    let ground = ground();
    let known = filed(&ground.files, OWNER, &[b"a", b"", b"bc"]).await;
    assert_eq!(known.sha256, Digest::of(b"abc"));
    assert_eq!(known.sm3.to_string(), SM3_ABC);
    assert_eq!(known.bytes, 3);
    let place = format!("{}/{}", owner_name(OWNER), known.sha256);
    assert_eq!(all(&ground), [place]);
    assert_eq!(whole(&ground.files, OWNER, &known).await.expect("whole"), b"abc");
}

#[tokio::test]
async fn a_damaged_shortened_or_missing_file_is_an_error_and_filing_it_again_mends_it() {
    let ground = ground();
    let known = filed(&ground.files, OWNER, &[b"abc"]).await;
    let place = place(OWNER, known.sha256);
    for damaged in [&b"abd"[..], b"ab", b"abcd", b""] {
        let payload = PutPayload::from(damaged.to_vec());
        ground.files.store.put(&place, payload).await.expect("damaged");
        let read = whole(&ground.files, OWNER, &known).await;
        assert!(matches!(read, Err(FilesError::Damaged { .. })), "{damaged:?}: {read:?}");
    }
    ground.files.store.delete(&place).await.expect("removed");
    let read = whole(&ground.files, OWNER, &known).await;
    assert!(matches!(read, Err(FilesError::Damaged { .. })), "{read:?}");
    filed(&ground.files, OWNER, &[b"abc"]).await;
    assert_eq!(whole(&ground.files, OWNER, &known).await.expect("whole"), b"abc");
}

#[tokio::test]
async fn a_file_that_changes_while_it_goes_out_breaks_off_before_its_end() {
    let ground = ground();
    let known = filed(&ground.files, OWNER, &[b"abc"]).await;
    let place = place(OWNER, known.sha256);
    read::check(&ground.files.store, &place, &known).await.expect("sound");
    ground.files.store.put(&place, PutPayload::from_static(b"abd")).await.expect("damaged");
    let content = read::content(&ground.files.store, &place, &known).await.expect("opened");
    let parts: Vec<_> = futures_util::StreamExt::collect(content).await;
    assert!(matches!(parts.as_slice(), [Err(FilesError::Damaged { .. })]), "{parts:?}");
}

#[tokio::test]
async fn what_is_too_large_or_broken_off_leaves_nothing() {
    let ground = ground();
    let large = ground.files.receive(ID, (3, None), parts(&[b"ab", b"cd"])).await;
    assert!(matches!(large, Err(FilesError::TooLarge)), "{large:?}");
    let broken = stream::iter([Ok(Bytes::from_static(b"ab")), Err(())]);
    let broken = ground.files.receive(ID, (100, None), broken).await;
    assert!(matches!(broken, Err(FilesError::Broken)), "{broken:?}");
    let refused = ground.files.receive(ID, (100, None), parts(&[b"ab"])).await.expect("received");
    ground.files.discard(&refused).await;
    assert_eq!(all(&ground), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_killed_run_left_half_way_is_gone_at_the_next_start() {
    let ground = ground();
    let known = filed(&ground.files, OWNER, &[b"abc"]).await;
    let received =
        ground.files.receive(ID, (100, None), parts(&[b"half"])).await.expect("received");
    drop(received);
    assert_eq!(all(&ground).len(), 2);
    let files = Files::local(ground.dir.path(), 0).expect("files");
    assert_eq!(all(&ground).len(), 1);
    assert_eq!(whole(&files, OWNER, &known).await.expect("whole"), b"abc");
}

#[tokio::test]
async fn a_slow_sender_is_ended_and_one_that_is_fast_enough_is_not() {
    let mut ground = ground();
    let within = Duration::from_millis(100);
    ground.files.slowest = Slowest { bytes: 4, within };
    // A part in each half of the time: one byte is too few, four are enough.
    for (part, ends) in [(&b"a"[..], false), (b"abcd", true)] {
        let drops = stream::iter(0..6).then(move |_| async move {
            tokio::time::sleep(within / 2).await;
            Ok::<_, ()>(Bytes::from_static(part))
        });
        let received = ground.files.receive(ID, (100, None), Box::pin(drops)).await;
        assert_eq!(received.is_ok(), ends, "{received:?}");
        assert!(ends || matches!(received, Err(FilesError::TooSlow)), "{received:?}");
    }
    let silent = stream::pending::<std::result::Result<Bytes, ()>>();
    let silent = ground.files.receive(ID, (100, None), silent).await;
    assert!(matches!(silent, Err(FilesError::TooSlow)), "{silent:?}");
    assert_eq!(all(&ground).len(), 1, "the fast one's alone");
}

#[tokio::test]
async fn nothing_is_taken_in_once_the_disk_is_nearly_full() {
    let ground = ground();
    for (floor, announced) in [(u64::MAX, None), (0, Some(u64::MAX))] {
        let files = Files::local(ground.dir.path(), floor).expect("files");
        let refused = files.receive(ID, (100, announced), parts(&[b"a"])).await;
        assert!(matches!(refused, Err(FilesError::NoSpace)), "{refused:?}");
    }
    // The disk may fill up meanwhile.
    let mut files = ground.files.clone();
    let large: &'static [u8] = vec![0; receive::PART_BYTES].leak();
    let directory = ground.dir.path().to_owned();
    files.disk = Some(Arc::new(Disk { directory, floor_bytes: u64::MAX }));
    let room = u64::MAX;
    let mut writer = files.begin(&Path::from("incoming/x")).await.expect("begun");
    let written = files.write(&mut writer, room, parts(&[large])).await;
    assert!(matches!(written, Err(FilesError::NoSpace)));
    writer.abort().await.expect("removed");
    assert_eq!(all(&ground), Vec::<String>::new());
}
