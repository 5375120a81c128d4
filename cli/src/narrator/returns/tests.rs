//! What is told of payments that a reorg touched.

use super::*;
use mvb_node::wallet::{KeyStore, Outbox, Wallet};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainStore, Tip},
    connect::connect,
    hash::{BlockId, ContentRoot},
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    transaction::{Payment, Transaction},
    validate::{HeaderChain, expected_reward, verify_block},
};
use mvb_storage::MemoryStore;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_000_000_000);

/// A wallet with the key alice, on a chain in memory.
struct World {
    _folder: tempfile::TempDir,
    wallet: Wallet,
    store: MemoryStore,
    params: ChainParams,
    alice: Address,
    stranger: SecretKey,
    returns: Returns,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyStore::new(folder.path());
    let alice = keys.create(&"alice".parse().unwrap(), Curve::P256, None);
    let params = ChainParams {
        difficulty: 1,
        block_size: 1,
        ..ChainParams::default()
    };
    let store = MemoryStore::new(params.clone());
    let outbox = Arc::new(Outbox::in_memory());
    let wallet = Wallet::new(keys, outbox, Arc::new(store.clone()), params.clone());
    World {
        _folder: folder,
        wallet,
        store,
        params,
        alice: alice.unwrap().address(),
        stranger: SecretKey::from_bytes(Curve::P256, &[7; 32]).unwrap(),
        returns: Returns::default(),
    }
}

impl World {
    fn tip(&self) -> Tip {
        self.store.snapshot().unwrap().tip().unwrap()
    }

    /// Mines blocks onto a parent and connects them as one branch.
    fn mine_on(&self, parent: BlockId, bodies: &[Vec<Transaction>]) {
        let snapshot = self.store.snapshot().unwrap();
        let mut headers = HeaderChain::ending_at(&*snapshot, &self.params, parent).unwrap();
        let mut branch = Vec::new();
        for transactions in bodies {
            let block = self.block(&headers, transactions.clone());
            headers.push(&self.params, &block.header, None).unwrap();
            branch.push(verify_block(Arc::new(block), &self.params).unwrap());
        }
        let connection = connect(&*snapshot, &self.params, &branch, NOW).unwrap();
        drop(snapshot);
        let changes = connection.changes.expect("the branch is better");
        self.store.commit(&changes).unwrap();
    }

    fn block(&self, headers: &HeaderChain, transactions: Vec<Transaction>) -> Block {
        let height = headers.tip().height.next().unwrap();
        let reward = Reward {
            to: Address::of_key(self.stranger.public_key().as_bytes()),
            amount: expected_reward(&self.params, height, &transactions).unwrap(),
            extra_nonce: transactions.len() as u64,
        };
        let mut block = Block {
            header: Header {
                previous: headers.tip().id,
                content_root: ContentRoot::default(),
                version: BLOCK_VERSION,
                target: headers.next_target(&self.params),
                height,
                timestamp: headers.least_timestamp(),
                nonce: 0,
            },
            transactions,
            reward,
        };
        let wids = block.wids();
        block.header.content_root = block.content_root(self.params.genesis_id(), &wids);
        let target = block.header.target.expand().unwrap();
        while !target.is_met_by(&block.header.id()) {
            block.header.nonce += 1;
        }
        block
    }

    /// A payment of the stranger, who mines.
    fn paid(&self, to: Address, units: u64) -> Transaction {
        Payment {
            genesis: self.params.genesis_id(),
            to,
            amount: Amount::from_units(units),
            fee: Amount::ZERO,
            sequence: Sequence(0),
            timestamp: NOW,
        }
        .sign(&self.stranger)
    }

    /// What is told now, looked up as the command does.
    fn told(&mut self) -> Vec<String> {
        let mut own = self.wallet.own_payments(20).unwrap();
        own.extend(self.returns.known().cloned());
        let now = own
            .into_iter()
            .map(|payment| {
                let standing = self.wallet.standing(&payment).unwrap();
                (payment, standing)
            })
            .collect();
        let events = self.returns.observe(now, self.tip().height);
        events.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn a_payment_is_told_when_its_block_leaves_the_chain_and_when_it_is_confirmed_again() {
    let mut world = world();
    world.mine_on(world.tip().id, &[vec![]]);
    let fork = world.tip().id;
    let payment = world.paid(world.alice, 2_500_000);
    let id = payment.id();
    world.mine_on(fork, &[vec![payment.clone()]]);
    assert_eq!(world.told(), [""; 0]);
    world.mine_on(fork, &[vec![], vec![]]);
    assert_eq!(
        world.told(),
        [format!(
            "reorg: payment {id:.8} of 2.5 to alice waits again, as its block 2 is not on the \
             better branch"
        )]
    );
    assert_eq!(world.told(), [""; 0]);
    world.mine_on(world.tip().id, &[vec![payment]]);
    assert_eq!(
        world.told(),
        [format!(
            "reorg: payment {id:.8} of 2.5 to alice is confirmed again, in block 4"
        )]
    );
}

#[test]
fn a_payment_in_both_branches_is_told_only_where_its_height_differs() {
    let mut world = world();
    world.mine_on(world.tip().id, &[vec![]]);
    let fork = world.tip().id;
    let payment = world.paid(world.alice, 1_000_000);
    let id = payment.id();
    world.mine_on(fork, &[vec![payment.clone()]]);
    assert_eq!(world.told(), [""; 0]);
    world.mine_on(fork, &[vec![], vec![payment]]);
    assert_eq!(
        world.told(),
        [format!(
            "reorg: payment {id:.8} of 1 to alice stands in block 3 now instead of 2"
        )]
    );
}

#[test]
fn a_payment_whose_sender_paid_another_on_the_better_branch_is_told_as_lost() {
    let mut world = world();
    world.mine_on(world.tip().id, &[vec![]]);
    let fork = world.tip().id;
    let payment = world.paid(world.alice, 1_000_000);
    world.mine_on(fork, &[vec![payment]]);
    assert_eq!(world.told(), [""; 0]);
    let other = world.paid(Address::default(), 1_000_000);
    world.mine_on(fork, &[vec![other], vec![]]);
    let told = world.told();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("of 1 to alice lost its place to another payment of its sender"),
        "{told:?}"
    );
}

#[test]
fn what_is_remembered_is_bounded_and_settled_payments_are_forgotten() {
    let mut world = world();
    world.mine_on(world.tip().id, &[vec![]]);
    let payment = world.paid(world.alice, 1_000_000);
    world.mine_on(world.tip().id, &[vec![payment]]);
    world.told();
    let known = world.returns.known().next().unwrap().clone();
    let many = (0..2 * MOST as u64).map(|number| {
        let mut payment = known.clone();
        payment.id.0[..8].copy_from_slice(&number.to_be_bytes());
        (payment, Standing::Confirmed(Height(number)))
    });
    let mut returns = Returns::default();
    returns.observe(many.clone().collect(), Height(0));
    assert_eq!(returns.known.len(), MOST);
    returns.observe(Vec::new(), Height(10_000));
    assert_eq!(returns.known.len(), 0);
}
