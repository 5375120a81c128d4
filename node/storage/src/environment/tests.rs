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

/// A miner that read between the failure of a commit and its report ended with MDB_PANIC in the
/// place of what was wrong with the disk.
#[test]
fn what_fails_after_a_commit_is_told_as_the_commit_was() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(folder.path(), Presence::Create).unwrap();
    let panic = || heed::Error::Mdb(heed::MdbError::Panic);
    assert_eq!(environment.told(panic()), store_error(panic()));
    let why = StoreError::Io {
        reason: "Input/output error".to_owned(),
    };
    *environment.failure.lock().unwrap() = Some(why.clone());
    assert_eq!(environment.told(panic()), why);
    let other = || heed::Error::Mdb(heed::MdbError::ReadersFull);
    assert_eq!(environment.told(other()), store_error(other()));
}

#[test]
fn a_full_map_is_told_as_full_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let env = open_env_with(folder.path(), 64 << 12).unwrap();
    let environment = Environment {
        env,
        presence: Presence::Create,
        sealed: Mutex::default(),
        failure: Mutex::default(),
        _held: None,
    };
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

/// How much of a file is looked at before it is written, by whether a scribble is found that
/// only the look at every page can see.
#[cfg(unix)]
#[test]
fn a_file_is_looked_at_page_by_page_unless_it_is_as_it_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(DATA_FILE);
    let open = || Environment::open(folder.path(), Presence::Create).map(drop);
    let environment = Environment::open(folder.path(), Presence::Create).unwrap();
    let [table] = environment.create_tables(["t"]).unwrap();
    let mut transaction = environment.write().unwrap();
    for key in 0..2_000_u32 {
        let key = key.to_be_bytes();
        table.put(&mut transaction, &key, &[7; 100]).unwrap();
    }
    transaction.commit().unwrap();
    drop((table, environment));
    // Whether the note is late enough after the commit is the file system's to say.
    std::thread::sleep(2 * seal::TICK);
    assert_eq!(open(), Ok(()));
    assert!(seal::is_intact(folder.path()));
    assert_eq!(open(), Ok(()));
    assert!(seal::is_intact(folder.path()), "opening it changes nothing");

    // Somebody else writes to it. Every page but the first two is scribbled over.
    let mut bytes = fs::read(&file).unwrap();
    bytes[2 * 4096..].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    assert!(!seal::is_intact(folder.path()));
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("garbage"), "{refused}");
    assert!(
        !seal::is_intact(folder.path()),
        "what is refused is not vouched for"
    );

    // The same length at the same time as before, but in another file.
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, &bytes).unwrap();
    let copy = fs::File::options().write(true).open(&file).unwrap();
    copy.set_modified(before).unwrap();
    assert!(!seal::is_intact(folder.path()));
}

#[test]
fn whoever_only_reads_vouches_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(Environment::open(folder.path(), Presence::Create).unwrap());
    fs::remove_file(folder.path().join("data.seal")).ok();
    drop(Environment::open(folder.path(), Presence::Require).unwrap());
    assert!(!seal::is_intact(folder.path()));
}

/// `mvb wallet list-addresses` and `mvb chain verify` died of SIGBUS on a damaged store.
#[test]
fn a_reader_looks_at_every_page_unless_a_writer_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let read = || Environment::open(path, Presence::Require).map(drop);
    let environment = Environment::open(path, Presence::Create).unwrap();
    let [table] = environment.create_tables(["t"]).unwrap();
    let mut transaction = environment.write().unwrap();
    table.put(&mut transaction, b"key", b"value").unwrap();
    environment.commit(transaction).unwrap();
    drop(environment);
    assert_eq!(read(), Ok(()));
    // The list of tables lies in the last page that was written.
    let file = path.join(DATA_FILE);
    let mut bytes = fs::read(&file).unwrap();
    bytes[2 * 4_096..]
        .chunks_mut(4_096)
        .for_each(|page| page[12..16].fill(0));
    fs::write(&file, bytes).unwrap();
    assert!(read().unwrap_err().to_string().contains("garbage"));
    // Another process that has looked and may be writing.
    let held = held::hold(path);
    assert_eq!(read(), Ok(()));
    drop(held);
    assert!(read().is_err());
}

#[test]
fn whoever_asks_takes_nobody_for_a_holder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(!held::is_held(path));
    let holder = held::hold(path);
    assert!(holder.is_some() && held::hold(path).is_none());
    let asked = |held: bool| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || (0..200).for_each(|_| assert_eq!(held::is_held(path), held)));
            }
        });
    };
    asked(true);
    drop(holder);
    asked(false);
}
