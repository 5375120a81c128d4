//! What the store on disk promises beyond the suite: what is there after it is opened
//! again, what it refuses to open, and what a creation that was cut off leaves.

use crate::world::{Branch, on_both, params, three_blocks, tip, wallet};
use mvb_protocol::{
    chain::{ChainStore, StoreError, Tip},
    codec,
    numbers::Height,
    params::ChainParams,
};
use mvb_storage::{
    LmdbStore, MemoryStore, OpenError, SCHEMA_VERSION,
    environment::{Environment, Presence},
    stored_params,
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Tells a test that it runs in a process of its own, and in which folder.
const FOLDER: &str = "MVB_STORE_TEST_FOLDER";

fn open(path: &Path) -> LmdbStore {
    LmdbStore::open(path, &params()).unwrap()
}

fn other_network() -> ChainParams {
    ChainParams {
        network_name: "another".to_owned(),
        difficulty: 2,
        ..params()
    }
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blocks = three_blocks(&store);
    let before = tip(&store);
    drop(store);
    let store = open(folder.path());
    assert_eq!(tip(&store), before);
    let id = blocks[2].id();
    let block = store.snapshot().unwrap().block(&id).unwrap();
    assert_eq!(block.as_ref(), Some(&*blocks[2]));
    Branch::on_tip(&store)
        .block(&wallet(0), vec![], 0)
        .commit(&store)
        .unwrap();
    drop(store);
    let store = LmdbStore::open_existing(folder.path(), &params()).unwrap();
    assert_eq!(tip(&store).height, Height(4));
}

#[test]
fn a_store_of_another_network_is_refused_with_both_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    for refused in [
        LmdbStore::open(folder.path(), &other_network()).err(),
        LmdbStore::open_existing(folder.path(), &other_network()).err(),
    ] {
        let error = refused.unwrap();
        let text = error.to_string();
        let (got, expected) = (params().genesis_id(), other_network().genesis_id());
        for part in [
            format!("{got:.8}"),
            format!("{expected:.8}"),
            "\"storage tests\", this network \"another\"".to_owned(),
            "difficulty 1, this network 2".to_owned(),
        ] {
            assert!(text.contains(&part), "{text} lacks {part}");
        }
    }
    assert_eq!(stored_params(folder.path()).unwrap(), Some(params()));
}

#[test]
fn a_store_of_another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    put(folder.path(), "meta", b"schema", &codec::encode(&7_u32));
    let expected = OpenError::Schema {
        path: folder.path().to_owned(),
        got: 7,
        expected: SCHEMA_VERSION,
    };
    for refused in [
        LmdbStore::open(folder.path(), &params()).map(drop),
        LmdbStore::open_existing(folder.path(), &params()).map(drop),
        stored_params(folder.path()).map(drop),
    ] {
        assert_eq!(refused, Err(expected.clone()));
    }
}

#[test]
fn nothing_is_created_in_a_store_of_another_schema() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(folder.path(), Presence::Create).unwrap();
    let _: [_; 1] = environment.create_tables(["meta"]).unwrap();
    put(folder.path(), "meta", b"schema", &codec::encode(&7_u32));
    for refused in [
        LmdbStore::open(folder.path(), &params()).err(),
        LmdbStore::open_existing(folder.path(), &params()).err(),
    ] {
        assert!(matches!(refused, Some(OpenError::Schema { got: 7, .. })));
    }
    assert!(environment.tables(["accounts"]).unwrap().is_none());
}

/// Writes past the store, as only damage does.
pub fn put(path: &Path, table: &str, key: &[u8], value: &[u8]) {
    let environment = Environment::open(path, Presence::Require).unwrap();
    let [table] = environment.tables([table]).unwrap().unwrap();
    let mut transaction = environment.write().unwrap();
    table.put(&mut transaction, key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn reading_never_creates() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("absent")] {
        assert_eq!(stored_params(&path).unwrap(), None);
        let missing = LmdbStore::open_existing(&path, &params()).map(drop);
        assert_eq!(missing, Err(OpenError::Missing { path }));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_store_opened_for_reading_refuses_to_commit() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(folder.path());
    let reader = LmdbStore::open_existing(folder.path(), &params()).unwrap();
    let changes = Branch::on_tip(&reader)
        .block(&wallet(0), vec![], 0)
        .changes(&reader);
    assert!(matches!(
        reader.commit(&changes),
        Err(StoreError::Io { .. })
    ));
    writer.commit(&changes).unwrap();
    assert_eq!(tip(&reader), changes.tip);
}

#[test]
fn handles_of_one_process_share_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (open(folder.path()), open(folder.path()));
    three_blocks(&first);
    assert_eq!(tip(&second).height, Height(3));
    drop(first);
    let third = open(&folder.path().join("."));
    assert_eq!(tip(&third), tip(&second));
    assert_eq!(third.clear_stale_readers().unwrap(), 0);
}

#[test]
fn a_store_can_be_opened_while_another_thread_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..40 {
                    assert_eq!(tip(&open(folder.path())).height, Height(0));
                }
            });
        }
    });
}

#[test]
fn a_store_that_was_removed_while_open_is_not_handed_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let store = open(&path);
    three_blocks(&store);
    fs::remove_dir_all(&path).unwrap();
    let refused = LmdbStore::open(&path, &params()).map(drop);
    let expected = OpenError::Removed { path: path.clone() };
    assert_eq!(refused, Err(expected));
    drop(store);
    assert_eq!(tip(&open(&path)).height, Height(0));
}

#[test]
fn a_creation_that_was_cut_off_is_begun_again() {
    let genesis = Tip::genesis(params().genesis_id());
    let empty = |path: &Path| drop(fs::write(path.join("data.mdb"), b""));
    let blank = |path: &Path| drop(fs::write(path.join("data.mdb"), [0; 8192]));
    // What a disk leaves that has room for one page of two.
    let half = |path: &Path| {
        drop(Environment::open(path, Presence::Create));
        let file = fs::File::options().write(true).open(path.join("data.mdb"));
        file.unwrap().set_len(4_096).unwrap();
    };
    let without_tables = |path: &Path| drop(Environment::open(path, Presence::Create));
    let without_records = |path: &Path| {
        let environment = Environment::open(path, Presence::Create).unwrap();
        let _: [_; 2] = environment.create_tables(["meta", "accounts"]).unwrap();
    };
    let left: [&dyn Fn(&Path); 5] = [&empty, &blank, &half, &without_tables, &without_records];
    for leave in left {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path());
        assert_eq!(stored_params(folder.path()).unwrap(), None);
        let store = open(folder.path());
        assert_eq!(tip(&store), genesis);
        three_blocks(&store);
    }
}

#[test]
fn what_is_left_of_a_store_is_not_taken_for_a_creation_that_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    three_blocks(&open(folder.path()));
    let file = fs::File::options()
        .write(true)
        .open(folder.path().join("data.mdb"));
    file.unwrap().set_len(4_096).unwrap();
    let refused = LmdbStore::open(folder.path(), &params()).map(drop);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("damaged"), "{told}");
}

/// The room that the lock file needs is taken when a store is opened, because LMDB maps it:
/// on a full disk the first reader would end with SIGBUS.
#[cfg(target_os = "linux")]
#[test]
fn the_lock_file_has_its_room_on_the_disk() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    let lock = fs::metadata(folder.path().join("lock.mdb")).unwrap();
    assert!(lock.blocks() * 512 >= lock.len(), "{lock:?}");
}

/// Runs one of these tests in a process of its own, after a shell's preparation.
fn again(test: &str, shell: &str, folder: &Path) -> bool {
    let program = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact \"$1\"")])
        .arg(program)
        .arg(test)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[test]
fn a_short_address_space_is_enough() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        three_blocks(&open(Path::new(&folder)));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "disk::a_short_address_space_is_enough";
    assert!(again(name, "ulimit -v 8000000;", folder.path()));
    assert_eq!(tip(&open(folder.path())).height, Height(3));
}

#[test]
fn the_slot_of_a_reader_that_died_is_freed() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let store = LmdbStore::open_existing(Path::new(&folder), &params()).unwrap();
        let _snapshot = store.snapshot().unwrap();
        std::process::exit(1);
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let name = "disk::the_slot_of_a_reader_that_died_is_freed";
    assert!(!again(name, "", folder.path()));
    assert_eq!(store.clear_stale_readers().unwrap(), 1);
    assert_eq!(store.clear_stale_readers().unwrap(), 0);
}

#[test]
fn a_commit_without_power_fails_and_changes_nothing() {
    let store = MemoryStore::new(params());
    three_blocks(&store);
    let changes = Branch::on_tip(&store)
        .block(&wallet(0), vec![], 0)
        .changes(&store);
    let before = tip(&store);
    store.set_power(false);
    assert!(matches!(store.commit(&changes), Err(StoreError::Io { .. })));
    assert_eq!(tip(&store), before);
    store.set_fault(Some(StoreError::Full));
    assert_eq!(store.commit(&changes), Err(StoreError::Full));
    // A node that comes back is given the same disk.
    let restarted = store.clone();
    restarted.set_power(true);
    assert_eq!(tip(&restarted), before);
    restarted.commit(&changes).unwrap();
    assert_eq!(tip(&store), changes.tip);
}

#[test]
fn an_empty_change_set_is_a_commit_too() {
    on_both(|store| {
        let mut changes = Branch::on_tip(store)
            .block(&wallet(0), vec![], 0)
            .changes(store);
        changes.connect.clear();
        changes.accounts.clear();
        changes.tip = changes.previous;
        store.commit(&changes).unwrap();
        assert_eq!(tip(store), changes.previous);
    });
}
