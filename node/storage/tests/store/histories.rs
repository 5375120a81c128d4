//! Long histories: a page is the same wherever it begins, and a reorganisation leaves no
//! trace of what it takes back.

use crate::world::{Branch, NOW, on_both, tip, wallet};
use mvb_protocol::{
    chain::{ChainSnapshot, ChainStore, HistoryEntry, TxLocation},
    hash::BlockId,
    numbers::Height,
    validate::Sequential,
};
use mvb_storage::MemoryStore;

/// Blocks of three payments each: one of wallet 0 to itself, two from it to wallet 1.
fn blocks(branch: Branch, count: u64, first_sequence: u64, salt: u64) -> Branch {
    let (alice, bob) = (wallet(0), wallet(1));
    (0..count).fold(branch, |branch, number| {
        let sequence = first_sequence + 3 * number;
        let payments = vec![
            alice.pays(bob.address, 1, sequence),
            alice.pays(alice.address, 1, sequence + 1),
            alice.pays(bob.address, 1, sequence + 2),
        ];
        branch.block(&alice, payments, salt)
    })
}

/// A funded block, and so many with payments after it.
fn long_chain(store: &dyn ChainStore, count: u64) -> BlockId {
    let first = Branch::on_tip(store).block(&wallet(0), vec![], 0);
    first.commit(store).unwrap();
    blocks(Branch::on_tip(store), count, 0, 0)
        .commit(store)
        .unwrap();
    tip(store).id
}

fn whole(chain: &dyn ChainSnapshot, number: u8) -> Vec<HistoryEntry> {
    chain
        .history(&wallet(number).address, None, 10_000)
        .unwrap()
}

#[test]
fn a_page_begins_at_any_place_of_a_long_history() {
    on_both(|store| {
        long_chain(store, 70);
        let chain = store.snapshot().unwrap();
        for (number, lines) in [(0, 4 * 70 + 1), (1, 2 * 70)] {
            let all = whole(&*chain, number);
            assert_eq!(all.len(), lines);
            assert!(all.is_sorted_by(|a, b| a.location > b.location));
            let heights = (0..75).chain([u64::MAX]);
            let places = heights.flat_map(|height| (0..5).map(move |index| (height, index)));
            for (height, index) in places.chain([(30, u32::MAX)]) {
                let place = TxLocation {
                    height: Height(height),
                    index,
                };
                let before = all.iter().filter(|entry| entry.location < place);
                let expected: Vec<_> = before.take(3).copied().collect();
                let page = chain.history(&wallet(number).address, Some(place), 3);
                assert_eq!(page.unwrap(), expected, "wallet {number} before {place:?}");
            }
        }
    });
}

#[test]
fn what_a_reorganisation_takes_back_leaves_no_line_and_no_mark() {
    let store = MemoryStore::new(crate::world::params());
    let first = long_chain(&store, 30);
    let before = whole(&*store.snapshot().unwrap(), 0);
    blocks(Branch::on(&store, first), 20, 90, 0)
        .commit(&store)
        .unwrap();
    let grown = whole(&*store.snapshot().unwrap(), 0);
    assert_eq!(grown.len(), before.len() + 80);
    // The other branch pays nobody, so every mark above the fork must go.
    let other = (0..21).fold(Branch::on(&store, first), |branch, _| {
        branch.block(&wallet(2), vec![], 7)
    });
    assert!(
        other
            .blocks
            .iter()
            .all(|block| block.header.timestamp < NOW)
    );
    other.commit(&store).unwrap();
    assert_eq!(whole(&*store.snapshot().unwrap(), 0), before);
    let report = store.verify(&Sequential, &mut |_, _| {}).unwrap();
    assert_eq!(report.difference, None);
    // And back again, with what it had.
    let again = blocks(Branch::on(&store, first), 22, 90, 0);
    again.commit(&store).unwrap();
    let restored = whole(&*store.snapshot().unwrap(), 0);
    assert_eq!(restored[8..], grown);
    let report = store.verify(&Sequential, &mut |_, _| {}).unwrap();
    assert_eq!(report.difference, None);
}
