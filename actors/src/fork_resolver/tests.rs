//! The real ForkResolver and ChainManager between scripted peers, on a paused clock.

mod lies;
mod links;
mod scripted;
mod sharing;

use super::*;
use crate::{
    chain_manager::{ChainManager, ChainPorts},
    messages::SubmitBlock,
    testing::{Seen, TestChain, World, address, easy_params, local, probe, until},
};
use mvb_protocol::{
    amount::Amount, block::Reward, chain::StoreError, hash::BlockId, params::ChainParams,
    target::Work, wire::Request,
};
use scripted::{Behaviour, ScriptedPeer, datagram_source, status};
use std::{cell::Cell, sync::Arc};

struct Fixture {
    world: World,
    manager: Addr<ChainManager>,
    resolver: Addr<ForkResolver>,
    changes: Seen<TipChanged>,
    sync: Seen<SyncChanged>,
}

impl Fixture {
    fn new(ours: &TestChain) -> Self {
        Self::with(ours, ResolverConfig::default())
    }

    fn with(ours: &TestChain, config: ResolverConfig) -> Self {
        Self::of(World::with_chain(ours), config)
    }

    fn of(world: World, config: ResolverConfig) -> Self {
        let (listener, changes) = probe();
        let (miner, sync) = probe();
        let context = Context::<ForkResolver>::new();
        let ports = ChainPorts {
            miner: None,
            listeners: vec![listener, context.address().recipient()],
        };
        let manager = ChainManager::new(world.env.clone(), ports).unwrap().start();
        let ports = ResolverPorts {
            chain: manager.clone().recipient(),
            miner: Some(miner),
        };
        let resolver = context.run(ForkResolver::new(world.env.clone(), config, ports));
        Self {
            world,
            manager,
            resolver,
            changes,
            sync,
        }
    }

    fn peer(&self, port: u16, chain: &TestChain) -> Rc<ScriptedPeer> {
        ScriptedPeer::new(&self.world.net, port, chain)
    }

    fn wrong_peer(&self, port: u16, chain: &TestChain, wrong: Behaviour) -> Rc<ScriptedPeer> {
        ScriptedPeer::wrong(&self.world.net, port, chain, wrong)
    }

    /// The peer broadcasts its status.
    fn hear(&self, peer: &ScriptedPeer) {
        self.hear_status(peer.status(), peer.address);
    }

    fn hear_status(&self, status: Status, from: SocketAddr) {
        let source = datagram_source(from);
        self.resolver.do_send(PeerStatus { status, source });
    }

    async fn until_tip(&self, chain: &TestChain) {
        let tip = chain.tip();
        until("the tip is the peer's", || self.world.tip() == tip).await;
    }

    /// How many of a chain's bodies are held for blocks to come.
    async fn held(&self, chain: &TestChain) -> usize {
        let held = self.resolver.send(HeldOf(chain.clone()));
        held.await.expect("the resolver answers")
    }

    fn failed_sessions(&self) -> u64 {
        self.world.env.view.counters.failed_sessions.get()
    }
}

#[derive(Message)]
#[rtype(result = "usize")]
struct HeldOf(TestChain);

impl Handler<HeldOf> for ForkResolver {
    type Result = usize;

    fn handle(&mut self, HeldOf(chain): HeldOf, _: &mut Self::Context) -> usize {
        let bodies = self.shared.bodies.borrow();
        let keys = chain.blocks.iter().map(|b| (b.header.height, b.id()));
        keys.filter(|key| bodies.run([*key].into_iter(), 1).len() == 1)
            .count()
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn chain(blocks: usize, to: u8) -> TestChain {
    TestChain::new(&easy_params()).and(blocks, to)
}

/// A tip that nobody has.
fn invented_tip(byte: u8) -> Tip {
    Tip {
        id: BlockId([byte; 32]),
        height: Height(1_000_000),
        work: Work::from_be_bytes([0x7f; 32]),
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_fetches_an_honest_peers_chain() {
    local(async {
        let theirs = chain(300, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        assert_eq!(peer.block_requests(), 4, "16, 128, 128 and 28 blocks");
        assert_eq!(fixture.world.net.connected(peer.address), 1);
        seconds(1).await;
        let view = fixture.world.env.view.peers.borrow().clone();
        assert!(view.peers[0].proven && view.sync.is_none() && view.last_heard.is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_locator_on_a_losing_fork_leads_to_one_atomic_reorg() {
    local(async {
        let base = chain(20, 1);
        let ours = base.clone().and(5, 2);
        let theirs = base.and(9, 3);
        let fixture = Fixture::new(&ours);
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        let changes = fixture.changes.borrow();
        let reorgs: Vec<_> = changes
            .iter()
            .filter(|c| !c.disconnected.is_empty())
            .collect();
        assert_eq!(reorgs.len(), 1);
        assert_eq!(reorgs[0].disconnected.len(), 5);
        assert!(reorgs[0].connected.len() >= 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fork_longer_than_a_page_of_headers_is_resolved() {
    local(async {
        let base = chain(3, 1);
        let ours = base.clone().and(2_100, 2);
        let theirs = base.and(2_150, 3);
        let fixture = Fixture::new(&ours);
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        assert_eq!(fixture.changes.borrow()[0].disconnected.len(), 2_100);
        assert_eq!(fixture.failed_sessions(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_equal_work_a_smaller_id_is_fetched_and_a_larger_one_is_not() {
    local(async {
        let base = chain(2, 1);
        let (one, other) = (base.clone().and(1, 2), base.and(1, 3));
        let (small, large) = match one.tip().is_better_than(&other.tip()) {
            true => (one, other),
            false => (other, one),
        };
        let fixture = Fixture::new(&large);
        let peer = fixture.peer(4000, &small);
        fixture.hear(&peer);
        fixture.until_tip(&small).await;
        let other = fixture.peer(4001, &large);
        fixture.hear(&other);
        seconds(10).await;
        assert_eq!(fixture.world.net.connected(other.address), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_leaves_no_busy_flag_behind() {
    local(async {
        for silence in [
            Behaviour::Mute,
            Behaviour::SilentAfterHello,
            Behaviour::WithholdsBodies,
        ] {
            let theirs = chain(3, 1);
            let fixture = Fixture::new(&chain(0, 1));
            let peer = fixture.wrong_peer(4000, &theirs, silence);
            fixture.hear(&peer);
            seconds(60).await;
            assert_eq!(fixture.world.tip().height.0, 0);
            peer.behaviour.set(Behaviour::Honest);
            fixture.hear(&peer);
            fixture.until_tip(&theirs).await;
            until("the miner hears that it is over", || {
                fixture
                    .sync
                    .borrow()
                    .last()
                    .is_some_and(|sync| !sync.catching_up)
            })
            .await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_to_a_listener_that_does_not_speak_first() {
    local(async {
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.wrong_peer(4000, &chain(3, 1), Behaviour::Mute);
        fixture.hear(&peer);
        seconds(20).await;
        assert!(fixture.world.net.connected(peer.address) >= 1);
        assert_eq!(peer.unasked_bytes.get(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_huge_claim_that_nothing_proves_changes_nothing_and_is_fetched_rarely() {
    local(async {
        let ours = chain(3, 1);
        let fixture = Fixture::new(&ours);
        let liar = fixture.peer(4000, &ours);
        liar.claims.set(Some(invented_tip(1)));
        for _ in 0..60 {
            fixture.hear(&liar);
            seconds(1).await;
        }
        assert_eq!(fixture.world.tip(), ours.tip());
        assert!(fixture.world.net.connected(liar.address) <= 3);
        assert!(fixture.sync.borrow().is_empty(), "nothing was proven");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_status_does_not_silence_an_honest_peer() {
    local(async {
        let theirs = chain(5, 1);
        let fixture = Fixture::new(&chain(5, 1).fork_at(3));
        let peer = fixture.peer(4000, &theirs.fork_at(3));
        // Somebody forges one status after the other in the honest peer's name.
        for byte in 0..50 {
            fixture.hear_status(peer.status_of(invented_tip(byte)), peer.address);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        *peer.chain.borrow_mut() = theirs.clone();
        fixture.hear(&peer);
        seconds(1).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_wrong_bodies_is_penalised_and_the_block_is_fetched_elsewhere() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let liar = fixture.wrong_peer(4000, &theirs, Behaviour::WrongBodies);
        fixture.hear(&liar);
        until("the liar is found out", || fixture.failed_sessions() == 1).await;
        let honest = fixture.peer(4001, &theirs);
        fixture.hear(&honest);
        fixture.until_tip(&theirs).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unrequested_and_unlinked_blocks_end_the_session_and_are_penalised() {
    local(async {
        for wrong in [Behaviour::Unrequested, Behaviour::Unlinked] {
            let theirs = chain(5, 1);
            let ours = theirs.fork_at(2);
            let fixture = Fixture::new(&ours);
            let liar = fixture.wrong_peer(4000, &theirs, wrong);
            for _ in 0..20 {
                fixture.hear(&liar);
                seconds(1).await;
            }
            assert_eq!(fixture.failed_sessions(), 1, "{wrong:?}");
            assert_eq!(fixture.world.net.connected(liar.address), 1, "{wrong:?}");
            assert_eq!(fixture.world.tip(), ours.tip());
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_trickles_is_dropped_and_another_is_asked_meanwhile() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let slow = fixture.wrong_peer(4000, &theirs, Behaviour::Trickles);
        fixture.hear(&slow);
        seconds(1).await;
        let honest = fixture.peer(4001, &theirs);
        fixture.hear(&honest);
        seconds(1).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
        seconds(60).await;
        assert_eq!(fixture.failed_sessions(), 1, "the slow session has ended");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_several_peers_with_one_tip_the_next_is_asked_when_one_fails() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peers = [
            fixture.wrong_peer(4000, &theirs, Behaviour::Mute),
            fixture.wrong_peer(4001, &theirs, Behaviour::HasNoBlocks),
            fixture.wrong_peer(4002, &theirs, Behaviour::HangsUp),
            fixture.peer(4003, &theirs),
        ];
        for peer in &peers {
            fixture.hear(peer);
        }
        seconds(3).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_peer_is_enough_for_one_tip() {
    local(async {
        let theirs = chain(200, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peers: Vec<_> = (4000..4008)
            .map(|port| fixture.peer(port, &theirs))
            .collect();
        for peer in &peers {
            fixture.hear(peer);
        }
        fixture.until_tip(&theirs).await;
        let connects = peers
            .iter()
            .map(|peer| fixture.world.net.connected(peer.address));
        assert_eq!(connects.sum::<usize>(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn its_own_echo_is_ignored() {
    local(async {
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &chain(3, 1));
        let own = fixture.world.env.node;
        let echo = status(easy_params(), invented_tip(1), own, 4000);
        fixture.hear_status(echo, peer.address);
        seconds(5).await;
        assert_eq!(fixture.world.net.connected(peer.address), 0);
        assert!(fixture.world.env.view.peers.borrow().last_heard.is_none());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_network_is_told_apart_in_words_and_left_alone() {
    local(async {
        let fixture = Fixture::new(&chain(0, 1));
        let other = ChainParams {
            difficulty: 3,
            ..easy_params()
        };
        let peer = fixture.peer(4000, &TestChain::new(&other).and(3, 1));
        fixture.hear(&peer);
        fixture.hear(&peer);
        seconds(5).await;
        let view = &fixture.world.env.view;
        assert_eq!(
            view.peers.borrow().other_network.as_deref(),
            Some("peer 127.0.0.1 runs difficulty 3, this network 2")
        );
        assert_eq!(view.counters.other_network.get(), 2);
        assert_eq!(fixture.world.net.connected(peer.address), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hello_of_another_network_ends_the_session_without_an_answer() {
    local(async {
        let fixture = Fixture::new(&chain(0, 1));
        let other = ChainParams {
            block_size: 3,
            ..easy_params()
        };
        let peer = fixture.peer(4000, &TestChain::new(&other).and(1, 1));
        let forged = status(easy_params(), invented_tip(1), peer.node, 4000);
        fixture.hear_status(forged, peer.address);
        seconds(5).await;
        assert!(peer.requests.borrow().is_empty());
        let told = fixture.world.env.view.peers.borrow().other_network.clone();
        assert_eq!(
            told.as_deref(),
            Some("peer 127.0.0.1 runs block_size 3, this network 1")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_the_datagrams_source_is_ever_connected_to() {
    local(async {
        let fixture = Fixture::new(&chain(0, 1));
        let forged = status(easy_params(), invented_tip(1), NodeId([9; 16]), 4000);
        fixture.hear_status(forged, SocketAddr::from(([127, 0, 0, 9], 1)));
        seconds(5).await;
        let connects = fixture.world.net.connects.borrow();
        let connected: Vec<_> = connects.keys().copied().collect();
        assert_eq!(connected, [SocketAddr::from(([127, 0, 0, 9], 4000))]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pinned_peer_is_asked_though_no_datagram_comes() {
    local(async {
        let theirs = chain(3, 1);
        let config = ResolverConfig {
            pinned: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
            ..ResolverConfig::default()
        };
        let fixture = Fixture::with(&chain(0, 1), config);
        seconds(1).await;
        let peer = fixture.peer(4000, &theirs);
        fixture.until_tip(&theirs).await;
        let longer = theirs.and(1, 2);
        *peer.chain.borrow_mut() = longer.clone();
        seconds(6).await;
        assert_eq!(fixture.world.tip(), longer.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_miner_hears_when_a_proven_download_begins_and_ends() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        seconds(1).await;
        let heard: Vec<bool> = fixture
            .sync
            .borrow()
            .iter()
            .map(|s| s.catching_up)
            .collect();
        assert_eq!(heard, [true, false]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_invalid_branch_keeps_the_tip_and_its_bodies_are_fetched_once() {
    local(async {
        let base = chain(2, 1);
        let ours = base.clone().and(2, 2);
        let mut theirs = base.and(1, 3);
        let reward = theirs.mine(Vec::new(), address(9)).reward;
        let amount = Amount::from_units(reward.amount.units() + 1);
        let bad = theirs.mine_with(Vec::new(), Reward { amount, ..reward });
        theirs.push(bad);
        let theirs = theirs.and(4, 3);
        let fixture = Fixture::new(&ours);
        let first = fixture.peer(4000, &theirs);
        fixture.hear(&first);
        until("the first peer is found out", || {
            fixture.failed_sessions() == 1
        })
        .await;
        let second = fixture.peer(4001, &theirs);
        fixture.hear(&second);
        until("so is the second", || fixture.failed_sessions() == 2).await;
        assert_eq!((first.block_requests(), second.block_requests()), (1, 0));
        assert_eq!(fixture.world.tip(), ours.tip());
        assert!(fixture.changes.borrow().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tip_that_moves_during_a_download_does_not_fail_it() {
    local(async {
        let base = chain(5, 1);
        let ours = base.clone().and(2, 2);
        let theirs = base.and(6, 3);
        let fixture = Fixture::new(&ours);
        let peer = fixture.peer(4000, &theirs);
        let next = Cell::new(Some(ours.mine(Vec::new(), address(2))));
        let manager = fixture.manager.clone();
        *peer.on_blocks.borrow_mut() = Some(Box::new(move || {
            if let Some(block) = next.take() {
                manager.do_send(SubmitBlock {
                    block: block.into(),
                });
            }
        }));
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        assert_eq!(fixture.failed_sessions(), 0);
        assert_eq!(
            fixture.world.net.connected(peer.address),
            1,
            "one session did it"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn blocks_that_a_reorg_left_in_the_store_are_not_fetched_again() {
    local(async {
        let base = chain(2, 1);
        let ours = base.clone().and(2, 2);
        let theirs = base.and(4, 3);
        let fixture = Fixture::new(&ours);
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        fixture.until_tip(&theirs).await;
        let longer = ours.clone().and(5, 2);
        let back = fixture.peer(4001, &longer);
        fixture.hear(&back);
        fixture.until_tip(&longer).await;
        let asked: Vec<BlockId> = back
            .requests
            .borrow()
            .iter()
            .filter_map(|request| match request {
                Request::GetBlocks(request) => Some(request.ids.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let expected: Vec<_> = (5..=9).map(|height| longer.id(height)).collect();
        assert_eq!(asked, expected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_is_not_held_against_the_peer() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        fixture.world.store.set_fault(Some(StoreError::Full));
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        seconds(20).await;
        assert!(fixture.world.net.connected(peer.address) <= 5, "it pauses");
        assert_eq!(fixture.failed_sessions(), 0);
        fixture.world.store.set_fault(None);
        seconds(6).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_claims_does_not_keep_a_proven_peer_waiting() {
    local(async {
        let theirs = chain(5, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let proven = fixture.peer(4000, &theirs.fork_at(3));
        fixture.hear(&proven);
        fixture.until_tip(&theirs.fork_at(3)).await;
        for port in 5000..6000 {
            let mute = fixture.wrong_peer(port, &theirs, Behaviour::Mute);
            fixture.hear_status(mute.status_of(invented_tip(7)), mute.address);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        *proven.chain.borrow_mut() = theirs.clone();
        fixture.hear(&proven);
        seconds(1).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_header_from_the_far_future_ends_the_download_without_blame() {
    local(async {
        let mut theirs = chain(3, 1);
        let mut late = (*theirs.mine(Vec::new(), address(1))).clone();
        late.header.timestamp = crate::testing::NOW.saturating_add(10_000_000);
        let target = late.header.target.expand().unwrap();
        while !target.is_met_by(&late.id()) {
            late.header.nonce += 1;
        }
        let on_time = theirs.clone();
        theirs.push(Arc::new(late));
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.peer(4000, &theirs);
        fixture.hear(&peer);
        fixture.until_tip(&on_time).await;
        seconds(1).await;
        assert_eq!(fixture.failed_sessions(), 0);
        fixture
            .world
            .clock
            .0
            .set(crate::testing::NOW.saturating_add(5_000_000));
        for _ in 0..10 {
            fixture.hear(&peer);
            seconds(1).await;
        }
        assert_eq!(fixture.world.tip(), theirs.tip());
    })
    .await;
}
