//! The ledger and fork choice once more, written apart from the rules and as naively as
//! they can be said: every block keeps the whole ledger after it, numbers have no limits,
//! nothing is cached, and all rules a block breaks are found, not the first one. It shares
//! hashing with the real rules and nothing else.

use crate::{
    faults::order_and_field,
    numbers::{Big, merkle_root_of_a_stack, next_target_of_unbounded_numbers},
};
use mvb_protocol::{
    address::Address,
    block::Block,
    hash::{BlockId, Wid, sha256},
    keys::{PublicKey, Signature},
    params::ChainParams,
    transaction::Transaction,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// The payments whose owners have signed them, by witness id.
pub type Signed = BTreeSet<Wid>;

/// Balances and sequences, without limits.
pub type Ledger = BTreeMap<Address, (u128, u64)>;

/// A rule of PROTOCOL.md, in the order in which rules are asked: a block that breaks rules of
/// several steps is refused for one of the first of these steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    UnknownParent,
    Link,
    Height,
    Version,
    Target,
    ProofOfWork,
    TooEarly,
    TooFarAhead,
    ContentRoot,
    TooFewPayments,
    TooLarge,
    TooHeavy,
    Duplicate,
    Genesis,
    NoAmount,
    TooMuch,
    LastSequence,
    SignatureLength,
    SignatureRange,
    HighS,
    KeyPoint,
    SignatureMismatch,
    Sequence,
    Balance,
    Overflow,
    Reward,
    RewardCredit,
}

impl Rule {
    pub const ALL: [Rule; 27] = {
        use Rule::*;
        [
            UnknownParent,
            Link,
            Height,
            Version,
            Target,
            ProofOfWork,
            TooEarly,
            TooFarAhead,
            ContentRoot,
            TooFewPayments,
            TooLarge,
            TooHeavy,
            Duplicate,
            Genesis,
            NoAmount,
            TooMuch,
            LastSequence,
            SignatureLength,
            SignatureRange,
            HighS,
            KeyPoint,
            SignatureMismatch,
            Sequence,
            Balance,
            Overflow,
            Reward,
            RewardCredit,
        ]
    };

    /// The step at which the rule is asked: links, header, content root, form, signatures,
    /// ledger, reward.
    pub fn step(self) -> u8 {
        match self {
            Rule::UnknownParent | Rule::Link => 0,
            rule if rule <= Rule::TooFarAhead => 1,
            Rule::ContentRoot => 2,
            rule if rule <= Rule::SignatureLength => 3,
            rule if rule <= Rule::SignatureMismatch => 4,
            rule if rule <= Rule::Overflow => 5,
            Rule::Reward | Rule::RewardCredit => 6,
            _ => unreachable!("every rule has its step"),
        }
    }
}

/// One valid block, with everything after it.
#[derive(Clone)]
pub struct Known {
    pub block: Block,
    pub work: u128,
    /// Timestamp and target of every block of its chain, the oldest first.
    pub chain: Vec<(u64, u32)>,
    pub ledger: Ledger,
}

pub struct Model {
    pub params: ChainParams,
    pub now: u64,
    /// The ledger at genesis: empty, but for tests of what no honest chain holds.
    pub genesis: Ledger,
    pub blocks: BTreeMap<BlockId, Known>,
    /// What the owners of keys have signed.
    pub signed: Signed,
}

impl Model {
    fn genesis_id(&self) -> BlockId {
        BlockId(self.params.genesis_id().0)
    }

    /// Fork choice: the most work, then the smallest id.
    pub fn best(&self) -> BlockId {
        self.blocks
            .iter()
            .max_by_key(|(id, known)| (known.work, Reverse(**id)))
            .map_or(self.genesis_id(), |(id, _)| *id)
    }

    pub fn ledger(&self, id: &BlockId) -> &Ledger {
        self.blocks
            .get(id)
            .map_or(&self.genesis, |known| &known.ledger)
    }

    /// The blocks from the one after genesis to this one.
    pub fn path(&self, id: &BlockId) -> Vec<BlockId> {
        let mut path = Vec::new();
        let mut at = *id;
        while let Some(known) = self.blocks.get(&at) {
            path.push(at);
            at = known.block.header.previous;
        }
        path.reverse();
        path
    }

    pub fn chain_of(&self, id: &BlockId) -> &[(u64, u32)] {
        self.blocks.get(id).map_or(&[], |known| &known.chain)
    }

    pub fn next_target(&self, parent: &BlockId) -> u32 {
        next_target_of_unbounded_numbers(&self.params, self.chain_of(parent))
    }

    /// Every rule a block breaks; one that breaks none becomes part of the model. What can
    /// only be asked of a block whose parent, or whose payments so far, are right is not
    /// asked of others.
    pub fn judge(&mut self, block: &Block) -> BTreeSet<Rule> {
        let mut broken = BTreeSet::new();
        self.form(block, &mut broken);
        let parent = block.header.previous;
        if parent != self.genesis_id() && !self.blocks.contains_key(&parent) {
            broken.insert(Rule::UnknownParent);
            return broken;
        }
        self.header(block, &mut broken);
        let ledger = self.apply(block, &mut broken);
        if broken.is_empty() {
            self.remember(block, ledger);
        }
        broken
    }

    fn remember(&mut self, block: &Block, ledger: Ledger) {
        let parent = block.header.previous;
        let mut chain = self.chain_of(&parent).to_vec();
        chain.push((block.header.timestamp.0, block.header.target.0));
        let work = self.blocks.get(&parent).map_or(0, |known| known.work);
        let known = Known {
            work: work + work_of(block.header.target.0),
            chain,
            ledger,
            block: block.clone(),
        };
        self.blocks.insert(id_of(block), known);
    }

    fn header(&self, block: &Block, broken: &mut BTreeSet<Rule>) {
        let header = &block.header;
        let chain = self.chain_of(&header.previous);
        let (parent_time, _) = chain.last().copied().unwrap_or_default();
        let seconds = u64::from(self.params.target_block_seconds);
        let ahead = if seconds == 0 {
            7_200_000
        } else {
            3_000 * seconds
        };
        let mut rule = |holds: bool, rule| {
            if !holds {
                broken.insert(rule);
            }
        };
        rule(header.height.0 == chain.len() as u64 + 1, Rule::Height);
        rule(header.version == 1, Rule::Version);
        let target = self.next_target(&header.previous);
        rule(header.target.0 == target, Rule::Target);
        rule(header.timestamp.0 > parent_time, Rule::TooEarly);
        rule(header.timestamp.0 <= self.now + ahead, Rule::TooFarAhead);
    }

    /// The rules that need no parent, but for the proof of work.
    fn form(&self, block: &Block, broken: &mut BTreeSet<Rule>) {
        let mut rule = |holds: bool, rule| {
            if !holds {
                broken.insert(rule);
            }
        };
        let target = Big::from_compact(block.header.target.0);
        let met = Big::from_be(&id_of(block).0).compare(&target).is_lt();
        rule(met, Rule::ProofOfWork);
        let root = content_root(block, &self.params);
        rule(block.header.content_root.0 == root, Rule::ContentRoot);
        let payments = &block.transactions;
        let bytes =
            |tx: &Transaction| 106 + tx.key.as_bytes().len() + tx.signature.as_bytes().len();
        let size = 96 + 98 + payments.iter().map(bytes).sum::<usize>();
        rule(size <= self.params.max_block_bytes as usize, Rule::TooLarge);
        let weight = |tx: &Transaction| match tx.key.as_bytes().len() {
            33 => 1,
            49 => 4,
            _ => 6,
        };
        let weight: u32 = payments.iter().map(weight).sum();
        rule(weight <= 6_144, Rule::TooHeavy);
        let enough = payments.len() + 1 >= self.params.block_size as usize;
        rule(enough || block.header.height.0 <= 1, Rule::TooFewPayments);
        let ids: BTreeSet<_> = payments.iter().map(Transaction::id).collect();
        rule(ids.len() == payments.len(), Rule::Duplicate);
        for tx in payments {
            let total = u128::from(tx.amount.units()) + u128::from(tx.fee.units());
            rule(tx.genesis == self.params.genesis_id(), Rule::Genesis);
            rule(tx.amount.units() > 0, Rule::NoAmount);
            rule(total < 1 << 63, Rule::TooMuch);
            rule(tx.sequence.0 < u64::MAX, Rule::LastSequence);
            let size = 2 * (tx.key.as_bytes().len() - 1);
            rule(tx.signature.as_bytes().len() == size, Rule::SignatureLength);
            if !self.signed.contains(&tx.wid()) {
                broken_signature(&tx.key, &tx.signature, &mut rule);
            }
        }
    }

    /// Payments in order, then the reward. The ledger is only right if nothing is broken.
    fn apply(&self, block: &Block, broken: &mut BTreeSet<Rule>) -> Ledger {
        let mut ledger = self.ledger(&block.header.previous).clone();
        let mut fees = 0;
        for tx in &block.transactions {
            let amount = u128::from(tx.amount.units());
            let needed = amount + u128::from(tx.fee.units());
            let (balance, sequence) = ledger.get(&tx.from()).copied().unwrap_or_default();
            let faults = [
                (sequence != tx.sequence.0, Rule::Sequence),
                (balance < needed, Rule::Balance),
                (needed > u128::from(u64::MAX), Rule::Overflow),
            ];
            broken.extend(faults.iter().filter(|(is, _)| *is).map(|(_, rule)| *rule));
            if faults.iter().any(|(is, _)| *is) {
                return ledger;
            }
            ledger.insert(tx.from(), (balance - needed, sequence.saturating_add(1)));
            let to = ledger.entry(tx.to).or_default();
            to.0 += amount;
            if to.0 > u128::from(u64::MAX) {
                broken.insert(Rule::Overflow);
                return ledger;
            }
            fees += needed - amount;
        }
        let reward = u128::from(block.reward.amount.units());
        let to = ledger.entry(block.reward.to).or_default();
        to.0 += reward;
        let expected = self.subsidy(block.header.height.0) + fees;
        if reward != expected {
            broken.insert(Rule::Reward);
        }
        if to.0.max(expected) > u128::from(u64::MAX) {
            broken.insert(Rule::RewardCredit);
        }
        ledger.retain(|_, account| *account != (0, 0));
        ledger
    }

    fn subsidy(&self, height: u64) -> u128 {
        let each = u128::from(self.params.block_reward.units());
        let issued = each * u128::from(height.saturating_sub(1));
        (i64::MAX as u128).saturating_sub(issued).min(each)
    }
}

pub fn id_of(block: &Block) -> BlockId {
    let header = &block.header;
    BlockId(sha256(&[
        &header.previous.0,
        &header.content_root.0,
        &header.version.to_be_bytes(),
        &header.target.0.to_be_bytes(),
        &header.height.0.to_be_bytes(),
        &header.timestamp.0.to_be_bytes(),
        &header.nonce.to_be_bytes(),
    ]))
}

fn content_root(block: &Block, params: &ChainParams) -> [u8; 32] {
    let genesis = params.genesis_id().0;
    let reward = &block.reward;
    let reward = sha256(&[
        b"mvb/reward",
        &genesis,
        &block.header.height.0.to_be_bytes(),
        &reward.to.0,
        &reward.amount.units().to_be_bytes(),
        &reward.extra_nonce.to_be_bytes(),
    ]);
    let wids: Vec<Wid> = block.transactions.iter().map(Transaction::wid).collect();
    let merkle = merkle_root_of_a_stack(&wids);
    let count = wids.len() as u32;
    sha256(&[
        b"mvb/body",
        &count.to_be_bytes(),
        &merkle,
        &reward,
        &[0; 32],
    ])
}

fn work_of(compact: u32) -> u128 {
    let work = Big::two_to(256).divide(&Big::from_compact(compact));
    let text = work.decimal();
    text.parse().expect("the tests' difficulties are low")
}

/// What can be wrong with a signature that no owner made.
fn broken_signature(key: &PublicKey, signature: &Signature, rule: &mut impl FnMut(bool, Rule)) {
    let bytes = signature.as_bytes();
    let (order, field) = order_and_field(key.curve());
    let (r, s) = bytes.split_at(bytes.len() / 2);
    let number = |bytes: &[u8]| Big::from_be(bytes);
    let in_range =
        |n: &[u8]| number(n) != Big::new(vec![]) && number(n).compare(&number(&order)).is_lt();
    rule(in_range(r) && in_range(s), Rule::SignatureRange);
    let twice = number(s).add(&number(s));
    rule(twice.compare(&number(&order)).is_le(), Rule::HighS);
    let x = number(&key.as_bytes()[1..]);
    rule(x.compare(&number(&field)).is_lt(), Rule::KeyPoint);
    rule(false, Rule::SignatureMismatch);
}
