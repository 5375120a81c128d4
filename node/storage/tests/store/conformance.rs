//! What every chain store promises, whichever it is.

use crate::world::{Branch, NOW, on_both, params, three_blocks, tip, wallet};
use mvb_protocol::{
    amount::Amount,
    chain::{Account, ChainStore, HistoryEntry, HistoryKind, StoreError, Tip, TxLocation},
    hash::BlockId,
    locator::{fork_point, locator},
    numbers::{Height, Sequence},
};

fn at(height: u64, index: u32) -> TxLocation {
    TxLocation {
        height: Height(height),
        index,
    }
}

fn entry(height: u64, index: u32, kind: HistoryKind) -> HistoryEntry {
    HistoryEntry {
        location: at(height, index),
        kind,
    }
}

#[test]
fn a_new_store_ends_at_genesis_and_knows_nobody() {
    on_both(|store| {
        let snapshot = store.snapshot().unwrap();
        let genesis = BlockId::from(params().genesis_id());
        assert_eq!(snapshot.tip().unwrap(), Tip::genesis(params().genesis_id()));
        assert_eq!(snapshot.active_id(Height(0)).unwrap(), Some(genesis));
        assert_eq!(snapshot.active_id(Height(1)).unwrap(), None);
        assert!(snapshot.is_active(&genesis).unwrap());
        assert_eq!(snapshot.header(&genesis).unwrap(), None);
        assert_eq!(snapshot.block(&genesis).unwrap(), None);
        let nobody = wallet(9).address;
        assert_eq!(snapshot.account(&nobody).unwrap(), Account::default());
        assert_eq!(snapshot.history(&nobody, None, 10).unwrap(), []);
        assert_eq!(locator(&*snapshot).unwrap(), [genesis]);
    });
}

#[test]
fn an_extension_is_found_by_every_index() {
    on_both(|store| {
        let blocks = three_blocks(store);
        let snapshot = store.snapshot().unwrap();
        for block in &blocks {
            let id = block.id();
            let stored = snapshot.header(&id).unwrap().unwrap();
            assert_eq!(stored.header, block.header);
            assert_eq!(snapshot.block(&id).unwrap().as_ref(), Some(&**block));
            assert_eq!(snapshot.active_id(block.header.height).unwrap(), Some(id));
            assert!(snapshot.is_active(&id).unwrap());
        }
        let last = &blocks[2];
        let stored = snapshot.header(&last.id()).unwrap().unwrap();
        let expected = Tip {
            id: last.id(),
            height: Height(3),
            work: stored.work,
        };
        assert_eq!(snapshot.tip().unwrap(), expected);
        for (transaction, index) in last.transactions.iter().zip(0..) {
            let found = snapshot.transaction(&transaction.id()).unwrap();
            assert_eq!(found, Some(at(3, index)));
        }
        let bob = snapshot.account(&wallet(1).address).unwrap();
        assert_eq!(bob.balance, Amount::from_units(3_000));
        let alice = snapshot.account(&wallet(0).address).unwrap();
        assert_eq!(alice.balance, Amount::from_units(30_000_000 - 3_000));
        assert_eq!(alice.sequence, Sequence(2));
        assert_eq!(fork_point(&*snapshot, &[last.id()]).unwrap(), Height(3));
    });
}

#[test]
fn history_is_paged_from_the_newest_on() {
    on_both(|store| {
        three_blocks(store);
        let snapshot = store.snapshot().unwrap();
        let alice = wallet(0).address;
        let all = [
            entry(3, 2, HistoryKind::Reward),
            entry(3, 1, HistoryKind::Sent),
            entry(3, 0, HistoryKind::Sent),
            entry(2, 0, HistoryKind::Reward),
            entry(1, 0, HistoryKind::Reward),
        ];
        assert_eq!(snapshot.history(&alice, None, 10).unwrap(), all);
        assert_eq!(snapshot.history(&alice, None, 5).unwrap(), all);
        assert_eq!(snapshot.history(&alice, None, 0).unwrap(), []);
        for (index, before) in all.iter().enumerate() {
            let page = snapshot.history(&alice, Some(before.location), 2).unwrap();
            let rest = &all[index + 1..];
            assert_eq!(page, rest[..rest.len().min(2)]);
        }
        let between = snapshot.history(&alice, Some(at(3, 0)), 1).unwrap();
        assert_eq!(between, [entry(2, 0, HistoryKind::Reward)]);
        let beyond = snapshot.history(&alice, Some(at(u64::MAX, u32::MAX)), 9);
        assert_eq!(beyond.unwrap(), all);
        let before_all = snapshot.history(&alice, Some(at(0, 0)), 9).unwrap();
        assert_eq!(before_all, []);
        let bob = snapshot.history(&wallet(1).address, None, 9).unwrap();
        let received = |index| entry(3, index, HistoryKind::Received);
        assert_eq!(bob, [received(1), received(0)]);
    });
}

#[test]
fn paying_oneself_is_one_line_of_history() {
    on_both(|store| {
        let alice = wallet(0);
        Branch::on_tip(store)
            .block(&alice, vec![], 0)
            .block(&wallet(1), vec![alice.pays(alice.address, 5, 0)], 0)
            .commit(store)
            .unwrap();
        let snapshot = store.snapshot().unwrap();
        let lines = snapshot.history(&alice.address, None, 9).unwrap();
        let expected = [
            entry(2, 0, HistoryKind::SentToSelf),
            entry(1, 0, HistoryKind::Reward),
        ];
        assert_eq!(lines, expected);
    });
}

#[test]
fn a_reorganisation_moves_every_index_and_keeps_the_old_blocks() {
    on_both(|store| {
        let old = three_blocks(store);
        let (alice, carol) = (wallet(0), wallet(2));
        // The first payment stands in both branches, the second only in the old one.
        let kept = old[2].transactions[0].clone();
        let new = Branch::on(store, old[0].id())
            .block(&carol, vec![kept.clone()], 1)
            .block(&carol, vec![], 1)
            .block(&carol, vec![], 1);
        let changes = new.commit(store).unwrap();
        assert_eq!(changes.disconnect.len(), 2);
        assert_eq!(changes.connect.len(), 3);

        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.tip().unwrap(), changes.tip);
        for (height, block) in (2..).zip(&new.blocks) {
            let id = snapshot.active_id(Height(height)).unwrap();
            assert_eq!(id, Some(block.id()));
        }
        for block in &old[1..] {
            assert!(!snapshot.is_active(&block.id()).unwrap());
            assert_eq!(
                snapshot.block(&block.id()).unwrap().as_ref(),
                Some(&**block)
            );
            assert!(snapshot.header(&block.id()).unwrap().is_some());
        }
        let dropped = old[2].transactions[1].id();
        assert_eq!(snapshot.transaction(&kept.id()).unwrap(), Some(at(2, 0)));
        assert_eq!(snapshot.transaction(&dropped).unwrap(), None);
        let lines = snapshot.history(&alice.address, None, 9).unwrap();
        let expected = [
            entry(2, 0, HistoryKind::Sent),
            entry(1, 0, HistoryKind::Reward),
        ];
        assert_eq!(lines, expected);
        let account = snapshot.account(&alice.address).unwrap();
        assert_eq!(account.sequence, Sequence(1));
        assert_eq!(account.balance, Amount::from_units(10_000_000 - 1_001));
    });
}

#[test]
fn a_reorganisation_back_restores_the_first_branch() {
    on_both(|store| {
        let first = three_blocks(store);
        let miner = wallet(3);
        Branch::on(store, first[0].id())
            .block(&miner, vec![], 7)
            .block(&miner, vec![], 7)
            .block(&miner, vec![], 7)
            .commit(store)
            .unwrap();
        let mut back = Branch::on(store, first[2].id())
            .block(&wallet(0), vec![], 8)
            .block(&wallet(0), vec![], 8);
        back.blocks.splice(0..0, first[1..].iter().cloned());
        back.commit(store).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.tip().unwrap().height, Height(5));
        let payment = first[2].transactions[0].id();
        assert_eq!(snapshot.transaction(&payment).unwrap(), Some(at(3, 0)));
        // An account that falls back to the default is as if it had never been.
        assert_eq!(
            snapshot.account(&miner.address).unwrap(),
            Account::default()
        );
        assert_eq!(snapshot.history(&miner.address, None, 9).unwrap(), []);
    });
}

#[test]
fn a_chain_that_becomes_shorter_in_blocks_has_no_id_above_its_tip() {
    on_both(|store| {
        let old = three_blocks(store);
        // Three blocks give way to one that claims more work; the store only writes.
        let mut changes = Branch::on(store, old[2].id())
            .block(&wallet(0), vec![], 0)
            .changes(store);
        store.commit(&changes).unwrap();
        std::mem::swap(&mut changes.connect, &mut changes.disconnect);
        std::mem::swap(&mut changes.previous, &mut changes.tip);
        changes.accounts.clear();
        store.commit(&changes).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.tip().unwrap().id, old[2].id());
        assert_eq!(snapshot.active_id(Height(4)).unwrap(), None);
    });
}

#[test]
fn a_stale_change_set_is_refused_and_changes_nothing() {
    on_both(|store| {
        let genesis = tip(store);
        let stale = Branch::on_tip(store)
            .block(&wallet(4), vec![], 0)
            .changes(store);
        let blocks = three_blocks(store);
        let refused = store.commit(&stale);
        let expected = StoreError::Stale {
            expected: genesis.id,
            found: blocks[2].id(),
        };
        assert_eq!(refused, Err(expected));
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.tip().unwrap().id, blocks[2].id());
        assert_eq!(snapshot.block(&stale.tip.id).unwrap(), None);
        let paid = snapshot.account(&wallet(4).address).unwrap();
        assert_eq!(paid, Account::default());
    });
}

#[test]
fn a_snapshot_stays_as_it_was_while_a_commit_happens() {
    on_both(|store| {
        let blocks = three_blocks(store);
        let before = store.snapshot().unwrap();
        let account = before.account(&wallet(0).address).unwrap();
        std::thread::scope(|scope| {
            let commit = scope.spawn(|| {
                Branch::on_tip(store)
                    .block(&wallet(0), vec![], 1)
                    .commit(store)
                    .map(drop)
            });
            commit.join().unwrap().unwrap();
        });
        assert_eq!(before.tip().unwrap().id, blocks[2].id());
        assert_eq!(before.active_id(Height(4)).unwrap(), None);
        assert_eq!(before.account(&wallet(0).address).unwrap(), account);
        assert_eq!(tip(store).height, Height(4));
        let page = before.history(&wallet(0).address, None, 1).unwrap();
        assert_eq!(page, [entry(3, 2, HistoryKind::Reward)]);
    });
}

#[test]
fn a_snapshot_can_be_read_on_another_thread() {
    on_both(|store| {
        let blocks = three_blocks(store);
        let snapshot = store.snapshot().unwrap();
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(move || snapshot.tip());
            reader.join().unwrap()
        });
        assert_eq!(read.unwrap().id, blocks[2].id());
    });
}

#[test]
fn many_snapshots_can_be_open_at_once() {
    on_both(|store| {
        let snapshots: Vec<_> = (0..300).map(|_| store.snapshot().unwrap()).collect();
        three_blocks(store);
        for snapshot in snapshots {
            assert_eq!(snapshot.tip().unwrap().height, Height(0));
        }
    });
}

#[test]
fn a_long_branch_is_one_commit() {
    on_both(|store: &dyn ChainStore| {
        let branch = (0..200).fold(Branch::on_tip(store), |branch, salt| {
            branch.block(&wallet((salt % 3) as u8), vec![], salt)
        });
        branch.commit(store).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.tip().unwrap().height, Height(200));
        let ids = locator(&*snapshot).unwrap();
        assert_eq!(fork_point(&*snapshot, &ids).unwrap(), Height(200));
        assert!(
            branch
                .blocks
                .iter()
                .all(|block| block.header.timestamp < NOW)
        );
    });
}
