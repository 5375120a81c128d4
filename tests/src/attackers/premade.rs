//! A chain made without processes, so that there is something to synchronise: one payment a
//! block, at a difficulty at which mining it costs nothing.

use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainStore, Tip},
    connect::connect,
    hash::{BlockId, ContentRoot},
    keys::{Curve, SecretKey},
    numbers::{Height, Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    transaction::{Payment, Transaction},
    validate::{HeaderChain, expected_reward, verify_block},
};
use mvb_storage::LmdbStore;
use std::{path::Path, sync::Arc};

/// How many blocks are committed at once.
const CHUNK: usize = 128;

/// Writes a chain of so many blocks into a home that has none, and returns their ids.
pub fn write_chain(home: &Path, params: &ChainParams, blocks: u64) -> Vec<BlockId> {
    let key = SecretKey::from_bytes(Curve::P256, &[9; 32]).expect("a number below the order");
    let folder = home.join("chains").join(params.genesis_id().to_string());
    let store = LmdbStore::open(&folder, params).expect("a new store");
    let mut headers = HeaderChain::genesis(params);
    let made: Vec<_> = (1..=blocks)
        .map(|height| Arc::new(block(params, &mut headers, height, &key)))
        .collect();
    for chunk in made.chunks(CHUNK) {
        let verified =
            |block: &Arc<Block>| verify_block(block.clone(), params).expect("by the rules");
        let branch: Vec<_> = chunk.iter().map(verified).collect();
        let now = Timestamp(10 * blocks);
        let connected = connect(&*store.snapshot().expect("a store"), params, &branch, now);
        let changes = connected.expect("a store").changes.expect("a better chain");
        store.commit(&changes).expect("room on the disk");
    }
    made.iter().map(|block| block.id()).collect()
}

fn block(params: &ChainParams, headers: &mut HeaderChain, height: u64, key: &SecretKey) -> Block {
    let owner = Address::of_key(key.public_key().as_bytes());
    let payment = |height: u64| -> Transaction {
        Payment {
            genesis: params.genesis_id(),
            to: owner,
            amount: Amount::from_units(1),
            fee: Amount::ZERO,
            sequence: Sequence(height - 2),
            timestamp: Timestamp(height),
        }
        .sign(key)
    };
    let transactions: Vec<_> = (height > 1).then(|| payment(height)).into_iter().collect();
    let Tip { id: previous, .. } = headers.tip();
    let amount = expected_reward(params, Height(height), &transactions).expect("a reward");
    let mut block = Block {
        header: Header {
            previous,
            content_root: ContentRoot::default(),
            version: BLOCK_VERSION,
            target: headers.next_target(params),
            height: Height(height),
            timestamp: headers.least_timestamp(),
            nonce: 0,
        },
        transactions,
        reward: Reward {
            to: owner,
            amount,
            extra_nonce: 0,
        },
    };
    block.header.content_root = block.content_root(params.genesis_id(), &block.wids());
    let target = block.header.target.expand().expect("the rules' own target");
    while !target.is_met_by(&block.header.id()) {
        block.header.nonce += 1;
    }
    headers
        .push(params, &block.header, None)
        .expect("by the rules");
    block
}
