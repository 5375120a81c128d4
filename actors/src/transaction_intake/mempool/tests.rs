//! The mempool's rules one by one, then all of them at random against a naive audit. No
//! payment here is signed: verification is tested where it happens.

use super::*;
use mvb_protocol::{
    block::Block,
    chain::{ChainSnapshot, ChangeSet, HistoryEntry, StoreError, StoredHeader, Tip, TxLocation},
    hash::BlockId,
    keys::{PublicKey, Signature},
    ledger::Ledger,
    numbers::{Height, Timestamp},
    params::ChainParams,
    transaction::{TransactionError, Verified},
};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    per_sender: 64,
};

/// What every payment here weighs.
const SIZE: usize = mvb_protocol::transaction::SMALLEST_TRANSACTION_BYTES;

fn genesis() -> GenesisId {
    ChainParams::default().genesis_id()
}

fn key(sender: u8) -> PublicKey {
    PublicKey::from_bytes(&[[2].as_slice(), &[sender; 32]].concat()).unwrap()
}

fn address(sender: u8) -> Address {
    Address::of_key(key(sender).as_bytes())
}

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

fn account(balance: u64, sequence: u64) -> Account {
    Account {
        balance: units(balance),
        sequence: Sequence(sequence),
    }
}

fn payment(sender: u8, sequence: u64, amount: u64, fee: u64) -> Transaction {
    Transaction {
        genesis: genesis(),
        to: Address::default(),
        amount: units(amount),
        fee: units(fee),
        sequence: Sequence(sequence),
        timestamp: Timestamp(0),
        key: key(sender),
        signature: Signature::from_bytes(&[1; 64]).unwrap(),
    }
}

/// A mempool with the accounts its payments are judged by.
struct Bench {
    pool: Mempool,
    accounts: BTreeMap<Address, Account>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self {
            pool: Mempool::new(genesis(), limits),
            accounts: BTreeMap::new(),
        }
    }

    /// Room for exactly this many payments, and rich senders.
    fn with_room(payments: usize) -> Self {
        let mut bench = Self::new(Limits {
            max_bytes: payments * SIZE,
            ..LIMITS
        });
        for sender in 0..100 {
            bench
                .accounts
                .insert(address(sender), account(1_000_000, 0));
        }
        bench
    }

    fn submit(&mut self, transaction: &Transaction, coverage: Coverage) -> Result<(), Refusal> {
        let name = Name::of(transaction);
        let account = self.accounts.get(&name.from).copied().unwrap_or_default();
        let verified = Arc::new(Verified::for_tests(transaction.clone()));
        let before = self.pool.totals();
        let checked = self.pool.check(transaction, &name, &account, coverage);
        let inserted = self.pool.insert(Named::new(verified), account, coverage);
        self.audit();
        if let Err(refusal) = &checked {
            assert_eq!(inserted.as_ref(), Err(refusal));
            assert_eq!(self.pool.totals(), before, "a refusal changed something");
        }
        inserted
    }

    fn offer(&mut self, transaction: &Transaction) -> Result<(), Refusal> {
        self.submit(transaction, Coverage::Required)
    }

    fn accept(&mut self, transactions: &[&Transaction]) {
        for transaction in transactions {
            assert_eq!(self.offer(transaction), Ok(()), "{transaction:?}");
        }
    }

    fn set(&mut self, sender: u8, account: Account) {
        let change = BTreeMap::from([(address(sender), account)]);
        self.accounts.extend(change.clone());
        self.pool.set_accounts(&change);
        self.audit();
    }

    fn holds(&self, transaction: &Transaction) -> bool {
        let name = Name::of(transaction);
        let waiting = self.pool.index().get(&name.id);
        waiting.is_some_and(|waiting| waiting.payment.name() == &name)
    }

    fn standing(&self, transaction: &Transaction) -> Standing {
        self.pool.index().get(&transaction.id()).unwrap().standing
    }

    fn take_covered(&mut self) -> Vec<TxId> {
        let covered = self.pool.take_covered();
        covered.iter().map(|payment| payment.name().id).collect()
    }

    fn select(&self, max_bytes: usize) -> Vec<Transaction> {
        let chosen = self
            .pool
            .candidates(max_bytes, &Ahead::default())
            .choose(self)
            .unwrap();
        let chosen: Vec<_> = chosen.iter().map(Named::transaction).collect();
        let bytes: usize = chosen.iter().map(|transaction| transaction.size()).sum();
        assert!(bytes <= max_bytes);
        let mut ledger = Ledger::new(self);
        for transaction in &chosen {
            let applied = ledger.apply_transaction((***transaction).borrowed());
            assert_eq!(applied, Ok(Ok(())), "the selection does not apply");
        }
        chosen.iter().map(|chosen| (****chosen).clone()).collect()
    }

    /// Everything the mempool keeps, computed anew from the queues alone.
    fn audit(&self) {
        let pool = &self.pool;
        let mut totals = MempoolView::default();
        let (mut heads, mut tails) = (BTreeSet::new(), BTreeSet::new());
        for (sender, queue) in &pool.senders {
            assert!(!queue.payments.is_empty());
            assert!(queue.payments.len() as u64 <= pool.limits.per_sender);
            let mut fresh = SenderQueue {
                account: queue.account,
                payments: queue.payments.clone(),
                rank: None,
            };
            let rank = fresh.assess(
                *sender,
                |_| panic!("a standing is out of date"),
                |_| panic!("a covered payment is held"),
            );
            let rank = rank.unwrap();
            heads.extend(rank.head);
            tails.insert(rank.tail);
            totals.ready += rank.ready;
            for (sequence, entry) in &queue.payments {
                assert_eq!(*sequence, entry.payment.transaction().sequence);
                totals.waiting += 1;
                totals.bytes += entry.payment.transaction().size();
                let indexed = pool.index().get(&entry.payment.name().id).unwrap();
                assert_eq!(
                    (indexed.payment.name().wid, indexed.standing),
                    (entry.payment.name().wid, entry.standing)
                );
            }
        }
        assert!(totals.bytes <= pool.limits.max_bytes);
        assert_eq!(pool.totals(), totals);
        assert_eq!(pool.index().len(), totals.waiting);
        assert_eq!(pool.heads, heads);
        assert_eq!(pool.tails, tails);
    }
}

impl ChainSnapshot for Bench {
    fn tip(&self) -> Result<Tip, StoreError> {
        Ok(Tip::genesis(genesis()))
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        Ok(self.accounts.get(address).copied().unwrap_or_default())
    }

    fn header(&self, _: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        Ok(None)
    }

    fn block(&self, _: &BlockId) -> Result<Option<Block>, StoreError> {
        Ok(None)
    }

    fn active_id(&self, _: Height) -> Result<Option<BlockId>, StoreError> {
        Ok(None)
    }

    fn transaction(&self, _: &TxId) -> Result<Option<TxLocation>, StoreError> {
        Ok(None)
    }

    fn history(
        &self,
        _: &Address,
        _: Option<TxLocation>,
        _: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_payment_is_taken_in_once() {
    let mut bench = Bench::with_room(9);
    let first = payment(1, 0, 5, 1);
    bench.accept(&[&first]);
    assert_eq!(
        bench.offer(&first),
        Err(Refusal::Duplicate { id: first.id() })
    );
}

/// Holes 2, 3, 9: amounts are whole, positive and bounded.
#[test]
fn a_payment_of_nothing_or_of_more_than_can_exist_is_refused() {
    let mut bench = Bench::with_room(9);
    for (transaction, expected) in [
        (payment(1, 0, 0, 1), TransactionError::NoAmount),
        (
            payment(1, 0, u64::MAX, 1),
            TransactionError::TooMuch {
                amount: units(u64::MAX),
                fee: units(1),
            },
        ),
    ] {
        assert_eq!(bench.offer(&transaction), Err(Refusal::Invalid(expected)));
    }
}

/// Hole 7: old payments do not count on another network.
#[test]
fn a_payment_of_another_network_is_refused() {
    let mut bench = Bench::with_room(9);
    let mut foreign = payment(1, 0, 5, 1);
    foreign.genesis = GenesisId([9; 32]);
    assert!(matches!(
        bench.offer(&foreign),
        Err(Refusal::Invalid(TransactionError::Genesis { .. }))
    ));
}

#[test]
fn a_sequence_that_is_used_or_too_far_ahead_is_refused() {
    let mut bench = Bench::with_room(999);
    bench.set(1, account(1_000, 5));
    let next = Sequence(5);
    assert_eq!(
        bench.offer(&payment(1, 4, 1, 0)),
        Err(Refusal::SequenceUsed {
            got: Sequence(4),
            next
        })
    );
    assert_eq!(
        bench.offer(&payment(1, 69, 1, 0)),
        Err(Refusal::SequenceTooFar {
            got: Sequence(69),
            next,
            most: 64
        })
    );
    bench.accept(&[&payment(1, 68, 1, 0)]);
}

/// Holes 33 and 49: the payments that wait count against the balance.
#[test]
fn a_sender_who_pays_ten_twice_from_ten_is_refused_the_second_time() {
    let mut bench = Bench::new(LIMITS);
    bench.set(1, account(10, 0));
    bench.accept(&[&payment(1, 0, 10, 0)]);
    assert_eq!(
        bench.offer(&payment(1, 1, 10, 0)),
        Err(Refusal::Uncovered {
            balance: units(10),
            needed: units(20)
        })
    );
}

/// Hole 32: what is not covered never reaches the miner.
#[test]
fn a_payment_from_an_empty_account_is_refused() {
    let mut bench = Bench::new(LIMITS);
    assert_eq!(
        bench.offer(&payment(1, 0, 1, 0)),
        Err(Refusal::Uncovered {
            balance: units(0),
            needed: units(1)
        })
    );
}

#[test]
fn a_payment_replaces_another_from_a_fee_ten_percent_higher_on() {
    for (old, least) in [(0, 1), (1, 2), (9, 10), (10, 11), (15, 17), (1_000, 1_100)] {
        let mut bench = Bench::with_room(9);
        let first = payment(1, 0, 5, old);
        let follower = payment(1, 1, 5, 0);
        bench.accept(&[&first, &follower]);
        assert_eq!(
            bench.offer(&payment(1, 0, 6, least - 1)),
            Err(Refusal::FeeTooLowToReplace {
                other: first.id(),
                least: units(least)
            })
        );
        assert!(bench.holds(&first));
        let second = payment(1, 0, 6, least);
        bench.accept(&[&second]);
        assert!(!bench.holds(&first) && bench.holds(&second) && bench.holds(&follower));
    }
}

/// DESIGN: keyed by id, a copy with a garbage signature would censor the payment.
#[test]
fn a_copy_with_another_signature_neither_evicts_nor_replaces_the_first() {
    let mut bench = Bench::with_room(1);
    let good = payment(1, 0, 5, 7);
    let mut copy = good.clone();
    copy.signature = Signature::from_bytes(&[2; 64]).unwrap();
    assert_eq!(copy.id(), good.id());
    bench.accept(&[&good]);
    assert!(matches!(
        bench.offer(&copy),
        Err(Refusal::FeeTooLowToReplace { .. })
    ));
    assert!(bench.holds(&good) && !bench.holds(&copy));
}

#[test]
fn a_gap_is_held_but_never_offered_until_it_is_filled() {
    let mut bench = Bench::with_room(9);
    let late = payment(1, 2, 5, 9);
    bench.accept(&[&payment(1, 0, 5, 0), &late]);
    assert_eq!(
        bench.standing(&late),
        Standing::Gap {
            missing: Sequence(1)
        }
    );
    assert_eq!(bench.select(9 * SIZE), [payment(1, 0, 5, 0)]);
    bench.accept(&[&payment(1, 1, 5, 0)]);
    assert_eq!(bench.standing(&late), Standing::Ready);
    assert_eq!(bench.select(9 * SIZE).len(), 3);
    assert_eq!(bench.pool.totals().ready, 3);
}

#[test]
fn the_lowest_fee_leaves_a_full_mempool_and_at_equal_fees_the_first_stays() {
    let mut bench = Bench::with_room(2);
    let (low, high) = (payment(1, 0, 5, 10), payment(2, 0, 5, 20));
    bench.accept(&[&low, &high]);
    for fee in [0, 10] {
        assert_eq!(bench.offer(&payment(3, 0, 5, fee)), Err(Refusal::Full));
    }
    let better = payment(3, 0, 5, 11);
    bench.accept(&[&better]);
    assert!(!bench.holds(&low) && bench.holds(&high) && bench.holds(&better));
}

#[test]
fn the_tail_of_a_sender_leaves_before_what_it_builds_on() {
    let mut bench = Bench::with_room(3);
    let queue = [0, 1, 2].map(|sequence| payment(1, sequence, 5, 10));
    bench.accept(&queue.each_ref());
    bench.accept(&[&payment(2, 0, 5, 11)]);
    assert_eq!(queue.map(|p| bench.holds(&p)), [true, true, false]);
    bench.accept(&[&payment(3, 0, 5, 11)]);
    assert_eq!(bench.pool.totals().waiting, 3);
}

#[test]
fn a_high_fee_behind_a_low_one_counts_as_low() {
    let mut bench = Bench::with_room(3);
    let stuck = payment(1, 1, 5, 900);
    bench.accept(&[&payment(1, 0, 5, 0), &stuck, &payment(2, 0, 5, 10)]);
    bench.accept(&[&payment(3, 0, 5, 5)]);
    assert!(!bench.holds(&stuck));
}

#[test]
fn what_cannot_be_mined_leaves_before_what_can() {
    let mut bench = Bench::with_room(2);
    let held = payment(1, 5, 5, 900);
    bench.accept(&[&held, &payment(2, 0, 5, 0)]);
    bench.accept(&[&payment(3, 0, 5, 0)]);
    assert!(!bench.holds(&held));
    assert_eq!(
        bench.offer(&held),
        Err(Refusal::Full),
        "and does not return"
    );
}

#[test]
fn used_sequences_leave_and_what_balances_cover_is_found_again() {
    let mut bench = Bench::new(LIMITS);
    bench.set(1, account(100, 0));
    let queue = [0, 1, 2].map(|sequence| payment(1, sequence, 20, 0));
    bench.accept(&queue.each_ref());
    bench.set(1, account(39, 1));
    assert!(!bench.holds(&queue[0]));
    assert_eq!(bench.standing(&queue[1]), Standing::Ready);
    assert_eq!(
        bench.standing(&queue[2]),
        Standing::Uncovered {
            balance: units(39),
            needed: units(40)
        }
    );
    bench.set(1, account(40, 1));
    assert_eq!(bench.standing(&queue[2]), Standing::Ready);
}

#[test]
fn a_payment_that_a_reorg_returned_is_held_until_it_is_covered() {
    let mut bench = Bench::new(LIMITS);
    let returned = payment(1, 0, 20, 0);
    assert_eq!(bench.submit(&returned, Coverage::Hold), Ok(()));
    assert_eq!(bench.pool.totals().ready, 0);
    assert!(bench.select(9 * SIZE).is_empty());
    assert!(bench.take_covered().is_empty());
    bench.set(1, account(20, 0));
    assert_eq!(bench.take_covered(), [returned.id()]);
    assert!(bench.take_covered().is_empty());
    assert_eq!(bench.select(9 * SIZE), [returned]);
}

#[test]
fn a_returned_payment_is_told_of_once_it_is_covered_and_only_while_it_waits() {
    let mut bench = Bench::new(LIMITS);
    bench.set(1, account(20, 0));
    let [first, second, third] = [0, 1, 2].map(|sequence| payment(1, sequence, 10, 0));
    // One after a gap is covered as well: others take it in.
    for returned in [&third, &first, &second] {
        assert_eq!(bench.submit(returned, Coverage::Hold), Ok(()));
        assert_eq!(bench.take_covered(), [returned.id()]);
    }
    // The third no longer is, and is not told of again when it is.
    assert!(matches!(bench.standing(&third), Standing::Uncovered { .. }));
    bench.set(1, account(30, 0));
    // Nor is one that did not return.
    bench.set(2, account(1, 0));
    bench.accept(&[&payment(2, 0, 1, 0)]);
    assert!(bench.take_covered().is_empty());
    let late = payment(3, 0, 10, 0);
    assert_eq!(bench.submit(&late, Coverage::Hold), Ok(()));
    // It is covered and used in the same block.
    bench.set(3, account(10, 0));
    bench.set(3, account(0, 1));
    assert!(bench.take_covered().is_empty());
}

#[test]
fn a_reorg_that_takes_an_account_back_leaves_no_more_than_the_limit_a_sender() {
    let mut bench = Bench::new(LIMITS);
    bench.set(1, account(1_000, 100));
    for sequence in 100..164 {
        bench.accept(&[&payment(1, sequence, 1, 0)]);
    }
    bench.set(1, account(1_000, 60));
    assert_eq!(bench.pool.totals().waiting, 24);
}

#[test]
fn the_best_fees_are_selected_first_and_each_sender_stays_in_order() {
    let mut bench = Bench::with_room(99);
    let [low, high] = [payment(1, 0, 5, 1), payment(1, 1, 5, 90)];
    let [middle, last] = [payment(2, 0, 5, 50), payment(2, 1, 5, 40)];
    bench.accept(&[&low, &high, &middle, &last]);
    let all = [&middle, &last, &low, &high].map(Clone::clone);
    assert_eq!(bench.select(99 * SIZE), all);
    assert_eq!(bench.select(3 * SIZE - 1), all[..2]);
}

#[test]
fn low_fees_behind_a_high_one_do_not_keep_other_senders_out_of_a_block() {
    let mut bench = Bench::with_room(999);
    for sequence in 0..64 {
        let fee = if sequence == 0 { 90 } else { 0 };
        bench.accept(&[&payment(1, sequence, 5, fee)]);
    }
    let other = payment(2, 0, 5, 10);
    bench.accept(&[&other]);
    assert_eq!(bench.select(2 * SIZE), [payment(1, 0, 5, 90), other]);
}

#[test]
fn what_a_block_ahead_of_the_store_holds_is_not_even_tried() {
    let mut bench = Bench::with_room(10);
    let [first, second] = [payment(1, 0, 5, 9), payment(1, 1, 5, 1)];
    bench.accept(&[&first, &second, &payment(2, 0, 5, 5)]);
    let tip = Tip::genesis(genesis());
    let ahead_by = |accounts: &[(u8, u64)]| {
        let mut ahead = Ahead::default();
        let of = |(sender, sequence): &(u8, u64)| (address(*sender), account(99, *sequence));
        ahead.push(Arc::new(ChangeSet {
            previous: tip,
            disconnect: Vec::new(),
            connect: Vec::new(),
            accounts: accounts.iter().map(of).collect(),
            tip,
        }));
        ahead
    };
    assert!(
        bench
            .pool
            .candidates(SIZE, &ahead_by(&[(1, 2), (2, 1)]))
            .is_empty()
    );
    bench.accounts.insert(address(1), account(99, 1));
    bench.accounts.insert(address(2), account(99, 1));
    let rest = bench.pool.candidates(SIZE, &ahead_by(&[(1, 1), (2, 1)]));
    let chosen = rest.choose(&bench).unwrap();
    let ids: Vec<TxId> = chosen.iter().map(|payment| payment.name().id).collect();
    assert_eq!(ids, [second.id()]);
}

#[test]
fn coins_received_in_a_block_can_be_spent_later_in_it() {
    let mut bench = Bench::new(LIMITS);
    bench.set(1, account(100, 0));
    let mut gift = payment(1, 0, 50, 1);
    gift.to = address(2);
    // Its fee is higher, but it has nothing to pay with before the gift.
    let spent = payment(2, 0, 40, 10);
    bench.accept(&[&gift]);
    assert_eq!(bench.submit(&spent, Coverage::Hold), Ok(()));
    assert_eq!(bench.select(9 * SIZE), [gift, spent]);
}

#[test]
fn a_selection_weighs_no_more_than_a_block_may() {
    use mvb_protocol::{keys::Curve, params::MAX_BLOCK_WEIGHT};
    let mut bench = Bench::new(Limits {
        max_bytes: 64 << 20,
        ..LIMITS
    });
    let heavy = |sender: u32| {
        let mut bytes = [2; 67];
        bytes[1..5].copy_from_slice(&sender.to_be_bytes());
        Transaction {
            key: PublicKey::from_bytes(&bytes).unwrap(),
            signature: Signature::from_bytes(&[1; 132]).unwrap(),
            ..payment(0, 0, 5, 1)
        }
    };
    let limit = MAX_BLOCK_WEIGHT / Curve::P521.weight();
    let senders: BTreeMap<Address, Account> = (0..limit + 5)
        .map(|sender| (heavy(sender).from(), account(10, 0)))
        .collect();
    bench.accounts = senders;
    for sender in 0..limit + 5 {
        let transaction = heavy(sender);
        let verified = Arc::new(Verified::for_tests(transaction));
        let inserted = bench
            .pool
            .insert(Named::new(verified), account(10, 0), Coverage::Required);
        assert_eq!(inserted, Ok(()));
    }
    assert_eq!(bench.select(8 << 20).len(), limit as usize);
}

#[test]
fn a_selection_for_a_chain_that_has_moved_on_still_applies() {
    let mut bench = Bench::with_room(99);
    let queue = [0, 1, 2].map(|sequence| payment(1, sequence, 5, 1));
    bench.accept(&queue.each_ref());
    bench.accounts.insert(address(1), account(1_000, 2));
    assert_eq!(bench.select(99 * SIZE), queue[2..]);
    bench.accounts.insert(address(1), account(1_000, 7));
    assert!(bench.select(99 * SIZE).is_empty());
}

/// One thing that happens to a mempool.
#[derive(Clone, Debug)]
enum Event {
    Submit {
        sender: u8,
        to: u8,
        sequence: u64,
        amount: u64,
        fee: u64,
        coverage: Coverage,
    },
    /// A block takes what the mempool offers.
    Mine { max_bytes: usize },
    /// A reorg or another miner's block sets an account.
    Set {
        sender: u8,
        balance: u64,
        sequence: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let coverage = prop_oneof![Just(Coverage::Required), Just(Coverage::Hold)];
    let submit = (0..5u8, 0..7u8, 0..20u64, 1..50u64, 0..40u64, coverage).prop_map(
        |(sender, to, sequence, amount, fee, coverage)| Event::Submit {
            sender,
            to,
            sequence,
            amount,
            fee,
            coverage,
        },
    );
    let mine = (0..8usize).prop_map(|n| Event::Mine {
        max_bytes: n * SIZE + n,
    });
    let set = (0..5u8, 0..300u64, 0..16u64).prop_map(|(sender, balance, sequence)| Event::Set {
        sender,
        balance,
        sequence,
    });
    prop_oneof![12 => submit, 1 => mine, 2 => set]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// FAULTS 31, 49, 50: whatever happens, the limits hold, every sum and order is what a
    /// naive audit finds, and what is offered applies to the ledger.
    #[test]
    fn no_history_breaks_the_limits_or_makes_a_selection_that_does_not_apply(
        room in 1..30usize,
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut bench = Bench::new(Limits { max_bytes: room * SIZE, per_sender: 8 });
        for sender in 0..5 {
            bench.set(sender, account(200, 0));
        }
        for event in events {
            match event {
                Event::Submit { sender, to, sequence, amount, fee, coverage } => {
                    let mut transaction = payment(sender, sequence, amount, fee);
                    transaction.to = address(to);
                    let rival = bench.pool.senders.get(&address(sender))
                        .and_then(|queue| queue.payments.get(&Sequence(sequence)))
                        .map(|rival| rival.payment.transaction().fee);
                    let result = bench.submit(&transaction, coverage);
                    if let (Ok(()), Some(old)) = (&result, rival) {
                        let (old, new) = (old.units(), fee);
                        prop_assert!(new > old && 10 * new >= 11 * old);
                    }
                }
                Event::Set { sender, balance, sequence } => {
                    bench.set(sender, account(balance, sequence));
                }
                Event::Mine { max_bytes } => {
                    let mut ledger = Ledger::new(&bench);
                    for transaction in bench.select(max_bytes) {
                        let verified = Verified::for_tests(&transaction);
                        prop_assert_eq!(ledger.apply_transaction(verified), Ok(Ok(())));
                    }
                    let changed = ledger.into_accounts();
                    bench.accounts.extend(changed.clone());
                    bench.pool.set_accounts(&changed);
                    bench.audit();
                }
            }
            let everything = bench.select(1 << 20);
            prop_assert!(everything.len() >= bench.pool.heads.len());
        }
    }
}

#[test]
fn pages_of_the_mempool_hold_every_payment_once_by_sender_and_sequence() {
    let mut bench = Bench::with_room(50);
    for sender in 0..5 {
        for sequence in 0..4 {
            bench.accept(&[&payment(sender, sequence, 1, 1)]);
        }
    }
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = bench.pool.page(after, 3);
        let keys = page.iter().map(|waiting| {
            (
                waiting.payment.transaction().from(),
                waiting.payment.transaction().sequence,
            )
        });
        listed.extend(keys);
        if page.len() < 3 {
            break;
        }
        after = listed.last().copied();
    }
    assert_eq!(listed.len(), 20);
    assert!(listed.is_sorted_by(|a, b| a < b));
    assert_eq!(bench.pool.page(None, 0).len(), 0);
    let end = (Address([0xff; 32]), Sequence(u64::MAX));
    assert_eq!(bench.pool.page(Some(end), 9).len(), 0);
}
