//! The block server as one real actor, and clients of every kind around it, under a paused
//! clock.

use super::*;
use crate::{
    frames::{FrameError, read_frame, write_frame},
    messages::{Refusal, TransactionSource},
    testing::{FakeNet, Seen, TestChain, World, address, answering, easy_params, local, until},
};
use futures::{FutureExt, future::LocalBoxFuture};
use mvb_protocol::{
    amount::Amount,
    block::Block,
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError, Tip},
    hash::{BlockId, TxId},
    keys::{Curve, KeyError, SecretKey},
    locator::locator,
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Payment, Transaction, TransactionError},
    wire::{
        Announcement, GetBlocks, GetHeaders, Hello, MAX_ANNOUNCEMENTS, MAX_REQUEST_BYTES,
        MAX_STATUS_BYTES, NodeId, Refused, Request, Response, max_response_bytes,
    },
};
use std::{cell::Cell, sync::Arc};
use tokio::io::{AsyncWriteExt, DuplexStream};

const SECOND: Duration = Duration::from_secs(1);

const OTHER_NODE: NodeId = NodeId([9; 16]);

/// A server of a chain.
struct Rig {
    world: World,
    chain: TestChain,
    offers: Seen<SubmitTransaction>,
    server: Addr<BlockServer>,
}

impl Rig {
    async fn start(chain: TestChain) -> Self {
        Self::with(chain, BlockServerConfig::default(), |_| {}).await
    }

    /// A server with room for few sessions.
    async fn small() -> Self {
        let config = BlockServerConfig {
            max_sessions: 6,
            max_sessions_per_address: 3,
            ..BlockServerConfig::default()
        };
        Self::with(chain_of(2), config, |_| {}).await
    }

    async fn with(
        chain: TestChain,
        config: BlockServerConfig,
        change: impl FnOnce(&mut World),
    ) -> Self {
        let mut world = World::with_chain(&chain);
        change(&mut world);
        let (intake, offers) = answering(answer_offer);
        let listener = world.env.net.listen().await.unwrap();
        let server = BlockServer::new(world.env.clone(), config, listener, intake).start();
        Self {
            world,
            chain,
            offers,
            server,
        }
    }

    fn dial(&self, host: u8) -> Client {
        Client::dial(&self.world.net, &self.chain, host)
    }

    /// A client that has said Hello.
    async fn greeted(&self, host: u8) -> Client {
        let mut client = self.dial(host);
        client.greet().await;
        client
    }

    /// The ChainManager's part: a tip that is synced.
    fn publish(&self, tip: Tip) {
        self.world.env.view.chain.send_modify(|view| view.tip = tip);
    }

    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn failed(&self) -> u64 {
        self.world.env.view.counters.failed_sessions.get()
    }

    fn turned_away(&self) -> u64 {
        self.world.env.view.counters.refused_connections.get()
    }
}

/// The intake's part: what it says depends on the amount offered.
fn answer_offer(message: &SubmitTransaction) -> Result<TxId, Refusal> {
    let id = message.transaction.id();
    match message.transaction.amount.units() {
        1 => Ok(id),
        2 => Err(Refusal::Duplicate { id }),
        3 => Err(Refusal::Full),
        _ => Err(TransactionError::Key(KeyError::Mismatch).into()),
    }
}

struct Client {
    stream: DuplexStream,
    params: ChainParams,
    hello: Hello,
}

impl Client {
    fn dial(net: &FakeNet, chain: &TestChain, host: u8) -> Self {
        Self {
            stream: net.dial(SocketAddr::from(([127, 0, 0, host], 40_000))),
            params: chain.params.clone(),
            hello: Hello {
                least_version: 1,
                greatest_version: 1,
                features: 0,
                node: OTHER_NODE,
                announcement: Announcement {
                    params: chain.params.clone(),
                    tip: chain.tip(),
                },
            },
        }
    }

    /// The server's Hello.
    async fn hear_hello(&mut self) -> Hello {
        let frame = read_frame(&mut self.stream, MAX_STATUS_BYTES)
            .await
            .unwrap();
        Hello::from_bytes(&frame).unwrap()
    }

    async fn greet(&mut self) -> Hello {
        let theirs = self.hear_hello().await;
        self.send(&self.hello.to_bytes()).await;
        theirs
    }

    async fn send(&mut self, frame: &[u8]) {
        write_frame(&mut self.stream, frame).await.unwrap();
    }

    async fn hear(&mut self) -> Result<Response, FrameError> {
        let frame = read_frame(&mut self.stream, max_response_bytes(&self.params)).await?;
        Ok(Response::from_frame(&frame, &self.params).unwrap())
    }

    async fn ask(&mut self, request: Request) -> Response {
        self.send(&request.to_frame()).await;
        self.hear().await.unwrap()
    }

    async fn headers(&mut self, locator: Vec<BlockId>, limit: u16) -> Vec<BlockId> {
        let request = GetHeaders { locator, limit };
        match self.ask(Request::GetHeaders(request)).await {
            Response::Headers(headers) => headers.headers.iter().map(|h| h.id()).collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn block(&mut self, id: BlockId) -> Option<Block> {
        let request = GetBlocks { ids: vec![id] };
        match self.ask(Request::GetBlocks(request)).await {
            Response::Block(block) => Some(*block),
            Response::NotFound(missing) => {
                assert_eq!(missing, id);
                None
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether the server has nothing more to say.
    async fn is_closed(&mut self) -> bool {
        matches!(self.hear().await, Err(FrameError::Closed))
    }
}

fn chain_of(blocks: usize) -> TestChain {
    TestChain::new(&easy_params()).and(blocks, 1)
}

fn ids(chain: &TestChain) -> Vec<BlockId> {
    chain.blocks.iter().map(|block| block.id()).collect()
}

fn locator_of(chain: &TestChain) -> Vec<BlockId> {
    let world = World::with_chain(chain);
    locator(&*world.store.snapshot().unwrap()).unwrap()
}

fn payment(units: u64) -> Transaction {
    Payment {
        genesis: easy_params().genesis_id(),
        to: address(1),
        amount: Amount::from_units(units),
        fee: Amount::ZERO,
        sequence: Sequence(0),
        timestamp: Timestamp(0),
    }
    .sign(&SecretKey::from_bytes(Curve::P256, &[1; 32]).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_server_speaks_first_and_names_its_network_and_tip() {
    local(async {
        let rig = Rig::start(chain_of(3)).await;
        let hello = rig.dial(1).hear_hello().await;
        assert_eq!(hello.node, rig.world.env.node);
        assert_eq!(hello.announcement.params, easy_params());
        assert_eq!(hello.announcement.tip, rig.chain.tip());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_is_told_of_each_new_tip_and_one_without_hello_of_none() {
    local(async {
        let rig = Rig::start(chain_of(3)).await;
        let mut silent = rig.dial(1);
        silent.hear_hello().await;
        let mut client = rig.greeted(2).await;
        rig.settle().await;
        for blocks in [4, 5] {
            let tip = chain_of(blocks).tip();
            rig.publish(tip);
            let Ok(Response::Announcement(announcement)) = client.hear().await else {
                panic!("no announcement");
            };
            assert_eq!(announcement.tip, tip);
            assert_eq!(announcement.params, easy_params());
        }
        assert!(silent.hear().now_or_never().is_none());
        rig.publish(chain_of(5).tip());
        rig.settle().await;
        let last = locator_of(&chain_of(3));
        assert!(client.headers(last, 2_000).await.is_empty(), "told twice");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tips_that_pass_while_an_answer_is_taken_are_told_as_one_and_never_more_than_the_limit() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut client = rig.greeted(1).await;
        rig.settle().await;
        let longest = chain_of(600);
        let mut steps = chain_of(1);
        for block in &longest.blocks[1..301] {
            steps.push(block.clone());
            rig.publish(steps.tip());
        }
        let heard = client.hear().await.unwrap();
        assert!(matches!(heard, Response::Announcement(a) if a.tip == steps.tip()));
        let mut announcements = 1;
        for block in &longest.blocks[301..] {
            steps.push(block.clone());
            rig.publish(steps.tip());
            rig.settle().await;
            if let Some(heard) = client.hear().now_or_never() {
                assert!(matches!(heard, Ok(Response::Announcement(_))));
                announcements += 1;
            }
        }
        assert_eq!(announcements, MAX_ANNOUNCEMENTS);
    })
    .await;
}

/// Holes 25 and 26: a long chain arrives whole, and nothing new is told apart from unknown.
#[tokio::test(start_paused = true)]
async fn a_chain_of_any_length_can_be_fetched_over_one_connection() {
    local(async {
        let chain = chain_of(2_100);
        let rig = Rig::start(chain.clone()).await;
        let mut client = rig.greeted(1).await;
        let genesis = vec![chain.params.genesis_id().into()];
        let first = client.headers(genesis, 2_000).await;
        let rest = client.headers(vec![first[1_999]], 2_000).await;
        assert_eq!([first, rest].concat(), ids(&chain));
        assert!(client.headers(locator_of(&chain), 2_000).await.is_empty());
        let wanted: Vec<BlockId> = ids(&chain)[..128].to_vec();
        let request = GetBlocks {
            ids: wanted.clone(),
        };
        client.send(&Request::GetBlocks(request).to_frame()).await;
        for id in wanted {
            let Response::Block(block) = client.hear().await.unwrap() else {
                panic!("no block");
            };
            assert_eq!(block.id(), id);
        }
        assert_eq!(rig.failed(), 0);
    })
    .await;
}

/// FAULTS 18: the last common block is found from a losing fork.
#[tokio::test(start_paused = true)]
async fn headers_follow_the_last_common_block_of_a_fork() {
    local(async {
        let base = chain_of(30);
        let theirs = base.clone().and(5, 2);
        let rig = Rig::start(base.and(9, 3)).await;
        let mut client = rig.greeted(1).await;
        let after = client.headers(locator_of(&theirs), 2_000).await;
        assert_eq!(after, ids(&rig.chain)[30..]);
        let limited = client.headers(locator_of(&theirs), 4).await;
        assert_eq!(limited, ids(&rig.chain)[30..34]);
        let strangers = vec![BlockId([7; 32]); 64];
        assert_eq!(client.headers(strangers, 1).await, ids(&rig.chain)[..1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_not_stored_is_said_not_to_be() {
    local(async {
        let rig = Rig::start(chain_of(3)).await;
        let mut client = rig.greeted(1).await;
        assert_eq!(client.block(BlockId([7; 32])).await, None);
        let block = client.block(rig.chain.id(2)).await;
        assert_eq!(block.as_ref(), Some(&*rig.chain.blocks[1]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_offered_payment_is_accepted_or_refused_with_the_reason() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut client = rig.greeted(1).await;
        for units in [1, 2] {
            let offer = Request::OfferTransaction(Box::new(payment(units)));
            let id = payment(units).id();
            assert_eq!(client.ask(offer).await, Response::Accepted(id));
        }
        let offer = Request::OfferTransaction(Box::new(payment(3)));
        let refused = Refused {
            id: payment(3).id(),
            reason: Refusal::Full.to_string(),
        };
        assert_eq!(client.ask(offer).await, Response::Refused(refused));
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        assert_eq!(rig.offers.borrow()[0].source, TransactionSource::Peer(peer));
        assert_eq!(rig.failed(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_offers_an_invalid_payment_is_told_and_sent_away() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut client = rig.greeted(1).await;
        let offer = Request::OfferTransaction(Box::new(payment(4)));
        assert!(matches!(client.ask(offer).await, Response::Refused(_)));
        assert!(client.is_closed().await);
        rig.settle().await;
        assert_eq!(rig.failed(), 1);
    })
    .await;
}

/// FAULTS 6: our Hello names our parameters, so the other side can say what differs.
#[tokio::test(start_paused = true)]
async fn a_peer_of_another_network_gets_our_hello_and_no_more() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut client = rig.dial(1);
        client.hello.announcement.params.difficulty = 20;
        let theirs = client.greet().await;
        assert_eq!(theirs.announcement.params, easy_params());
        assert!(client.is_closed().await);
        rig.settle().await;
        let counters = &rig.world.env.view.counters;
        assert_eq!((counters.other_network.get(), rig.failed()), (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_wire_version_and_the_node_itself_are_sent_away() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut later = rig.dial(1);
        (later.hello.least_version, later.hello.greatest_version) = (2, 3);
        later.greet().await;
        assert!(later.is_closed().await);
        let mut own = rig.dial(1);
        own.hello.node = rig.world.env.node;
        own.greet().await;
        assert!(own.is_closed().await);
        let mut wide = rig.dial(1);
        wide.hello.greatest_version = 7;
        wide.greet().await;
        assert_eq!(wide.block(BlockId([7; 32])).await, None);
    })
    .await;
}

/// FAULTS 21: requests beyond the limits, and what is no request, end the session.
#[tokio::test(start_paused = true)]
async fn what_is_no_request_ends_the_session() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let too_many = GetBlocks {
            ids: vec![BlockId([7; 32]); 129],
        };
        let too_long = GetHeaders {
            locator: vec![BlockId([7; 32]); 65],
            limit: 1,
        };
        let frames = [
            Request::GetBlocks(too_many).to_frame(),
            Request::GetHeaders(too_long).to_frame(),
            Response::NotFound(BlockId([7; 32])).to_frame(),
            vec![25, 0x90],
            vec![0; MAX_REQUEST_BYTES],
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ];
        for (count, frame) in frames.iter().enumerate() {
            let mut client = rig.greeted(1).await;
            client.send(frame).await;
            assert!(client.is_closed().await, "{frame:?}");
            rig.settle().await;
            assert_eq!(rig.failed(), count as u64 + 1);
        }
        let mut client = rig.greeted(1).await;
        let huge = u32::MAX.to_be_bytes();
        client.stream.write_all(&huge).await.unwrap();
        assert!(client.is_closed().await);
        let mut client = rig.dial(1);
        client.hear_hello().await;
        client.send(&[0; MAX_STATUS_BYTES]).await;
        assert!(client.is_closed().await);
        rig.settle().await;
        assert_eq!(rig.failed(), frames.len() as u64 + 2);
        assert!(rig.greeted(1).await.block(rig.chain.id(1)).await.is_some());
    })
    .await;
}

/// Hole 40, FAULTS 7 and 19: each kind of slowness has its deadline.
#[tokio::test(start_paused = true)]
async fn a_client_that_stays_silent_before_hello_is_dropped() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let start = Instant::now();
        let mut client = rig.dial(1);
        client.hear_hello().await;
        assert!(client.is_closed().await);
        let waited = start.elapsed();
        let deadline = Deadlines::default().hello;
        assert!(waited >= deadline && waited < deadline + SECOND);
        rig.settle().await;
        assert_eq!(rig.failed(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_trickles_in_is_not_waited_for() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut client = rig.greeted(1).await;
        let start = Instant::now();
        let trickle = async {
            let mut sent = 0u32;
            while client.stream.write_all(&[0]).await.is_ok() && sent < 1_000 {
                sent += 1;
                tokio::time::sleep(9 * SECOND).await;
            }
        };
        trickle.await;
        assert!(start.elapsed() < 3 * Deadlines::default().read);
        assert_eq!(rig.failed(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_reply_is_dropped() {
    local(async {
        let chain = chain_of(2_000);
        let rig = Rig::start(chain.clone()).await;
        let mut client = rig.greeted(1).await;
        let request = GetHeaders {
            locator: vec![chain.params.genesis_id().into()],
            limit: 2_000,
        };
        client.send(&Request::GetHeaders(request).to_frame()).await;
        until("dropped", || rig.failed() == 1).await;
        assert!(matches!(client.hear().await, Err(FrameError::Io(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_dropped_without_blame() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut client = rig.greeted(1).await;
        let start = Instant::now();
        assert!(client.is_closed().await);
        assert!(start.elapsed() >= Deadlines::default().idle);
        rig.settle().await;
        assert_eq!(rig.failed(), 0);
    })
    .await;
}

/// FAULTS 20: under a flood of silent connections from its own address an honest peer is
/// served, and what it began is not cut off.
#[tokio::test(start_paused = true)]
async fn an_honest_peer_is_served_among_a_flood_of_silent_connections() {
    local(async {
        let rig = Rig::start(chain_of(40)).await;
        let early = rig.greeted(1).await;
        let mut silent: Vec<Client> = (0..500).map(|_| rig.dial(1)).collect();
        let honest = rig.greeted(1).await;
        silent.extend((0..500).map(|_| rig.dial(1)));
        for mut client in [early, honest] {
            for height in 1..=40 {
                let block = client.block(rig.chain.id(height)).await;
                assert!(block.is_some());
                silent.push(rig.dial(1));
            }
        }
        assert_eq!(rig.failed(), 0);
        assert!(rig.turned_away() >= 900);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sessions_at_work_are_not_ended_for_newcomers() {
    local(async {
        let rig = Rig::small().await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(rig.greeted(1).await);
        }
        assert!(rig.dial(1).is_closed().await);
        for client in &mut clients {
            assert!(client.block(rig.chain.id(1)).await.is_some());
        }
        assert_eq!(rig.turned_away(), 1);
        // Two of them fall idle; the one that has rested longest makes way.
        tokio::time::sleep(6 * SECOND).await;
        assert!(clients[0].block(rig.chain.id(1)).await.is_some());
        let mut newcomer = rig.greeted(1).await;
        assert!(newcomer.block(rig.chain.id(2)).await.is_some());
        assert!(clients[0].block(rig.chain.id(1)).await.is_some());
        assert_eq!(rig.turned_away(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_leaves_its_room_to_another() {
    local(async {
        let rig = Rig::small().await;
        for _ in 0..20 {
            let mut client = rig.greeted(1).await;
            assert!(client.block(rig.chain.id(1)).await.is_some());
            drop(client);
            rig.settle().await;
        }
        assert_eq!((rig.turned_away(), rig.failed()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sixty_four_peers_of_one_address_are_served_at_once() {
    local(async {
        let rig = Rig::start(chain_of(1)).await;
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push(rig.greeted(1).await);
        }
        for client in &mut clients {
            assert!(client.block(rig.chain.id(1)).await.is_some());
        }
        assert_eq!(rig.turned_away(), 0);
    })
    .await;
}

/// A listener that fails now and then.
struct FailingListener {
    listener: Rc<dyn Listener>,
    failures: Cell<u32>,
}

impl Listener for FailingListener {
    fn port(&self) -> u16 {
        self.listener.port()
    }

    fn accept(&self) -> LocalBoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        match self.failures.get() {
            0 => self.listener.accept(),
            failures => {
                self.failures.set(failures - 1);
                async { Err(io::Error::other("too many open files")) }.boxed_local()
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_accept_is_tried_again_after_a_while() {
    local(async {
        let chain = chain_of(1);
        let world = World::with_chain(&chain);
        let (intake, _) = answering(answer_offer);
        let listener = Rc::new(FailingListener {
            listener: world.env.net.listen().await.unwrap(),
            failures: Cell::new(5),
        });
        let config = BlockServerConfig::default();
        let start = Instant::now();
        let server = BlockServer::new(world.env.clone(), config, listener, intake).start();
        let mut client = Client::dial(&world.net, &chain, 1);
        client.greet().await;
        assert!(client.block(chain.id(1)).await.is_some());
        assert!(start.elapsed() >= 5 * BACK_OFF);
        assert!(server.connected());
    })
    .await;
}

/// FAULTS 62: a store that cannot be read ends the session, not the server.
#[tokio::test(start_paused = true)]
async fn a_failing_store_ends_a_session_without_blaming_the_peer() {
    struct Unreadable;
    impl ChainStore for Unreadable {
        fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
            Err(StoreError::Full)
        }
        fn commit(&self, _: &ChangeSet) -> Result<(), StoreError> {
            Err(StoreError::Full)
        }
    }
    local(async {
        let config = BlockServerConfig::default();
        let broken = |world: &mut World| world.env.store = Arc::new(Unreadable);
        let rig = Rig::with(chain_of(1), config, broken).await;
        assert!(rig.dial(1).is_closed().await);
        rig.settle().await;
        assert!(rig.server.connected());
        assert_eq!(rig.failed(), 0);
    })
    .await;
}
