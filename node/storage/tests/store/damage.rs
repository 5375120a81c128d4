//! A file that was cut or scribbled over is refused or found out. A crash of this test's
//! process, as LMDB alone gives (SIGBUS, SIGSEGV, an assertion), is its failure.

use crate::world::{Branch, cases, params, wallet};
use mvb_protocol::{
    chain::{ChainStore, StoreError},
    validate::Sequential,
};
use mvb_storage::{LmdbStore, OpenError, VerifyReport, stored_params};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{fs, path::Path};

const PAGE: usize = 4096;

/// The bytes of a store whose tables have several pages, some large values and a free list.
fn bytes_of_a_store() -> (Vec<u8>, VerifyReport) {
    let folder = tempfile::tempdir().unwrap();
    let store = LmdbStore::open(folder.path(), &params()).unwrap();
    let alice = wallet(0);
    Branch::on_tip(&store)
        .block(&alice, vec![], 0)
        .commit(&store)
        .unwrap();
    for round in 0..8 {
        let first = 32 * (round / 4);
        let payments = match round % 4 {
            0 => (first..first + 32)
                .map(|sequence| alice.pays(wallet(10 + sequence as u8).address, 10, sequence))
                .collect(),
            _ => vec![],
        };
        Branch::on_tip(&store)
            .block(&wallet((round % 5) as u8), payments, round)
            .block(&alice, vec![], round)
            .commit(&store)
            .unwrap();
    }
    let report = store.verify(&Sequential, &mut |_, _| {}).unwrap();
    assert_eq!(report.difference, None);
    drop(store);
    (fs::read(folder.path().join("data.mdb")).unwrap(), report)
}

/// Opens a file of these bytes in every way, and replays it if it opens.
fn open(bytes: &[u8]) -> Result<VerifyReport, OpenError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data.mdb"), bytes).unwrap();
    let verified = LmdbStore::open(folder.path(), &params()).map(|store| verify(&store));
    drop(stored_params(folder.path()));
    verified
}

fn verify(store: &LmdbStore) -> VerifyReport {
    let report = store.verify(&Sequential, &mut |_, _| {}).unwrap();
    let snapshot = store.snapshot().unwrap();
    for number in 0..20 {
        drop(snapshot.account(&wallet(number).address));
        drop(snapshot.history(&wallet(number).address, None, 100));
    }
    report
}

fn is_damage(error: &OpenError) -> bool {
    let damaged = matches!(
        error,
        OpenError::Store {
            error: StoreError::Damaged { .. },
            ..
        }
    );
    // Only a flipped version or parameter may be taken for another schema or network.
    damaged || matches!(error, OpenError::Schema { .. } | OpenError::Genesis { .. })
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let (bytes, _) = bytes_of_a_store();
    assert!(bytes.len() > 20 * PAGE);
    for pages in 0..bytes.len() / PAGE {
        for extra in [0, 1, 100, PAGE - 1] {
            let length = pages * PAGE + extra;
            if length == 0 {
                continue;
            }
            let refused = open(&bytes[..length]);
            // The last pages may have been free; then nothing was lost.
            match refused {
                Err(error) => assert!(is_damage(&error), "cut to {length}: {error}"),
                Ok(report) => assert!(
                    report.is_sound() && pages + 6 > bytes.len() / PAGE,
                    "cut to {length} of {}",
                    bytes.len()
                ),
            }
        }
    }
}

/// Found by the fuzz targets: who only read looked at no page but the first two, and LMDB then
/// followed a page that says it has two thousand million entries.
#[test]
fn a_page_that_lost_its_head_is_refused_by_readers_too() {
    let (bytes, _) = bytes_of_a_store();
    let mut refused = 0;
    for page in 2..bytes.len() / PAGE {
        let folder = tempfile::tempdir().unwrap();
        let mut damaged = bytes.clone();
        damaged[page * PAGE + 12..page * PAGE + 14].fill(0);
        fs::write(folder.path().join("data.mdb"), damaged).unwrap();
        let stored = stored_params(folder.path()).map(drop);
        let opened = LmdbStore::open_existing(folder.path(), &params()).map(|store| verify(&store));
        assert_eq!(stored.is_ok(), opened.is_ok(), "page {page}");
        // One that is free, or within a large value, leads LMDB nowhere.
        if let Err(error) = opened {
            assert!(is_damage(&error), "page {page}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_file_that_is_not_lmdbs_is_refused() {
    for bytes in [
        b"{\"blocks\": []}".to_vec(),
        vec![0xff; 3 * PAGE],
        vec![0; 40 * PAGE],
        vec![1],
    ] {
        let error = open(&bytes).unwrap_err();
        assert!(is_damage(&error), "{error}");
        assert!(error.to_string().contains("fetch it anew"), "{error}");
    }
}

#[test]
fn a_file_that_was_scribbled_over_never_crashes_and_never_lies() {
    let (bytes, sound) = bytes_of_a_store();
    let mut random = ChaCha8Rng::seed_from_u64(63);
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for _ in 0..cases(120) {
        let mut bytes = bytes.clone();
        let mut draw = |below: usize| (random.next_u64() % below as u64) as usize;
        match draw(3) {
            0 => {
                // A page's first bytes decide where LMDB goes.
                let at = draw(bytes.len() / PAGE) * PAGE + draw(150);
                bytes[at] ^= 1 << draw(8);
            }
            1 => {
                for _ in 0..1 + draw(20) {
                    let at = draw(bytes.len());
                    bytes[at] = draw(256) as u8;
                }
            }
            _ => {
                let (from, to) = (draw(bytes.len() / PAGE), draw(bytes.len() / PAGE));
                bytes.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
            }
        }
        match open(&bytes) {
            Err(error) => {
                assert!(is_damage(&error), "{error}");
                refused += 1;
            }
            Ok(report) if !report.is_sound() => found += 1,
            Ok(report) => {
                // What is called sound is the chain as it was, or as it was one commit before.
                assert!(report == sound || report.height < sound.height);
                harmless += 1;
            }
        }
    }
    println!("{refused} refused, {found} found by the replay, {harmless} harmless");
    assert!(refused > 0 && found > 0);
}

#[test]
fn a_store_that_cannot_be_read_at_all_is_reported() {
    let (mut bytes, _) = bytes_of_a_store();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.mdb");
    fs::write(&file, &bytes).unwrap();
    let store = LmdbStore::open(folder.path(), &params()).unwrap();
    // In place, so that the open store sees it too.
    let end = bytes.len();
    bytes[2 * PAGE..end].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    let report = store.verify(&Sequential, &mut |_, _| {}).unwrap();
    let told = report.difference.unwrap();
    assert!(told.contains("data.mdb"), "{told}");
    assert!(Path::new(&file).exists());
}
