//! Records that somebody damaged, in the chain's store and in the outbox: everything that
//! reads them answers or says what is damaged.

use crate::{Seed, Target, Verdict, accepted, beyond, bytes::Bytes, ledger, refused};
use mvb_node::wallet::{Outbox, OutboxError};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainSnapshot, ChainStore, StoreError},
    connect::connect,
    hash::{BlockId, ContentRoot},
    keys::{Curve, SecretKey},
    locator::{fork_point, locator},
    numbers::{Height, Sequence, Timestamp},
    params::BLOCK_VERSION,
    transaction::{Payment, Transaction},
    validate::{CheckedBlock, HeaderChain, Sequential, expected_reward, verify_signatures},
};
use mvb_storage::MemoryStore;
use std::sync::{Arc, OnceLock};

pub(crate) const STORE_RECORDS: Target = Target {
    name: "store_records",
    run: store_records,
    seeds: store_records_seeds,
    tokens: &[
        b"\xc4\x20",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x93",
        b"\x00",
    ],
    few: 60,
};

pub(crate) const OUTBOX: Target = Target {
    name: "outbox",
    run: outbox,
    seeds: outbox_seeds,
    tokens: &[
        b"p",
        b"u",
        b"s",
        b"i",
        b"c",
        b"t",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
    few: 500,
};

fn person(number: u8) -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[number + 1; 32]).expect("a number below the order")
}

fn address(number: u8) -> Address {
    static ADDRESSES: OnceLock<Vec<Address>> = OnceLock::new();
    let of = |number| Address::of_key(person(number).public_key().as_bytes());
    ADDRESSES.get_or_init(|| (0..10).map(of).collect())[usize::from(number)]
}

fn pays(from: u8, to: u8, sequence: u64) -> Transaction {
    Payment {
        genesis: ledger::params().genesis_id(),
        to: address(to),
        amount: Amount::from_units(1_000),
        fee: Amount::from_units(1),
        sequence: Sequence(sequence),
        timestamp: Timestamp(5),
    }
    .sign(&person(from))
}

/// A solved block on the tip of a chain.
fn next_block(chain: &dyn ChainSnapshot, payments: Vec<Transaction>, salt: u64) -> Option<Block> {
    let params = ledger::params();
    let end = HeaderChain::ending_at(chain, &params, chain.tip().ok()?.id).ok()?;
    let height = end.tip().height.next()?;
    let mut block = Block {
        header: Header {
            previous: end.tip().id,
            content_root: ContentRoot::default(),
            version: BLOCK_VERSION,
            target: end.next_target(&params),
            height,
            timestamp: end.least_timestamp(),
            nonce: 0,
        },
        reward: Reward {
            to: address(salt as u8 % 4),
            amount: expected_reward(&params, height, &payments).ok()?,
            extra_nonce: salt,
        },
        transactions: payments,
    };
    block.header.content_root = block.content_root(params.genesis_id(), &block.wids());
    let target = block.header.target.expand()?;
    while !target.is_met_by(&block.id()) {
        block.header.nonce += 1;
    }
    Some(block)
}

/// Connects a branch; what is refused says so.
fn add(store: &dyn ChainStore, branch: Vec<Block>) -> Result<(), StoreError> {
    let params = ledger::params();
    let blocks = branch.into_iter().map(Arc::new);
    let checked: Result<Vec<_>, _> = blocks
        .map(|block| CheckedBlock::check(block, &params))
        .collect();
    let Ok(checked) = checked else {
        return Ok(());
    };
    let verified: Vec<_> = verify_signatures(checked, &|_| true, &Sequential)
        .into_iter()
        .flatten()
        .collect();
    let changes = {
        let snapshot = store.snapshot()?;
        connect(&*snapshot, &params, &verified, ledger::NOW)?.changes
    };
    match changes {
        Some(changes) => store.commit(&changes),
        None => Ok(()),
    }
}

/// Twelve blocks with payments, one of them too large for a page of the store's file, and one
/// off the active chain, which two of the others have replaced.
pub(crate) fn fill(store: &dyn ChainStore) {
    const SOUND: &str = "a sound chain";
    let made = |store: &dyn ChainStore, payments, salt| {
        let snapshot = store.snapshot().expect("a new store");
        next_block(&*snapshot, payments, salt).expect(SOUND)
    };
    add(store, vec![made(store, Vec::new(), 99)]).expect(SOUND);
    let elsewhere = MemoryStore::new(ledger::params());
    let (mut sequence, mut branch) = (0, Vec::new());
    for salt in 0..12 {
        let count = [0, 1, 0, 16, 0, 1][salt as usize % 6] / (1 + 7 * (salt / 6));
        let payments = (0..count)
            .map(|i| pays(0, (i % 9) as u8, sequence + i))
            .collect();
        sequence += count;
        let block = made(&elsewhere, payments, salt);
        add(&elsewhere, vec![block.clone()]).expect(SOUND);
        branch.push(block);
        if salt > 0 {
            add(store, std::mem::take(&mut branch)).expect(SOUND);
        }
    }
}

/// Asks a store everything that a node asks.
pub(crate) fn look_at_everything(store: &dyn ChainStore) {
    let said = |result: Result<(), StoreError>| {
        if let Err(error) = result {
            refused(error);
        }
    };
    let snapshot = match store.snapshot() {
        Ok(snapshot) => snapshot,
        Err(error) => return said(Err(error)),
    };
    let mut ids = vec![BlockId::from(ledger::params().genesis_id())];
    let tip = snapshot.tip();
    if let Ok(tip) = &tip {
        ids.push(tip.id);
    }
    said(tip.map(|_| ()));
    for height in [0, 1, 2, 5, 11, 12, 13, u64::MAX] {
        match snapshot.active_id(Height(height)) {
            Ok(id) => ids.extend(id),
            Err(error) => said(Err(error)),
        }
    }
    for id in &ids {
        said(snapshot.header(id).map(|_| ()));
        said(snapshot.is_active(id).map(|_| ()));
        if let Err(error) = HeaderChain::ending_at(&*snapshot, &ledger::params(), *id) {
            refused(error);
        }
        match snapshot.block(id) {
            Ok(Some(block)) => {
                for id in block.transaction_ids() {
                    said(snapshot.transaction(&id).map(|_| ()));
                }
            }
            other => said(other.map(|_| ())),
        }
    }
    for number in 0..10 {
        said(snapshot.account(&address(number)).map(|_| ()));
        match snapshot.history(&address(number), None, 5) {
            Ok(page) => {
                assert!(page.len() <= 5);
                let before = page.last().map(|entry| entry.location);
                said(snapshot.history(&address(number), before, 100).map(|_| ()));
            }
            Err(error) => said(Err(error)),
        }
    }
    said(locator(&*snapshot).map(|ids| assert!(ids.len() <= 64)));
    said(fork_point(&*snapshot, &ids).map(|_| ()));
}

const TABLES: usize = MemoryStore::TABLES;

fn sound_store() -> &'static MemoryStore {
    static STORE: OnceLock<MemoryStore> = OnceLock::new();
    STORE.get_or_init(|| {
        let store = MemoryStore::new(ledger::params());
        fill(&store);
        store
    })
}

/// A list of damages to records of a sound store: bytes of a value changed, a value
/// replaced by another's, a record removed, a new one. Everything read from it afterwards
/// is an answer or an error, and a replay finds what is wrong.
fn store_records(data: &[u8]) -> Verdict {
    let sound = sound_store();
    let (store, mut choices) = (sound.copy(), Bytes(data));
    while !choices.is_empty() {
        let (what, table) = (choices.byte(), choices.below(TABLES));
        let records = store.records(table);
        let Some((key, value)) = records.get(choices.below(records.len())) else {
            continue;
        };
        let mut key = key.clone();
        let mut value = Some(value.clone());
        match (what % 6, &mut value) {
            (0, Some(value)) => {
                let at = choices.below(value.len());
                if let Some(byte) = value.get_mut(at) {
                    *byte ^= choices.byte();
                }
            }
            (1, Some(value)) => value.truncate(choices.below(value.len() + 1)),
            (2, value) => *value = None,
            (3, Some(value)) => *value = choices.chunk().to_vec(),
            (4, _) => {
                let at = choices.below(key.len());
                key[at] ^= choices.byte();
            }
            (_, value) => {
                let other = &records[choices.below(records.len())].1;
                *value = Some(other.clone());
            }
        }
        store
            .scribble(table, &key, value.as_deref())
            .expect("a key as long as it was");
    }
    look_at_everything(&store);
    let untouched = (0..TABLES).all(|table| store.records(table) == sound.records(table));
    let verdict = match store.verify(&Sequential, &mut |_, _| {}) {
        Ok(report) => match &report.difference {
            // What the replay does not mind must be what was there.
            None => {
                assert!(
                    untouched || harmless(&store),
                    "damaged, and the replay says nothing"
                );
                Verdict::Accepted
            }
            Some(difference) => refused(difference),
        },
        Err(error) => refused(error),
    };
    assert!(!untouched || verdict == Verdict::Accepted);
    let block = store
        .snapshot()
        .ok()
        .and_then(|snapshot| next_block(&*snapshot, Vec::new(), 3));
    if let Some(Err(error)) = block.map(|block| add(&store, vec![block])) {
        refused(error);
    }
    verdict
}

/// Whether nothing differs but what no replay reads: blocks that are not on the active
/// chain, and what a store on disk is asked when it is opened, its version and parameters.
fn harmless(store: &MemoryStore) -> bool {
    let sound = sound_store();
    const META: usize = 0;
    const ORPHANS: usize = TABLES - 1;
    (0..TABLES).all(|table| {
        let read = |store: &MemoryStore| -> Vec<(Vec<u8>, Vec<u8>)> {
            let records = store.records(table).into_iter();
            let is_read = |key: &Vec<u8>| match table {
                META => key == b"tip",
                _ => table != ORPHANS,
            };
            records.filter(|(key, _)| is_read(key)).collect()
        };
        read(store) == read(sound)
    })
}

/// A payment that is to be appended, then five of two people, the last in place of the one
/// before it. The first two are on the chain.
fn payments() -> &'static [Transaction; 6] {
    static PAYMENTS: OnceLock<[Transaction; 6]> = OnceLock::new();
    PAYMENTS.get_or_init(|| {
        let made = [
            (0, 49, 3),
            (0, 0, 0),
            (0, 1, 0),
            (1, 0, 0),
            (0, 48, 5),
            (0, 48, 6),
        ];
        made.map(|(from, sequence, to)| pays(from, to, sequence))
    })
}

/// The records of an outbox with five payments of two people, one replaced.
fn sound_outbox() -> &'static Vec<(Vec<u8>, Vec<u8>)> {
    static RECORDS: OnceLock<Vec<(Vec<u8>, Vec<u8>)>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let outbox = Outbox::in_memory();
        for payment in &payments()[1..] {
            let saved = outbox.replace::<OutboxError>(|_| Ok(payment.clone()));
            saved.expect("an outbox in memory");
        }
        let snapshot = sound_store().snapshot().expect("in memory");
        outbox.observe(&*snapshot).expect("both are sound");
        outbox.records().expect("an outbox in memory")
    })
}

/// A list of damages to an outbox. Whatever is told of a payment is of that payment, and a
/// new one never takes the place of a saved one.
fn outbox(data: &[u8]) -> Verdict {
    let (mut records, mut choices) = (sound_outbox().clone(), Bytes(data));
    while !choices.is_empty() {
        let at = choices.below(records.len());
        let what = choices.byte() % 6;
        let Some((key, value)) = records.get_mut(at) else {
            break;
        };
        match what {
            0 => {
                let at = choices.below(key.len());
                if let Some(byte) = key.get_mut(at) {
                    *byte ^= choices.byte();
                }
            }
            1 => {
                let at = choices.below(value.len());
                if let Some(byte) = value.get_mut(at) {
                    *byte ^= choices.byte();
                }
            }
            2 => key.truncate(1 + choices.below(key.len())),
            3 => *value = choices.chunk().to_vec(),
            4 => drop(records.remove(at)),
            _ => {
                let key = [choices.take(1), choices.chunk()].concat();
                records.push((key, choices.chunk().to_vec()));
            }
        }
    }
    let outbox = Outbox::of_records(records).expect("an outbox in memory");
    let snapshot = sound_store().snapshot().expect("in memory");
    let mut verdict = Verdict::Accepted;
    let mut told = |error: OutboxError| verdict = refused(error);
    for payment in &payments()[1..] {
        let (id, slot) = (payment.id(), (payment.from(), payment.sequence));
        match outbox.get(&id) {
            Ok(saved) => assert!(saved.is_none_or(|saved| saved.transaction.id() == id)),
            Err(error) => told(error),
        }
        match outbox.with_sequence(&slot.0, slot.1) {
            Ok(all) => assert!(all.iter().all(|saved| {
                let found = &saved.transaction;
                (found.from(), found.sequence) == slot
            })),
            Err(error) => told(error),
        }
    }
    match outbox.unsettled() {
        Ok(all) => assert!(all.windows(2).all(|pair| pair[0].number < pair[1].number)),
        Err(error) => told(error),
    }
    if let Err(error) = outbox.observe(&*snapshot) {
        told(error);
    }
    let before = payments_of(&outbox);
    let appended = outbox.append::<OutboxError>(
        &payments()[0].from(),
        || Ok(Sequence(7)),
        |reservation| {
            let mut payment = payments()[0].clone();
            payment.sequence = reservation.sequence;
            Ok(payment)
        },
    );
    if let Err(error) = appended {
        told(error);
    }
    let after = payments_of(&outbox);
    assert!(
        before.iter().all(|record| after.contains(record)),
        "a payment is lost"
    );
    verdict
}

/// The saved payments themselves.
fn payments_of(outbox: &Outbox) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records = outbox.records().expect("an outbox in memory");
    records.retain(|(key, _)| key.first() == Some(&b'p'));
    records
}

fn store_records_seeds() -> Vec<Seed> {
    vec![
        accepted(Vec::new()),
        // The tip of another height, a removed account, a truncated block.
        beyond([0, 0, 0, 0, 4, 0, 30, 1]),
        beyond([2, 0, 1, 0, 0]),
        beyond([1, 0, 6, 0, 0, 0, 9]),
        // Two ids that lead nowhere, other lines of a history, another id of a payment, two that
        // are not found, no number of what settles next, and half of a block off the active
        // chain.
        beyond([4, 0, 2, 0, 0, 0, 0, 1]),
        beyond([4, 0, 3, 0, 0, 0, 0, 1]),
        beyond([3, 0, 7, 0, 0, 2, 7, 7]),
        beyond([0, 0, 9, 0, 1, 0, 0, 1]),
        beyond([2, 0, 10, 0, 0]),
        beyond([2, 0, 11, 0, 0]),
        beyond([1, 0, 0, 0, 0, 0, 0]),
        beyond([1, 0, 12, 0, 0, 0, 9]),
    ]
}

fn outbox_seeds() -> Vec<Seed> {
    vec![
        accepted(Vec::new()),
        // A last payment whose number has no next one.
        beyond([&[0, 0, 5, b'p', 8][..], &[0xff; 8], &[0]].concat()),
        accepted([&[0, 0, 5, b'x', 8][..], &[0xff; 8], &[0]].concat()),
    ]
}
