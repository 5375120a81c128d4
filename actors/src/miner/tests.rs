//! The real Miner between probes, with a searcher that the test solves for it.

use super::*;
use crate::{
    env::{OnFound, SearchJob, Searcher},
    messages::ChainError,
    testing::{
        InlineWorkers, Seen, TestChain, World, address, answering, assume_verified, easy_params,
        local, until,
    },
};
use mvb_protocol::{
    amount::Amount,
    chain::ChainSnapshot,
    hash::BlockId,
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Named, Payment},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

/// Remembers jobs, and solves the newest when the test says so.
#[derive(Default)]
struct ManualSearcher {
    jobs: RefCell<Vec<(SearchJob, Option<OnFound>)>>,
    stops: Cell<usize>,
}

impl Searcher for ManualSearcher {
    fn start(&self, job: SearchJob, on_found: OnFound) {
        self.jobs.borrow_mut().push((job, Some(on_found)));
    }
    fn stop(&self) {
        self.stops.set(self.stops.get() + 1);
    }
    fn hashes(&self) -> u64 {
        0
    }
    fn threads(&self) -> usize {
        1
    }
    fn roots(&self) -> usize {
        4
    }
}

impl ManualSearcher {
    fn job(&self, number: usize) -> SearchJob {
        self.jobs.borrow()[number].0.clone()
    }

    fn count(&self) -> usize {
        self.jobs.borrow().len()
    }

    /// Reports job `number` as solved.
    fn solve(&self, number: usize) {
        let (job, on_found) = {
            let mut jobs = self.jobs.borrow_mut();
            (
                jobs[number].0.clone(),
                jobs[number].1.take().expect("a job is solved once"),
            )
        };
        let mut header = job.header;
        header.content_root = job.roots[number % job.roots.len()];
        while !job.target.is_met_by(&header.id()) {
            header.nonce += 1;
        }
        on_found(header);
    }
}

type Pool = Rc<RefCell<Vec<Named>>>;

struct Fixture {
    world: World,
    searcher: Rc<ManualSearcher>,
    payments: Pool,
    asked: Seen<SelectTransactions>,
    submitted: Seen<SubmitBlock>,
    miner: Addr<Miner>,
}

impl Fixture {
    /// A miner whose chain manager takes every block, or refuses every block.
    fn new(mut world: World, takes: bool) -> Self {
        let searcher = Rc::<ManualSearcher>::default();
        world.env.searcher = searcher.clone();
        let payments = Pool::default();
        let (pool, store) = (payments.clone(), world.env.store.clone());
        let (intake, asked) = answering(move |message: &SelectTransactions| {
            let stored = store.snapshot().unwrap();
            let chain = message.ahead.above(&*stored).unwrap();
            Selection {
                tip: chain.tip().unwrap().id,
                payments: pool.borrow().clone(),
            }
        });
        let (chain, submitted) = answering(move |message: &SubmitBlock| {
            let id = message.block.header().id();
            match takes {
                true => Ok(Tip {
                    id,
                    ..Tip::genesis(Default::default())
                }),
                false => Err(ChainError::NotBetter {
                    id,
                    tip: BlockId::default(),
                }),
            }
        });
        let config = MinerConfig {
            reward_to: address(7),
            ..MinerConfig::default()
        };
        let miner = Miner::new(world.env.clone(), config, MinerPorts { intake, chain })
            .unwrap()
            .start();
        Self {
            world,
            searcher,
            payments,
            asked,
            submitted,
            miner,
        }
    }

    fn state(&self) -> MiningState {
        self.world.env.view.mining.borrow().state.clone()
    }

    async fn searching(&self, jobs: usize) {
        until("the miner searches", || self.searcher.count() == jobs).await;
    }

    /// The store and then the miner learn of a chain, as from the ChainManager.
    async fn adopt(&self, chain: &TestChain) {
        let message = self.commit(chain);
        self.miner.send(message).await.unwrap();
    }

    /// The store learns of a chain; the miner is still to be told.
    fn commit(&self, chain: &TestChain) -> BestChanged {
        chain.commit_to(&self.world.store);
        BestChanged::Validated {
            tip: chain.tip(),
            ahead: Ahead::default(),
        }
    }

    /// The miner learns of a chain that the store has yet to write, as from the ChainManager.
    async fn validate(&self, chain: &TestChain) {
        let mut ahead = Ahead::default();
        let changes = chain.changes(&self.world.store).expect("it is better");
        ahead.push(Arc::new(changes));
        let tip = chain.tip();
        let message = BestChanged::Validated { tip, ahead };
        self.miner.send(message).await.unwrap();
    }
}

fn payment(params: &ChainParams) -> Named {
    let key = SecretKey::from_bytes(Curve::P256, &[3; 32]).unwrap();
    let payment = Payment {
        genesis: params.genesis_id(),
        to: address(1),
        amount: Amount::from_units(1),
        fee: Amount::from_units(5),
        sequence: Sequence(0),
        timestamp: Timestamp(0),
    };
    Named::new(assume_verified(payment.sign(&key)))
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_listens_for_one_interval_before_it_mines() {
    local(async {
        let started = tokio::time::Instant::now();
        let fixture = Fixture::new(World::new(&easy_params()), true);
        fixture.searching(1).await;
        assert!(started.elapsed() >= MinerConfig::default().listen);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_hears_of_a_better_chain_catches_up_before_it_mines() {
    local(async {
        let fixture = Fixture::new(World::new(&easy_params()), true);
        fixture
            .miner
            .send(SyncChanged { catching_up: true })
            .await
            .unwrap();
        until("it waits for the download", || {
            fixture.state() == MiningState::CatchingUp
        })
        .await;
        assert_eq!(fixture.searcher.count(), 0);
        fixture
            .miner
            .send(SyncChanged { catching_up: false })
            .await
            .unwrap();
        fixture.searching(1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_solved_block_is_submitted_with_its_payments_and_the_exact_reward() {
    local(async {
        let params = easy_params();
        let fixture = Fixture::new(World::new(&params), true);
        fixture.payments.borrow_mut().push(payment(&params));
        fixture.searching(1).await;
        fixture.searcher.solve(0);
        until("the block is submitted", || {
            fixture.submitted.borrow().len() == 1
        })
        .await;
        let block = fixture.submitted.borrow()[0].block.block().clone();
        assert_eq!(block.transactions.len(), 1);
        assert_eq!(block.reward.to, address(7));
        assert_eq!(block.reward.amount.units(), params.block_reward.units() + 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_better_tip_stops_the_search_before_anything_else_and_moves_on_to_its_child() {
    local(async {
        let params = easy_params();
        let fixture = Fixture::new(World::new(&params), true);
        fixture.searching(1).await;
        let chain = TestChain::new(&params).and(2, 1);
        fixture.adopt(&chain).await;
        assert_eq!(
            fixture.searcher.stops.get(),
            1,
            "stopped in the handler itself"
        );
        fixture.searching(2).await;
        assert_eq!(fixture.searcher.job(1).header.previous, chain.tip().id);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_child_of_a_block_is_searched_while_the_disk_still_writes_the_block() {
    local(async {
        let params = easy_params();
        let fixture = Fixture::new(World::new(&params), true);
        fixture.searching(1).await;
        let chain = TestChain::new(&params).and(2, 1);
        fixture.validate(&chain).await;
        fixture.searching(2).await;
        let job = fixture.searcher.job(1);
        assert_eq!(job.header.previous, chain.tip().id);
        assert_eq!(fixture.world.tip().height.0, 0, "nothing is written yet");
        // The disk has caught up, which is no news to the miner.
        chain.commit_to(&fixture.world.store);
        fixture.searcher.solve(1);
        until("the child is submitted", || {
            fixture.submitted.borrow().len() == 1
        })
        .await;
        assert_eq!(fixture.searcher.stops.get(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_could_not_write_is_not_built_on_and_mining_goes_on_below_it_after_a_pause() {
    local(async {
        let params = easy_params();
        let fixture = Fixture::new(World::new(&params), true);
        let synced = fixture.world.tip();
        fixture.searching(1).await;
        let chain = TestChain::new(&params).and(1, 1);
        fixture.validate(&chain).await;
        fixture.searching(2).await;
        let retracted = tokio::time::Instant::now();
        let message = BestChanged::Retracted { tip: synced };
        fixture.miner.send(message).await.unwrap();
        assert_eq!(fixture.searcher.stops.get(), 2, "stopped at once");
        fixture.searcher.solve(1);
        fixture.searching(3).await;
        assert!(retracted.elapsed() >= PAUSE);
        assert_eq!(fixture.searcher.job(2).header.previous, synced.id);
        assert!(fixture.submitted.borrow().is_empty());
    })
    .await;
}

/// Hole 35 of the original: before or after the next search has begun.
#[tokio::test(start_paused = true)]
async fn a_solution_that_comes_just_after_a_peers_block_is_forgotten_and_mining_goes_on() {
    local(async {
        let params = easy_params();
        for next_has_begun in [false, true] {
            let fixture = Fixture::new(World::new(&params), true);
            fixture.searching(1).await;
            let chain = TestChain::new(&params).and(1, 1);
            fixture.miner.do_send(fixture.commit(&chain));
            if next_has_begun {
                fixture.searching(2).await;
            }
            fixture.searcher.solve(0);
            fixture.searching(2).await;
            // Whatever the old solution leads to has happened before the clock moves on.
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(fixture.submitted.borrow().is_empty());
            fixture.searcher.solve(1);
            until("the child is submitted", || {
                fixture.submitted.borrow().len() == 1
            })
            .await;
            let child = fixture.submitted.borrow()[0].block.header().to_owned();
            assert_eq!(child.previous, chain.tip().id);
        }
    })
    .await;
}

/// Hole 36 of the original.
#[tokio::test(start_paused = true)]
async fn no_abort_is_lost_however_many_tips_come_at_once() {
    local(async {
        let params = easy_params();
        let fixture = Fixture::new(World::new(&params), true);
        fixture.searching(1).await;
        let mut chain = TestChain::new(&params);
        for _ in 0..20 {
            chain = chain.and(1, 1);
            fixture.adopt(&chain).await;
        }
        until("it searches for the last one's child", || {
            let last = fixture.searcher.job(fixture.searcher.count() - 1);
            last.header.previous == chain.tip().id
        })
        .await;
        assert!(fixture.searcher.stops.get() >= 20);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_block_that_was_not_taken_does_not_end_mining() {
    local(async {
        let fixture = Fixture::new(World::new(&easy_params()), false);
        fixture.searching(1).await;
        fixture.searcher.solve(0);
        fixture.searching(2).await;
        assert_eq!(fixture.submitted.borrow().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_enough_payments_it_says_how_many_it_waits_for_and_does_not_search() {
    local(async {
        let params = ChainParams {
            block_size: 2,
            ..easy_params()
        };
        // The first block needs none, so the waiting begins at the second.
        let first = TestChain::new(&ChainParams {
            block_size: 2,
            ..easy_params()
        })
        .and(1, 1);
        let fixture = Fixture::new(World::with_chain(&first), true);
        until("it waits", || {
            fixture.state() == MiningState::WaitingForPayments { missing: 1 }
        })
        .await;
        assert_eq!(fixture.searcher.count(), 0);
        let payment = payment(&params);
        fixture.payments.borrow_mut().push(payment.clone());
        let accepted = PaymentsWaiting { waiting: 1 };
        fixture.miner.send(accepted).await.unwrap();
        fixture.searching(1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_a_block_lacks_many_payments_they_are_looked_at_now_and_then_and_the_last_at_once() {
    local(async {
        let params = ChainParams {
            block_size: 101,
            ..easy_params()
        };
        let first = TestChain::new(&params).and(1, 1);
        let fixture = Fixture::new(World::with_chain(&first), true);
        let missing = |missing| fixture.state() == MiningState::WaitingForPayments { missing };
        until("it waits", || missing(100)).await;
        let asked = fixture.asked.borrow().len();
        let payment = payment(&params);
        for waiting in 1..100 {
            fixture.payments.borrow_mut().push(payment.clone());
            let accepted = PaymentsWaiting { waiting };
            fixture.miner.send(accepted).await.unwrap();
        }
        until("it says how many are left", || missing(1)).await;
        assert_eq!(fixture.asked.borrow().len(), asked + 1);
        let accepted = PaymentsWaiting { waiting: 100 };
        fixture.miner.send(accepted).await.unwrap();
        tokio::time::sleep(GATHER / 10).await;
        assert_eq!(fixture.asked.borrow().len(), asked + 2);
    })
    .await;
}

/// However long a template takes, the payments that come meanwhile do not make it late.
#[tokio::test(start_paused = true)]
async fn a_steady_stream_of_payments_does_not_keep_the_next_block_from_being_searched() {
    local(async {
        let params = ChainParams {
            block_size: 2,
            ..easy_params()
        };
        let first = TestChain::new(&params).and(1, 1);
        let mut world = World::with_chain(&first);
        world.env.workers = Rc::new(InlineWorkers {
            delay: Some(3 * GATHER),
            ..InlineWorkers::default()
        });
        let fixture = Fixture::new(world, true);
        until("it waits", || {
            fixture.state() == MiningState::WaitingForPayments { missing: 1 }
        })
        .await;
        let payment = payment(&params);
        fixture.payments.borrow_mut().push(payment);
        for waiting in 1..=100 {
            let accepted = PaymentsWaiting { waiting };
            fixture.miner.send(accepted).await.unwrap();
            tokio::time::sleep(GATHER / 10).await;
        }
        let searched = fixture.searcher.count();
        assert!((1..=3).contains(&searched), "{searched}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn payments_that_come_during_a_search_are_gathered_and_taken_up_once() {
    local(async {
        let params = easy_params();
        let fixture = Fixture::new(World::new(&params), true);
        fixture.searching(1).await;
        let payment = payment(&params);
        fixture.payments.borrow_mut().push(payment.clone());
        for waiting in 1..=50 {
            let accepted = PaymentsWaiting { waiting };
            fixture.miner.send(accepted).await.unwrap();
        }
        fixture.searching(2).await;
        tokio::time::sleep(4 * GATHER).await;
        assert_eq!(fixture.searcher.count(), 2);
        assert_ne!(
            fixture.searcher.job(0).header.content_root,
            fixture.searcher.job(1).header.content_root
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_header_is_searched_twice_however_often_the_job_is_renewed() {
    local(async {
        let fixture = Fixture::new(World::new(&easy_params()), false);
        fixture.searching(6).await;
        let mut roots: Vec<_> = (0..6)
            .flat_map(|job| fixture.searcher.job(job).roots.to_vec())
            .collect();
        roots.sort();
        roots.dedup();
        assert_eq!(roots.len(), 6 * 4);
        // A hit belongs to the block of its root, whichever that is.
        fixture.searcher.solve(5);
        until("it is submitted", || fixture.submitted.borrow().len() == 1).await;
        let block = fixture.submitted.borrow()[0].block.block().clone();
        let genesis = fixture.world.env.params.genesis_id();
        let root = block.content_root(genesis, &block.wids());
        assert_eq!(block.header.content_root, root);
        assert_eq!(root, fixture.searcher.job(5).roots[1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_search_is_renewed_so_that_its_timestamp_keeps_up() {
    local(async {
        let fixture = Fixture::new(World::new(&easy_params()), true);
        fixture.searching(1).await;
        let later = fixture.world.clock.0.get().saturating_add(60_000);
        fixture.world.clock.0.set(later);
        fixture.searching(2).await;
        assert_eq!(fixture.searcher.job(1).header.timestamp, later);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_hash_rate_counts_the_time_inside_searches_only() {
    let mut rate = Rate::default();
    let start = Instant::now();
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
    assert_eq!(rate.tick(0, at(1.0)), 0.0);
    rate.search_began(at(1.5));
    rate.search_ended(at(1.75));
    assert!((rate.tick(250, at(2.0)) - 1_000.0).abs() < 1e-6);
    // Nothing to search for a minute, then a moment too short to measure.
    assert!((rate.tick(250, at(62.0)) - 1_000.0).abs() < 1e-6);
    rate.search_began(at(62.0));
    rate.search_ended(at(62.01));
    assert!((rate.tick(300, at(63.0)) - 1_000.0).abs() < 1e-6);
    // A machine that becomes slower is followed within some seconds.
    rate.search_began(at(63.0));
    let mut shown = 0.0;
    for second in 1..=20 {
        shown = rate.tick(300 + 500 * second, at(63.0 + second as f64));
    }
    assert!((500.0..510.0).contains(&shown), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_moment_does_not_weigh_on_the_hash_rate_for_long() {
    let mut rate = Rate::default();
    let start = Instant::now();
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
    rate.search_began(at(0.0));
    assert!((rate.tick(10, at(0.1)) - 100.0).abs() < 1e-6);
    let shown = rate.tick(1_010, at(1.1));
    assert!((930.0..1_000.0).contains(&shown), "{shown}");
}
