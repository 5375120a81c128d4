//! Links that break and come back, blocks found here at the worst moment, and connections
//! that are kept open for what a peer announces on them.

use super::*;
use crate::{
    env::{Job, Workers},
    testing::InlineWorkers,
};
use mvb_protocol::validate::Parallel;
use std::cell::RefCell;

/// The interval of the default configuration, in seconds.
const STATUS_INTERVAL: u64 = 5;

fn pinned_at(port: u16) -> ResolverConfig {
    ResolverConfig {
        pinned: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        ..ResolverConfig::default()
    }
}

/// The link goes down when the first bodies are asked for, and that connection never recovers.
async fn cut_in_the_middle_of_a_download(fixture: &Fixture, peer: &Rc<ScriptedPeer>) {
    let (net, cut) = (fixture.world.net.clone(), peer.clone());
    *peer.on_blocks.borrow_mut() = Some(Box::new(move || {
        cut.behaviour.set(Behaviour::WithholdsBodies);
        net.is_cut.set(true);
    }));
    fixture.hear(peer);
    until("the link is down", || fixture.world.net.is_cut.get()).await;
    *peer.on_blocks.borrow_mut() = None;
}

#[tokio::test(start_paused = true)]
async fn a_download_that_a_cut_link_broke_goes_on_within_a_status_interval_of_its_return() {
    local(async {
        for cut in [1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 60, 300] {
            let theirs = chain(3, 1);
            let fixture = Fixture::new(&chain(0, 1));
            let peer = fixture.peer(4000, &theirs);
            cut_in_the_middle_of_a_download(&fixture, &peer).await;
            seconds(cut).await;
            peer.behaviour.set(Behaviour::Honest);
            fixture.world.net.is_cut.set(false);
            fixture.hear(&peer);
            seconds(STATUS_INTERVAL).await;
            assert_eq!(fixture.world.tip(), theirs.tip(), "cut for {cut} s");
        }
    })
    .await;
}

/// A proven peer whose link is whole again says so with a status long before its silent session
/// ends by itself.
#[tokio::test(start_paused = true)]
async fn a_status_of_a_proven_peer_takes_the_place_of_its_silent_session() {
    local(async {
        for cut in [2, 3, 4] {
            let theirs = chain(3, 1);
            let fixture = Fixture::new(&chain(0, 1));
            let peer = fixture.peer(4000, &theirs.fork_at(1));
            fixture.hear(&peer);
            fixture.until_tip(&theirs.fork_at(1)).await;
            *peer.chain.borrow_mut() = theirs.clone();
            seconds(1).await;
            cut_in_the_middle_of_a_download(&fixture, &peer).await;
            seconds(cut).await;
            peer.behaviour.set(Behaviour::Honest);
            fixture.world.net.is_cut.set(false);
            fixture.hear(&peer);
            let half = Duration::from_millis(500);
            tokio::time::sleep(half).await;
            assert_eq!(fixture.world.tip(), theirs.tip(), "cut for {cut} s");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_proven_peer_that_is_slow_and_often_heard_is_served_all_the_same() {
    local(async {
        let theirs = chain(4, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs.fork_at(1));
        fixture.hear(&peer);
        fixture.until_tip(&theirs.fork_at(1)).await;
        *peer.chain.borrow_mut() = theirs.clone();
        peer.block_time.set(Duration::from_secs(3));
        seconds(1).await;
        let before = fixture.world.net.connected(peer.address);
        for _ in 0..30 {
            fixture.hear(&peer);
            seconds(1).await;
        }
        assert_eq!(fixture.world.tip(), theirs.tip());
        let connected = fixture.world.net.connected(peer.address) - before;
        assert_eq!(connected, 2, "asked anew once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_again_and_again_in_the_middle_costs_no_longer_wait() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs);
        for _ in 0..4 {
            cut_in_the_middle_of_a_download(&fixture, &peer).await;
            seconds(20).await;
            peer.behaviour.set(Behaviour::Honest);
            fixture.world.net.is_cut.set(false);
        }
        fixture.hear(&peer);
        seconds(STATUS_INTERVAL).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_withholds_bodies_is_asked_ever_less_and_others_are_not_held_up() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.wrong_peer(4000, &theirs, Behaviour::WithholdsBodies);
        let mut connects = Vec::new();
        for _ in 0..10 {
            for _ in 0..12 {
                fixture.hear(&peer);
                seconds(STATUS_INTERVAL).await;
            }
            connects.push(fixture.world.net.connected(peer.address));
        }
        assert!(connects[0] <= 9, "{connects:?}");
        assert!(connects[9] - connects[4] <= 6, "{connects:?}");
        let honest = fixture.peer(4001, &theirs);
        fixture.hear(&honest);
        seconds(1).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}

/// A block found here is in the store before anybody hears of it. A peer whose branch it beats
/// meanwhile has claimed nothing wrong.
#[tokio::test(start_paused = true)]
async fn a_block_found_here_during_a_session_is_not_held_against_the_peer() {
    local(async {
        let base = chain(5, 1);
        let ours = base.clone().and(1, 2);
        for (blocks, theirs) in [(1, base.clone().and(1, 3)), (2, base.clone().and(2, 3))] {
            let mut world = World::with_chain(&base);
            world.env.workers = Rc::new(InlineWorkers {
                write_delay: Some(Duration::from_secs(1)),
                ..InlineWorkers::default()
            });
            let fixture = Fixture::of(world, ResolverConfig::default());
            let found = ours.clone().and(blocks - 1, 2);
            for block in &found.blocks[base.blocks.len()..] {
                let block = block.clone();
                fixture.manager.do_send(SubmitBlock {
                    block: block.into(),
                });
            }
            let is_stored = || fixture.world.tip() == found.tip();
            until("the block is stored", is_stored).await;
            let view = fixture.world.env.view.chain.borrow().tip;
            assert_ne!(view, found.tip(), "and not announced yet");
            let peer = fixture.peer(4000, &theirs);
            fixture.hear(&peer);
            seconds(3).await;
            assert!(!peer.requests.borrow().is_empty(), "it was asked");
            assert_eq!(fixture.failed_sessions(), 0);
            let longer = theirs.clone().and(3, 3);
            peer.announce(&longer);
            fixture.hear(&peer);
            seconds(3).await;
            assert_eq!(fixture.world.tip(), longer.tip(), "nor is it left alone");
        }
    })
    .await;
}

/// Writes wait until the test lets them go.
#[derive(Default)]
struct HeldWrites {
    inline: InlineWorkers,
    are_let_go: Cell<bool>,
    waiting: RefCell<Vec<Job>>,
}

impl Workers for HeldWrites {
    fn compute(&self, job: Job) {
        self.inline.compute(job);
    }

    fn write(&self, job: Job) {
        match self.are_let_go.get() {
            true => self.inline.write(job),
            false => self.waiting.borrow_mut().push(job),
        }
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        self.inline.parallel()
    }
}

/// The same while the block is valid and not written yet: the store does not show it at all.
#[tokio::test(start_paused = true)]
async fn a_block_found_here_that_waits_for_the_disk_is_not_held_against_the_peer() {
    local(async {
        let base = chain(5, 1);
        let (one, other) = (base.clone().and(1, 2), base.clone().and(1, 3));
        let (found, theirs) = match one.tip().is_better_than(&other.tip()) {
            true => (one, other),
            false => (other, one),
        };
        let mut world = World::with_chain(&base);
        let workers = Rc::<HeldWrites>::default();
        world.env.workers = workers.clone();
        let fixture = Fixture::of(world, ResolverConfig::default());
        let block = found.blocks[5].clone();
        fixture.manager.do_send(SubmitBlock {
            block: block.into(),
        });
        until("the block is to be written", || {
            !workers.waiting.borrow().is_empty()
        })
        .await;
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        seconds(1).await;
        assert!(peer.requests.borrow().len() <= 10, "it is not pestered");
        workers.are_let_go.set(true);
        workers.waiting.take().into_iter().for_each(|write| write());
        fixture.until_tip(&found).await;
        seconds(1).await;
        assert_eq!(fixture.failed_sessions(), 0);
        let longer = theirs.and(3, 3);
        peer.announce(&longer);
        fixture.hear(&peer);
        fixture.until_tip(&longer).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_announces_during_a_download_is_fetched_in_the_same_session() {
    local(async {
        let theirs = chain(300, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs);
        let longer = theirs.and(2, 1);
        let (announced, there) = (longer.clone(), peer.clone());
        *peer.on_blocks.borrow_mut() = Some(Box::new(move || {
            let (announced, there) = (announced.clone(), there.clone());
            // Between the second and the third request for blocks.
            if there.block_requests() == 2 {
                tokio::task::spawn_local(async move { there.announce(&announced) });
            }
        }));
        fixture.hear(&peer);
        fixture.until_tip(&longer).await;
        assert_eq!(fixture.world.net.connected(peer.address), 1);
        assert_eq!(fixture.failed_sessions(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_nothing_proves_is_held_against_the_peer() {
    local(async {
        let theirs = chain(300, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs);
        let there = peer.clone();
        *peer.on_blocks.borrow_mut() = Some(Box::new(move || {
            there.claims.set(Some(invented_tip(7)));
            let (there, chain) = (there.clone(), there.chain.borrow().clone());
            tokio::task::spawn_local(async move { there.announce(&chain) });
        }));
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        until("it is found out", || fixture.failed_sessions() == 1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pinned_peers_announcement_is_followed_at_once() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::with(&chain(0, 1), pinned_at(4000));
        let peer = fixture.peer(4000, &theirs);
        fixture.until_tip(&theirs).await;
        // Past the moment after a fruitless poll, and well before the next.
        seconds(2 * STATUS_INTERVAL + 2).await;
        let longer = theirs.and(1, 2);
        peer.announce(&longer);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(fixture.world.tip(), longer.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pinned_peer_is_found_again_however_long_it_was_away() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::with(&chain(0, 1), pinned_at(4000));
        fixture.world.net.is_cut.set(true);
        let peer = fixture.peer(4000, &theirs);
        seconds(300).await;
        fixture.world.net.is_cut.set(false);
        seconds(STATUS_INTERVAL + 1).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
        assert!(peer.requests.borrow().len() >= 2);
    })
    .await;
}
