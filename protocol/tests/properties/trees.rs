//! Random trees of blocks, valid and invalid, given to the rules in random pieces and
//! compared with a ledger so simple that it is right by inspection.

use crate::Random;
use crate::chain::{MemoryChain, mine_on, payment, seal, trust_signatures};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    hash::BlockId,
    keys::{PublicKey, Signature},
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Transaction, Verified},
    validate::{CheckedBlock, HeaderChain},
};
use std::{cmp::Reverse, collections::BTreeMap, fmt};

const NOW: Timestamp = Timestamp(1_000_000_000);

/// Balances and sequences, without limits.
type Ledger = BTreeMap<Address, (u128, u64)>;

/// One block of the tree with what the simple ledger says of it.
struct Node {
    block: Verified<CheckedBlock>,
    parent: Option<usize>,
    end: HeaderChain,
    /// The ledger after it, unless it is invalid.
    ledger: Option<Ledger>,
    given: bool,
}

/// What a run saw, so that a test can tell that it was not idle.
#[derive(Default)]
pub struct Seen {
    pub reorgs: usize,
    pub deepest: usize,
    pub refused: usize,
    pub payments: usize,
}

impl Seen {
    pub fn add(&mut self, other: &Seen) {
        self.reorgs += other.reorgs;
        self.deepest = self.deepest.max(other.deepest);
        self.refused += other.refused;
        self.payments += other.payments;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reorgs, deepest) = (self.reorgs, self.deepest);
        let (refused, payments) = (self.refused, self.payments);
        write!(
            f,
            "{reorgs} reorgs, the deepest {deepest}, {refused} branches refused, {payments} payments"
        )
    }
}

/// How a tree grows.
#[derive(Clone, Copy)]
pub enum Shape {
    /// So many blocks, each on one of the last few.
    Bushy(usize),
    /// A trunk, then branches of about so many blocks, the last the longest.
    Forked(usize),
}

/// Builds a tree, and checks after each piece given that the active
/// chain is the best of those given, its state the simple ledger's, that what is refused is
/// what the simple ledger refuses, and at the end that a replay from genesis agrees.
pub fn a_reorg_equals_a_replay(seed: u64, shape: Shape) -> Seen {
    let mut random = Random::new(seed);
    let params = ChainParams {
        network_name: "trees".to_owned(),
        difficulty: 1,
        block_size: 1 + random.below(2) as u32,
        block_reward: Amount::from_units(random.pick(&[1, 7, 1_000, i64::MAX as u64 / 20])),
        target_block_seconds: random.pick(&[0, 5]),
        ..ChainParams::default()
    };
    let mut chain = MemoryChain::new(params.clone());
    let mut nodes: Vec<Node> = Vec::new();
    let mut seen = Seen::default();
    match shape {
        Shape::Bushy(blocks) => {
            for _ in 0..blocks {
                let parent = one_of_the_last(&mut random, &nodes);
                let node = grow(&mut random, &params, &nodes, parent);
                nodes.push(node);
                if random.below(3) != 0 {
                    give(&mut chain, &mut nodes, &mut seen);
                }
            }
        }
        Shape::Forked(depth) => {
            let trunk = branch(&mut random, &params, &mut nodes, None, 3);
            for longer in 0..1 + random.below(2) {
                let length = depth.saturating_sub(longer as usize).max(1);
                branch(&mut random, &params, &mut nodes, trunk, length);
                give(&mut chain, &mut nodes, &mut seen);
            }
            let mut end = branch(&mut random, &params, &mut nodes, trunk, depth);
            let (best, ..) = chain.state();
            while !end.is_some_and(|end| nodes[end].end.tip().is_better_than(&best)) {
                end = branch(&mut random, &params, &mut nodes, end, 1);
            }
        }
    }
    give(&mut chain, &mut nodes, &mut seen);
    check_replay(&chain, &nodes);
    seen.payments = nodes
        .iter()
        .map(|node| node.block.block().transactions.len())
        .sum();
    seen
}

/// A branch of so many valid blocks, and now and then an invalid one beside it. Its end.
fn branch(
    random: &mut Random,
    params: &ChainParams,
    nodes: &mut Vec<Node>,
    from: Option<usize>,
    length: usize,
) -> Option<usize> {
    let (mut end, mut valid) = (from, 0);
    while valid < length {
        let node = grow(random, params, nodes, end);
        if node.ledger.is_some() {
            end = Some(nodes.len());
            valid += 1;
        }
        nodes.push(node);
    }
    end
}

fn one_of_the_last(random: &mut Random, nodes: &[Node]) -> Option<usize> {
    let reach = random.pick(&[2, 2, 12]);
    let back = random.below(reach) as usize;
    (0..nodes.len())
        .rev()
        .filter(|i| nodes[*i].ledger.is_some())
        .nth(back)
}

/// A new block, on the whole valid.
fn grow(random: &mut Random, params: &ChainParams, nodes: &[Node], parent: Option<usize>) -> Node {
    let end = parent.map_or_else(|| HeaderChain::genesis(params), |i| nodes[i].end.clone());
    let before = parent
        .and_then(|i| nodes[i].ledger.clone())
        .unwrap_or_default();
    let least = params.least_payments(end.tip().height.next().expect("few blocks"));
    let transactions = payments(random, params, &before, least as usize);
    let to = address(&key(random.below(5) as u8));
    let timestamp = end.least_timestamp().saturating_add(random.below(9_000));
    let mut block = mine_on(&end, params, transactions, to, timestamp);
    if random.below(40) == 0 {
        block.reward.amount = Amount::from_units(block.reward.amount.units() + 1);
        block = seal(block, params);
    }
    let ledger = apply(before, &block, params, least as usize);
    let mut after = end;
    after
        .push(params, &block.header, Some(NOW))
        .expect("its header is right");
    // The rules refuse too few payments before anything is given; the tree holds none such.
    let block = trust_signatures(block, params).expect("its form is right");
    Node {
        block,
        parent,
        end: after,
        ledger,
        given: false,
    }
}

/// At least `least` payments, now and then one that must not count.
fn payments(
    random: &mut Random,
    params: &ChainParams,
    before: &Ledger,
    least: usize,
) -> Vec<Transaction> {
    let mut ledger = before.clone();
    let mut made: Vec<Transaction> = Vec::new();
    let count = least + random.below(3) as usize;
    for _ in 0..20 * count {
        if made.len() == count {
            break;
        }
        let key = key(random.below(5) as u8);
        let (balance, sequence) = ledger.get(&address(&key)).copied().unwrap_or_default();
        let fault = random.below(60);
        if balance == 0 && fault > 2 && made.len() + 1 < count {
            continue;
        }
        let most = u64::try_from(balance).unwrap_or(u64::MAX);
        let amount = match fault {
            0 => most.saturating_add(1).min(i64::MAX as u64),
            _ => 1 + random.below(most.max(1)),
        };
        let fee = if fault == 0 {
            0
        } else {
            random.below(most.saturating_sub(amount) + 1)
        };
        let sequence = match fault {
            1 => sequence.saturating_sub(1),
            2 => sequence + 1,
            _ => sequence,
        };
        let to = address(&self::key(random.below(5) as u8));
        let tx = unsigned(params, key, to, amount, fee, sequence);
        if made.iter().any(|other| other.id() == tx.id()) {
            continue;
        }
        let _ = pay(&mut ledger, &tx);
        made.push(tx);
    }
    while made.len() < least {
        made.push(unsigned(
            params,
            key(9),
            address(&key(9)),
            1,
            0,
            made.len() as u64,
        ));
    }
    made
}

fn unsigned(
    params: &ChainParams,
    key: PublicKey,
    to: Address,
    amount: u64,
    fee: u64,
    sequence: u64,
) -> Transaction {
    let said = payment(params, to, amount, fee, Sequence(sequence));
    Transaction {
        genesis: said.genesis,
        to,
        amount: said.amount,
        fee: said.fee,
        sequence: said.sequence,
        timestamp: said.timestamp,
        signature: Signature::from_bytes(&[1; 64]).expect("the length is right"),
        key,
    }
}

fn key(number: u8) -> PublicKey {
    let mut bytes = [number; 33];
    bytes[0] = 2;
    PublicKey::from_bytes(&bytes).expect("its form is right")
}

fn address(key: &PublicKey) -> Address {
    Address::of_key(key.as_bytes())
}

/// The simple ledger: one payment.
fn pay(ledger: &mut Ledger, tx: &Transaction) -> Option<()> {
    let needed = u128::from(tx.amount.units()) + u128::from(tx.fee.units());
    let sender = ledger.entry(tx.from()).or_default();
    if sender.1 != tx.sequence.0 || sender.0 < needed {
        return None;
    }
    *sender = (sender.0 - needed, sender.1 + 1);
    ledger.entry(tx.to).or_default().0 += u128::from(tx.amount.units());
    Some(())
}

/// The simple ledger: one block.
fn apply(mut ledger: Ledger, block: &Block, params: &ChainParams, least: usize) -> Option<Ledger> {
    let mut fees = 0;
    for tx in &block.transactions {
        pay(&mut ledger, tx)?;
        fees += u128::from(tx.fee.units());
    }
    let issued = u128::from(params.block_reward.units()) * u128::from(block.header.height.0 - 1);
    let left = (i64::MAX as u128).saturating_sub(issued);
    let subsidy = left.min(u128::from(params.block_reward.units()));
    let reward = u128::from(block.reward.amount.units());
    if reward != subsidy + fees || block.transactions.len() < least {
        return None;
    }
    ledger.entry(block.reward.to).or_default().0 += reward;
    ledger.retain(|_, account| *account != (0, 0));
    Some(ledger)
}

/// Gives the newest node with all its ancestors that are not active.
fn give(chain: &mut MemoryChain, nodes: &mut [Node], seen: &mut Seen) {
    let Some(last) = nodes.len().checked_sub(1) else {
        return;
    };
    let mut path = vec![last];
    while let Some(parent) = nodes[path[path.len() - 1]].parent {
        if chain.active.contains(&nodes[parent].block.id()) {
            break;
        }
        path.push(parent);
    }
    path.reverse();
    for index in &path {
        nodes[*index].given = true;
    }
    let branch: Vec<_> = path.iter().map(|i| nodes[*i].block.clone()).collect();
    let before = chain.active.clone();
    let connection = chain.adopt(&branch, NOW);
    let invalid = path.iter().find(|i| nodes[**i].ledger.is_none());
    let refused = connection.rejected.map(|(id, _)| id);
    assert_eq!(
        refused,
        invalid.map(|i| nodes[*i].block.id()),
        "another block is refused"
    );
    seen.refused += usize::from(refused.is_some());
    let kept = before
        .iter()
        .zip(&chain.active)
        .take_while(|(a, b)| a == b)
        .count();
    let depth = before.len() - kept;
    seen.reorgs += usize::from(depth > 0);
    seen.deepest = seen.deepest.max(depth);
    check_state(chain, nodes);
}

/// The active chain is the best of what was given, and its accounts are the simple ledger's.
fn check_state(chain: &MemoryChain, nodes: &[Node]) {
    let rank = |node: &Node| (node.end.tip().work.to_be_bytes(), Reverse(node.block.id()));
    let best = nodes
        .iter()
        .filter(|node| node.given && node.ledger.is_some())
        .max_by_key(|node| rank(node));
    let (tip, ..) = chain.state();
    let genesis = BlockId::from(chain.params.genesis_id());
    assert_eq!(
        tip.id,
        best.map_or(genesis, |node| node.block.id()),
        "not the best chain"
    );
    let empty = Ledger::new();
    let expected = best.and_then(|node| node.ledger.as_ref()).unwrap_or(&empty);
    let got: Ledger = chain
        .accounts
        .iter()
        .map(|(address, account)| {
            (
                *address,
                (u128::from(account.balance.units()), account.sequence.0),
            )
        })
        .collect();
    assert_eq!(&got, expected, "another state");
    let height = u128::from(tip.height.0);
    let minted = (u128::from(chain.params.block_reward.units()) * height).min(i64::MAX as u128);
    assert_eq!(chain.supply(), minted, "money was made or lost");
}

fn check_replay(chain: &MemoryChain, nodes: &[Node]) {
    let by_id: BTreeMap<BlockId, &Node> =
        nodes.iter().map(|node| (node.block.id(), node)).collect();
    let blocks: Vec<_> = chain.active[1..]
        .iter()
        .map(|id| by_id[id].block.clone())
        .collect();
    let mut replay = MemoryChain::new(chain.params.clone());
    for block in blocks {
        let connection = replay.adopt(&[block], NOW);
        assert_eq!(connection.rejected, None);
    }
    assert!(
        replay.state() == chain.state(),
        "a replay from genesis gives another state"
    );
}
