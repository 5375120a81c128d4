//! What must hold on every machine at any moment, whatever went wrong: nothing
//! acknowledged or announced is lost, the tip never gets worse, the stored state equals a
//! replay from genesis, no coin appears or disappears, and what others can make a machine
//! hold or dial is bounded. The replay is naive on purpose and shares no code with the ledger
//! it judges.

mod retarget;

use crate::cluster::Machine;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    chain::{Account, ChainSnapshot, ChainStore, StoreError, Tip},
    hash::{BlockId, TxId},
    numbers::{Height, Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams, RETARGET_WINDOW},
    target::{Target, Work},
    transaction::Transaction,
};
use retarget::naive_target;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

/// How many heights below the tip are looked up each time. Deeper ones no reorganisation of a
/// run reaches.
const RECENT_HEIGHTS: u64 = 300;

/// What bounds a machine's state beside the rules of the chain.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The latest timestamp that any machine's clock can have permitted.
    pub latest: Timestamp,
    /// The most bytes of payments that wait.
    pub mempool_bytes: usize,
    /// The most payments of one sender that wait.
    pub per_sender: u64,
    /// Whether the machines know peers that no datagram told them of.
    pub pins: bool,
}

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
    /// A block is later than any clock permits.
    #[error("active block at {height} is from {timestamp}, the clocks permit {latest}")]
    FarFuture {
        /// The tip's height.
        height: Height,
        /// Its timestamp.
        timestamp: Timestamp,
        /// The latest that may be.
        latest: Timestamp,
    },
    /// The index of payments names a place where a payment does not stand.
    #[error(
        "payment {id:.8} is indexed where it does not stand, or stands where it is not indexed"
    )]
    Index {
        /// The payment.
        id: TxId,
    },
    /// More payments wait than may.
    #[error("{bytes} bytes of {payments} payments wait, at most {most_bytes} of {most} may")]
    Mempool {
        /// Their bytes.
        bytes: usize,
        /// How many.
        payments: usize,
        /// The most bytes.
        most_bytes: usize,
        /// The most payments.
        most: usize,
    },
    /// The machine dialled somebody from whom it had heard nothing.
    #[error("dialled {peer}, from where nothing was heard")]
    Dialled {
        /// Whom.
        peer: IpAddr,
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
    /// Time and target of the last blocks, for the next target.
    recent: Vec<(u64, Target)>,
}

/// Replays chains from genesis. A block's state depends on nothing but its id, so each is
/// computed once for all machines.
pub struct Replayer {
    params: Arc<ChainParams>,
    everybody: Vec<Address>,
    states: BTreeMap<BlockId, Rc<Replayed>>,
}

impl Replayer {
    /// A replayer for one network, whose only addresses are these.
    pub fn new(params: Arc<ChainParams>, everybody: Vec<Address>) -> Self {
        let genesis = Tip::genesis(params.genesis_id()).id;
        Self {
            params,
            everybody,
            states: BTreeMap::from([(genesis, Rc::default())]),
        }
    }

    /// Checks everything that must hold on a machine.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn check(&mut self, machine: &Machine, limits: &Limits) -> Result<(), Violation> {
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
        self.compare(&*chain, stored, limits)?;
        check_index(&*chain, stored, &journal.disconnected)?;
        self.check_limits(machine, limits)
    }

    /// What others can make a machine hold, and whom they can make it dial.
    fn check_limits(&self, machine: &Machine, limits: &Limits) -> Result<(), Violation> {
        if let Some(peer) = machine.dialled.borrow().unheard.filter(|_| !limits.pins) {
            return Err(Violation::Dialled { peer });
        }
        let Some(view) = machine.view() else {
            return Ok(());
        };
        let waiting = *view.mempool.borrow();
        let most = limits.per_sender as usize * self.everybody.len();
        if waiting.bytes > limits.mempool_bytes || waiting.waiting > most {
            return Err(Violation::Mempool {
                bytes: waiting.bytes,
                payments: waiting.waiting,
                most_bytes: limits.mempool_bytes,
                most,
            });
        }
        Ok(())
    }

    /// Compares a stored state with the replay of its chain.
    fn compare(
        &mut self,
        chain: &dyn ChainSnapshot,
        tip: Tip,
        limits: &Limits,
    ) -> Result<(), Violation> {
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
        let timestamp = Timestamp(replayed.timestamp);
        if timestamp > limits.latest {
            return Err(Violation::FarFuture {
                height: tip.height,
                timestamp,
                latest: limits.latest,
            });
        }
        for height in tip.height.0.saturating_sub(RECENT_HEIGHTS)..=tip.height.0 {
            let id = chain.active_id(Height(height))?;
            if id.is_none_or(|id| self.states.get(&id).is_none_or(|s| s.height != height)) {
                return Err(broken("the index of heights does not follow the chain"));
            }
        }
        for address in replayed.accounts.keys().chain(&self.everybody) {
            let stored = chain.account(address)?;
            let replayed = replayed.accounts.get(address).copied().unwrap_or_default();
            if stored != replayed {
                return Err(Violation::Account {
                    address: *address,
                    stored,
                    replayed,
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

    /// Of some payments not on a chain, those that its next blocks could hold in turn. None if
    /// fewer than `least` could be in the very next one, for which mempools offer only what
    /// confirmed balances cover.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn payable(
        &self,
        chain: &dyn ChainSnapshot,
        payments: &BTreeMap<TxId, Arc<Transaction>>,
        least: usize,
    ) -> Result<Vec<TxId>, StoreError> {
        let mut state = Replayed::default();
        let mut by_sequence: BTreeMap<(Address, Sequence), (TxId, &Transaction)> = BTreeMap::new();
        let mut rivals = BTreeSet::new();
        for (id, payment) in payments {
            if chain.transaction(id)?.is_none() {
                let rival = (payment.from(), payment.sequence);
                // Of two payments with one sequence nobody can say which will win.
                if by_sequence.remove(&rival).is_some() || !rivals.insert(rival) {
                    continue;
                }
                for address in [payment.from(), payment.to] {
                    state.accounts.insert(address, chain.account(&address)?);
                }
                by_sequence.insert((payment.from(), payment.sequence), (*id, payment));
            }
        }
        let mut confirmed = state.accounts.clone();
        let at_once = by_sequence.values();
        let at_once = at_once.filter(|(_, payment)| spend(&mut confirmed, payment));
        if at_once.count() < least {
            return Ok(Vec::new());
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

/// Takes a payment from its sender's account, if that account covers it and it is its turn.
fn spend(accounts: &mut BTreeMap<Address, Account>, payment: &Transaction) -> bool {
    let Some(account) = accounts.get_mut(&payment.from()) else {
        return false;
    };
    let cost = payment.amount.checked_add(payment.fee);
    let left = cost.and_then(|cost| account.balance.checked_sub(cost));
    let (Ok(left), Some(next)) = (left, account.sequence.next()) else {
        return false;
    };
    let is_next = account.sequence == payment.sequence;
    if is_next {
        account.balance = left;
        account.sequence = next;
    }
    is_next
}

/// That payments are indexed where they stand: those of the last block, and those that a
/// reorganisation once took back.
fn check_index(
    chain: &dyn ChainSnapshot,
    tip: Tip,
    disconnected: &[TxId],
) -> Result<(), Violation> {
    let last = chain.block(&tip.id)?;
    let last = last.iter().flat_map(|block| &block.transactions);
    for (index, payment) in last.enumerate() {
        let id = payment.id();
        let found = chain.transaction(&id)?;
        if found.is_none_or(|at| at.height != tip.height || at.index as usize != index) {
            return Err(Violation::Index { id });
        }
    }
    for id in disconnected {
        let Some(at) = chain.transaction(id)? else {
            continue;
        };
        let block = match chain.active_id(at.height)? {
            Some(block) => chain.block(&block)?,
            None => None,
        };
        let stands = block.is_some_and(|block| {
            let payment = block.transactions.get(at.index as usize);
            payment.is_some_and(|payment| payment.id() == *id)
        });
        if !stands {
            return Err(Violation::Index { id: *id });
        }
    }
    Ok(())
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
            target == naive_target(params, &self.recent) && header.target == target.to_compact(),
            "target",
        )?;
        rule(header.version == BLOCK_VERSION, "version")?;
        rule(block.size() <= params.max_block_bytes as usize, "size")?;
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
        if self.recent.len() > RETARGET_WINDOW as usize {
            self.recent.remove(0);
        }
        self.recent.push((self.timestamp, target));
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
