//! The documents of the API. Amounts are texts of coins, ids lower-case hex, times
//! milliseconds since 1970, as everywhere in mvb's JSON. Fields may be added; none changes.

use crate::{
    forks::{Claim, ForkTree, TreeBlock},
    look::{FoundBlock, HistoryItem},
};
use mvb_actors::{
    seen_blocks::Fate,
    transaction_intake::{mempool::Waiting, queue::Standing},
    view::PeerView,
};
use mvb_protocol::{
    chain::{self, HistoryKind, StoredHeader},
    hash::BlockId,
    params::ChainParams,
    transaction::Transaction,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// The problem.
    pub error: ErrorDetail,
}

/// A problem.
#[derive(Serialize, ToSchema)]
pub struct ErrorDetail {
    /// What programs tell it by; never changes its meaning.
    pub code: String,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

/// The parameters that every member of the network shares.
#[derive(Serialize, ToSchema)]
pub struct Params {
    /// The network's name.
    pub network_name: String,
    /// The hash of all parameters, which names the network.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub genesis: String,
    /// The version of the rules.
    pub rules_version: u32,
    /// Leading zero bits a block's id needs at least.
    pub difficulty: u8,
    /// The least transactions in a block, its reward counted.
    pub block_size: u32,
    /// The coins a block creates.
    pub block_reward: String,
    /// The interval between blocks aimed at; 0 for a fixed difficulty.
    pub target_block_seconds: u32,
    /// The largest block.
    pub max_block_bytes: u32,
}

/// The end of the active chain, and what the node is at.
#[derive(Serialize, ToSchema)]
pub struct Tip {
    /// Its height; 0 is genesis.
    pub height: u64,
    /// Its id.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
    /// The work of the whole chain, as a decimal number.
    pub work: String,
    /// When it was made.
    pub timestamp: u64,
    /// Payments that wait here.
    pub waiting: usize,
    /// Miners heard lately.
    pub peers: usize,
    /// The height being downloaded to, while the node catches up.
    pub catching_up_to: Option<u64>,
    /// The hash rate of this node's miner; 0 where it does not mine.
    pub hashes_per_second: f64,
}

/// A header.
#[derive(Serialize, ToSchema)]
pub struct Header {
    /// The hash of it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
    /// Its height.
    pub height: u64,
    /// Its parent.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub previous: String,
    /// What it commits its body to.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub content_root: String,
    /// Its version.
    pub version: u32,
    /// The compact target.
    pub target: u32,
    /// When it was made, by its miner's clock.
    pub timestamp: u64,
    /// Its nonce, as a decimal number.
    pub nonce: String,
    /// The work of the chain up to it, as a decimal number.
    pub work: String,
}

/// A list of headers, the highest first.
#[derive(Serialize, ToSchema)]
pub struct Headers {
    /// The headers.
    pub blocks: Vec<Header>,
    /// The `before` of the next answer; null at the end.
    pub next_before: Option<u64>,
}

/// A block.
#[derive(Serialize, ToSchema)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Whether it is on the active chain.
    pub active: bool,
    /// The blocks from it to the tip; 0 off the active chain.
    pub confirmations: u64,
    /// The block after it on the active chain.
    pub next: Option<String>,
    /// Its size over the fixed layouts, in bytes.
    pub size: usize,
    /// Who was rewarded.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub reward_to: String,
    /// What they got, fees included.
    pub reward: String,
    /// Its payments' ids, in order.
    pub transactions: Vec<String>,
}

/// A payment as it was signed. What an answer holds can be submitted again.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The network it is for.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub genesis: String,
    /// Who is paid.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub to: String,
    /// How much, in coins.
    #[schema(pattern = r"^[0-9]{1,13}(\.[0-9]{1,6})?$")]
    pub amount: String,
    /// What the miner gets, in coins.
    #[schema(pattern = r"^[0-9]{1,13}(\.[0-9]{1,6})?$")]
    pub fee: String,
    /// Its number among the sender's payments, from 0.
    pub sequence: u64,
    /// When it was signed, by the sender's clock.
    pub timestamp: u64,
    /// The sender's public key: compressed SEC1 of P-256, P-384 or P-521.
    #[schema(pattern = "^0[23]([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{132})$")]
    pub key: String,
    /// The signature: r and s, s in its lower half.
    #[schema(pattern = "^([0-9a-f]{128}|[0-9a-f]{192}|[0-9a-f]{264})$")]
    pub signature: String,
}

/// A payment and where it stands.
#[derive(Serialize, ToSchema)]
pub struct Payment {
    /// Its id.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
    /// Who pays: the address of the key.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub from: String,
    /// The payment as it was signed.
    pub signed: Signed,
    /// `confirmed`, `waiting` (in this node's mempool), `pending` (made here, not in the
    /// mempool) or `superseded`.
    pub state: PaymentState,
    /// Its block's height.
    pub height: Option<u64>,
    /// Its block.
    pub block: Option<String>,
    /// The blocks from its own to the tip.
    pub confirmations: u64,
    /// Why it is in no block, where it is in none.
    pub why: Vec<String>,
}

/// Where a payment stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PaymentState {
    /// In a block of the active chain.
    Confirmed,
    /// In this node's mempool.
    Waiting,
    /// Made on this home, not in the mempool.
    Pending,
    /// Another payment took its place.
    Superseded,
}

/// A payment was taken in.
#[derive(Serialize, ToSchema)]
pub struct Accepted {
    /// Its id.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
}

/// What an address has.
#[derive(Serialize, ToSchema)]
pub struct Account {
    /// The address.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub address: String,
    /// The same with the checksum in the case of its letters.
    pub checksummed: String,
    /// Confirmed coins.
    pub balance: String,
    /// The sequence of its next payment.
    pub sequence: u64,
    /// Whether the chain has ever seen it.
    pub known: bool,
}

/// A part of an address's history, the newest first.
#[derive(Serialize, ToSchema)]
pub struct History {
    /// The entries.
    pub entries: Vec<HistoryEntry>,
    /// The `cursor` of the next answer; null at the end.
    pub next_cursor: Option<String>,
}

/// How an address took part in a block.
#[derive(Serialize, ToSchema)]
pub struct HistoryEntry {
    /// `sent`, `received`, `self` or `reward`.
    pub kind: EntryKind,
    /// The block's height.
    pub height: u64,
    /// The block's time.
    pub timestamp: u64,
    /// The payment; null for a reward.
    pub id: Option<String>,
    /// Who paid; null for a reward.
    pub from: Option<String>,
    /// Who was paid.
    pub to: Option<String>,
    /// The coins, of a reward with the fees.
    pub amount: String,
    /// What the miner got; null for a reward.
    pub fee: Option<String>,
}

/// How an address took part.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// It paid.
    Sent,
    /// It was paid.
    Received,
    /// It paid itself.
    #[serde(rename = "self")]
    ToSelf,
    /// It was rewarded for a block.
    Reward,
}

/// A part of the mempool, by sender and sequence.
#[derive(Serialize, ToSchema)]
pub struct Mempool {
    /// Payments that wait in all.
    pub waiting: usize,
    /// Of these, those that could be in the next block.
    pub ready: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Some of them.
    pub transactions: Vec<WaitingPayment>,
    /// The `cursor` of the next answer; null at the end.
    pub next_cursor: Option<String>,
}

/// A payment that waits.
#[derive(Serialize, ToSchema)]
pub struct WaitingPayment {
    /// Its id.
    pub id: String,
    /// Who pays.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// How much.
    pub amount: String,
    /// What the miner gets.
    pub fee: String,
    /// Its number among the sender's.
    pub sequence: u64,
    /// Its bytes.
    pub size: usize,
    /// `ready`, `gap` or `uncovered`.
    pub stands: &'static str,
}

/// The miners heard lately.
#[derive(Serialize, ToSchema)]
pub struct Peers {
    /// They.
    pub peers: Vec<Peer>,
    /// Sessions of this node's block server that are open.
    pub open_sessions: u64,
    /// Why the last peer of another network was ignored.
    pub other_network: Option<String>,
}

/// A miner heard lately.
#[derive(Serialize, ToSchema)]
pub struct Peer {
    /// Its block server.
    pub address: String,
    /// Its name for itself.
    pub node: String,
    /// The height it claims.
    pub height: u64,
    /// The tip it claims.
    pub tip: String,
    /// The work it claims.
    pub work: String,
    /// When it was last heard.
    pub heard: u64,
    /// Whether its claims were ever proven.
    pub proven: bool,
    /// Whether it is configured by its address.
    pub pinned: bool,
    /// Whether a session with it is open.
    pub session: bool,
}

/// The fork tree.
#[derive(Serialize, ToSchema)]
pub struct Forks {
    /// The least height in it.
    pub from_height: u64,
    /// The active tip.
    pub tip: String,
    /// The blocks, the lowest first.
    pub blocks: Vec<ForkBlock>,
    /// Tips that peers claim and nobody has shown yet.
    pub claims: Vec<ForkClaim>,
}

/// A block of the fork tree.
#[derive(Serialize, ToSchema)]
pub struct ForkBlock {
    /// Its id.
    pub id: String,
    /// Its parent.
    pub previous: String,
    /// Its height.
    pub height: u64,
    /// When it was made.
    pub timestamp: u64,
    /// `active`, `orphaned` or `outdone`.
    pub fate: &'static str,
    /// Its row in the picture; 0 is the active chain.
    pub lane: usize,
    /// Whether this run's miner has found it.
    pub found_here: bool,
    /// The peers whose tip it is.
    pub peers: usize,
}

/// A tip that is only claimed.
#[derive(Serialize, ToSchema)]
pub struct ForkClaim {
    /// The tip.
    pub id: String,
    /// Its height.
    pub height: u64,
    /// The peers that claim it.
    pub peers: usize,
    /// Whether it would be the better chain.
    pub better: bool,
}

impl From<&ChainParams> for Params {
    fn from(params: &ChainParams) -> Self {
        Self {
            network_name: params.network_name.clone(),
            genesis: params.genesis_id().to_string(),
            rules_version: params.rules_version,
            difficulty: params.difficulty,
            block_size: params.block_size,
            block_reward: params.block_reward.to_string(),
            target_block_seconds: params.target_block_seconds,
            max_block_bytes: params.max_block_bytes,
        }
    }
}

impl Header {
    /// Of a stored header.
    pub fn new(id: &BlockId, stored: &StoredHeader) -> Self {
        let header = &stored.header;
        Self {
            id: id.to_string(),
            height: header.height.0,
            previous: header.previous.to_string(),
            content_root: header.content_root.to_string(),
            version: header.version,
            target: header.target.0,
            timestamp: header.timestamp.0,
            nonce: header.nonce.to_string(),
            work: stored.work.to_string(),
        }
    }
}

impl From<&FoundBlock> for Block {
    fn from(found: &FoundBlock) -> Self {
        let block = &found.block;
        let stored = StoredHeader {
            header: block.header,
            work: found.work,
        };
        let ids = block.transactions.iter().map(|tx| tx.id().to_string());
        Self {
            header: Header::new(&found.id, &stored),
            active: found.depth.is_some(),
            confirmations: found.depth.unwrap_or(0),
            next: found.next.map(|next| next.to_string()),
            size: block.size(),
            reward_to: block.reward.to.to_lower_hex(),
            reward: block.reward.amount.to_string(),
            transactions: ids.collect(),
        }
    }
}

impl From<&Transaction> for Signed {
    fn from(transaction: &Transaction) -> Self {
        Self {
            genesis: transaction.genesis.to_string(),
            to: transaction.to.to_lower_hex(),
            amount: transaction.amount.to_string(),
            fee: transaction.fee.to_string(),
            sequence: transaction.sequence.0,
            timestamp: transaction.timestamp.0,
            key: hex::encode(transaction.key.as_bytes()),
            signature: hex::encode(transaction.signature.as_bytes()),
        }
    }
}

impl From<&HistoryItem> for HistoryEntry {
    fn from(item: &HistoryItem) -> Self {
        let payment = item.payment.as_ref();
        Self {
            kind: match item.kind {
                HistoryKind::Sent => EntryKind::Sent,
                HistoryKind::Received => EntryKind::Received,
                HistoryKind::SentToSelf => EntryKind::ToSelf,
                HistoryKind::Reward => EntryKind::Reward,
            },
            height: item.location.height.0,
            timestamp: item.time.0,
            id: payment.map(|payment| payment.id.to_string()),
            from: payment.map(|payment| payment.from.to_lower_hex()),
            to: payment.map(|payment| payment.to.to_lower_hex()),
            amount: item.amount.to_string(),
            fee: payment.map(|payment| payment.fee.to_string()),
        }
    }
}

impl From<&Waiting> for WaitingPayment {
    fn from(waiting: &Waiting) -> Self {
        let payment = waiting.payment.transaction();
        Self {
            id: payment.id().to_string(),
            from: payment.from().to_lower_hex(),
            to: payment.to.to_lower_hex(),
            amount: payment.amount.to_string(),
            fee: payment.fee.to_string(),
            sequence: payment.sequence.0,
            size: payment.size(),
            stands: match waiting.standing {
                Standing::Ready => "ready",
                Standing::Gap { .. } => "gap",
                Standing::Uncovered { .. } => "uncovered",
            },
        }
    }
}

impl From<&PeerView> for Peer {
    fn from(peer: &PeerView) -> Self {
        let chain::Tip { id, height, work } = peer.tip;
        Self {
            address: peer.address.to_string(),
            node: hex::encode(peer.node.0),
            height: height.0,
            tip: id.to_string(),
            work: work.to_string(),
            heard: peer.heard.0,
            proven: peer.proven,
            pinned: peer.pinned,
            session: peer.session,
        }
    }
}

impl From<&ForkTree> for Forks {
    fn from(tree: &ForkTree) -> Self {
        Self {
            from_height: tree.from.0,
            tip: tree.tip.id.to_string(),
            blocks: tree.blocks.iter().map(ForkBlock::from).collect(),
            claims: tree.claims.iter().map(ForkClaim::from).collect(),
        }
    }
}

impl From<&TreeBlock> for ForkBlock {
    fn from(block: &TreeBlock) -> Self {
        Self {
            id: block.id.to_string(),
            previous: block.previous.to_string(),
            height: block.height.0,
            timestamp: block.time.0,
            fate: match block.fate {
                Fate::Active => "active",
                Fate::Orphaned => "orphaned",
                Fate::Outdone => "outdone",
            },
            lane: block.lane,
            found_here: block.found_here,
            peers: block.peers,
        }
    }
}

impl From<&Claim> for ForkClaim {
    fn from(claim: &Claim) -> Self {
        Self {
            id: claim.tip.id.to_string(),
            height: claim.tip.height.0,
            peers: claim.peers,
            better: claim.is_better,
        }
    }
}
