//! Making payments: checked against the confirmed balance less what is pending, signed, and
//! saved before anybody else hears of them.

use super::{
    KeyName, KeyStoreError, OutboxError, Party, Passphrase, PaymentState, Wallet, WalletError,
    key_store::KeyFile,
    outbox::{SavedPayment, current},
    payments::{pending_of, waiting},
};
use mvb_protocol::{
    address::Address,
    amount::{Amount, AmountError},
    hash::TxId,
    keys::SecretKey,
    numbers::{Height, Sequence, Timestamp},
    transaction::{Payment, Transaction, TransactionError},
};

/// Asks for the passphrase of an encrypted key; `None` gives up. Called only for encrypted
/// keys, and before anything is saved.
pub type Unlock<'a> = &'a dyn Fn(&KeyName) -> Option<Passphrase>;

/// A payment to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// Who pays: a key of this home, by its name or address.
    pub from: Party,
    /// What the recipient gets.
    pub amount: Amount,
    /// Who is paid.
    pub to: Party,
    /// What the miner gets on top.
    pub fee: Amount,
    /// Now, by this machine's clock.
    pub now: Timestamp,
}

/// A payment to be replaced by one to oneself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// The payment.
    pub id: TxId,
    /// The replacement's fee; `None` for the least that replaces.
    pub fee: Option<Amount>,
    /// Now, by this machine's clock.
    pub now: Timestamp,
}

/// A payment that was made and saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: TxId,
    /// The key that pays.
    pub name: KeyName,
    /// The key's address.
    pub from: Address,
    /// The payment.
    pub transaction: Transaction,
}

/// Why no payment was made. Nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The sender's money does not suffice.
    #[error(
        "{needed} needed (amount {amount} and fee {fee}), but only {spendable} can be spent: balance {balance} less {pending} pending"
    )]
    Uncovered {
        /// The amount.
        amount: Amount,
        /// The fee.
        fee: Amount,
        /// Both together.
        needed: Amount,
        /// What is left to spend.
        spendable: Amount,
        /// The confirmed balance.
        balance: Amount,
        /// What pending payments take of it.
        pending: Amount,
    },
    /// No key of this home has the address that should pay.
    #[error(
        "no key here has the address {address}; `mvb wallet list-addresses` shows those there are"
    )]
    ForeignSender {
        /// The address.
        address: Address,
    },
    /// The payment to cancel is not among those of this home.
    #[error("payment {id:.8} was not made on this home, so it cannot be cancelled here")]
    NotMadeHere {
        /// The payment.
        id: TxId,
    },
    /// The payment to cancel is in a block already.
    #[error("payment {id:.8} is already in block {height}, it cannot be cancelled")]
    AlreadyConfirmed {
        /// The payment.
        id: TxId,
        /// Its block's height.
        height: Height,
    },
    /// The payment to cancel has been replaced already.
    #[error("payment {id:.8} has been superseded already")]
    AlreadySuperseded {
        /// The payment.
        id: TxId,
    },
    /// The replacement would not be preferred to the payment.
    #[error("fee {fee} is too low to replace payment {id:.8}, expected at least {least}")]
    FeeTooLow {
        /// The payment.
        id: TxId,
        /// The fee given.
        fee: Amount,
        /// The least that replaces it.
        least: Amount,
    },
    /// The payment breaks a rule of its own.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// A sum does not fit an amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// The saved payments cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The wallet cannot answer.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl Wallet {
    /// Makes a payment and saves it; a resident process announces it.
    ///
    /// # Errors
    /// When the sender has no key here or too little money, or the payment cannot be saved.
    pub fn send(&self, request: &SendRequest, unlock: Unlock<'_>) -> Result<Sent, PaymentError> {
        let key = self.sender(&request.from)?;
        let (from, to) = (key.address(), self.resolve(&request.to)?);
        let payment = |sequence| Payment {
            genesis: self.genesis(),
            to,
            amount: request.amount,
            fee: request.fee,
            sequence,
            timestamp: request.now,
        };
        // Asked before the passphrase is, so that nobody types it in vain; what counts is
        // asked once more while no other payment can be saved.
        let saved = self.outbox.unsettled()?;
        self.check_covered(&from, &payment(Sequence(0)), &saved)?;
        let secret = self.unlock(&key, unlock)?;
        let saved = self.outbox.append(
            &from,
            || Ok::<_, PaymentError>(self.account(&from)?.sequence),
            |reservation| {
                let payment = payment(reservation.sequence);
                self.check_covered(&from, &payment, reservation.unsettled)?;
                self.signed(payment, &secret)
            },
        )?;
        Ok(sent(key, &saved))
    }

    /// Replaces a pending payment by one to oneself with the same sequence.
    ///
    /// # Errors
    /// When the payment was not made here, is confirmed or superseded, or the fee is too
    /// low or not covered.
    pub fn cancel(
        &self,
        request: &CancelRequest,
        unlock: Unlock<'_>,
    ) -> Result<Sent, PaymentError> {
        let old = self
            .outbox
            .get(&request.id)?
            .ok_or(PaymentError::NotMadeHere { id: request.id })?;
        let from = old.transaction.from();
        let key = self.sender(&Party::Address(from))?;
        let replacement = self.replacement(&old, request)?;
        self.check_cancellable(&old)?;
        let others = |saved: &[SavedPayment]| -> Vec<SavedPayment> {
            let same = |other: &SavedPayment| {
                other.transaction.from() == from
                    && other.transaction.sequence == old.transaction.sequence
            };
            saved.iter().filter(|other| !same(other)).cloned().collect()
        };
        self.check_covered(&from, &replacement, &others(&self.outbox.unsettled()?))?;
        let secret = self.unlock(&key, unlock)?;
        let saved = self.outbox.replace(|unsettled| {
            // Another process may have been faster.
            if current(unsettled).all(|payment| payment.id != old.id) {
                return Err(PaymentError::AlreadySuperseded { id: old.id });
            }
            self.check_covered(&from, &replacement, &others(unsettled))?;
            self.signed(replacement, &secret)
        })?;
        Ok(sent(key, &saved))
    }

    /// The address that a name or address stands for.
    ///
    /// # Errors
    /// When no key has the name.
    pub fn resolve(&self, party: &Party) -> Result<Address, WalletError> {
        match party {
            Party::Name(name) => Ok(self.keys.find(name)?.address()),
            Party::Address(address) => Ok(*address),
        }
    }

    fn sender(&self, party: &Party) -> Result<KeyFile, PaymentError> {
        match party {
            Party::Name(name) => Ok(self.keys.find(name)?),
            Party::Address(address) => self
                .keys
                .find_address(address)?
                .ok_or(PaymentError::ForeignSender { address: *address }),
        }
    }

    fn unlock(&self, key: &KeyFile, unlock: Unlock<'_>) -> Result<SecretKey, PaymentError> {
        let passphrase = if key.encrypted {
            unlock(&key.name)
        } else {
            None
        };
        Ok(self.keys.load(&key.name, passphrase.as_ref())?)
    }

    /// The rules of the payment alone, and that the confirmed balance covers it beside all
    /// that waits.
    fn check_covered(
        &self,
        from: &Address,
        payment: &Payment,
        saved: &[SavedPayment],
    ) -> Result<(), PaymentError> {
        if payment.amount == Amount::ZERO {
            return Err(TransactionError::NoAmount.into());
        }
        let chain = self.snapshot().map_err(WalletError::from)?;
        let balance = chain.account(from).map_err(WalletError::from)?.balance;
        let pending = pending_of(from, waiting(saved, &*chain)?)?.taken();
        let spendable = balance.saturating_sub(pending);
        let needed = payment.amount.checked_add(payment.fee)?;
        if needed > spendable {
            return Err(PaymentError::Uncovered {
                amount: payment.amount,
                fee: payment.fee,
                needed,
                spendable,
                balance,
                pending,
            });
        }
        Ok(())
    }

    fn check_cancellable(&self, payment: &SavedPayment) -> Result<(), PaymentError> {
        let chain = self.snapshot().map_err(WalletError::from)?;
        match self.state_of(payment, &*chain)? {
            PaymentState::Pending | PaymentState::Orphaned { .. } => Ok(()),
            PaymentState::Confirmed { height, .. } => Err(PaymentError::AlreadyConfirmed {
                id: payment.id,
                height,
            }),
            PaymentState::Superseded { .. } => {
                Err(PaymentError::AlreadySuperseded { id: payment.id })
            }
        }
    }

    /// The payment to oneself that takes the place of another: of one unit, because no
    /// payment moves nothing.
    fn replacement(
        &self,
        old: &SavedPayment,
        request: &CancelRequest,
    ) -> Result<Payment, PaymentError> {
        let least = least_replacement_fee(old.transaction.fee)?;
        let fee = request.fee.unwrap_or(least);
        if fee < least {
            return Err(PaymentError::FeeTooLow {
                id: old.id,
                fee,
                least,
            });
        }
        Ok(Payment {
            genesis: self.genesis(),
            to: old.transaction.from(),
            amount: Amount::from_units(1),
            fee,
            sequence: old.transaction.sequence,
            timestamp: request.now,
        })
    }

    fn signed(&self, payment: Payment, secret: &SecretKey) -> Result<Transaction, PaymentError> {
        let transaction = payment.sign(secret);
        transaction.check(self.genesis())?;
        Ok(transaction)
    }
}

/// The least fee with which a payment replaces one of this fee: a tenth more, and at least
/// one unit.
pub fn least_replacement_fee(fee: Amount) -> Result<Amount, AmountError> {
    let more = fee.units().div_ceil(10).max(1);
    fee.checked_add(Amount::from_units(more))
}

fn sent(key: KeyFile, saved: &SavedPayment) -> Sent {
    Sent {
        id: saved.id,
        from: key.address(),
        name: key.name,
        transaction: Transaction::clone(&saved.transaction),
    }
}
