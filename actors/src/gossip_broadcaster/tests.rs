//! The broadcaster as one real actor on a fake network, under a paused clock.

use super::*;
use crate::{
    env::{BoxStream, Datagrams, Listener, Outbox, Transport},
    messages::Refusal,
    testing::{FakeNet, Seen, TestChain, World, answering, assume_verified, easy_params, local},
};
use futures::{FutureExt, future::LocalBoxFuture};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::ChainStore,
    hash::TxId,
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    transaction::Payment,
    wire::{Datagram, MAX_STATUS_BYTES, MAX_TRANSACTION_BYTES, NodeId},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    sync::{Mutex, MutexGuard},
};

const SECOND: Duration = Duration::from_secs(1);

const ENDPOINT: Endpoint = Endpoint {
    node: NodeId([1; 16]),
    port: 2_607,
};

fn key() -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[1; 32]).unwrap()
}

fn payment(sequence: u64) -> Transaction {
    Payment {
        genesis: easy_params().genesis_id(),
        to: Address::default(),
        amount: Amount::from_units(1),
        fee: Amount::ZERO,
        sequence: Sequence(sequence),
        timestamp: Timestamp(0),
    }
    .sign(&key())
}

/// Many payments without signing each.
fn payments(count: u64) -> Vec<Arc<Transaction>> {
    let model = payment(0);
    (0..count)
        .map(|sequence| {
            Arc::new(Transaction {
                sequence: Sequence(sequence),
                ..model.clone()
            })
        })
        .collect()
}

/// An outbox that a test fills.
#[derive(Default)]
struct FakeOutbox(Mutex<Vec<Arc<Transaction>>>);

impl FakeOutbox {
    fn content(&self) -> MutexGuard<'_, Vec<Arc<Transaction>>> {
        self.0.lock().unwrap()
    }
}

impl Outbox for FakeOutbox {
    fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError> {
        Ok(self.content().clone())
    }
}

/// What is wrong with a network.
#[derive(Clone, Copy)]
enum Trouble {
    NoRoute,
    Hangs,
}

/// A fake network that can be in trouble.
struct TroubledNet {
    net: Rc<FakeNet>,
    trouble: Cell<Option<Trouble>>,
    attempts: Cell<usize>,
}

impl Transport for TroubledNet {
    fn open(&self, channel: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>> {
        self.net.open(channel)
    }

    fn broadcast<'a>(
        &'a self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        self.attempts.set(self.attempts.get() + 1);
        match self.trouble.get() {
            None => self.net.broadcast(channel, bytes),
            Some(Trouble::NoRoute) => {
                async { Err(io::ErrorKind::NetworkUnreachable.into()) }.boxed_local()
            }
            Some(Trouble::Hangs) => std::future::pending().boxed_local(),
        }
    }

    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>> {
        self.net.listen()
    }

    fn connect(&self, peer: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>> {
        self.net.connect(peer)
    }
}

struct Rig {
    world: World,
    chain: TestChain,
    net: Rc<TroubledNet>,
    outbox: Arc<FakeOutbox>,
    gossip: Addr<GossipBroadcaster>,
    submitted: Seen<SubmitTransaction>,
}

impl Rig {
    async fn start(endpoint: Option<Endpoint>, own: Vec<Arc<Transaction>>) -> Self {
        Self::start_in(None, endpoint, own).await
    }

    async fn start_in(
        trouble: Option<Trouble>,
        endpoint: Option<Endpoint>,
        own: Vec<Arc<Transaction>>,
    ) -> Self {
        let mut chain = TestChain::new(&easy_params());
        chain.push(chain.mine(Vec::new(), Address::of_key(key().public_key().as_bytes())));
        let mut world = World::with_chain(&chain);
        let net = Rc::new(TroubledNet {
            net: world.net.clone(),
            trouble: Cell::new(trouble),
            attempts: Cell::new(0),
        });
        let outbox = Arc::new(FakeOutbox(Mutex::new(own)));
        world.env.net = net.clone();
        world.env.outbox = outbox.clone();
        let (intake, submitted) = answering(|message: &SubmitTransaction| {
            Err(Refusal::Duplicate {
                id: message.transaction.id(),
            })
        });
        let config = GossipConfig {
            status_interval: 5 * SECOND,
            transaction_interval: 7 * SECOND,
        };
        let gossip = GossipBroadcaster::new(world.env.clone(), config, endpoint, intake).start();
        let rig = Self {
            world,
            chain,
            net,
            outbox,
            gossip,
            submitted,
        };
        rig.settle().await;
        rig
    }

    /// Lets everything happen that is due now.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Adds blocks to the chain and tells the broadcaster about its new tip.
    fn extend(&mut self, blocks: usize) {
        let previous = self.chain.tip();
        self.chain = self.chain.clone().and(blocks, 7);
        self.gossip.do_send(TipChanged {
            previous,
            tip: self.chain.tip(),
            disconnected: [].into(),
            connected: [].into(),
            accounts: Arc::new(BTreeMap::new()),
        });
    }

    /// The datagrams of a channel sent since the last call.
    fn take(&self, wanted: Channel) -> Vec<Datagram> {
        let mut taken = Vec::new();
        let mut sent = self.world.net.sent.borrow_mut();
        sent.retain(|(channel, bytes)| {
            if *channel == wanted {
                let most = MAX_STATUS_BYTES.min(MAX_TRANSACTION_BYTES);
                assert!(bytes.len() <= most);
                taken.push(Datagram::from_bytes(bytes).unwrap());
            }
            *channel != wanted
        });
        taken
    }

    /// The tips announced since the last call.
    fn announced(&self) -> Vec<Tip> {
        let statuses = self.take(Channel::Status).into_iter();
        statuses
            .map(|datagram| match datagram {
                Datagram::Status(status) => {
                    assert_eq!(status.endpoint, ENDPOINT);
                    assert_eq!(status.announcement.params, easy_params());
                    status.announcement.tip
                }
                Datagram::Transaction(_) => panic!("a payment on the status channel"),
            })
            .collect()
    }

    /// The payments announced since the last call.
    fn paid(&self) -> Vec<TxId> {
        let payments = self.take(Channel::Transactions).into_iter();
        payments
            .map(|datagram| match datagram {
                Datagram::Transaction(transaction) => transaction.id(),
                Datagram::Status(_) => panic!("a status on the payments' channel"),
            })
            .collect()
    }
}

fn ids(payments: &[Arc<Transaction>]) -> Vec<TxId> {
    payments.iter().map(|payment| payment.id()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_status_goes_out_at_once_and_every_interval() {
    local(async {
        let rig = Rig::start(Some(ENDPOINT), Vec::new()).await;
        assert_eq!(rig.announced(), [rig.chain.tip()]);
        tokio::time::sleep(15 * SECOND).await;
        assert_eq!(rig.announced(), [rig.chain.tip(); 3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wallet_announces_no_status() {
    local(async {
        let mut rig = Rig::start(None, Vec::new()).await;
        rig.extend(1);
        tokio::time::sleep(20 * SECOND).await;
        assert!(rig.announced().is_empty());
    })
    .await;
}

/// Hole 29: a new block is announced at once.
#[tokio::test(start_paused = true)]
async fn a_new_tip_is_announced_at_once() {
    local(async {
        let mut rig = Rig::start(Some(ENDPOINT), Vec::new()).await;
        tokio::time::sleep(SECOND).await;
        rig.announced();
        rig.extend(1);
        rig.settle().await;
        assert_eq!(rig.announced(), [rig.chain.tip()]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_tips_make_at_most_ten_statuses_a_second_and_the_newest_gets_out() {
    local(async {
        let mut rig = Rig::start(Some(ENDPOINT), Vec::new()).await;
        rig.announced();
        let start = Instant::now();
        while start.elapsed() < SECOND {
            rig.extend(1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut announced = rig.announced();
        assert!((8..=10).contains(&announced.len()), "{announced:?}");
        tokio::time::sleep(2 * pace::STATUS_GAP).await;
        announced.extend(rig.announced());
        assert_eq!(announced.last(), Some(&rig.chain.tip()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn own_payments_go_out_at_once_and_every_interval_and_into_the_own_mempool() {
    local(async {
        let own = payments(2);
        let rig = Rig::start(None, own.clone()).await;
        assert_eq!(rig.paid(), ids(&own));
        for submitted in &*rig.submitted.borrow() {
            assert_eq!(submitted.source, TransactionSource::Outbox);
        }
        assert_eq!(rig.submitted.borrow().len(), 2);
        tokio::time::sleep(7 * SECOND).await;
        assert_eq!(rig.paid(), ids(&own));
        // One that another process wrote meanwhile goes out in the next interval.
        rig.outbox.content().push(Arc::new(payment(2)));
        tokio::time::sleep(7 * SECOND).await;
        assert_eq!(rig.paid().len(), 3);
        assert_eq!(rig.submitted.borrow().len(), 7);
    })
    .await;
}

/// Hole 49: what is confirmed, or can never be, is not announced for ever.
#[tokio::test(start_paused = true)]
async fn a_payment_whose_sequence_is_used_is_not_announced_until_a_reorg_frees_it() {
    local(async {
        let own = vec![Arc::new(payment(0)), Arc::new(payment(1))];
        let mut rig = Rig::start(None, own.clone()).await;
        assert_eq!(rig.paid(), ids(&own));
        let base = rig.chain.clone();
        rig.chain
            .push(rig.chain.mine(vec![payment(0)], Address::default()));
        rig.chain.commit_to_next(&rig.world);
        tokio::time::sleep(7 * SECOND).await;
        assert_eq!(rig.paid(), ids(&own[1..]));
        base.and(2, 7).commit_to_next(&rig.world);
        tokio::time::sleep(7 * SECOND).await;
        assert_eq!(rig.paid(), ids(&own));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_payments_are_paced_and_all_get_out() {
    local(async {
        let own = payments(1_000);
        let rig = Rig::start(None, own.clone()).await;
        let first = rig.paid();
        assert_eq!(first, ids(&own)[..PAYMENTS_TOGETHER]);
        tokio::time::sleep(SECOND).await;
        let second = rig.paid().len();
        assert!((150..=210).contains(&second), "{second} in a second");
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(first.len() + second + rig.paid().len(), 1_000);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn payments_that_a_reorg_returned_go_out_once() {
    local(async {
        let rig = Rig::start(Some(ENDPOINT), Vec::new()).await;
        let returned = payments(25);
        let transactions = returned.iter().map(|p| assume_verified((**p).clone()));
        rig.gossip.do_send(PaymentPending {
            transactions: transactions.collect(),
        });
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!(rig.paid(), ids(&returned));
        assert!(rig.submitted.borrow().is_empty(), "they came from there");
    })
    .await;
}

/// Hole 38: without a route the broadcaster goes on, and is heard once there is one.
#[tokio::test(start_paused = true)]
async fn a_network_without_a_route_ends_nothing() {
    local(async {
        let own = payments(1);
        let rig = Rig::start_in(Some(Trouble::NoRoute), Some(ENDPOINT), own).await;
        tokio::time::sleep(20 * SECOND).await;
        assert!(rig.net.attempts.get() >= 6);
        rig.net.trouble.set(None);
        tokio::time::sleep(7 * SECOND).await;
        assert!(!rig.announced().is_empty());
        assert_eq!(rig.paid().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_hangs_is_given_up_and_does_not_silence_the_node() {
    local(async {
        let own = payments(1);
        let mut rig = Rig::start_in(Some(Trouble::Hangs), Some(ENDPOINT), own).await;
        rig.extend(1);
        rig.settle().await;
        rig.net.trouble.set(None);
        tokio::time::sleep(2 * BROADCAST_DEADLINE).await;
        assert_eq!(rig.announced(), [rig.chain.tip()]);
        tokio::time::sleep(7 * SECOND).await;
        assert_eq!(rig.paid().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_outbox_is_read_again_in_the_next_interval() {
    struct Failing;
    impl Outbox for Failing {
        fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError> {
            Err(StoreError::Full)
        }
    }
    local(async {
        let mut world = World::new(&easy_params());
        world.env.outbox = Arc::new(Failing);
        let (intake, submitted) =
            answering(|m: &SubmitTransaction| Ok::<TxId, Refusal>(m.transaction.id()));
        let config = GossipConfig::default();
        let gossip = GossipBroadcaster::new(world.env.clone(), config, None, intake).start();
        tokio::time::sleep(20 * SECOND).await;
        assert!(gossip.connected() && submitted.borrow().is_empty());
    })
    .await;
}

impl TestChain {
    /// Makes it the active chain of a world whose chain it forks from.
    fn commit_to_next(&self, world: &World) {
        let snapshot = world.store.snapshot().unwrap();
        let known = |block: &&Arc<mvb_protocol::block::Block>| {
            snapshot.is_active(&block.id()).unwrap_or(false)
        };
        let branch: Vec<_> = self
            .blocks
            .iter()
            .skip_while(known)
            .map(|block| mvb_protocol::validate::verify_block(block.clone(), &self.params).unwrap())
            .collect();
        let connection =
            mvb_protocol::connect::connect(&*snapshot, &self.params, &branch, crate::testing::NOW);
        let changes = connection.unwrap().changes.expect("the chain is better");
        world.store.commit(&changes).unwrap();
    }
}
