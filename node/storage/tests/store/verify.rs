//! The replay finds whatever is wrong, and says what.

use crate::world::{Branch, params, three_blocks, tip, wallet};
use mvb_protocol::{
    block::Block,
    chain::{ChainStore, StoreError, StoredHeader, Tip},
    codec,
    hash::BlockId,
    numbers::Height,
    target::Work,
    validate::Sequential,
};
use mvb_storage::{
    LmdbStore, MemoryStore, VerifyReport,
    environment::{Bucket, Environment, Presence},
};
use std::{path::Path, sync::Arc};

fn verify(path: &Path) -> VerifyReport {
    let store = LmdbStore::open_existing(path, &params()).unwrap();
    store.verify(&Sequential, &mut |_, _| {}).unwrap()
}

#[test]
fn a_sound_store_is_called_sound() {
    let folder = tempfile::tempdir().unwrap();
    let store = LmdbStore::open(folder.path(), &params()).unwrap();
    let report = store.verify(&Sequential, &mut |_, _| {}).unwrap();
    assert!(report.is_sound());
    assert_eq!(report.tip, Tip::genesis(params().genesis_id()));

    let blocks = three_blocks(&store);
    let mut heard = Vec::new();
    let report = store
        .verify(&Sequential, &mut |height, last| heard.push((height, last)))
        .unwrap();
    assert_eq!(report.difference, None);
    assert_eq!(report.tip.id, blocks[2].id());
    assert_eq!((report.accounts, report.payments), (2, 2));
    assert_eq!(heard, [(Height(3), Height(3))]);
}

/// A replay that held one state of the store to its end would see none of the blocks that come
/// meanwhile, and keep the writer from using again whatever page it frees.
#[test]
fn a_long_replay_follows_the_chain_as_it_grows() {
    let store = MemoryStore::new(params());
    let alice = wallet(0);
    let mut branch = Branch::on_tip(&store);
    for salt in 0..5_200 {
        branch = branch.block(&alice, vec![], salt);
    }
    branch.commit(&store).unwrap();
    let before = tip(&store);
    let mut grown = None;
    let report = store.verify(&Sequential, &mut |_, _| {
        grown.get_or_insert_with(|| {
            let next = Branch::on_tip(&store).block(&alice, vec![], 9_999);
            next.commit(&store).unwrap().tip
        });
    });
    let report = report.unwrap();
    assert_eq!(report.difference, None);
    assert_eq!(Some(report.tip), grown);
    assert_eq!(report.height.0, before.height.0 + 1);
}

/// A record that is set, or removed where there is no value.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// A damage to a store whose third block is given, and what the report must say of it.
struct Damage {
    table: &'static str,
    change: fn(&[Arc<Block>]) -> Change,
    says: &'static str,
}

fn at(height: u64) -> Vec<u8> {
    height.to_be_bytes().to_vec()
}

/// An account's record: balance, sequence, lines of history, the newest of them.
fn account(units: u64, sequence: u64, lines: u64, newest: Option<u64>) -> Option<Vec<u8>> {
    Some(codec::encode(&(units, sequence, lines, newest)))
}

/// A line of history as it is packed; kind 1 is a payment received, 3 a reward.
fn line(height: u64, index: u64, kind: u64) -> u64 {
    height << 24 | index << 2 | kind
}

/// The key under which an id is found at a place.
fn name(id: [u8; 32], place: u64) -> Vec<u8> {
    [&id[24..], &place.to_be_bytes()].concat()
}

fn orphan(block: &Block) -> Option<Vec<u8>> {
    orphan_with(Work::ZERO, block)
}

fn orphan_with(work: Work, block: &Block) -> Option<Vec<u8>> {
    Some(codec::encode(&(work, block)))
}

/// The work of the block that [`with_a_side_branch`] leaves behind.
fn its_work(block: &Block) -> Work {
    block.header.target.expand().unwrap().work()
}

const DAMAGES: &[Damage] = &[
    Damage {
        table: "accounts",
        change: |_| (vec![7; 32], account(0, 1, 0, None)),
        says: "no block gives it",
    },
    Damage {
        table: "accounts",
        change: |_| (wallet(1).address.0.to_vec(), None),
        says: "is missing, its blocks give balance 0.003",
    },
    Damage {
        table: "accounts",
        change: |_| (wallet(0).address.0.to_vec(), account(0, 0, 0, None)),
        says: "has balance 0, sequence 0, 0 lines of history, the last none, its blocks give balance 29.997",
    },
    Damage {
        table: "accounts",
        change: |_| {
            let record = account(3_000, 0, 2, Some(line(3, 0, 1)));
            (wallet(1).address.0.to_vec(), record)
        },
        says: "2 lines of history, the last Received at height 3, index 0, its blocks give",
    },
    Damage {
        table: "accounts",
        change: |_| (vec![0xff; 3], account(0, 0, 0, None)),
        says: "account ffffff has balance 0",
    },
    Damage {
        table: "accounts",
        change: |_| (wallet(0).address.0.to_vec(), Some(b"no account".to_vec())),
        says: "cannot decode",
    },
    Damage {
        table: "recent_transactions",
        change: |blocks| (name(blocks[2].transaction_ids()[1].0, 3 << 24 | 1), None),
        says: "is indexed nowhere, expected at height 3, index 1",
    },
    Damage {
        table: "transactions",
        change: |blocks| {
            let key = name(blocks[2].transaction_ids()[0].0, 3 << 24 | 1);
            (key, Some(Vec::new()))
        },
        says: "transactions has",
    },
    Damage {
        table: "transactions",
        change: |_| (name([5; 32], 3 << 24 | 1), Some(Vec::new())),
        says: "transactions has 0505050505050505",
    },
    Damage {
        table: "transactions",
        change: |blocks| {
            let key = name(blocks[2].transaction_ids()[0].0, 3 << 24);
            (key, Some(Vec::new()))
        },
        says: "recent_transactions and transactions have 3 entries, the blocks give 2",
    },
    Damage {
        table: "recent_transactions",
        change: |blocks| {
            let key = name(blocks[2].transaction_ids()[0].0, 3 << 24);
            (key, Some(vec![7]))
        },
        says: "recent_transactions: an entry says more than its key",
    },
    Damage {
        table: "recent_heights",
        change: |blocks| (name(blocks[1].id().0, 2), Some(vec![7])),
        says: "recent_heights: an entry says more than its key",
    },
    Damage {
        table: "meta",
        change: |_| (b"next height to settle".to_vec(), Some(vec![0xc0])),
        says: "next height to settle: cannot decode",
    },
    Damage {
        table: "transaction_ids",
        change: |_| (at(3), None),
        says: "the ids stored for block 3 are not its payments'",
    },
    Damage {
        table: "transaction_ids",
        change: |blocks| {
            let ids = blocks[2].transaction_ids();
            (at(3), Some([ids[0].0, ids[1].0, [5; 32]].concat()))
        },
        says: "the ids stored for block 3 are not its payments'",
    },
    Damage {
        table: "transaction_ids",
        change: |_| (at(4), Some(Vec::new())),
        says: "transaction_ids has 0000000000000004",
    },
    Damage {
        table: "recent_heights",
        change: |blocks| (name(blocks[1].id().0, 2), None),
        says: "is indexed nowhere, expected at height 2",
    },
    Damage {
        table: "heights",
        change: |blocks| (name(blocks[1].id().0, 3), Some(Vec::new())),
        says: "heights has",
    },
    Damage {
        table: "heights",
        change: |_| (vec![5; 3], Some(Vec::new())),
        says: "heights has 050505",
    },
    Damage {
        table: "history",
        change: |_| (at(3), None),
        says: "history has not what block 3 gives it",
    },
    Damage {
        table: "history",
        change: |_| {
            // The first of the two payments is said to be the recipient's second.
            let mut links = [0; 5];
            links[1] = line(2, 0, 1);
            let bytes = links.iter().flat_map(|link| link.to_be_bytes());
            (at(3), Some(bytes.collect()))
        },
        says: "history has not what block 3 gives it",
    },
    Damage {
        table: "history",
        change: |_| (at(4), Some(vec![0; 24])),
        says: "history has 0000000000000004, which no block gives",
    },
    Damage {
        table: "marks",
        change: |_| {
            let mut key = wallet(0).address.0.to_vec();
            key.extend(line(3, 2, 3).to_be_bytes());
            (key, Some(Vec::new()))
        },
        says: "marks have 1 entries, the blocks give 0",
    },
    Damage {
        table: "active",
        change: |blocks| (at(4), Some(codec::encode(&blocks[0].id()))),
        says: "at height 4, above its tip at 3",
    },
    Damage {
        table: "active",
        change: |_| (at(2), None),
        says: "has no block at height 2",
    },
    Damage {
        table: "active",
        change: |blocks| (at(2), Some(codec::encode(&blocks[0].id()))),
        says: "at height 2 is",
    },
    Damage {
        table: "active",
        change: |_| (at(0), Some(codec::encode(&BlockId([1; 32])))),
        says: "does not begin at genesis",
    },
    Damage {
        table: "meta",
        change: |blocks| {
            let tip = Tip {
                id: blocks[2].id(),
                height: Height(3),
                work: Work::ZERO,
            };
            (b"tip".to_vec(), Some(codec::encode(&tip)))
        },
        says: "with work 0, its blocks give",
    },
    Damage {
        table: "headers",
        change: |_| (at(2), None),
        says: "is not its block's",
    },
    Damage {
        table: "headers",
        change: |blocks| {
            let stored = StoredHeader {
                header: blocks[1].header,
                work: Work::ZERO,
            };
            (at(4), Some(codec::encode(&stored)))
        },
        says: "headers has 0000000000000004",
    },
    Damage {
        table: "blocks",
        change: |_| (at(1), None),
        says: "is missing",
    },
    Damage {
        table: "blocks",
        change: |blocks| (at(2), Some(codec::encode(&*blocks[0]))),
        says: "links to",
    },
    Damage {
        table: "blocks",
        change: |blocks| (at(4), Some(codec::encode(&*blocks[0]))),
        says: "blocks has 0000000000000004",
    },
    Damage {
        table: "blocks",
        change: |blocks| {
            let mut block = Block::clone(&blocks[2]);
            block.transactions.swap(0, 1);
            (at(3), Some(codec::encode(&block)))
        },
        says: "body hashes to",
    },
    Damage {
        table: "orphans",
        change: |blocks| (vec![9; 32], orphan(&blocks[1])),
        says: "stored off the active chain as 0909",
    },
    Damage {
        table: "orphans",
        change: |blocks| (blocks[1].id().0.to_vec(), orphan(&blocks[1])),
        says: "stands at height 2 and off the active chain",
    },
    Damage {
        table: "orphans",
        change: |blocks| {
            let mut block = Block::clone(&blocks[3]);
            block.reward.to = wallet(0).address;
            let orphan = orphan_with(its_work(&block), &block);
            (block.id().0.to_vec(), orphan)
        },
        says: "off the active chain: body hashes to",
    },
    Damage {
        table: "orphans",
        change: |blocks| (blocks[3].id().0.to_vec(), orphan(&blocks[3])),
        says: "off the active chain, is stored with work 0, its chain has",
    },
    Damage {
        table: "orphans",
        change: |blocks| {
            let block = next_after_nothing(&blocks[3]);
            let orphan = orphan_with(its_work(&block), &block);
            (block.id().0.to_vec(), orphan)
        },
        says: "follows 0707070707070707070707070707070707070707070707070707070707070707, which is not stored",
    },
    Damage {
        table: "orphans",
        change: |blocks| (vec![9; 3], orphan(&blocks[1])),
        says: "orphans has 090909, which is no id",
    },
    Damage {
        table: "orphans",
        change: |_| (vec![9; 32], Some(vec![1])),
        says: "cannot decode",
    },
];

#[test]
fn every_kind_of_damage_is_found_and_told() {
    for damage in DAMAGES {
        let folder = tempfile::tempdir().unwrap();
        let store = LmdbStore::open(folder.path(), &params()).unwrap();
        let blocks = with_a_side_branch(&store);
        let (key, value) = (damage.change)(&blocks);
        change(folder.path(), damage.table, &key, value);
        let report = verify(folder.path());
        let told = report.difference.unwrap_or_default();
        assert!(
            told.contains(damage.says),
            "{told:?} lacks {:?}",
            damage.says
        );
    }
}

/// Headers of blocks that a reorg left behind are looked up for whoever names them, so their
/// bodies must not be read for it.
#[test]
fn the_header_of_a_block_left_behind_is_found_without_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let store = LmdbStore::open(folder.path(), &params()).unwrap();
    let blocks = with_a_side_branch(&store);
    let (left, id) = (&blocks[3], blocks[3].id());
    let expected = StoredHeader {
        header: left.header,
        work: its_work(left),
    };
    let header = || store.snapshot().unwrap().header(&id);
    assert_eq!(header().unwrap(), Some(expected));
    let mut cut = orphan_with(its_work(left), left).unwrap();
    cut.pop();
    change(folder.path(), "orphans", &id.0, Some(cut.clone()));
    assert_eq!(header().unwrap(), Some(expected));
    let body = store.snapshot().unwrap().block(&id);
    assert!(matches!(body, Err(StoreError::Damaged { .. })), "{body:?}");
    // One that has not even its header says what is wrong with it.
    cut.truncate(100);
    change(folder.path(), "orphans", &id.0, Some(cut));
    assert!(matches!(header(), Err(StoreError::Damaged { .. })));
}

/// Like a block, but it follows one that nobody has.
fn next_after_nothing(block: &Block) -> Block {
    let mut block = block.clone();
    block.header.previous = BlockId([7; 32]);
    let target = block.header.target.expand().unwrap();
    while !target.is_met_by(&block.id()) {
        block.header.nonce += 1;
    }
    block
}

/// Three active blocks, and after them one that a reorganisation left behind.
fn with_a_side_branch(store: &LmdbStore) -> Vec<Arc<Block>> {
    let side = Branch::on_tip(store).block(&wallet(3), vec![], 9);
    side.commit(store).unwrap();
    let (alice, bob) = (wallet(0), wallet(1));
    let payments = vec![
        alice.pays(bob.address, 1_000, 0),
        alice.pays(bob.address, 2_000, 1),
    ];
    let branch = Branch::on(store, params().genesis_id().into())
        .block(&alice, vec![], 0)
        .block(&alice, vec![], 0)
        .block(&alice, payments, 0);
    branch.commit(store).unwrap();
    [branch.blocks, side.blocks].concat()
}

fn change(path: &Path, table: &str, key: &[u8], value: Option<Vec<u8>>) {
    let environment = Environment::open(path, Presence::Require).unwrap();
    let [table]: [Bucket; 1] = environment.tables([table]).unwrap().unwrap();
    let mut transaction = environment.write().unwrap();
    match value {
        Some(value) => table.put(&mut transaction, key, &value).unwrap(),
        None => assert!(table.delete(&mut transaction, key).unwrap()),
    }
    transaction.commit().unwrap();
}

#[test]
fn a_block_with_a_forged_signature_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = LmdbStore::open(folder.path(), &params()).unwrap();
    three_blocks(&store);
    let mut forged = wallet(0).pays(wallet(2).address, 5, 2);
    forged.signature = wallet(0).pays(wallet(2).address, 6, 2).signature;
    let branch = Branch::on_tip(&store).block(&wallet(0), vec![forged], 0);
    branch.commit(&store).unwrap();
    let report = verify(folder.path());
    assert_eq!(report.height, Height(3));
    let told = report.difference.unwrap();
    assert!(
        told.contains("payment 0") && told.contains("block 4"),
        "{told}"
    );
}
