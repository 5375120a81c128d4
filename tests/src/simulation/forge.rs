//! Makes blocks with real proof of work, as somebody with hash power and bad intentions
//! could: private branches that are valid, and blocks that break exactly one rule. Only liars
//! use it. What comes out depends on the chain, the time and the random stream alone.

use mvb_actors::env::RandomStream;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainSnapshot, StoreError, Tip},
    hash::{BlockId, ContentRoot, GenesisId},
    keys::{SecretKey, Signature},
    numbers::{Height, Sequence, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    target::Target,
    transaction::{Payment, SMALLEST_TRANSACTION_BYTES, Transaction},
    validate::{HeaderChain, expected_reward},
};
use std::sync::Arc;

/// How many nonces are tried before a block is given up.
const MOST_NONCES: u64 = 1 << 20;

/// The order of P-256, for the high-s twin of a signature.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The one rule that a forged block breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its id does not meet its target.
    Work,
    /// Its target is not the prescribed one, though it meets it.
    Target,
    /// It is no later than its parent.
    Early,
    /// It is from the far future.
    Future,
    /// Its version is another.
    Version,
    /// Its height leaves some out.
    Height,
    /// It does not link to the block before it.
    Link,
    /// Its header commits to another body.
    Content,
    /// It holds no payments where some are due.
    TooFewPayments,
    /// It is too large.
    Size,
    /// A signature is wrong.
    Signature,
    /// A signature is the high-s twin of a right one.
    HighS,
    /// A payment is for another network.
    Network,
    /// A payment that waits everywhere, with another signature.
    KnownId,
    /// The reward is too large.
    Reward,
    /// A payment leaves sequences out.
    Sequence,
    /// A payment spends more than there is.
    Balance,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 17] = [
        Self::Work,
        Self::Target,
        Self::Early,
        Self::Future,
        Self::Version,
        Self::Height,
        Self::Link,
        Self::Content,
        Self::TooFewPayments,
        Self::Size,
        Self::Signature,
        Self::HighS,
        Self::Network,
        Self::KnownId,
        Self::Reward,
        Self::Sequence,
        Self::Balance,
    ];
}

/// What is forged.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// How many blocks below the tip the branch begins.
    pub back: u64,
    /// How many blocks it has.
    pub length: u64,
    /// What is wrong with its last block, if anything.
    pub flaw: Option<Flaw>,
    /// How long before now its first block pretends to be, in milliseconds; the others follow
    /// at equal distances. 0: as late as honest blocks would be.
    pub spread_ms: u64,
    /// This one's clock.
    pub now: Timestamp,
}

/// A branch and the tip that it ends in.
pub struct Branch {
    /// The height of the last honest block.
    pub root: Height,
    /// The forged blocks, the lowest first.
    pub blocks: Vec<Arc<Block>>,
    /// Where it ends, with the work that it pretends to have.
    pub tip: Tip,
}

/// A block's payments, and who gets its reward where that matters.
type Paid = (Vec<Transaction>, Option<Address>);

/// Who forges.
pub struct Forge<'a> {
    /// The chain's parameters.
    pub params: &'a ChainParams,
    /// Everybody's keys: the liar has stolen them.
    pub keys: &'a [(SecretKey, Address)],
    /// Payments that wait.
    pub pending: Vec<Arc<Transaction>>,
    /// Where choices come from.
    pub random: &'a RandomStream,
}

impl Forge<'_> {
    /// Makes a branch on a chain, where that is possible.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn branch(
        &self,
        chain: &dyn ChainSnapshot,
        order: Order,
    ) -> Result<Option<Branch>, StoreError> {
        let root = Height(chain.tip()?.height.0.saturating_sub(order.back));
        let Some(parent) = chain.active_id(root)? else {
            return Ok(None);
        };
        let Ok(mut headers) = HeaderChain::ending_at(chain, self.params, parent) else {
            return Ok(None);
        };
        let mut branch = Branch {
            root,
            blocks: Vec::new(),
            tip: headers.tip(),
        };
        for number in 0..order.length {
            let flaw = order.flaw.filter(|_| number + 1 == order.length);
            let height = Height(root.0 + 1 + number);
            let Some(payments) = self.payments(chain, height, flaw)? else {
                return Ok(None);
            };
            let mut timestamp = order.now.0;
            if order.spread_ms > 0 {
                let before = order.spread_ms * (order.length - number) / order.length;
                timestamp = timestamp.saturating_sub(before);
            }
            let block = self.block(&headers, height, payments, Timestamp(timestamp), flaw);
            let Some((block, target)) = block else {
                return Ok(None);
            };
            branch.tip = Tip {
                id: block.id(),
                height: block.header.height,
                work: branch.tip.work.saturating_add(target.work()),
            };
            if flaw.is_none() && headers.push(self.params, &block.header, None).is_err() {
                return Ok(None);
            }
            branch.blocks.push(Arc::new(block));
        }
        Ok(Some(branch))
    }

    /// Payments for a block: those of the honest block at its height, so that the ledger is
    /// the same on both branches, and above the tip new ones.
    fn payments(
        &self,
        chain: &dyn ChainSnapshot,
        height: Height,
        flaw: Option<Flaw>,
    ) -> Result<Option<Paid>, StoreError> {
        let needed = self.params.least_payments(height) as usize;
        let touches_payments = matches!(
            flaw,
            Some(
                Flaw::Size
                    | Flaw::Signature
                    | Flaw::HighS
                    | Flaw::Network
                    | Flaw::KnownId
                    | Flaw::Sequence
                    | Flaw::Balance
            )
        );
        if flaw == Some(Flaw::TooFewPayments) {
            return Ok((needed > 0).then(|| (Vec::new(), None)));
        }
        if needed == 0 && !touches_payments {
            return Ok(Some((Vec::new(), None)));
        }
        if let Some(id) = chain.active_id(height)?
            && let Some(block) = chain.block(&id)?
        {
            return Ok(Some((block.transactions, Some(block.reward.to))));
        }
        let mut richest: Option<(&SecretKey, Address, u64)> = None;
        for (key, address) in self.keys {
            let balance = chain.account(address)?.balance.units();
            if balance > richest.map_or(100_000, |(.., most)| most) {
                richest = Some((key, *address, balance));
            }
        }
        let Some((key, address, balance)) = richest else {
            return Ok(None);
        };
        let genesis = self.params.genesis_id();
        let mut count = needed.max(1);
        if flaw == Some(Flaw::Size) {
            count = self.params.max_block_bytes as usize / SMALLEST_TRANSACTION_BYTES + 1;
            if count > 64 {
                return Ok(None);
            }
        }
        let first = chain.account(&address)?.sequence.0;
        let pay = |number: u64, genesis, amount| {
            let skipped = if flaw == Some(Flaw::Sequence) { 3 } else { 0 };
            Payment {
                genesis,
                to: address,
                amount: Amount::from_units(amount),
                fee: Amount::from_units(1 + self.random.below(3)),
                sequence: Sequence(first + number + skipped),
                timestamp: Timestamp(self.random.below(1 << 40)),
            }
            .sign(key)
        };
        let mut payments: Vec<Transaction> =
            (0..count as u64).map(|n| pay(n, genesis, 1)).collect();
        match flaw {
            Some(Flaw::Signature) => spoil(&mut payments[0]),
            Some(Flaw::HighS) => match high_s_twin(&payments[0].signature) {
                Some(twin) => payments[0].signature = twin,
                None => return Ok(None),
            },
            Some(Flaw::Network) => payments[0] = pay(0, GenesisId([7; 32]), 1),
            Some(Flaw::Balance) => payments[0] = pay(0, genesis, balance),
            Some(Flaw::KnownId) => {
                let Some(known) = self.known(chain, &address)? else {
                    return Ok(None);
                };
                payments.pop();
                payments.insert(0, known);
            }
            _ => {}
        }
        Ok(Some((payments, None)))
    }

    /// A payment of somebody else that waits, could be in the next block, and now has a
    /// wrong signature.
    fn known(
        &self,
        chain: &dyn ChainSnapshot,
        not_of: &Address,
    ) -> Result<Option<Transaction>, StoreError> {
        for payment in &self.pending {
            let account = chain.account(&payment.from())?;
            let covered = payment.total().is_ok_and(|total| total <= account.balance);
            if payment.from() != *not_of && payment.sequence == account.sequence && covered {
                let mut payment = Transaction::clone(payment);
                spoil(&mut payment);
                return Ok(Some(payment));
            }
        }
        Ok(None)
    }

    fn block(
        &self,
        headers: &HeaderChain,
        height: Height,
        (transactions, reward_to): Paid,
        timestamp: Timestamp,
        flaw: Option<Flaw>,
    ) -> Option<(Block, Target)> {
        let mut amount = expected_reward(self.params, height, &transactions).ok()?;
        if flaw == Some(Flaw::Reward) {
            amount = amount.checked_add(Amount::from_units(1)).ok()?;
        }
        let mut compact = headers.next_target(self.params);
        if flaw == Some(Flaw::Target) {
            compact = Target::from_difficulty(self.params.difficulty + 2).to_compact();
        }
        let target = compact.expand()?;
        let least = headers.least_timestamp();
        let anybody = self.keys.first().map(|(_, address)| *address);
        let mut block = Block {
            header: Header {
                previous: headers.tip().id,
                content_root: ContentRoot::default(),
                version: BLOCK_VERSION,
                target: compact,
                height,
                timestamp: timestamp.max(least),
                nonce: 0,
            },
            transactions,
            reward: Reward {
                to: reward_to.or(anybody)?,
                amount,
                extra_nonce: self.random.next_u64(),
            },
        };
        let header = &mut block.header;
        match flaw {
            Some(Flaw::Early) => header.timestamp = Timestamp(least.0 - 1),
            Some(Flaw::Future) => {
                let days = 10 * 86_400_000;
                header.timestamp = timestamp.saturating_add(self.params.max_future_ms() + days);
            }
            Some(Flaw::Version) => header.version += 1,
            Some(Flaw::Height) => header.height.0 += 5,
            Some(Flaw::Link) => header.previous = BlockId([3; 32]),
            _ => {}
        }
        block.header.content_root = match flaw {
            Some(Flaw::Content) => ContentRoot([9; 32]),
            _ => block.content_root(self.params.genesis_id(), &block.wids()),
        };
        let met = flaw != Some(Flaw::Work);
        for nonce in 0..MOST_NONCES {
            block.header.nonce = nonce;
            if target.is_met_by(&block.id()) == met {
                return Some((block, target));
            }
        }
        None
    }
}

/// Makes a payment's signature wrong.
pub fn spoil(payment: &mut Transaction) {
    let mut bytes = payment.signature.as_bytes().to_vec();
    bytes[20] ^= 1;
    if let Ok(signature) = Signature::from_bytes(&bytes) {
        payment.signature = signature;
    }
}

/// The other signature that the same key and message have: s becomes n − s.
fn high_s_twin(signature: &Signature) -> Option<Signature> {
    let mut bytes = signature.as_bytes().to_vec();
    let s = bytes.get_mut(32..64)?;
    let mut borrow = 0;
    for (digit, order) in s.iter_mut().zip(P256_ORDER).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
    Signature::from_bytes(&bytes).ok()
}
