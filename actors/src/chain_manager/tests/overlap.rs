//! Judging while the disk writes: workers that the test lets go on one job at a time.

use super::*;
use crate::env::Job;
use mvb_protocol::validate::{Parallel, Sequential};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

/// Workers whose writes wait for the test, and whose computations do while it says so.
#[derive(Default)]
struct HeldWorkers {
    holds_computing: Cell<bool>,
    computing: RefCell<VecDeque<Job>>,
    writing: RefCell<VecDeque<Job>>,
}

impl Workers for HeldWorkers {
    fn compute(&self, job: Job) {
        if self.holds_computing.get() {
            self.computing.borrow_mut().push_back(job);
        } else {
            job();
        }
    }

    fn write(&self, job: Job) {
        self.writing.borrow_mut().push_back(job);
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        Arc::new(Sequential)
    }
}

struct Held {
    fixture: Fixture,
    workers: Rc<HeldWorkers>,
}

type Outcome<T> = Rc<RefCell<Option<Result<T, ChainError>>>>;

impl Held {
    fn new() -> Self {
        let mut world = World::new(&easy_params());
        let workers = Rc::<HeldWorkers>::default();
        world.env.workers = workers.clone();
        Self {
            fixture: Fixture::on(world),
            workers,
        }
    }

    /// Hands a block in without waiting for what becomes of it.
    async fn submit(&self, block: &Arc<Block>) -> Outcome<Tip> {
        let block = block.clone();
        let reply = self.fixture.manager.send(SubmitBlock {
            block: block.into(),
        });
        let outcome = Outcome::<Tip>::default();
        let slot = outcome.clone();
        tokio::task::spawn_local(async move {
            let reply = reply.await.unwrap();
            *slot.borrow_mut() = Some(reply);
        });
        settle().await;
        outcome
    }

    /// Hands a branch in without waiting for what becomes of it.
    async fn connect(&self, blocks: &[Arc<Block>]) {
        let blocks = blocks.iter().cloned().map(BranchBlock::from).collect();
        let reply = self.fixture.manager.send(ConnectBranch { blocks });
        tokio::task::spawn_local(async move { drop(reply.await) });
        settle().await;
    }

    /// Lets the disk write what it was given first.
    async fn write(&self) {
        let job = self.workers.writing.borrow_mut().pop_front();
        job.expect("something is to be written")();
        settle().await;
    }

    /// How many writes the disk was given and has not done.
    fn writes(&self) -> usize {
        self.workers.writing.borrow().len()
    }

    /// What the miner was told to build on, and how many steps the store lacks there.
    fn best(&self) -> Vec<(BlockId, usize)> {
        let best = self.fixture.best.borrow();
        best.iter()
            .map(|best| match best {
                BestChanged::Validated { tip, ahead } => (tip.id, ahead.len()),
                BestChanged::Retracted { tip } => (tip.id, 0),
            })
            .collect()
    }

    /// The tips that everybody was told, and how many blocks joined with each.
    fn announced(&self) -> Vec<(BlockId, usize)> {
        let changes = self.fixture.changes.borrow();
        let told = changes.iter();
        told.map(|change| (change.tip.id, change.connected.len()))
            .collect()
    }
}

/// Waits until everything that can happen by itself has happened.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_miner_hears_of_a_block_before_it_is_synced_and_everybody_else_after() {
    local(async {
        let one = chain(1, 1);
        let held = Held::new();
        let outcome = held.submit(&one.blocks[0]).await;
        assert_eq!(held.best(), [(one.tip().id, 1)]);
        assert_eq!(held.announced(), []);
        assert_eq!(*outcome.borrow(), None, "its finder is not told either");
        assert_eq!(held.fixture.world.env.view.chain.borrow().tip.height.0, 0);
        held.write().await;
        assert_eq!(held.announced(), [(one.tip().id, 1)]);
        assert_eq!(*outcome.borrow(), Some(Ok(one.tip())));
        // Whoever sees the tip sees at the same moment that it was found here.
        assert_eq!(held.fixture.world.env.view.chain.borrow().blocks_found, 1);
        assert_eq!(held.best().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn blocks_that_wait_for_the_disk_are_judged_at_once_and_synced_together() {
    local(async {
        let four = chain(4, 1);
        let held = Held::new();
        let mut outcomes = Vec::new();
        for block in &four.blocks {
            outcomes.push(held.submit(block).await);
        }
        let best = (1..).map(|at| (four.id(at), at)).take(4);
        assert_eq!(held.best(), best.collect::<Vec<_>>());
        assert_eq!(held.writes(), 1, "one at a time");
        held.write().await;
        assert_eq!(held.announced(), [(four.id(1), 1)]);
        held.write().await;
        assert_eq!(held.announced()[1..], [(four.id(4), 3)]);
        let tips = outcomes.iter().map(|outcome| outcome.borrow().clone());
        for (at, outcome) in (1..).zip(tips) {
            assert_eq!(outcome.unwrap().unwrap().id, four.id(at));
        }
        assert_eq!((held.fixture.world.tip(), held.writes()), (four.tip(), 0));
        let changes = held.fixture.changes.borrow();
        let minted = easy_params().block_reward.units() * 4;
        let account = changes[1].accounts[&address(1)];
        assert_eq!(account.balance, Amount::from_units(minted));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_better_branch_replaces_blocks_that_are_not_synced_yet_in_a_step_of_its_own() {
    local(async {
        let (ours, theirs) = (chain(2, 1), chain(3, 2));
        let held = Held::new();
        held.submit(&ours.blocks[0]).await;
        held.submit(&ours.blocks[1]).await;
        held.connect(&theirs.blocks).await;
        let next = theirs.clone().and(1, 2);
        let outcome = held.submit(&next.blocks[3]).await;
        for _ in 0..3 {
            held.write().await;
        }
        let steps = [
            (ours.id(1), 1),
            (ours.id(2), 1),
            // The reorg of two blocks, and with it what follows.
            (next.tip().id, 4),
        ];
        assert_eq!(held.announced(), steps);
        assert_eq!(held.fixture.changes.borrow()[2].disconnected.len(), 2);
        assert_eq!(held.fixture.world.env.view.chain.borrow().blocks_found, 3);
        assert_eq!(*outcome.borrow(), Some(Ok(next.tip())));
        assert_eq!(held.fixture.world.tip(), next.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_the_disk_fails_everything_that_stands_on_it_is_taken_back() {
    local(async {
        let three = chain(3, 1);
        let held = Held::new();
        held.submit(&three.blocks[0]).await;
        held.write().await;
        let second = held.submit(&three.blocks[1]).await;
        let third = held.submit(&three.blocks[2]).await;
        held.fixture.world.store.set_fault(Some(StoreError::Full));
        held.write().await;
        for outcome in [&second, &third] {
            let failed = Err(ChainError::Store(StoreError::Full));
            assert_eq!(*outcome.borrow(), Some(failed));
        }
        let told = held.fixture.best.borrow().last().cloned();
        assert!(
            matches!(told, Some(BestChanged::Retracted { tip }) if tip.id == three.id(1)),
            "{told:?}"
        );
        assert_eq!(held.announced(), [(three.id(1), 1)]);
        held.fixture.world.store.set_fault(None);
        held.connect(&three.blocks[1..]).await;
        held.write().await;
        assert_eq!(held.announced()[1..], [(three.id(3), 2)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_branch_judged_on_top_of_what_was_taken_back_is_judged_anew() {
    local(async {
        let two = chain(2, 1);
        let held = Held::new();
        held.submit(&two.blocks[0]).await;
        held.workers.holds_computing.set(true);
        let child = held.submit(&two.blocks[1]).await;
        held.fixture.world.store.set_fault(Some(StoreError::Full));
        held.write().await;
        held.fixture.world.store.set_fault(None);
        held.workers.holds_computing.set(false);
        let judging = held.workers.computing.borrow_mut().pop_front();
        judging.expect("the child is being judged")();
        settle().await;
        let outcome = child.borrow().clone();
        assert!(
            matches!(
                &outcome,
                Some(Err(ChainError::Rejected {
                    error: BlockError::UnknownParent { .. },
                    ..
                }))
            ),
            "{outcome:?}"
        );
        assert_eq!((held.writes(), held.announced()), (0, Vec::new()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_falls_far_behind_makes_the_next_block_wait_and_nothing_is_lost() {
    local(async {
        let long = chain(80, 1);
        let held = Held::new();
        for block in &long.blocks {
            held.submit(block).await;
        }
        assert_eq!(held.best().len(), pipeline::MOST_STEPS);
        while held.writes() > 0 {
            held.write().await;
        }
        assert_eq!(held.best().len(), 80);
        assert_eq!(held.fixture.world.tip(), long.tip());
        assert_eq!(held.announced().len(), 4, "syncs for 80 blocks");
    })
    .await;
}
