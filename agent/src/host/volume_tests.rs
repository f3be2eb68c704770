use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

/// A store in a directory of its own on a file system with direct access.
struct Fixture {
    dir: PathBuf,
    store: VolumeStore,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tenure-volume-{name}-{}", std::process::id()));
        let (volumes, keys) = (dir.join("volumes"), dir.join("keys"));
        for path in [&volumes, &keys] {
            fs::create_dir_all(path).expect("directory");
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("mode");
        }
        let store = VolumeStore::new(&volumes, &[], &keys, Path::new("qemu-img"));
        Self { dir, store }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn volume(low: u128) -> VolumeId {
    VolumeId::from_uuid(uuid::Uuid::from_u128(0x0189_0a5d_ac96_774b_0000_0000_0000_0000 + low))
}

/// Whether `qemu-img` is there; says so if it is not.
fn qemu_img() -> bool {
    let found = super::super::process::run(&["qemu-img", "--version"], b"", &[]).is_ok();
    if !found {
        eprintln!("SKIPPED: qemu-img is not installed (apt-get install qemu-utils)");
    }
    found
}

#[test]
fn a_volume_is_made_once_opens_with_its_key_alone_and_not_after_its_header_is_gone() {
    if !qemu_img() {
        return;
    }
    let fixture = Fixture::new("life");
    let store = &fixture.store;
    let (one, two) = (volume(1), volume(2));
    File::create(store.partial_path(one)).expect("half made");
    let made = store.create(one, 8 << 20).expect("made");
    assert_eq!(made.header_bytes, 2_068_480);
    assert_eq!(made.size_bytes, 8 << 20);
    assert!(!store.partial_path(one).exists());
    let before = fs::metadata(&made.path).expect("stat").modified().expect("time");
    assert_eq!(store.create(one, 8 << 20).expect("kept"), made);
    assert_eq!(fs::metadata(&made.path).expect("stat").modified().expect("time"), before);
    let wrong_size = store.create(one, 9 << 20).expect_err("another size");
    assert!(matches!(wrong_size, VolumeFailure::SizeDiffers { .. }), "{wrong_size}");

    assert!(store.open(one).is_ok());
    let key = store.key(one).expect("key");
    let other = store.keys.ensure(two).expect("key");
    assert!(store.opens(one, &key).expect("asked"));
    assert!(!store.opens(one, &other).expect("asked"), "a wrong key is refused");
    assert_eq!(store.list().expect("list"), vec![one, two]);

    let facts = store.erase_key(one).expect("erased");
    assert_eq!(facts.copies, 1);
    assert_eq!(facts.overwritten_bytes, 4096);
    let missing = store.create(one, 8 << 20).expect_err("no key");
    assert!(matches!(missing, VolumeFailure::Key(KeyFailure::Missing { .. })), "{missing}");
    let file = OpenOptions::new().write(true).open(&made.path).expect("open");
    file.write_all_at(&vec![0; 2_068_480], 0).expect("overwrite");
    assert!(!store.opens(one, &key).expect("asked"), "a wiped volume opens with no key");
    assert!(matches!(store.describe(one), Err(VolumeFailure::NoHeader { .. })));
}

#[test]
fn a_key_directory_that_others_can_read_is_refused() {
    let fixture = Fixture::new("mode");
    let keys = fixture.dir.join("keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).expect("mode");
    let refused = fixture.store.create(volume(1), 1 << 20).expect_err("exposed").to_string();
    assert!(refused.contains("chmod 0700"), "{refused}");
}

#[test]
fn a_missing_qemu_img_is_a_clear_failure_that_leaves_nothing_half_made() {
    let mut fixture = Fixture::new("missing");
    fixture.store.qemu_img = PathBuf::from("tenure-no-qemu-img");
    let failure = fixture.store.create(volume(1), 1 << 20).expect_err("not installed");
    assert!(matches!(&failure, VolumeFailure::Create { source, .. } if source.is_not_installed()));
    assert!(!fixture.store.path(volume(1)).exists());
}
