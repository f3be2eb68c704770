use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use tenure_protocol::evidence::merkle::{
    leaf_hash, node_hash, verify_consistency, verify_inclusion,
};

use super::*;

/// A directory of this test alone, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ledger-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn dir(&self) -> PathBuf {
        self.0.join("ledger")
    }

    fn open(&self) -> Result<Ledger, LedgerError> {
        Ledger::open(&self.dir(), "ledger.test", SigningKey::from_bytes(&[9; 32]))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

fn entries(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(entry).collect()
}

fn fill(ledger: &mut Ledger, to: u64) {
    while ledger.size() < to {
        let from = ledger.size();
        let end = to.min(from + 200);
        let indices = ledger.append(&entries(from, end)).expect("appended");
        assert_eq!(indices, (from..end).collect::<Vec<_>>());
    }
}

fn brute_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&brute_root(&leaves[..k]), &brute_root(&leaves[k..]))
        }
    }
}

fn leaves(size: u64) -> Vec<Digest> {
    (0..size).map(|number| leaf_hash(&entry(number))).collect()
}

fn head(ledger: &Ledger) -> Checkpoint {
    Checkpoint::open(ledger.checkpoint().as_bytes(), ledger.verifier()).expect("its own")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for item in fs::read_dir(from).expect("a directory") {
        let item = item.expect("an item");
        let target = to.join(item.file_name());
        if item.file_type().expect("a type").is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).expect("copied");
        }
    }
}

#[test]
fn roots_and_proofs_are_those_of_a_brute_force_tree_at_every_edge_of_a_tile() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    let mut old: Vec<Checkpoint> = vec![head(&ledger)];
    for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 700] {
        fill(&mut ledger, size);
        let checkpoint = head(&ledger);
        let leaves = leaves(size);
        assert_eq!((checkpoint.size, checkpoint.root), (size, brute_root(&leaves)));
        for index in [0, size / 3, size / 2, size - 1] {
            let InclusionProof { proof, .. } = ledger.proof(index).expect("a proof");
            let leaf = leaf_hash(&ledger.entry(index).expect("an entry"));
            let checked = verify_inclusion(&leaf, index, size, &proof, &checkpoint.root);
            assert_eq!(checked, Ok(()), "{index} of {size}");
        }
        for old in &old {
            let proof = ledger.consistency(old.size).expect("a proof");
            let root = &checkpoint.root;
            assert_eq!(verify_consistency(old.size, &old.root, size, root, &proof), Ok(()));
        }
        old.push(checkpoint);
    }
    assert!(matches!(ledger.proof(700), Err(LedgerError::NoEntry { .. })));
}

#[test]
fn a_tree_of_three_levels_of_tiles_gives_its_root_after_a_restart() {
    let place = Place::new();
    let size = 256 * 256 + 300;
    let mut edge = Edge::default();
    let mut tiles = Vec::new();
    for number in 0..size {
        edge.push(entry(number), &mut tiles);
    }
    tiles.extend(edge.partial_tiles());
    let leaves = leaves(size);
    assert_eq!(edge.root().expect("complete"), brute_root(&leaves));
    drop(place.open().expect("a new ledger"));
    files::write_tiles(&place.dir(), &tiles, &mut BTreeSet::new()).expect("written");
    let mut read = start::reader(&place.dir(), size);
    let root = merkle::root(size, &mut read).expect("all tiles");
    for index in [0, 65_535, 65_536, size - 1] {
        let proof = merkle::inclusion_proof(index, size, &mut read).expect("all tiles");
        let leaf = &leaves[usize::try_from(index).expect("small")];
        assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()));
    }
}

#[test]
fn a_ledger_goes_on_where_it_was_after_a_restart() {
    let place = Place::new();
    for size in [1, 200, 256, 300, 512, 600] {
        let mut ledger = place.open().expect("whole");
        fill(&mut ledger, size);
        assert_eq!(head(&ledger).root, brute_root(&leaves(size)));
    }
    let ledger = place.open().expect("whole");
    assert_eq!(ledger.size(), 600);
    assert_eq!(ledger.entry(599).expect("an entry"), entry(599));
}

#[test]
fn a_second_writer_is_refused() {
    let place = Place::new();
    let _first = place.open().expect("a new ledger");
    assert!(matches!(place.open(), Err(LedgerError::InUse { .. })));
}

#[test]
fn an_entry_that_is_asked_for_again_keeps_its_place_also_after_a_restart() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    fill(&mut ledger, 300);
    assert_eq!(ledger.append(&entries(298, 302)).expect("appended"), [298, 299, 300, 301]);
    drop(ledger);
    let mut ledger = place.open().expect("whole");
    assert_eq!(ledger.append(&entries(150, 152)).expect("nothing new"), [150, 151]);
    assert_eq!(ledger.size(), 302);
}

#[test]
fn a_crash_before_the_publishing_is_made_good() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    fill(&mut ledger, 255);
    let before = ledger.checkpoint().to_owned();
    fill(&mut ledger, 260);
    let after = ledger.checkpoint().to_owned();
    drop(ledger);
    files::write(&place.dir().join("checkpoint"), before.as_bytes()).expect("written");
    let ledger = place.open().expect("made good");
    assert_eq!(ledger.checkpoint(), after);
    let published = fs::read_to_string(place.dir().join("checkpoint")).expect("published");
    assert_eq!(published, after);
}

#[test]
fn tiles_of_an_append_that_was_never_signed_are_overwritten() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    fill(&mut ledger, 250);
    let mut edge = ledger.edge.clone();
    let mut tiles = Vec::new();
    for number in 0..10 {
        edge.push(format!("lost {number}").into_bytes(), &mut tiles);
    }
    tiles.extend(edge.partial_tiles());
    drop(ledger);
    files::write_tiles(&place.dir(), &tiles, &mut BTreeSet::new()).expect("written");
    let mut ledger = place.open().expect("whole");
    assert_eq!(ledger.size(), 250);
    fill(&mut ledger, 300);
    assert_eq!(head(&ledger).root, brute_root(&leaves(300)));
    drop(ledger);
    assert_eq!(place.open().expect("whole").entry(255).expect("an entry"), entry(255));
}

#[test]
fn a_restored_old_copy_is_refused() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    fill(&mut ledger, 100);
    let backup = place.0.join("backup");
    copy(&place.dir(), &backup);
    fill(&mut ledger, 101);
    drop(ledger);
    fs::remove_dir_all(place.dir()).expect("removed");
    copy(&backup, &place.dir());
    let error = place.open().expect_err("rolled back");
    assert!(matches!(error, LedgerError::RolledBack { found: 100, signed: 101, .. }), "{error}");
    assert!(error.to_string().contains("an older copy was restored"));
    fs::remove_dir_all(place.dir()).expect("removed");
    let error = place.open().expect_err("gone");
    assert!(matches!(error, LedgerError::RolledBack { found: 0, .. }), "{error}");
}

#[test]
fn an_older_or_missing_head_is_refused() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    fill(&mut ledger, 5);
    let older = ledger.checkpoint().to_owned();
    fill(&mut ledger, 6);
    let file = ledger.head.clone();
    files::write(&file, older.as_bytes()).expect("written");
    let error = ledger.append(&entries(6, 7)).expect_err("somebody wrote the head");
    assert!(matches!(error, LedgerError::HeadChanged { .. }), "{error}");
    assert!(matches!(ledger.append(&entries(6, 7)), Err(LedgerError::Broken { .. })));
    drop(ledger);
    assert!(matches!(place.open(), Err(LedgerError::WrongHead { .. })));
    fs::remove_file(&file).expect("removed");
    assert!(matches!(place.open(), Err(LedgerError::NoHead { .. })));
}

#[test]
fn a_torn_or_changed_tile_is_refused() {
    for (size, tile) in [
        (300, "tile/0/001.p/44"),
        (300, "tile/entries/001.p/44"),
        (300, "tile/1/000.p/1"),
        (300, "tile/0/000"),
        (256, "tile/entries/000"),
        (256, "tile/0/000"),
    ] {
        let place = Place::new();
        fill(&mut place.open().expect("a new ledger"), size);
        let path = place.dir().join(tile);
        let whole = fs::read(&path).unwrap_or_else(|error| panic!("{tile}: {error}"));
        files::write(&path, &whole[..whole.len() - 1]).expect("torn");
        let error = place.open().expect_err(tile);
        assert!(error.to_string().contains("torn"), "{tile}: {error}");
        let mut changed = whole.clone();
        changed[7] ^= 1;
        files::write(&path, &changed).expect("changed");
        assert!(place.open().is_err(), "{tile}");
        files::write(&path, &whole).expect("mended");
        assert!(place.open().is_ok(), "{tile}");
    }
}

#[test]
fn tiles_are_served_by_their_paths_and_nothing_else_is() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    fill(&mut ledger, 300);
    assert_eq!(ledger.tile("tile/0/000").expect("a tile").len(), 256 * 32);
    assert_eq!(ledger.tile("0/001.p/44").expect("a tile").len(), 44 * 32);
    assert!(ledger.tile("entries/000").expect("a tile").starts_with(b"\x00\x07entry 0"));
    for path in ["0/002", "../checkpoint", "0/0", "0/x000/001", "0/000.p/0", "0/000.p/256", "lock"]
    {
        assert!(matches!(ledger.tile(path), Err(LedgerError::NoTile { .. })), "{path}");
    }
    let path = TilePath { shelf: Shelf::Hashes(1), index: 1_234_067, width: 5 };
    assert_eq!(path.to_string(), "tile/1/x001/x234/067.p/5");
    assert_eq!("tile/1/x001/x234/067.p/5".parse(), Ok(path));
}

#[test]
fn batches_and_entries_over_the_limit_are_refused_and_break_nothing() {
    let place = Place::new();
    let mut ledger = place.open().expect("a new ledger");
    assert!(matches!(ledger.append(&entries(0, 1025)), Err(LedgerError::TooMany { got: 1025 })));
    assert!(matches!(ledger.append(&[vec![0; 65_536]]), Err(LedgerError::TooLong { .. })));
    assert_eq!(ledger.append(&[vec![0; 65_535]]).expect("appended"), [0]);
    assert_eq!(ledger.entry(0).expect("an entry").len(), 65_535);
}
