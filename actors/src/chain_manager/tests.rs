//! The real ChainManager on a store in memory, with probes for its listeners.

mod overlap;

use super::*;
use crate::{
    env::Workers,
    testing::{InlineWorkers, Seen, TestChain, World, address, easy_params, local, probe},
};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Reward},
    chain::{ChainSnapshot, ChainStore},
    hash::{BlockId, ContentRoot},
    keys::{Curve, SecretKey, Signature},
    numbers::{Sequence, Timestamp},
    transaction::{Payment, Transaction},
    validate::{BlockError, CheckedBlock, Parallel, Sequential, Verdict},
};
use mvb_storage::MemoryStore;
use std::{rc::Rc, time::Duration};

struct Fixture {
    world: World,
    manager: Addr<ChainManager>,
    changes: Seen<TipChanged>,
    best: Seen<BestChanged>,
}

impl Fixture {
    fn on(world: World) -> Self {
        let (listener, changes) = probe();
        let (miner, best) = probe();
        let ports = ChainPorts {
            miner: Some(miner),
            listeners: vec![listener],
        };
        let manager = ChainManager::new(world.env.clone(), ports).unwrap().start();
        Self {
            world,
            manager,
            changes,
            best,
        }
    }

    fn with_chain(chain: &TestChain) -> Self {
        Self::on(World::with_chain(chain))
    }

    async fn connect(&self, blocks: &[Arc<Block>]) -> Result<BranchConnected, ChainError> {
        let blocks = blocks.iter().cloned().map(BranchBlock::from).collect();
        self.manager.send(ConnectBranch { blocks }).await.unwrap()
    }

    async fn submit(&self, block: &Arc<Block>) -> Result<Tip, ChainError> {
        let block = block.clone();
        self.manager
            .send(SubmitBlock {
                block: block.into(),
            })
            .await
            .unwrap()
    }
}

fn chain(blocks: usize, to: u8) -> TestChain {
    TestChain::new(&easy_params()).and(blocks, to)
}

/// A block of the right work whose reward is one unit too large.
fn greedy_block(chain: &TestChain) -> Arc<Block> {
    let reward = chain.mine(Vec::new(), address(9)).reward;
    let amount = Amount::from_units(reward.amount.units() + 1);
    chain.mine_with(Vec::new(), Reward { amount, ..reward })
}

#[tokio::test(start_paused = true)]
async fn a_mined_block_becomes_the_tip_and_is_announced() {
    local(async {
        let one = chain(1, 1);
        let fixture = Fixture::on(World::new(&easy_params()));
        assert_eq!(fixture.submit(&one.blocks[0]).await, Ok(one.tip()));
        assert_eq!(fixture.world.tip(), one.tip());
        assert_eq!(fixture.world.env.view.chain.borrow().tip, one.tip());
        let changes = fixture.changes.borrow();
        assert_eq!((changes.len(), changes[0].tip), (1, one.tip()));
        assert_eq!(
            changes[0].accounts[&address(1)].balance,
            easy_params().block_reward
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reorg_is_one_change_that_carries_both_branches() {
    local(async {
        let base = chain(2, 1);
        let ours = base.clone().and(2, 2);
        let theirs = base.clone().and(3, 3);
        let fixture = Fixture::with_chain(&ours);
        let connected = fixture.connect(&theirs.blocks[2..]).await.unwrap();
        assert_eq!(
            connected,
            BranchConnected {
                tip: theirs.tip(),
                rejected: None
            }
        );
        let changes = fixture.changes.borrow();
        assert_eq!(changes.len(), 1, "one announcement for the whole reorg");
        let change = &changes[0];
        let ids = |blocks: &[Arc<mvb_protocol::chain::ChainBlock>]| {
            blocks.iter().map(|block| block.id).collect::<Vec<_>>()
        };
        assert_eq!(change.previous, ours.tip());
        assert_eq!(ids(&change.disconnected), [ours.id(4), ours.id(3)]);
        assert_eq!(
            ids(&change.connected),
            [theirs.id(3), theirs.id(4), theirs.id(5)]
        );
        assert_eq!(change.accounts[&address(2)].balance, Amount::ZERO);
        let view = fixture.world.env.view.chain.borrow().clone();
        assert_eq!((view.reorgs, view.deepest_reorg), (1, 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reorg_whose_last_block_is_invalid_keeps_the_old_tip_exactly() {
    local(async {
        let base = chain(1, 1);
        let ours = base.clone().and(2, 2);
        // Without its last block the branch must not win by its smaller id.
        let mut theirs = (3..)
            .map(|to| base.clone().and(2, to))
            .find(|theirs| ours.tip().is_better_than(&theirs.tip()))
            .unwrap();
        let bad = greedy_block(&theirs);
        theirs.push(bad.clone());
        let fixture = Fixture::with_chain(&ours);
        let account = || {
            let snapshot = fixture.world.store.snapshot().unwrap();
            snapshot.account(&address(2)).unwrap()
        };
        let before = account();
        let result = fixture.connect(&theirs.blocks[1..]).await;
        assert!(matches!(result, Err(ChainError::Rejected { id, .. }) if id == bad.id()));
        assert_eq!((fixture.world.tip(), account()), (ours.tip(), before));
        assert!(fixture.changes.borrow().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_invalid_block_and_its_descendants_are_remembered() {
    local(async {
        let mut theirs = chain(1, 1);
        let bad = greedy_block(&theirs);
        theirs.push(bad.clone());
        let theirs = theirs.and(3, 4);
        let fixture = Fixture::with_chain(&chain(1, 1));
        let first = fixture.connect(&theirs.blocks[1..]).await;
        assert!(
            matches!(&first, Err(ChainError::Rejected { id, error: BlockError::Reward { .. } }) if *id == bad.id())
        );
        let again = fixture.connect(&theirs.blocks[1..]).await.map(|connected| connected.tip);
        let remembered = |result| matches!(
            result,
            Err(ChainError::Rejected { error: BlockError::InvalidAncestor { ancestor }, .. }) if ancestor == bad.id()
        );
        assert!(remembered(again));
        for descendant in &theirs.blocks[2..] {
            assert!(remembered(fixture.submit(descendant).await));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_the_headers_says_nothing_about_the_id() {
    local(async {
        let one = chain(1, 1);
        let fixture = Fixture::on(World::new(&easy_params()));
        let mut forged = (*one.blocks[0]).clone();
        forged.reward.to = address(7);
        let refused = fixture.submit(&Arc::new(forged)).await;
        assert!(
            matches!(&refused, Err(ChainError::Rejected { error, .. }) if error.verdict() == Verdict::BodyMismatch)
        );
        assert_eq!(fixture.submit(&one.blocks[0]).await, Ok(one.tip()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_block_of_the_far_future_is_refused_and_accepted_once_its_time_has_come() {
    local(async {
        let one = chain(1, 1);
        let world = World::new(&easy_params());
        world.clock.0.set(Timestamp(0));
        let mut late = (*one.blocks[0]).clone();
        late.header.timestamp = Timestamp(10_000_000);
        let target = late.header.target.expand().unwrap();
        while !target.is_met_by(&late.id()) {
            late.header.nonce += 1;
        }
        let late = Arc::new(late);
        let fixture = Fixture::on(world);
        let refused = fixture.submit(&late).await;
        assert!(
            matches!(&refused, Err(ChainError::Rejected { error, .. }) if error.verdict() == Verdict::NotYet)
        );
        let later = Timestamp(5_000_000);
        fixture.world.clock.0.set(later);
        assert!(fixture.submit(&late).await.is_ok());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_block_whose_parent_is_unknown_is_not_remembered() {
    local(async {
        let two = chain(2, 1);
        let fixture = Fixture::on(World::new(&easy_params()));
        let refused = fixture.submit(&two.blocks[1]).await;
        assert!(matches!(
            &refused,
            Err(ChainError::Rejected {
                error: BlockError::UnknownParent { .. },
                ..
            })
        ));
        assert!(fixture.submit(&two.blocks[0]).await.is_ok());
        assert_eq!(fixture.submit(&two.blocks[1]).await, Ok(two.tip()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_link_inside_a_branch_is_not_held_against_the_block() {
    local(async {
        let three = chain(3, 1);
        let fixture = Fixture::on(World::new(&easy_params()));
        let gap = [three.blocks[0].clone(), three.blocks[2].clone()];
        let connected = fixture.connect(&gap).await.unwrap();
        assert!(matches!(
            connected.rejected,
            Some((_, BlockError::Link { .. }))
        ));
        assert!(
            fixture
                .connect(&three.blocks[1..])
                .await
                .unwrap()
                .rejected
                .is_none()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_valid_chain_with_less_work_changes_nothing() {
    local(async {
        let base = chain(1, 1);
        let ours = base.clone().and(3, 2);
        let theirs = base.and(1, 3);
        let fixture = Fixture::with_chain(&ours);
        let result = fixture.connect(&theirs.blocks[1..]).await;
        assert_eq!(
            result,
            Err(ChainError::NotBetter {
                id: theirs.tip().id,
                tip: ours.tip().id
            })
        );
        assert!(fixture.changes.borrow().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_equal_work_the_smaller_id_wins_whichever_came_first() {
    local(async {
        let base = chain(1, 1);
        let (one, other) = (base.clone().and(1, 2), base.and(1, 3));
        let (small, large) = match one.tip().is_better_than(&other.tip()) {
            true => (one, other),
            false => (other, one),
        };
        let fixture = Fixture::with_chain(&large);
        assert_eq!(fixture.submit(&small.blocks[1]).await, Ok(small.tip()));
        let back = fixture.submit(&large.blocks[1]).await;
        assert!(matches!(back, Err(ChainError::NotBetter { .. })));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_announces_nothing_and_is_tried_again() {
    local(async {
        let one = chain(1, 1);
        let fixture = Fixture::on(World::new(&easy_params()));
        fixture.world.store.set_fault(Some(StoreError::Full));
        let refused = fixture.submit(&one.blocks[0]).await;
        assert_eq!(refused, Err(ChainError::Store(StoreError::Full)));
        assert!(fixture.changes.borrow().is_empty());
        assert_eq!(fixture.world.env.view.chain.borrow().tip.height.0, 0);
        let told = fixture.world.env.view.fatal.borrow().clone();
        let told = told.expect("whoever runs the node is told to end it");
        assert!(
            told.contains("the disk is full") && told.contains("up to block 0"),
            "{told}"
        );
        // What follows from the first failure does not take its place in words.
        let follows = StoreError::Io {
            reason: "MDB_PANIC".to_owned(),
        };
        fixture.world.store.set_fault(Some(follows.clone()));
        let refused = fixture.submit(&one.blocks[0]).await;
        assert_eq!(refused, Err(ChainError::Store(follows)));
        assert_eq!(fixture.world.env.view.fatal.borrow().as_ref(), Some(&told));
        fixture.world.store.set_fault(None);
        assert_eq!(fixture.submit(&one.blocks[0]).await, Ok(one.tip()));
    })
    .await;
}

/// A store whose commits wait until they are let go, as a slow disk's do.
struct SlowStore {
    store: MemoryStore,
    commits: std::sync::mpsc::Sender<()>,
    released: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl ChainStore for SlowStore {
    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        self.store.snapshot()
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.commits.send(()).unwrap();
        self.released.lock().unwrap().recv().unwrap();
        self.store.commit(changes)
    }
}

/// Runs writes on a thread of their own, so that one that waits holds nobody up.
struct WriterThread(std::sync::mpsc::Sender<crate::env::Job>);

impl WriterThread {
    fn start() -> Self {
        let (sender, jobs) = std::sync::mpsc::channel::<crate::env::Job>();
        std::thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        Self(sender)
    }
}

impl Workers for WriterThread {
    fn compute(&self, job: crate::env::Job) {
        job();
    }

    fn write(&self, job: crate::env::Job) {
        self.0.send(job).unwrap();
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        Arc::new(Sequential)
    }
}

/// FAULTS 59: what is announced has been synced, which is what a commit returns after.
#[tokio::test]
async fn nothing_is_announced_before_the_commit_has_returned() {
    local(async {
        let one = chain(1, 1);
        let mut world = World::new(&easy_params());
        let (commits, begun) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel();
        world.env.store = Arc::new(SlowStore {
            store: world.store.clone(),
            commits,
            released: released.into(),
        });
        world.env.workers = Rc::new(WriterThread::start());
        let fixture = Fixture::on(world);
        let submitted = fixture.submit(&one.blocks[0]);
        let watched = async {
            while begun.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            // Every message that was under way is delivered meanwhile.
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            assert!(fixture.changes.borrow().is_empty());
            assert_eq!(fixture.world.env.view.chain.borrow().tip.height.0, 0);
            release.send(()).unwrap();
        };
        let (tip, ()) = tokio::join!(submitted, watched);
        assert_eq!(tip, Ok(one.tip()));
        assert_eq!(fixture.world.env.view.chain.borrow().tip, one.tip());
        tokio::task::yield_now().await;
        assert_eq!(fixture.changes.borrow().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_branches_at_once_are_taken_one_after_the_other() {
    local(async {
        let mut world = World::new(&easy_params());
        let delay = Some(Duration::from_millis(50));
        world.env.workers = Rc::new(InlineWorkers {
            delay,
            ..InlineWorkers::default()
        }) as Rc<dyn Workers>;
        let two = chain(2, 1);
        let fixture = Fixture::on(world);
        // Each waits 100 ms in the workers; interleaved, the second would find no parent.
        let (first, second) = futures::join!(
            fixture.submit(&two.blocks[0]),
            fixture.submit(&two.blocks[1])
        );
        assert_eq!((first.is_ok(), second), (true, Ok(two.tip())));
    })
    .await;
}

/// A chain whose first reward belongs to a key, and that key's first payment.
fn chain_with_payment() -> (TestChain, Transaction) {
    let secret = SecretKey::from_bytes(Curve::P256, &[7; 32]).unwrap();
    let mut funded = chain(0, 1);
    let owner = Address::of_key(secret.public_key().as_bytes());
    let block = funded.mine(Vec::new(), owner);
    funded.push(block);
    let payment = Payment {
        genesis: funded.params.genesis_id(),
        to: address(5),
        amount: Amount::from_units(1),
        fee: Amount::ZERO,
        sequence: Sequence(0),
        timestamp: Timestamp(1),
    };
    (funded, payment.sign(&secret))
}

/// The same payment with a signature of other bytes: the same id, another wid.
fn with_garbage_signature(payment: &Transaction) -> Transaction {
    let mut forged = payment.clone();
    let mut bytes = [1; 64];
    bytes[31] = 9;
    forged.signature = Signature::from_bytes(&bytes).unwrap();
    assert_eq!(forged.id(), payment.id());
    forged
}

#[tokio::test(start_paused = true)]
async fn a_known_id_with_a_garbage_signature_is_refused_by_warm_and_cold_nodes_alike() {
    local(async {
        let (funded, payment) = chain_with_payment();
        let forged = funded.mine(vec![with_garbage_signature(&payment)], address(1));
        for is_warm in [false, true] {
            let fixture = Fixture::with_chain(&funded);
            if is_warm {
                fixture.world.env.verified.insert(payment.wid());
            }
            let refused = fixture.submit(&forged).await;
            let is_about_the_payment = matches!(
                refused,
                Err(ChainError::Rejected {
                    error: BlockError::Transaction { index: 0, .. },
                    ..
                })
            );
            assert!(is_about_the_payment, "warm: {is_warm}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_verified_before_is_not_verified_again() {
    local(async {
        let (funded, payment) = chain_with_payment();
        // Only a verification could tell that this signature is garbage.
        let marked = with_garbage_signature(&payment);
        let block = funded.mine(vec![marked.clone()], address(1));
        let fixture = Fixture::with_chain(&funded);
        fixture.world.env.verified.insert(marked.wid());
        assert!(fixture.submit(&block).await.is_ok());
    })
    .await;
}

/// The other branch of a fork mostly holds the same payments.
#[tokio::test(start_paused = true)]
async fn what_a_block_had_verified_is_remembered_and_nothing_of_a_block_that_failed() {
    local(async {
        let (funded, payment) = chain_with_payment();
        let forged = with_garbage_signature(&payment);
        for (sent, is_remembered) in [(&payment, true), (&forged, false)] {
            let block = funded.mine(vec![sent.clone()], address(1));
            let fixture = Fixture::with_chain(&funded);
            assert_eq!(fixture.submit(&block).await.is_ok(), is_remembered);
            let verified = &fixture.world.env.verified;
            assert_eq!(verified.contains(&sent.wid()), is_remembered);
        }
    })
    .await;
}

/// What was found out about a body on its way counts as far as it goes: a signature that was
/// not verified is, and what was verified is only trusted with the signatures.
#[tokio::test(start_paused = true)]
async fn a_checked_body_is_verified_and_a_verified_one_is_judged_by_the_ledger() {
    local(async {
        let (funded, payment) = chain_with_payment();
        let check = |block| CheckedBlock::check(block, &easy_params()).unwrap();
        let forged = funded.mine(vec![with_garbage_signature(&payment)], address(1));
        let fixture = Fixture::with_chain(&funded);
        let connect = |blocks| fixture.manager.send(ConnectBranch { blocks });
        let first = funded.mine(vec![payment.clone()], address(1));
        let verified = |block| {
            let checked = vec![BranchBlock::Checked(check(block))];
            let mut verified = BranchBlock::verify(checked, &|_| false, &Sequential);
            verified.pop().unwrap()
        };
        assert!(matches!(verified(forged.clone()), BranchBlock::Checked(_)));
        let refused = connect(vec![BranchBlock::Checked(check(forged))])
            .await
            .unwrap();
        let refused = refused.unwrap_err();
        assert!(matches!(
            refused,
            ChainError::Rejected {
                error: BlockError::Transaction { index: 0, .. },
                ..
            }
        ));

        // Its signature is right, but its reward is not.
        let greedy = verified(greedy_block(&funded));
        assert!(matches!(greedy, BranchBlock::Verified(_)));
        let refused = connect(vec![greedy]).await.unwrap();
        assert!(matches!(refused, Err(ChainError::Rejected { .. })));

        // A branch of both kinds keeps its order.
        let mut longer = funded.clone();
        longer.push(first.clone());
        let longer = longer.and(1, 2);
        let last = longer.blocks.last().unwrap().clone();
        let branch = vec![verified(first), BranchBlock::Checked(check(last.clone()))];
        let connected = connect(branch).await.unwrap().unwrap();
        assert_eq!((connected.tip.id, connected.rejected), (last.id(), None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_branch_of_too_little_work_has_no_signature_verified() {
    local(async {
        let (funded, payment) = chain_with_payment();
        let forged = funded.mine(vec![with_garbage_signature(&payment)], address(1));
        let fixture = Fixture::with_chain(&funded.and(2, 2));
        let result = fixture.submit(&forged).await;
        assert!(matches!(result, Err(ChainError::NotBetter { .. })));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_little_work_is_refused_before_any_body_is_looked_at() {
    local(async {
        let one = chain(1, 1);
        let mut idle = (*one.blocks[0]).clone();
        let target = idle.header.target.expand().unwrap();
        idle.header.content_root = ContentRoot([7; 32]);
        while target.is_met_by(&idle.id()) {
            idle.header.nonce += 1;
        }
        let fixture = Fixture::on(World::new(&easy_params()));
        let refused = fixture.submit(&Arc::new(idle)).await;
        assert!(matches!(
            refused,
            Err(ChainError::Rejected {
                error: BlockError::ProofOfWork { .. },
                ..
            })
        ));
    })
    .await;
}
