//! What the settings of an environment must guarantee.

use super::*;
use heed::EnvFlags;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

#[test]
fn every_commit_is_synced_before_it_returns() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(folder.path(), Presence::Create).unwrap();
    let weak = EnvFlags::NO_SYNC
        | EnvFlags::NO_META_SYNC
        | EnvFlags::MAP_ASYNC
        | EnvFlags::WRITE_MAP
        | EnvFlags::NO_LOCK;
    assert_eq!(environment.env.get_flags().unwrap() & weak.bits(), 0);
}

#[test]
fn a_full_map_is_told_as_full_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let env = open_env_with(folder.path(), 64 << 12).unwrap();
    let environment = Environment { env };
    let [table] = environment.create_tables(["t"]).unwrap();
    let mut transaction = environment.write().unwrap();
    table.put(&mut transaction, b"before", b"1").unwrap();
    transaction.commit().unwrap();
    let mut transaction = environment.write().unwrap();
    table.put(&mut transaction, b"before", b"2").unwrap();
    let full = table.put(&mut transaction, b"large", &[0; 64 << 12]);
    assert_eq!(full.map_err(store_error), Err(StoreError::Full));
    drop(transaction);
    let read = environment.read().unwrap();
    assert_eq!(table.get(&read, b"before").unwrap(), Some(&b"1"[..]));
    assert_eq!(table.get(&read, b"large").unwrap(), None);
}

#[test]
fn a_full_disk_is_told_as_full() {
    for code in NO_SPACE {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!(store_error(error.into()), StoreError::Full);
    }
}

/// Guards the look at a file against refusing what LMDB rightly writes: deep trees,
/// large values, emptied tables, long free lists, a reader that holds old pages.
#[test]
fn whatever_was_committed_passes_the_look_at_its_pages() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(folder.path(), Presence::Create).unwrap();
    let tables = environment.create_tables(["a", "b", "c"]).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut reader = None;
    for round in 0..150 {
        let mut transaction = environment.write().unwrap();
        let mut draw = |below: u64| random.next_u64() % below;
        let (many, space) = (draw(120), 1 + draw(400));
        for _ in 0..many {
            let table = tables[draw(3) as usize];
            let key = vec![draw(space) as u8; 1 + draw(60) as usize];
            if draw(3) == 0 {
                table.delete(&mut transaction, &key).unwrap();
            } else {
                let large = if draw(8) == 0 { 30_000 } else { 500 };
                let value = vec![7; draw(large) as usize];
                table.put(&mut transaction, &key, &value).unwrap();
            }
        }
        if draw(12) == 0 {
            tables[draw(3) as usize].clear(&mut transaction).unwrap();
        }
        if draw(9) == 0 {
            transaction.abort();
        } else {
            transaction.commit().unwrap();
        }
        match draw(10) {
            0 => reader = Some(environment.read().unwrap()),
            1 => reader = None,
            _ => {}
        }
        environment.read_checked().unwrap();
        let newest = file::check(folder.path(), None, Depth::Pages);
        assert_eq!(newest, Ok(Checked::Sound), "after round {round}");
    }
    drop(reader);
}
