//! A database whose file is removed under it.

use super::*;

#[tokio::test]
async fn a_removed_database_takes_no_more_writes_and_none_is_made_in_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("controller.db");
    let store = Store::open(&path).await.expect("a database");
    drop(store.write().await.expect("a transaction"));
    std::fs::rename(&path, dir.path().join("away")).expect("renamed");
    let refused = store.write_at_once().await.expect_err("nothing is written into a lost file");
    assert!(refused.to_string().contains("put the file back"), "{refused}");
    // Connections that are made now open what is there: nothing.
    let mut readers = Vec::new();
    while readers.len() < READERS as usize {
        let Ok(reader) = store.read().await else { break };
        readers.push(reader);
    }
    assert!(!path.exists(), "a second database was made");
    drop(std::fs::File::create(&path).expect("made"));
    assert!(matches!(store.write().await, Err(StoreError::Removed { .. })), "another file");
    std::fs::rename(dir.path().join("away"), &path).expect("renamed");
    drop(store.write().await.expect("it is back"));
}
