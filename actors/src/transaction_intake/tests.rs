//! The intake as one real actor with probes around it, real signatures and a real store.

use super::*;
use crate::testing::{InlineWorkers, Seen, TestChain, World, easy_params, local, probe};
use mvb_protocol::{
    address::Address,
    ahead::Ahead,
    amount::Amount,
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError},
    connect::connect,
    keys::{Curve, KeyError, PublicKey, SecretKey, Signature},
    numbers::{Height, Sequence, Timestamp},
    transaction::Payment,
    validate::{Parallel, verify_block},
};
use mvb_storage::MemoryStore;
use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

const PEER: TransactionSource =
    TransactionSource::Peer(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4_000));

fn datagram(host: u32) -> TransactionSource {
    TransactionSource::Datagram(IpAddr::V4(Ipv4Addr::from(host)))
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[number; 32]).unwrap()
}

fn address(number: u8) -> Address {
    Address::of_key(key(number).public_key().as_bytes())
}

/// What sender `number` pays nobody in particular, in coins.
fn payment(number: u8, sequence: u64, coins: u64) -> Transaction {
    Payment {
        genesis: easy_params().genesis_id(),
        to: Address::default(),
        amount: Amount::from_units(coins * 1_000_000),
        fee: Amount::ZERO,
        sequence: Sequence(sequence),
        timestamp: Timestamp(sequence),
    }
    .sign(&key(number))
}

/// The same payment under a signature that is not its sender's.
fn forged(transaction: &Transaction, byte: u8) -> Transaction {
    Transaction {
        signature: Signature::from_bytes(&[byte; 64]).unwrap(),
        ..transaction.clone()
    }
}

/// A chain whose block n + 1 pays 10 coins to sender n.
fn funded(senders: u8) -> TestChain {
    let mut chain = TestChain::new(&easy_params());
    for number in 1..=senders {
        chain.push(chain.mine(Vec::new(), address(number)));
    }
    chain
}

/// Workers that keep computations until a test lets them run.
#[derive(Default)]
struct HeldWorkers {
    held: RefCell<Vec<crate::env::Job>>,
    inline: InlineWorkers,
}

impl crate::env::Workers for HeldWorkers {
    fn compute(&self, job: crate::env::Job) {
        self.held.borrow_mut().push(job);
    }

    fn write(&self, job: crate::env::Job) {
        self.inline.write(job);
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        self.inline.parallel()
    }
}

impl HeldWorkers {
    fn release(&self) {
        for job in self.held.take() {
            job();
        }
    }
}

/// Workers that count computations.
#[derive(Default)]
struct CountingWorkers {
    computed: Cell<usize>,
    inline: InlineWorkers,
}

impl crate::env::Workers for CountingWorkers {
    fn compute(&self, job: crate::env::Job) {
        self.computed.set(self.computed.get() + 1);
        self.inline.compute(job);
    }

    fn write(&self, job: crate::env::Job) {
        self.inline.write(job);
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        self.inline.parallel()
    }
}

/// A store that cannot be read while it is broken.
struct FaultyStore {
    store: MemoryStore,
    is_broken: AtomicBool,
}

impl ChainStore for FaultyStore {
    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        if self.is_broken.load(Relaxed) {
            return Err(StoreError::Full);
        }
        self.store.snapshot()
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.store.commit(changes)
    }
}

/// An intake between probes.
struct Rig {
    world: World,
    chain: TestChain,
    intake: Addr<TransactionIntake>,
    index: Arc<MempoolIndex>,
    accepted: Seen<PaymentsWaiting>,
    pending: Seen<PaymentPending>,
}

impl Rig {
    fn new(chain: TestChain) -> Self {
        Self::with(
            chain,
            IntakeConfig::default(),
            Rc::new(InlineWorkers::default()),
        )
    }

    fn with(chain: TestChain, config: IntakeConfig, workers: Rc<dyn crate::env::Workers>) -> Self {
        let mut world = World::with_chain(&chain);
        world.env.workers = workers;
        Self::start(world, chain, config)
    }

    fn start(world: World, chain: TestChain, config: IntakeConfig) -> Self {
        let (miner, accepted) = probe();
        let (gossip, pending) = probe();
        let ports = IntakePorts {
            miner: Some(miner),
            gossip,
        };
        let intake = TransactionIntake::new(world.env.clone(), config, ports);
        Self {
            index: intake.index(),
            intake: intake.start(),
            world,
            chain,
            accepted,
            pending,
        }
    }

    fn request(
        &self,
        transaction: &Transaction,
        source: TransactionSource,
    ) -> impl Future<Output = Result<TxId, Refusal>> + use<> {
        let request = self.intake.send(SubmitTransaction {
            transaction: Arc::new(transaction.clone()),
            source,
        });
        async move { request.await.unwrap() }
    }

    async fn submit(&self, transaction: &Transaction) -> Result<TxId, Refusal> {
        self.request(transaction, PEER).await
    }

    /// What the store has to write to make `chain` the active one.
    fn changes(&self, chain: &TestChain) -> ChangeSet {
        let common = self.chain.blocks.iter().zip(&chain.blocks);
        let common = common.take_while(|(ours, theirs)| ours == theirs).count();
        let params = &chain.params;
        let branch: Vec<_> = chain.blocks[common..]
            .iter()
            .map(|block| verify_block(block.clone(), params).unwrap())
            .collect();
        let snapshot = self.world.store.snapshot().unwrap();
        let changes = connect(&*snapshot, params, &branch, crate::testing::NOW).unwrap();
        changes.changes.expect("the chain is better")
    }

    /// Makes `chain` the active one and tells the intake.
    async fn adopt(&mut self, chain: TestChain) {
        let changes = self.changes(&chain);
        self.world.store.commit(&changes).unwrap();
        self.chain = chain;
        self.intake.do_send(TipChanged {
            previous: changes.previous,
            tip: changes.tip,
            disconnected: changes.disconnect.into(),
            connected: changes.connect.into(),
            accounts: Arc::new(changes.accounts),
        });
        self.settle().await;
    }

    /// Waits until everything sent so far has been handled.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    fn holds(&self, transaction: &Transaction) -> bool {
        let waiting = self.index.get(&transaction.id());
        waiting.is_some_and(|waiting| waiting.payment.name().wid == transaction.wid())
    }

    /// The payments for the next block.
    async fn choose(&self) -> Vec<TxId> {
        let selection = self.select(Ahead::default()).await;
        selection.payments.iter().map(|p| p.name().id).collect()
    }

    /// The payments for the block after what is ahead of the store.
    async fn select(&self, ahead: Ahead) -> Selection {
        let max_bytes = 1 << 20;
        let select = SelectTransactions { max_bytes, ahead };
        self.intake.send(select).await.unwrap()
    }

    fn announced(&self) -> Vec<TxId> {
        let pending = self.pending.borrow();
        pending
            .iter()
            .flat_map(|message| message.transactions.iter().map(|t| t.id()))
            .collect()
    }

    fn refused(&self) -> u64 {
        self.world.env.view.counters.refused_payments.get()
    }
}

/// A chain with one more block that holds these payments.
fn with_payments(chain: &TestChain, transactions: &[&Transaction]) -> TestChain {
    let mut chain = chain.clone();
    let transactions = transactions.iter().map(|t| (*t).clone()).collect();
    chain.push(chain.mine(transactions, Address([9; 32])));
    chain
}

fn mismatch() -> Refusal {
    Refusal::Invalid(TransactionError::Key(KeyError::Mismatch))
}

#[tokio::test(start_paused = true)]
async fn a_good_payment_is_accepted_shown_and_told_to_the_miner() {
    local(async {
        let rig = Rig::new(funded(1));
        let good = payment(1, 0, 4);
        assert_eq!(rig.submit(&good).await, Ok(good.id()));
        rig.settle().await;
        let shown = *rig.world.env.view.mempool.borrow();
        assert_eq!(
            (shown.waiting, shown.ready, shown.bytes),
            (1, 1, good.size())
        );
        assert_eq!(rig.accepted.borrow()[0].waiting, 1);
        assert!(rig.world.env.verified.contains(&good.wid()));
        assert!(rig.pending.borrow().is_empty());
    })
    .await;
}

/// Hole 1: only the key of an address can spend from it.
#[tokio::test(start_paused = true)]
async fn a_payment_signed_by_another_key_is_refused_and_verified_only_once() {
    local(async {
        let workers = Rc::new(CountingWorkers::default());
        let rig = Rig::with(funded(1), IntakeConfig::default(), workers.clone());
        let stolen = Transaction {
            signature: payment(2, 0, 4).signature,
            ..payment(1, 0, 4)
        };
        for _ in 0..3 {
            assert_eq!(rig.submit(&stolen).await, Err(mismatch()));
        }
        assert_eq!((workers.computed.get(), rig.refused()), (1, 3));
    })
    .await;
}

/// Hole 31: nothing a key's bytes can hold ends the intake.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_no_point_is_refused_and_the_intake_lives_on() {
    local(async {
        let garbage = (1..=u8::MAX)
            .map(|byte| PublicKey::from_bytes(&[[2].as_slice(), &[byte; 32]].concat()).unwrap())
            .find(|key| {
                let signature = payment(1, 0, 1).signature;
                matches!(
                    key.verify(b"", &signature),
                    Err(KeyError::PublicKeyPoint(_))
                )
            })
            .expect("half of all numbers are no x of a point");
        let mut chain = funded(1);
        chain.push(chain.mine(Vec::new(), Address::of_key(garbage.as_bytes())));
        let rig = Rig::new(chain);
        let bad = Transaction {
            key: garbage,
            ..payment(1, 0, 4)
        };
        assert!(matches!(
            rig.submit(&bad).await,
            Err(Refusal::Invalid(TransactionError::Key(_)))
        ));
        assert!(rig.submit(&payment(1, 0, 4)).await.is_ok());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_refused_without_another_verification() {
    local(async {
        let workers = Rc::new(CountingWorkers::default());
        let rig = Rig::with(funded(1), IntakeConfig::default(), workers.clone());
        let good = payment(1, 0, 4);
        assert!(rig.submit(&good).await.is_ok());
        for source in [PEER, datagram(1), TransactionSource::Outbox] {
            let again = rig.request(&good, source).await;
            assert_eq!(again, Err(Refusal::Duplicate { id: good.id() }));
        }
        assert_eq!((workers.computed.get(), rig.refused()), (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn copies_that_come_during_verification_share_its_result() {
    local(async {
        let workers = Rc::new(HeldWorkers::default());
        let rig = Rig::with(funded(1), IntakeConfig::default(), workers.clone());
        let good = payment(1, 0, 4);
        let first = tokio::task::spawn_local(rig.request(&good, datagram(1)));
        let second = tokio::task::spawn_local(rig.request(&good, PEER));
        let third = rig.request(&good, datagram(1));
        assert_eq!(third.await, Err(Refusal::Duplicate { id: good.id() }));
        assert_eq!(workers.held.borrow().len(), 1);
        workers.release();
        assert_eq!(first.await.unwrap(), Ok(good.id()));
        assert_eq!(second.await.unwrap(), Ok(good.id()));
        assert_eq!(rig.accepted.borrow().len(), 1);
    })
    .await;
}

/// DESIGN: a known id with a garbage signature neither censors the payment nor evicts it.
#[tokio::test(start_paused = true)]
async fn a_forged_copy_changes_nothing_for_the_good_one_whichever_comes_first() {
    local(async {
        let workers = Rc::new(HeldWorkers::default());
        let rig = Rig::with(funded(1), IntakeConfig::default(), workers.clone());
        let good = payment(1, 0, 4);
        let bad = forged(&good, 1);
        assert_eq!(good.id(), bad.id());
        let first = tokio::task::spawn_local(rig.request(&bad, datagram(1)));
        let second = tokio::task::spawn_local(rig.request(&good, PEER));
        rig.settle().await;
        workers.release();
        assert!(first.await.unwrap().is_err());
        assert_eq!(second.await.unwrap(), Ok(good.id()));
        assert!(rig.submit(&forged(&good, 2)).await.is_err());
        assert!(rig.holds(&good));
        assert!(workers.held.borrow().is_empty(), "a cheap check was enough");
    })
    .await;
}

/// FAULTS 17, hole 32: without money on the chain no signature is looked at.
#[tokio::test(start_paused = true)]
async fn a_flood_of_unfunded_payments_costs_no_verification() {
    local(async {
        let workers = Rc::new(CountingWorkers::default());
        let rig = Rig::with(funded(1), IntakeConfig::default(), workers.clone());
        let model = payment(2, 0, 4);
        for number in 0..2_000u32 {
            let mut fake = model.clone();
            fake.timestamp = Timestamp(u64::from(number));
            let refusal = rig.request(&fake, datagram(number)).await;
            assert!(matches!(refusal, Err(Refusal::Uncovered { .. })));
        }
        assert_eq!((workers.computed.get(), rig.refused()), (0, 2_000));
    })
    .await;
}

/// FAULTS 17: forged payments in a rich sender's name are bounded, and leave room for peers
/// that can be held to account.
#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_payments_leaves_room_for_sessions() {
    local(async {
        let workers = Rc::new(HeldWorkers::default());
        let rig = Rig::with(funded(2), IntakeConfig::default(), workers.clone());
        let model = forged(&payment(1, 0, 4), 1);
        for number in 0..2_000u32 {
            let mut fake = model.clone();
            fake.timestamp = Timestamp(u64::from(number));
            let fake = SubmitTransaction {
                transaction: Arc::new(fake),
                source: datagram(number),
            };
            rig.intake.do_send(fake);
        }
        rig.settle().await;
        assert_eq!(workers.held.borrow().len(), MAX_VERIFYING_DATAGRAMS);
        let good = payment(2, 0, 4);
        let honest = tokio::task::spawn_local(rig.request(&good, PEER));
        rig.settle().await;
        workers.release();
        assert_eq!(honest.await.unwrap(), Ok(good.id()));
        rig.settle().await;
        assert_eq!((rig.index.len(), rig.refused()), (1, 2_000));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_source_of_datagrams_is_limited_and_another_is_not() {
    local(async {
        let config = IntakeConfig {
            per_source_per_second: 5,
            ..IntakeConfig::default()
        };
        let rig = Rig::with(funded(1), config, Rc::new(InlineWorkers::default()));
        let forge = |n: u8| forged(&payment(1, u64::from(n), 1), 1);
        for number in 0..5 {
            let refusal = rig.request(&forge(number), datagram(7)).await;
            assert!(matches!(refusal, Err(Refusal::Invalid(_))));
        }
        let TransactionSource::Datagram(source_address) = datagram(7) else {
            unreachable!("it is a datagram's");
        };
        let good = payment(1, 0, 1);
        assert_eq!(
            rig.request(&good, datagram(7)).await,
            Err(Refusal::TooMany { source_address })
        );
        assert!(rig.request(&good, datagram(8)).await.is_ok());
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let next = payment(1, 1, 1);
        assert!(rig.request(&next, datagram(7)).await.is_ok());
    })
    .await;
}

/// Hole 5: what was paid once cannot be paid again.
#[tokio::test(start_paused = true)]
async fn a_confirmed_payment_leaves_and_is_told_apart_from_one_whose_sequence_is_used() {
    local(async {
        let mut rig = Rig::new(funded(1));
        let paid = payment(1, 0, 4);
        rig.submit(&paid).await.unwrap();
        let rival = payment(1, 0, 5);
        let chain = with_payments(&rig.chain, &[&paid]);
        rig.adopt(chain).await;
        assert!(rig.index.is_empty());
        assert_eq!(
            rig.submit(&paid).await,
            Err(Refusal::Confirmed {
                id: paid.id(),
                height: Height(2)
            })
        );
        assert_eq!(
            rig.submit(&rival).await,
            Err(Refusal::SequenceUsed {
                got: Sequence(0),
                next: Sequence(1)
            })
        );
    })
    .await;
}

/// Hole 35: what happens while a signature is being verified is seen.
#[tokio::test(start_paused = true)]
async fn a_payment_whose_sequence_is_used_during_its_verification_is_not_taken_in() {
    local(async {
        let workers = Rc::new(HeldWorkers::default());
        let mut rig = Rig::with(funded(1), IntakeConfig::default(), workers.clone());
        let late = tokio::task::spawn_local(rig.request(&payment(1, 0, 4), PEER));
        rig.settle().await;
        let chain = with_payments(&rig.chain, &[&payment(1, 0, 5)]);
        rig.adopt(chain).await;
        workers.release();
        assert!(matches!(
            late.await.unwrap(),
            Err(Refusal::SequenceUsed { .. })
        ));
        assert!(rig.index.is_empty());
    })
    .await;
}

/// Holes 28 and 37, FAULTS 51.
#[tokio::test(start_paused = true)]
async fn payments_of_disconnected_blocks_return_once_and_are_announced_once() {
    local(async {
        let base = funded(2);
        let [first, second] = [payment(1, 0, 4), payment(2, 0, 3)];
        let mut rig = Rig::new(with_payments(&base, &[&first, &second]));
        let winner = base.and(2, 7);
        rig.adopt(winner.clone()).await;
        assert!(rig.holds(&first) && rig.holds(&second));
        assert_eq!(rig.announced(), [first.id(), second.id()]);
        assert_eq!(rig.accepted.borrow().len(), 2);
        rig.adopt(winner.and(1, 7)).await;
        assert_eq!(rig.announced().len(), 2);
        assert_eq!(rig.index.len(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn payments_that_the_new_branch_holds_or_contradicts_do_not_return() {
    local(async {
        let base = funded(3);
        let [kept, spent, lost] = [payment(1, 0, 4), payment(2, 0, 3), payment(3, 0, 2)];
        let mut rig = Rig::new(with_payments(&base, &[&kept, &spent, &lost]));
        let winner = with_payments(&base, &[&kept, &payment(2, 0, 9)]);
        rig.adopt(winner.and(1, 7)).await;
        assert_eq!(rig.announced(), [lost.id()]);
        assert_eq!(rig.index.len(), 1);
    })
    .await;
}

/// The coins a returned payment spends may have come from a block that is gone too.
#[tokio::test(start_paused = true)]
async fn a_returned_payment_that_is_not_covered_is_held_until_it_is() {
    local(async {
        let base = funded(1);
        let mut losing = base.clone();
        losing.push(losing.mine(Vec::new(), address(2)));
        let orphaned = payment(2, 0, 10);
        let mut rig = Rig::new(with_payments(&losing, &[&orphaned]));
        let winner = base.and(3, 7);
        rig.adopt(winner.clone()).await;
        assert!(rig.holds(&orphaned));
        assert_eq!(rig.world.env.view.mempool.borrow().ready, 0);
        // Nobody else would take it in.
        assert!(rig.announced().is_empty());
        let told = rig.accepted.borrow().len();
        let mut winner = winner;
        winner.push(winner.mine(Vec::new(), address(2)));
        // The miner hears of the block before the intake does, and asks in vain.
        let changes = rig.changes(&winner);
        let mut ahead = Ahead::default();
        ahead.push(Arc::new(changes));
        assert!(rig.select(ahead).await.payments.is_empty());
        rig.adopt(winner).await;
        assert_eq!(rig.world.env.view.mempool.borrow().ready, 1);
        assert_eq!(rig.accepted.borrow().len(), told + 1);
        assert_eq!(rig.announced(), [orphaned.id()]);
        assert_eq!(rig.choose().await, [orphaned.id()]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_selection_names_the_tip_it_applies_to() {
    local(async {
        let rig = Rig::new(funded(2));
        let [first, second] = [payment(1, 0, 4), payment(1, 1, 4)];
        rig.submit(&second).await.unwrap();
        rig.submit(&first).await.unwrap();
        let selection = rig.select(Ahead::default()).await;
        assert_eq!(selection.tip, rig.chain.tip().id);
        let ids: Vec<TxId> = selection.payments.iter().map(|p| p.name().id).collect();
        assert_eq!(ids, [first.id(), second.id()]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn payments_of_a_block_that_is_not_written_yet_are_not_chosen_again() {
    local(async {
        let rig = Rig::new(funded(2));
        let [first, second, other] = [payment(1, 0, 4), payment(1, 1, 4), payment(2, 0, 4)];
        for payment in [&first, &second, &other] {
            rig.submit(payment).await.unwrap();
        }
        let next = with_payments(&rig.chain, &[&first, &other]);
        let mut ahead = Ahead::default();
        ahead.push(Arc::new(rig.changes(&next)));
        let selection = rig.select(ahead.clone()).await;
        assert_eq!(selection.tip, next.tip().id);
        let ids: Vec<TxId> = selection.payments.iter().map(|p| p.name().id).collect();
        assert_eq!(ids, [second.id()]);
        // The block may yet be taken back, so all of them still wait.
        assert_eq!(rig.choose().await.len(), 3);
        // Nothing can be chosen for a block after one that this chain does not lead to.
        let mut stale = Ahead::default();
        let last = rig.changes(&with_payments(&rig.chain, &[]));
        stale.push(Arc::new(ChangeSet {
            previous: next.tip(),
            ..last
        }));
        assert!(rig.select(stale).await.payments.is_empty());
    })
    .await;
}

/// Hole 37: a block that is abandoned loses no payment, because choosing takes none away.
#[tokio::test(start_paused = true)]
async fn chosen_payments_wait_on_until_a_block_holds_them() {
    local(async {
        let mut rig = Rig::new(funded(2));
        let [first, second] = [payment(1, 0, 4), payment(2, 0, 4)];
        rig.submit(&first).await.unwrap();
        rig.submit(&second).await.unwrap();
        for _ in 0..3 {
            assert_eq!(rig.choose().await, [first.id(), second.id()]);
            assert!(rig.holds(&first) && rig.holds(&second));
        }
        rig.adopt(with_payments(&rig.chain, &[&first])).await;
        assert_eq!(rig.choose().await, [second.id()]);
    })
    .await;
}

/// Hole 34: two newcomers were each paid on a fork of their own, and pay. The coins of the
/// losing fork are nobody's, and what spends them must harm nobody.
#[tokio::test(start_paused = true)]
async fn payments_of_the_other_fork_are_never_chosen_and_harm_nobody() {
    local(async {
        let newcomer = |number| {
            let mut chain = TestChain::new(&easy_params());
            chain.push(chain.mine(Vec::new(), address(number)));
            chain
        };
        let [ours, theirs] = [newcomer(1), newcomer(2)];
        let [from_ours, from_theirs] = [payment(1, 0, 4), payment(2, 0, 4)];
        let mut rig = Rig::new(ours);
        let uncovered = rig.submit(&from_theirs).await;
        assert!(matches!(uncovered, Err(Refusal::Uncovered { .. })));
        rig.submit(&from_ours).await.unwrap();
        assert_eq!(rig.choose().await, [from_ours.id()]);
        rig.adopt(theirs.and(1, 9)).await;
        assert!(rig.choose().await.is_empty());
        rig.submit(&from_theirs).await.unwrap();
        assert_eq!(rig.choose().await, [from_theirs.id()]);
    })
    .await;
}

/// FAULTS 62: a store that fails is told, and nothing is half done.
#[tokio::test(start_paused = true)]
async fn a_failing_store_refuses_payments_and_offers_none() {
    local(async {
        let chain = funded(1);
        let mut world = World::with_chain(&chain);
        let store = Arc::new(FaultyStore {
            store: world.store.clone(),
            is_broken: AtomicBool::new(false),
        });
        world.env.store = store.clone();
        let rig = Rig::start(world, chain, IntakeConfig::default());
        rig.submit(&payment(1, 0, 4)).await.unwrap();
        store.is_broken.store(true, Relaxed);
        let refused = rig.submit(&payment(1, 1, 4)).await;
        assert_eq!(refused, Err(Refusal::Store(StoreError::Full)));
        let selection = rig.select(Ahead::default()).await;
        assert_eq!(selection.tip, rig.chain.tip().id);
        assert!(selection.payments.is_empty());
        store.is_broken.store(false, Relaxed);
        assert!(rig.submit(&payment(1, 1, 4)).await.is_ok());
    })
    .await;
}

/// FAULTS 49: however much is paid for, the bytes stay bounded.
#[tokio::test(start_paused = true)]
async fn the_configured_bytes_are_never_exceeded() {
    local(async {
        let config = IntakeConfig {
            max_bytes: 3 * payment(1, 0, 1).size(),
            ..IntakeConfig::default()
        };
        let rig = Rig::with(funded(2), config, Rc::new(InlineWorkers::default()));
        for sequence in 0..3 {
            rig.submit(&payment(1, sequence, 1)).await.unwrap();
        }
        assert_eq!(rig.submit(&payment(2, 0, 1)).await, Err(Refusal::Full));
        assert_eq!(
            rig.world.env.view.mempool.borrow().bytes,
            3 * payment(1, 0, 1).size()
        );
    })
    .await;
}
