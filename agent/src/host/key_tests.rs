use super::*;

#[test]
fn a_key_is_erased_on_its_own_blocks_and_an_erased_one_is_told_apart() {
    let dir = std::env::temp_dir().join(format!("tenure-key-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("directory");
    let store = KeyStore::new(&dir);
    let volume = VolumeId::from_uuid(uuid::Uuid::from_u128(1));
    let key = store.ensure(volume).expect("key");
    assert_eq!(key.reveal().len(), 64);
    assert_eq!(format!("{key:?}"), "Passphrase");
    assert_eq!(store.ensure(volume).expect("key").reveal(), key.reveal());
    let path = store.path(volume);
    assert_eq!(fs::metadata(&path).expect("stat").mode() & 0o777, 0o600);
    let held = File::open(&path).expect("open");
    let facts = store.erase(volume).expect("erased");
    assert_eq!(facts.copies, 1);
    assert!(store.is_gone(volume).expect("looked"));
    let mut left = vec![1; KEY_FILE_BYTES];
    held.read_exact_at(&mut left, 0).expect("the removed file is still open here");
    assert!(left.iter().all(|byte| *byte == 0), "overwritten before it was removed");
    assert_eq!(store.erase(volume).expect("nothing").copies, 0);
    fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn a_damaged_key_is_told_apart_from_a_missing_one() {
    let dir = std::env::temp_dir().join(format!("tenure-damaged-key-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("directory");
    let store = KeyStore::new(&dir);
    let volume = VolumeId::from_uuid(uuid::Uuid::from_u128(2));
    assert!(matches!(store.key(volume), Err(KeyFailure::Missing { .. })));
    File::create(store.path(volume)).and_then(|mut f| f.write_all(b"short")).expect("written");
    assert!(matches!(store.key(volume), Err(KeyFailure::Damaged { .. })));
    fs::remove_dir_all(&dir).expect("removed");
}
