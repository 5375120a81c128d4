//! Random extensions and reorganisations: both stores and a naive replay of the active
//! blocks answer every question alike.

use crate::world::{Branch, Wallet, cases, params, wallet};
use mvb_protocol::{
    address::Address,
    ahead::Ahead,
    amount::Amount,
    block::Block,
    chain::{Account, ChainSnapshot, ChainStore, HistoryEntry, HistoryKind, TxLocation},
    hash::{BlockId, TxId},
    numbers::{Height, Sequence},
    transaction::Transaction,
    validate::Sequential,
};
use mvb_storage::{LmdbStore, MemoryStore};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

const WALLETS: u8 = 4;

/// A payment to try: from, to, units. Its sequence is the sender's next.
type Attempt = (u8, u8, u64);

/// A step: how many blocks leave, and the payments tried in each block that joins. A branch
/// joins one block more than leave, at least.
#[derive(Clone, Debug)]
struct Step {
    leave: usize,
    join: Vec<Vec<Attempt>>,
    again: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let attempt = (0..WALLETS, 0..WALLETS, 1..6_000_000_u64);
    let payments = proptest::collection::vec(attempt, 0..4);
    let join = proptest::collection::vec(payments, 1..4);
    (0..5_usize, join, any::<bool>()).prop_map(|(leave, join, again)| Step { leave, join, again })
}

/// The active blocks, and every answer computed from them the slow way.
#[derive(Default)]
struct Model {
    blocks: Vec<Arc<Block>>,
    seen: Vec<TxId>,
    left: Vec<Arc<Block>>,
}

impl Model {
    fn accounts(&self) -> BTreeMap<Address, (u64, u64)> {
        let mut accounts: BTreeMap<Address, (u64, u64)> = BTreeMap::new();
        for block in &self.blocks {
            for payment in &block.transactions {
                pay(&mut accounts, payment);
            }
            accounts.entry(block.reward.to).or_default().0 += block.reward.amount.units();
        }
        accounts
    }

    fn history(&self, address: Address) -> Vec<HistoryEntry> {
        let mut lines = Vec::new();
        for block in &self.blocks {
            let height = block.header.height;
            let mut add = |index: usize, kind| {
                let index = index as u32;
                let location = TxLocation { height, index };
                lines.insert(0, HistoryEntry { location, kind });
            };
            for (index, payment) in block.transactions.iter().enumerate() {
                match (payment.from() == address, payment.to == address) {
                    (true, true) => add(index, HistoryKind::SentToSelf),
                    (true, false) => add(index, HistoryKind::Sent),
                    (false, true) => add(index, HistoryKind::Received),
                    (false, false) => {}
                }
            }
            if block.reward.to == address {
                add(block.transactions.len(), HistoryKind::Reward);
            }
        }
        lines
    }

    fn location(&self, id: TxId) -> Option<TxLocation> {
        self.blocks.iter().find_map(|block| {
            let index = block.transaction_ids().iter().position(|tx| *tx == id)?;
            Some(TxLocation {
                height: block.header.height,
                index: index as u32,
            })
        })
    }

    fn tip(&self) -> BlockId {
        match self.blocks.last() {
            Some(block) => block.id(),
            None => params().genesis_id().into(),
        }
    }
}

fn pay(accounts: &mut BTreeMap<Address, (u64, u64)>, payment: &Transaction) {
    let total = payment.total().unwrap().units();
    let from = accounts.entry(payment.from()).or_default();
    from.0 -= total;
    from.1 += 1;
    accounts.entry(payment.to).or_default().0 += payment.amount.units();
}

/// Builds the step's branch on what the model keeps, and moves the model there.
fn take(step: Step, number: u64, model: &mut Model, store: &dyn ChainStore) -> Branch {
    let wallets: Vec<Wallet> = (0..WALLETS).map(wallet).collect();
    let kept = model.blocks.len().saturating_sub(step.leave);
    let leave = model.blocks.len() - kept;
    let mut returned: Vec<Transaction> = Vec::new();
    for block in model.blocks.drain(kept..) {
        returned.extend(block.transactions.iter().cloned());
        model.left.push(block);
    }
    let mut attempts = step.join;
    attempts.resize(attempts.len().max(leave + 1), Vec::new());
    let mut branch = Branch::on(store, model.tip());
    let mut accounts = model.accounts();
    for (salt, tried) in (number * 100..).zip(attempts) {
        let mut payments = Vec::new();
        if step.again {
            // A reorg returns payments to the mempool, and the next block takes them again.
            payments.extend(returned.drain(..).filter(|payment| {
                let (balance, sequence) =
                    accounts.get(&payment.from()).copied().unwrap_or_default();
                let fits =
                    payment.sequence.0 == sequence && payment.total().unwrap().units() <= balance;
                if fits {
                    pay(&mut accounts, payment);
                }
                fits
            }));
        }
        for (from, to, units) in tried {
            let from = &wallets[from as usize];
            let (balance, sequence) = accounts.get(&from.address).copied().unwrap_or_default();
            if units < balance {
                let payment = from.pays(wallets[to as usize].address, units, sequence);
                pay(&mut accounts, &payment);
                payments.push(payment);
            }
        }
        model.seen.extend(payments.iter().map(Transaction::id));
        let miner = &wallets[(salt % u64::from(WALLETS)) as usize];
        branch = branch.block(miner, payments, salt);
        let block = branch.blocks.last().unwrap().clone();
        accounts.entry(block.reward.to).or_default().0 += block.reward.amount.units();
        model.blocks.push(block);
    }
    branch
}

fn compare(snapshot: &dyn ChainSnapshot, model: &Model) {
    assert_eq!(snapshot.tip().unwrap().id, model.tip());
    let height = model.blocks.len() as u64;
    assert_eq!(snapshot.tip().unwrap().height, Height(height));
    for (at, block) in (1..).zip(&model.blocks) {
        assert_eq!(snapshot.active_id(Height(at)).unwrap(), Some(block.id()));
        let stored = snapshot.block(&block.id()).unwrap();
        assert_eq!(stored.as_ref(), Some(&**block));
    }
    for above in 1..10 {
        assert_eq!(snapshot.active_id(Height(height + above)).unwrap(), None);
    }
    for block in &model.left {
        assert!(snapshot.block(&block.id()).unwrap().is_some());
    }
    for id in &model.seen {
        assert_eq!(snapshot.transaction(id).unwrap(), model.location(*id));
    }
    let accounts = model.accounts();
    for number in 0..=WALLETS {
        let address = wallet(number).address;
        let (balance, sequence) = accounts.get(&address).copied().unwrap_or_default();
        let expected = Account {
            balance: Amount::from_units(balance),
            sequence: Sequence(sequence),
        };
        assert_eq!(snapshot.account(&address).unwrap(), expected);
        let history = model.history(address);
        for limit in [1, 3, 1_000] {
            let (mut pages, mut before) = (Vec::new(), None);
            loop {
                let page = snapshot.history(&address, before, limit).unwrap();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                before = Some(last.location);
                pages.extend(page);
            }
            assert_eq!(pages, history);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]

    #[test]
    fn both_stores_agree_with_a_naive_replay(steps in proptest::collection::vec(step(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let disk = LmdbStore::open(folder.path(), &params()).unwrap();
        let memory = MemoryStore::new(params());
        let mut model = Model::default();
        for (number, step) in (1..).zip(steps) {
            let branch = take(step, number, &mut model, &memory);
            let changes = branch.commit(&memory).unwrap();
            prop_assert_eq!(&branch.changes(&disk), &changes);
            disk.commit(&changes).unwrap();
            compare(&*memory.snapshot().unwrap(), &model);
            compare(&*disk.snapshot().unwrap(), &model);
        }
        let found = memory.verify(&Sequential, &mut |_, _| {}).unwrap();
        prop_assert_eq!(&found.difference, &None);
        prop_assert_eq!(found.payments as usize, model.blocks.iter().map(|b| b.transactions.len()).sum::<usize>());
        prop_assert_eq!(disk.verify(&Sequential, &mut |_, _| {}).unwrap(), found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]

    /// A store that lags behind, with what it has yet to write above it, answers like one
    /// that has written everything; and so it does at every step of catching up.
    #[test]
    fn a_store_with_change_sets_above_it_agrees_with_a_naive_replay(
        steps in proptest::collection::vec((step(), 0..4_usize), 1..8)
    ) {
        let whole = MemoryStore::new(params());
        let lagging = MemoryStore::new(params());
        let (mut ahead, mut model) = (Ahead::default(), Model::default());
        for (number, (step, writes)) in (1..).zip(steps) {
            let branch = take(step, number, &mut model, &whole);
            ahead.push(Arc::new(branch.commit(&whole).unwrap()));
            compare(&ahead.above(&*lagging.snapshot().unwrap()).unwrap(), &model);
            let everything = ahead.clone();
            for _ in 0..writes {
                let Some((count, changes)) = ahead.first_step() else { break };
                lagging.commit(&changes).unwrap();
                ahead.written(count);
                let late = lagging.snapshot().unwrap();
                compare(&ahead.above(&*late).unwrap(), &model);
                compare(&everything.above(&*late).unwrap(), &model);
            }
        }
    }
}
