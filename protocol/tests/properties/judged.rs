//! Random chains with forks, half of whose blocks break a rule or two, given to the real
//! rules and to the naive model: both must say the same of each block, and after each the
//! active chain and every account must be the same.

use crate::{
    Random,
    chain::MemoryChain,
    faults::{Draft, Person},
    model::{Ledger, Model, Rule, id_of},
};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{Account, ChainSnapshot, HistoryEntry, StoreError, StoredHeader, Tip, TxLocation},
    connect::connect,
    hash::{BlockId, ContentRoot, TxId},
    keys::KeyError,
    ledger::LedgerError,
    numbers::{Height, Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    target::CompactTarget,
    transaction::{Transaction, TransactionError, Verified},
    validate::{
        BlockError, CheckedBlock, HeaderChain, Sequential, ValidationError, verify_signatures,
    },
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const NOW: u64 = 1_000_000_000;

/// What a run saw.
#[derive(Default)]
pub struct Tally {
    pub accepted: u64,
    pub refused: BTreeMap<Rule, u64>,
    pub store_failures: u64,
    pub reorgs: u64,
    pub deepest: usize,
}

impl Tally {
    pub fn blocks(&self) -> u64 {
        self.accepted + self.refused.values().sum::<u64>()
    }

    pub fn add(&mut self, other: &Tally) {
        self.accepted += other.accepted;
        for (rule, count) in &other.refused {
            *self.refused.entry(*rule).or_default() += count;
        }
        self.store_failures += other.store_failures;
        self.reorgs += other.reorgs;
        self.deepest = self.deepest.max(other.deepest);
    }
}

struct World {
    random: Random,
    chain: MemoryChain,
    model: Model,
    people: Vec<Person>,
    /// Nothing counts as verified before.
    verify_all: bool,
    /// The block accepted last.
    last: Option<BlockId>,
    tally: Tally,
}

/// Has `blocks` blocks judged by both.
pub fn the_model_agrees(seed: u64, blocks: u64) -> Tally {
    let mut world = World::new(seed);
    while world.tally.blocks() < blocks {
        world.one_more_block();
    }
    world.tally
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let params = ChainParams {
            network_name: "judged".to_owned(),
            difficulty: 1 + random.below(3) as u8,
            block_size: 1 + random.below(3) as u32,
            block_reward: Amount::from_units(random.pick(&[3, 1_000, i64::MAX as u64 / 50])),
            target_block_seconds: random.pick(&[0, 0, 0, 5]),
            max_block_bytes: random.pick(&[1_024, 1 << 20]),
            ..ChainParams::default()
        };
        let verify_all = random.below(8) == 0;
        let person = if verify_all {
            Person::real
        } else {
            Person::invented
        };
        let people: Vec<Person> = (0..5).map(person).collect();
        // In a cracked chain two people have all that an account has room for, which no
        // honest chain brings about: only there can sums overflow.
        let mut genesis = Ledger::new();
        let mut chain = MemoryChain::new(params.clone());
        if random.below(4) == 0 {
            for (person, missing) in people[..2].iter().zip([0, 3]) {
                let balance = u64::MAX - missing;
                genesis.insert(person.address(), (u128::from(balance), 0));
                let account = Account {
                    balance: Amount::from_units(balance),
                    sequence: Sequence(0),
                };
                chain.accounts.insert(person.address(), account);
            }
        }
        let model = Model {
            params,
            now: NOW,
            genesis,
            blocks: BTreeMap::new(),
            signed: BTreeSet::new(),
        };
        Self {
            random,
            chain,
            model,
            people,
            verify_all,
            last: None,
            tally: Tally::default(),
        }
    }

    fn one_more_block(&mut self) {
        let parent = self.parent();
        let mut draft = self.draft(parent);
        let mut linked = true;
        if self.random.below(2) == 0 {
            for _ in 0..self.random.pick(&[1, 1, 1, 1, 2]) {
                linked &= self.break_some_rule(&mut draft) != Rule::Link;
            }
        }
        let block = draft.seal(&mut self.random, &self.model);
        self.submit(parent, block, linked);
    }

    /// Often the best block or the one accepted last, which makes branches grow; also one of
    /// the last few, now and then any.
    fn parent(&mut self) -> BlockId {
        let best = self.model.path(&self.model.best());
        let genesis = BlockId::from(self.chain.params.genesis_id());
        let any: Vec<BlockId> = self.model.blocks.keys().copied().collect();
        let back = match self.random.below(8) {
            0 if !any.is_empty() => return self.random.pick(&any),
            1 | 2 => self.random.below(8) as usize,
            3 => self.random.below(40) as usize,
            4..=6 if self.last.is_some() => return self.last.unwrap_or(genesis),
            _ => 0,
        };
        let index = best.len().checked_sub(back + 1);
        index.map_or(genesis, |index| best[index])
    }

    /// A valid block on a parent.
    fn draft(&mut self, parent: BlockId) -> Draft {
        let time = self.model.chain_of(&parent).last().map_or(0, |last| last.0);
        let height = Height(self.model.chain_of(&parent).len() as u64 + 1);
        let payments = self.payments(&parent, height);
        let step = self.random.pick(&[1, 1, 3_000, 9_000]);
        let to = self.receiver();
        let header = Header {
            previous: parent,
            content_root: ContentRoot::default(),
            version: BLOCK_VERSION,
            target: CompactTarget(self.model.next_target(&parent)),
            height,
            timestamp: Timestamp(time + 1 + self.random.below(step)),
            nonce: 0,
        };
        Draft {
            block: Block {
                header,
                transactions: payments,
                reward: Reward {
                    to,
                    amount: Amount::ZERO,
                    extra_nonce: self.random.next() >> 1,
                },
            },
            right_reward: true,
            right_root: true,
            solved: true,
        }
    }

    /// Somebody whose account has room.
    fn receiver(&mut self) -> Address {
        let rich = if self.model.genesis.is_empty() { 0 } else { 2 };
        let person = rich + self.random.below(5 - rich);
        self.people[person as usize].address()
    }

    fn payments(&mut self, parent: &BlockId, height: Height) -> Vec<Transaction> {
        let mut ledger = self.model.ledger(parent).clone();
        let least = self.model.params.least_payments(height);
        let count = u64::from(least) + self.random.below(3);
        let mut made = Vec::new();
        for _ in 0..count {
            let able: Vec<usize> = (0..self.people.len())
                .filter(|i| {
                    ledger
                        .get(&self.people[*i].address())
                        .is_some_and(|a| a.0 > 0)
                })
                .collect();
            if able.is_empty() {
                break;
            }
            let to = self.receiver();
            let from = &self.people[self.random.pick(&able)];
            let (balance, sequence) = ledger[&from.address()];
            let most = balance.min(1_000_000) as u64;
            let amount = 1 + self.random.below(most);
            let fee = self.random.below(most - amount + 1);
            let said =
                crate::chain::payment(&self.model.params, to, amount, fee, Sequence(sequence));
            made.push(from.sign(&mut self.model, said));
            let spent = u128::from(amount + fee);
            ledger.insert(from.address(), (balance - spent, sequence + 1));
            ledger.entry(to).or_default().0 += u128::from(amount);
        }
        made
    }

    fn break_some_rule(&mut self, draft: &mut Draft) -> Rule {
        loop {
            let rule = self.random.pick(&Rule::ALL);
            // A block of a thousand payments costs as much as all the others together.
            if rule == Rule::TooHeavy && self.random.below(8) != 0 {
                continue;
            }
            if draft.break_rule(rule, &mut self.random, &self.people, &mut self.model) {
                return rule;
            }
        }
    }

    /// Gives a block to both, after its parent's branch.
    fn submit(&mut self, parent: BlockId, block: Block, linked: bool) {
        let mut broken = self.model.judge(&block);
        let mut branch: Vec<Block> = Vec::new();
        if block.header.previous == parent || !linked {
            for id in self.model.path(&parent).into_iter().rev() {
                let inner = &self.model.blocks[&id].block;
                if self.chain.is_active(&id).expect("in memory") {
                    break;
                }
                branch.push(inner.clone());
            }
            branch.reverse();
            // The link to a block that is active breaks in the same way.
            if let Some(known) = self.model.blocks.get(&parent)
                && branch.is_empty()
                && !linked
            {
                branch.push(known.block.clone());
            }
        }
        // In a branch, a block that names another parent breaks the link to the one before.
        if !branch.is_empty() && broken.remove(&Rule::UnknownParent) {
            broken.insert(Rule::Link);
        }
        self.orphan(&branch, &block);
        branch.push(block);
        let before = self.chain.active.clone();
        let refused = self.deliver(&branch);
        let kept = before
            .iter()
            .zip(&self.chain.active)
            .take_while(|(a, b)| a == b);
        let depth = before.len() - kept.count();
        self.tally.reorgs += u64::from(depth > 0);
        self.tally.deepest = self.tally.deepest.max(depth);
        self.compare(&branch, refused, &broken);
    }

    fn compare(
        &mut self,
        branch: &[Block],
        refused: Option<(BlockId, BlockError)>,
        broken: &BTreeSet<Rule>,
    ) {
        let block = branch.last().expect("it was just put there");
        match refused {
            None => {
                self.last = Some(id_of(block));
                assert!(broken.is_empty(), "accepted, though it breaks {broken:?}");
                self.tally.accepted += 1;
            }
            Some((id, error)) => {
                assert_eq!(id, id_of(block), "a valid ancestor is refused: {error}");
                let rule = rule_of(&error);
                assert!(
                    broken.contains(&rule),
                    "refused for {error}, it breaks {broken:?}"
                );
                let first = broken.iter().map(|rule| rule.step()).min();
                assert_eq!(Some(rule.step()), first, "{rule:?} told before {broken:?}");
                *self.tally.refused.entry(rule).or_default() += 1;
            }
        }
        let best = self.model.best();
        let (tip, ..) = self.chain.state();
        assert_eq!(tip.id, best, "another chain is active");
        let accounts: Ledger = self
            .chain
            .accounts
            .iter()
            .map(|(address, account)| {
                (
                    *address,
                    (u128::from(account.balance.units()), account.sequence.0),
                )
            })
            .collect();
        assert_eq!(&accounts, self.model.ledger(&best), "another state");
    }

    /// A block alone whose branch the store does not have is nobody's fault.
    fn orphan(&mut self, branch: &[Block], block: &Block) {
        if branch.is_empty() || self.random.below(4) != 0 {
            return;
        }
        if let Ok(checked) = CheckedBlock::check(Arc::new(block.clone()), &self.chain.params)
            && let Some(Ok(verified)) = self.verify(vec![checked]).pop()
        {
            let connection = self.chain.adopt(&[verified], Timestamp(NOW));
            assert_eq!(connection.changes, None);
            let (_, error) = connection.rejected.expect("its parent is not active");
            assert_eq!(rule_of(&error), Rule::UnknownParent);
        }
    }

    fn verify(
        &self,
        checked: Vec<CheckedBlock>,
    ) -> Vec<Result<Verified<CheckedBlock>, (BlockId, BlockError)>> {
        let known = |wid: &_| !self.verify_all && self.model.signed.contains(wid);
        verify_signatures(checked, &known, &Sequential)
    }

    /// The order of a node: headers of the whole branch, bodies, signatures, the ledger.
    fn deliver(&mut self, branch: &[Block]) -> Option<(BlockId, BlockError)> {
        let parent = branch[0].header.previous;
        let mut headers = match HeaderChain::ending_at(&self.chain, &self.chain.params, parent) {
            Ok(headers) => headers,
            Err(ValidationError::Rule(error)) => return Some((branch[0].id(), error)),
            Err(ValidationError::Store(error)) => unreachable!("in memory: {error}"),
        };
        let mut rejected = None;
        let mut checked = Vec::new();
        for block in branch {
            let stored = self.chain.header(&block.id()).expect("in memory").is_some();
            let clock = (!stored).then_some(Timestamp(NOW));
            let pushed = headers
                .push(&self.chain.params, &block.header, clock)
                .and_then(|_| CheckedBlock::check(Arc::new(block.clone()), &self.chain.params));
            match pushed {
                Ok(block) => checked.push(block),
                Err(error) => {
                    rejected = Some((block.id(), error));
                    break;
                }
            }
        }
        let mut verified = Vec::new();
        for result in self.verify(checked) {
            match result {
                Ok(block) => verified.push(block),
                Err(error) => {
                    rejected = Some(error);
                    break;
                }
            }
        }
        self.try_with_a_failing_store(&verified);
        self.chain
            .adopt(&verified, Timestamp(NOW))
            .rejected
            .or(rejected)
    }

    /// A store that fails at some read says nothing of a block.
    fn try_with_a_failing_store(&mut self, branch: &[Verified<CheckedBlock>]) {
        if self.random.below(16) != 0 {
            return;
        }
        let failing = Failing {
            chain: &self.chain,
            reads_left: Cell::new(self.random.below(30)),
        };
        let now = Timestamp(NOW);
        match connect(&failing, &self.chain.params, branch, now) {
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                self.tally.store_failures += 1;
            }
            Ok(connection) => assert_eq!(
                Ok(connection),
                connect(&self.chain, &self.chain.params, branch, now)
            ),
        }
    }
}

/// The model's name of what the rules say.
fn rule_of(error: &BlockError) -> Rule {
    match error {
        BlockError::UnknownParent { .. } => Rule::UnknownParent,
        BlockError::Link { .. } => Rule::Link,
        BlockError::InvalidAncestor { .. } => unreachable!("only a node remembers invalid blocks"),
        BlockError::Height { .. } => Rule::Height,
        BlockError::Version { .. } => Rule::Version,
        BlockError::Target { .. } => Rule::Target,
        BlockError::ProofOfWork { .. } => Rule::ProofOfWork,
        BlockError::TooEarly { .. } => Rule::TooEarly,
        BlockError::TooFarAhead { .. } => Rule::TooFarAhead,
        BlockError::ContentRoot { .. } => Rule::ContentRoot,
        BlockError::TooFewPayments { .. } => Rule::TooFewPayments,
        BlockError::TooLarge { .. } => Rule::TooLarge,
        BlockError::TooHeavy { .. } => Rule::TooHeavy,
        BlockError::Duplicate { .. } => Rule::Duplicate,
        BlockError::Transaction { error, .. } => match error {
            TransactionError::Genesis { .. } => Rule::Genesis,
            TransactionError::NoAmount => Rule::NoAmount,
            TransactionError::TooMuch { .. } => Rule::TooMuch,
            TransactionError::LastSequence(_) => Rule::LastSequence,
            TransactionError::Key(KeyError::SignatureLength { .. }) => Rule::SignatureLength,
            TransactionError::Key(KeyError::SignatureRange) => Rule::SignatureRange,
            TransactionError::Key(KeyError::HighS) => Rule::HighS,
            TransactionError::Key(KeyError::PublicKeyPoint(_)) => Rule::KeyPoint,
            TransactionError::Key(KeyError::Mismatch) => Rule::SignatureMismatch,
            TransactionError::Key(error) => unreachable!("no decoded key is {error}"),
        },
        BlockError::Ledger { error, .. } => match error {
            LedgerError::Sequence { .. } => Rule::Sequence,
            LedgerError::Balance { .. } => Rule::Balance,
            LedgerError::Amount(_) => Rule::Overflow,
        },
        BlockError::Reward { .. } => Rule::Reward,
        BlockError::RewardCredit { .. } => Rule::RewardCredit,
    }
}

/// A store that fails for good after some reads.
struct Failing<'c> {
    chain: &'c MemoryChain,
    reads_left: Cell<u64>,
}

impl Failing<'_> {
    fn read<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        match self.reads_left.get().checked_sub(1) {
            Some(left) => {
                self.reads_left.set(left);
                read
            }
            None => Err(StoreError::Full),
        }
    }
}

impl ChainSnapshot for Failing<'_> {
    fn tip(&self) -> Result<Tip, StoreError> {
        self.read(self.chain.tip())
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        self.read(self.chain.account(address))
    }

    fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        self.read(self.chain.header(id))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        self.read(self.chain.block(id))
    }

    fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        self.read(self.chain.active_id(height))
    }

    fn transaction(&self, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
        self.read(self.chain.transaction(id))
    }

    fn history(
        &self,
        address: &Address,
        before: Option<TxLocation>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        self.read(self.chain.history(address, before, limit))
    }
}
