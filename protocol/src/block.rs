//! Blocks: the 96-byte header that is hashed, and the body it commits to.

use crate::{
    address::Address,
    amount::Amount,
    hash::{BlockId, ContentRoot, GenesisId, HASH_BYTES, TxId, Wid, sha256},
    merkle::merkle_root,
    numbers::{Height, Timestamp},
    target::CompactTarget,
    transaction::Transaction,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 96;

/// Where the nonce stands in a header: its last eight bytes.
pub const NONCE_OFFSET: usize = 88;

/// Bytes of a reward over its fixed layout.
pub const REWARD_BYTES: usize = 10 + 32 + 8 + 32 + 8 + 8;

const REWARD_TAG: &[u8; 10] = b"mvb/reward";
const BODY_TAG: &[u8; 8] = b"mvb/body";

/// Zero in version 1; later versions may commit to more.
const EXTENSION: [u8; HASH_BYTES] = [0; HASH_BYTES];

/// A block header. Its SHA-256 is the block's id and its proof of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The parent's id; at height 1 the genesis id.
    pub previous: BlockId,
    /// What the body hashes to.
    pub content_root: ContentRoot,
    /// The version of the block rules.
    pub version: u32,
    /// The target the id must be below, in compact form.
    pub target: CompactTarget,
    /// One more than the parent's.
    pub height: Height,
    /// When its miner began to search, by the miner's clock.
    pub timestamp: Timestamp,
    /// What the miner searched for.
    pub nonce: u64,
}

/// What a block creates: the new coins and the fees, spendable from the next block. It
/// carries no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reward {
    /// Who gets it.
    pub to: Address,
    /// Exactly the subsidy of the height and the block's fees.
    pub amount: Amount,
    /// Free, so that a miner can change the content root cheaply.
    pub extra_nonce: u64,
}

/// A header with its payments in order, and the reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The payments, applied in this order.
    #[serde(deserialize_with = "crate::codec::bounded_transactions")]
    pub transactions: Vec<Transaction>,
    /// The reward, applied last.
    pub reward: Reward,
}

impl Header {
    /// The fixed layout: previous id 32 ‖ content root 32 ‖ version u32 ‖ target u32 ‖
    /// height u64 ‖ timestamp u64 ‖ nonce u64.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..32].copy_from_slice(&self.previous.0);
        bytes[32..64].copy_from_slice(&self.content_root.0);
        bytes[64..68].copy_from_slice(&self.version.to_be_bytes());
        bytes[68..72].copy_from_slice(&self.target.to_be_bytes());
        bytes[72..80].copy_from_slice(&self.height.to_be_bytes());
        bytes[80..88].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[NONCE_OFFSET..].copy_from_slice(&self.nonce.to_be_bytes());
        bytes
    }

    /// Reads the fixed layout; every 96 bytes are some header.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Self {
        fn part<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
            bytes[at..at + N]
                .try_into()
                .expect("the layout lies within 96 bytes")
        }
        Self {
            previous: BlockId(part(bytes, 0)),
            content_root: ContentRoot(part(bytes, 32)),
            version: u32::from_be_bytes(part(bytes, 64)),
            target: CompactTarget(u32::from_be_bytes(part(bytes, 68))),
            height: Height(u64::from_be_bytes(part(bytes, 72))),
            timestamp: Timestamp(u64::from_be_bytes(part(bytes, 80))),
            nonce: u64::from_be_bytes(part(bytes, NONCE_OFFSET)),
        }
    }

    /// The block's id: SHA-256 of the 96 bytes.
    pub fn id(&self) -> BlockId {
        BlockId(sha256(&[&self.to_bytes()]))
    }
}

impl Serialize for Header {
    /// One byte string of 96 bytes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteArray<HEADER_BYTES> = Deserialize::deserialize(deserializer)?;
        Ok(Self::from_bytes(&bytes))
    }
}

impl Reward {
    /// The hash that the content root commits to: SHA-256 of `"mvb/reward"` ‖ genesis id 32
    /// ‖ height u64 ‖ to 32 ‖ amount u64 ‖ extra_nonce u64.
    pub fn hash(&self, genesis: GenesisId, height: Height) -> [u8; HASH_BYTES] {
        sha256(&[
            REWARD_TAG,
            &genesis.0,
            &height.to_be_bytes(),
            &self.to.0,
            &self.amount.to_be_bytes(),
            &self.extra_nonce.to_be_bytes(),
        ])
    }

    /// What a header at `height` must commit to, with so many payments of this Merkle root.
    pub fn content_root(
        &self,
        genesis: GenesisId,
        height: Height,
        merkle_root: &[u8; HASH_BYTES],
        payments: usize,
    ) -> ContentRoot {
        let count = u32::try_from(payments).unwrap_or(u32::MAX);
        content_root(merkle_root, count, &self.hash(genesis, height))
    }
}

/// What a header at `height` must commit to: SHA-256 of `"mvb/body"` ‖ payment count u32 ‖
/// Merkle root 32 ‖ reward hash 32 ‖ 32 zero bytes.
pub fn content_root(
    merkle_root: &[u8; HASH_BYTES],
    payments: u32,
    reward_hash: &[u8; HASH_BYTES],
) -> ContentRoot {
    ContentRoot(sha256(&[
        BODY_TAG,
        &payments.to_be_bytes(),
        merkle_root,
        reward_hash,
        &EXTENSION,
    ]))
}

impl Block {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// The payments' witness ids in order.
    pub fn wids(&self) -> Vec<Wid> {
        self.transactions.iter().map(Transaction::wid).collect()
    }

    /// The payments' ids in order.
    pub fn transaction_ids(&self) -> Vec<TxId> {
        self.transactions.iter().map(Transaction::id).collect()
    }

    /// The payments' senders in order, each a hash.
    pub fn senders(&self) -> Vec<Address> {
        self.transactions.iter().map(Transaction::from).collect()
    }

    /// The content root of this body with the given witness ids.
    pub fn content_root(&self, genesis: GenesisId, wids: &[Wid]) -> ContentRoot {
        let height = self.header.height;
        let root = merkle_root(wids);
        self.reward.content_root(genesis, height, &root, wids.len())
    }

    /// The block's size over the fixed layouts, which `max_block_bytes` bounds.
    pub fn size(&self) -> usize {
        HEADER_BYTES
            + REWARD_BYTES
            + self
                .transactions
                .iter()
                .map(Transaction::size)
                .sum::<usize>()
    }

    /// What its signatures weigh.
    pub fn weight(&self) -> u32 {
        self.transactions
            .iter()
            .map(|tx| tx.key.curve().weight())
            .fold(0, u32::saturating_add)
    }
}
