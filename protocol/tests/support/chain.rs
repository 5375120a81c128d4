//! A chain in memory for this crate's tests: the simplest store that offers what the rules
//! ask for, keys without entropy, and a miner for low difficulties. Nothing here judges.

#![allow(dead_code)] // Each test binary uses its own part of this file.

use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{
        Account, ChainSnapshot, ChangeSet, HistoryEntry, StoreError, StoredHeader, Tip, TxLocation,
    },
    connect::{Connection, connect},
    hash::{BlockId, ContentRoot, TxId, sha256},
    keys::{Curve, SecretKey},
    numbers::{Height, Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    transaction::{Payment, Transaction, Verified},
    validate::{
        BlockError, CheckedBlock, HeaderChain, Sequential, ValidationError, expected_reward,
        verify_block, verify_signatures,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// A whole chain in maps.
#[derive(Clone)]
pub struct MemoryChain {
    pub params: ChainParams,
    pub accounts: BTreeMap<Address, Account>,
    pub active: Vec<BlockId>,
    tip: Tip,
    headers: BTreeMap<BlockId, StoredHeader>,
    blocks: BTreeMap<BlockId, Arc<Block>>,
    transactions: BTreeMap<TxId, TxLocation>,
}

impl MemoryChain {
    pub fn new(params: ChainParams) -> Self {
        params.validate().expect("the test's parameters are valid");
        let tip = Tip::genesis(params.genesis_id());
        Self {
            params,
            accounts: BTreeMap::new(),
            active: vec![tip.id],
            tip,
            headers: BTreeMap::new(),
            blocks: BTreeMap::new(),
            transactions: BTreeMap::new(),
        }
    }

    /// Applies what [`connect`] decided.
    pub fn commit(&mut self, changes: &ChangeSet) {
        assert_eq!(changes.previous, self.tip, "stale change set");
        for gone in &changes.disconnect {
            assert_eq!(self.active.pop(), Some(gone.id));
            for id in &*gone.transaction_ids {
                assert!(self.transactions.remove(id).is_some());
            }
        }
        for new in &changes.connect {
            assert_eq!(
                new.block.header.previous,
                self.active[self.active.len() - 1]
            );
            self.active.push(new.id);
            self.headers.insert(
                new.id,
                StoredHeader {
                    header: new.block.header,
                    work: new.work,
                },
            );
            self.blocks.insert(new.id, new.block.clone());
            for (index, id) in (0..).zip(&*new.transaction_ids) {
                let height = new.block.header.height;
                let location = TxLocation { height, index };
                assert!(self.transactions.insert(*id, location).is_none());
            }
        }
        for (address, account) in &changes.accounts {
            if *account == Account::default() {
                self.accounts.remove(address);
            } else {
                self.accounts.insert(*address, *account);
            }
        }
        self.tip = changes.tip;
        assert_eq!(self.active.last(), Some(&self.tip.id));
    }

    /// Connects verified blocks and commits what comes of it.
    pub fn adopt(&mut self, branch: &[Verified<CheckedBlock>], now: Timestamp) -> Connection {
        let connection =
            connect(self, &self.params, branch, now).expect("a store in memory cannot fail");
        if let Some(changes) = &connection.changes {
            self.commit(changes);
        }
        connection
    }

    /// Judges one block by every rule, its header first, and adopts it if it is valid.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn submit(&mut self, block: &Block, now: Timestamp) -> Result<(), BlockError> {
        let clock = (!self.headers.contains_key(&block.id())).then_some(now);
        match HeaderChain::ending_at(self, &self.params, block.header.previous) {
            Ok(mut parent) => parent.push(&self.params, &block.header, clock)?,
            Err(ValidationError::Rule(error)) => return Err(error),
            Err(ValidationError::Store(error)) => unreachable!("a store in memory: {error}"),
        };
        let verified = verify_block(Arc::new(block.clone()), &self.params)?;
        match self.adopt(&[verified], now).rejected {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The end of the active chain.
    pub fn end(&self) -> HeaderChain {
        HeaderChain::ending_at(self, &self.params, self.tip.id).expect("the tip is stored")
    }

    /// A solved block on the tip.
    pub fn mine(&self, transactions: Vec<Transaction>, to: Address) -> Block {
        let timestamp = self.end().least_timestamp();
        mine_on(&self.end(), &self.params, transactions, to, timestamp)
    }

    /// A signed payment with the sender's next sequence.
    pub fn pay(&self, secret: &SecretKey, to: Address, amount: u64, fee: u64) -> Transaction {
        let from = Address::of_key(secret.public_key().as_bytes());
        let sequence = self
            .accounts
            .get(&from)
            .copied()
            .unwrap_or_default()
            .sequence;
        payment(&self.params, to, amount, fee, sequence).sign(secret)
    }

    /// Everything that a replay from genesis must reproduce.
    pub fn state(
        &self,
    ) -> (
        Tip,
        &[BlockId],
        &BTreeMap<Address, Account>,
        &BTreeMap<TxId, TxLocation>,
    ) {
        (self.tip, &self.active, &self.accounts, &self.transactions)
    }

    /// All money there is.
    pub fn supply(&self) -> u128 {
        let units = |account: &Account| u128::from(account.balance.units());
        self.accounts.values().map(units).sum()
    }
}

impl ChainSnapshot for MemoryChain {
    fn tip(&self) -> Result<Tip, StoreError> {
        Ok(self.tip)
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        Ok(self.accounts.get(address).copied().unwrap_or_default())
    }

    fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        Ok(self.headers.get(id).copied())
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        Ok(self.blocks.get(id).map(|block| Block::clone(block)))
    }

    fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        let index = usize::try_from(height.0).unwrap_or(usize::MAX);
        Ok(self.active.get(index).copied())
    }

    fn transaction(&self, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
        Ok(self.transactions.get(id).copied())
    }

    fn history(
        &self,
        _: &Address,
        _: Option<TxLocation>,
        _: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        Ok(Vec::new())
    }
}

/// The secret key that a text names.
pub fn secret(curve: Curve, name: &str) -> SecretKey {
    let mut bytes = sha256(&[name.as_bytes()]).repeat(3);
    bytes.truncate(curve.scalar_bytes());
    bytes[0] = 0;
    SecretKey::from_bytes(curve, &bytes).expect("a number below the order, and not zero")
}

pub fn address_of(secret: &SecretKey) -> Address {
    Address::of_key(secret.public_key().as_bytes())
}

pub fn payment(
    params: &ChainParams,
    to: Address,
    amount: u64,
    fee: u64,
    sequence: Sequence,
) -> Payment {
    Payment {
        genesis: params.genesis_id(),
        to,
        amount: Amount::from_units(amount),
        fee: Amount::from_units(fee),
        sequence,
        timestamp: Timestamp(1_700_000_000_000),
    }
}

/// A solved block after `parent`, whose reward is right whatever its payments are.
pub fn mine_on(
    parent: &HeaderChain,
    params: &ChainParams,
    transactions: Vec<Transaction>,
    to: Address,
    timestamp: Timestamp,
) -> Block {
    let height = Height(parent.tip().height.0 + 1);
    let amount = expected_reward(params, height, &transactions).unwrap_or_default();
    let block = Block {
        header: Header {
            previous: parent.tip().id,
            content_root: ContentRoot::default(),
            version: BLOCK_VERSION,
            target: parent.next_target(params),
            height,
            timestamp,
            nonce: 0,
        },
        transactions,
        reward: Reward {
            to,
            amount,
            extra_nonce: 0,
        },
    };
    seal(block, params)
}

/// Commits a changed block's header to its body.
pub fn commit_to_body(mut block: Block, params: &ChainParams) -> Block {
    block.header.content_root = block.content_root(params.genesis_id(), &block.wids());
    block
}

/// Commits to the body and searches the nonce.
pub fn seal(block: Block, params: &ChainParams) -> Block {
    solve(commit_to_body(block, params))
}

/// Searches the nonce for the header as it is.
pub fn solve(mut block: Block) -> Block {
    let target = block.header.target.expand().expect("a target of the chain");
    while !target.is_met_by(&block.id()) {
        block.header.nonce += 1;
    }
    block
}

/// Marks blocks as verified without looking at their signatures.
pub fn trust_signatures(
    block: Block,
    params: &ChainParams,
) -> Result<Verified<CheckedBlock>, BlockError> {
    let checked = CheckedBlock::check(Arc::new(block), params)?;
    verify_signatures(vec![checked], &|_| true, &Sequential)
        .pop()
        .expect("one block gives one result")
        .map_err(|(_, error)| error)
}
