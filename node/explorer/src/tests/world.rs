//! A node made of a chain in memory and two actors that stand for the others.

use crate::{
    reply::Reply,
    routes::{Asked, Verb, answer},
};
use actix::prelude::*;
use mvb_actors::{
    messages::{ListWaiting, PaymentPending, Refusal, SubmitTransaction},
    seen_blocks::SeenBlocks,
    transaction_intake::{
        mempool::{MempoolIndex, Waiting},
        queue::Standing,
    },
    view::{PeerView, View},
};
use mvb_node::{
    handle::{NodeHandle, Ports},
    home::Role,
    snapshot::{Facts, NodeSnapshot},
};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{Account, ChainBlock, ChainStore, ChangeSet, Tip},
    hash::{BlockId, ContentRoot, TxId},
    keys::{Curve, SecretKey},
    numbers::{Height, Sequence, Timestamp},
    params::ChainParams,
    target::Target,
    transaction::{Named, Payment, Transaction, Verified},
    wire::NodeId,
};
use mvb_storage::MemoryStore;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Now.
pub const NOW: Timestamp = Timestamp(1_700_000_100_000);

/// What alice has paid.
pub const PAID: Amount = Amount::from_units(1_234_000_005);

/// How many blocks the chain has.
pub const BLOCKS: u64 = 40;

/// The node, and what is on its chain.
pub struct World {
    /// The node.
    pub node: NodeHandle,
    /// Who paid and was paid.
    pub alice: Address,
    /// Who mined.
    pub miner: Address,
    /// A payment in a block.
    pub confirmed: TxId,
    /// One that waits, and one that waits for another.
    pub waiting: TxId,
    /// It.
    pub gap: TxId,
    /// A block that a reorg left behind.
    pub orphan: BlockId,
    /// What was handed in.
    pub submitted: Arc<Mutex<Vec<Transaction>>>,
    /// What the intake says to the next payment.
    pub refusal: Arc<Mutex<Option<Refusal>>>,
    snapshots: watch::Sender<Arc<NodeSnapshot>>,
}

struct Intake {
    waiting: Vec<Waiting>,
    submitted: Arc<Mutex<Vec<Transaction>>>,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl Actor for Intake {
    type Context = Context<Self>;
}

impl Handler<SubmitTransaction> for Intake {
    type Result = Result<TxId, Refusal>;

    fn handle(&mut self, message: SubmitTransaction, _: &mut Self::Context) -> Self::Result {
        let transaction = (*message.transaction).clone();
        let id = transaction.id();
        self.submitted.lock().unwrap().push(transaction);
        match self.refusal.lock().unwrap().clone() {
            Some(refusal) => Err(refusal),
            None => Ok(id),
        }
    }
}

impl Handler<ListWaiting> for Intake {
    type Result = MessageResult<ListWaiting>;

    fn handle(&mut self, message: ListWaiting, _: &mut Self::Context) -> Self::Result {
        let after = |waiting: &&Waiting| {
            let payment = waiting.payment.transaction();
            message
                .after
                .is_none_or(|after| (payment.from(), payment.sequence) > after)
        };
        let page = self.waiting.iter().filter(after).take(message.limit);
        MessageResult(page.cloned().collect())
    }
}

impl Handler<PaymentPending> for Intake {
    type Result = ();

    fn handle(&mut self, _: PaymentPending, _: &mut Self::Context) {}
}

fn params() -> ChainParams {
    ChainParams {
        network_name: "<script>alert(1)</script>".to_owned(),
        block_size: 1,
        ..ChainParams::default()
    }
}

/// A key that is the same in every run.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[number; 32]).expect("a number below the order")
}

/// A payment of alice's.
pub fn payment(sequence: u64) -> Transaction {
    Payment {
        genesis: params().genesis_id(),
        to: Address([3; 32]),
        amount: PAID,
        fee: Amount::from_units(7),
        sequence: Sequence(sequence),
        timestamp: NOW,
    }
    .sign(&key(1))
}

fn block(
    previous: BlockId,
    height: u64,
    nonce: u64,
    payments: Vec<Transaction>,
) -> Arc<ChainBlock> {
    let header = Header {
        previous,
        content_root: ContentRoot([0; 32]),
        version: 1,
        target: Target::from_difficulty(8).to_compact(),
        height: Height(height),
        timestamp: Timestamp(NOW.0 - 100_000 + height * 1_000),
        nonce,
    };
    let reward = Reward {
        to: Address([7; 32]),
        amount: Amount::from_units(10_000_000),
        extra_nonce: 0,
    };
    let block = Block {
        header,
        transactions: payments,
        reward,
    };
    Arc::new(ChainBlock::new(
        Arc::new(block),
        Target::from_difficulty(8).work(),
    ))
}

impl World {
    /// Forty blocks, of which the last took another's place.
    pub fn new() -> Self {
        Self::with(BLOCKS)
    }

    /// No block at all.
    pub fn empty() -> Self {
        Self::with(0)
    }

    fn with(blocks: u64) -> Self {
        let params = params();
        let alice = Address::of_key(key(1).public_key().as_bytes());
        let store = MemoryStore::new(params.clone());
        let mut seen = SeenBlocks::default();
        let mut tip = Tip::genesis(params.genesis_id());
        let confirmed = payment(0);
        let mut commit =
            |disconnect: Vec<Arc<ChainBlock>>, block: Arc<ChainBlock>, tip: &mut Tip| {
                let previous = *tip;
                let work = tip.work.saturating_add(block.work);
                *tip = Tip {
                    id: block.id,
                    height: block.block.header.height,
                    work,
                };
                let account = Account {
                    balance: Amount::from_units(5_000_000_000),
                    sequence: Sequence(1),
                };
                let changes = ChangeSet {
                    previous,
                    disconnect,
                    connect: vec![block],
                    accounts: [(alice, account)].into(),
                    tip: *tip,
                };
                store.commit(&changes).expect("the change set fits");
                seen.changed(&changes, &[], NOW);
            };
        let mut orphan = BlockId([0; 32]);
        for height in 1..=blocks {
            let payments = match height {
                3 => vec![confirmed.clone()],
                _ => Vec::new(),
            };
            let made = block(tip.id, height, 0, payments);
            if height == blocks {
                let before = tip;
                let lost = block(tip.id, height, 1, Vec::new());
                orphan = lost.id;
                commit(Vec::new(), lost.clone(), &mut tip);
                let previous = before.id;
                commit(vec![lost], block(previous, height, 0, Vec::new()), &mut tip);
            } else {
                commit(Vec::new(), made, &mut tip);
            }
        }
        let listed: Vec<Waiting> = match blocks {
            0 => Vec::new(),
            _ => [
                (payment(1), Standing::Ready),
                (
                    payment(5),
                    Standing::Gap {
                        missing: Sequence(4),
                    },
                ),
            ]
            .map(|(payment, standing)| Waiting {
                payment: Named::new(Arc::new(Verified::for_tests(payment))),
                standing,
            })
            .into(),
        };
        let index = MempoolIndex::default();
        for waiting in &listed {
            index.insert(waiting.payment.name().id, waiting.clone());
        }
        let view = View::new(tip);
        view.blocks.send_replace(seen.clone());
        if blocks > 0 {
            view.mempool.send_modify(|mempool| {
                (mempool.waiting, mempool.ready) = (2, 1);
            });
            view.peers.send_modify(|peers| {
                peers.other_network = Some("peer runs \"<script>alert(1)</script>\"".to_owned());
                peers.peers.push(PeerView {
                    address: "127.0.0.1:2607".parse().expect("an address"),
                    node: NodeId([4; 16]),
                    tip: Tip {
                        id: BlockId([8; 32]),
                        height: Height(blocks + 1),
                        work: tip.work.saturating_add(tip.work),
                    },
                    heard: NOW,
                    proven: false,
                    pinned: false,
                    session: true,
                });
            });
        }
        let facts = Arc::new(Facts {
            node: NodeId([1; 16]),
            role: Role::Miner,
            started: Timestamp(NOW.0 - 60_000),
            port: Some(2607),
            search: None,
        });
        let snapshot = NodeSnapshot::take(&view, &facts, &Arc::new(seen), NOW);
        let (sender, snapshots) = watch::channel(Arc::new(snapshot));
        let (submitted, refusal) = (Arc::default(), Arc::default());
        let intake = Intake {
            waiting: listed,
            submitted: Arc::clone(&submitted),
            refusal: Arc::clone(&refusal),
        }
        .start();
        let ports = Ports {
            submit: intake.clone().recipient(),
            waiting: intake.clone().recipient(),
            announce: intake.recipient(),
        };
        let store = Arc::new(store);
        let index = Arc::new(index);
        Self {
            node: NodeHandle::new(Arc::new(params), snapshots, store, index, ports, None),
            alice,
            miner: Address([7; 32]),
            confirmed: confirmed.id(),
            waiting: payment(1).id(),
            gap: payment(5).id(),
            orphan,
            submitted,
            refusal,
            snapshots: sender,
        }
    }

    /// Lets the node tell that something has changed.
    pub fn change(&self) {
        self.snapshots.send_modify(|_| {});
    }

    /// The chain's end.
    pub fn tip(&self) -> Tip {
        self.node.chain().unwrap().tip().unwrap()
    }

    /// Asks.
    pub async fn ask(&self, verb: Verb, target: &str, body: &str) -> Reply {
        let (node, target) = (self.node.clone(), target.to_owned());
        let body = body.as_bytes().to_vec();
        // As the server does: an answer may wait for an actor of this thread.
        let answered = tokio::task::spawn_blocking(move || {
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            answer(
                &node,
                Asked {
                    verb,
                    path,
                    query,
                    body,
                    from: "127.0.0.1:1".parse().expect("an address"),
                    now: NOW,
                },
            )
        });
        answered.await.unwrap()
    }

    /// Gets.
    pub async fn get(&self, target: &str) -> Reply {
        self.ask(Verb::Get, target, "").await
    }

    /// Gets a page that must be there.
    pub async fn text(&self, target: &str) -> String {
        let reply = self.get(target).await;
        assert!(reply.status.is_success(), "{target}: {}", reply.status);
        String::from_utf8(reply.body).unwrap()
    }
}
