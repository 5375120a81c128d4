//! What must hold on every machine at any moment, whatever went wrong: nothing
//! acknowledged or announced is lost, the tip never gets worse, the stored state equals a
//! replay from genesis, and no coin appears or disappears. The replay is naive on purpose
//! and shares no code with the ledger it judges.

use crate::cluster::Machine;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    chain::{Account, ChainSnapshot, ChainStore, StoreError, Tip},
    hash::{BlockId, TxId},
    numbers::{Height, Sequence, Timestamp},
    params::ChainParams,
    target::Work,
    transaction::Transaction,
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

/// A rule that a machine broke.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block that a commit acknowledged is no longer stored.
    #[error("acknowledged block {id:.8} is lost")]
    BlockLost {
        /// The block.
        id: BlockId,
    },
    /// A tip was announced that is not stored.
    #[error("announced tip {id:.8} at {height} is not stored")]
    NotSynced {
        /// The tip's block.
        id: BlockId,
        /// Its height.
        height: Height,
    },
    /// A commit made the tip worse.
    #[error("the tip got worse: {what}")]
    Worsened {
        /// Both tips.
        what: String,
    },
    /// The stored tip is not the one acknowledged last.
    #[error("stored tip {stored:.8}, acknowledged {acknowledged:.8}")]
    Tip {
        /// The stored one.
        stored: BlockId,
        /// The one acknowledged last.
        acknowledged: BlockId,
    },
    /// A block of the active chain breaks a rule.
    #[error("active block {id:.8} at {height}: {rule}")]
    Block {
        /// The block.
        id: BlockId,
        /// Its height.
        height: Height,
        /// The rule.
        rule: String,
    },
    /// An account is not what the replay says.
    #[error("account {address:.8} is {stored:?}, replayed {replayed:?}")]
    Account {
        /// Whose.
        address: Address,
        /// As stored.
        stored: Account,
        /// As replayed.
        replayed: Account,
    },
    /// The balances do not sum up to what was issued.
    #[error("balances sum up to {balances} units, issued were {issued}")]
    Supply {
        /// The sum.
        balances: u128,
        /// All subsidies up to the tip.
        issued: u128,
    },
}

/// The state after a block, as replayed.
#[derive(Clone, Debug, Default)]
struct Replayed {
    height: u64,
    timestamp: u64,
    work: Work,
    accounts: BTreeMap<Address, Account>,
    issued: u128,
}

/// Replays chains from genesis. A block's state depends on nothing but its id, so each is
/// computed once for all machines.
pub struct Replayer {
    params: Arc<ChainParams>,
    states: BTreeMap<BlockId, Rc<Replayed>>,
}

impl Replayer {
    /// A replayer for one network.
    pub fn new(params: Arc<ChainParams>) -> Self {
        let genesis = Tip::genesis(params.genesis_id()).id;
        Self {
            params,
            states: BTreeMap::from([(genesis, Rc::default())]),
        }
    }

    /// Checks everything that must hold on a machine.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn check(&mut self, machine: &Machine) -> Result<(), Violation> {
        let chain = machine.disk.snapshot()?;
        let journal = machine.journal.lock();
        if let Some(what) = journal.worsened.clone() {
            return Err(Violation::Worsened { what });
        }
        let stored = chain.tip()?;
        if let Some(last) = journal.tips.last().filter(|last| last.id != stored.id) {
            return Err(Violation::Tip {
                stored: stored.id,
                acknowledged: last.id,
            });
        }
        for id in &journal.blocks {
            if chain.header(id)?.is_none() || chain.block(id)?.is_none() {
                return Err(Violation::BlockLost { id: *id });
            }
        }
        for tip in machine.announced.borrow().iter() {
            if tip.height.0 > 0 && chain.header(&tip.id)?.is_none_or(|h| h.work != tip.work) {
                return Err(Violation::NotSynced {
                    id: tip.id,
                    height: tip.height,
                });
            }
        }
        self.compare(&*chain, stored)
    }

    /// Compares a stored state with the replay of its chain.
    fn compare(&mut self, chain: &dyn ChainSnapshot, tip: Tip) -> Result<(), Violation> {
        let replayed = self.replay(chain, tip.id)?;
        let broken = |rule: &str| Violation::Block {
            id: tip.id,
            height: tip.height,
            rule: rule.to_owned(),
        };
        if (tip.height.0, tip.work) != (replayed.height, replayed.work) {
            return Err(broken(
                "the stored tip's height or work is not the replay's",
            ));
        }
        for height in 0..=tip.height.0 {
            let id = chain.active_id(Height(height))?;
            if id.is_none_or(|id| self.states.get(&id).is_none_or(|s| s.height != height)) {
                return Err(broken("the index of heights does not follow the chain"));
            }
        }
        for (address, account) in &replayed.accounts {
            let stored = chain.account(address)?;
            if stored != *account {
                return Err(Violation::Account {
                    address: *address,
                    stored,
                    replayed: *account,
                });
            }
        }
        let balances = replayed
            .accounts
            .values()
            .map(|account| u128::from(account.balance.units()))
            .sum();
        if balances != replayed.issued {
            return Err(Violation::Supply {
                balances,
                issued: replayed.issued,
            });
        }
        Ok(())
    }

    /// The state after a block, replayed from the last ancestor whose state is known.
    fn replay(
        &mut self,
        chain: &dyn ChainSnapshot,
        tip: BlockId,
    ) -> Result<Rc<Replayed>, Violation> {
        let mut ahead = Vec::new();
        let mut id = tip;
        let mut state = loop {
            if let Some(state) = self.states.get(&id) {
                break state.clone();
            }
            let block = chain.block(&id)?.ok_or(Violation::BlockLost { id })?;
            let previous = block.header.previous;
            ahead.push((id, block));
            id = previous;
        };
        for (id, block) in ahead.into_iter().rev() {
            let mut next = (*state).clone();
            next.apply(&self.params, id, &block)
                .map_err(|rule| Violation::Block {
                    id,
                    height: block.header.height,
                    rule,
                })?;
            state = Rc::new(next);
            self.states.insert(id, state.clone());
        }
        Ok(state)
    }

    /// Of some payments not on a chain, those that its next blocks could hold in turn.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn payable(
        &self,
        chain: &dyn ChainSnapshot,
        payments: &BTreeMap<TxId, Arc<Transaction>>,
    ) -> Result<Vec<TxId>, StoreError> {
        let mut state = Replayed::default();
        let mut by_sequence: BTreeMap<(Address, Sequence), (TxId, &Transaction)> = BTreeMap::new();
        for (id, payment) in payments {
            if chain.transaction(id)?.is_none() {
                for address in [payment.from(), payment.to] {
                    state.accounts.insert(address, chain.account(&address)?);
                }
                by_sequence.insert((payment.from(), payment.sequence), (*id, payment));
            }
        }
        let mut payable = Vec::new();
        loop {
            let before = payable.len();
            by_sequence.retain(|_, (id, payment)| {
                let pays = state.pay(payment).is_ok();
                if pays {
                    payable.push(*id);
                }
                !pays
            });
            if payable.len() == before {
                return Ok(payable);
            }
        }
    }
}

impl Replayed {
    /// Applies a block, or names the rule that it breaks.
    fn apply(&mut self, params: &ChainParams, id: BlockId, block: &Block) -> Result<(), String> {
        let rule = |holds: bool, name: &str| holds.then_some(()).ok_or_else(|| name.to_owned());
        let (genesis, header) = (params.genesis_id(), &block.header);
        self.height += 1;
        rule(block.id() == id, "its header has another id")?;
        rule(header.height.0 == self.height, "height")?;
        rule(header.timestamp > Timestamp(self.timestamp), "timestamp")?;
        rule(
            header.content_root == block.content_root(genesis, &block.wids()),
            "content root",
        )?;
        let target = header.target.expand().ok_or("target encoding")?;
        rule(target.is_met_by(&id), "proof of work")?;
        rule(
            self.height > 61 || header.target == params.easiest_target(),
            "target",
        )?;
        let least = params.least_payments(header.height) as usize;
        rule(block.transactions.len() >= least, "too few payments")?;
        let mut fees = 0;
        for payment in &block.transactions {
            payment.check(genesis).map_err(|error| error.to_string())?;
            payment
                .check_signature()
                .map_err(|error| error.to_string())?;
            self.pay(payment)?;
            fees += payment.fee.units();
        }
        let subsidy = params.subsidy(header.height).units();
        rule(block.reward.amount.units() == subsidy + fees, "reward")?;
        self.credit(block.reward.to, block.reward.amount)?;
        self.timestamp = header.timestamp.0;
        self.work = self.work.saturating_add(target.work());
        self.issued += u128::from(subsidy);
        Ok(())
    }

    fn pay(&mut self, payment: &Transaction) -> Result<(), String> {
        let total = payment.total().map_err(|error| error.to_string())?;
        let sender = self.accounts.entry(payment.from()).or_default();
        if sender.sequence != payment.sequence {
            return Err(format!("sequence {}", payment.sequence));
        }
        sender.balance = sender
            .balance
            .checked_sub(total)
            .map_err(|error| error.to_string())?;
        sender.sequence = sender.sequence.next().ok_or("last sequence")?;
        self.credit(payment.to, payment.amount)
    }

    fn credit(&mut self, to: Address, amount: Amount) -> Result<(), String> {
        let account = self.accounts.entry(to).or_default();
        account.balance = account
            .balance
            .checked_add(amount)
            .map_err(|error| error.to_string())?;
        Ok(())
    }
}
