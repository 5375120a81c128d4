//! A small world for the suites: wallets, a chain that any nonce solves, and both stores.

use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainStore, ChangeSet, StoreError, Tip},
    connect::connect,
    hash::{BlockId, ContentRoot},
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Payment, Transaction, Verified},
    validate::{CheckedBlock, HeaderChain, Sequential, expected_reward, verify_signatures},
};
use mvb_storage::{LmdbStore, MemoryStore};
use std::sync::Arc;

/// A clock that no block of these tests is ahead of.
pub const NOW: Timestamp = Timestamp(1 << 40);

/// As many random cases as `PROPTEST_CASES` asks for, or a few: each one syncs a disk.
pub fn cases(few: u32) -> u32 {
    match std::env::var("PROPTEST_CASES") {
        Ok(cases) => cases.parse().expect("PROPTEST_CASES is a number"),
        Err(_) => few,
    }
}

pub fn params() -> ChainParams {
    ChainParams {
        network_name: "storage tests".to_owned(),
        difficulty: 1,
        block_size: 1,
        ..ChainParams::default()
    }
}

/// Runs a test against both stores, each fresh.
pub fn on_both(test: impl Fn(&dyn ChainStore)) {
    test(&MemoryStore::new(params()));
    let folder = tempfile::tempdir().unwrap();
    test(&LmdbStore::open(folder.path(), &params()).unwrap());
}

pub struct Wallet {
    secret: SecretKey,
    pub address: Address,
}

/// The wallet of a number.
pub fn wallet(number: u8) -> Wallet {
    let secret = SecretKey::from_bytes(Curve::P256, &[number + 1; 32]).unwrap();
    let address = Address::of_key(secret.public_key().as_bytes());
    Wallet { secret, address }
}

impl Wallet {
    pub fn pays(&self, to: Address, units: u64, sequence: u64) -> Transaction {
        let payment = Payment {
            genesis: params().genesis_id(),
            to,
            amount: Amount::from_units(units),
            fee: Amount::from_units(1),
            sequence: Sequence(sequence),
            timestamp: Timestamp(5),
        };
        payment.sign(&self.secret)
    }
}

/// Blocks that are built upon a stored one before any of them is committed.
pub struct Branch {
    headers: HeaderChain,
    pub blocks: Vec<Arc<Block>>,
}

impl Branch {
    pub fn on(store: &dyn ChainStore, parent: BlockId) -> Self {
        let snapshot = store.snapshot().unwrap();
        Self {
            headers: HeaderChain::ending_at(&*snapshot, &params(), parent).unwrap(),
            blocks: Vec::new(),
        }
    }

    pub fn on_tip(store: &dyn ChainStore) -> Self {
        Self::on(store, tip(store).id)
    }

    /// One more block; `salt` tells twins apart.
    pub fn block(mut self, to: &Wallet, payments: Vec<Transaction>, salt: u64) -> Self {
        let (params, parent) = (params(), self.headers.tip());
        let height = parent.height.next().unwrap();
        let reward = Reward {
            to: to.address,
            amount: expected_reward(&params, height, &payments).unwrap(),
            extra_nonce: salt,
        };
        let header = Header {
            previous: parent.id,
            content_root: ContentRoot([0; 32]),
            version: mvb_protocol::params::BLOCK_VERSION,
            target: self.headers.next_target(&params),
            height,
            timestamp: self.headers.least_timestamp(),
            nonce: 0,
        };
        let mut block = Block {
            header,
            transactions: payments,
            reward,
        };
        block.header.content_root = block.content_root(params.genesis_id(), &block.wids());
        let target = block.header.target.expand().unwrap();
        while !target.is_met_by(&block.id()) {
            block.header.nonce += 1;
        }
        self.headers
            .push(&params, &block.header, Some(NOW))
            .unwrap();
        self.blocks.push(Arc::new(block));
        self
    }

    /// What the store would have to write, as the rules judge it. Signatures are taken for
    /// verified, they were made here.
    pub fn changes(&self, store: &dyn ChainStore) -> ChangeSet {
        let checked = |block: &Arc<Block>| CheckedBlock::check(block.clone(), &params()).unwrap();
        let blocks = self.blocks.iter().map(checked).collect();
        let verified: Vec<Verified<CheckedBlock>> =
            verify_signatures(blocks, &|_| true, &Sequential)
                .into_iter()
                .map(Result::unwrap)
                .collect();
        let snapshot = store.snapshot().unwrap();
        let connection = connect(&*snapshot, &params(), &verified, NOW).unwrap();
        assert_eq!(connection.rejected, None);
        connection.changes.expect("the branch is better")
    }

    pub fn commit(&self, store: &dyn ChainStore) -> Result<ChangeSet, StoreError> {
        let changes = self.changes(store);
        store.commit(&changes)?;
        Ok(changes)
    }
}

pub fn tip(store: &dyn ChainStore) -> Tip {
    store.snapshot().unwrap().tip().unwrap()
}

/// A store with a short chain: wallet 0 mines three blocks and pays wallet 1 twice in the third.
pub fn three_blocks(store: &dyn ChainStore) -> Vec<Arc<Block>> {
    let (alice, bob) = (wallet(0), wallet(1));
    let payments = vec![
        alice.pays(bob.address, 1_000, 0),
        alice.pays(bob.address, 2_000, 1),
    ];
    let branch = Branch::on_tip(store)
        .block(&alice, vec![], 0)
        .block(&alice, vec![], 0)
        .block(&alice, payments, 0);
    branch.commit(store).unwrap();
    branch.blocks
}
