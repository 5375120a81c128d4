//! A payment: what is signed, how it is named, and the rules that need nothing but the
//! payment itself. Sequences and balances are the ledger's business.

use crate::{
    address::Address,
    amount::{Amount, AmountError, MAX_SUPPLY},
    hash::{GenesisId, TxId, Wid, sha256},
    keys::{Curve, KeyError, PublicKey, SecretKey, Signature},
    merkle::leaf_hash,
    numbers::{Sequence, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What every payment's signed bytes begin with.
const DOMAIN: &[u8; 8] = b"mvb/tx\x00\x01";

/// The only kind of payment so far.
const KIND_PAYMENT: u8 = 1;

/// Signed bytes before the public key.
const FIXED_BYTES: usize = 8 + 32 + 1 + 32 + 4 * 8 + 1;

/// The size of the smallest payment over the fixed layout, one of P-256.
pub const SMALLEST_TRANSACTION_BYTES: usize =
    FIXED_BYTES + Curve::P256.public_key_bytes() + Curve::P256.signature_bytes();

/// A payment as it travels. The sender is the address of its key: there is no field to
/// forge, and the genesis id keeps it from counting on another network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The network it is meant for.
    pub genesis: GenesisId,
    /// The recipient.
    pub to: Address,
    /// What the recipient gets; more than zero.
    pub amount: Amount,
    /// What the miner gets on top.
    pub fee: Amount,
    /// Its position among the sender's payments.
    pub sequence: Sequence,
    /// When it was made, by the sender's clock. No rule depends on it.
    pub timestamp: Timestamp,
    /// The sender's key.
    pub key: PublicKey,
    /// The sender's signature over the signed bytes.
    pub signature: Signature,
}

/// What a payment says, before it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The network it is meant for.
    pub genesis: GenesisId,
    /// The recipient.
    pub to: Address,
    /// What the recipient gets.
    pub amount: Amount,
    /// What the miner gets on top.
    pub fee: Amount,
    /// Its position among the sender's payments.
    pub sequence: Sequence,
    /// When it was made.
    pub timestamp: Timestamp,
}

/// What a payment is called. Each part is a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Finds conflicts and is what people see.
    pub id: TxId,
    /// Tells apart copies with different signatures; every cache is keyed by it.
    pub wid: Wid,
    /// The sender.
    pub from: Address,
}

impl Name {
    /// Hashes a payment.
    pub fn of(transaction: &Transaction) -> Self {
        Self {
            id: transaction.id(),
            wid: transaction.wid(),
            from: transaction.from(),
        }
    }
}

/// Why a payment is refused whatever the ledger says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// It was made for another network.
    #[error("payment is for network {got:.8}, expected {expected:.8}")]
    Genesis {
        /// The network it names.
        got: GenesisId,
        /// This network.
        expected: GenesisId,
    },
    /// It moves nothing.
    #[error("payment of 0, expected more than 0")]
    NoAmount,
    /// Amount and fee together are more than can exist.
    #[error(
        "payment of {amount} and fee {fee}, expected at most {} together",
        MAX_SUPPLY
    )]
    TooMuch {
        /// The amount.
        amount: Amount,
        /// The fee.
        fee: Amount,
    },
    /// Its sequence has no successor.
    #[error("sequence {0} has no next one")]
    LastSequence(Sequence),
    /// Its key or signature is wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Payment {
    fn signed_bytes(&self, key: &PublicKey) -> Vec<u8> {
        let key = key.as_bytes();
        let mut bytes = Vec::with_capacity(FIXED_BYTES + key.len());
        bytes.extend_from_slice(DOMAIN);
        bytes.extend_from_slice(&self.genesis.0);
        bytes.push(KIND_PAYMENT);
        bytes.extend_from_slice(&self.to.0);
        bytes.extend_from_slice(&self.amount.to_be_bytes());
        bytes.extend_from_slice(&self.fee.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.push(key.len() as u8);
        bytes.extend_from_slice(key);
        bytes
    }

    /// The payment with its signature.
    pub fn sign(self, secret: &SecretKey) -> Transaction {
        let key = secret.public_key();
        let signature = secret.sign(&self.signed_bytes(&key));
        Transaction {
            genesis: self.genesis,
            to: self.to,
            amount: self.amount,
            fee: self.fee,
            sequence: self.sequence,
            timestamp: self.timestamp,
            key,
            signature,
        }
    }
}

impl Transaction {
    /// What the payment says.
    pub fn payment(&self) -> Payment {
        Payment {
            genesis: self.genesis,
            to: self.to,
            amount: self.amount,
            fee: self.fee,
            sequence: self.sequence,
            timestamp: self.timestamp,
        }
    }

    /// The bytes the sender signs: `"mvb/tx" 00 01` ‖ genesis id 32 ‖ kind u8 = 1 ‖ to 32 ‖
    /// amount u64 ‖ fee u64 ‖ sequence u64 ‖ timestamp u64 ‖ key length u8 ‖ key.
    pub fn signed_bytes(&self) -> Vec<u8> {
        self.payment().signed_bytes(&self.key)
    }

    /// The sender, the address of the key.
    pub fn from(&self) -> Address {
        Address::of_key(self.key.as_bytes())
    }

    /// The name of this payment: the hash of its signed bytes.
    pub fn id(&self) -> TxId {
        TxId(sha256(&[&self.signed_bytes()]))
    }

    /// The name of this payment together with its signature; its Merkle leaf.
    pub fn wid(&self) -> Wid {
        Wid(leaf_hash(&[
            &self.signed_bytes(),
            self.signature.as_bytes(),
        ]))
    }

    /// Its size over the fixed layout: signed bytes and signature.
    pub fn size(&self) -> usize {
        FIXED_BYTES + self.key.as_bytes().len() + self.signature.as_bytes().len()
    }

    /// Amount and fee together, what the sender gives.
    ///
    /// # Errors
    /// When the sum does not fit, which [`Self::check`] refuses too.
    pub fn total(&self) -> Result<Amount, AmountError> {
        self.amount.checked_add(self.fee)
    }

    /// Every rule that needs neither the ledger nor a signature check.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn check(&self, genesis: GenesisId) -> Result<(), TransactionError> {
        if self.genesis != genesis && !crate::mutant!(OtherNetworkTaken) {
            return Err(TransactionError::Genesis {
                got: self.genesis,
                expected: genesis,
            });
        }
        if self.amount == Amount::ZERO {
            return Err(TransactionError::NoAmount);
        }
        if !self.total().is_ok_and(|total| total <= MAX_SUPPLY) {
            return Err(TransactionError::TooMuch {
                amount: self.amount,
                fee: self.fee,
            });
        }
        if self.sequence.next().is_none() {
            return Err(TransactionError::LastSequence(self.sequence));
        }
        let (got, expected) = (
            self.signature.as_bytes().len(),
            self.key.curve().signature_bytes(),
        );
        if got != expected {
            return Err(KeyError::SignatureLength { got, expected }.into());
        }
        Ok(())
    }

    /// Checks the signature alone.
    ///
    /// # Errors
    /// Says what is wrong with the key or signature.
    pub fn check_signature(&self) -> Result<(), TransactionError> {
        Ok(self.key.verify(&self.signed_bytes(), &self.signature)?)
    }

    /// Every check that needs no ledger, the signature last.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn verify(self, genesis: GenesisId) -> Result<Verified<Transaction>, TransactionError> {
        self.verify_unless(genesis, |_| false)
    }

    /// As [`Self::verify`], but without the signature check where `is_known` says that this
    /// very payment, signature included, was verified before.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn verify_unless(
        self,
        genesis: GenesisId,
        is_known: impl FnOnce(&Wid) -> bool,
    ) -> Result<Verified<Transaction>, TransactionError> {
        self.check(genesis)?;
        if !is_known(&self.wid()) {
            self.check_signature()?;
        }
        Ok(Verified(self))
    }
}

/// Something whose signatures and stateless rules were checked. Only this crate makes
/// one, and the ledger applies nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// For this crate's own checks, and for tests that sign nothing.
    pub(crate) fn assume(inner: T) -> Self {
        Self(inner)
    }

    /// Makes a `Verified` without checking anything, so that property tests need not sign.
    #[cfg(feature = "testing")]
    pub fn for_tests(inner: T) -> Self {
        Self(inner)
    }

    /// Gives up the mark.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// A view that keeps the mark. It shows the very value that was checked: a conversion
    /// that its type could define would let another one bear the mark.
    pub fn borrowed(&self) -> Verified<&T> {
        Verified(&self.0)
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A verified payment and what it is called, hashed once: only [`Self::new`] makes one, so the
/// name is that of the payment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Named(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transaction: Arc<Verified<Transaction>>,
    name: Name,
}

impl Named {
    /// Hashes a payment.
    pub fn new(transaction: Arc<Verified<Transaction>>) -> Self {
        let name = Name::of(&transaction);
        Self(Arc::new(Inner { transaction, name }))
    }

    /// The payment.
    pub fn transaction(&self) -> &Arc<Verified<Transaction>> {
        &self.0.transaction
    }

    /// What it is called.
    pub fn name(&self) -> &Name {
        &self.0.name
    }
}
