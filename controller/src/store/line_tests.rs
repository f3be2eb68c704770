//! Who writes before whom, and what a commit does not have to do.

use std::sync::Mutex;

use super::*;

/// Writers that stand in line before the one that does not.
const IN_LINE: usize = 12;

#[tokio::test]
async fn who_must_not_wait_writes_before_all_who_stand_in_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("controller.db")).await.expect("a database");
    let under_way = store.write().await.expect("a transaction");
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut all = tokio::task::JoinSet::new();
    for number in 0..=IN_LINE {
        let (store, order) = (store.clone(), order.clone());
        all.spawn(async move {
            let at_once = number == IN_LINE;
            let tx = if at_once { store.write_at_once().await } else { store.write().await };
            let tx = tx.expect("a transaction");
            order.lock().expect("no panic").push(number);
            commit(tx).await.expect("committed");
        });
        // One thread: it goes on only when it waits.
        tokio::task::yield_now().await;
    }
    commit(under_way).await.expect("committed");
    while let Some(ended) = all.join_next().await {
        ended.expect("no panic");
    }
    let order = order.lock().expect("no panic").clone();
    let before = order.iter().position(|number| *number == IN_LINE);
    assert_eq!(before, Some(1), "one was next already: {order:?}");
    let others: Vec<_> = order.iter().copied().filter(|number| *number != IN_LINE).collect();
    assert_eq!(others, (0..IN_LINE).collect::<Vec<_>>(), "the others keep their order");
}

#[tokio::test]
async fn what_was_committed_is_written_back_beside_the_commits_and_never_within_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("controller.db");
    let store = Store::open(&path).await.expect("a database");
    store.write_back().await.expect("written back");
    let before = std::fs::metadata(&path).expect("the file").len();
    // More than SQLite's own limit of 1,000 pages.
    for number in 0..40 {
        let mut tx = store.write().await.expect("a transaction");
        let value = "x".repeat(200 * 1024);
        super::set_meta(&mut tx, &format!("test-{number}"), &value).await.expect("kept");
        super::commit(tx).await.expect("committed");
    }
    let unwritten = std::fs::metadata(&path).expect("the file").len();
    assert_eq!(unwritten, before, "a commit only appends to the log");
    assert_eq!(store.write_back().await.expect("written back"), 0);
    let written = std::fs::metadata(&path).expect("the file").len();
    assert!(written > before + 40 * 200 * 1024, "{written}");
}
