//! The rules of a block and the three verdicts on one that breaks them. Cheap checks come
//! first, the proof of work before any signature.

use crate::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainSnapshot, StoreError, Tip},
    hash::{BlockId, ContentRoot, GenesisId, HASH_BYTES, TxId, Wid},
    ledger::LedgerError,
    merkle::merkle_root,
    mutant,
    numbers::{Height, Timestamp},
    params::{BLOCK_VERSION, ChainParams, MAX_BLOCK_WEIGHT, RETARGET_WINDOW},
    retarget::{RetargetPoint, next_target},
    target::{CompactTarget, Target},
    transaction::{Named, Transaction, TransactionError, Verified},
};
use std::{collections::BTreeSet, sync::Arc};

/// What is to be done about a refused block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The id itself is bad: remember it, and refuse its descendants.
    Invalid,
    /// What was sent does not belong together: a body that its header does not commit to, or
    /// a header that does not follow the one sent before it. Blame who sent it, say nothing
    /// of the id (an honest block may bear it), fetch elsewhere.
    BodyMismatch,
    /// It may become valid: hold it, blame no one.
    NotYet,
}

/// The rule a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The parent is not known.
    #[error("parent {previous:.8} is unknown")]
    UnknownParent {
        /// The parent it names.
        previous: BlockId,
    },
    /// It does not link to the block before it.
    #[error("links to {got:.8}, expected {expected:.8}")]
    Link {
        /// The parent it names.
        got: BlockId,
        /// The block before it.
        expected: BlockId,
    },
    /// Its parent or another ancestor is invalid.
    #[error("descends from the invalid block {ancestor:.8}")]
    InvalidAncestor {
        /// The invalid block.
        ancestor: BlockId,
    },
    /// Its height is not one more than its parent's.
    #[error("height {got}, expected {expected}")]
    Height {
        /// Its height.
        got: Height,
        /// The right one.
        expected: Height,
    },
    /// It was made for other block rules.
    #[error("version {got}, expected {BLOCK_VERSION}")]
    Version {
        /// Its version.
        got: u32,
    },
    /// Its target is not the one the chain prescribes.
    #[error("target {:#010x}, expected {:#010x}", got.0, expected.0)]
    Target {
        /// Its target.
        got: CompactTarget,
        /// The right one.
        expected: CompactTarget,
    },
    /// Its id is not below its target.
    #[error("id {id:.16} is not below target {:#010x}", target.0)]
    ProofOfWork {
        /// Its id.
        id: BlockId,
        /// Its target.
        target: CompactTarget,
    },
    /// It is not later than its parent.
    #[error("timestamp {got} ms, expected at least {least} ms")]
    TooEarly {
        /// Its timestamp.
        got: Timestamp,
        /// One millisecond after its parent's.
        least: Timestamp,
    },
    /// It is too far ahead of the clock.
    #[error("timestamp {got} ms, expected at most {most} ms by this clock")]
    TooFarAhead {
        /// Its timestamp.
        got: Timestamp,
        /// The latest this clock allows now.
        most: Timestamp,
    },
    /// The body does not hash to what the header says.
    #[error("body hashes to {got:.8}, its header says {expected:.8}")]
    ContentRoot {
        /// What the body hashes to.
        got: ContentRoot,
        /// What the header says.
        expected: ContentRoot,
    },
    /// Too few payments.
    #[error("{got} payments, expected at least {least}")]
    TooFewPayments {
        /// How many it has.
        got: usize,
        /// How many `block_size` asks for.
        least: u32,
    },
    /// Too large over the fixed layouts.
    #[error("{got} bytes, expected at most {most}")]
    TooLarge {
        /// Its size.
        got: usize,
        /// `max_block_bytes`.
        most: u32,
    },
    /// Its signatures cost too much to verify.
    #[error("signatures weigh {got}, expected at most {MAX_BLOCK_WEIGHT}")]
    TooHeavy {
        /// Their weight.
        got: u32,
    },
    /// A payment stands in it twice.
    #[error("payment {id:.8} stands in it twice")]
    Duplicate {
        /// The payment.
        id: TxId,
    },
    /// A payment breaks a rule of its own.
    #[error("payment {index}: {error}")]
    Transaction {
        /// Its index in the block.
        index: usize,
        /// The rule.
        error: TransactionError,
    },
    /// A payment does not fit the ledger.
    #[error("payment {index}: {error}")]
    Ledger {
        /// Its index in the block.
        index: usize,
        /// Why.
        error: LedgerError,
    },
    /// The reward is not the subsidy and the fees.
    #[error("reward of {got}, expected exactly {expected}")]
    Reward {
        /// What it takes.
        got: Amount,
        /// What it may.
        expected: Amount,
    },
    /// The reward would overflow its recipient's balance.
    #[error("reward cannot be credited: {error}")]
    RewardCredit {
        /// Why.
        error: LedgerError,
    },
}

impl BlockError {
    /// What is to be done about the block.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::ContentRoot { .. } if mutant!(ForeignBodyCondemned) => Verdict::Invalid,
            Self::ContentRoot { .. } | Self::Link { .. } => Verdict::BodyMismatch,
            Self::TooFarAhead { .. } if mutant!(EarlyBlockCondemned) => Verdict::Invalid,
            Self::UnknownParent { .. } | Self::TooFarAhead { .. } => Verdict::NotYet,
            _ => Verdict::Invalid,
        }
    }
}

/// A block is refused, or the store failed while it was judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// The block breaks a rule.
    #[error(transparent)]
    Rule(#[from] BlockError),
    /// The store failed; nothing is said of the block.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The end of a chain of headers: everything the rules need to judge the next header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChain {
    tip: Tip,
    timestamp: Timestamp,
    recent: Vec<RetargetPoint>,
}

impl HeaderChain {
    /// The chain without blocks.
    pub fn genesis(params: &ChainParams) -> Self {
        Self {
            tip: Tip::genesis(params.genesis_id()),
            timestamp: Timestamp(0),
            recent: Vec::new(),
        }
    }

    /// The chain that ends at a stored block, on the active chain or not, or at genesis.
    ///
    /// # Errors
    /// [`BlockError::UnknownParent`] when the block is not stored.
    pub fn ending_at(
        chain: &dyn ChainSnapshot,
        params: &ChainParams,
        id: BlockId,
    ) -> Result<Self, ValidationError> {
        let genesis = BlockId::from(params.genesis_id());
        if id == genesis {
            return Ok(Self::genesis(params));
        }
        let end = chain
            .header(&id)?
            .ok_or(BlockError::UnknownParent { previous: id })?;
        let mut recent = vec![RetargetPoint {
            timestamp: end.header.timestamp,
            target: end.header.target,
        }];
        let mut previous = end.header.previous;
        while params.target_block_seconds != 0
            && recent.len() <= RETARGET_WINDOW as usize
            && previous != genesis
        {
            let stored = chain
                .header(&previous)?
                .ok_or_else(|| StoreError::Damaged {
                    what: format!("header {previous} is missing"),
                })?;
            recent.push(RetargetPoint {
                timestamp: stored.header.timestamp,
                target: stored.header.target,
            });
            previous = stored.header.previous;
        }
        recent.reverse();
        Ok(Self {
            tip: Tip {
                id,
                height: end.header.height,
                work: end.work,
            },
            timestamp: end.header.timestamp,
            recent,
        })
    }

    /// The last block.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// The target the next header must carry.
    pub fn next_target(&self, params: &ChainParams) -> CompactTarget {
        next_target(params, &self.recent)
    }

    /// The least timestamp the next header may carry.
    pub fn least_timestamp(&self) -> Timestamp {
        self.timestamp.saturating_add(1)
    }

    /// Judges the next header by every rule that needs no body, and moves on to it.
    /// `now` is this node's clock; a block that was connected before is never judged
    /// against the clock again, so its caller passes `None`.
    ///
    /// # Errors
    /// Names the first rule broken; the chain then stays as it was.
    pub fn push(
        &mut self,
        params: &ChainParams,
        header: &Header,
        now: Option<Timestamp>,
    ) -> Result<Tip, BlockError> {
        if header.previous != self.tip.id && !mutant!(LinkUnchecked) {
            return Err(BlockError::Link {
                got: header.previous,
                expected: self.tip.id,
            });
        }
        if self.tip.height.next() != Some(header.height) && !mutant!(HeightUnchecked) {
            return Err(BlockError::Height {
                got: header.height,
                expected: self.tip.height.next().unwrap_or(self.tip.height),
            });
        }
        if header.version != BLOCK_VERSION && !mutant!(VersionUnchecked) {
            return Err(BlockError::Version {
                got: header.version,
            });
        }
        let expected = self.next_target(params);
        if header.target != expected && !mutant!(TargetUnchecked) {
            return Err(BlockError::Target {
                got: header.target,
                expected,
            });
        }
        let (id, target) = proven_work(header, params)?;
        if header.timestamp <= self.timestamp && !mutant!(TimeOrderUnchecked) {
            return Err(BlockError::TooEarly {
                got: header.timestamp,
                least: self.least_timestamp(),
            });
        }
        if let Some(now) = now {
            let most = now.saturating_add(params.max_future_ms());
            if header.timestamp > most && !mutant!(FutureUnchecked) {
                return Err(BlockError::TooFarAhead {
                    got: header.timestamp,
                    most,
                });
            }
        }
        self.tip = Tip {
            id,
            height: header.height,
            work: self.tip.work.saturating_add(target.work()),
        };
        self.timestamp = header.timestamp;
        if self.recent.len() > RETARGET_WINDOW as usize {
            self.recent.remove(0);
        }
        self.recent.push(RetargetPoint {
            timestamp: header.timestamp,
            target: header.target,
        });
        Ok(self.tip)
    }
}

/// The id of a header and the target it meets, which is no easier than the chain's easiest.
/// Whether it is the right target for its place, only the chain before it tells.
fn proven_work(header: &Header, params: &ChainParams) -> Result<(BlockId, Target), BlockError> {
    let easiest = params.easiest_target();
    let target = header
        .target
        .expand()
        .filter(|target| *target <= Target::from_difficulty(params.difficulty))
        .ok_or(BlockError::Target {
            got: header.target,
            expected: easiest,
        })?;
    let id = header.id();
    if !target.is_met_by(&id) && !mutant!(WorkUnchecked) {
        return Err(BlockError::ProofOfWork {
            id,
            target: header.target,
        });
    }
    Ok((id, target))
}

/// A block whose work is at least `difficulty`'s, whose body matches its header and whose rules hold
/// as far as they need neither its parent, the ledger nor a signature check.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBlock {
    id: BlockId,
    block: Arc<Block>,
    transaction_ids: Arc<[TxId]>,
    senders: Arc<[Address]>,
    wids: Arc<[Wid]>,
}

impl CheckedBlock {
    /// Checks the work, the content root, size, weight, counts and each payment's own
    /// rules. Nothing here depends on the parent, so blocks can be checked side by side;
    /// and as only a checked block's signatures are verified, nobody can have signatures
    /// verified without the work of `difficulty`.
    ///
    /// # Errors
    /// Names the first rule broken. Until the content root matches, nothing said about
    /// the body is said about the id.
    pub fn check(block: Arc<Block>, params: &ChainParams) -> Result<Self, BlockError> {
        // Whoever has no work makes nobody hash a body.
        let (id, _) = proven_work(&block.header, params)?;
        let wids = block.wids();
        let names = Names {
            merkle_root: merkle_root(&wids),
            wids,
            ids: || block.transaction_ids(),
            senders: || block.senders(),
        };
        Self::check_with(id, block.clone(), names, params)
    }

    /// A block found here, of payments that were verified and named before; neither is done
    /// again.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn of_body(
        header: Header,
        body: NamedBody,
        reward: Reward,
        params: &ChainParams,
    ) -> Result<Verified<Self>, BlockError> {
        let (id, _) = proven_work(&header, params)?;
        let block = Block {
            header,
            transactions: body.transactions,
            reward,
        };
        let names = Names {
            merkle_root: body.merkle_root,
            wids: body.wids,
            ids: || body.ids,
            senders: || body.senders,
        };
        Self::check_with(id, Arc::new(block), names, params).map(Verified::assume)
    }

    /// All checks but that of the work, by which the id was found.
    fn check_with<I, S>(
        id: BlockId,
        block: Arc<Block>,
        names: Names<I, S>,
        params: &ChainParams,
    ) -> Result<Self, BlockError>
    where
        I: FnOnce() -> Vec<TxId>,
        S: FnOnce() -> Vec<Address>,
    {
        let genesis = params.genesis_id();
        let wids = names.wids;
        let (reward, height) = (&block.reward, block.header.height);
        let (got, expected) = (
            reward.content_root(genesis, height, &names.merkle_root, wids.len()),
            block.header.content_root,
        );
        if got != expected && !mutant!(ContentUnchecked) {
            return Err(BlockError::ContentRoot { got, expected });
        }
        let size = block.size();
        if size > params.max_block_bytes as usize && !mutant!(SizeUnchecked) {
            return Err(BlockError::TooLarge {
                got: size,
                most: params.max_block_bytes,
            });
        }
        let weight = block.weight();
        if weight > MAX_BLOCK_WEIGHT {
            return Err(BlockError::TooHeavy { got: weight });
        }
        let (got, least) = (wids.len(), params.least_payments(block.header.height));
        if got < least as usize && !mutant!(LeastPaymentsUnchecked) {
            return Err(BlockError::TooFewPayments { got, least });
        }
        let transaction_ids = (names.ids)();
        let may_have_twins = may_have_twins(&transaction_ids);
        let mut seen = BTreeSet::new();
        for (index, (transaction, id)) in
            block.transactions.iter().zip(&transaction_ids).enumerate()
        {
            if may_have_twins && !seen.insert(*id) {
                return Err(BlockError::Duplicate { id: *id });
            }
            transaction
                .check(genesis)
                .map_err(|error| BlockError::Transaction { index, error })?;
        }
        Ok(Self {
            id,
            senders: (names.senders)().into(),
            block,
            transaction_ids: transaction_ids.into(),
            wids: wids.into(),
        })
    }

    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The block.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// The ids of its payments in order.
    pub fn transaction_ids(&self) -> &Arc<[TxId]> {
        &self.transaction_ids
    }

    /// The senders of its payments in order.
    pub fn senders(&self) -> &Arc<[Address]> {
        &self.senders
    }

    /// The witness ids of its payments in order.
    pub fn wids(&self) -> &[Wid] {
        &self.wids
    }
}

/// What the payments of a block are called. The ids and senders are asked for only once the
/// wids have shown that they are the header's.
struct Names<I, S> {
    merkle_root: [u8; HASH_BYTES],
    wids: Vec<Wid>,
    ids: I,
    senders: S,
}

/// Verified payments in the order of a block, and what a block's checks need of them. Made of
/// payments with their names, so nothing is hashed but the Merkle tree.
#[derive(Clone, Debug)]
pub struct NamedBody {
    transactions: Vec<Transaction>,
    ids: Vec<TxId>,
    wids: Vec<Wid>,
    senders: Vec<Address>,
    merkle_root: [u8; HASH_BYTES],
}

impl NamedBody {
    /// The body of these payments.
    pub fn new(payments: &[Named]) -> Self {
        let transactions = payments.iter().map(|p| (***p.transaction()).clone());
        let wids: Vec<Wid> = payments.iter().map(|p| p.name().wid).collect();
        Self {
            transactions: transactions.collect(),
            ids: payments.iter().map(|p| p.name().id).collect(),
            senders: payments.iter().map(|p| p.name().from).collect(),
            merkle_root: merkle_root(&wids),
            wids,
        }
    }

    /// The payments.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// What a header at `height` must commit to, with this reward.
    pub fn content_root(&self, genesis: GenesisId, height: Height, reward: &Reward) -> ContentRoot {
        reward.content_root(genesis, height, &self.merkle_root, self.wids.len())
    }
}

/// Whether an id may be there twice: two begin alike. Sorting thousands of beginnings takes less
/// than a set of ids does.
fn may_have_twins(ids: &[TxId]) -> bool {
    let beginning = |id: &TxId| id.0.first_chunk().copied().map(u64::from_ne_bytes);
    let mut beginnings: Vec<u64> = ids.iter().filter_map(beginning).collect();
    beginnings.sort_unstable();
    beginnings.windows(2).any(|pair| pair[0] == pair[1])
}

/// How independent checks are spread over cores. The rules stay free of threads: a
/// caller with a pool passes one that uses it.
pub trait Parallel: Sync {
    /// Runs `job` once for each index below `count`, in any order, and returns when all
    /// are done.
    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync));
}

/// One after the other, on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Parallel for Sequential {
    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(job);
    }
}

/// Verifies the signatures of many blocks at once. `is_known` says which payments were
/// verified before, by witness id. The result has an entry for each block in order.
pub fn verify_signatures(
    blocks: Vec<CheckedBlock>,
    is_known: &(dyn Fn(&Wid) -> bool + Sync),
    parallel: &dyn Parallel,
) -> Vec<Result<Verified<CheckedBlock>, (BlockId, BlockError)>> {
    let work: Vec<(usize, usize, &Transaction)> = blocks
        .iter()
        .enumerate()
        .flat_map(|(block, checked)| {
            checked
                .block
                .transactions
                .iter()
                .enumerate()
                .map(move |(index, tx)| (block, index, tx))
        })
        .collect();
    let failures = std::sync::Mutex::new(std::collections::BTreeMap::new());
    parallel.for_each(work.len(), &|i| {
        let (block, index, transaction) = work[i];
        if is_known(&blocks[block].wids[index])
            || mutant!(SignaturesUnchecked)
            || mutant!(VerifiedById) && is_known(&Wid(transaction.id().0))
        {
            return;
        }
        if let Err(error) = transaction.check_signature() {
            let mut failures = failures
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            failures.insert((block, index), error);
        }
    });
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    blocks
        .into_iter()
        .enumerate()
        .map(|(number, checked)| {
            let first = failures
                .range((number, 0)..(number + 1, 0))
                .next()
                .map(|(key, _)| *key);
            match first.and_then(|key| failures.remove(&key).map(|error| (key.1, error))) {
                Some((index, error)) => Err((checked.id, BlockError::Transaction { index, error })),
                None => Ok(Verified::assume(checked)),
            }
        })
        .collect()
}

impl Verified<CheckedBlock> {
    /// Its payments, each still marked as verified.
    pub fn transactions(&self) -> impl Iterator<Item = Verified<&Transaction>> {
        self.block.transactions.iter().map(Verified::assume)
    }
}

/// Checks and verifies one block on the calling thread.
///
/// # Errors
/// Names the first rule broken.
pub fn verify_block(
    block: Arc<Block>,
    params: &ChainParams,
) -> Result<Verified<CheckedBlock>, BlockError> {
    let checked = CheckedBlock::check(block, params)?;
    verify_signatures(vec![checked], &|_| false, &Sequential)
        .pop()
        .expect("one block gives one result")
        .map_err(|(_, error)| error)
}

/// What a block of this chain at `height` creates, fees included.
///
/// # Errors
/// When the fees do not fit an amount.
pub fn expected_reward(
    params: &ChainParams,
    height: Height,
    transactions: &[Transaction],
) -> Result<Amount, LedgerError> {
    let mut total = params.subsidy(height);
    for transaction in transactions {
        total = total.checked_add(transaction.fee)?;
    }
    Ok(total)
}
