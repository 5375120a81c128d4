//! The messages the actors exchange. Each names its reply and how it is sent; a tick an
//! actor sends itself stays private to its file.
//!
//! Awaited requests flow one way round the cast, so no two actors can wait for each other:
//! BlockServer -> TransactionIntake; Miner -> TransactionIntake, ChainManager;
//! ForkResolver -> ChainManager. Everything else is an event sent and forgotten.

use crate::{branch_block::BranchBlock, transaction_intake::mempool::Waiting};
use actix::prelude::*;
use mvb_protocol::{
    address::Address,
    ahead::Ahead,
    amount::Amount,
    chain::{Account, ChainBlock, StoreError, Tip},
    hash::{BlockId, TxId},
    numbers::{Height, Sequence},
    transaction::{Named, Transaction, TransactionError, Verified},
    validate::BlockError,
    wire::Status,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Where a payment came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionSource {
    /// A datagram, whose source address may be forged.
    Datagram(IpAddr),
    /// A TCP session.
    Peer(SocketAddr),
    /// This home's outbox.
    Outbox,
}

/// To TransactionIntake: take this payment into the mempool. Sent with `try_send` for
/// datagrams, where nobody waits for the reply, and awaited by the block server.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<TxId, Refusal>")]
pub struct SubmitTransaction {
    /// The payment.
    pub transaction: Arc<Transaction>,
    /// Where it came from.
    pub source: TransactionSource,
}

/// Why a payment is not in the mempool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is there already; nothing is wrong.
    #[error("payment {id:.8} is already waiting")]
    Duplicate {
        /// The payment.
        id: TxId,
    },
    /// It is on the active chain already.
    #[error("payment {id:.8} is already in block {height}")]
    Confirmed {
        /// The payment.
        id: TxId,
        /// The block's height.
        height: Height,
    },
    /// It breaks a rule of its own.
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    /// Its sequence was used by another payment on the chain.
    #[error("sequence {got} is already used, the next is {next}")]
    SequenceUsed {
        /// Its sequence.
        got: Sequence,
        /// The account's next.
        next: Sequence,
    },
    /// Its sequence is too far ahead of the account's to be held.
    #[error(
        "sequence {got} is too far ahead of {next}, at most {most} payments of one sender wait"
    )]
    SequenceTooFar {
        /// Its sequence.
        got: Sequence,
        /// The account's next.
        next: Sequence,
        /// The limit a sender.
        most: u64,
    },
    /// Another payment with this sequence waits, and this one's fee is too low to replace it.
    #[error(
        "payment {other:.8} with the same sequence waits; a fee of at least {least} replaces it"
    )]
    FeeTooLowToReplace {
        /// The one that waits.
        other: TxId,
        /// The fee that would replace it.
        least: Amount,
    },
    /// The sender's confirmed balance does not cover it and the payments before it.
    #[error("balance {balance} does not cover {needed}, payments before it included")]
    Uncovered {
        /// The confirmed balance.
        balance: Amount,
        /// This payment and the ones before it.
        needed: Amount,
    },
    /// The mempool is full of payments that pay more.
    #[error("the mempool is full, and this payment's fee per byte is the lowest")]
    Full,
    /// Its source sends more than the limit.
    #[error("too many payments from {source_address}")]
    TooMany {
        /// The source.
        source_address: IpAddr,
    },
    /// As many signatures are being verified as may be at once.
    #[error("too many payments are being verified; try again")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// A short word for the reason, by which refusals are counted.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "duplicate",
            Self::Confirmed { .. } => "confirmed",
            Self::Invalid(_) => "invalid",
            Self::SequenceUsed { .. } => "sequence used",
            Self::SequenceTooFar { .. } => "sequence too far",
            Self::FeeTooLowToReplace { .. } => "fee too low to replace",
            Self::Uncovered { .. } => "uncovered",
            Self::Full => "mempool full",
            Self::TooMany { .. } => "source over its rate",
            Self::Busy => "busy",
            Self::Store(_) => "store failed",
        }
    }

    /// Whether the payment is where it should be, so that nothing is wrong.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate { .. } | Self::Confirmed { .. })
    }

    /// Whether only a sender who breaks the rules makes such a payment. Proves nothing
    /// against the source of a datagram, which may be forged.
    pub fn misbehaviour(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

/// From TransactionIntake to Miner: there may be more for a block than before, because a
/// payment entered the mempool or a new tip pays for what was held. Sent with `do_send`: the
/// intake has bounded what gets here.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct PaymentsWaiting {
    /// How many payments wait now.
    pub waiting: usize,
}

/// To TransactionIntake from Miner, awaited: the payments for the next block.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Selection")]
pub struct SelectTransactions {
    /// The most bytes over the fixed layouts.
    pub max_bytes: usize,
    /// What the store has yet to write of the chain that the block extends.
    pub ahead: Ahead,
}

/// To TransactionIntake from whoever shows the mempool, awaited: some of the payments that
/// wait. What it costs is bounded by the limit, and whoever asks asks seldom.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Vec<Waiting>")]
pub struct ListWaiting {
    /// Only what comes after this sender's payment.
    pub after: Option<(Address, Sequence)>,
    /// The most payments.
    pub limit: usize,
}

/// Payments in an order in which they apply to the chain at `tip`.
#[derive(Clone, Debug, MessageResponse)]
pub struct Selection {
    /// The tip they were chosen for; the asker compares it with its own.
    pub tip: BlockId,
    /// The payments.
    pub payments: Vec<Named>,
}

/// From ChainManager to TransactionIntake, GossipBroadcaster and ForkResolver, in this order:
/// the active chain changed, and the change is synced. Sent with `do_send`: it is never lost,
/// and there are few.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct TipChanged {
    /// The tip before.
    pub previous: Tip,
    /// The tip now.
    pub tip: Tip,
    /// The blocks that left the active chain, the highest first. Empty for an extension.
    pub disconnected: Arc<[Arc<ChainBlock>]>,
    /// The blocks that joined it, the lowest first.
    pub connected: Arc<[Arc<ChainBlock>]>,
    /// Every account that changed, with its new state.
    pub accounts: Arc<BTreeMap<Address, Account>>,
}

/// From ChainManager to Miner alone: the block to build on is another one. It runs before
/// [`TipChanged`] and may be taken back, so nobody outside may learn of it. Sent with
/// `do_send`: it is never lost, and there are few.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub enum BestChanged {
    /// A better chain was found valid; what it changes is being written and synced.
    Validated {
        /// Where the chain will end.
        tip: Tip,
        /// What the store has yet to write up to there.
        ahead: Ahead,
    },
    /// The store could not write it: the chain still ends here.
    Retracted {
        /// The synced tip.
        tip: Tip,
    },
}

/// To ChainManager from Miner, awaited: a block found here.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<Tip, ChainError>")]
pub struct SubmitBlock {
    /// The block.
    pub block: BranchBlock,
}

/// To ChainManager from ForkResolver, awaited: blocks in order of height, of which the
/// first one's parent is on the active chain. The best valid prefix is adopted if it is
/// better than the active chain.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<BranchConnected, ChainError>")]
pub struct ConnectBranch {
    /// The blocks.
    pub blocks: Vec<BranchBlock>,
}

/// What became of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchConnected {
    /// The tip after it.
    pub tip: Tip,
    /// The first block that broke a rule, if one did. Its verdict says whom to blame.
    pub rejected: Option<(BlockId, BlockError)>,
}

/// Why a block or branch changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A block breaks a rule, and those before it are no better chain.
    #[error("block {id:.8} refused: {error}")]
    Rejected {
        /// The block.
        id: BlockId,
        /// The rule.
        error: BlockError,
    },
    /// It is valid, but the active chain is better.
    #[error("block {id:.8} is not better than tip {tip:.8}")]
    NotBetter {
        /// The block or the branch's last.
        id: BlockId,
        /// The active tip.
        tip: BlockId,
    },
    /// The store failed; nothing is said of the block.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// To ForkResolver: a status datagram of this network, or a peer's announcement. Sent with
/// `try_send`; drops are counted.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct PeerStatus {
    /// What it claims.
    pub status: Status,
    /// The datagram's source; the block server is at its address and the status's port.
    pub source: SocketAddr,
}

/// To GossipBroadcaster from TransactionIntake: payments that a reorg returned to the
/// mempool, to be announced once more. Sent with `do_send`.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct PaymentPending {
    /// The payments.
    pub transactions: Vec<Arc<Verified<Transaction>>>,
}

/// From ForkResolver to Miner: a chain with more proven work is being downloaded, or no
/// longer. A miner that just started waits for it; one that mines goes on. Sent with
/// `do_send`, only when the value changes.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct SyncChanged {
    /// Whether a download is at work.
    pub catching_up: bool,
}
